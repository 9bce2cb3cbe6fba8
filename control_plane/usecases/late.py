"""Bounds the evidence of a journal whose time is over: lost, fenced, or of a revoked sidecar.

What it takes from its leases is booked however much comes: that money is set aside for it, and no
more than it. Beside that a journal can only tell of calls that no cap counts, for which a sidecar
has a few minutes when it is cut off, and of what nobody gave it. Of these so many are booked as an
honest one can ever have; then they are counted, with an alarm. So whoever stole a credential fills
no disk for ever, and no cap feels what is dropped.
"""

from collections.abc import Sequence

from control_plane import limits
from control_plane.core.alarms import Alarm
from control_plane.core.calls import Line, Return, Settle
from control_plane.core.leases import Holder, PeriodKey
from control_plane.core.sidecars import Cursor, Sidecar
from control_plane.store import leases, ledger, sidecars
from control_plane.store.engine import Tx

_DROPPED = (
    f"it told more than {limits.LATE_RECORDS_MAX} records that take nothing from its leases after "
    "its time was over: what comes now of that kind is counted and not booked; take its credential "
    "off the host"
)


def within_bounds(
    tx: Tx,
    holder: Holder,
    sidecar: Sidecar,
    cursor: Cursor,
    records: Sequence[Line],
    now_unix_ms: int,
) -> Sequence[Line]:
    """Those of some records that are booked; the others are counted."""
    lives = holder.epoch == sidecar.epoch and sidecar.state != "FENCED"
    if lives and not sidecar.revoked_unix_ms:
        return records
    left = _Left(tx, holder)
    room = max(0, limits.LATE_RECORDS_MAX - cursor.late_count)
    booked: list[Line] = []
    late_count = 0
    for record in records:
        if not left.takes(record):
            late_count += 1
            if late_count > room:
                continue
        booked.append(record)
    if late_count:
        dropped_count = len(records) - len(booked)
        sidecars.count_late(tx, holder, late_count - dropped_count, dropped_count)
        if dropped_count and not cursor.dropped_count:
            ledger.raise_alarm(tx, Alarm("FENCED", holder, _DROPPED), now_unix_ms)
    return booked


def within_leases(tx: Tx, holder: Holder, records: Sequence[Line]) -> tuple[Line, ...]:
    """Those of some records that spend what the leases have, or give it back: never dropped."""
    left = _Left(tx, holder)
    return tuple(record for record in records if left.takes(record))


class _Left:
    """What the leases of a holder have left, each read once."""

    def __init__(self, tx: Tx, holder: Holder) -> None:
        self._tx = tx
        self._holder = holder
        self._left_nano_usd: dict[PeriodKey, int] = {}

    def takes(self, record: Line) -> bool:
        """Whether a record spends what a lease has, or gives it back; what it spends is gone."""
        match record:
            case Return():
                return self._of(record.lease) > 0
            case Settle():
                taken = [key for key in record.call.vector if self._of(key) > 0]
                for key in taken:
                    self._left_nano_usd[key] -= record.amount_nano_usd
                return bool(taken) and record.amount_nano_usd > 0
            case _:
                return False

    def _of(self, key: PeriodKey) -> int:
        if key not in self._left_nano_usd:
            lease = leases.get(self._tx, self._holder, key)
            self._left_nano_usd[key] = lease.outstanding_nano_usd if lease else 0
        return self._left_nano_usd[key]
