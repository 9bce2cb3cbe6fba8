"""A call on its way through a sidecar: what it asks for, what it holds, how it ended."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from protos.telemetry.traces import Started
from protos.values.quick import quick
from protos.values.selectors import Attributes


@quick
@dataclass(frozen=True, slots=True)
class Bound:
    """The most that a call can cost, as a function of the limit on its output.

    worst = input_worst_nano_usd + ceil(choices x output limit x output_rate_pico_usd / 1000),
    over all price versions in force until now + the longest call, at the dearest reachable rates.
    """

    input_worst_nano_usd: int
    """Bound on everything but the output, in nano-dollars."""
    output_rate_pico_usd: int
    """The dearest reachable rate of output, in pico-dollars per token; 0 without output."""
    choices: int
    """How many answers are asked for at once."""
    output_max: int
    """Tokens of output that the model writes at most per answer; 0 for embeddings."""
    output_limit: int | None
    """The caller's own limit per answer, already at most output_max; None when it set none."""
    output_default: int | None = None
    """The limit per answer that is put on the wire when its caller set none, less than output_max;
    None for none."""
    clamps: bool = True
    """Near a cap a smaller limit may be put on the wire, when its caller set none."""
    unbilled: bool = False
    """The provider bills no call of this surface, whatever it answers."""
    input_tokens: int = 0
    """The most tokens of its prompt."""

    @property
    def is_free(self) -> bool:
        """Whether the call costs nothing by its prices. A bill may say otherwise: an overrun."""
        return not (self.input_worst_nano_usd or (self.output_max and self.output_rate_pico_usd))

    @property
    def output_most(self) -> int:
        """Tokens of output per answer that the call can have, unless it is clamped further."""
        if self.output_limit is not None:
            return self.output_limit
        return self.output_max if self.output_default is None else self.output_default

    @property
    def tokens(self) -> int:
        """The most tokens that the call can use, read and written."""
        return self.input_tokens + self.choices * self.output_most

    def worst_nano_usd(self, output_count: int) -> int:
        """The worst case when each answer is limited to so many tokens."""
        output_pico_usd = self.choices * output_count * self.output_rate_pico_usd
        return self.input_worst_nano_usd + -(-output_pico_usd // 1000)


NO_COST = Bound(
    input_worst_nano_usd=0,
    output_rate_pico_usd=0,
    choices=1,
    output_max=0,
    output_limit=None,
    unbilled=True,
)
"""The bound of a call that its provider bills nothing for."""


@quick
@dataclass(frozen=True, slots=True)
class NewCall:
    """A call that asks to be admitted."""

    attributes: Attributes
    """What it is counted by."""
    secret_id: str
    """Which of the key's secrets it came with."""
    provider: str
    """The provider that it goes to."""
    surface: str
    """The path, without the attribution prefix."""
    alias: str
    """What the caller wrote, when it was an alias of the model; else empty."""
    execution: str
    """The workflow's execution; may be empty."""
    step: str
    """The step within the workflow; may be empty."""
    streamed: bool
    """Whether the answer is to be streamed."""
    price_version: str
    """The price book version in force at its start."""
    bound: Bound
    """The most that it can cost."""
    parent_call_id: str = ""
    """The call whose retry or fallback this is."""
    routed: str = ""
    """Why it goes to another model than the one that was named; empty when it does not."""
    provider_secret_id: str = ""
    """Which secret at the provider it is made with."""
    trace: Started | None = None
    """The span that is recorded of it; None for most calls."""


@quick
@dataclass(frozen=True, slots=True)
class Hold:
    """Money set aside for one call, from every matching lease; its OPEN is durable."""

    call_id: str
    call: NewCall
    worst_nano_usd: int
    """What is held."""
    output_limit: int | None
    """The limit that must go on the wire: a default, or one that was clamped further; None leaves
    the request as it is."""
    started_unix_ms: int
    """When it was admitted, by the wall clock."""
    waited_ms: int = 0
    """How long it waited for money before."""


class Outcome(Enum):
    """How a call ended; the names of the ledger."""

    OK = "ok"
    PROVIDER_ERROR = "provider_error"
    CLIENT_GONE = "client_gone"
    BROKEN = "broken"
    TIMEOUT = "timeout"
    LOST = "lost"
    NOT_SENT = "not_sent"


@quick
@dataclass(frozen=True, slots=True)
class Settlement:
    """What became of a call that held money."""

    outcome: Outcome
    cost_nano_usd: int = 0
    """What the provider charges; may be above the worst case (an overrun)."""
    estimated: bool = False
    """The usage was not seen; the cost is a bound."""
    cost_told: bool = False
    """The cost is what the provider said in money."""
    quantities: Mapping[str, int] = field(default_factory=dict)
    """What was used, by kind."""
    answered_model: str = ""
    """The model that the provider says it used."""
    tier: str = ""
    """The service tier that the provider says it used."""
    variant: str = ""
    """The variant of the price that it was charged by."""
    price_version: str = ""
    """The price that it was charged by, where that is another than at its start; else empty."""
    status: int = 0
    """The provider's HTTP status; 0 when there was none."""
    error_kind: str = ""
    """What went wrong, in a word; empty when nothing did."""
    first_byte_ms: int = 0
    """From dispatch to the first byte of the answer; 0 when there was none."""
    provider_request_id: str = ""
    """The provider's own id of the request."""
