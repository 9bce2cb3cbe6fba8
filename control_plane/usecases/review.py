"""Gathers the monthly review over all clients; reads only sums of spans and what is indexed.

No question has a row for each workflow and model of each client: that is thousands of rows more
than a page shows. What moved is found by the costs of workflows, and looked into for those alone;
and of clients that are not shown only the order is worked out.
"""

from collections.abc import Iterable, Mapping, Sequence

from control_plane import limits
from control_plane.core import fields, prices
from control_plane.core import review as core
from control_plane.core.budgets import Budget
from control_plane.core.calls import WELL
from control_plane.core.listed import Listed
from control_plane.core.local_dates import LocalDates, up_to_same_day, whole_month
from control_plane.core.prices import Price
from control_plane.core.projects import ProjectState
from control_plane.core.review import ClientLine, ComingChange, Review
from control_plane.core.statements import Month
from control_plane.core.usage import Grouping, Sums, UsageRow, bucket_up, total_of
from control_plane.store import budgets, forecasts, installation, principals, projects, retirements
from control_plane.store import prices as price_store
from control_plane.store import review as store
from control_plane.store.engine import Tx
from control_plane.store.local_usage import LocalUsage
from control_plane.usecases import calls
from control_plane.usecases.statement_values import (
    month_at,
    month_before,
    month_of,
    monthly_budget,
)
from protos.values.rates import ModelPrice

_BY_CLIENT: tuple[Grouping, ...] = ("project", "provider", "model")
_BY_OUTCOME: tuple[Grouping, ...] = ("provider", "model", "outcome")


def get_review(tx: Tx, month: str, now_unix_ms: int, *, page: int = 0) -> Review:
    """The review of a month such as 2026-10; "" is the running one.

    It has the lines of one page of clients, or with 0 of all. Raises InvalidArgumentError for what
    is no month, or begins later.
    """
    asked = _month_named(installation.get(tx).time_zone, month, now_unix_ms)
    earlier = month_before(asked)
    is_running = asked.end_unix_ms > now_unix_ms
    # The whole month also while it runs: nothing begins after now.
    now, before = whole_month(asked), whole_month(earlier)
    if is_running:
        before = up_to_same_day(earlier, asked.time_zone, now_unix_ms)
    used = LocalUsage(tx, asked.time_zone)
    ended, ended_before = (used.sums(dates, _BY_OUTCOME) for dates in (now, before))
    sums, called_before = _by_project(used, now), used.callers(before)
    (rows, rows_before), is_by_workflow = _moved(used, now, before)
    order, names = _order(tx, sums, called_before)
    listed = Listed.of(page, len(order))
    shown = listed.cut(order)
    sums_before = _by_project(used, before, shown if page else ())
    end = min(asked.end_unix_ms, bucket_up(now_unix_ms))
    return Review(
        month=asked,
        end_unix_ms=end,
        is_running=is_running,
        total=total_of(ended),
        before=total_of(ended_before),
        lump_nano_usd=calls.lumps_nano_usd(tx, "", asked.start_unix_ms, end),
        client_count=len(sums),
        client_count_before=len(called_before),
        clients=_clients(tx, asked, shown, names, sums, sums_before),
        listed=listed,
        models=core.by_model(ended, ended_before),
        movers=core.movers(rows, rows_before, limits.REVIEW_ROWS_MAX),
        is_by_workflow=is_by_workflow,
        errors=core.errors(ended, WELL),
        raises=store.raises(
            tx, earlier.start_unix_ms, asked.start_unix_ms, end, principals.names(tx)
        ),
        coming=_coming(tx, _Users(used, now), ended, now_unix_ms),
        unused_keys=store.unused_keys(tx, asked.start_unix_ms),
    )


def _month_named(zone: str, name: str, now_unix_ms: int) -> Month:
    if not name:
        return month_at(zone, now_unix_ms)
    found = month_of(zone, name)
    if found is None:
        raise fields.invalid("month", "write it like 2026-10")
    if found.start_unix_ms > now_unix_ms:
        raise fields.invalid("month", f"{name} has not begun")
    return found


def _moved(
    used: LocalUsage, now: LocalDates, before: LocalDates
) -> tuple[tuple[list[UsageRow], list[UsageRow]], bool]:
    """Rows by client, workflow, provider and model of the workflows whose cost changed most.

    Where there are very many workflows, rows of all clients without them; and whether it is not so.
    """
    changed = used.most_changed(now, before, limits.REVIEW_ROWS_MAX)
    if changed.workflow_count > limits.USAGE_ROWS_MAX:
        rows, rows_before = (
            [
                UsageRow((row.group[0], "", *row.group[1:]), row.sums)
                for row in used.sums(dates, _BY_CLIENT)
            ]
            for dates in (now, before)
        )
        return (rows, rows_before), False
    rows, rows_before = (used.of_workflows(dates, changed.pairs) for dates in (now, before))
    return (rows, rows_before), True


def _by_project(
    used: LocalUsage, dates: LocalDates, project_ids: Sequence[str] = ()
) -> dict[str, Sums]:
    return {row.group[0]: row.sums for row in used.sums(dates, ("project",), project_ids)}


