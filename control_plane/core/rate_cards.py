"""What a client is charged for its calls, apart from what they cost.

    charge = ceil((cost - included) x (1,000,000 + markup ppm) / 1,000,000)
             + the fee for a call + the fee for a run of a workflow, with its first call

Rules:
1. Whole nano-dollars, rounded up once for each call. A call that cost nothing is charged nothing.
2. A card holds from an instant on and never changes; a later one replaces it. A call is charged by
   the one that held when it began, and names it. Without a card nothing is charged, which is not
   the same as a charge of nothing.
3. The allowance of a month (in the project's time zone) is provider cost, used up in the order in
   which the ledger books; fees are charged beside it.
4. When a call's cost is corrected, its charge follows by the same card.
Caps always count provider cost.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from control_plane import limits
from control_plane.core import fields

PPM: Final = 1_000_000
"""Parts of one."""


@dataclass(frozen=True, slots=True)
class RateCard:
    """What one project is charged, from an instant on."""

    project_id: str
    version: str
    """Made by the control plane; each charge names it."""
    valid_from_unix_ms: int
    """From when it holds."""
    markup_ppm: int = 0
    """What is added to the cost, in millionths of it; negative for a discount."""
    per_call_nano_usd: int = 0
    """A fee for each call that cost anything."""
    per_execution_nano_usd: int = 0
    """A fee for each run of a workflow that the caller named, with its first such call."""
    included_nano_usd: int = 0
    """Cost of each month that is paid for otherwise."""

    @property
    def order(self) -> tuple[int, str]:
        """Later cards are larger."""
        return self.valid_from_unix_ms, self.version


@dataclass(frozen=True, slots=True)
class Charged:
    """What a call is charged."""

    charge_nano_usd: int
    included_nano_usd: int = 0
    """What of its cost the month's allowance covers."""


def check_card(card: RateCard) -> RateCard:
    """A card that can be applied."""
    fields.check_between(
        card.markup_ppm, -PPM, limits.MARKUP_MAX_MILLIONTHS, "rate_card.markup_ppm"
    )
    most = limits.RECORD_NANO_USD_MAX
    fields.check_between(card.per_call_nano_usd, 0, most, "rate_card.per_call_nano_usd")
    fields.check_between(card.per_execution_nano_usd, 0, most, "rate_card.per_execution_nano_usd")
    fields.check_between(card.included_nano_usd, 0, most, "rate_card.included_nano_usd")
    return card


def card_at(cards: Iterable[RateCard], at_unix_ms: int) -> RateCard | None:
    """The card that holds at an instant; None when none does."""
    begun = [card for card in cards if card.valid_from_unix_ms <= at_unix_ms]
    return max(begun, key=lambda card: card.order, default=None)


def charge_of(
    card: RateCard, cost_nano_usd: int, *, left_nano_usd: int, begins_execution: bool
) -> Charged:
    """What a call is charged, when so much of the month's allowance is left for it."""
    assert cost_nano_usd >= 0
    if not cost_nano_usd:
        return Charged(0)
    included = min(cost_nano_usd, max(0, left_nano_usd))
    marked_up = -(-(cost_nano_usd - included) * (PPM + card.markup_ppm) // PPM)
    fees = card.per_call_nano_usd + (card.per_execution_nano_usd if begins_execution else 0)
    return Charged(marked_up + fees, included)
