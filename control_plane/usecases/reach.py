"""By when a change binds everywhere, whatever is cut off: announced, never used for money.

A cut-off sidecar goes by the policy that it has, in which budgets may be that are archived by now,
and others not yet. So budgets that ended a while ago count too, and a budget that has just begun to
cap keeps, as its offline_until, the time until which the budgets before it decide.
"""

from control_plane import limits
from control_plane.core import budgets as core
from control_plane.core.budgets import Budget, CapChange, CapReach, Reach, UnreachedSidecar
from control_plane.core.leases import Lease
from control_plane.core.sidecars import Sidecar
from control_plane.store import budgets, holdings, projects
from control_plane.store.engine import Tx
from protos.values.selectors import Selector


def last_call_unix_ms(tx: Tx, calls: Selector, now_unix_ms: int) -> int:
    """Until when calls of a class can still be started on authority that was given before."""
    return core.last_call_unix_ms(calls, _known(tx, now_unix_ms), now_unix_ms)


def of_project(tx: Tx, project_id: str, calls: Selector, version: int, now_unix_ms: int) -> Reach:
    """How far a change of policy has come that ends calls of a class."""
    concerned, acked = holdings.reach_of(tx, project_id, version)
    return Reach(
        policy_version=version,
        sidecar_count=concerned,
        acked_count=acked,
        guaranteed_unix_ms=last_call_unix_ms(tx, calls, now_unix_ms),
    )


def of_sidecar(tx: Tx, sidecar: Sidecar, version: int) -> Reach:
    """How far a sidecar's revocation has come: it is the only one that is concerned.

    Its authority counts from its revocation at the latest, for nothing renewed it since.
    """
    assert sidecar.revoked_unix_ms
    heard_unix_ms = sidecar.stopped_unix_ms
    if not sidecar.epoch:
        heard_unix_ms = sidecar.revoked_unix_ms  # It never had a policy, nor money.
    return Reach(
        policy_version=version,
        sidecar_count=1,
        acked_count=int(heard_unix_ms > 0),
        guaranteed_unix_ms=heard_unix_ms or _end_of(tx, sidecar, sidecar.revoked_unix_ms),
    )


def of_cap(tx: Tx, budget: Budget, change: CapChange) -> CapReach:
    """How far a decision about a cap has come, and until when the others go by what was before.

    A decision from before reach was noted counts as known everywhere.
    """
    live = 0
    unreached = []
    for sidecar in holdings.reachable(tx, budget.selector.project_id):
        if sidecar.policy_acked >= change.policy_version:
            live += 1
            continue
        # It may have renewed its authority when it was last heard, and never after that.
        heard_unix_ms = sidecar.last_seen_unix_ms
        end_unix_ms = core.authority_end_unix_ms(budget, heard_unix_ms) if heard_unix_ms else 0
        unreached.append(UnreachedSidecar(sidecar.display_name, heard_unix_ms, end_unix_ms))
    return CapReach(change.cap_version, live, live + len(unreached), tuple(unreached))


def authority_end_unix_ms(budget: Budget | None, lease: Lease, sidecar: Sidecar) -> int:
    """Until when a lease can start calls if its sidecar hears nothing more: an upper bound.

    A lease that is orphaned is not renewed after that.
    """
    heard_unix_ms = lease.orphaned_unix_ms or sidecar.last_seen_unix_ms
    longest_ms = limits.OFFLINE_MAX_MS
    if budget is None:
        end = core.later_by_authority(heard_unix_ms, longest_ms)
    else:
        end = core.authority_end_unix_ms(budget, heard_unix_ms)
    return min(end, sidecar.stopped_unix_ms) if sidecar.stopped_unix_ms else end


def _end_of(tx: Tx, sidecar: Sidecar, since_unix_ms: int) -> int:
    """Until when a sidecar can start any call on authority that it had at an instant."""
    known = _known(tx, since_unix_ms)
    agency = [budget for budget in known if not budget.selector.project_id]
    own: dict[str, list[Budget]] = {}
    for budget in known:
        if budget.selector.project_id:
            own.setdefault(budget.selector.project_id, list(agency)).append(budget)
    served = sidecar.project_ids or [each.project_id for each in projects.everything(tx)]
    ends = (
        core.last_call_unix_ms(
            Selector(project_id=project_id), own.get(project_id, agency), since_unix_ms
        )
        for project_id in served
    )
    return max(ends, default=since_unix_ms)


def _known(tx: Tx, now_unix_ms: int) -> list[Budget]:
    """The budgets that a policy may have which a cut-off sidecar still goes by."""
    longest_ms = core.later_by_authority(0, limits.OFFLINE_MAX_MS)
    return budgets.not_archived_before(tx, now_unix_ms - longest_ms)
