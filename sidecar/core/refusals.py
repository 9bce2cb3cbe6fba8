"""Why a call is not made: reasons, the budgets that stand in its way, and words for people.

A refusal by budgets lists every failing budget in the order of gravity: exhausted, too large,
unreachable, busy. The gravest reason is the call's reason; among the budgets of that reason the
headline is the one whose period ends last (waiting for another's turn would not help), then the one
with the narrowest selector.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum

from protos.values.money import nano_to_usd
from protos.values.quick import quick

RETRY_BUSY_MS = 2_000
"""After which a caller is told to come back when its patience ended."""
RETRY_UNREACHABLE_MS = 2_000
"""After which a caller is told to come back when no control plane answered."""


class Reason(Enum):
    """Why a call is refused; the value is the machine-readable name."""

    EXHAUSTED = "exhausted"
    """A budget is used up until its period turns or its cap is raised."""
    TOO_LARGE = "too_large"
    """This call's worst case is above what is left, though smaller calls would pass."""
    UNREACHABLE = "unreachable"
    """The money is held by a silent sidecar, or no control plane can be asked for more."""
    BUSY = "busy"
    """Others held the money until this call's patience ended."""
    RATE_LIMITED = "rate_limited"
    """A rate limit has no room for this call, and would not have within its patience."""
    LOOP = "loop"
    """A workflow sends the same request again and again."""
    NO_BUDGET = "no_budget"
    """No budget counts this call, so that nothing would stop it."""
    INVALID_KEY = "invalid_key"
    """There is no such gateway key."""
    KEY_REVOKED = "key_revoked"
    """The key was revoked."""
    KEY_EXPIRED = "key_expired"
    """The key, or this secret of it, is over."""
    PROJECT_SUSPENDED = "project_suspended"
    """The project is suspended or archived."""
    MODEL_NOT_ALLOWED = "model_not_allowed"
    """The key may not use this model."""
    MODEL_NOT_PRICED = "model_not_priced"
    """Nobody knows what this model costs, so that no cap could hold it."""
    ENDPOINT_NOT_ALLOWED = "endpoint_not_allowed"
    """The path is not one whose cost is metered."""
    UNBOUNDED_FEATURE = "unbounded_feature"
    """The request asks for something whose cost has no bound."""
    INVALID_REQUEST = "invalid_request"
    """The request is malformed, or its cost cannot be bounded."""
    REQUEST_TOO_LARGE = "request_too_large"
    """The request's body is larger than is taken."""
    PROVIDER_NOT_CONFIGURED = "provider_not_configured"
    """No provider, or no secret for it, is set up."""
    OVERLOADED = "overloaded"
    """The sidecar has more calls in hand than it takes."""
    SHUTTING_DOWN = "shutting_down"
    """The sidecar is about to end."""
    JOURNAL_FAILED = "journal_failed"
    """The sidecar cannot write its journal, so that no new call would be safe."""
    DISK_FULL = "disk_full"
    """There is no room for the sidecar's journal; it goes on by itself when there is."""
    FENCED = "fenced"
    """Another journal goes under this sidecar's name; neither may open calls."""


SHORT_OF_MONEY = frozenset((Reason.EXHAUSTED, Reason.TOO_LARGE, Reason.UNREACHABLE, Reason.BUSY))
"""Reasons for which a call that holds less might pass."""


BUDGET_REASONS = (Reason.EXHAUSTED, Reason.TOO_LARGE, Reason.UNREACHABLE, Reason.BUSY)
"""Reasons that a budget can have, the gravest first."""
RETRYABLE = frozenset(
    {
        Reason.UNREACHABLE,
        Reason.BUSY,
        Reason.RATE_LIMITED,
        Reason.OVERLOADED,
        Reason.SHUTTING_DOWN,
        Reason.DISK_FULL,
    }
)
"""Reasons after which the same request may pass later without anybody doing anything."""


