"""Budgets, periods and decisions about caps on the wire."""

from typing import Final

from control_plane.core import fields
from control_plane.core.budgets import (
    CHANGEABLE,
    BudgetChange,
    CapChange,
    NewBudget,
    Period,
    Reach,
    SetCap,
)
from control_plane.core.windows import Window
from control_plane.rpc.wire.instants import instant_or_none_to_wire, instant_to_wire
from control_plane.rpc.wire.masks import paths_of
from control_plane.usecases.budgets import ShownBudget
from protos.bursar.admin import v1
from protos.values.selectors import Selector, SplitBy

_SPLITS: Final[dict[SplitBy, v1.SplitBy.ValueType]] = {
    "": v1.SplitBy.SPLIT_BY_UNSPECIFIED,
    "key": v1.SplitBy.SPLIT_BY_KEY,
    "workflow": v1.SplitBy.SPLIT_BY_WORKFLOW,
}
_WINDOWS: Final[dict[Window, v1.Window.ValueType]] = {
    "day": v1.Window.WINDOW_DAY,
    "week": v1.Window.WINDOW_WEEK,
    "month": v1.Window.WINDOW_MONTH,
    "once": v1.Window.WINDOW_ONCE,
}


def budget_to_wire(shown: ShownBudget) -> v1.Budget:
    """A budget with its current period."""
    budget, selector = shown.budget, shown.budget.selector
    return v1.Budget(
        budget_id=budget.budget_id,
        display_name=budget.display_name,
        project_id=selector.project_id,
        key_id=selector.key_id,
        workflow=selector.workflow,
        model=selector.model,
        region=selector.region,
        split_by=_SPLITS[budget.split_by],
        window=_WINDOWS[budget.window],
        time_zone=budget.time_zone,
        anchor_day=budget.anchor_day,
        cap_nano_usd=budget.cap_nano_usd,
        max_offline_ms=budget.max_offline_ms,
        create_time=instant_to_wire(budget.created_unix_ms),
        archive_time=instant_or_none_to_wire(budget.archived_unix_ms),
        current_period=None if shown.period is None else period_to_wire(shown.period),
        etag=budget.etag,
    )


def new_budget_from_wire(message: v1.Budget) -> NewBudget:
    """A budget that is asked for; what the control plane makes is passed over."""
    return NewBudget(
        display_name=message.display_name,
        selector=Selector(
            project_id=message.project_id,
            key_id=message.key_id,
            workflow=message.workflow,
            model=message.model,
            region=message.region,
        ),
        split_by=_split_from_wire(message.split_by),
        window=_window_from_wire(message.window),
        time_zone=message.time_zone,
        anchor_day=message.anchor_day,
        cap_nano_usd=message.cap_nano_usd if message.HasField("cap_nano_usd") else None,
        max_offline_ms=message.max_offline_ms,
    )


def budget_change_from_wire(request: v1.UpdateBudgetRequest) -> BudgetChange:
    """The fields of a budget that are to change."""
    paths = paths_of(request.update_mask, CHANGEABLE)
    budget = request.budget
    return BudgetChange(
        display_name=budget.display_name if "display_name" in paths else None,
        max_offline_ms=budget.max_offline_ms if "max_offline_ms" in paths else None,
    )


def set_cap_from_wire(request: v1.SetCapRequest) -> SetCap:
    """A decision about a cap."""
    return SetCap(
        budget_id=request.budget_id,
        cap_nano_usd=request.cap_nano_usd if request.HasField("cap_nano_usd") else None,
        this_period_only=request.this_period_only,
        reason=request.reason,
        etag=request.etag,
    )


def period_to_wire(period: Period) -> v1.Period:
    """One window of a budget."""
    return v1.Period(
        budget_id=period.budget_id,
        partition=period.partition,
        period_id=period.span.period_id,
        start_time=instant_to_wire(period.span.start_unix_ms),
        end_time=instant_or_none_to_wire(period.span.end_unix_ms),
        cap_nano_usd=period.cap_nano_usd,
        spent_nano_usd=period.spent_nano_usd,
        leased_nano_usd=period.leased_nano_usd,
        held_nano_usd=period.held_nano_usd,
        overrun_nano_usd=period.overrun_nano_usd,
        orphaned_nano_usd=period.orphaned_nano_usd,
        cap_version=period.cap_version,
        lump_nano_usd=period.lump_nano_usd,
        overshoot_nano_usd=period.overshoot_nano_usd,
        state=period.state,
    )


def cap_change_to_wire(change: CapChange) -> v1.CapChange:
    """One decision about a cap."""
    return v1.CapChange(
        budget_id=change.budget_id,
        period_id=change.period_id,
        old_cap_nano_usd=change.old_cap_nano_usd,
        new_cap_nano_usd=change.new_cap_nano_usd,
        cap_version=change.cap_version,
        actor=change.actor,
        reason=change.reason,
        change_time=instant_to_wire(change.changed_unix_ms),
    )


def reach_to_wire(reach: Reach) -> v1.Reach:
    """By when a change binds every sidecar."""
    return v1.Reach(
        policy_version=reach.policy_version,
        sidecar_count=reach.sidecar_count,
        acked_count=reach.acked_count,
        guaranteed_time=instant_or_none_to_wire(reach.guaranteed_unix_ms),
    )


def _split_from_wire(value: v1.SplitBy.ValueType) -> SplitBy:
    for split, known in _SPLITS.items():
        if known == value:
            return split
    raise fields.invalid("budget.split_by", "unknown: is the client newer than the server?")


def _window_from_wire(value: v1.Window.ValueType) -> str:
    if value == v1.Window.WINDOW_UNSPECIFIED:
        return ""
    for window, known in _WINDOWS.items():
        if known == value:
            return window
    raise fields.invalid("budget.window", "unknown: is the client newer than the server?")
