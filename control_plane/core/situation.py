"""What a decision about money looks at, and what it decides: values only.

Levels and demands are soft state: what sidecars said last. They may be old, missing or wrong, and
no decision that rests on them can break a cap, because each grant is checked again where it is
booked.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from operator import attrgetter

from control_plane.core.leases import BudgetRef, Lease, PeriodKey
from protos.values.quick import quick


@quick
@dataclass(frozen=True, slots=True)
class PeriodState:
    """One window of one partition of a budget, as the ledger has it."""

    key: PeriodKey
    start_unix_ms: int
    """Its first instant."""
    end_unix_ms: int | None
    """The first instant after it; None for a single window."""
    cap_nano_usd: int | None
    """The cap in force; None for a budget that only counts."""
    cap_version: int
    """Rises with every change of the cap."""
    allocated_nano_usd: int
    """What leases hold or have spent, plus overruns and counted charges."""
    spent_nano_usd: int
    """What the ledger has booked."""
    orphan_hold_nano_usd: int
    """What lost journals may have spent without telling."""
    serial: int
    """Rises with every grant."""
    open: bool
    """Whether money may be granted."""
    granted_total_nano_usd: int = 0
    """All that was ever granted."""
    unclaimed_nano_usd: int = 0
    """Grants that may exist beyond that since this database was restored, which nobody showed."""

    @property
    def headroom_nano_usd(self) -> int:
        """What may be granted; negative when the cap was lowered below what is allocated."""
        return 0 if self.cap_nano_usd is None else self.cap_nano_usd - self.allocated_nano_usd

    @property
    def unspent_nano_usd(self) -> int:
        """What calls can still be paid from; it falls while the cap stays, save by corrections."""
        if self.cap_nano_usd is None:
            return 0
        return max(0, self.cap_nano_usd - self.spent_nano_usd - self.orphan_hold_nano_usd)

    def running(self, now_unix_ms: int) -> bool:
        """Whether the window covers this instant and takes grants."""
        begun = self.start_unix_ms <= now_unix_ms
        return self.open and begun and (self.end_unix_ms is None or now_unix_ms < self.end_unix_ms)


@quick
@dataclass(frozen=True, slots=True)
class Level:
    """What a sidecar said last of one of its leases."""

    granted_seen_nano_usd: int
    """The largest granted amount that is in its journal."""
    available_nano_usd: int
    """What its new calls could hold."""
    held_nano_usd: int
    """What its open calls hold."""
    open_calls: int
    """Calls that hold money of the lease."""
    want_nano_usd: int
    """What it would like to have available; 0 when idle."""
    median_worst_nano_usd: int
    """The median worst case of its recent calls."""
    smallest_worst_nano_usd: int
    """The smallest worst case of its recent calls; 0 when there were none."""
    used_unix_ms: int
    """When a call was last opened on the lease."""
    reported_unix_ms: int
    """When the sidecar said so."""


@quick
@dataclass(frozen=True, slots=True)
class Demand:
    """A call that waits for money. It owns nothing but its place in the queue."""

    since_unix_ms: int
    """Since when it waits: receive time less age, the smallest value ever computed."""
    call_id: str
    sidecar_id: str
    """Where it waits."""
    worst_nano_usd: int
    """What it must hold from every budget."""
    budgets: tuple[BudgetRef, ...]
    """Every capped budget that it matches, by rising id."""
    patience_ms: int
    """How long it waits in all."""
    gives_up_unix_ms: int = 2**63 - 1
    """When its patience ends, by what its sidecar said last: a clock that jumps ends none."""


by_order = attrgetter("since_unix_ms", "call_id")
"""The place of a waiting call: the same at every decision, whoever asks."""


@dataclass(frozen=True, slots=True)
class Reservation:
    """Headroom of one period that is kept for the oldest waiting call, or a pause after one."""

    call_id: str
    """For which call; "" in a pause."""
    since_unix_ms: int
    """When it began."""
    last_unix_ms: int
    """When it was last renewed."""
    pause_until_unix_ms: int = 0
    """No new one before."""


@dataclass(frozen=True, slots=True)
class Recall:
    """A request to give money back, on its way to a sidecar."""

    sidecar_id: str
    key: PeriodKey
    keep_nano_usd: int
    """What may stay available."""
    amount_nano_usd: int
    """What is expected back."""


@quick
@dataclass(frozen=True, slots=True)
class Situation:
    """All that one decision looks at."""

    asker: str
    """The sidecar whose Sync is answered."""
    now_unix_ms: int
    periods: Mapping[PeriodKey, PeriodState]
    """Every capped period that a lease or a live demand names."""
    current: Mapping[BudgetRef, PeriodKey]
    """The period in which a budget's demands are met now."""
    leases: Mapping[PeriodKey, Mapping[str, Lease]]
    """Active leases of living epochs, by sidecar."""
    levels: Mapping[PeriodKey, Mapping[str, Level]]
    """What sidecars said last, by sidecar."""
    demands: tuple[Demand, ...]
    """All live demands of all sidecars."""
    silent: frozenset[str] = frozenset()
    """Sidecars that have not spoken for long."""
    reservations: Mapping[PeriodKey, Reservation] = field(default_factory=dict)
    pending: Mapping[tuple[str, PeriodKey], int] = field(default_factory=dict)
    """Recalls that are on their way, in nano-dollars expected back."""
    unanswered: frozenset[tuple[str, PeriodKey]] = frozenset()
    """Recalls that nobody answered in time: whoever holds that money may be gone."""
    answered: frozenset[str] = frozenset()
    """Calls that the latest answer to their sidecar named or made it refuse: nobody need wake it
    for them, as it asks again by itself when that answer is lost."""
    named: frozenset[str] = frozenset()
    """Those of them that were named: what they took is theirs, before any older call's."""
    short: frozenset[PeriodKey] = frozenset()
    """Periods in which calls waited for money that was not there, until just now."""
    wanted: tuple[PeriodKey, ...] = ()
    """The asker's leases that shall be refilled and answered, next-period starters included."""
    starters: Mapping[PeriodKey, PeriodKey] = field(default_factory=dict)
    """Next periods whose first leases are due, with the running period that tells how much."""

    _have: dict[tuple[str, PeriodKey], int] = field(default_factory=dict, init=False, repr=False)
    """What was worked out already: a decision asks for the same many times."""
    _reachable: dict[PeriodKey, int] = field(default_factory=dict, init=False, repr=False)

    def have_nano_usd(self, sidecar_id: str, key: PeriodKey) -> int:
        """What a sidecar has available when the grants on their way to it have arrived."""
        known = self._have.get((sidecar_id, key))
        if known is None:
            known = self._have[sidecar_id, key] = self._work_out_have(sidecar_id, key)
        return known

    def _work_out_have(self, sidecar_id: str, key: PeriodKey) -> int:
        lease = self.leases.get(key, {}).get(sidecar_id)
        granted = lease.granted_nano_usd if lease else 0
        level = self.levels.get(key, {}).get(sidecar_id)
        if level is None:
            return lease.outstanding_nano_usd if lease else 0
        return level.available_nano_usd + max(0, granted - level.granted_seen_nano_usd)

    def reachable_nano_usd(self, key: PeriodKey) -> int:
        """What is unspent, less what silent sidecars hold."""
        known = self._reachable.get(key)
        if known is None:
            known = self._reachable[key] = self._work_out_reachable(key)
        return known

    def _work_out_reachable(self, key: PeriodKey) -> int:
        stranded = sum(
            lease.outstanding_nano_usd
            for sidecar_id, lease in self.leases.get(key, {}).items()
            if sidecar_id in self.silent
        )
        return max(0, self.periods[key].unspent_nano_usd - stranded)


