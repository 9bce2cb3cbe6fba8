"""What a person must know at once."""

from dataclasses import dataclass

from control_plane.core.leases import Holder, PeriodKey

NO_PERIOD = PeriodKey("", "", "")
"""Stands for an alarm that concerns no budget period."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something that a person must know."""

    kind: str
    """OVERRUN, FENCED, JOURNAL_LOST, OVERSHOOT, OLD_DATABASE, BAD_RECORD, PRICE_DRIFT, UNPRICED."""
    holder: Holder
    detail: str
    """What happened, in a sentence."""
    key: PeriodKey = NO_PERIOD
    """The budget period that it concerns."""
    call_id: str = ""
    amount_nano_usd: int = 0
