"""A request that was read becomes a call: for what model, where it goes, and what it can cost.

Whatever is refused here is refused without money: nothing is held, and nothing was sent.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NoReturn

import trio

from protos.telemetry.traces import Started
from protos.values.rates import ModelPrice, UnpriceableError
from protos.values.selectors import Attributes
from sidecar.clock import Clock
from sidecar.core.attribution import Attribution, attribution_of, named_in_body
from sidecar.core.bounds import bound_of
from sidecar.core.calls import NO_COST, NewCall
from sidecar.core.clamping import with_default
from sidecar.core.policy import Key, Policy, Provider
from sidecar.core.refusals import Reason, Refusal, Refused, plain_refusal
from sidecar.core.routing import ALIAS, NOT_ROUTED, Target
from sidecar.http import limits, multipart, strict_json
from sidecar.http.codec import RequestHead
from sidecar.http.multipart import BadFormError
from sidecar.http.routes import Route
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
from sidecar.providers import forms, reading
from sidecar.providers.apis import APIS, Api
from sidecar.providers.dialects import AZURE, Dialect, dialect_of
from sidecar.providers.envelopes import fault_of
from sidecar.providers.reading import BadRequestError
from sidecar.providers.renaming import renamed
from sidecar.runtime.admission_port import AdmissionPort
from sidecar.runtime.caller import FaultError
from sidecar.runtime.prepared import Prepared
from sidecar.runtime.upstream import Upstream, Upstreams

NOBODY = Attributes("", "", "", "")
"""Whom a request is counted for whose key is not known."""
_VERSION_LINE = b"anthropic-version: 2023-06-01\r\n"


@dataclass(frozen=True, slots=True)
class Wish:
    """A request that was read: what its caller wants, before it is known who answers."""

    head: RequestHead
    route: Route
    policy: Policy
    key: Key
    named: Attribution
    attributes: Attributes
    """What it is counted by, as far as that is known; without a model."""
    value: dict[str, Any] = field(repr=False)
    """Its body, read."""
    body: bytes = field(repr=False)
    model: str
    """The model that it names."""
    trace: Started | None
    """The span that is recorded of it, over all its attempts; None for most."""


class Preparing:
    """Makes calls of requests."""

    def __init__(self, admission: AdmissionPort, upstreams: Upstreams, clock: Clock) -> None:
        """Take what a call must be told to, and where it may go."""
        self._admission = admission
        self._upstreams = upstreams
        self._clock = clock

    def refuse(
        self, refusal: Refusal, attributes: Attributes = NOBODY, param: str = ""
    ) -> NoReturn:
        """Count a refusal and raise it as FaultError."""
        self._admission.refused(refusal, attributes)
        raise FaultError(fault_of(refusal, param))

    async def prepare(
        self,
        head: RequestHead,
        route: Route,
        policy: Policy,
        key: Key,
        named: Attribution,
        body: bytes,
    ) -> Prepared:
        """Read the body, and find out what the call can cost and where it goes.

        `named` is whom it is counted for, by all but its body.
        """
        attributes = Attributes(key.project_id, key.key_id, named.workflow, "", policy.region)
        try:
            value = await _read_body(body, head, SURFACES[route.surface])
            named = named_in_body(named, value.get(SURFACES[route.surface].attribution))
            model = APIS[route.surface].model_of(value, route)
        except _UNTAKEN as error:
            self.refuse(*_refusal_of(error, "", attributes))
        if named.workflow != attributes.workflow:
            attributes = replace(attributes, workflow=named.workflow)
        trace = self._admission.traced(head.values)
        wish = Wish(head, route, policy, key, named, attributes, value, body, model, trace)
        leads = policy.route(model, key.project_id)
        if leads is None:
            return self._aimed(wish)
        target = next((one for one in leads.targets if self._is_usable(wish, one)), None)
        if target is None:
            self.refuse(_leads_nowhere(wish), attributes, "model")
        return await self._aimed_at(wish, target, ALIAS)

    def _is_usable(self, wish: Wish, target: Target) -> bool:
        """Whether a call may go to a target: it is there, priced, and allowed to this key."""
        provider = wish.policy.provider(target.provider)
        if provider is None or not _speaks(provider, wish.route.surface):
            return False
        if wish.route.provider not in ("", provider.name):
            return False
        price = wish.policy.price(provider.name, target.model, self._clock.now().unix_ms)
        return price is not None and wish.key.allows(price.model)

    async def _aimed_at(self, wish: Wish, target: Target, routed: str) -> Prepared:
        """The call that goes to a target: the same request, but for the model that it names."""
        row = SURFACES[wish.route.surface]
        kind = wish.head.values.get(b"content-type", b"")
        boundary = multipart.boundary_of(kind) if row.form else None
        body, route = renamed(wish.body, wish.route, wish.model, target.model, boundary)
        route = replace(route, provider=target.provider)
        try:
            # Read again: what is held for is what will be sent.
            value = await _read_body(body, wish.head, row)
        except _UNTAKEN as error:
            self.refuse(*_refusal_of(error, target.model, wish.attributes))
        aimed = replace(wish, route=route, value=value, body=body, model=target.model)
        return self._aimed(aimed, wish.model, routed)

    def _aimed(self, wish: Wish, alias: str = "", routed: str = NOT_ROUTED) -> Prepared:
        """The call that a request makes; `alias` is what it named where that was another model."""
        head, route, policy, written = wish.head, wish.route, wish.policy, wish.model
        api, row = APIS[route.surface], SURFACES[route.surface]
        attributes = wish.attributes
        try:
            provider = self._provider(policy, route, written, attributes)
            prices = self._prices(policy, provider, written, attributes)
            price = prices[0]
            attributes = Attributes(
                attributes.project_id,
                attributes.key_id,
                attributes.workflow,
                price.model,
                attributes.region,
            )
            if not wish.key.allows(price.model):
                self.refuse(_not_allowed(written, policy.models_of(wish.key)), attributes, "model")
            _check_model(api, route, written, price)
            expands = any(version.expands_text for version in prices)
            dialect = dialect_of(provider.name, provider.family, provider.base_url, row.family)
            request = api.read(wish.value, wish.body, model=price.model, expands_text=expands)
            request = replace(request, dialect=dialect)
            free = row.kind is Kind.FREE
            bound = NO_COST if free else bound_of(request.asked, prices)
            bound = with_default(bound, policy.output_defaults.limit_for(attributes))
        except _UNTAKEN as error:
            self.refuse(*_refusal_of(error, written, attributes))
        upstream, prefix, secret = self._way_to(provider, dialect, route, attributes)
        if row.family == ANTHROPIC and b"anthropic-version" not in head.values:
            prefix += _VERSION_LINE
        if row.form:
            prefix += b"content-type: %b\r\n" % head.values[b"content-type"]
        alias = alias or written
        call = NewCall(
            attributes=attributes,
            secret_id=wish.key.secret_id,
            provider=provider.name,
            surface=route.surface.value,
            alias=alias if alias != price.model else "",
            execution=wish.named.execution,
            step=wish.named.step,
            streamed=request.streamed,
            price_version=price.version,
            bound=bound,
            routed=routed,
            trace=wish.trace,
        )
        return Prepared(
            call, api, request, price, policy, upstream, prefix, secret, wish.value, wish.body
        )

    def _provider(  # noqa: RET503 - what refuses never returns
        self, policy: Policy, route: Route, model: str, attributes: Attributes
    ) -> Provider:
        """The provider that a call goes to: the one in the path, else the one with the model."""
        family = SURFACES[route.surface].family
        if route.provider:
            provider = policy.provider(route.provider)
            if provider is None:
                self.refuse(plain_refusal(Reason.PROVIDER_NOT_CONFIGURED), attributes)
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
            self.refuse(
                Refusal(
                    Reason.MODEL_NOT_ALLOWED,
                    f"{model} is served by {names[0]}, which does not speak {route.surface.value}.",
                ),
                attributes,
                "model",
            )
        self.refuse(_unpriced(model), attributes, "model")

    def _prices(
        self, policy: Policy, provider: Provider, model: str, attributes: Attributes
    ) -> tuple[ModelPrice, ...]:
        """Every price that may come into force while the call lasts, the present one first."""
        now_unix_ms = self._clock.now().unix_ms
        prices = policy.prices_between(
            provider.name, model, now_unix_ms, now_unix_ms + limits.LONGEST_CALL_MS
        )
        if not prices or policy.price(provider.name, model, now_unix_ms) is not prices[0]:
            self.refuse(_unpriced(model), attributes, "model")
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
            self.refuse(refused.refusal, attributes)
        except BadAddressError as error:
            words = f"The provider {provider.name} cannot be used: {error}."
            self.refuse(Refusal(Reason.PROVIDER_NOT_CONFIGURED, words), attributes)
        return upstream, prefix, secret.encode("ascii")


def _speaks(provider: Provider, surface: Surface) -> bool:
    """Whether a provider serves a surface, as far as its family and address tell."""
    if surface in AT_AZURE:
        return dialect_of(provider.name, provider.family, provider.base_url) is AZURE
    own = provider.family == SURFACES[surface].family
    return own or (provider.family == GEMINI and surface in AT_GEMINI)


def _check_model(api: Api, route: Route, written: str, price: ModelPrice) -> None:
    """Refuse a model that its surface does not serve. Raises BadRequestError."""
    if api.writes_text not in (None, bool(price.output_max)):
        raise BadRequestError(f"{written} is not a model for {route.surface.value}", "model")
    if api.check_model is not None:
        # The name may stand for another's price, or the price's model may have another name.
        for name in {written, price.model}:
            api.check_model(name, price)


_Untaken = BadRequestError | UnpriceableError | BadJsonError | BadFormError
_UNTAKEN = (BadRequestError, UnpriceableError, BadJsonError, BadFormError)


def _refusal_of(
    error: _Untaken, model: str, attributes: Attributes
) -> tuple[Refusal, Attributes, str]:
    """Why a request cannot be taken, for whom that counts, and the field that is to blame."""
    match error:
        case BadRequestError():
            return Refusal(error.reason, error.message), attributes, error.param
        case UnpriceableError():
            return _unpriced(model, f": {error}"), attributes, "model"
        case BadJsonError():
            return Refusal(Reason.INVALID_REQUEST, f"bad JSON: {error}"), attributes, ""
        case BadFormError():
            return Refusal(Reason.INVALID_REQUEST, f"bad form: {error}"), attributes, ""


def attribution(head: RequestHead, route: Route, key: Key, suffix: str) -> Attribution:
    """Whom a call is counted for, as far as its head and what stands behind its key tell."""
    values = head.values
    workflow, step = values.get(b"x-bursar-workflow", b""), values.get(b"x-bursar-step", b"")
    return attribution_of(key.workflow, route.label, workflow, step, suffix)


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


def _leads_nowhere(wish: Wish) -> Refusal:
    return Refusal(
        Reason.MODEL_NOT_ALLOWED,
        f"{wish.model} leads to no model that this key may use with {wish.route.surface.value}; "
        "see `bursar route list`.",
    )


def _not_allowed(model: str, allowed: tuple[ModelPrice, ...]) -> Refusal:
    names = ", ".join(price.model for price in allowed[:8]) or "none"
    return Refusal(
        Reason.MODEL_NOT_ALLOWED,
        f"This key may not use {model}; it may use {names}{', …' if len(allowed) > 8 else ''}.",
    )
