"""Budgets: selector + window + cap. A call is charged to every budget that matches."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from google.protobuf.field_mask_pb2 import FieldMask

from clients.admin.amounts import cap_from_caller
from clients.admin.instants import instant_from_wire, instant_or_none_from_wire
from clients.admin.limits import PAGE_ITEMS
from clients.admin.policy import Reach, reach_from_wire
from clients.admin.wire import Wire
from protos.bursar.admin import v1
from protos.values.errors import InvalidArgumentError
from protos.values.selectors import SplitBy

Window = Literal["day", "week", "month", "once"]

_WINDOW_TO_WIRE: Mapping[str, v1.Window.ValueType] = {
    "": v1.Window.WINDOW_UNSPECIFIED,
    "day": v1.Window.WINDOW_DAY,
    "week": v1.Window.WINDOW_WEEK,
    "month": v1.Window.WINDOW_MONTH,
    "once": v1.Window.WINDOW_ONCE,
}
_WINDOW_FROM_WIRE: Mapping[int, Window] = {
    v1.Window.WINDOW_UNSPECIFIED: "month",
    v1.Window.WINDOW_DAY: "day",
    v1.Window.WINDOW_WEEK: "week",
    v1.Window.WINDOW_MONTH: "month",
    v1.Window.WINDOW_ONCE: "once",
}
_SPLIT_TO_WIRE: Mapping[str, v1.SplitBy.ValueType] = {
    "": v1.SplitBy.SPLIT_BY_UNSPECIFIED,
    "key": v1.SplitBy.SPLIT_BY_KEY,
    "workflow": v1.SplitBy.SPLIT_BY_WORKFLOW,
}
_SPLIT_FROM_WIRE: Mapping[int, SplitBy] = {
    v1.SplitBy.SPLIT_BY_UNSPECIFIED: "",
    v1.SplitBy.SPLIT_BY_KEY: "key",
    v1.SplitBy.SPLIT_BY_WORKFLOW: "workflow",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """One window of a budget, for one partition."""

    budget_id: str
    """The budget."""
    partition: str
    """The key or workflow, for a budget that is split."""
    period_id: str
    """The local start date, such as "2026-11-01"."""
    start_time: datetime
    """When it begins."""
    end_time: datetime | None
    """When it ends; None for a single window."""
    cap_nano_usd: int | None
    """The cap in force in this period; None for a budget that only counts."""
    spent_nano_usd: int
    """What the ledger has booked."""
    leased_nano_usd: int
    """What sidecars hold: leased and not yet spent, open calls included."""
    held_nano_usd: int
    """What open calls hold, as last reported."""
    overrun_nano_usd: int
    """What was billed above worst cases."""
    orphaned_nano_usd: int
    """What lost sidecars may have spent."""
    cap_version: int
    """Rises with every change of the cap."""
    lump_nano_usd: int
    """Of what is spent: lumps, charged for lost sidecars."""
    overshoot_nano_usd: int
    """Of what is spent: beyond all that leases had, by copies of a journal or after a release."""
    state: str
    """OPEN, CLOSING (takes no calls, something is outstanding) or CLOSED."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Selector + window + cap. Selector, window, time zone and anchor never change."""

    budget_id: str
    """Made by the control plane, such as bgt_01jd…."""
    display_name: str
    """A name for people and messages."""
    project_id: str
    """The project; "" for the whole agency."""
    key_id: str
    """Only calls with this key, when not empty."""
    workflow: str
    """Only calls of this workflow, when not empty."""
    model: str
    """Only calls of this model, by its id in the price book, when not empty."""
    region: str
    """Only calls through sidecars of this region, when not empty."""
    split_by: SplitBy
    """By what the cap is given to each value for itself."""
    window: Window
    """The window in which the cap holds."""
    time_zone: str
    """IANA time zone in which the window turns."""
    anchor_day: int
    """The day of the month, or of the week from Monday = 1, on which a window begins."""
    cap_nano_usd: int | None
    """The cap for good; None for a budget that only counts."""
    max_offline_ms: int
    """For how long a cut-off sidecar may go on starting calls."""
    create_time: datetime
    """When it was made."""
    archive_time: datetime | None
    """When it was archived; None while it is not."""
    current_period: Period | None
    """The current window; None for a budget that is split, see `Budgets.periods`."""
    etag: str
    """Send it back on update."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CapChange:
    """One change of a cap."""

    budget_id: str
    """The budget."""
    period_id: str
    """The only period it holds for; "" when it holds for good."""
    old_cap_nano_usd: int | None
    """The cap before; None when there was none."""
    new_cap_nano_usd: int | None
    """The cap after; None when there is none."""
    cap_version: int
    """The version that it made."""
    actor: str
    """The principal who did it."""
    reason: str
    """Why."""
    change_time: datetime
    """When."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedCap:
    """A changed cap, and by when it binds."""

    budget: Budget
    """The budget as it is now."""
    change: CapChange
    """The change."""
    reach: Reach
    """How far the change has come."""


