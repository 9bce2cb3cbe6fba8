"""The control plane with its rows in memory: the real levels, gathering, decision and booking.

What is ours here is only what the database does: a period, its leases, and the condition that no
grant passes a cap. `test_ledger.py` holds it to the real use case on SQLite, answer by answer.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from control_plane.core.budgets import Budget
from control_plane.core.decision import decide
from control_plane.core.leases import BudgetRef, Holder, Lease, PeriodKey
from control_plane.core.reports import GrantAnswer, LeaseReport, Left, Offer, WaitingCall
from control_plane.core.situation import PeriodState, Recall
from control_plane.limits import STARTER_LEAD_MS
from control_plane.usecases import granting, offering, remainders
from control_plane.usecases.levels import Levels

EPOCH = 1
PROCESS = "the only one"


@dataclass(frozen=True, slots=True)
class Told:
    """One Sync of a sidecar, as far as money goes."""

    sync_no: int
    evidence: Mapping[PeriodKey, tuple[int, int]]
    """What was given back and what was spent in all, by lease; told with the records."""
    leases: tuple[LeaseReport, ...]
    demands: tuple[WaitingCall, ...]


@dataclass(frozen=True, slots=True)
class Decided:
    """What a Sync is answered, and whom else it concerns."""

    sync_no: int
    leases: tuple[GrantAnswer, ...]
    named: tuple[str, ...]
    hopeless: tuple[str, ...]
    recalls: tuple[Recall, ...]
    nudges: frozenset[str]
    next_sync_ms: int
    offers: tuple[Offer, ...]
    lefts: tuple[Left, ...]


class MemoryRows(granting.Gathering):
    """Budgets, periods and leases that were read for one decision, out of memory."""

    def __init__(self, ledger: "Ledger", now_unix_ms: int) -> None:
        self._ledger = ledger
        self._now_unix_ms = now_unix_ms
        self.budgets = {}
        self.periods = {}
        self.current = {}
        self.leases = {}

    def budget(self, budget_id: str) -> Budget | None:
        return self._ledger.budgets.get(budget_id)

    def running(self, ref: BudgetRef) -> PeriodKey | None:
        if ref not in self.current:
            for key in self._ledger.windows.get(ref, ()):
                if self._ledger.periods[key].running(self._now_unix_ms):
                    self.add(key)
                    self.current[ref] = key
        return self.current.get(ref)

    def next_after(self, key: PeriodKey) -> PeriodKey | None:
        end_unix_ms = self._ledger.periods[key].end_unix_ms
        assert end_unix_ms is not None
        if not 0 < end_unix_ms - self._now_unix_ms <= STARTER_LEAD_MS:
            return None
        for following in self._ledger.windows[BudgetRef(key.budget_id, key.partition)]:
            if self._ledger.periods[following].start_unix_ms == end_unix_ms:
                self.add(following)
                return following
        return None

    def add(self, key: PeriodKey) -> None:
        self.periods[key] = self._ledger.periods[key]
        self.leases[key] = self._ledger.leases[key]

    def add_all(self, holder: Holder, keys: Sequence[PeriodKey]) -> None:
        for key in keys:
            self.add(key)

    def undone(self, keys: Iterable[PeriodKey]) -> None:
        for key in keys:
            self.add(key)

    def cover(self, amounts_nano_usd: Mapping[PeriodKey, int]) -> None:
        """Nothing here is ever restored from a copy."""

    def grant(self, holder: Holder, key: PeriodKey, amount_nano_usd: int) -> bool:
        granted = self._ledger.grant(holder, key, amount_nano_usd)
        self.add(key)
        return granted

    @contextmanager
    def all_or_none(self) -> Iterator[None]:
        before = len(self._ledger.granted)
        try:
            yield
        except BaseException:
            self._ledger.take_back(before)
            raise

    def name_of(self, sidecar_id: str) -> str:
        return sidecar_id


class Ledger:
    """Periods and leases, and what sidecars said last."""

    def __init__(
        self, budgets: Iterable[Budget], periods: Iterable[PeriodState], now_unix_ms: int
    ) -> None:
        self.budgets = {budget.budget_id: budget for budget in budgets}
        self.periods = {period.key: period for period in periods}
        self.windows: dict[BudgetRef, list[PeriodKey]] = {}
        for key in self.periods:
            self.windows.setdefault(BudgetRef(key.budget_id, key.partition), []).append(key)
        self.leases: dict[PeriodKey, dict[str, Lease]] = {key: {} for key in self.periods}
        self.levels = Levels(started_unix_ms=now_unix_ms)
        self.watching: offering.Watching = offering.nobody_watches
        self.granted: list[tuple[PeriodState, Lease]] = []
        """Grants of this Sync: the period and the lease as they were before."""
        self._last_sync_no: dict[str, int] = {}

    def sync(self, sidecar_id: str, told: Told, now_unix_ms: int) -> Decided | None:
        """Book a sidecar's evidence and answer it; None when a later Sync was already here."""
        holder = Holder(sidecar_id, EPOCH)
        for key, (returned, spent) in told.evidence.items():
            self._book(holder, key, returned, spent)
        if told.sync_no <= self._last_sync_no.get(sidecar_id, 0):
            return None
        self._last_sync_no[sidecar_id] = told.sync_no
        self.granted.clear()
        levels = self.levels
        levels.hear(sidecar_id, told.leases, now_unix_ms)
        levels.queue(sidecar_id, PROCESS, told.demands, now_unix_ms)
        rows = MemoryRows(self, now_unix_ms)
        wanted = {report.lease for report in told.leases} | self._outstanding(sidecar_id)
        situation = granting.gather(rows, holder, levels, wanted, now_unix_ms)
        plan = decide(situation)
        granted = granting.apply(holder, plan, rows)
        levels.reservations = dict(plan.reservations)
        levels.remember_recalls(plan.recalls, now_unix_ms)
        levels.remember_short(plan.short, now_unix_ms)
        refused = {*plan.unpayable, *plan.hopeless}
        levels.remember_answered(sidecar_id, named=granted.named, refused=refused)
        ended = refused.union(granted.named)
        waits = any(call.call_id not in ended for call in told.demands)
        answered = granting.answers(holder, levels, situation, plan, rows)
        chosen = offering.choose(plan.ready, levels, self.watching, now_unix_ms)
        lefts = remainders.remainders(plan, situation, levels, self.watching, 1)
        called = plan.ready.difference(chosen) | remainders.untold(plan, lefts)
        nudges = (plan.nudges | called) - {sidecar_id}
        return Decided(
            sync_no=told.sync_no,
            leases=answered,
            named=granted.named,
            hopeless=plan.hopeless,
            recalls=plan.recalls,
            nudges=levels.take_nudges(nudges, now_unix_ms),
            next_sync_ms=offering.next_sync_ms(
                answered,
                now_unix_ms,
                waits=waits,
                watches=self.watching(sidecar_id, PROCESS),
                nudged=bool(nudges),
            ),
            offers=tuple(self._offers(chosen, rows, now_unix_ms)),
            lefts=lefts,
        )

    def waits(self, sidecar_id: str, now_unix_ms: int) -> bool:
        """Whether calls of a sidecar wait, so that its stream beats fast."""
        return self.levels.waits(sidecar_id, now_unix_ms)

    def _offers(self, chosen: Iterable[str], rows: MemoryRows, now_unix_ms: int) -> Iterator[Offer]:
        for name in chosen:
            holder = Holder(name, EPOCH)
            decided = offering.decide_for(holder, self.levels, rows, now_unix_ms)
            if decided is not None:
                last = self._last_sync_no[name]
                yield Offer(name, EPOCH, 1, last, decided.leases, decided.named)

    def grant(self, holder: Holder, key: PeriodKey, amount_nano_usd: int) -> bool:
        """Allocate money if the cap allows it."""
        period = self.periods[key]
        allocated = period.allocated_nano_usd + amount_nano_usd
        if period.cap_nano_usd is None or allocated > period.cap_nano_usd:
            return False
        serial = period.serial + 1
        self.periods[key] = replace(period, allocated_nano_usd=allocated, serial=serial)
        lease = self.leases[key].get(holder.sidecar_id) or Lease(holder, key)
        self.granted.append((period, lease))
        self.leases[key][holder.sidecar_id] = lease.grant(amount_nano_usd, serial)
        return True

    def take_back(self, count: int) -> None:
        """Undo the grants of this Sync after the first so many."""
        while len(self.granted) > count:
            period, lease = self.granted.pop()
            self.periods[period.key] = period
            self.leases[period.key][lease.holder.sidecar_id] = lease

    def _book(self, holder: Holder, key: PeriodKey, returned: int, spent: int) -> None:
        lease = self.leases[key].get(holder.sidecar_id)
        if lease is None:
            assert returned == spent == 0, "nobody spends or returns what was never granted"
            return
        after = lease.merge(returned_nano_usd=returned, spent_nano_usd=spent)
        assert after.outstanding_nano_usd >= 0
        period = self.periods[key]
        self.leases[key][holder.sidecar_id] = after
        given_back = after.returned_nano_usd - lease.returned_nano_usd
        self.periods[key] = replace(
            period,
            allocated_nano_usd=period.allocated_nano_usd - given_back,
            spent_nano_usd=period.spent_nano_usd + after.spent_nano_usd - lease.spent_nano_usd,
        )

    def _outstanding(self, sidecar_id: str) -> set[PeriodKey]:
        return {
            key
            for key, leases in self.leases.items()
            if (lease := leases.get(sidecar_id)) is not None and lease.outstanding_nano_usd > 0
        }
