"""A request, from its head to its answer: who asks, for what, what it can cost, and then the call.

Everything that can be refused without money is refused before admission is asked, and everything
before the body is read that needs no body.
"""

import json
import logging

from protos.values.keys import PROJECT_KEY, is_key, key_digest, split_suffix
from protos.values.selectors import Attributes
from sidecar.clock import Clock
from sidecar.core.instants import Now
from sidecar.core.loops import Loops
from sidecar.core.policy import Key, Policy
from sidecar.core.refusals import Reason, Refusal, plain_refusal
from sidecar.http import codec, encoding, headers, hosts, limits, multipart, routes
from sidecar.http.codec import RequestHead
from sidecar.http.encoding import UnreadableBodyError
from sidecar.http.multipart import BadFormError
from sidecar.http.plain_heads import Header
from sidecar.http.routes import NoRouteError, Route
from sidecar.http.surfaces import (
    SURFACES,
    Kind,
    Row,
    Surface,
)
from sidecar.providers import envelopes, models
from sidecar.providers.envelopes import fault_of, wire_fault
from sidecar.runtime.admission_port import AdmissionPort
from sidecar.runtime.attempts import Attempts
from sidecar.runtime.caller import Caller, FaultError
from sidecar.runtime.drains import Drains
from sidecar.runtime.preparing import NOBODY, Preparing, attribution
from sidecar.runtime.upstream import Upstreams

_log = logging.getLogger(__name__)
_JSON_TYPES = (b"application/json", b"text/json")


class Proxy:
    """Answers requests, one at a time per connection."""

    def __init__(
        self,
        admission: AdmissionPort,
        upstreams: Upstreams,
        clock: Clock,
        allowed_hosts: frozenset[bytes],
        drains: Drains,
    ) -> None:
        """Take what a call needs."""
        self._admission = admission
        self._preparing = Preparing(admission, upstreams, clock)
        self._clock = clock
        self._allowed_hosts = allowed_hosts
        self._attempts = Attempts(admission, clock, drains)
        self._loops = Loops()

    async def answer(self, caller: Caller, head: RequestHead) -> None:
        """Answer one request. Raises FaultError, BadMessageError, CallerGoneError."""
        caller.keep = head.keep_alive
        caller.bodiless = head.method == b"HEAD"
        caller.family = routes.family_of(head.target, head.values)
        self._check_caller(head)
        if head.values.get(b"upgrade", b"").lower() == b"websocket":
            raise FaultError(self._no_route(_NO_WEBSOCKET))
        try:
            route = routes.route(head.method, head.target)
        except NoRouteError as error:
            raise FaultError(self._no_route(error)) from None
        forwarded = SURFACES[route.surface].kind is not Kind.LOCAL
        if b"upgrade" in head.values and forwarded:
            raise FaultError(
                wire_fault(403, "endpoint_not_allowed", "no other protocol is spoken here")
            )
        if head.method == b"OPTIONS":
            allow = (b"allow", routes.methods_of(route.surface).encode())
            await self._local(caller, head, 204, [allow], b"")
        elif route.surface is Surface.HEALTH:
            await self._health(caller, head)
        elif forwarded:
            await self._call(caller, head, route)
        else:
            await self._models(caller, head, route)

    # --- Who asks --------------------------------------------------------------------------------

    def _check_caller(self, head: RequestHead) -> None:
        words = hosts.host_fault(head.values, self._allowed_hosts)
        if words:
            raise FaultError(wire_fault(421, "misdirected_request", words))
        words = hosts.browser_fault(head.values)
        if words:
            raise FaultError(wire_fault(403, "cross_site_request", words))

    def _no_route(self, error: NoRouteError) -> envelopes.Fault:
        if error.status == 403:
            refusal = Refusal(Reason.ENDPOINT_NOT_ALLOWED, error.message)
            self._admission.refused(refusal, NOBODY)
            return fault_of(refusal)
        allow: tuple[Header, ...] = ((b"allow", error.allow.encode()),) if error.allow else ()
        return wire_fault(error.status, error.code, error.message, headers=allow)

    def _key(self, head: RequestHead, route: Route, policy: Policy, now: Now) -> tuple[Key, str]:
        """The key that a request came with, and what stands behind it. Raises FaultError."""
        try:
            text, suffix = split_suffix(headers.key_text(head.values, route.key))
        except ValueError as error:
            raise FaultError(wire_fault(401, "invalid_api_key", f"{error}")) from None
        key = policy.key_by_digest(key_digest(text)) if text else None
        if key is None:
            if not text:
                words = "No key was sent: send it as Authorization: Bearer, or as x-api-key."
            elif not is_key(text, PROJECT_KEY):
                words = "This is no key of Bursar's: keys begin with bursar_pk_. Check the copy."
            else:
                self._preparing.refuse(plain_refusal(Reason.INVALID_KEY))
            self._preparing.refuse(Refusal(Reason.INVALID_KEY, words))
        attributes = Attributes(key.project_id, key.key_id, key.workflow, "", policy.region)
        if key.revoked:
            self._preparing.refuse(plain_refusal(Reason.KEY_REVOKED), attributes)
        if key.expires_unix_ms is not None and key.expires_unix_ms <= now.unix_ms:
            self._preparing.refuse(plain_refusal(Reason.KEY_EXPIRED), attributes)
        project = policy.project(key.project_id)
        if project is None or not project.active:
            self._preparing.refuse(plain_refusal(Reason.PROJECT_SUSPENDED), attributes)
        return key, suffix

    # --- A call ----------------------------------------------------------------------------------

    async def _call(self, caller: Caller, head: RequestHead, route: Route) -> None:
        row = SURFACES[route.surface]
        caller.family, caller.events = row.family, row.events
        policy = self._admission.policy
        key, suffix = self._key(head, route, policy, self._clock.now())
        named = attribution(head, route, key, suffix)
        _check_encoding(head, row)
        body = await caller.read_body(head, limits.REQUEST_BODY_MAX_BYTES)
        if b"content-encoding" in head.values:
            body = _opened(head, body, caller)
        self._stop_loop(Attributes(key.project_id, key.key_id, named.workflow, ""), body)
        course = await self._preparing.prepare(head, route, policy, key, named, body)
        await self._attempts.make(course, caller, head)

    def _stop_loop(self, attributes: Attributes, body: bytes) -> None:
        """Refuse a request that a workflow sends again and again. Raises FaultError."""
        project = self._admission.policy.project(attributes.project_id)
        if project is None or not project.loop_max:
            return
        loop = self._loops.see(attributes, body, project.loop_max, self._clock.now().boot_ms)
        if loop is None:
            return
        if loop.begins:
            _log.error(
                "a workflow loops: client %s, key %s, workflow %s sent one request more than %d "
                "times in a minute, and is refused until it rests",
                attributes.project_id,
                attributes.key_id,
                attributes.workflow or "(none)",
                project.loop_max,
            )
        self._preparing.refuse(loop.refusal, attributes)

    # --- What is answered here -------------------------------------------------------------------

    async def _health(self, caller: Caller, head: RequestHead) -> None:
        """Whether calls can be taken; no secret, no name of anybody."""
        closed = self._admission.closed()
        if closed is not None:
            status = {"status": closed.reason.value, "message": closed.message}
        elif self._admission.policy.version:
            status = {"status": "ok"}
        else:
            status = {"status": "no policy yet"}
        code = 200 if status["status"] == "ok" else 503
        await self._local(caller, head, code, [_JSON], json.dumps(status).encode())

    async def _models(self, caller: Caller, head: RequestHead, route: Route) -> None:
        policy = self._admission.policy
        key, _ = self._key(head, route, policy, self._clock.now())
        family = caller.family = SURFACES[route.surface].family or caller.family
        if route.provider:
            provider = policy.provider(route.provider)
            if provider is None:
                self._preparing.refuse(plain_refusal(Reason.PROVIDER_NOT_CONFIGURED))
            family = caller.family = provider.family
        prices = [
            price
            for price in (*policy.models_of(key), *policy.named_models_of(key))
            if (provider := policy.provider(price.provider)) is not None
            and provider.family == family
            and route.provider in ("", provider.name)
        ]
        if route.surface in (Surface.MODELS, Surface.GEMINI_MODELS):
            shown = models.listing(prices, family)
        else:
            named = next((price for price in prices if models.is_named(price, route.model)), None)
            if named is None:
                words = f"there is no model {route.model} that this key may use"
                raise FaultError(wire_fault(404, "model_not_found", words))
            shown = models.one(named, family)
        await self._local(caller, head, 200, [_JSON], json.dumps(shown).encode())

    async def _local(
        self, caller: Caller, head: RequestHead, status: int, lines: list[Header], body: bytes
    ) -> None:
        """Answer without asking anybody."""
        await caller.read_body(head, limits.DISCARD_MAX_BYTES)
        lines = [*lines, (b"cache-control", b"no-store")]
        if status != 204:
            lines.append((b"content-length", b"%d" % len(body)))
        if not caller.keep:
            lines.append(codec.CLOSE)
        caller.head_sent = True
        shown = b"" if caller.bodiless else body
        await caller.send(codec.response_head(status, lines) + shown)


