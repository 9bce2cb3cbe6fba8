"""Gathers the monthly review over all clients; reads only sums of spans and what is indexed.

No question has a row for each workflow and model of each client: that is thousands of rows more
than a page shows. What moved is found by the costs of workflows, and looked into for those alone.
"""

from collections.abc import Iterable, Mapping

from control_plane import limits
from control_plane.core import fields, prices
from control_plane.core import review as core
from control_plane.core.budgets import Budget
from control_plane.core.calls import WELL
from control_plane.core.prices import Price
from control_plane.core.projects import Project, ProjectState
from control_plane.core.review import ClientLine, ComingChange, Review
from control_plane.core.statements import Month
from control_plane.core.usage import (
    Grouping,
    Stretch,
    Sums,
    UsageAnswer,
    UsageQuestion,
    UsageRow,
    bucket_up,
)
from control_plane.store import budgets, forecasts, installation, principals, projects, retirements
from control_plane.store import prices as price_store
from control_plane.store import review as store
from control_plane.store import usage as usage_store
from control_plane.store.engine import Tx
from control_plane.usecases import calls
from control_plane.usecases.statement_values import (
    month_at,
    month_before,
    month_of,
    monthly_budget,
)
from protos.values.rates import ModelPrice

_BY_WORKFLOW: tuple[Grouping, ...] = ("project", "workflow", "provider", "model")
_BY_CLIENT: tuple[Grouping, ...] = ("project", "provider", "model")
_BY_OUTCOME: tuple[Grouping, ...] = ("provider", "model", "outcome")


