"""What a sidecar's journal tells the ledger: calls, and what became of their money."""

from collections.abc import Mapping
from dataclasses import dataclass

from control_plane.core.leases import BudgetRef, LeaseKey
from protos.values.quick import quick

OUTCOMES = ("ok", "provider_error", "client_gone", "broken", "timeout", "lost", "not_sent")
"""How a call may have ended, in the words of the ledger."""
ENDED_WELL = "ok"
"""The outcome of a call whose answer was seen to its end."""
WELL = frozenset({ENDED_WELL, "client_gone"})
"""Outcomes that are no failure of the provider or of this program."""


@quick
@dataclass(frozen=True, slots=True)
class Call:
    """One attempt at a provider, whole."""

    call_id: str
    started_unix_ms: int
    """When it was admitted, by the sidecar's wall clock."""
    ended_unix_ms: int
    """When its last byte was seen."""
    project_id: str
    key_id: str
    secret_id: str
    workflow: str
    execution: str
    step: str
    region: str
    provider: str
    surface: str
    """The path, without the attribution prefix."""
    requested_model: str
    answered_model: str
    alias: str
    tier: str
    streamed: bool
    outcome: str
    """One of OUTCOMES."""
    error_kind: str
    status: int
    """The provider's HTTP status; 0 when there was none."""
    first_byte_ms: int
    quantities: Mapping[str, int]
    """What was used, by kind."""
    price_version: str
    worst_nano_usd: int
    """What was held."""
    cost_nano_usd: int
    """What the provider charges."""
    estimated: bool
    """The usage was not seen; the cost is a bound."""
    parent_call_id: str
    provider_request_id: str
    clamped_output_count: int
    vector: tuple[LeaseKey, ...]
    """The leases it was opened on, by rising key: it is charged to exactly these."""
    counted: tuple[BudgetRef, ...]
    """Budgets that count it without a lease: those without a cap, and all of a free call."""
    variant: str = ""
    """The variant of the price that it was charged by; empty for the standard rates."""
    cost_told: bool = False
    """The cost is what the provider said in money, which no price sets right."""
    routed: str = ""
    """Why it went to another model than the one that was named; empty when it did not."""
    provider_secret_id: str = ""
    """Which secret at the provider it was made with."""


@quick
@dataclass(frozen=True, slots=True)
class Settle:
    """A call reached its cost."""

    seq: int
    call: Call
    amount_nano_usd: int
    """What is taken from every lease: the cost, but at most the worst case."""


@dataclass(frozen=True, slots=True)
class Void:
    """A call ended without cost."""

    seq: int
    call: Call


@dataclass(frozen=True, slots=True)
class Adjust:
    """An estimate was corrected downwards."""

    seq: int
    call_id: str
    delta_nano_usd: int
    """Negative."""
    evidence: str
    vector: tuple[LeaseKey, ...]


@dataclass(frozen=True, slots=True)
class Overrun:
    """A bill was above the worst case."""

    seq: int
    call_id: str
    excess_nano_usd: int
    vector: tuple[LeaseKey, ...]


@quick
@dataclass(frozen=True, slots=True)
class Return:
    """Money went back."""

    seq: int
    lease: LeaseKey
    returned_nano_usd: int
    """All that was given back on the lease so far."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A record that cannot be read, or that would lead out of all bounds: kept, and an alarm."""

    seq: int
    why: str
    raw: bytes
    """How it came, cut to a bound; empty when it could be read."""


Record = Settle | Void | Adjust | Overrun | Return
"""What a journal may say."""
Line = Record | Unreadable
"""A record, whatever became of it on its way."""
