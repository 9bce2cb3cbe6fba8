"""Writes what a step does to a lease and its period: both rows, the lump's, and the alarm."""

from control_plane.core.alarms import Alarm
from control_plane.core.evidence import Move
from control_plane.core.ledger import Charge
from control_plane.store import leases, ledger, periods, sidecars
from control_plane.store.engine import Tx

_OVERSHOT = (
    "calls spent more than their lease had left, because a copy of its journal spent it too or a "
    "person had released it: the budget may stand above its cap by this amount"
)


def carry_out(tx: Tx, move: Move, now_unix_ms: int) -> None:
    """Write a step. The period's row exists."""
    lease = move.lease
    leases.put(tx, lease)
    periods.move(
        tx,
        lease.key,
        allocated_nano_usd=move.allocated_nano_usd,
        spent_nano_usd=move.spent_nano_usd,
        orphan_hold_nano_usd=move.orphan_hold_nano_usd,
        overshoot_nano_usd=move.overshoot_nano_usd,
    )
    if move.lump_nano_usd:
        seq = sidecars.take_places_beside(tx, lease.holder, 1)
        charge = Charge(seq, lease.key, "ORPHAN", "", move.lump_nano_usd, estimated=True)
        ledger.insert_charges(tx, lease.holder, [charge], now_unix_ms)
    if move.overshoot_nano_usd:
        alarm = Alarm(
            kind="OVERSHOOT",
            holder=lease.holder,
            detail=_OVERSHOT,
            key=lease.key,
            amount_nano_usd=move.overshoot_nano_usd,
        )
        ledger.raise_alarm(tx, alarm, now_unix_ms)