def get_review(tx: Tx, month: str, now_unix_ms: int) -> Review:
    """The review of a month such as 2026-10; "" is the running one.

    Raises InvalidArgumentError for what is no month, or begins later.
    """
    asked = _month_named(installation.get(tx).time_zone, month, now_unix_ms)
    earlier = month_before(asked)
    end = min(asked.end_unix_ms, bucket_up(now_unix_ms))
    is_running = asked.end_unix_ms > now_unix_ms
    earlier_end = earlier.end_unix_ms
    if is_running:
        elapsed = end - asked.start_unix_ms
        earlier_end = min(earlier_end, earlier.start_unix_ms + elapsed)
    # The whole month: nothing begins after now, and whole days are read quickly.
    now = _usage(tx, asked.start_unix_ms, asked.end_unix_ms, asked.time_zone, now_unix_ms)
    before = _usage(tx, earlier.start_unix_ms, earlier_end, asked.time_zone, now_unix_ms)
    spans = (
        Stretch("", asked.start_unix_ms, asked.end_unix_ms),
        Stretch("", earlier.start_unix_ms, earlier_end),
    )
    ended, ended_before = (usage_store.sums(tx, span, _BY_OUTCOME, project_id="") for span in spans)
    (rows, rows_before), is_by_workflow = _moved(tx, *spans)
    clients = _clients(tx, asked, now, before)
    return Review(
        month=asked,
        end_unix_ms=end,
        is_running=is_running,
        total=now.total,
        before=before.total,
        lump_nano_usd=now.lump_nano_usd,
        client_count=len(now.rows),
        client_count_before=len(before.rows),
        clients=clients,
        models=core.by_model(ended, ended_before),
        movers=core.movers(rows, rows_before, limits.REVIEW_ROWS_MAX),
        is_by_workflow=is_by_workflow,
        errors=core.errors(ended, WELL),
        raises=store.raises(
            tx, earlier.start_unix_ms, asked.start_unix_ms, end, principals.names(tx)
        ),
        coming=_coming(tx, spans[0], ended, now_unix_ms),
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


def _usage(tx: Tx, start: int, end: int, zone: str, now_unix_ms: int) -> UsageAnswer:
    question = UsageQuestion(("project",), "", start, end, zone)
    return calls.query_usage(tx, question, now_unix_ms)


def _moved(
    tx: Tx, now: Stretch, before: Stretch
) -> tuple[tuple[list[UsageRow], list[UsageRow]], bool]:
    """Rows by client, workflow, provider and model of the workflows whose cost changed most.

    Where there are very many workflows, rows of all clients without them; and whether it is not so.
    """
    costs, earlier = (usage_store.workflow_costs(tx, span) for span in (now, before))
    if max(len(costs), len(earlier)) > limits.USAGE_ROWS_MAX:
        coarse = (usage_store.sums(tx, span, _BY_CLIENT, project_id="") for span in (now, before))
        rows, rows_before = (
            [UsageRow((row.group[0], "", *row.group[1:]), row.sums) for row in found]
            for found in coarse
        )
        return (rows, rows_before), False
    moved = core.most_moved(costs, earlier, limits.REVIEW_ROWS_MAX)
    if not moved:
        return ([], []), True
    rows, rows_before = (
        usage_store.sums(tx, span, _BY_WORKFLOW, project_id="", pairs=moved)
        for span in (now, before)
    )
    return (rows, rows_before), True


def _clients(tx: Tx, month: Month, now: UsageAnswer, before: UsageAnswer) -> tuple[ClientLine, ...]:
    """Every client that is not archived or had calls."""
    sums, earlier = ({row.group[0]: row.sums for row in answer.rows} for answer in (now, before))
    known = {project.project_id: project for project in projects.everything(tx)}
    shown = {
        project_id
        for project_id, project in known.items()
        if project.state is not ProjectState.ARCHIVED
    }
    monthly = _monthly(tx, known)
    caps = store.spent_of_caps(tx, f"{month.name}-01")
    seen = forecasts.latest(tx)
    told = store.alert_counts(tx, month.start_unix_ms, month.end_unix_ms)
    states = store.statement_states(tx, month.name)
    found = []
    for project_id in {*shown, *sums, *earlier}:
        budget = monthly.get(project_id)
        forecast = seen.get(budget.budget_id) if budget is not None else None
        holds = forecast is not None and forecast.period_id == f"{month.name}-01"
        state = states.get(project_id)
        found.append(
            ClientLine(
                project_id=project_id,
                client=known[project_id].display_name if project_id in known else project_id,
                sums=sums.get(project_id, Sums()),
                before=earlier.get(project_id, Sums()),
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
    found.sort(key=lambda line: (-line.sums.cost_nano_usd, line.client, line.project_id))
    return tuple(found)


def _monthly(tx: Tx, known: Mapping[str, Project]) -> dict[str, Budget]:
    """The budget of each client that counts all of its calls by month."""
    of_project: dict[str, list[Budget]] = {}
    for budget in budgets.active(tx):
        of_project.setdefault(budget.selector.project_id, []).append(budget)
    found = {}
    for project_id, its in of_project.items():
        project = known.get(project_id)
        monthly = monthly_budget(its, project) if project is not None else None
        if monthly is not None:
            found[project_id] = monthly
    return found


def _coming(
    tx: Tx, span: Stretch, rows: Iterable[UsageRow], now_unix_ms: int
) -> tuple[ComingChange, ...]:
    """Prices and retirements to come of models that were used, the next one first.

    Rows are by provider, model and outcome.
    """
    used: dict[tuple[str, str], Sums] = {}
    for row in rows:
        name = row.group[0], row.group[1]
        used[name] = used.get(name, Sums()).plus(row.sums)
    who = _Users(tx, span)
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

    def __init__(self, tx: Tx, span: Stretch) -> None:
        self._tx, self._span = tx, span
        self._counts: dict[tuple[str, str], int] | None = None

    def count(self, provider: str, model: str) -> int:
        """Clients that used it within the time."""
        if self._counts is None:
            rows = usage_store.sums(self._tx, self._span, _BY_CLIENT, project_id="")
            self._counts = {}
            for row in rows:
                name = row.group[1], row.group[2]
                self._counts[name] = self._counts.get(name, 0) + 1
        return self._counts[provider, model]


def held_prices(book: Iterable[Price], now_unix_ms: int) -> Mapping[tuple[str, str], ModelPrice]:
    """Prices that hold now, by provider and each name of the model."""
    held = prices.in_force(book, now_unix_ms)
    return core.prices_by_name(price.model_price for price in held.values())
