"""What people read of the ledger: booked calls, refusals, leases and sidecars."""

from dataclasses import dataclass

from control_plane import limits
from control_plane.core.calls import Call
from control_plane.core.leases import Lease


@dataclass(frozen=True, slots=True)
class LoggedCorrection:
    """An entry that set right what a call cost."""

    price_version: str
    """The version that should have held."""
    before_nano_usd: int
    after_nano_usd: int
    actor: str
    reason: str
    booked_unix_ms: int


@dataclass(frozen=True, slots=True)
class LoggedCall:
    """A call as the ledger has it."""

    call: Call
    """Its vector and counted budgets are not read."""
    sidecar_id: str
    position: int
    """Rises with every booked call."""
    charge_nano_usd: int | None
    """What the client is charged; None until a rate card says so."""
    rate_card_version: str = ""
    """The rate card that it is charged by."""
    corrections: tuple[LoggedCorrection, ...] = ()
    """In their order; read only of single calls."""
    included_nano_usd: int = 0
    """What of its cost the month's allowance covers."""
    begins_execution: bool = False
    """Whether it bears the fee of its run."""


@dataclass(frozen=True, slots=True)
class CallFilter:
    """Which calls; empty texts and None stand for all."""

    project_id: str = ""
    workflow: str = ""
    start_unix_ms: int | None = None
    end_unix_ms: int | None = None


@dataclass(frozen=True, slots=True)
class RefusalMinute:
    """Calls that one sidecar refused in one minute for one reason."""

    minute_unix_ms: int
    sidecar_id: str
    project_id: str
    key_id: str
    workflow: str
    model: str
    reason: str
    budget_id: str
    count: int
    sample: str


@dataclass(frozen=True, slots=True)
class LeaseView:
    """A lease that still holds money."""

    lease: Lease
    held_nano_usd: int
    """What open calls hold, as last reported; 0 when that is not known."""
    authority_end_unix_ms: int | None
    """Until when its sidecar can start calls on it if it hears nothing more, an upper bound; None
    when nobody knows who holds it."""


@dataclass(frozen=True, slots=True)
class OrphanView:
    """A lease whose journal is lost or not trusted any more."""

    view: LeaseView
    sidecar_name: str
    budget_name: str
    period_end_unix_ms: int | None
    """When what is held back is charged; None for a single window."""
    overshoot_max_nano_usd: int
    """What the budget may be passed by if it is released and was spent after all."""


@dataclass(frozen=True, slots=True)
class OrphanFilter:
    """Which orphans; empty texts stand for all."""

    sidecar_id: str = ""
    budget_id: str = ""
    period_id: str = ""
    show_decided: bool = False
    """Those too of which nothing is held back."""


@dataclass(frozen=True, slots=True)
class Decided:
    """What a person decided about orphans."""

    orphans: tuple[OrphanView, ...]
    """As they are now."""
    decided_nano_usd: int
    overshoot_max_nano_usd: int
    remaining_count: int
    """Leases that the next request decides about, for there were too many for one."""
    remaining_nano_usd: int


@dataclass(frozen=True, slots=True)
class SidecarView:
    """A sidecar, seen from the desk."""

    sidecar_id: str
    display_name: str
    region: str
    project_ids: tuple[str, ...]
    """Empty for all."""
    software_version: str
    epoch: int
    created_unix_ms: int
    last_seen_unix_ms: int
    """0 for never."""
    stored_state: str
    """JOINED, ACTIVE, DRAINED or FENCED."""
    policy_acked: int
    policy_refused: str
    leased_nano_usd: int
    open_calls: int
    revoked_unix_ms: int
    """0 while it is not."""
    orphaned_nano_usd: int = 0
    """What is set aside of it, and nobody decided about."""
    stopped_unix_ms: int = 0
    """When it said, after its revocation, that it starts no calls any more; 0 while it has not."""
    superseded: bool = False
    """Whether an earlier process goes on speaking, and the one that took its place ended."""
    fence_detail: str = ""
    """Why its journal was fenced; empty while it is not."""

    @property
    def fenced_why(self) -> str:
        """Why it starts no calls, though nobody revoked it; empty while nothing is wrong."""
        if self.revoked_unix_ms:
            return ""
        if self.stored_state == "FENCED":
            return self.fence_detail or "a copy of its journal is or was in use"
        if self.stored_state == "DRAINED" and self.superseded:
            return (
                "another process took its place under this name and has ended: "
                "start it again, or end it if its journal was copied"
            )
        return ""

    def state_at(self, now_unix_ms: int) -> str:
        """connected, silent, drained, fenced or revoked."""
        if self.revoked_unix_ms:
            return "revoked"
        if self.fenced_why:
            return "fenced"
        if self.stored_state == "DRAINED":
            return "drained"
        heard = now_unix_ms - self.last_seen_unix_ms < limits.SILENT_AFTER_MS
        return "connected" if heard else "silent"
