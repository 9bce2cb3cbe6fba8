"""The call that a request makes at a target: its model's price, its bound, and the way there."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple

import trio

from protos.telemetry.traces import Started
from protos.values.quick import quick
from protos.values.rates import ModelPrice, UnpriceableError
from protos.values.selectors import Attributes
from sidecar.clock import Clock
from sidecar.core.attribution import Attribution
from sidecar.core.bounds import bound_of
from sidecar.core.calls import NO_COST, Bound, NewCall
from sidecar.core.clamping import under_terms
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
    OPENAI,
    SURFACES,
    Kind,
    Row,
    Surface,
)
from sidecar.http.tunnels import BadAddressError
from sidecar.providers import forms, openai_tools, reading
from sidecar.providers.apis import APIS, Api
from sidecar.providers.dialects import AZURE, Dialect, dialect_of
from sidecar.providers.reading import BadRequestError, CallRequest
from sidecar.providers.renaming import renamed
from sidecar.runtime.prepared import Prepared
from sidecar.runtime.secrets import OpenSecret, ProviderSecrets
from sidecar.runtime.upstream import Upstream, Upstreams

_VERSION_LINE = b"anthropic-version: 2023-06-01\r\n"


@quick
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


@quick
@dataclass(frozen=True, slots=True)
class Aim:
    """What sets an attempt apart from the plain call of a request."""

    alias: str = ""
    """What the request named, where another model is asked."""
    routed: str = NOT_ROUTED
    """Why another model is asked."""
    tried: frozenset[str] = frozenset()
    """Secrets that this target was tried with."""
    parent_call_id: str = ""
    """The first attempt of the request, where this is another."""


PLAIN = Aim()
"""The first attempt of a request that is answered by the model that it names."""


class UnaimedError(Exception):
    """The request cannot be made a call of."""

    def __init__(self, refusal: Refusal, attributes: Attributes, param: str = "") -> None:
        """Take what its caller is told, for whom that counts, and the field that is to blame."""
        super().__init__(refusal.message)
        self.refusal = refusal
        self.attributes = attributes
        self.param = param


class _Bounded(NamedTuple):
    """What answers a request, and what that can cost."""

    wish: Wish
    """The request, as it goes out but for a limit on its output."""
    provider: Provider
    dialect: Dialect
    price: ModelPrice
    attributes: Attributes
    request: CallRequest
    bound: Bound


class Aiming:
    """Makes calls of requests."""

    def __init__(self, secrets: ProviderSecrets, upstreams: Upstreams, clock: Clock) -> None:
        """Take the secrets, and where calls may go."""
        self._secrets = secrets
        self._upstreams = upstreams
        self._clock = clock

    def attributes_at(self, wish: Wish, target: Target) -> Attributes:
        """What a call that goes to a target is counted by; the target can be used."""
        unix_ms = self._clock.now().unix_ms
        price = wish.policy.price(target.provider, target.model, unix_ms)
        assert price is not None
        return replace(wish.attributes, model=price.model)

    def rests(self, wish: Wish, target: Target) -> bool:
        """Whether every secret that a call could be made with at a target rests."""
        boot_ms = self._clock.now().boot_ms
        return self._secrets.are_resting(target.provider, wish.key.project_id, boot_ms)

    def let_rest(self, secret_id: str, rest_ms: int) -> None:
        """Prefer other secrets to this one for a while."""
        self._secrets.rest(secret_id, self._clock.now().boot_ms + rest_ms)

    def is_usable(self, wish: Wish, target: Target) -> bool:
        """Whether a call may go to a target: it is there, priced, and allowed to this key."""
        provider = wish.policy.provider(target.provider)
        if provider is None or not _speaks(provider, wish.route.surface):
            return False
        if wish.route.provider not in ("", provider.name):
            return False
        price = wish.policy.price(provider.name, target.model, self._clock.now().unix_ms)
        return price is not None and wish.key.allows(price.model)

    async def aimed_at(self, wish: Wish, target: Target, aim: Aim) -> tuple[Wish, Prepared]:
        """The request as it asks a target, and its call. Raises UnaimedError."""
        row = SURFACES[wish.route.surface]
        kind = wish.head.values.get(b"content-type", b"")
        boundary = multipart.boundary_of(kind) if row.form else None
        body, route = renamed(wish.body, wish.route, wish.model, target.model, boundary)
        route = replace(route, provider=target.provider)
        try:
            # Read again: what is held for is what will be sent.
            value = await read_body(body, wish.head, row)
        except UNTAKEN as error:
            raise UnaimedError(*refusal_of(error, target.model, wish.attributes)) from None
        aimed = replace(wish, route=route, value=value, body=body, model=target.model)
        return aimed, self.aimed(aimed, aim)

    def aimed(self, wish: Wish, aim: Aim = PLAIN) -> Prepared:
        """The call that a request makes. Raises UnaimedError."""
        head, route, written = wish.head, wish.route, wish.model
        row = SURFACES[route.surface]
        wish, provider, dialect, price, attributes, request, bound = self._bounded(wish)
        upstream, prefix, secret = self._way_to(provider, dialect, route, attributes, aim.tried)
        if row.family == ANTHROPIC and b"anthropic-version" not in head.values:
            prefix += _VERSION_LINE
        if row.form:
            prefix += b"content-type: %b\r\n" % head.values[b"content-type"]
        alias, routed = aim.alias or written, aim.routed
        if routed == ALIAS and alias == price.model:
            routed = NOT_ROUTED  # A model whose route leads to itself.
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
            parent_call_id=aim.parent_call_id,
            routed=routed,
            provider_secret_id=secret.secret_id,
            trace=wish.trace,
        )
        return Prepared(
            call=call,
            api=APIS[route.surface],
            request=request,
            price=price,
            policy=wish.policy,
            upstream=upstream,
            prefix=prefix,
            secret=secret.text.encode("ascii"),
            value=wish.value,
            body=wish.body,
        )

    def _bounded(self, wish: Wish) -> _Bounded:
        """What answers a request, and what that can cost. Raises UnaimedError."""
        route, policy, written, attributes = wish.route, wish.policy, wish.model, wish.attributes
        api, row = APIS[route.surface], SURFACES[route.surface]
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
                refusal = _not_allowed(written, policy.models_of(wish.key))
                raise UnaimedError(refusal, attributes, "model")
            _check_model(api, route, written, price)
            expands = any(version.expands_text for version in prices)
            dialect = dialect_of(provider.name, provider.family, provider.base_url, row.family)
            wish = _allowed(wish, dialect)
            request = api.read(wish.value, wish.body, model=price.model, expands_text=expands)
            request = request.at(dialect)
            free = row.kind is Kind.FREE
            bound = NO_COST if free else bound_of(request.asked, prices)
            bound = under_terms(bound, policy, attributes)
        except UNTAKEN as error:
            raise UnaimedError(*refusal_of(error, written, attributes)) from None
        return _Bounded(wish, provider, dialect, price, attributes, request, bound)

    def _provider(
        self, policy: Policy, route: Route, model: str, attributes: Attributes
    ) -> Provider:
        """The provider that a call goes to: the one in the path, else the one with the model."""
        family = SURFACES[route.surface].family
        if route.provider:
            provider = policy.provider(route.provider)
            if provider is None:
                raise UnaimedError(plain_refusal(Reason.PROVIDER_NOT_CONFIGURED), attributes)
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
            raise UnaimedError(
                Refusal(
                    Reason.MODEL_NOT_ALLOWED,
                    f"{model} is served by {names[0]}, which does not speak {route.surface.value}.",
                ),
                attributes,
                "model",
            )
        raise UnaimedError(_unpriced(model), attributes, "model")

    def _prices(
        self, policy: Policy, provider: Provider, model: str, attributes: Attributes
    ) -> tuple[ModelPrice, ...]:
        """Every price that may come into force while the call lasts, the present one first."""
        now_unix_ms = self._clock.now().unix_ms
        prices = policy.prices_between(
            provider.name, model, now_unix_ms, now_unix_ms + limits.LONGEST_CALL_MS
        )
        if not prices or policy.price(provider.name, model, now_unix_ms) is not prices[0]:
            raise UnaimedError(_unpriced(model), attributes, "model")
        return prices

    def _way_to(
        self,
        provider: Provider,
        dialect: Dialect,
        route: Route,
        attributes: Attributes,
        tried: Collection[str],
    ) -> tuple[Upstream, bytes, OpenSecret]:
        """The connections to a provider, how the heads of its calls begin, and its secret."""
        try:
            boot_ms = self._clock.now().boot_ms
            secret = self._secrets.secret_for(provider.name, attributes.project_id, boot_ms, tried)
            upstream = self._upstreams.to(provider)
            line = dialect.secret.value + secret.text
            target = upstream.target(route, dialect.root)
            known = upstream.prefixes.get((target, line))
            form = SURFACES[route.surface].form
            prefix = known or upstream.add_prefix(target, line, form=form)
        except Refused as refused:
            raise UnaimedError(refused.refusal, attributes) from None
        except BadAddressError as error:
            words = f"The provider {provider.name} cannot be used: {error}."
            refusal = Refusal(Reason.PROVIDER_NOT_CONFIGURED, words)
            raise UnaimedError(refusal, attributes) from None
        return upstream, prefix, secret


def _allowed(wish: Wish, dialect: Dialect) -> Wish:
    """The request, with a limit on searches that its client is granted, where it names none.

    Only OpenAI says that the parameter binds all tools that it runs.
    """
    project = wish.policy.project(wish.key.project_id)
    if (
        project is None
        or not project.hosted_calls
        or wish.route.surface is not Surface.RESPONSES
        or dialect.name != OPENAI
    ):
        return wish
    value, body = openai_tools.with_allowance(wish.value, wish.body, project.hosted_calls)
    return replace(wish, value=value, body=body)


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


Untaken = BadRequestError | UnpriceableError | BadJsonError | BadFormError
UNTAKEN = (BadRequestError, UnpriceableError, BadJsonError, BadFormError)


def refusal_of(
    error: Untaken, model: str, attributes: Attributes
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


async def read_body(body: bytes, head: RequestHead, row: Row) -> dict[str, Any]:
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
