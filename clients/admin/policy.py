"""How far a change of policy has come."""

from dataclasses import dataclass
from datetime import datetime

from clients.admin.instants import instant_or_none_from_wire
from protos.bursar.admin import v1


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """By when a change binds every sidecar."""

    policy_version: int
    """The policy version that carries the change."""
    sidecar_count: int
    """Sidecars that it concerns."""
    acked_count: int
    """Sidecars that have said that they apply it."""
    guaranteed_time: datetime | None
    """After this instant no sidecar starts a call against it, reachable or not."""


def reach_from_wire(wire: v1.Reach) -> Reach:
    """Read how far a change has come."""
    return Reach(
        policy_version=wire.policy_version,
        sidecar_count=wire.sidecar_count,
        acked_count=wire.acked_count,
        guaranteed_time=instant_or_none_from_wire(wire.guaranteed_time),
    )
