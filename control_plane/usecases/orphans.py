"""Leases whose journal was lost: their money stays allocated until there is evidence."""

from dataclasses import replace

from control_plane.core.alarms import Alarm
from control_plane.core.leases import Holder
from control_plane.core.sidecars import Sidecar
from control_plane.store import leases, ledger, periods
from control_plane.store.engine import Tx


def orphan_leases(tx: Tx, sidecar: Sidecar, new_epoch: int, now_unix_ms: int) -> int:
    """Orphan the leases of all epochs before a new one; what may have been spent with them."""
    total = 0
    for lease in leases.active_before(tx, Holder(sidecar.sidecar_id, new_epoch)):
        held = lease.outstanding_nano_usd
        total += held
        leases.put(tx, replace(lease, state="ORPHANED"))
        if held:
            periods.move(tx, lease.key, orphan_hold_nano_usd=held)
    if total:
        ledger.raise_alarm(
            tx,
            Alarm(
                kind="JOURNAL_LOST",
                holder=Holder(sidecar.sidecar_id, new_epoch - 1),
                detail="a sidecar lost its journal: what it held stays out of the budgets until "
                "the journal turns up or their windows end",
                amount_nano_usd=total,
            ),
            now_unix_ms,
        )
    return total