_NO_WEBSOCKET = NoRouteError(
    403,
    "endpoint_not_allowed",
    "WebSockets are not served: a session over one has no bound. Call by HTTP, streamed or not.",
)


_JSON: Header = (b"content-type", b"application/json")


def _check_encoding(head: RequestHead, row: Row) -> None:
    """Refuse a body that could not be read, before it is read. Raises FaultError."""
    kind = head.values.get(b"content-type")
    if row.form:
        _check_form(kind or b"")
    elif kind is not None and kind.partition(b";")[0].strip().lower() not in _JSON_TYPES:
        words = "the body must be JSON: send it with Content-Type: application/json"
        raise FaultError(wire_fault(415, "unsupported_media_type", words))
    packed = head.values.get(b"content-encoding")
    if packed is None or encoding.is_identity(packed) or encoding.is_supported(packed):
        return
    words = "the body may be compressed with gzip or deflate, or not at all"
    raise FaultError(wire_fault(415, "unsupported_encoding", words))


def _check_form(kind: bytes) -> None:
    if not multipart.is_form(kind):
        words = "the body must be a form: send it with Content-Type: multipart/form-data"
        raise FaultError(wire_fault(415, "unsupported_media_type", words))
    try:
        multipart.boundary_of(kind)
    except BadFormError as error:
        raise FaultError(wire_fault(400, "invalid_request", f"{error}")) from None


def _opened(head: RequestHead, body: bytes, caller: Caller) -> bytes:
    """The body, opened when it came compressed. Raises FaultError."""
    if encoding.is_identity(head.values[b"content-encoding"]):
        return body
    most = min(
        limits.REQUEST_BODY_MAX_BYTES,
        max(limits.LARGE_BODY_BYTES, len(body) * limits.REQUEST_BODY_MAX_TIMES),
    )
    try:
        opened = encoding.inflate(body, most)
    except UnreadableBodyError as error:
        raise FaultError(wire_fault(400, "invalid_request", f"{error}")) from None
    caller.take_room(len(opened))
    return opened
