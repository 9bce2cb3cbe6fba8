"""A lease: three numbers that only grow, merged by maximum.

`granted` is written by the control plane, `returned` and `spent` by the sidecar that holds it.
Loss, repetition and reordering of messages therefore change nothing. No lease ends by time, and no
number falls but by an ADJUST record: money returns only on evidence.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

from protos.values.quick import quick


class PeriodKey(NamedTuple):
    """One window of one partition of a budget; a tuple, as each decision looks up hundreds."""

    budget_id: str
    partition: str
    """The value of the key or workflow the budget is split by; "" when it is not split."""
    period_id: str
    """The local start date of the window, or "once"."""


LeaseKey = PeriodKey
"""Among the leases of one sidecar epoch a lease is named by its period alone."""


class BudgetRef(NamedTuple):
    """A budget's partition, without a period."""

    budget_id: str
    partition: str

    def period(self, period_id: str) -> PeriodKey:
        """The period of that name."""
        return PeriodKey(self.budget_id, self.partition, period_id)


@quick
@dataclass(frozen=True, slots=True)
class Holder:
    """A life of a sidecar's journal: who holds a lease."""

    sidecar_id: str
    epoch: int


@quick
@dataclass(frozen=True, slots=True)
class Lease:
    """Money of one budget period, held by one epoch of one sidecar, as the ledger has it."""

    holder: Holder
    key: LeaseKey
    granted_nano_usd: int = 0
    """All that was ever granted."""
    returned_nano_usd: int = 0
    """All that was ever given back."""
    spent_nano_usd: int = 0
    """All that was settled and reported as records."""
    serial: int = 0
    """The period's grant serial at this lease's latest grant."""
    frozen_cap_version: int | None = None
    """The cap's version when a bill above its worst case was charged here: no new call on this
    lease until the cap is changed, because then a person has looked. None when nothing was."""
    state: str = "ACTIVE"
    """ACTIVE, ORPHANED (its journal is lost or not trusted) or CLOSED (nothing should move any
    more; late evidence opens it again)."""
    lump_nano_usd: int = 0
    """What is charged as a lump, estimated, because nobody knows what was spent of it."""
    released_nano_usd: int = 0
    """What a named person gave back to the budget, taking it for unspent."""
    orphaned_unix_ms: int = 0
    """Since when it is orphaned; 0 when it never was."""
    orphan_cause: str = ""
    """Why: lost, fenced, revoked, or restored (what an old database may have forgotten)."""

    @property
    def outstanding_nano_usd(self) -> int:
        """What the holder may still spend or has spent without telling."""
        return self.granted_nano_usd - self.returned_nano_usd - self.spent_nano_usd

    @property
    def orphaned(self) -> bool:
        """Whether its holder gets no money any more, and what it holds waits for evidence."""
        return self.state == "ORPHANED"

    @property
    def held_back_nano_usd(self) -> int:
        """What nobody decided about: of an orphan its part of the period's orphan_hold."""
        return self.outstanding_nano_usd - self.lump_nano_usd - self.released_nano_usd

    def frozen(self, cap_version: int) -> bool:
        """Whether no new call may use this lease under this version of the cap."""
        return self.frozen_cap_version is not None and self.frozen_cap_version >= cap_version

    def grant(self, amount_nano_usd: int, serial: int) -> "Lease":
        """The lease with more granted."""
        assert amount_nano_usd > 0
        assert serial >= self.serial
        return replace(
            self, granted_nano_usd=self.granted_nano_usd + amount_nano_usd, serial=serial
        )

    def merge(
        self, *, granted_nano_usd: int = 0, returned_nano_usd: int = 0, spent_nano_usd: int = 0
    ) -> "Lease":
        """The lease with each number at least as given."""
        return replace(
            self,
            granted_nano_usd=max(self.granted_nano_usd, granted_nano_usd),
            returned_nano_usd=max(self.returned_nano_usd, returned_nano_usd),
            spent_nano_usd=max(self.spent_nano_usd, spent_nano_usd),
        )
