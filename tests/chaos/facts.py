"""What is known after a round: plain values, gathered from outside of what is judged.

The provider's bill is the truth. What callers saw and what administrators were told is known here
first hand; the ledger, the periods and the leases are what the control plane says.
"""

from dataclasses import dataclass, field

from tests.chaos.caller import Answer, Asked


@dataclass(frozen=True)
class Made:
    """A call that was made."""

    asked: Asked
    sidecar: str
    """Whom it was sent to, by the name that no other sidecar ever has."""
    project_id: str
    key_id: str
    budgets: tuple[str, ...]
    """The capped budgets that count it, by what was set up and not by what was booked."""
    answer: Answer
    overbilled: bool = False
    """The provider was asked to bill more than the request allows."""


@dataclass(frozen=True)
class Billed:
    """A call on the provider's bill."""

    tag: str
    request_id: str
    started_ns: int
    """When the provider had the request, on the monotonic clock."""
    ended_ns: int
    outcome: str
    """done, error, hung_up or client_gone."""
    status: int
    streamed: bool
    cost_nano_usd: int
    worst_nano_usd: int
    """The most that the request allowed, over-billing aside."""

    @property
    def overrun_nano_usd(self) -> int:
        """What was billed beyond what the request allowed."""
        return max(0, self.cost_nano_usd - self.worst_nano_usd)


@dataclass(frozen=True)
class Booked:
    """A call in the ledger."""

    call_id: str
    tag: str
    cost_nano_usd: int
    estimated: bool
    outcome: str
    request_id: str
    """The provider's id; empty where no answer was seen."""


@dataclass(frozen=True)
class Standing:
    """A budget's period, as the control plane tells it."""

    spent_nano_usd: int
    leased_nano_usd: int
    held_nano_usd: int
    overrun_nano_usd: int
    orphaned_nano_usd: int
    lump_nano_usd: int = 0
    """Of what is spent: what was charged for calls that can never be told."""


@dataclass(frozen=True)
class Leased:
    """A lease, as the control plane tells it."""

    budget_id: str
    sidecar_id: str
    outstanding_nano_usd: int
    held_nano_usd: int
    state: str


@dataclass(frozen=True)
class Span:
    """A stretch of time on the monotonic clock."""

    from_ns: int
    to_ns: int

    def meets(self, from_ns: int, to_ns: int) -> bool:
        """Whether two stretches have an instant in common."""
        return self.from_ns <= to_ns and from_ns <= self.to_ns


@dataclass(frozen=True)
class Killed(Span):
    """A process was ended by SIGKILL within it: from before the signal until it was gone."""


@dataclass(frozen=True)
class Promise:
    """What an administrator was told: by when a change binds, reachable or not."""

    what: str
    at_ns: int
    """The promised instant, on the monotonic clock."""
    key_id: str = ""
    """A key with which no call starts afterwards,"""
    sidecar: str = ""
    """or a sidecar through which none does,"""
    budget_id: str = ""
    """or a budget of which no more than a cap is spent once a call starts afterwards,"""
    cap_nano_usd: int = 0
    until_ns: int = 2**63
    """until its cap is changed again."""


@dataclass
class Facts:
    """Everything that a judgement rests on."""

    made: dict[str, Made] = field(default_factory=dict)
    billed: list[Billed] = field(default_factory=list)
    booked: list[Booked] = field(default_factory=list)
    mode: str = "NORMAL"
    """What the control plane says of itself: NORMAL, or LEARNING while it may grant nothing."""
    in_flight: int = 0
    """Calls that the provider still has open."""
    ceilings: dict[str, int] = field(default_factory=dict)
    """What may be spent of each budget: its cap, or what was allocated when it was lowered."""
    budget_bills: dict[str, int] = field(default_factory=dict)
    """What the provider billed for each budget in all."""
    budget_overruns: dict[str, int] = field(default_factory=dict)
    """Of that, what was billed above worst cases because it was asked for."""
    standings: dict[str, Standing] = field(default_factory=dict)
    leases: list[Leased] = field(default_factory=list)
    deaths: dict[str, list[Span]] = field(default_factory=dict)
    """By sidecar: when it was killed, or took no records until it began anew."""
    stops: dict[str, list[Span]] = field(default_factory=dict)
    """By sidecar: from when it was told to end in order until it had."""
    bad_lines: list[Span] = field(default_factory=list)
    """When connections to the provider were cut."""
    silenced: dict[str, list[Span]] = field(default_factory=dict)
    """By sidecar: when the calls were made that it can tell nothing of any more, because its
    journal was lost. What they cost is set aside, or charged as a lump."""
    silenced_budgets: frozenset[str] = frozenset()
    """Budgets that calls through those sidecars were counted for."""
    promises: list[Promise] = field(default_factory=list)
    alarms: list[tuple[str, str]] = field(default_factory=list)
    """Who raised it, and its name."""
    expected_alarms: frozenset[str] = frozenset()
    whole: bool = False
    """These are the facts of all rounds, so that sums can be made of them."""
