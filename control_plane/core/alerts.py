"""What an alert is: its rules as a table, its states as a table, and how grave it is.

Rules of the house of alerts:

1. A rule finds things (`Finding`); the alert of a finding is told from others by rule and subject.
   A rule that tells once (a threshold of one version of a cap) never tells of a subject again.
2. What was not looked at neither opens nor resolves anything: where a sidecar is silent the alerts
   that rest on its data freeze.
3. An acknowledgement ends the escalation until it gets worse or a shift of four hours is over.
4. Of alerts about one thing only the one of the highest rank speaks, unless another is graver.
5. A person may resolve an alert; while its condition goes on it stays quiet, until it is graver.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Final

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS
ACKNOWLEDGED_FOR_MS: Final = 4 * HOUR_MS
"""An acknowledgement lapses after so long: whoever took it may have gone home."""

Fact = str | int
"""What an alert may tell of its cause; never a secret."""


class Severity(IntEnum):
    """How grave: the smaller the graver."""

    P1 = 1
    """Wakes somebody."""
    P2 = 2
    """Answered within four hours of work."""
    P3 = 3
    """Answered by the next working day."""
    P4 = 4
    """Read with the morning's digest."""


class Rule(StrEnum):
    """What is watched; the values are words of the protocol and never change."""

    THRESHOLD = "budget.threshold"
    STOPPED = "budget.stopped"
    TIME_TO_CAP = "spend.time_to_cap"
    FORECAST = "spend.forecast"
    ERROR_RATE = "error.rate"
    OUTAGE = "provider.outage"
    LATENCY = "latency.p95"
    MARGIN = "margin.underwater"
    PRICE = "price.change"
    RETIRING = "model.retiring"
    SILENT = "sidecar.silent"
    ORPHANED = "money.orphaned"
    DELIVERY = "delivery.failed"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class Terms:
    """How alerts of a rule behave."""

    once: bool = False
    """A subject is told of once, whatever comes after."""
    holds_ms: int = 0
    """So long it must hold before anybody is told."""
    clears_ms: int = 0
    """So long it must be gone before it is resolved."""
    from_calls: bool = False
    """It rests on what sidecars report, so it freezes where one is silent."""
    worse_ratio: int = 0
    """It is worse when its measure is so many times what it was when answered; 0: never."""


TERMS: Final[Mapping[Rule, Terms]] = {
    Rule.THRESHOLD: Terms(once=True, from_calls=True),
    Rule.STOPPED: Terms(from_calls=True, worse_ratio=10),
    Rule.TIME_TO_CAP: Terms(clears_ms=15 * MINUTE_MS, from_calls=True),
    Rule.FORECAST: Terms(holds_ms=6 * HOUR_MS, clears_ms=6 * HOUR_MS, from_calls=True),
    Rule.ERROR_RATE: Terms(clears_ms=15 * MINUTE_MS, from_calls=True, worse_ratio=4),
    Rule.OUTAGE: Terms(clears_ms=15 * MINUTE_MS, from_calls=True),
    Rule.LATENCY: Terms(holds_ms=30 * MINUTE_MS, clears_ms=30 * MINUTE_MS, from_calls=True),
    Rule.MARGIN: Terms(clears_ms=DAY_MS, from_calls=True, worse_ratio=4),
    Rule.PRICE: Terms(once=True),
    Rule.RETIRING: Terms(),
    Rule.SILENT: Terms(),
    Rule.ORPHANED: Terms(worse_ratio=4),
    Rule.DELIVERY: Terms(),
    Rule.TEST: Terms(once=True, clears_ms=HOUR_MS),
}
"""Every rule. A model that is retired is told of anew at 30 and at 7 days, because it is graver."""


class State(StrEnum):
    """Where an alert stands."""

    PENDING = "PENDING"
    """It holds, but not for long enough to tell."""
    OPEN = "OPEN"
    ACKNOWLEDGED = "ACKNOWLEDGED"
    RESOLVED = "RESOLVED"


class Event(StrEnum):
    """What happens to an alert."""

    FOUND = "FOUND"
    """It has held for long enough."""
    WORSE = "WORSE"
    """It is graver, or its measure has multiplied."""
    EASED = "EASED"
    """It has been less grave for long enough."""
    GONE = "GONE"
    """It has been gone for long enough."""
    ACKNOWLEDGE = "ACKNOWLEDGE"
    LAPSE = "LAPSE"
    """The acknowledgement is too old."""
    RESOLVE = "RESOLVE"
    """A person says that it is done."""
    ESCALATE = "ESCALATE"
    """Nobody answered: the next one is told."""


