"""Gathers what a decision looks at, and books what it decided.

Every grant is booked by a conditional UPDATE. The grants of one waiting call stand in a savepoint:
when a single one of them changes no row, none of them happened and the call is not named.

All rows are read and written by a Gathering. So a benchmark that keeps them in memory runs the same
steps.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from control_plane import limits
from control_plane.core.budgets import Budget
from control_plane.core.leases import BudgetRef, Holder, Lease, PeriodKey
from control_plane.core.reports import GrantAnswer
from control_plane.core.situation import Demand, Level, PeriodState, Plan, Situation, Vector
from control_plane.core.watermark import Mark
from control_plane.store import budgets, leases, periods, sidecars
from control_plane.store.engine import Tx
from control_plane.usecases import unknown
from control_plane.usecases.levels import Levels


class _NotGrantedError(Exception):
    """One part of a vector found no room: the whole of it is undone."""


@dataclass(frozen=True, slots=True)
class Granted:
    """What came of a plan."""

    named: tuple[str, ...]
    """Waiting calls whose vectors were granted whole."""


class Gathering:
    """Reads each budget, period and set of leases once for one decision."""

    def __init__(self, tx: Tx, now_unix_ms: int, *, learns: bool = False) -> None:
        """Work within a transaction; `learns` while the database may be old."""
        self._tx = tx
        self._learns = learns
        self._now_unix_ms = now_unix_ms
        self.budgets: dict[str, Budget | None] = {}
        self.periods: dict[PeriodKey, PeriodState] = {}
        self.current: dict[BudgetRef, PeriodKey] = {}
        self.leases: dict[PeriodKey, dict[str, Lease]] = {}

    def budget(self, budget_id: str) -> Budget | None:
        """One budget."""
        if budget_id not in self.budgets:
            self.budgets[budget_id] = budgets.get(self._tx, budget_id)
        return self.budgets[budget_id]

    def running(self, ref: BudgetRef) -> PeriodKey | None:
        """The period of a budget's partition that is running now; None when none can be."""
        if ref not in self.current:
            budget = self.budget(ref.budget_id)
            if budget is None or budget.archived_unix_ms is not None:
                return None
            known = self._known(budget, ref)
            if known is not None:
                self.current[ref] = known
                return known
            if not periods.has_room(self._tx, budget, ref.partition, self._now_unix_ms):
                return None
            state = periods.ensure_of(self._tx, budget, ref.partition, self._now_unix_ms)
            if not state.open:
                state = periods.reopen(self._tx, budget, state.key)
                self.leases.pop(state.key, None)
            self._keep(state, budget)
            self.current[ref] = state.key
        return self.current[ref]

    def _known(self, budget: Budget, ref: BudgetRef) -> PeriodKey | None:
        """The running period, if it was read already, because a lease names it, and is open."""
        key = ref.period(budget.span_at(self._now_unix_ms).period_id)
        state = self.periods.get(key)
        fits = bool(budget.split_by) or not ref.partition
        return key if state is not None and state.open and fits else None

    def next_after(self, key: PeriodKey) -> PeriodKey | None:
        """The period after a running one, when its first leases are due."""
        period = self.periods.get(key)
        budget = self.budget(key.budget_id)
        if period is None or period.end_unix_ms is None or budget is None:
            return None
        until = period.end_unix_ms - self._now_unix_ms
        if budget.archived_unix_ms is not None or not 0 < until <= limits.STARTER_LEAD_MS:
            return None
        state = periods.ensure_of(self._tx, budget, key.partition, period.end_unix_ms)
        self._keep(state, budget)
        return state.key

    def add(self, key: PeriodKey) -> None:
        """A period that a lease names, whatever its time."""
        if key not in self.periods:
            state = periods.get(self._tx, key)
            if state is not None:
                self._keep(state, self.budget(key.budget_id))

    def add_all(self, holder: Holder, keys: Sequence[PeriodKey]) -> None:
        """Periods that leases name; what a holder's own need is read together, as most are its."""
        ahead: Mapping[PeriodKey, PeriodState] = {}
        if len(keys) > 1:
            most = min(len(keys), limits.READ_TOGETHER_LEASES_MAX)
            ahead = periods.of_holder(self._tx, holder, most)
        if ahead:
            self.budgets.update(budgets.of_holder(self._tx, holder))
            self.leases.update(leases.beside(self._tx, holder, most))
        for key in keys:
            if key in ahead and key not in self.periods:
                self._keep(ahead[key], self.budget(key.budget_id))
            else:
                self.add(key)

    def grant(self, holder: Holder, key: PeriodKey, amount_nano_usd: int) -> bool:
        """Book one grant if the cap allows it; whether it did. No other row changes."""
        state = periods.grant(self._tx, key, amount_nano_usd)
        if state is None:
            return False
        # Whoever changes a lease locks its period, so it is still as it was read with that.
        known = self.leases[key].get(holder.sidecar_id)
        if known is None or known.holder != holder:
            known = leases.get(self._tx, holder, key) or Lease(holder, key)
        lease = known.grant(amount_nano_usd, state.serial)
        leases.put(self._tx, lease)
        self._keep(state, self.budget(key.budget_id))
        if lease.state == "ACTIVE":
            self.leases[key][holder.sidecar_id] = lease
        return True

    def undone(self, keys: Iterable[PeriodKey]) -> None:
        """Read periods and their leases again: grants in them were taken back."""
        for key in keys:
            del self.periods[key], self.leases[key]
            self.add(key)

    def cover(self, amounts_nano_usd: Mapping[PeriodKey, int]) -> None:
        """Let the watermark allow all grants of a plan with one write, not with one for each."""
        needs = {}
        for key, amount in amounts_nano_usd.items():
            period = self.periods[key]
            if period.cap_nano_usd is not None:
                total = period.granted_total_nano_usd + period.unclaimed_nano_usd + amount
                needs[key] = Mark(total, period.cap_nano_usd)
        self._tx.watermark.cover(needs)

    def all_or_none(self) -> AbstractContextManager[None]:
        """What is granted within stays only when nothing is raised."""
        return self._tx.savepoint()

    def name_of(self, sidecar_id: str) -> str:
        """What people call a sidecar."""
        sidecar = sidecars.get(self._tx, sidecar_id)
        return sidecar.display_name if sidecar else sidecar_id

    def _keep(self, state: PeriodState, budget: Budget | None) -> None:
        newest = budget.cap_version if budget is not None else 0
        gone = budget is None or budget.archived_unix_ms is not None
        if self._learns:
            state = unknown.expected(self._tx, state)
        if newest > state.cap_version or (gone and state.open):
            cap_version = max(state.cap_version, newest)
            state = replace(state, cap_version=cap_version, open=state.open and not gone)
        self.periods[state.key] = state
        if state.key not in self.leases:
            self.leases[state.key] = leases.active_of_period(self._tx, state.key)


