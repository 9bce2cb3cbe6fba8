"""Re-rating on the wire."""

from control_plane.core import fields
from control_plane.core.rerating import Rerating, ReratingQuestion
from control_plane.rpc.wire.instants import instant_from_wire
from protos.bursar.admin import v1


def rerating_from_wire(message: v1.QueryReratingRequest) -> ReratingQuestion:
    """Which calls, and by which price. Refuses a question without both ends of time."""
    start_unix_ms = instant_from_wire(message, "start_time")
    end_unix_ms = instant_from_wire(message, "end_time")
    if start_unix_ms is None or end_unix_ms is None:
        missing = "start_time" if start_unix_ms is None else "end_time"
        raise fields.invalid(missing, "say of which time calls are meant")
    return ReratingQuestion(
        provider=message.provider,
        model=message.model,
        price_version=message.price_version,
        start_unix_ms=start_unix_ms,
        end_unix_ms=end_unix_ms,
        after_position=message.after_position,
    )


def rerating_to_wire(done: Rerating) -> v1.Rerating:
    """The corrections by project."""
    return v1.Rerating(
        projects=[
            v1.ReratedProject(
                project_id=one.project_id,
                call_count=one.call_count,
                before_nano_usd=one.before_nano_usd,
                after_nano_usd=one.after_nano_usd,
            )
            for one in done.projects()
        ],
        estimated_count=done.estimated_count,
        told_count=done.told_count,
        unpriceable_count=done.unpriceable_count,
        price_version=done.price_version,
        position=done.position,
        more=done.more,
    )
