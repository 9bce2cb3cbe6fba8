"""One run: a fleet of sidecars, one control plane, a bad network, and the calls of a case."""

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from control_plane.core.budgets import Budget
from control_plane.core.leases import PeriodKey
from control_plane.core.situation import PeriodState
from control_plane.limits import HEARTBEAT_WAITING_MS
from protos.values.selectors import Selector
from sidecar.core.policy import Budget as KnownBudget
from sidecar.core.policy import Policy
from tests.control_plane.leasing_world import DAY_MS, NOON
from tests.leasing.fleet import Sidecar
from tests.leasing.ledger import Decided, Ledger, Told
from tests.leasing.loop import Loop, Network
from tests.leasing.truth import SAMPLE_US, Planned, Truth
from tests.sidecar.builders import policy, project

PERIOD = "2026-11-01"
NEXT_PERIOD = "2026-12-01"
BEGINS, TURNS, ENDS = (NOON + halves * DAY_MS // 2 for halves in (-45, 15, 77))
"""Midnight of the first of November, December and January."""
DECISION_US = 2_000
"""How long the control plane thinks about a Sync."""
SECOND_US = 1_000_000
BEAT_US = HEARTBEAT_WAITING_MS * 1_000
TAIL_US = 40 * SECOND_US
"""How long a run goes on after the last call came."""

Arrivals = Callable[[random.Random], Iterator[tuple[int, Planned]]]
"""Calls with the microsecond at which each comes, in their order."""


@dataclass(frozen=True, slots=True)
class Case:
    """A load on some budgets."""

    name: str
    says: str
    """What it is, for the table."""
    sidecars: int
    caps: Mapping[str, int]
    """The caps in nano-dollars, by budget."""
    selectors: Mapping[str, Selector]
    arrivals: Arrivals
    large: int = 0
    """From which worst case on a call is a large one, in nano-dollars; 0 when none is."""
    roomy: bool = False
    """The cap is large next to its calls: a share of half of it is worth many calls."""
    fills: bool = True
    """More is asked for than the cap allows, so that it should be spent to the end."""
    cold: bool = False
    """No sidecar ever met one of many clients, as only happens when a fleet is set up."""
    before: Arrivals | None = None
    """Calls of the end of the window before; its turn comes first, and all is measured after it."""
    turns_s: int = 0
    """How long they come."""


@dataclass
class Progress:
    """How many Syncs and calls there were at some instants of a run."""

    passed: int = 0
    """Calls that were opened."""
    ended: int = 0
    """Those of them that ended, and so were paid for."""
    syncs: int = 0
    money_syncs: int = 0
    need_syncs: int = 0
    at_us: int = 0


@dataclass
class Run:
    """What a run left behind."""

    case: Case
    truth: Truth
    sidecars: list[Sidecar]
    loop: Loop
    turned: Progress = field(default_factory=Progress)
    """When the window turned that is measured; the start, when none did."""
    half: Progress | None = None
    """When the first budget was half spent."""
    nine_tenths: Progress | None = None
    """When the first budget was nine tenths spent."""
    idle_at_refusal: float = 0.0
    """At the first refusal, which part of the caps lay idle in leases."""
    recalls: int = 0
    nudges: int = 0
    offers: int = 0
    last_opened: Progress = field(default_factory=Progress)
    """When the last call was opened."""
    end: Progress = field(default_factory=Progress)
    idle_at_end: float = 0.0


class World:
    """A run while it goes on."""

    def __init__(self, case: Case, *, seed: int, loss_percent: int) -> None:
        """Set up the control plane and its fleet."""
        self._turn_us = case.turns_s * SECOND_US
        self.loop = Loop(seed, TURNS - case.turns_s * 1_000 if case.before else NOON)
        self.network = Network(self.loop, loss_percent)
        self.truth = Truth(dict(case.caps))
        self.ledger = ledger_of(case)
        around = (self.loop, self.network, self.truth)
        known = policy_of(case)
        self.sidecars = [
            Sidecar(f"sidecar-{number:03}", around, known, self._asked)
            for number in range(case.sidecars)
        ]
        self._by_name = {one.name: one for one in self.sidecars}
        self.ledger.watching = lambda name, _: name in self._by_name
        self.run = Run(case, self.truth, self.sidecars, self.loop)
        self._arrivals = self._calls(case, seed)
        self._last_us = 0

    def play(self, seconds: int = 86_400) -> Run:
        """Let everything happen, for so long at most."""
        if self._turn_us:
            self.loop.at(self._turn_us, self._turn)
        for one in self.sidecars:
            self.loop.after(self.loop.chance.randrange(1_000_000), one.begin)
        self._next_arrival()
        self.loop.after(SAMPLE_US, self._sample)
        self.loop.after(BEAT_US, self._beat)
        for second in range(1, seconds + 1):
            self.loop.run(second * SECOND_US)
            if self._last_us and self.loop.now_us >= self._last_us + TAIL_US:
                break
        self.run.end = self._progress()
        self.run.idle_at_end = self.idle_share()
        return self.run

    def _calls(self, case: Case, seed: int) -> Iterator[tuple[int, Planned]]:
        if case.before is not None:
            for at_us, planned in case.before(random.Random(~seed)):
                if at_us >= self._turn_us:
                    break
                yield at_us, planned
        for at_us, planned in case.arrivals(random.Random(seed)):
            yield self._turn_us + at_us, planned

    def _turn(self) -> None:
        self.truth.turn(self.loop.now_us)
        self.run.turned = self._progress()

    def _next_arrival(self) -> None:
        coming = next(self._arrivals, None)
        if coming is None:
            self._last_us = self.loop.now_us
        else:
            self.loop.at(coming[0], self._arrive, coming[1])

    def _arrive(self, planned: Planned) -> None:
        self.sidecars[planned.sidecar].arrive(planned)
        self._next_arrival()

    def _asked(self, name: str, told: Told) -> None:
        answer = self.decide(name, told)
        if answer is None:
            return
        self.run.recalls += len(answer.recalls)
        self.run.nudges += len(answer.nudges)
        self.run.offers += len(answer.offers)
        self.loop.after(DECISION_US, self._answer, name, answer)
        if told.demands:
            self.network.send(self._by_name[name].beat)

    def decide(self, name: str, told: Told) -> Decided | None:
        """What the control plane says to a Sync."""
        return self.ledger.sync(name, told, self.loop.unix_ms())

    def _answer(self, name: str, answer: Decided) -> None:
        self.network.send(self._by_name[name].answered, answer)
        for recall in answer.recalls:
            to = self._by_name[recall.sidecar_id]
            self.network.send(to.recalled, recall.key, recall.keep_nano_usd)
        for one in sorted(answer.nudges):
            self.network.send(self._by_name[one].nudged)
        for left in answer.lefts:
            for one in left.sidecar_ids:
                self.network.send(self._by_name[one].left, left)
        for offer in answer.offers:
            self.network.send(self._by_name[offer.sidecar_id].offered, offer)

    def _beat(self) -> None:
        for name, one in self._by_name.items():
            if self.ledger.waits(name, self.loop.unix_ms()):
                self.network.send(one.beat)
        self.loop.after(BEAT_US, self._beat)

    def _sample(self) -> None:
        truth, run = self.truth, self.run
        truth.sample([call for one in self.sidecars for call in one.planned.values()])
        self.loop.after(SAMPLE_US, self._sample)
        if self.loop.now_us < self._turn_us:
            return
        share = max(truth.billed[budget] / cap for budget, cap in truth.caps.items())
        if run.half is None and share >= 0.5:
            run.half = self._progress()
        if run.nine_tenths is None and share >= 0.9:
            run.nine_tenths = self._progress()
        if truth.refused and not run.idle_at_refusal:
            run.idle_at_refusal = self.idle_share()
        if truth.opened_us > run.last_opened.at_us:
            run.last_opened = self._progress()

    def _progress(self) -> Progress:
        return Progress(
            passed=self.truth.opened_calls,
            ended=len(self.truth.passed),
            syncs=sum(one.sent_syncs for one in self.sidecars),
            money_syncs=sum(one.money_syncs for one in self.sidecars),
            need_syncs=sum(one.need_syncs for one in self.sidecars),
            at_us=self.loop.now_us,
        )

    def idle_share(self) -> float:
        """Which part of all caps lies idle in leases."""
        idle = sum(lease.available_nano_usd for one in self.sidecars for lease in one.allowance)
        return idle / sum(self.truth.caps.values())


def budget_of(name: str, cap: int, selector: Selector) -> Budget:
    """A monthly budget as the control plane has it."""
    return Budget(
        budget_id=name,
        display_name=name,
        selector=selector,
        split_by="",
        window="month",
        time_zone="UTC",
        anchor_day=1,
        cap_nano_usd=cap,
        cap_version=1,
        max_offline_ms=300_000,
        offline_until_unix_ms=0,
        created_unix_ms=NOON,
        archived_unix_ms=None,
        version=1,
    )


def ledger_of(case: Case) -> Ledger:
    """The control plane of a case, with nothing spent."""
    budgets = [budget_of(name, cap, case.selectors[name]) for name, cap in case.caps.items()]
    windows = [(PERIOD, BEGINS, TURNS)]
    if case.before is not None:
        windows.append((NEXT_PERIOD, TURNS, ENDS))
    periods = [
        PeriodState(
            key=PeriodKey(budget.budget_id, "", period_id),
            start_unix_ms=start_unix_ms,
            end_unix_ms=end_unix_ms,
            cap_nano_usd=budget.cap_nano_usd,
            cap_version=1,
            allocated_nano_usd=0,
            spent_nano_usd=0,
            orphan_hold_nano_usd=0,
            serial=0,
            open=True,
        )
        for budget in budgets
        for period_id, start_unix_ms, end_unix_ms in windows
    ]
    return Ledger(budgets, periods, NOON)


def policy_of(case: Case) -> Policy:
    """What every sidecar of a case knows."""
    known = [
        KnownBudget(name, name, selector, "", capped=True, cap_version=1)
        for name, selector in case.selectors.items()
    ]
    projects = {selector.project_id for selector in case.selectors.values()} | {"client"}
    return policy(*known, projects=tuple(project(name) for name in sorted(projects) if name))
