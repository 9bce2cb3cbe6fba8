"""Where calls go that ask for a name: an alias of the agency's own, or a model sent elsewhere.

Sidecars pass requests on as they are and translate nothing. So all targets of a route speak one
API, and all write answers or none does; whatever else is refused when the route is set.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from control_plane import limits
from control_plane.core import fields
from control_plane.core.prices import Price
from control_plane.core.providers import Provider

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
    updated_unix_ms: int = 0
    version: int = 0
    """Rises with every change, over all routes."""

    @property
    def etag(self) -> str:
        """What an update must send back."""
        return fields.etag_of(self.version)


def check_route(
    route: ModelRoute, providers: Iterable[Provider], prices: Iterable[Price]
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
    writes = _writers(prices)
    first = route.targets[0]
    for target in route.targets:
        provider = known.get(target.provider)
        if provider is None:
            raise fields.invalid("route.targets", f"there is no provider {target.provider!r}")
        model = provider.deployments.get(target.model, target.model)
        if (target.provider, model) not in writes:
            raise fields.invalid(
                "route.targets", f"there is no price for {target}: set its price first"
            )
        if not _is_name(target.model):
            raise fields.invalid("route.targets", f"{target} cannot stand in the path of a call")
        _check_alike(target, first, known, writes)
    return route


def _is_name(text: str) -> bool:
    short = len(text) <= limits.MODEL_CHARACTERS_MAX
    return short and ".." not in text and _NAME.match(text) is not None


def _writers(prices: Iterable[Price]) -> dict[tuple[str, str], bool]:
    """Whether each model writes an answer, by its provider and each of its names."""
    return {
        (price.model_price.provider, name): bool(price.model_price.output_max)
        for price in prices
        for name in (price.model_price.model, *price.model_price.aliases)
    }


def _check_alike(
    target: Target,
    first: Target,
    known: Mapping[str, Provider],
    writes: Mapping[tuple[str, str], bool],
) -> None:
    """Refuse a target that cannot take what another one of the same route takes."""
    provider, leader = known[target.provider], known[first.provider]
    if provider.family != leader.family:
        raise fields.invalid(
            "route.targets",
            f"{target} speaks the API of {provider.family} and {first} that of {leader.family}: "
            "calls are passed on as they are, not translated. Name targets of one API",
        )

    def writes_text(one: Target, at: Provider) -> bool:
        return writes[one.provider, at.deployments.get(one.model, one.model)]

    if writes_text(target, provider) != writes_text(first, leader):
        raise fields.invalid(
            "route.targets",
            f"{target} and {first} are not alike: one writes an answer, the other does not",
        )
