"""A statement: what one client's closed month cost and brought, frozen once for good.

Rules:

1. A month is that of the client's time zone and can be frozen when it is over. What is frozen holds
   all that any rendering shows, as whole numbers and texts; its SHA-256 is over canonical JSON.
2. A version never changes after it was approved. Late usage and corrections make the next version,
   which says by how much it differs; an older one is rendered from what was frozen.
3. A client sees what he is charged, when a rate card held in the month, and never what it cost the
   agency then; else he sees what providers charge.
4. A worth is shown only where somebody agreed to it, and from ten units on.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from enum import StrEnum
from types import UnionType
from typing import Any, Final, TypeVar, get_args, get_origin, get_type_hints

from control_plane.core.usage import Sums
from protos.values.errors import FailedPreconditionError

FORMAT: Final = 1
"""Of the frozen value; a reader knows all that were ever written."""
UNITS_MIN: Final = 10
"""With fewer units a worth says nothing."""
T = TypeVar("T")


class State(StrEnum):
    """How far a statement is."""

    DRAFT = "DRAFT"
    APPROVED = "APPROVED"
    """It goes out when it is due."""
    SENT = "SENT"
    SUPERSEDED = "SUPERSEDED"
    """A later version took its place before it was sent."""


class Step(StrEnum):
    """What may be done with one."""

    NOTE = "NOTE"
    APPROVE = "APPROVE"
    SEND = "SEND"
    SUPERSEDE = "SUPERSEDE"


STEPS: Final[Mapping[tuple[State, Step], State]] = {
    (State.DRAFT, Step.NOTE): State.DRAFT,
    (State.DRAFT, Step.APPROVE): State.APPROVED,
    (State.DRAFT, Step.SUPERSEDE): State.SUPERSEDED,
    (State.APPROVED, Step.SEND): State.SENT,
    (State.APPROVED, Step.SUPERSEDE): State.SUPERSEDED,
}
"""Every step that exists."""


def step(state: State, what: Step) -> State:
    """The state after a step. Refuses one that the table does not hold."""
    after = STEPS.get((state, what))
    if after is None:
        hint = {
            Step.SEND: "approve it first",
            Step.NOTE: "build a new version",
            Step.APPROVE: "only a draft can be approved",
        }.get(what, "look at its newest version")
        raise FailedPreconditionError(
            f"the statement is {state.value.lower()}: {hint}", state=state.value
        )
    return after


@dataclass(frozen=True, slots=True)
class Month:
    """A closed month of a client."""

    name: str
    """Such as 2026-10."""
    start_unix_ms: int
    end_unix_ms: int
    time_zone: str


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums that a statement shows."""

    call_count: int = 0
    failed_count: int = 0
    estimated_count: int = 0
    input_count: int = 0
    output_count: int = 0
    cost_nano_usd: int = 0
    charge_nano_usd: int = 0
    charged_cost_nano_usd: int = 0

    @property
    def tokens_per_call(self) -> int:
        """Prompt and answer together, rounded to the nearest."""
        return _nearest(self.input_count + self.output_count, self.call_count)

    @property
    def success_mille(self) -> int | None:
        """Calls that ended well, of a thousand, rounded down; None without calls."""
        if not self.call_count:
            return None
        return (self.call_count - self.failed_count) * 1_000 // self.call_count


@dataclass(frozen=True, slots=True)
class Latency:
    """How long calls that ended well took, within a tenth."""

    p50_ms: int
    p95_ms: int


@dataclass(frozen=True, slots=True)
class WorkflowLine:
    """One workflow's month."""

    workflow: str
    """Empty for calls without one; see `folded_count`."""
    totals: Totals
    latency: Latency | None
    refused_count: int
    folded_count: int = 0
    """How many small workflows are summed here, when there are too many for a page each."""


@dataclass(frozen=True, slots=True)
class ModelLine:
    """One model's month."""

    provider: str
    model: str
    totals: Totals
    latency: Latency | None
    folded_count: int = 0


@dataclass(frozen=True, slots=True)
class MonthLine:
    """A month of the trend; amounts as its own ledger has them now."""

    name: str
    cost_nano_usd: int
    charge_nano_usd: int
    call_count: int


@dataclass(frozen=True, slots=True)
class RefusedLine:
    """Calls that were refused for one reason."""

    workflow: str
    reason: str
    budget_name: str
    refused_count: int
    first_unix_ms: int
    last_unix_ms: int


@dataclass(frozen=True, slots=True)
class Incident:
    """Something that somebody was woken for."""

    what: str
    opened_unix_ms: int
    acknowledged_unix_ms: int | None
    resolved_unix_ms: int | None


@dataclass(frozen=True, slots=True)
class Cap:
    """The client's monthly cap, by what providers charge."""

    budget_name: str
    cap_nano_usd: int
    spent_nano_usd: int

    @property
    def left_nano_usd(self) -> int:
        """What was not spent of it."""
        return max(0, self.cap_nano_usd - self.spent_nano_usd)

    @property
    def used_percent(self) -> int:
        """What was spent of it, rounded down."""
        return self.spent_nano_usd * 100 // self.cap_nano_usd if self.cap_nano_usd else 100


