"""Soft state: what sidecars said last. Kept in memory, lost at a restart without harm.

Rules. Only the writer touches it, inside a transaction's function; others may read a single number.
It may be ahead of the database when a commit failed, and behind after a restart: so no money truth
rests on it. Levels of a sidecar go when it registers, its demands when it does not repeat them.
Ages are taken either way: when the clock is set back, what was said before is old, not to come.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from control_plane import limits
from control_plane.core import limits as core_limits
from control_plane.core.leases import BudgetRef, PeriodKey
from control_plane.core.reports import LeaseReport, WaitingCall
from control_plane.core.situation import Demand, Level, Recall, Reservation, by_order
from control_plane.usecases.rate_shares import RateHoldings


@dataclass(slots=True)
class Heard:
    """What one sidecar said last."""

    unix_ms: int
    """When."""
    incarnation: str
    """Which process of it."""
    demands: tuple[Demand, ...] = ()


@dataclass(slots=True)
class Levels:
    """What all sidecars said last."""

    started_unix_ms: int
    """When this process began to listen: nobody is silent for longer."""
    by_period: dict[PeriodKey, dict[str, Level]] = field(default_factory=dict)
    heard: dict[str, Heard] = field(default_factory=dict)
    reservations: dict[PeriodKey, Reservation] = field(default_factory=dict)
    recalled: dict[tuple[str, PeriodKey], tuple[int, int]] = field(default_factory=dict)
    """Amount expected back and when the recall was sent, by sidecar and lease."""
    nudged_unix_ms: dict[str, int] = field(default_factory=dict)
    called_unix_ms: dict[str, int] = field(default_factory=dict)
    """When a sidecar was first nudged since it last spoke."""
    short_unix_ms: dict[PeriodKey, int] = field(default_factory=dict)
    """When calls last waited for money of a period that was not there."""
    settled: dict[str, frozenset[str]] = field(default_factory=dict)
    """Calls that the latest answer named or made refuse, by sidecar, until it speaks again."""
    named: dict[str, frozenset[str]] = field(default_factory=dict)
    """Those of them that were named: they are open, and what they took is not idle."""
    left_told: dict[PeriodKey, tuple[int, int]] = field(default_factory=dict)
    """What was left of a period when all were told so last, and when that was."""
    unspent_seen: dict[PeriodKey, tuple[int, int]] = field(default_factory=dict)
    """The version of a period's cap and what was left of it, at the latest decision."""
    outdated: dict[str, bool] = field(default_factory=dict)
    """Sidecars that may know of less than is left, until they speak after they were nudged; and
    whether they were, as a clock that is set back could not tell."""
    offered: Counter[str] = field(default_factory=Counter)
    """Offers that were sent to a sidecar since it last spoke."""
    offered_unix_ms: dict[str, int] = field(default_factory=dict)
    """When the first of them was sent."""
    superseded: set[str] = field(default_factory=set)
    """Sidecars of which a process whose time is over spoke last."""
    rates: RateHoldings = field(init=False)
    """Shares of rate limits."""

    def __post_init__(self) -> None:
        self.rates = RateHoldings(self.started_unix_ms)

    def forget(self, sidecar_id: str) -> None:
        """A new life or process of a sidecar begins: nothing that it said before counts."""
        for levels in self.by_period.values():
            levels.pop(sidecar_id, None)
        self.heard.pop(sidecar_id, None)
        self.outdated.pop(sidecar_id, None)
        self.settled.pop(sidecar_id, None)
        self.named.pop(sidecar_id, None)
        self.called_unix_ms.pop(sidecar_id, None)
        self.offered.pop(sidecar_id, None)
        self.offered_unix_ms.pop(sidecar_id, None)
        for key in [key for key in self.recalled if key[0] == sidecar_id]:
            del self.recalled[key]

    def hear(self, sidecar_id: str, reports: tuple[LeaseReport, ...], now_unix_ms: int) -> None:
        """Take what a sidecar says of its leases."""
        if self.outdated.get(sidecar_id):
            del self.outdated[sidecar_id]
        for report in reports:
            self.by_period.setdefault(report.lease, {})[sidecar_id] = Level(
                granted_seen_nano_usd=report.granted_seen_nano_usd,
                available_nano_usd=report.available_nano_usd,
                held_nano_usd=report.held_nano_usd,
                open_calls=report.open_calls,
                want_nano_usd=report.want_nano_usd,
                median_worst_nano_usd=report.median_worst_nano_usd,
                smallest_worst_nano_usd=report.smallest_worst_nano_usd,
                used_unix_ms=now_unix_ms - report.idle_ms,
                reported_unix_ms=now_unix_ms,
            )
            self.recalled.pop((sidecar_id, report.lease), None)

    def queue(
        self,
        sidecar_id: str,
        incarnation: str,
        calls: tuple[WaitingCall, ...],
        now_unix_ms: int,
    ) -> None:
        """Take a sidecar's waiting calls; the earliest start ever computed for one stays."""
        self.settled.pop(sidecar_id, None)
        self.named.pop(sidecar_id, None)
        self.called_unix_ms.pop(sidecar_id, None)
        self.offered.pop(sidecar_id, None)
        self.offered_unix_ms.pop(sidecar_id, None)
        earlier = self.heard.get(sidecar_id)
        known = {d.call_id: d.since_unix_ms for d in earlier.demands} if earlier else {}
        demands = tuple(
            Demand(
                since_unix_ms=min(known.get(call.call_id, now_unix_ms), now_unix_ms - call.age_ms),
                call_id=call.call_id,
                sidecar_id=sidecar_id,
                worst_nano_usd=call.worst_nano_usd,
                budgets=call.budgets,
                patience_ms=call.patience_ms,
                gives_up_unix_ms=now_unix_ms + call.patience_ms - call.age_ms,
            )
            for call in calls
        )
        self.heard[sidecar_id] = Heard(now_unix_ms, incarnation, demands)

    def process_of(self, sidecar_id: str) -> str:
        """The process of a sidecar that spoke last; "" when none did."""
        heard = self.heard.get(sidecar_id)
        return heard.incarnation if heard is not None else ""

    def waits(self, sidecar_id: str, now_unix_ms: int) -> bool:
        """Whether calls of a sidecar wait, as it said last; may be asked from any thread."""
        heard, settled = self.heard.get(sidecar_id), self.settled.get(sidecar_id, frozenset())
        return (
            heard is not None
            and abs(now_unix_ms - heard.unix_ms) < limits.DEMAND_LIFE_MS
            and any(demand.call_id not in settled for demand in heard.demands)
        )

    def live_demands(self, asker: str, now_unix_ms: int) -> tuple[Demand, ...]:
        """The waiting calls of all sidecars that spoke just now, oldest first.

        Those of a sidecar that was nudged and did not come do not count until it speaks again: it
        may be dead, and what is kept for it could serve others.

        One whose patience is over has given up, though its sidecar did not say so yet: it must
        reserve nothing any more. Unless it was named: it is open then, and what it took does not
        lie idle at its sidecar, though that did not say so yet. After a moment that is asked, as
        the naming may have been lost.

        When there are too many, the oldest of each set of budgets count, so that a crowd at one
        client does not hide the calls of another; the asker's own are always among them.
        """
        live: list[Demand] = []
        for sidecar_id, heard in self.heard.items():
            old = abs(now_unix_ms - heard.unix_ms) >= limits.DEMAND_LIFE_MS
            if old or (sidecar_id != asker and self._deaf(sidecar_id, now_unix_ms)):
                continue
            for demand in heard.demands:
                late_ms = now_unix_ms - demand.gives_up_unix_ms
                if late_ms < 0 or (
                    late_ms < core_limits.NAMED_LIFE_MS
                    and demand.call_id in self.named.get(sidecar_id, ())
                ):
                    live.append(demand)
        live.sort(key=by_order)
        chosen: list[Demand] = []
        per_set: dict[tuple[BudgetRef, ...], int] = {}
        for demand in live:
            earlier = per_set.get(demand.budgets, 0)
            per_set[demand.budgets] = earlier + 1
            room = earlier < limits.DECISION_SET_DEMANDS_MAX
            if (room and len(chosen) < limits.DECISION_DEMANDS_MAX) or demand.sidecar_id == asker:
                chosen.append(demand)
        return tuple(chosen)

    def _deaf(self, sidecar_id: str, now_unix_ms: int) -> bool:
        since = self.called_unix_ms.get(sidecar_id, now_unix_ms)
        return abs(now_unix_ms - since) >= limits.NUDGE_UNANSWERED_MS

    def silent(self, sidecar_id: str, now_unix_ms: int) -> bool:
        """Whether a sidecar has not spoken for long, as far as this process can know."""
        heard = self.heard.get(sidecar_id)
        last = heard.unix_ms if heard is not None else self.started_unix_ms
        return now_unix_ms - last > limits.SILENT_AFTER_MS

    def pending(self, now_unix_ms: int) -> dict[tuple[str, PeriodKey], int]:
        """Recalls that are on their way."""
        return {
            key: amount
            for key, (amount, sent) in self.recalled.items()
            if abs(now_unix_ms - sent) < limits.RECALL_PENDING_MS
        }

    def unanswered(self, now_unix_ms: int) -> frozenset[tuple[str, PeriodKey]]:
        """Recalls that went out a while ago and nobody answered."""
        return frozenset(
            key
            for key, (_, sent) in self.recalled.items()
            if abs(now_unix_ms - sent) >= limits.RECALL_PENDING_MS
        )

    def remember_short(self, keys: frozenset[PeriodKey], now_unix_ms: int) -> None:
        """Note periods in which calls wait for money that is not there."""
        for key in keys:
            self.short_unix_ms[key] = now_unix_ms

    def lately_short(self, now_unix_ms: int) -> frozenset[PeriodKey]:
        """Periods in which calls waited for money until just now."""
        return frozenset(
            key
            for key, noted in self.short_unix_ms.items()
            if abs(now_unix_ms - noted) < limits.SHORT_LIFE_MS
        )

    def remember_answered(
        self, sidecar_id: str, *, named: Iterable[str], refused: Iterable[str]
    ) -> None:
        """Note calls that an answer ends the waiting of; forgotten when their sidecar speaks again.

        For no shorter: a call that was named opens and tells nothing until it ends, and its sidecar
        asks again by itself when the answer is lost.
        """
        opened = frozenset(named)
        found = opened.union(refused)
        if found:
            self.settled[sidecar_id], self.named[sidecar_id] = found, opened

    def remember_ended(self, sidecar_id: str, call_id: str) -> None:
        """Note one more call whose waiting ends by what goes out to its sidecar."""
        self.settled[sidecar_id] = self.settled.get(sidecar_id, frozenset()) | {call_id}

    def left_fell(self, key: PeriodKey, unspent_nano_usd: int, now_unix_ms: int) -> bool:
        """Whether all that use a period shall hear what is left of it, and note that they do."""
        medians = (level.median_worst_nano_usd for level in self.by_period.get(key, {}).values())
        largest = max(medians, default=0)
        if not largest or unspent_nano_usd > core_limits.LEFT_WORSTS * largest:
            self.left_told.pop(key, None)
            return False
        told, at = self.left_told.get(key, (2**63, 0))
        step = told // core_limits.LEFT_STEP_PARTS
        lately = abs(now_unix_ms - at) < core_limits.LEFT_INTERVAL_MS
        if lately or told - step < unspent_nano_usd <= told:
            return False
        self.left_told[key] = (unspent_nano_usd, now_unix_ms)
        return True

    def note_unspent(self, key: PeriodKey, cap_version: int, unspent_nano_usd: int) -> None:
        """Note what is left of a period: when it rose under this cap, all that use it must ask."""
        version, before = self.unspent_seen.get(key, (cap_version, unspent_nano_usd))
        self.unspent_seen[key] = (cap_version, unspent_nano_usd)
        if version == cap_version and unspent_nano_usd > before:
            for sidecar_id in self.by_period.get(key, ()):
                self.outdated[sidecar_id] = False

    def may_be_offered(self, sidecar_id: str, now_unix_ms: int) -> bool:
        """Whether a sidecar spoke since it was last sent money, or nearly; else it is nudged.

        One that took an offer need not speak, so it is not taken to be dead for that. But whether
        it lives is asked before it is sent more than comes within a moment.
        """
        since = self.offered_unix_ms.get(sidecar_id, now_unix_ms)
        lately = abs(now_unix_ms - since) < limits.NUDGE_UNANSWERED_MS
        return lately and self.offered[sidecar_id] < limits.UNHEARD_OFFERS_MAX

    def remember_offer(self, sidecar_id: str, now_unix_ms: int) -> None:
        """Note an offer that goes out."""
        self.offered[sidecar_id] += 1
        self.offered_unix_ms.setdefault(sidecar_id, now_unix_ms)

    def answered(self) -> frozenset[str]:
        """Calls that wait no more once the latest answer to their sidecar arrives."""
        return frozenset().union(*self.settled.values())

    def all_named(self) -> frozenset[str]:
        """Those of them that were named."""
        return frozenset().union(*self.named.values())

    def remember_recalls(self, recalls: tuple[Recall, ...], now_unix_ms: int) -> None:
        """Note recalls that go out; each is forgotten when its sidecar speaks of the lease."""
        for recall in recalls:
            self.recalled[recall.sidecar_id, recall.key] = (recall.amount_nano_usd, now_unix_ms)

    def take_nudges(self, sidecar_ids: frozenset[str], now_unix_ms: int) -> frozenset[str]:
        """Those of them that were not nudged just now."""
        due = frozenset(
            sidecar_id
            for sidecar_id in sidecar_ids
            if abs(now_unix_ms - self.nudged_unix_ms.get(sidecar_id, 0)) >= limits.NUDGE_INTERVAL_MS
        )
        for sidecar_id in due:
            self.nudged_unix_ms[sidecar_id] = now_unix_ms
            self.called_unix_ms.setdefault(sidecar_id, now_unix_ms)
            if sidecar_id in self.outdated:
                self.outdated[sidecar_id] = True
        return due

    def held_nano_usd(self, key: PeriodKey, sidecar_id: str = "") -> int:
        """What open calls hold of a period, as last reported; of one sidecar, if named."""
        levels = self.by_period.get(key, {})
        if sidecar_id:
            level = levels.get(sidecar_id)
            return level.held_nano_usd if level else 0
        return sum(level.held_nano_usd for level in list(levels.values()))

    def open_calls(self, sidecar_id: str) -> int:
        """Calls that are open at a sidecar, as last reported: the most of any one lease.

        A call holds from several leases, so their sum would count it more than once.
        """
        found = [levels.get(sidecar_id) for levels in list(self.by_period.values())]
        return max((level.open_calls for level in found if level), default=0)

    def smallest_worst_nano_usd(self, key: PeriodKey) -> int:
        """The smallest worst case seen lately over all sidecars; 0 when none was."""
        seen = [level.smallest_worst_nano_usd for level in self.by_period.get(key, {}).values()]
        return min((worst for worst in seen if worst > 0), default=0)

    def drop_periods(self, alive: frozenset[PeriodKey]) -> None:
        """Forget periods that can take no more grants."""
        for key in [key for key in self.by_period if key not in alive]:
            del self.by_period[key]
        for key in [key for key in self.reservations if key not in alive]:
            del self.reservations[key]
        for key in [key for key in self.short_unix_ms if key not in alive]:
            del self.short_unix_ms[key]
        for key in [key for key in self.left_told if key not in alive]:
            del self.left_told[key]
        for key in [key for key in self.unspent_seen if key not in alive]:
            del self.unspent_seen[key]
        for held in [held for held in self.recalled if held[1] not in alive]:
            del self.recalled[held]
