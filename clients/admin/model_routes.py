"""Routes of models: where calls go that ask for a name."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from clients.admin.instants import instant_or_none_from_wire
from clients.admin.limits import PAGE_ITEMS
from clients.admin.wire import Wire
from protos.bursar.admin import v1


@dataclass(frozen=True, slots=True)
class ModelTarget:
    """A model at a provider."""

    provider: str
    """The provider's name, such as "openai"."""
    model: str
    """The model as the provider is asked for it: its id, an alias of its price, or a deployment."""

    def __str__(self) -> str:
        return f"{self.provider}/{self.model}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRoute:
    """Where calls go that ask for a name. All targets speak one API."""

    project_id: str
    """The client that it is for; "" for all. A client's own stands above one for all."""
    name: str
    """The model that callers name."""
    targets: tuple[ModelTarget, ...]
    """Where calls go: to the first that can be used."""
    cheaper: ModelTarget | None = None
    """Where they go instead near a cap of their client; None for no such rule."""
    above_percent: int = 0
    """Above which part of a cap, in percent; 0 without a cheaper model."""
    update_time: datetime | None = None
    """When it was last changed."""
    etag: str = ""
    """Send it back on update."""


class ModelRoutes:
    """Sets and lists routes."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._stub = v1.ModelRouteServiceStub(wire.channel)

    def set(
        self,
        name: str,
        targets: Sequence[ModelTarget],
        *,
        project_id: str = "",
        cheaper: ModelTarget | None = None,
        above_percent: int = 0,
        etag: str = "",
        request_id: str = "",
    ) -> ModelRoute:
        """Make a route or replace it; `etag` is required when it exists."""
        request = v1.SetModelRouteRequest(
            request_id=request_id or self._wire.request_id(),
            route=v1.ModelRoute(
                project_id=project_id,
                name=name,
                targets=map(_target_to_wire, targets),
                cheaper=_target_to_wire(cheaper) if cheaper else None,
                above_percent=above_percent,
                etag=etag,
            ),
        )
        return model_route_from_wire(self._wire.ask(self._stub.SetModelRoute, request))

    def list(self, project_id: str = "") -> Iterator[ModelRoute]:
        """Yield routes by name, those for all first; of one client with those for all."""

        def fetch(token: str) -> v1.ListModelRoutesResponse:
            request = v1.ListModelRoutesRequest(
                page_size=PAGE_ITEMS, page_token=token, project_id=project_id
            )
            return self._wire.ask(self._stub.ListModelRoutes, request)

        return self._wire.pages(fetch, lambda page: map(model_route_from_wire, page.routes))

    def delete(self, route: ModelRoute, *, request_id: str = "") -> None:
        """Take a route away; its name means what the price book says from then on."""
        request = v1.DeleteModelRouteRequest(
            request_id=request_id or self._wire.request_id(),
            project_id=route.project_id,
            name=route.name,
            etag=route.etag,
        )
        self._wire.ask(self._stub.DeleteModelRoute, request)


def model_route_from_wire(wire: v1.ModelRoute) -> ModelRoute:
    """Read a route."""
    return ModelRoute(
        project_id=wire.project_id,
        name=wire.name,
        targets=tuple(map(_target_from_wire, wire.targets)),
        cheaper=_target_from_wire(wire.cheaper) if wire.HasField("cheaper") else None,
        above_percent=wire.above_percent,
        update_time=instant_or_none_from_wire(wire.update_time),
        etag=wire.etag,
    )


def _target_to_wire(target: ModelTarget) -> v1.ModelTarget:
    return v1.ModelTarget(provider=target.provider, model=target.model)


def _target_from_wire(wire: v1.ModelTarget) -> ModelTarget:
    return ModelTarget(wire.provider, wire.model)