@dataclass(frozen=True, slots=True)
class Vector:
    """Money for one waiting call: all of it or none."""

    call_id: str
    amounts_nano_usd: tuple[tuple[PeriodKey, int], ...]
    """What is missing in each period, by rising key; empty when nothing is."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a decision decided."""

    vectors: tuple[Vector, ...]
    """Waiting calls of the asker to be named, oldest first, with the grants they need."""
    refills: tuple[tuple[PeriodKey, int], ...]
    """Grants beyond that."""
    keeps: Mapping[PeriodKey, int]
    """What may stay available at the asker; 0 is DIRECT."""
    recalls: tuple[Recall, ...]
    """What other sidecars are asked to give back."""
    nudges: frozenset[str]
    """Sidecars that should speak: what they settled may be all that is missing."""
    reservations: Mapping[PeriodKey, Reservation]
    """All reservations and pauses after this decision."""
    hopeless: tuple[str, ...]
    """Waiting calls of the asker that no period can take."""
    unpayable: tuple[str, ...] = ()
    """Waiting calls of the asker that are larger than what is left; its answer says how much."""
    short: frozenset[PeriodKey] = frozenset()
    """Periods in which calls wait for money that is not there."""
    free_nano_usd: Mapping[PeriodKey, int] = field(default_factory=dict)
    """What is left in each period that nobody has a claim on."""
    ready: frozenset[str] = frozenset()
    """Sidecars that have a call which could be named now, or cannot be paid as things are."""
    beyond: Mapping[PeriodKey, frozenset[str]] = field(default_factory=dict)
    """Those with a call that is larger than what is unspent of a period."""

    def without_refills(self) -> "Plan":
        """The same with money for waiting calls alone."""
        return replace(self, refills=())
