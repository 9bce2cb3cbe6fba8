"""What really was spent and held, as nobody in the system can see it at once.

A refusal is judged by it: a call *could have been paid* while every one of its budgets had
cap - billed - in flight >= its worst case. That is sampled every 100 ms for all calls that wait.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

SAMPLE_US = 100_000
PAYABLE_SAMPLES = 10
"""A call whose last second of waiting was payable throughout was refused without need."""


@dataclass(slots=True)
class Planned:
    """A call that somebody makes."""

    number: int
    sidecar: int
    worst: int
    """What it may cost, in nano-dollars."""
    cost: int
    """What the provider will bill."""
    lasts_us: int
    budgets: tuple[str, ...]
    """What it is charged to, by rising name."""
    project: str
    workflow: str
    came_us: int = 0
    opened_us: int = 0
    payable_samples: int = 0
    """For how many samples up to now it could have been paid without a break."""
    longest_samples: int = 0
    """The most that ever were."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A call that was refused."""

    call: Planned
    at_us: int
    reason: str
    payable: bool
    """It could have been paid: at this instant, and if it waited, for its whole last second."""
    shares: Mapping[str, float]
    """Of each of its budgets, the share of the cap that was billed by then."""


@dataclass
class Truth:
    """The outside view of all budgets."""

    caps: dict[str, int]
    billed: dict[str, int] = field(default_factory=dict)
    in_flight: dict[str, int] = field(default_factory=dict)
    most_over: int = 0
    """The most that any budget's bill was above its cap."""
    most_committed_over: int = 0
    """The same, with everything that was in flight at its worst case."""
    passed: list[Planned] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    opened_calls: int = 0
    opened_us: int = 0
    """When the latest call went out."""
    turned_us: int = 0
    """When the window turned; 0 while it did not."""
    billed_before: dict[str, int] = field(default_factory=dict)
    """What calls that were opened before the turn were billed."""
    refused_before: list[Refused] = field(default_factory=list)
    """Calls that were refused before it."""

    def __post_init__(self) -> None:
        self.billed = dict.fromkeys(self.caps, 0)
        self.in_flight = dict.fromkeys(self.caps, 0)

    def turn(self, now_us: int) -> None:
        """A new window begins with nothing spent; what was opened before stays charged to the old.

        From now on everything here tells of the new one, but for the most that a cap was passed.
        """
        self.turned_us = now_us
        self.billed_before, self.refused_before = self.billed, self.refused
        self.billed = dict.fromkeys(self.caps, 0)
        self.in_flight = dict.fromkeys(self.caps, 0)
        self.passed, self.refused = [], []

    def fits(self, call: Planned) -> bool:
        """Whether the call could be paid now, if all that is idle were in its hands."""
        caps, billed, in_flight = self.caps, self.billed, self.in_flight
        return all(caps[b] - billed[b] - in_flight[b] >= call.worst for b in call.budgets)

    def opened(self, call: Planned, now_us: int) -> None:
        """A call goes to the provider."""
        call.opened_us = self.opened_us = now_us
        self.opened_calls += 1
        for budget in call.budgets:
            self.in_flight[budget] += call.worst
            over = self.billed[budget] + self.in_flight[budget] - self.caps[budget]
            self.most_committed_over = max(self.most_committed_over, over)

    def ended(self, call: Planned) -> None:
        """The provider billed a call."""
        of_old = call.opened_us < self.turned_us
        billed = self.billed_before if of_old else self.billed
        for budget in call.budgets:
            billed[budget] += call.cost
            self.most_over = max(self.most_over, billed[budget] - self.caps[budget])
        if of_old:
            return
        for budget in call.budgets:
            self.in_flight[budget] -= call.worst
        self.passed.append(call)

    def was_refused(self, call: Planned, now_us: int, reason: str) -> None:
        """A call was turned away."""
        waited_samples = (now_us - call.came_us) // SAMPLE_US
        enough = call.payable_samples >= min(PAYABLE_SAMPLES, waited_samples)
        shares = {budget: self.billed[budget] / self.caps[budget] for budget in call.budgets}
        payable = self.fits(call) and enough
        self.refused.append(Refused(call, now_us, reason, payable, shares))

    def sample(self, waiting: Collection[Planned]) -> None:
        """Look whether the calls that wait could be paid."""
        room = {b: self.caps[b] - self.billed[b] - self.in_flight[b] for b in self.caps}
        for call in waiting:
            if all(room[budget] >= call.worst for budget in call.budgets):
                call.payable_samples += 1
                call.longest_samples = max(call.longest_samples, call.payable_samples)
            else:
                call.payable_samples = 0
