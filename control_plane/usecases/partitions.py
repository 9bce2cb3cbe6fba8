"""Keeps the partitions of a split budget within bounds, whatever evidence names.

Evidence is never refused, and a label is whatever a caller or a forger makes up. So each window of
a budget takes so many partitions by evidence alone, beside those that it makes for grants; what
evidence says of any further one is booked in one partition for all of them. No sum of the budget
and no call's charge is lost by it, and no partition that may be granted money finds no room.
"""

from dataclasses import replace

from control_plane import limits
from control_plane.core.calls import Adjust, Line, Overrun, Return, Settle, Void
from control_plane.core.leases import PeriodKey
from control_plane.store import periods
from control_plane.store.engine import Tx

OTHERS = "*"
"""The partition of all that found no room. No label and no id is written so."""


class Partitions:
    """Finds where evidence is booked, within one transaction."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx
        self._rooms: dict[tuple[str, str], int] = {}
        self._known: set[PeriodKey] = set()

    def of(self, key: PeriodKey) -> PeriodKey:
        """The period itself, or the one of all partitions that find no room."""
        if key.partition in ("", OTHERS) or key in self._known:
            return key
        if not periods.exists(self._tx, key):
            window = key.budget_id, key.period_id
            if window not in self._rooms:
                taken = periods.count_adopted(self._tx, *window)
                self._rooms[window] = limits.ADOPTED_PARTITIONS_MAX - taken
            if self._rooms[window] <= 0:
                return key._replace(partition=OTHERS)
            self._rooms[window] -= 1
        self._known.add(key)
        return key

    def place(self, record: Line) -> Line:
        """A record that names only periods that there are, or may be."""
        match record:
            case Settle() | Void():
                vector = self._all(record.call.vector)
                if vector == record.call.vector:
                    return record
                return replace(record, call=replace(record.call, vector=vector))
            case Return():
                return replace(record, lease=self.of(record.lease))
            case Adjust() | Overrun():
                return replace(record, vector=self._all(record.vector))
            case _:
                return record

    def _all(self, vector: tuple[PeriodKey, ...]) -> tuple[PeriodKey, ...]:
        return tuple(dict.fromkeys(map(self.of, vector)))