def gather(
    found: Gathering, holder: Holder, levels: Levels, wanted: Iterable[PeriodKey], now_unix_ms: int
) -> Situation:
    """All that the decision about one sidecar's Sync looks at; periods locked by rising id."""
    demands = levels.live_demands(holder.sidecar_id, now_unix_ms)
    asked = {
        budget
        for demand in demands
        if demand.sidecar_id == holder.sidecar_id
        for budget in demand.budgets
    }
    named = set(wanted)
    found.add_all(holder, sorted(named))
    asked |= {periods.budget_of(key) for key in named if key in found.periods}
    near = _connected(demands, asked)
    for ref in sorted(near):
        found.running(ref)
    mine = {key for ref in asked if (key := found.current.get(ref)) is not None}
    starters = {}
    for running in sorted(mine):
        level = levels.by_period.get(running, {}).get(holder.sidecar_id)
        lease = found.leases[running].get(holder.sidecar_id)
        if level is not None and _will_be_used(level, lease, now_unix_ms):
            following = found.next_after(running)
            if following is not None:
                starters[following] = running
    return Situation(
        asker=holder.sidecar_id,
        now_unix_ms=now_unix_ms,
        periods={key: state for key, state in found.periods.items() if _capped(state)},
        current=found.current,
        leases=found.leases,
        levels=levels.by_period,
        demands=demands,
        silent=_silent(found, levels, now_unix_ms),
        reservations=levels.reservations,
        pending=levels.pending(now_unix_ms),
        unanswered=levels.unanswered(now_unix_ms),
        answered=levels.answered(),
        named=levels.all_named(),
        short=levels.lately_short(now_unix_ms),
        wanted=tuple(
            sorted(each for each in named | mine | set(starters) if each in found.periods)
        ),
        starters=starters,
    )


def apply(holder: Holder, plan: Plan, found: Gathering) -> Granted:
    """Book the grants of a plan."""
    planned: Counter[PeriodKey] = Counter()
    for key, amount in [pair for vector in plan.vectors for pair in vector.amounts_nano_usd]:
        planned[key] += amount
    for key, amount in plan.refills:
        planned[key] += amount
    if planned:
        found.cover(planned)
    named = tuple(vector.call_id for vector in plan.vectors if _grant_vector(holder, vector, found))
    for key, amount in plan.refills:
        found.grant(holder, key, amount)
    return Granted(named)


