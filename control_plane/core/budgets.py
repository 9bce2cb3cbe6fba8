"""What a budget is: selector, window and cap.

Selector, window, zone and anchor never change. The cap changes by decisions that are numbered per
budget, each for good or for one period only; in a period the newest decision that concerns it is in
force. What was used is never reset.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from control_plane import limits
from control_plane.core import fields
from control_plane.core.windows import ANCHOR_DAY_MAX, WINDOWS, Window, WindowSpan, window_at
from control_plane.core.zones import check_zone
from protos.values import ids
from protos.values.errors import EtagMismatchError, FailedPreconditionError
from protos.values.money import MONEY_MAX_NANO_USD
from protos.values.quick import quick
from protos.values.selectors import Selector, SplitBy

EVERY_CALL: Final = Selector()
"""The selector of the whole agency."""


@quick
@dataclass(frozen=True, slots=True)
class Budget:
    """One budget."""

    budget_id: str
    """Made by the control plane."""
    display_name: str
    """A name for people and messages."""
    selector: Selector
    """Which calls it counts."""
    split_by: SplitBy
    """By what the cap is given to each value for itself."""
    window: Window
    """The stretch of time over which the cap holds."""
    time_zone: str
    """In which the window turns."""
    anchor_day: int
    """The day of the month, or of the week from Monday = 1, on which a window begins."""
    cap_nano_usd: int | None
    """The cap for good; None for a budget that only counts."""
    cap_version: int
    """The number of the newest decision about the cap."""
    max_offline_ms: int
    """For how long a cut-off sidecar may go on starting calls."""
    offline_until_unix_ms: int
    """Until when authority from before max_offline was lowered may last; 0 when it never was."""
    created_unix_ms: int
    """When it was made."""
    archived_unix_ms: int | None
    """When it was archived."""
    version: int
    """Rises with every change."""

    @property
    def etag(self) -> str:
        """What an update must send back."""
        return fields.etag_of(self.version)

    @property
    def is_capped(self) -> bool:
        """Whether it has a cap, and therefore leases."""
        return self.cap_nano_usd is not None

    def span_at(self, instant_unix_ms: int) -> WindowSpan:
        """The window that an instant is in."""
        return window_at(self.window, self.time_zone, self.anchor_day, instant_unix_ms)


@dataclass(frozen=True, slots=True)
class CapChange:
    """One decision about a cap."""

    budget_id: str
    cap_version: int
    """Numbers the decisions of a budget, from 1."""
    period_id: str
    """The only period that it holds for; empty when it holds for good."""
    old_cap_nano_usd: int | None
    new_cap_nano_usd: int | None
    actor: str
    """The principal who decided."""
    reason: str
    changed_unix_ms: int
    policy_version: int = 0
    """Sidecars that apply this version of the policy know of it; 0 for what is older than that."""


@dataclass(frozen=True, slots=True)
class NewBudget:
    """A budget that is asked for; empty texts and zeros stand for defaults."""

    display_name: str = ""
    selector: Selector = EVERY_CALL
    split_by: SplitBy = ""
    window: str = ""
    time_zone: str = ""
    anchor_day: int = 0
    cap_nano_usd: int | None = None
    max_offline_ms: int = 0


@dataclass(frozen=True, slots=True)
class BudgetChange:
    """The fields of a budget that are to change; None leaves one as it is."""

    display_name: str | None = None
    max_offline_ms: int | None = None


@dataclass(frozen=True, slots=True)
class SetCap:
    """A decision about a cap."""

    budget_id: str
    cap_nano_usd: int | None
    """None takes the cap away."""
    this_period_only: bool = False
    reason: str = ""
    etag: str = ""


@dataclass(frozen=True, slots=True)
class Period:
    """One window of a budget for one partition, as people see it."""

    budget_id: str
    partition: str
    span: WindowSpan
    cap_nano_usd: int | None
    spent_nano_usd: int = 0
    """What the ledger has booked, overruns included."""
    leased_nano_usd: int = 0
    """What sidecars hold: leased and not yet spent, open calls included."""
    held_nano_usd: int = 0
    """What open calls hold, as last reported."""
    overrun_nano_usd: int = 0
    orphaned_nano_usd: int = 0
    cap_version: int = 0
    lump_nano_usd: int = 0
    """Of what is spent: charged for lost journals, because nobody knows what they spent."""
    overshoot_nano_usd: int = 0
    """Of what is spent: beyond all that leases had."""
    state: str = "OPEN"
    """OPEN, CLOSING or CLOSED."""


@dataclass(frozen=True, slots=True)
class Reach:
    """By when a change binds every sidecar."""

    policy_version: int
    sidecar_count: int
    acked_count: int
    guaranteed_unix_ms: int
    """After this no call against it is started anywhere, whatever is cut off."""


@dataclass(frozen=True, slots=True)
class UnreachedSidecar:
    """A sidecar that does not apply a decision yet."""

    display_name: str
    last_seen_unix_ms: int
    """0 for never."""
    goes_on_until_unix_ms: int
    """Until when it can start calls by what was before, if it hears nothing more."""


@dataclass(frozen=True, slots=True)
class CapReach:
    """How far the newest decision about a cap has come."""

    cap_version: int
    live_count: int
    """Sidecars that apply it."""
    sidecar_count: int
    """Sidecars that it concerns."""
    unreached: tuple[UnreachedSidecar, ...]


CHANGEABLE: Final = ("display_name", "max_offline_ms")
"""What an update mask may name."""


def check_new(asked: NewBudget, default_time_zone: str, max_offline_ms: int) -> NewBudget:
    """The budget that is asked for, with its defaults, as far as it can be checked alone."""
    window = check_window(asked.window or "month")
    selector = check_selector(asked.selector)
    if (asked.split_by == "key" and selector.key_id) or (
        asked.split_by == "workflow" and selector.workflow
    ):
        raise fields.invalid(
            "budget.split_by", f"one {asked.split_by} alone cannot be split by {asked.split_by}"
        )
    most = ANCHOR_DAY_MAX[window]
    anchor_day = fields.check_between(asked.anchor_day or 1, 1, most, "budget.anchor_day")
    return NewBudget(
        display_name=fields.check_name(
            asked.display_name or _default_name(window, asked), "budget.display_name"
        ),
        selector=selector,
        split_by=asked.split_by,
        window=window,
        time_zone=check_zone(asked.time_zone or default_time_zone, "budget.time_zone"),
        anchor_day=anchor_day,
        cap_nano_usd=check_cap(asked.cap_nano_usd, "budget.cap_nano_usd"),
        max_offline_ms=check_offline(asked.max_offline_ms or max_offline_ms),
    )


def check_cap(cap_nano_usd: int | None, field: str) -> int | None:
    """A cap that is not negative; 0 stops every call."""
    if cap_nano_usd is not None and cap_nano_usd < 0:
        raise fields.invalid(field, "a cap cannot be negative: 0 stops every call")
    if cap_nano_usd is not None and cap_nano_usd > MONEY_MAX_NANO_USD:
        raise fields.invalid(field, "larger than this program can hold")
    return cap_nano_usd


def check_offline(max_offline_ms: int) -> int:
    """A max_offline within its bounds."""
    return fields.check_between(
        max_offline_ms, limits.OFFLINE_MIN_MS, limits.OFFLINE_MAX_MS, "budget.max_offline_ms"
    )


def check_for_one_period(budget: Budget, cap_nano_usd: int | None) -> None:
    """Whether there is a cap in every period decides about leases, so one period cannot differ."""
    if budget.cap_nano_usd is None:
        raise FailedPreconditionError(
            "this budget only counts: give it a cap for good first", budget_id=budget.budget_id
        )
    if cap_nano_usd is None:
        raise fields.invalid(
            "cap_nano_usd",
            "a cap cannot be taken away for one period: raise it, or end it for good",
        )


def check_undo(budget: Budget, undone: CapChange, period_id: str, now_unix_ms: int) -> None:
    """Whether a decision can still be taken back; `period_id` names the period that is now."""
    if undone.cap_version != budget.cap_version:
        raise EtagMismatchError(
            f"the cap was changed again since (decision {budget.cap_version}): look at it, then "
            "set the cap that is wanted",
            etag=budget.etag,
        )
    if undone.cap_version == 1:
        raise FailedPreconditionError(
            "that is the cap that the budget began with: set another one",
            budget_id=budget.budget_id,
        )
    if now_unix_ms - undone.changed_unix_ms > limits.UNDO_MS:
        raise FailedPreconditionError(
            f"it is older than {limits.UNDO_MS // 60_000} minutes: set the cap that is wanted",
            budget_id=budget.budget_id,
        )
    if undone.period_id not in {"", period_id}:
        raise FailedPreconditionError(
            f"it held for {undone.period_id} alone, which is over", budget_id=budget.budget_id
        )


def matching_max(selectors: Iterable[Selector]) -> int:
    """An upper bound on how many of these selectors one call can match.

    Of the selectors that narrow the same conditions a call can match only those that agree on
    every value, so the largest such group of every kind counts.
    """
    groups: Counter[tuple[str, ...]] = Counter()
    for selector in selectors:
        groups[_values(selector)] += 1
    largest: dict[tuple[bool, ...], int] = {}
    for values, count in groups.items():
        narrowed = tuple(bool(value) for value in values)
        largest[narrowed] = max(largest.get(narrowed, 0), count)
    return sum(largest.values())


def authority_end_unix_ms(budget: Budget, now_unix_ms: int) -> int:
    """After this no lease that was renewed until now has authority, on clocks wrong by a tenth.

    Of a budget that only counts: no call that it alone decides about is started.
    """
    last_unix_ms = now_unix_ms
    if budget.archived_unix_ms is not None:
        # Nothing is renewed under a policy that still has it.
        last_unix_ms = min(last_unix_ms, budget.archived_unix_ms)
    authority_ms = budget.max_offline_ms if budget.is_capped else limits.UNCAPPED_AUTHORITY_MS
    return max(later_by_authority(last_unix_ms, authority_ms), budget.offline_until_unix_ms)


def later_by_authority(instant_unix_ms: int, authority_ms: int) -> int:
    """When authority that was given at an instant is over, also where its clock runs slow."""
    return instant_unix_ms + authority_ms + -(-authority_ms // 4) + limits.REACH_MARGIN_MS


def last_call_unix_ms(call_class: Selector, budgets: Iterable[Budget], now_unix_ms: int) -> int:
    """Until when calls of a class can still be started on authority that was given before.

    Every capped budget that a call matches must have authority. So the class ends with the first
    of those that match all of it; else with the last of those that its calls could match, where
    calls that nothing caps have an authority of their own. `budgets` has those too that were
    archived a while ago: a cut-off sidecar may still go by them, though another may not.
    """
    possible = [budget for budget in budgets if _can_match(budget.selector, call_class)]
    covering = [
        authority_end_unix_ms(budget, now_unix_ms)
        for budget in possible
        if budget.is_capped
        and budget.archived_unix_ms is None
        and _covers(budget.selector, call_class)
    ]
    if covering:
        return min(covering)
    ends = (authority_end_unix_ms(budget, now_unix_ms) for budget in possible)
    return max(ends, default=now_unix_ms)


def _values(selector: Selector) -> tuple[str, ...]:
    return (
        selector.project_id,
        selector.key_id,
        selector.workflow,
        selector.model,
        selector.region,
    )


def _can_match(selector: Selector, call_class: Selector) -> bool:
    pairs = zip(_values(selector), _values(call_class), strict=True)
    return all(not wanted or not given or wanted == given for wanted, given in pairs)


def _covers(selector: Selector, call_class: Selector) -> bool:
    pairs = zip(_values(selector), _values(call_class), strict=True)
    return all(not wanted or wanted == given for wanted, given in pairs)


def check_selector(selector: Selector) -> Selector:
    """A selector that can match a call, as far as it can be checked alone."""
    fields.check_label(selector.workflow, "budget.workflow")
    fields.check_label(selector.region, "budget.region")
    if selector.project_id:
        fields.check_id(selector.project_id, ids.PROJECT, "budget.project_id")
    if selector.key_id:
        fields.check_id(selector.key_id, ids.KEY, "budget.key_id")
        if not selector.project_id:
            raise fields.invalid("budget.key_id", "a key belongs to a project: name it too")
    return selector


def check_window(text: str) -> Window:
    """A window that exists."""
    for window in WINDOWS:
        if text == window:
            return window
    raise fields.invalid("budget.window", f"one of {', '.join(WINDOWS)}")


def _default_name(window: Window, asked: NewBudget) -> str:
    length = {"day": "daily", "week": "weekly", "month": "monthly", "once": "total"}[window]
    narrowed = asked.selector.workflow or asked.selector.model or asked.selector.region
    of = f" of {narrowed}" if narrowed else (" of one key" if asked.selector.key_id else "")
    return f"{length}{of}" + (f" per {asked.split_by}" if asked.split_by else "")
