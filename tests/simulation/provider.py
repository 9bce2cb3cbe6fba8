"""The outside truth: what a provider was asked and what it billed, whoever lived to see it."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sidecar.core.leases import AccountKey, LeaseKey

if TYPE_CHECKING:
    from tests.simulation.disk import JournalCopy
    from tests.simulation.host import Life


@dataclass(slots=True)
class Billing:
    """One attempt that reached the provider."""

    call_id: str
    worst_nano_usd: int
    vector: tuple[LeaseKey, ...]
    """The capped budget periods that it was opened on."""
    counted: tuple[AccountKey, ...]
    """The budgets that only count it."""
    life: "Life"
    """The process that sent it."""
    journal: "JournalCopy"
    """Where its OPEN is."""
    sent_ms: int
    billed_nano_usd: int | None = None
    """What it cost; None while it is under way."""
    seen: bool = False
    """The process lived to see the usage and settled it."""
    settled_seq: int = 0
    """The number of the record of its end, or of one beside it; 0 when its process wrote none."""
    guessed: bool = False
    """The process lived, and had to settle at the worst case."""

    @property
    def within_nano_usd(self) -> int:
        """Of the bill, what was held for it; all of what is held while it is under way."""
        if self.billed_nano_usd is None:
            return self.worst_nano_usd
        return min(self.billed_nano_usd, self.worst_nano_usd)

    @property
    def excess_nano_usd(self) -> int:
        """What was billed above the worst case."""
        return max(0, (self.billed_nano_usd or 0) - self.worst_nano_usd)


@dataclass(slots=True)
class Provider:
    """Everything that was ever billed."""

    calls: dict[str, Billing] = field(default_factory=dict)
    truth: dict[LeaseKey, int] = field(default_factory=dict)
    """By budget period: what was billed, overruns taken off, and the worst cases under way."""

    def take(self, billing: Billing) -> None:
        """The first byte of a call arrives."""
        assert billing.call_id not in self.calls
        self.calls[billing.call_id] = billing
        for key in billing.vector:
            self.truth[key] = self.truth.get(key, 0) + billing.worst_nano_usd

    def bill(self, billing: Billing, amount_nano_usd: int) -> None:
        """The call ends, at this price."""
        assert billing.billed_nano_usd is None
        billing.billed_nano_usd = amount_nano_usd
        for key in billing.vector:
            self.truth[key] += billing.within_nano_usd - billing.worst_nano_usd

    def billed_nano_usd(self, key: LeaseKey) -> int:
        """What a budget period truly cost, overruns and all."""
        found = (call for call in self.calls.values() if key in call.vector)
        return sum(call.billed_nano_usd or 0 for call in found)
