"""Routes of models on the wire."""

from control_plane.core.model_routes import ModelRoute, Target
from control_plane.rpc.wire.instants import instant_to_wire
from protos.bursar.admin import v1


def model_route_to_wire(route: ModelRoute) -> v1.ModelRoute:
    """A route."""
    return v1.ModelRoute(
        project_id=route.project_id,
        name=route.name,
        targets=map(_target_to_wire, route.targets),
        cheaper=_target_to_wire(route.cheaper) if route.cheaper else None,
        above_percent=route.above_percent,
        update_time=instant_to_wire(route.updated_unix_ms),
        etag=route.etag,
    )


def model_route_from_wire(route: v1.ModelRoute) -> ModelRoute:
    """A route as it is to be."""
    return ModelRoute(
        project_id=route.project_id,
        name=route.name,
        targets=tuple(map(_target_from_wire, route.targets)),
        cheaper=_target_from_wire(route.cheaper) if route.HasField("cheaper") else None,
        above_percent=route.above_percent,
    )


def _target_to_wire(target: Target) -> v1.ModelTarget:
    return v1.ModelTarget(provider=target.provider, model=target.model)


def _target_from_wire(target: v1.ModelTarget) -> Target:
    return Target(target.provider, target.model)
