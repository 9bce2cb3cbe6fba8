"""Where calls go that ask for a name: an alias of the agency's own, or a model sent elsewhere.

Sidecars pass requests on as they are and translate nothing. So all targets of a route speak one
API, and all write answers or none does; whatever else is refused when the route is set.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from control_plane import limits
from control_plane.core import fields
from control_plane.core.prices import Price, in_force
from control_plane.core.providers import Provider
from protos.values.rates import ModelPrice

_NAME = re.compile(r"[A-Za-z0-9._~:@-]+(?:/[A-Za-z0-9._~:@-]+)*\Z")
"""What may stand in the path of a call, where some APIs have the model."""


@dataclass(frozen=True, slots=True)
class Target:
    """A model at a provider."""

    provider: str
    model: str
    """As the provider is asked for it: an id, an alias of a price, or a deployment."""

    def __str__(self) -> str:
        return f"{self.provider}/{self.model}"


@dataclass(frozen=True, slots=True)
class ModelRoute:
    """Where calls go that ask for a name."""

    project_id: str
    """The client that it is for; empty for all. A client's own stands above one for all."""
    name: str
    """The model that callers name."""
    targets: tuple[Target, ...]
    """Where calls go: to the first that can be used."""
    cheaper: Target | None = None
    """Where they go instead near a cap of their client; None for no such rule."""
    above_percent: int = 0
    """Above which part of a cap; 0 without a cheaper model."""
    updated_unix_ms: int = 0
    version: int = 0
    """Rises with every change, over all routes."""

    @property
    def etag(self) -> str:
        """What an update must send back."""
        return fields.etag_of(self.version)


def check_route(
    route: ModelRoute, providers: Iterable[Provider], prices: Iterable[Price], now_unix_ms: int
) -> ModelRoute:
    """A route whose targets can all be asked in the same words. Refuses any other."""
    if not _is_name(route.name):
        raise fields.invalid(
            "route.name",
            f"1 to {limits.MODEL_CHARACTERS_MAX} letters, digits and . _ ~ : @ -, with single /",
        )
    if not 1 <= len(route.targets) <= limits.ROUTE_TARGETS_MAX:
        raise fields.invalid("route.targets", f"1 to {limits.ROUTE_TARGETS_MAX} targets")
    if len(set(route.targets)) != len(route.targets):
        raise fields.invalid("route.targets", "a target stands there twice")
    known = {provider.provider: provider for provider in providers}
    current = _current(prices, now_unix_ms)
    first = route.targets[0]
    for target in (*route.targets, *((route.cheaper,) if route.cheaper else ())):
        provider = known.get(target.provider)
        if provider is None:
            raise fields.invalid("route.targets", f"there is no provider {target.provider!r}")
        model = provider.deployments.get(target.model, target.model)
        if (target.provider, model) not in current:
            raise fields.invalid(
                "route.targets", f"there is no price for {target}: set its price first"
            )
        if not _is_name(target.model):
            raise fields.invalid("route.targets", f"{target} cannot stand in the path of a call")
        _check_alike(target, first, known, current)
    _check_cheaper(route, known, current)
    return route


def _is_name(text: str) -> bool:
    short = len(text) <= limits.MODEL_CHARACTERS_MAX
    return short and ".." not in text and _NAME.match(text) is not None


_Current = Mapping[tuple[str, str], ModelPrice]
"""The price of each model that is in force, or the first to come, by provider and name."""


def _current(prices: Iterable[Price], now_unix_ms: int) -> _Current:
    known = list(prices)
    return {
        (price.model_price.provider, name): price.model_price
        for price in (*reversed(known), *in_force(known, now_unix_ms).values())
        for name in (price.model_price.model, *price.model_price.aliases)
    }


def _price_of(target: Target, known: Mapping[str, Provider], current: _Current) -> ModelPrice:
    deployments = known[target.provider].deployments
    return current[target.provider, deployments.get(target.model, target.model)]


def _check_alike(
    target: Target, first: Target, known: Mapping[str, Provider], current: _Current
) -> None:
    """Refuse a target that cannot take what another one of the same route takes."""
    family, leader = known[target.provider].family, known[first.provider].family
    if family != leader:
        raise fields.invalid(
            "route.targets",
            f"{target} speaks the API of {family} and {first} that of {leader}: "
            "calls are passed on as they are, not translated. Name targets of one API",
        )
    writes = [bool(_price_of(one, known, current).output_max) for one in (target, first)]
    if writes[0] != writes[1]:
        raise fields.invalid(
            "route.targets",
            f"{target} and {first} are not alike: one writes an answer, the other does not",
        )


def _check_cheaper(route: ModelRoute, known: Mapping[str, Provider], current: _Current) -> None:
    """Refuse a rule that would save nothing."""
    if route.cheaper is None:
        if route.above_percent:
            raise fields.invalid("route.cheaper", "name the cheaper model, too")
        return
    fields.check_between(route.above_percent, 1, 99, "route.above_percent")
    first = route.targets[0]
    usual, cheap = (
        _price_of(one, known, current).tiers[0].rates_pico_usd for one in (first, route.cheaper)
    )
    if all(cheap[kind] >= usual[kind] for kind in usual.keys() & cheap.keys()):
        raise fields.invalid("route.cheaper", f"{route.cheaper} is not cheaper than {first}")
