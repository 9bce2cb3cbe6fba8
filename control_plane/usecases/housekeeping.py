"""What is done from time to time: what is over is closed, old counters are dropped.

A window that is over takes no grants. What lost journals hold of it is charged then, and when
nothing is outstanding any more it is closed; evidence that comes later opens it again. A project
whose zone changed has its days summed anew, one project at a time.
"""

from control_plane import limits
from control_plane.core.leases import PeriodKey
from control_plane.store import leases, outbox, periods, refusals, rollups, spans, watching
from control_plane.store.engine import Tx
from control_plane.usecases import orphans, sessions
from control_plane.usecases.levels import Levels


def keep_house(tx: Tx, levels: Levels, now_unix_ms: int) -> None:
    """Close and drop what is over."""
    periods.end(tx, now_unix_ms)
    orphans.charge_ended(tx, now_unix_ms)
    periods.close_settled(tx)
    leases.close_settled(tx)
    tx.watermark.drop(periods.closed_among(tx, list(tx.watermark.state.marks)))
    tx.watermark.mend()
    refusals.drop_before(tx, now_unix_ms - limits.REFUSAL_LIFE_MS)
    sessions.drop_over(tx, now_unix_ms)
    watching.forget_spent(tx, now_unix_ms - limits.PACE_KEPT_MS)
    outbox.drop_before(tx, now_unix_ms - limits.DELIVERY_KEPT_MS, limits.DROPPED_DELIVERIES_MAX)
    levels.drop_periods(_unclosed(tx, levels))
    due = rollups.without_days(tx)
    if due is not None:
        rollups.make_days(tx, *due)
    spans.make_some(tx)


def _unclosed(tx: Tx, levels: Levels) -> frozenset[PeriodKey]:
    """Of the periods that levels are kept for, those that money can still move in."""
    return frozenset(key for key in list(levels.by_period) if periods.is_unclosed(tx, key))