@quick
@dataclass(frozen=True, slots=True)
class Shortage:
    """A budget that stands in a call's way, as far as it is known here."""

    reason: Reason
    """Why this budget does not let the call pass."""
    budget_id: str
    name: str
    """The budget's name, for messages; a partition is added in parentheses."""
    worst_nano_usd: int
    """The most that the call could cost: what it would have to hold."""
    cap_nano_usd: int | None = None
    """The period's cap; None when the control plane was never heard about it."""
    spent_nano_usd: int | None = None
    """What the ledger holds as spent, over all sidecars."""
    held_nano_usd: int | None = None
    """What all sidecars hold for open calls, as last heard."""
    period_end_unix_ms: int | None = None
    """When the period turns; None when it never does or is not known."""
    fits_nano_usd: int = 0
    """The largest worst case that could be paid."""
    conditions: int = 0
    """How narrow the budget's selector is."""
    silent_sidecar: str = ""
    """The sidecar that holds the money and does not answer; may be empty."""
    frozen: bool = False
    """A provider billed more than was held, which stopped the budget here."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a call is not made."""

    reason: Reason
    message: str
    """For people: what happened, and what to do next."""
    shortages: tuple[Shortage, ...] = ()
    """The budgets that failed, the headline first; empty for a refusal that is not about money."""
    retry_after_ms: int | None = None
    """When the same request may be tried again; None when that would not help."""
    fields: Mapping[str, str] = field(default_factory=dict)
    """What a program may want to know."""

    @property
    def retryable(self) -> bool:
        """Whether the same request may pass later by itself."""
        return self.reason in RETRYABLE

    @property
    def budget_id(self) -> str:
        """The budget of the headline; empty when no budget refused."""
        return self.shortages[0].budget_id if self.shortages else ""


class Refused(Exception):  # noqa: N818 - it is no error: the sidecar did its work
    """A call was refused."""

    def __init__(self, refusal: Refusal) -> None:
        """Carry why."""
        super().__init__(refusal.message)
        self.refusal = refusal


def refusal_of(shortages: Iterable[Shortage]) -> Refusal:
    """Sort the budgets that failed by gravity and put it into words."""
    ranked = tuple(sorted(shortages, key=_gravity))
    assert ranked
    head = ranked[0]
    return Refusal(
        reason=head.reason,
        message=_MESSAGES[head.reason](head),
        shortages=ranked,
        retry_after_ms=_RETRY_AFTER_MS[head.reason],
        fields={"budget_id": head.budget_id},
    )


def _gravity(shortage: Shortage) -> tuple[int, bool, int, int, str]:
    end = shortage.period_end_unix_ms
    return (
        BUDGET_REASONS.index(shortage.reason),
        end is not None,
        -(end or 0),
        -shortage.conditions,
        shortage.budget_id,
    )