def answers(
    holder: Holder, levels: Levels, situation: Situation, plan: Plan, found: Gathering
) -> tuple[GrantAnswer, ...]:
    """What the asker is told of its leases."""
    after = replace(
        situation,
        periods=found.periods,
        leases=found.leases,
    )
    named: dict[str, str] = {}
    told = []
    for key in situation.wanted:
        state = found.periods[key]
        lease = found.leases[key].get(holder.sidecar_id)
        if not _capped(state) and not _left_over(state, lease, situation.now_unix_ms):
            continue
        budget = found.budget(key.budget_id)
        told.append(
            GrantAnswer(
                lease=key,
                period_start_unix_ms=state.start_unix_ms,
                period_end_unix_ms=state.end_unix_ms,
                granted_nano_usd=lease.granted_nano_usd if lease else 0,
                serial=lease.serial if lease else 0,
                authority_ms=budget.max_offline_ms if budget else 0,
                keep_nano_usd=plan.keeps.get(key, 0),
                unspent_nano_usd=state.unspent_nano_usd,
                reachable_nano_usd=after.reachable_nano_usd(key),
                cap_version=state.cap_version,
                cap_nano_usd=state.cap_nano_usd or 0,
                spent_nano_usd=state.spent_nano_usd,
                held_nano_usd=levels.held_nano_usd(key),
                silent_sidecar=_silent_holder(found, after, key, named),
                smallest_worst_nano_usd=levels.smallest_worst_nano_usd(key),
                frozen=lease is not None and lease.frozen(state.cap_version),
                short=key in plan.short,
                free_nano_usd=plan.free_nano_usd.get(key, 0),
                patient_ms=_patient_ms(situation, plan, key),
            )
        )
    return tuple(told)


def _patient_ms(situation: Situation, plan: Plan, key: PeriodKey) -> int:
    """For how long what comes free for those that go on waiting need not be told at once.

    Half of what is left of their patience: large calls, which need what several free, then have the
    other half to get it.
    """
    if key not in plan.short:
        return 0
    ended = situation.answered.union(plan.unpayable, (each.call_id for each in plan.vectors))
    left = (
        (demand.gives_up_unix_ms - situation.now_unix_ms) // 2
        for demand in situation.demands
        if demand.call_id not in ended
        and any(situation.current.get(budget) == key for budget in demand.budgets)
    )
    return max(0, min((limits.SYNC_INTERVAL_MS, *left)))


def _grant_vector(holder: Holder, vector: Vector, found: Gathering) -> bool:
    try:
        with found.all_or_none():
            for key, amount in vector.amounts_nano_usd:
                if not found.grant(holder, key, amount):
                    raise _NotGrantedError
    except _NotGrantedError:
        found.undone(key for key, _ in vector.amounts_nano_usd)
        return False
    return True


def _capped(state: PeriodState) -> bool:
    return state.cap_nano_usd is not None


def _left_over(state: PeriodState, lease: Lease | None, now_unix_ms: int) -> bool:
    """Whether a lease still holds money of a window that is over, its cap taken away meanwhile."""
    held = lease is not None and lease.outstanding_nano_usd > 0
    return held and not state.running(now_unix_ms)


def _will_be_used(level: Level, lease: Lease | None, now_unix_ms: int) -> bool:
    """Whether a holder may need the next window's money at its turn: it used this one's, or lately.

    Not for what it was given at the last turn alone, or it would get that for ever.
    """
    if level.median_worst_nano_usd <= 0:
        return False
    lately = now_unix_ms - level.used_unix_ms <= limits.IDLE_FLOOR_LIFE_MS
    return lately or (lease is not None and lease.spent_nano_usd > 0)


def _connected(demands: Sequence[Demand], asked: set[BudgetRef]) -> set[BudgetRef]:
    """The budgets that the asker's money depends on, through calls that share a budget."""
    near = set(asked)
    grown = True
    while grown:
        grown = False
        for demand in demands:
            if not near.issuperset(demand.budgets) and not near.isdisjoint(demand.budgets):
                near.update(demand.budgets)
                grown = True
    return near


def _silent(found: Gathering, levels: Levels, now_unix_ms: int) -> frozenset[str]:
    holders: set[str] = set().union(*found.leases.values())
    return frozenset(one for one in holders if levels.silent(one, now_unix_ms))


def _silent_holder(
    found: Gathering, situation: Situation, key: PeriodKey, named: dict[str, str]
) -> str:
    """The name of a silent sidecar that holds money of a period; "" when there is none."""
    for sidecar_id, lease in sorted(situation.leases.get(key, {}).items()):
        if sidecar_id in situation.silent and lease.outstanding_nano_usd > 0:
            if sidecar_id not in named:
                named[sidecar_id] = found.name_of(sidecar_id)
            return named[sidecar_id]
    return ""
