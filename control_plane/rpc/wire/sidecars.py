"""Sidecars and leases, seen from the desk, on the wire."""

from control_plane import limits
from control_plane.core.joining import NewJoinToken
from control_plane.core.log import LeaseView, SidecarView
from control_plane.rpc.wire.instants import (
    duration_from_wire,
    instant_or_none_to_wire,
    instant_to_wire,
)
from protos.bursar.admin import v1


def sidecar_to_wire(sidecar: SidecarView, now_unix_ms: int) -> v1.Sidecar:
    """A sidecar."""
    return v1.Sidecar(
        sidecar_id=sidecar.sidecar_id,
        display_name=sidecar.display_name,
        region=sidecar.region,
        project_ids=sidecar.project_ids,
        software_version=sidecar.software_version,
        epoch=sidecar.epoch,
        create_time=instant_to_wire(sidecar.created_unix_ms),
        last_seen_time=instant_or_none_to_wire(sidecar.last_seen_unix_ms or None),
        state=sidecar.state_at(now_unix_ms),
        policy_acked=sidecar.policy_acked,
        policy_refused=sidecar.policy_refused,
        leased_nano_usd=sidecar.leased_nano_usd,
        open_calls=sidecar.open_calls,
        revoke_time=instant_or_none_to_wire(sidecar.revoked_unix_ms or None),
    )


def lease_to_wire(view: LeaseView) -> v1.Lease:
    """A lease that holds money."""
    lease = view.lease
    return v1.Lease(
        sidecar_id=lease.holder.sidecar_id,
        epoch=lease.holder.epoch,
        budget_id=lease.key.budget_id,
        partition=lease.key.partition,
        period_id=lease.key.period_id,
        granted_nano_usd=lease.granted_nano_usd,
        returned_nano_usd=lease.returned_nano_usd,
        spent_nano_usd=lease.spent_nano_usd,
        held_nano_usd=view.held_nano_usd,
        state=lease.state,
    )


def new_join_token_from_wire(request: v1.CreateJoinTokenRequest) -> NewJoinToken:
    """A join token that is asked for."""
    lifetime_ms = duration_from_wire(request, "lifetime")
    return NewJoinToken(
        project_ids=tuple(request.project_ids),
        region=request.region,
        lifetime_ms=limits.JOIN_TOKEN_LIFE_DEFAULT_MS if lifetime_ms is None else lifetime_ms,
    )
