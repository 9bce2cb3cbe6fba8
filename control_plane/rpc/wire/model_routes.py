"""Routes of models on the wire."""

from control_plane.core.model_routes import ModelRoute, Target
from control_plane.rpc.wire.instants import instant_to_wire
from protos.bursar.admin import v1


def model_route_to_wire(route: ModelRoute) -> v1.ModelRoute:
    """A route."""
    return v1.ModelRoute(
        project_id=route.project_id,
        name=route.name,
        targets=[v1.ModelTarget(provider=one.provider, model=one.model) for one in route.targets],
        update_time=instant_to_wire(route.updated_unix_ms),
        etag=route.etag,
    )


def model_route_from_wire(route: v1.ModelRoute) -> ModelRoute:
    """A route as it is to be."""
    return ModelRoute(
        project_id=route.project_id,
        name=route.name,
        targets=tuple(Target(one.provider, one.model) for one in route.targets),
    )