class Effect(StrEnum):
    """What follows from a transition."""

    BEGIN_ROUND = "BEGIN_ROUND"
    """The owner is told, and the clock of answers begins."""
    END_ROUND = "END_ROUND"
    """Nobody further is told."""
    TELL_OVER = "TELL_OVER"
    """Those who were told hear that it is over."""


TRANSITIONS: Final[Mapping[tuple[State, Event], tuple[State, tuple[Effect, ...]]]] = {
    (State.PENDING, Event.FOUND): (State.OPEN, (Effect.BEGIN_ROUND,)),
    (State.PENDING, Event.GONE): (State.RESOLVED, ()),
    (State.OPEN, Event.WORSE): (State.OPEN, (Effect.BEGIN_ROUND,)),
    (State.OPEN, Event.EASED): (State.OPEN, ()),
    (State.OPEN, Event.ESCALATE): (State.OPEN, ()),
    (State.OPEN, Event.ACKNOWLEDGE): (State.ACKNOWLEDGED, (Effect.END_ROUND,)),
    (State.OPEN, Event.GONE): (State.RESOLVED, (Effect.END_ROUND, Effect.TELL_OVER)),
    (State.OPEN, Event.RESOLVE): (State.RESOLVED, (Effect.END_ROUND, Effect.TELL_OVER)),
    (State.ACKNOWLEDGED, Event.WORSE): (State.OPEN, (Effect.BEGIN_ROUND,)),
    (State.ACKNOWLEDGED, Event.EASED): (State.ACKNOWLEDGED, ()),
    (State.ACKNOWLEDGED, Event.LAPSE): (State.OPEN, (Effect.BEGIN_ROUND,)),
    (State.ACKNOWLEDGED, Event.ACKNOWLEDGE): (State.ACKNOWLEDGED, ()),
    (State.ACKNOWLEDGED, Event.GONE): (State.RESOLVED, (Effect.TELL_OVER,)),
    (State.ACKNOWLEDGED, Event.RESOLVE): (State.RESOLVED, (Effect.TELL_OVER,)),
}
"""What may happen; what is not here does not."""

LIVE: Final = frozenset({State.OPEN, State.ACKNOWLEDGED})
"""States in which an alert is shown as going on."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that a rule sees at an instant."""

    rule: Rule
    subject: str
    """Tells it from others of its rule; at most limits.ALERT_SUBJECT_CHARACTERS_MAX."""
    project_id: str
    """The client; empty for what concerns the agency."""
    severity: Severity
    measure: int = 0
    """What grows when it gets worse."""
    facts: Mapping[str, Fact] = field(default_factory=dict)
    """What its text is made of, by name; names of amounts end in _nano_usd."""
    group: str = ""
    """What it is about, when several rules can be about the same; empty for nothing else."""
    rank: int = 0
    """Which of a group speaks: the highest."""


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert, from when it is found until it is over."""

    alert_id: str
    rule: Rule
    subject: str
    project_id: str
    severity: Severity
    state: State
    found_unix_ms: int
    """Since when it has held."""
    measure: int = 0
    facts: Mapping[str, Fact] = field(default_factory=dict)
    group: str = ""
    rank: int = 0
    opened_unix_ms: int = 0
    """When it was first told, or was to be; 0 while it is pending."""
    gone_unix_ms: int = 0
    """Since when it has been gone, or less grave; 0 while it holds."""
    answered_by: str = ""
    """The principal who acknowledged or resolved it; empty for nobody."""
    answered_unix_ms: int = 0
    answered_measure: int = 0
    """Its measure when it was answered, or when it opened."""
    note: str = ""
    """What the one who answered said."""
    resolved_unix_ms: int = 0
    holds: bool = True
    """Whether its condition went on when it was last looked at."""
    muted_by: str = ""
    """The alert that speaks for it; empty when it speaks for itself."""
    round_unix_ms: int = 0
    """When the round of telling began that goes on; 0 when none does."""
    steps_done: int = 0
    """Steps of that round that were taken."""
    told: bool = False
    """Whether anybody was told of it."""
    client_told: bool = False
    version: int = 1
    """Rises with every change that people see."""

    @property
    def key(self) -> tuple[Rule, str]:
        """What tells it from all others that go on."""
        return self.rule, self.subject

    @property
    def is_live(self) -> bool:
        """Whether it goes on."""
        return self.state in LIVE


@dataclass(frozen=True, slots=True)
class Happening:
    """One line of an alert's history."""

    alert_id: str
    at_unix_ms: int
    event: Event
    state: State
    """After it."""
    severity: Severity
    detail: str = ""
    """Who, or why; in plain words."""


def step(alert: Alert, event: Event) -> tuple[State, tuple[Effect, ...]] | None:
    """Where an event leads, and what follows; None when it changes nothing there."""
    return TRANSITIONS.get((alert.state, event))
