"""Sidecars and leases, seen from the desk, on the wire."""

from control_plane import limits
from control_plane.core.joining import NewJoinToken
from control_plane.core.log import Decided, LeaseView, OrphanFilter, OrphanView, SidecarView
from control_plane.rpc.wire.budgets import reach_to_wire
from control_plane.rpc.wire.instants import (
    duration_from_wire,
    instant_or_none_to_wire,
    instant_to_wire,
)
from control_plane.usecases.sidecars import Revoked
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
        orphaned_nano_usd=sidecar.orphaned_nano_usd,
        stop_time=instant_or_none_to_wire(sidecar.stopped_unix_ms or None),
        fenced_why=sidecar.fenced_why,
    )


def revoked_to_wire(revoked: Revoked, now_unix_ms: int) -> v1.RevokeSidecarResponse:
    """A revoked sidecar, and by when it can start no call."""
    return v1.RevokeSidecarResponse(
        sidecar=sidecar_to_wire(revoked.sidecar, now_unix_ms),
        reach=reach_to_wire(revoked.reach),
        orphaned_nano_usd=revoked.orphaned_nano_usd,
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
        authority_end_time=instant_or_none_to_wire(view.authority_end_unix_ms),
        lump_nano_usd=lease.lump_nano_usd,
        released_nano_usd=lease.released_nano_usd,
        orphan_time=instant_or_none_to_wire(lease.orphaned_unix_ms or None),
        orphan_cause=lease.orphan_cause,
    )


def orphan_to_wire(orphan: OrphanView) -> v1.Orphan:
    """A lease whose journal is lost or not trusted any more."""
    return v1.Orphan(
        lease=lease_to_wire(orphan.view),
        held_back_nano_usd=orphan.view.lease.held_back_nano_usd,
        overshoot_max_nano_usd=orphan.overshoot_max_nano_usd,
        sidecar_name=orphan.sidecar_name,
        budget_name=orphan.budget_name,
        period_end_time=instant_or_none_to_wire(orphan.period_end_unix_ms),
    )


def chosen_from_wire(request: v1.ChargeOrphansRequest | v1.ReleaseOrphansRequest) -> OrphanFilter:
    """The orphans that a person decides about."""
    return OrphanFilter(request.sidecar_id, request.budget_id, request.period_id)


def decided_to_wire(decided: Decided) -> v1.DecideOrphansResponse:
    """What was decided."""
    return v1.DecideOrphansResponse(
        orphans=map(orphan_to_wire, decided.orphans),
        decided_nano_usd=decided.decided_nano_usd,
        overshoot_max_nano_usd=decided.overshoot_max_nano_usd,
        remaining_count=decided.remaining_count,
        remaining_nano_usd=decided.remaining_nano_usd,
    )


def new_join_token_from_wire(request: v1.CreateJoinTokenRequest) -> NewJoinToken:
    """A join token that is asked for."""
    lifetime_ms = duration_from_wire(request, "lifetime")
    return NewJoinToken(
        project_ids=tuple(request.project_ids),
        region=request.region,
        lifetime_ms=limits.JOIN_TOKEN_LIFE_DEFAULT_MS if lifetime_ms is None else lifetime_ms,
    )