@dataclass(frozen=True, slots=True)
class Worth:
    """What a workflow brought, by what somebody agreed to."""

    workflow: str
    unit: str
    units: str
    """The unit's plural."""
    unit_count: int
    seconds_per_unit: int
    agreed_by: str
    agreed_on: str
    """A date, such as 2026-03-02."""
    amount_nano_usd: int
    """What the workflow cost, as the client sees it."""

    @property
    def per_unit_nano_usd(self) -> int:
        """Rounded to the nearest nano-dollar."""
        return _nearest(self.amount_nano_usd, self.unit_count)

    @property
    def saved_seconds(self) -> int:
        """Of work that was not done by hand."""
        return self.unit_count * self.seconds_per_unit


@dataclass(frozen=True, slots=True)
class Ahead:
    """What the running month will come to by the shape of the weeks before, by provider cost."""

    month: str
    low_nano_usd: int
    expected_nano_usd: int
    high_nano_usd: int
    proposed_cap_nano_usd: int | None
    """A cap that covers it; None where the one that holds does."""


@dataclass(frozen=True, slots=True)
class Coming:
    """A price that changes for a model that the client uses."""

    provider: str
    model: str
    from_unix_ms: int
    effect_nano_usd: int
    """What the month would have cost more by it; negative when it gets cheaper."""
    is_retired: bool = False
    """The model is not served any more from then on; its price does not matter."""
    replacement: str = ""
    """The model that takes its place; empty when none was named."""


@dataclass(frozen=True, slots=True)
class Brand:
    """How the agency shows itself."""

    agency: str = ""
    colour: str = "#1d6ff2"
    logo_type: str = ""
    """image/png or image/jpeg; empty without a logo."""
    logo_base64: str = ""
    note: str = ""
    """Stands at the end of every statement."""
    names_bursar: bool = False
    """Whether the software may be named."""


@dataclass(frozen=True, slots=True)
class Difference:
    """How a version differs from the one before it."""

    version: int
    """The one before."""
    sha256: str
    call_count: int
    cost_nano_usd: int
    charge_nano_usd: int


@dataclass(frozen=True, slots=True)
class Statement:
    """All that is frozen."""

    format: int
    statement_id: str
    version: int
    project_id: str
    client: str
    month: Month
    as_of_unix_ms: int
    """When it was frozen."""
    shows_charges: bool
    """Whether amounts are what the client is charged, and not what providers charge."""
    totals: Totals
    before: Totals | None
    """The month before; None when there was none."""
    latency: Latency | None
    months: tuple[MonthLine, ...]
    """Up to a year, this one last."""
    workflows: tuple[WorkflowLine, ...]
    models: tuple[ModelLine, ...]
    refusals: tuple[RefusedLine, ...]
    incidents: tuple[Incident, ...]
    cap: Cap | None
    worths: tuple[Worth, ...]
    ahead: Ahead | None
    coming: tuple[Coming, ...]
    brand: Brand
    note: str
    """Of the account manager, for this client."""
    difference: Difference | None
    lines_sha256: str
    """Of the lines by kind, which are kept beside it."""

    def amount(self, of: Totals | MonthLine) -> int:
        """What the client sees of a sum, in nano-dollars."""
        return of.charge_nano_usd if self.shows_charges else of.cost_nano_usd


def totals_from(sums: Sums) -> Totals:
    """Sums of the roll-up, as they are frozen."""
    return Totals(**{field.name: getattr(sums, field.name) for field in fields(Totals)})


def canonical(value: Any) -> bytes:
    """The one way in which a value is written: sorted keys, no spaces, UTF-8, whole numbers."""
    text = json.dumps(
        _plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return text.encode()


def sha256_of(frozen: bytes) -> str:
    """The digest by which a frozen value is known."""
    return hashlib.sha256(frozen).hexdigest()


def read(frozen: bytes) -> Statement:
    """A statement as it was frozen."""
    made = _made(Statement, json.loads(frozen))
    assert isinstance(made, Statement)
    return made


def read_month(frozen: bytes) -> Month:
    """The month alone of a statement as it was frozen, for a fraction of the time."""
    return Month(**json.loads(frozen)["month"])


def delivery_seed(statement: Statement, address: str) -> bytes:
    """What a mail of a version to an address is known by, however often it is made."""
    text = f"{statement.statement_id}/{statement.version}/{address.lower()}"
    return hashlib.sha256(text.encode()).digest()


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, (tuple, list)):
        return [_plain(each) for each in value]
    assert value is None or isinstance(value, (str, int)), "whole numbers and texts alone"
    return value


def _made(kind: Any, value: Any) -> Any:
    """A value of a type from plain JSON."""
    if isinstance(kind, UnionType):
        if value is None:
            return None
        [kind] = [one for one in get_args(kind) if one is not type(None)]
    if get_origin(kind) is tuple:
        return tuple(_made(get_args(kind)[0], each) for each in value)
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        assert isinstance(kind, type)
        return kind(**{name: _made(hints[name], value[name]) for name in value})
    return value


def _nearest(amount: int, parts: int) -> int:
    """Divide, rounding to the nearest."""
    return (2 * amount + parts) // (2 * parts) if parts else 0
