"""What is done from time to time: windows that are over are closed, old counters dropped."""

from control_plane import limits
from control_plane.core.leases import PeriodKey
from control_plane.store import leases, periods, refusals
from control_plane.store.engine import Tx
from control_plane.usecases.levels import Levels


def keep_house(tx: Tx, levels: Levels, now_unix_ms: int) -> None:
    """Close and drop what is over."""
    periods.close_ended(tx, now_unix_ms)
    leases.close_settled(tx)
    tx.watermark.drop(periods.closed_among(tx, list(tx.watermark.state.marks)))
    tx.watermark.mend()
    refusals.drop_before(tx, now_unix_ms - limits.REFUSAL_LIFE_MS)
    levels.drop_periods(_unclosed(tx, levels))


def _unclosed(tx: Tx, levels: Levels) -> frozenset[PeriodKey]:
    """Of the periods that levels are kept for, those that money can still move in."""
    return frozenset(key for key in list(levels.by_period) if periods.is_unclosed(tx, key))