def rfc3339(unix_ms: int) -> str:
    """An instant in UTC, such as 2026-12-01T00:00:00Z; a fraction of a second is cut off."""
    return datetime.fromtimestamp(unix_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _turns(shortage: Shortage) -> str:
    if shortage.period_end_unix_ms is None:
        return "it does not turn by itself"
    return f"it turns at {rfc3339(shortage.period_end_unix_ms)}"


def _standing(shortage: Shortage) -> str:
    cap = nano_to_usd(shortage.cap_nano_usd or 0)
    spent = nano_to_usd(shortage.spent_nano_usd or 0)
    held = nano_to_usd(shortage.held_nano_usd or 0)
    return f"{spent} of {cap} is spent, {held} is held by calls in flight"


def _exhausted(shortage: Shortage) -> str:
    if shortage.frozen:
        return (
            f'The budget "{shortage.name}" is stopped: a provider billed more than the worst case '
            "that was held for a call. Look into the alarm and the price of that model, then set "
            f"the cap anew ({shortage.budget_id})."
        )
    return (
        f'The budget "{shortage.name}" is used up: {_standing(shortage)}; {_turns(shortage)}. '
        f"To go on now, raise its cap ({shortage.budget_id})."
    )


def _too_large(shortage: Shortage) -> str:
    return (
        f"This call could cost up to {nano_to_usd(shortage.worst_nano_usd)}, but only "
        f'{nano_to_usd(shortage.fits_nano_usd)} is left in the budget "{shortage.name}": '
        f"{_standing(shortage)}; {_turns(shortage)}. Set a lower limit on output tokens, shorten "
        f"the input, or raise the cap ({shortage.budget_id})."
    )


def _unreachable(shortage: Shortage) -> str:
    if shortage.silent_sidecar:
        return (
            f'The money left in the budget "{shortage.name}" is held by the sidecar '
            f'"{shortage.silent_sidecar}", which does not answer. Bring it back, or raise the '
            f"cap ({shortage.budget_id})."
        )
    return (
        f'This sidecar has no money at hand for the budget "{shortage.name}" and cannot reach the '
        "control plane for more. Check that the control plane runs and can be reached from here; "
        "the call may be tried again."
    )


def _busy(shortage: Shortage) -> str:
    return (
        f'All that is left in the budget "{shortage.name}" is held by calls in flight: '
        f"{_standing(shortage)}. This call waited its turn and its patience ended; try it again, "
        f"set a lower limit on output tokens, or raise the cap ({shortage.budget_id})."
    )


_MESSAGES = {
    Reason.EXHAUSTED: _exhausted,
    Reason.TOO_LARGE: _too_large,
    Reason.UNREACHABLE: _unreachable,
    Reason.BUSY: _busy,
}
_RETRY_AFTER_MS = {
    Reason.EXHAUSTED: None,
    Reason.TOO_LARGE: None,
    Reason.UNREACHABLE: RETRY_UNREACHABLE_MS,
    Reason.BUSY: RETRY_BUSY_MS,
}

_PLAIN = {
    Reason.NO_BUDGET: "No budget counts this call, so nothing would stop its spending. Make a "
    "budget for the project, or widen one.",
    Reason.INVALID_KEY: "This is not a key of this installation. Check that the whole key was "
    "copied; keys begin with bursar_pk_.",
    Reason.KEY_REVOKED: "This key was revoked. Ask your agency for a new one.",
    Reason.KEY_EXPIRED: "This key is over. Ask your agency for a new one.",
    Reason.PROJECT_SUSPENDED: "This project is suspended, so none of its calls may pass. Ask your "
    "agency to activate it.",
    Reason.SHUTTING_DOWN: "This sidecar is about to end and takes no new calls. Try again in a "
    "moment.",
    Reason.OVERLOADED: "This sidecar has more calls in hand than it takes. Try again in a moment.",
    Reason.JOURNAL_FAILED: "This sidecar could not write its journal, so it opens no new calls. "
    "See to the disk under its data folder, then start it again.",
    Reason.DISK_FULL: "The disk under this sidecar's data folder is full, so it opens no new "
    "calls. Make room there: it goes on by itself within seconds.",
    Reason.FENCED: "The control plane does not accept this sidecar any more: its credential was "
    "revoked, or another journal goes under its name. Look into its log; then stop any copy of it, "
    "or let it join again.",
    Reason.PROVIDER_NOT_CONFIGURED: "The provider of this model is not set up here. Set its base "
    "URL and secret at the control plane.",
}
_PLAIN_RETRY_MS = {
    Reason.SHUTTING_DOWN: 2_000,
    Reason.OVERLOADED: 1_000,
    Reason.DISK_FULL: 2_000,
}


def plain_refusal(reason: Reason, **fields: str) -> Refusal:
    """A refusal whose words need no details."""
    return Refusal(
        reason=reason,
        message=_PLAIN[reason],
        retry_after_ms=_PLAIN_RETRY_MS.get(reason),
        fields=fields,
    )
