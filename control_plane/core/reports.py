"""What a sidecar says to the control plane, and what it hears: the commands and their answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from control_plane.core.alarms import Alarm
from control_plane.core.calls import Line
from control_plane.core.leases import BudgetRef, LeaseKey
from control_plane.core.rate_shares import RateLevel, RateShare
from control_plane.core.situation import Recall
from protos.values.quick import quick


class Status(Enum):
    """How a registration or a Sync was taken."""

    OK = "OK"
    GAP = "GAP"
    """Records are missing: send again from `need_seq`."""
    FENCED = "FENCED"
    """Another journal goes under this name, or the epoch is over: open no more calls."""
    LEARNING = "LEARNING"
    """The database may be old: no new money until all sidecars have spoken."""
    STALE = "STALE"
    """The Sync number was not above the latest: recorded, granted nothing."""
    BUSY = "BUSY"
    """Too much to do: come back later."""


@dataclass(frozen=True, slots=True)
class Journal:
    """What a sidecar's journal says of itself."""

    epoch: int
    """The epoch it belongs to; 0 when it never had one or is lost beyond knowing."""
    last_seq: int
    """Its last record's number."""
    chain: bytes
    """The chain hash after it."""
    lost: bool
    """It cannot be read or is not there."""


@dataclass(frozen=True, slots=True)
class Registration:
    """A process of a sidecar presents itself and its journal."""

    protocol_version: int
    software_version: str
    machine_id: str
    boot_id: str
    incarnation: str
    """Random per process start."""
    journal: Journal


@dataclass(frozen=True, slots=True)
class Registered:
    """The epoch to go on with."""

    status: Status
    epoch: int
    generation: int
    last_seq: int
    last_sync_no: int
    sidecar_id: str
    display_name: str
    region: str
    policy_version: int
    revoked: bool = False
    """Its credential is good for evidence alone."""


@quick
@dataclass(frozen=True, slots=True)
class LeaseReport:
    """What a sidecar says of one lease; replaces what it said before."""

    lease: LeaseKey
    granted_seen_nano_usd: int
    returned_nano_usd: int
    held_nano_usd: int
    available_nano_usd: int
    open_calls: int
    want_nano_usd: int
    median_worst_nano_usd: int
    smallest_worst_nano_usd: int
    idle_ms: int
    """How long no call was opened on it."""
    serial_seen: int
    """The serial of the latest grant that it saw."""


@quick
@dataclass(frozen=True, slots=True)
class WaitingCall:
    """A call that waits for money at the reporting sidecar."""

    call_id: str
    age_ms: int
    worst_nano_usd: int
    budgets: tuple[BudgetRef, ...]
    patience_ms: int


@quick
@dataclass(frozen=True, slots=True)
class RefusalCount:
    """Calls that were refused in one minute; the largest count of a minute is kept."""

    minute_unix_ms: int
    project_id: str
    key_id: str
    workflow: str
    model: str
    reason: str
    budget_id: str
    count: int
    sample: str


@quick
@dataclass(frozen=True, slots=True)
class Report:
    """One Sync of a sidecar."""

    epoch: int
    incarnation: str
    sync_no: int
    generation_seen: int
    from_seq: int
    raw_records: tuple[bytes, ...]
    """The records as they stand in the journal; the chain is over these bytes."""
    records: tuple[Line, ...]
    """The same, decoded."""
    chain: bytes
    """The chain hash after the last record."""
    leases: tuple[LeaseReport, ...]
    demands: tuple[WaitingCall, ...]
    policy_acked: int
    policy_refused: str
    refusals: tuple[RefusalCount, ...] = ()
    secret_uses: Mapping[str, int] = field(default_factory=dict)
    """When secrets were last used, Unix milliseconds, by secret id."""
    stopped: bool = False
    """The process starts no calls: it was told that it is fenced."""
    rate_levels: tuple[RateLevel, ...] = ()


@quick
@dataclass(frozen=True, slots=True)
class GrantAnswer:
    """What the control plane says of one lease."""

    lease: LeaseKey
    period_start_unix_ms: int
    period_end_unix_ms: int | None
    granted_nano_usd: int
    serial: int
    authority_ms: int
    keep_nano_usd: int
    unspent_nano_usd: int
    reachable_nano_usd: int
    cap_version: int
    cap_nano_usd: int
    spent_nano_usd: int
    held_nano_usd: int
    silent_sidecar: str
    smallest_worst_nano_usd: int
    frozen: bool
    short: bool = False
    """Calls wait for money of this period that is not there."""
    free_nano_usd: int = 0
    """What a call that nobody told of yet could be granted."""
    patient_ms: int = 0
    """For so long no call that waits for its money uses up half of the patience it has left."""


@dataclass(frozen=True, slots=True)
class Left:
    """What is left of a period, and whom to tell."""

    sidecar_ids: tuple[str, ...]
    lease: LeaseKey
    generation: int
    cap_version: int
    unspent_nano_usd: int


@dataclass(frozen=True, slots=True)
class Offer:
    """What a sidecar is told by its stream that its waiting calls may have."""

    sidecar_id: str
    epoch: int
    generation: int
    sync_no: int
    """The last Sync of it that was heard: what answers a later one counts more."""
    leases: tuple[GrantAnswer, ...]
    named: tuple[str, ...]


@quick
@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a Sync, and what other sidecars must be told because of it."""

    status: Status
    generation: int
    acked_seq: int
    policy_version: int
    sync_no: int
    need_seq: int = 0
    leases: tuple[GrantAnswer, ...] = ()
    named: tuple[str, ...] = ()
    hopeless: tuple[str, ...] = ()
    next_sync_ms: int = 0
    recalls: tuple[Recall, ...] = ()
    """For the streams of other sidecars."""
    alarms: tuple[Alarm, ...] = ()
    """What was raised because of it."""
    nudges: frozenset[str] = frozenset()
    """Sidecars that should sync now."""
    offers: tuple[Offer, ...] = ()
    lefts: tuple[Left, ...] = ()
    """For the streams of other sidecars."""
    revoked: bool = False
    """Its credential is good for evidence alone: it shall give everything back."""
    rate_shares: tuple[RateShare, ...] = ()