class Budgets:
    """Makes budgets and changes their caps."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._stub = v1.BudgetServiceStub(wire.channel)

    def create(  # noqa: PLR0913 - one keyword per field of a budget
        self,
        *,
        display_name: str = "",
        project_id: str = "",
        cap_usd: str | None = None,
        cap_nano_usd: int | None = None,
        key_id: str = "",
        workflow: str = "",
        model: str = "",
        region: str = "",
        split_by: SplitBy = "",
        window: Window = "month",
        time_zone: str = "",
        anchor_day: int = 0,
        max_offline_ms: int = 0,
        reason: str = "",
        request_id: str = "",
    ) -> Budget:
        """Make a budget; without a project for the whole agency, without a cap it only counts."""
        wanted = v1.Budget(
            display_name=display_name,
            project_id=project_id,
            key_id=key_id,
            workflow=workflow,
            model=model,
            region=region,
            split_by=split_to_wire(split_by),
            window=window_to_wire(window),
            time_zone=time_zone,
            anchor_day=anchor_day,
            cap_nano_usd=cap_from_caller(cap_usd, cap_nano_usd),
            max_offline_ms=max_offline_ms,
        )
        request = v1.CreateBudgetRequest(
            request_id=request_id or self._wire.request_id(), budget=wanted, reason=reason
        )
        return budget_from_wire(self._wire.ask(self._stub.CreateBudget, request))

    def get(self, budget_id: str) -> Budget:
        """Read one budget with its current period."""
        request = v1.GetBudgetRequest(budget_id=budget_id)
        return budget_from_wire(self._wire.ask(self._stub.GetBudget, request))

    def list(self, *, project_id: str = "", show_archived: bool = False) -> Iterator[Budget]:
        """Yield a project's budgets, or all, the agency's too."""

        def fetch(token: str) -> v1.ListBudgetsResponse:
            request = v1.ListBudgetsRequest(
                page_size=PAGE_ITEMS,
                page_token=token,
                project_id=project_id,
                show_archived=show_archived,
            )
            return self._wire.ask(self._stub.ListBudgets, request)

        return self._wire.pages(fetch, lambda page: map(budget_from_wire, page.budgets))

    def update(
        self,
        budget: Budget,
        *,
        display_name: str | None = None,
        max_offline_ms: int | None = None,
        request_id: str = "",
    ) -> Budget:
        """Change what is given. Raises EtagMismatchError when `budget` is not the newest."""
        wanted = v1.Budget(budget_id=budget.budget_id, etag=budget.etag)
        paths = []
        if display_name is not None:
            wanted.display_name = display_name
            paths.append("display_name")
        if max_offline_ms is not None:
            wanted.max_offline_ms = max_offline_ms
            paths.append("max_offline_ms")
        request = v1.UpdateBudgetRequest(
            request_id=request_id or self._wire.request_id(),
            budget=wanted,
            update_mask=FieldMask(paths=paths),
        )
        return budget_from_wire(self._wire.ask(self._stub.UpdateBudget, request))

    def set_cap(
        self,
        budget: Budget,
        *,
        cap_usd: str | None = None,
        cap_nano_usd: int | None = None,
        this_period_only: bool = False,
        reason: str = "",
        request_id: str = "",
    ) -> ChangedCap:
        """Set the cap, or take it away when none is given. Usage is never reset.

        Raises EtagMismatchError when the budget changed since `budget` was read.
        """
        request = v1.SetCapRequest(
            request_id=request_id or self._wire.request_id(),
            budget_id=budget.budget_id,
            cap_nano_usd=cap_from_caller(cap_usd, cap_nano_usd),
            this_period_only=this_period_only,
            reason=reason,
            etag=budget.etag,
        )
        return _changed_from_wire(self._wire.ask(self._stub.SetCap, request))

    def undo_cap(
        self, budget_id: str, cap_version: int, *, reason: str = "", request_id: str = ""
    ) -> ChangedCap:
        """Take the newest decision about a cap back, within ten minutes of it.

        Raises EtagMismatchError when a newer one was made, FailedPreconditionError when it is late.
        """
        request = v1.UndoCapRequest(
            request_id=request_id or self._wire.request_id(),
            budget_id=budget_id,
            cap_version=cap_version,
            reason=reason,
        )
        return _changed_from_wire(self._wire.ask(self._stub.UndoCap, request))

    def archive(self, budget_id: str, *, reason: str = "", request_id: str = "") -> Budget:
        """End a budget: it counts and caps nothing from now on."""
        request = v1.ArchiveBudgetRequest(
            request_id=request_id or self._wire.request_id(), budget_id=budget_id, reason=reason
        )
        return budget_from_wire(self._wire.ask(self._stub.ArchiveBudget, request))

    def periods(self, budget_id: str, *, partition: str = "") -> Iterator[Period]:
        """Yield the periods of a budget, newest first, for one partition or for all."""

        def fetch(token: str) -> v1.ListPeriodsResponse:
            request = v1.ListPeriodsRequest(
                page_size=PAGE_ITEMS, page_token=token, budget_id=budget_id, partition=partition
            )
            return self._wire.ask(self._stub.ListPeriods, request)

        return self._wire.pages(fetch, lambda page: map(period_from_wire, page.periods))

    def cap_changes(self, budget_id: str) -> Iterator[CapChange]:
        """Yield the changes of a cap, newest first."""

        def fetch(token: str) -> v1.ListCapChangesResponse:
            request = v1.ListCapChangesRequest(
                page_size=PAGE_ITEMS, page_token=token, budget_id=budget_id
            )
            return self._wire.ask(self._stub.ListCapChanges, request)

        return self._wire.pages(fetch, lambda page: map(cap_change_from_wire, page.changes))


def window_to_wire(window: str) -> v1.Window.ValueType:
    """Write a window. Raises InvalidArgumentError."""
    if window not in _WINDOW_TO_WIRE:
        raise InvalidArgumentError(
            f"{window!r} is no window: use day, week, month or once", field="window"
        )
    return _WINDOW_TO_WIRE[window]


def split_to_wire(split_by: str) -> v1.SplitBy.ValueType:
    """Write by what a budget is split. Raises InvalidArgumentError."""
    if split_by not in _SPLIT_TO_WIRE:
        raise InvalidArgumentError(
            f"a budget cannot be split by {split_by!r}: use key or workflow", field="split_by"
        )
    return _SPLIT_TO_WIRE[split_by]


def budget_from_wire(wire: v1.Budget) -> Budget:
    """Read a budget."""
    has_period = wire.HasField("current_period")
    return Budget(
        budget_id=wire.budget_id,
        display_name=wire.display_name,
        project_id=wire.project_id,
        key_id=wire.key_id,
        workflow=wire.workflow,
        model=wire.model,
        region=wire.region,
        split_by=_SPLIT_FROM_WIRE[wire.split_by],
        window=_WINDOW_FROM_WIRE[wire.window],
        time_zone=wire.time_zone,
        anchor_day=wire.anchor_day,
        cap_nano_usd=wire.cap_nano_usd if wire.HasField("cap_nano_usd") else None,
        max_offline_ms=wire.max_offline_ms,
        create_time=instant_from_wire(wire.create_time),
        archive_time=instant_or_none_from_wire(wire.archive_time),
        current_period=period_from_wire(wire.current_period) if has_period else None,
        etag=wire.etag,
    )


def period_from_wire(wire: v1.Period) -> Period:
    """Read a period."""
    return Period(
        budget_id=wire.budget_id,
        partition=wire.partition,
        period_id=wire.period_id,
        start_time=instant_from_wire(wire.start_time),
        end_time=instant_or_none_from_wire(wire.end_time),
        cap_nano_usd=wire.cap_nano_usd if wire.HasField("cap_nano_usd") else None,
        spent_nano_usd=wire.spent_nano_usd,
        leased_nano_usd=wire.leased_nano_usd,
        held_nano_usd=wire.held_nano_usd,
        overrun_nano_usd=wire.overrun_nano_usd,
        orphaned_nano_usd=wire.orphaned_nano_usd,
        lump_nano_usd=wire.lump_nano_usd,
        overshoot_nano_usd=wire.overshoot_nano_usd,
        state=wire.state,
        cap_version=wire.cap_version,
    )


def _changed_from_wire(answer: v1.SetCapResponse) -> ChangedCap:
    return ChangedCap(
        budget=budget_from_wire(answer.budget),
        change=cap_change_from_wire(answer.change),
        reach=reach_from_wire(answer.reach),
    )


def cap_change_from_wire(wire: v1.CapChange) -> CapChange:
    """Read a change of a cap."""
    has_old, has_new = wire.HasField("old_cap_nano_usd"), wire.HasField("new_cap_nano_usd")
    return CapChange(
        budget_id=wire.budget_id,
        period_id=wire.period_id,
        old_cap_nano_usd=wire.old_cap_nano_usd if has_old else None,
        new_cap_nano_usd=wire.new_cap_nano_usd if has_new else None,
        cap_version=wire.cap_version,
        actor=wire.actor,
        reason=wire.reason,
        change_time=instant_from_wire(wire.change_time),
    )