def _order(
    tx: Tx, sums: Mapping[str, Sums], called_before: frozenset[str]
) -> tuple[list[str], Mapping[str, str]]:
    """Clients that are not archived or had calls, dearest first; and what each is called."""
    known = projects.listed(tx)
    names = {one.project_id: one.display_name for one in known}
    archived = ProjectState.ARCHIVED.value
    wanted = {*sums, *called_before}
    wanted |= {one.project_id for one in known if one.state != archived}
    nothing = Sums()
    order = sorted(
        (
            -sums.get(project_id, nothing).cost_nano_usd,
            names.get(project_id, project_id),
            project_id,
        )
        for project_id in wanted
    )
    return [project_id for _, _, project_id in order], names


def _clients(
    tx: Tx,
    month: Month,
    shown: Sequence[str],
    names: Mapping[str, str],
    sums: Mapping[str, Sums],
    before: Mapping[str, Sums],
) -> tuple[ClientLine, ...]:
    monthly = _monthly(tx, shown)
    caps = store.spent_of_caps(tx, f"{month.name}-01")
    seen = forecasts.of(tx, [budget.budget_id for budget in monthly.values()])
    told = store.alert_counts(tx, month.start_unix_ms, month.end_unix_ms)
    states = store.statement_states(tx, month.name)
    found = []
    for project_id in shown:
        budget = monthly.get(project_id)
        forecast = seen.get(budget.budget_id) if budget is not None else None
        holds = forecast is not None and forecast.period_id == f"{month.name}-01"
        state = states.get(project_id)
        found.append(
            ClientLine(
                project_id=project_id,
                client=names.get(project_id, project_id),
                sums=sums.get(project_id, Sums()),
                before=before.get(project_id, Sums()),
                cap=caps.get(budget.budget_id) if budget is not None else None,
                forecast_error_ppm=(
                    forecast.forecast.error_ppm
                    if forecast is not None and holds and forecast.forecast.days_known
                    else None
                ),
                alert_count=told.get(project_id, 0),
                statement=state.value if state is not None else "",
            )
        )
    return tuple(found)


def _monthly(tx: Tx, project_ids: Sequence[str]) -> dict[str, Budget]:
    """The budget of each of some clients that counts all of its calls by month."""
    of_project: dict[str, list[Budget]] = {}
    for budget in budgets.active_of(tx, project_ids):
        of_project.setdefault(budget.selector.project_id, []).append(budget)
    found = {}
    for project in projects.some(tx, list(of_project)):
        monthly = monthly_budget(of_project[project.project_id], project)
        if monthly is not None:
            found[project.project_id] = monthly
    return found


def _coming(
    tx: Tx, who: "_Users", rows: Iterable[UsageRow], now_unix_ms: int
) -> tuple[ComingChange, ...]:
    """Prices and retirements to come of models that were used, the next one first.

    Rows are by provider, model and outcome.
    """
    used: dict[tuple[str, str], Sums] = {}
    for row in rows:
        name = row.group[0], row.group[1]
        used[name] = used.get(name, Sums()).plus(row.sums)
    book = price_store.everything(tx)
    current = held_prices(book, now_unix_ms)

    def change(
        name: tuple[str, str], at: int, to: ModelPrice | None, replacement: str | None
    ) -> ComingChange:
        would = core.cost_at(used[name], current.get(name), to)
        cost = used[name].cost_nano_usd
        return ComingChange(
            *name,
            from_unix_ms=at,
            is_retired=replacement is not None,
            replacement=replacement or "",
            client_count=who.count(*name),
            cost_nano_usd=cost,
            effect_nano_usd=None if would is None else would - cost,
        )

    found = []
    for price in book:
        of, at = price.model_price, price.valid_from_unix_ms
        if at > now_unix_ms:
            names = [(of.provider, each) for each in (of.model, *of.aliases)]
            found += [change(name, at, of, None) for name in names if name in used]
    for one in retirements.everything(tx):
        if one.retires_unix_ms > now_unix_ms and (one.provider, one.model) in used:
            to = current.get((one.provider, one.replacement)) if one.replacement else None
            name = one.provider, one.model
            found.append(change(name, one.retires_unix_ms, to, one.replacement))
    return tuple(sorted(found, key=lambda one: (one.from_unix_ms, one.provider, one.model)))


class _Users:
    """How many clients used a model; asked for only where something comes for any."""

    def __init__(self, used: LocalUsage, dates: LocalDates) -> None:
        self._used, self._dates = used, dates
        self._counts: dict[tuple[str, str], int] | None = None

    def count(self, provider: str, model: str) -> int:
        """Clients that used it on those dates."""
        if self._counts is None:
            self._counts = {}
            for row in self._used.sums(self._dates, _BY_CLIENT):
                name = row.group[1], row.group[2]
                self._counts[name] = self._counts.get(name, 0) + 1
        return self._counts[provider, model]


def held_prices(book: Iterable[Price], now_unix_ms: int) -> Mapping[tuple[str, str], ModelPrice]:
    """Prices that hold now, by provider and each name of the model."""
    held = prices.in_force(book, now_unix_ms)
    return core.prices_by_name(price.model_price for price in held.values())
