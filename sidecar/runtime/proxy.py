"""A request, from its head to its answer: who asks, for what, what it can cost, and then the call.

Everything that can be refused without money is refused before admission is asked, and everything
before the body is read that needs no body.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, NoReturn

import trio

from protos.values.keys import PROJECT_KEY, is_key, key_digest
from protos.values.rates import ModelPrice, UnpriceableError
from protos.values.selectors import Attributes
from sidecar.clock import Clock
from sidecar.core.attribution import Attribution, attribution_of
from sidecar.core.bounds import bound_of
from sidecar.core.calls import NO_COST, NewCall
from sidecar.core.instants import Now
from sidecar.core.policy import Key, Policy, Provider
from sidecar.core.refusals import Reason, Refusal, Refused, plain_refusal
from sidecar.http import codec, encoding, headers, hosts, limits, multipart, routes, strict_json
from sidecar.http.codec import RequestHead
from sidecar.http.encoding import UnreadableBodyError
from sidecar.http.multipart import BadFormError
from sidecar.http.plain_heads import Header
from sidecar.http.routes import NoRouteError, Route
from sidecar.http.strict_json import BadJsonError
from sidecar.http.surfaces import (
    ANTHROPIC,
    AT_AZURE,
    AT_GEMINI,
    GEMINI,
    SURFACES,
    Kind,
    Row,
    Surface,
)
from sidecar.http.tunnels import BadAddressError
from sidecar.providers import envelopes, forms, models, reading
from sidecar.providers.apis import APIS, Api
from sidecar.providers.dialects import AZURE, Dialect, dialect_of
from sidecar.providers.envelopes import fault_of, wire_fault
from sidecar.providers.reading import BadRequestError
from sidecar.runtime.admission_port import AdmissionPort
from sidecar.runtime.caller import Caller, FaultError
from sidecar.runtime.drains import Drains
from sidecar.runtime.forwarding import Forwarding
from sidecar.runtime.prepared import Prepared
from sidecar.runtime.upstream import Upstream, Upstreams

_NOBODY = Attributes("", "", "", "")
_JSON_TYPES = (b"application/json", b"text/json")
_VERSION_LINE = b"anthropic-version: 2023-06-01\r\n"


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
        self._upstreams = upstreams
        self._clock = clock
        self._allowed_hosts = allowed_hosts
        self._drains = drains

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
            self._admission.refused(refusal, _NOBODY)
            return fault_of(refusal)
        allow: tuple[Header, ...] = ((b"allow", error.allow.encode()),) if error.allow else ()
        return wire_fault(error.status, error.code, error.message, headers=allow)

    def _key(self, head: RequestHead, route: Route, policy: Policy, now: Now) -> Key:
        try:
            text = headers.key_text(head.values, route.key)
        except ValueError as error:
            raise FaultError(wire_fault(401, "invalid_api_key", f"{error}")) from None
        key = policy.key_by_digest(key_digest(text)) if text else None
        if key is None:
            if not text:
                words = "No key was sent: send it as Authorization: Bearer, or as x-api-key."
            elif not is_key(text, PROJECT_KEY):
                words = "This is no key of Bursar's: keys begin with bursar_pk_. Check the copy."
            else:
                self._refuse(plain_refusal(Reason.INVALID_KEY))
            self._refuse(Refusal(Reason.INVALID_KEY, words))
        attributes = Attributes(key.project_id, key.key_id, key.workflow, "", policy.region)
        if key.revoked:
            self._refuse(plain_refusal(Reason.KEY_REVOKED), attributes)
        if key.expires_unix_ms is not None and key.expires_unix_ms <= now.unix_ms:
            self._refuse(plain_refusal(Reason.KEY_EXPIRED), attributes)
        project = policy.project(key.project_id)
        if project is None or not project.active:
            self._refuse(plain_refusal(Reason.PROJECT_SUSPENDED), attributes)
        return key

    def _refuse(
        self, refusal: Refusal, attributes: Attributes = _NOBODY, param: str = ""
    ) -> NoReturn:
        self._admission.refused(refusal, attributes)
        raise FaultError(fault_of(refusal, param))

    # --- A call ----------------------------------------------------------------------------------

    async def _call(self, caller: Caller, head: RequestHead, route: Route) -> None:
        row = SURFACES[route.surface]
        caller.family, caller.events = row.family, row.events
        policy = self._admission.policy
        key = self._key(head, route, policy, self._clock.now())
        _check_encoding(head, row)
        body = await caller.read_body(head, limits.REQUEST_BODY_MAX_BYTES)
        if b"content-encoding" in head.values:
            body = _opened(head, body, caller)
        prepared = await self._prepare(head, route, policy, key, body)
        caller.never_expires()
        caller.watched = True
        try:
            hold = await self._admission.open(prepared.call)
        except Refused as refused:
            raise FaultError(fault_of(refused.refusal)) from None
        call = Forwarding(hold, prepared, caller, head, self._admission, self._clock)
        await call.run(self._drains)

    async def _prepare(
        self, head: RequestHead, route: Route, policy: Policy, key: Key, body: bytes
    ) -> Prepared:
        """Read the body, and find out what the call can cost and where it goes."""
        named = _attribution(head, route, key)
        api, row = APIS[route.surface], SURFACES[route.surface]
        attributes = Attributes(key.project_id, key.key_id, named.workflow, "", policy.region)
        try:
            value = await _read_body(body, head, row)
            written = api.model_of(value, route)
            provider = self._provider(policy, route, written, attributes)
            prices = self._prices(policy, provider, written, attributes)
            price = prices[0]
            attributes = Attributes(
                key.project_id, key.key_id, named.workflow, price.model, policy.region
            )
            if not key.allows(price.model):
                self._refuse(_not_allowed(written, policy.models_of(key)), attributes, "model")
            _check_model(api, route, written, price)
            expands = any(version.expands_text for version in prices)
            dialect = dialect_of(provider.name, provider.family, provider.base_url, row.family)
            request = replace(
                api.read(value, body, model=price.model, expands_text=expands), dialect=dialect
            )
            free = row.kind is Kind.FREE
            bound = NO_COST if free else bound_of(request.asked, prices)
        except BadRequestError as error:
            self._refuse(Refusal(error.reason, error.message), attributes, error.param)
        except UnpriceableError as error:
            self._refuse(_unpriced(written, f": {error}"), attributes, "model")
        except BadJsonError as error:
            self._refuse(Refusal(Reason.INVALID_REQUEST, f"bad JSON: {error}"), attributes)
        except BadFormError as error:
            self._refuse(Refusal(Reason.INVALID_REQUEST, f"bad form: {error}"), attributes)
        upstream, prefix, secret = self._way_to(provider, dialect, route, attributes)
        if row.family == ANTHROPIC and b"anthropic-version" not in head.values:
            prefix += _VERSION_LINE
        if row.form:
            prefix += b"content-type: %b\r\n" % head.values[b"content-type"]
        call = NewCall(
            attributes=attributes,
            secret_id=key.secret_id,
            provider=provider.name,
            surface=route.surface.value,
            alias=written if written != price.model else "",
            execution=named.execution,
            step=named.step,
            streamed=request.streamed,
            price_version=price.version,
            bound=bound,
        )
        return Prepared(call, api, request, price, policy, upstream, prefix, secret, value, body)

    def _provider(  # noqa: RET503 - what refuses never returns
        self, policy: Policy, route: Route, model: str, attributes: Attributes
    ) -> Provider:
        """The provider that a call goes to: the one in the path, else the one with the model."""
        family = SURFACES[route.surface].family
        if route.provider:
            provider = policy.provider(route.provider)
            if provider is None:
                self._refuse(plain_refusal(Reason.PROVIDER_NOT_CONFIGURED), attributes)
            if not _speaks(provider, route.surface):
                raise BadRequestError(
                    f"{provider.name} does not speak {route.surface.value}; it speaks the API of "
                    f"{provider.family}"
                )
            return provider
        names = policy.providers_of_model(model)
        found = [
            provider
            for name in names
            if (provider := policy.provider(name)) is not None and _speaks(provider, route.surface)
        ]
        if len(found) > 1:
            found = [provider for provider in found if provider.name == family] or found[:1]
        if found:
            return found[0]
        if names:
            self._refuse(
                Refusal(
                    Reason.MODEL_NOT_ALLOWED,
                    f"{model} is served by {names[0]}, which does not speak {route.surface.value}.",
                ),
                attributes,
                "model",
            )
        self._refuse(_unpriced(model), attributes, "model")

    def _prices(
        self, policy: Policy, provider: Provider, model: str, attributes: Attributes
    ) -> tuple[ModelPrice, ...]:
        """Every price that may come into force while the call lasts, the present one first."""
        now_unix_ms = self._clock.now().unix_ms
        prices = policy.prices_between(
            provider.name, model, now_unix_ms, now_unix_ms + limits.LONGEST_CALL_MS
        )
        if not prices or policy.price(provider.name, model, now_unix_ms) is not prices[0]:
            self._refuse(_unpriced(model), attributes, "model")
        return prices

    def _way_to(
        self, provider: Provider, dialect: Dialect, route: Route, attributes: Attributes
    ) -> tuple[Upstream, bytes, bytes]:
        """The connections to a provider, how the heads of its calls begin, and its secret."""
        try:
            secret = self._admission.secret_for(provider.name)
            upstream = self._upstreams.to(provider)
            line = dialect.secret.value + secret
            target = upstream.target(route, dialect.root)
            known = upstream.prefixes.get((target, line))
            form = SURFACES[route.surface].form
            prefix = known or upstream.add_prefix(target, line, form=form)
        except Refused as refused:
            self._refuse(refused.refusal, attributes)
        except BadAddressError as error:
            words = f"The provider {provider.name} cannot be used: {error}."
            self._refuse(Refusal(Reason.PROVIDER_NOT_CONFIGURED, words), attributes)
        return upstream, prefix, secret.encode("ascii")

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
        key = self._key(head, route, policy, self._clock.now())
        family = caller.family = SURFACES[route.surface].family or caller.family
        if route.provider:
            provider = policy.provider(route.provider)
            if provider is None:
                self._refuse(plain_refusal(Reason.PROVIDER_NOT_CONFIGURED))
            family = caller.family = provider.family
        prices = [
            price
            for price in policy.models_of(key)
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


def _speaks(provider: Provider, surface: Surface) -> bool:
    """Whether a provider serves a surface, as far as its family and address tell."""
    if surface in AT_AZURE:
        return dialect_of(provider.name, provider.family, provider.base_url) is AZURE
    own = provider.family == SURFACES[surface].family
    return own or (provider.family == GEMINI and surface in AT_GEMINI)


_NO_WEBSOCKET = NoRouteError(
    403,
    "endpoint_not_allowed",
    "WebSockets are not served: a session over one has no bound. Call by HTTP, streamed or not.",
)


def _check_model(api: Api, route: Route, written: str, price: ModelPrice) -> None:
    """Refuse a model that its surface does not serve. Raises BadRequestError."""
    if api.writes_text not in (None, bool(price.output_max)):
        raise BadRequestError(f"{written} is not a model for {route.surface.value}", "model")
    if api.check_model is not None:
        # The name may stand for another's price, or the price's model may have another name.
        for name in {written, price.model}:
            api.check_model(name, price)


def _attribution(head: RequestHead, route: Route, key: Key) -> Attribution:
    values = head.values
    workflow, step = values.get(b"x-bursar-workflow", b""), values.get(b"x-bursar-step", b"")
    return attribution_of(key.workflow, route.label, workflow, step)


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


async def _read_body(body: bytes, head: RequestHead, row: Row) -> dict[str, Any]:
    """The fields of a request. Raises BadJsonError, BadFormError, BadRequestError."""
    read: Callable[[bytes], Any] = strict_json.read
    if row.form:
        boundary = multipart.boundary_of(head.values[b"content-type"])
        read = partial(_read_form, boundary=boundary)
    if len(body) > limits.LARGE_BODY_BYTES:
        return reading.read_object(await trio.to_thread.run_sync(read, body))
    return reading.read_object(read(body))


def _read_form(body: bytes, boundary: bytes) -> dict[str, Any]:
    return forms.object_of(multipart.read(body, boundary))


def _unpriced(model: str, why: str = "") -> Refusal:
    return Refusal(
        Reason.MODEL_NOT_PRICED,
        f"The price book has no price for {model}{why}, so no cap could hold what it costs. Set "
        "its price, or use another model; GET /v1/models lists those that can be used.",
    )


def _not_allowed(model: str, allowed: tuple[ModelPrice, ...]) -> Refusal:
    names = ", ".join(price.model for price in allowed[:8]) or "none"
    return Refusal(
        Reason.MODEL_NOT_ALLOWED,
        f"This key may not use {model}; it may use {names}{', …' if len(allowed) > 8 else ''}.",
    )
