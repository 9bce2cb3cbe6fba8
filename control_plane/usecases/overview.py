"""All clients at a glance, and each budget as it stands now; reads only."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from control_plane import limits
from control_plane.core import overview as core
from control_plane.core.budgets import Budget, CapReach, Period
from control_plane.core.leases import PeriodKey
from control_plane.core.listed import Listed
from control_plane.core.local_dates import up_to_same_day, whole_month
from control_plane.core.overview import ClientRow, Outlook, Overview, Refused, Standing
from control_plane.core.usage import Sums, total_of
from control_plane.core.windows import WindowSpan
from control_plane.store import budgets, forecasts, installation, projects
from control_plane.store import overview as store
from control_plane.store.engine import Tx
from control_plane.store.forecasts import SeenForecast
from control_plane.store.local_usage import LocalUsage
from control_plane.usecases import budgets as budget_usecases
from control_plane.usecases import reach
from control_plane.usecases.levels import Levels
from control_plane.usecases.statement_values import month_at, month_before
from protos.values.errors import FailedPreconditionError

_DAY_MS = 86_400_000


def clients_overview(
    tx: Tx, levels: Levels, now_unix_ms: int, *, name: str = "", page: int = 1
) -> Overview:
    """Every client with its budgets and this month's sums; of some also the last 30 days.

    Those are a page of the clients whose names have `name` in them, the most urgent first.
    """
    zone = installation.get(tx).time_zone
    month = month_at(zone, now_unix_ms)
    used = LocalUsage(tx, zone)
    # The whole month: nothing begins after now.
    sums = used.sums(whole_month(month), ("project",))
    before = used.sums(up_to_same_day(month_before(month), zone, now_unix_ms), ("provider",))
    by_project = {row.group[0]: row.sums for row in sums}
    standings = core.by_project(
        standings_of(tx, budgets.active(tx), levels, now_unix_ms), now_unix_ms
    )
    found = [
        ClientRow(
            project=project,
            standings=standings.get(project.project_id, ()),
            month=by_project.get(project.project_id, Sums()),
        )
        for project in store.listed_clients(tx)
    ]
    rows = sorted(found, key=lambda row: row.order_at(now_unix_ms))
    wanted = name.casefold()
    named = [row for row in rows if wanted in row.project.display_name.casefold()]
    listed = Listed.of(page, len(named))
    return Overview(
        rows=tuple(rows),
        shown=tuple(_whole(tx, row, now_unix_ms) for row in listed.cut(named)),
        listed=listed,
        agency=standings.get("", ()),
        month=total_of(sums),
        before=total_of(before),
        month_start_unix_ms=month.start_unix_ms,
        month_end_unix_ms=month.end_unix_ms,
        time_zone=zone,
        client_count=projects.count(tx),
    )


def _whole(tx: Tx, row: ClientRow, now_unix_ms: int) -> ClientRow:
    project_id = row.project.project_id
    return replace(
        row,
        workflow_count=store.workflow_count(tx, project_id, now_unix_ms),
        daily_nano_usd=store.daily(tx, project_id, now_unix_ms),
    )


def standings_of(
    tx: Tx,
    wanted: Iterable[Budget],
    levels: Levels,
    now_unix_ms: int,
) -> list[Standing]:
    """How budgets stand; those that are split have no standing of their own."""
    periods = store.open_periods(tx)
    newest = store.newest_changes(tx)
    refused = store.refused(tx, now_unix_ms - _DAY_MS)
    seen = forecasts.latest(tx)
    span_of = _Spans(now_unix_ms)
    return [
        Standing(
            budget=budget,
            period=_period(tx, budget, span_of(budget), periods, levels),
            newest=newest[budget.budget_id],
            refused=refused.get(budget.budget_id, Refused()),
            outlook=_outlook(seen.get(budget.budget_id), span_of(budget)),
        )
        for budget in wanted
        if not budget.split_by and budget.archived_unix_ms is None
    ]


def standing_of(
    tx: Tx,
    budget_id: str,
    levels: Levels,
    now_unix_ms: int,
) -> Standing:
    """How one budget stands. Raises NotFoundError, and FailedPreconditionError for a split one."""
    budget = budget_usecases.found(tx, budget_id)
    found = standings_of(tx, [budget], levels, now_unix_ms)
    if not found:
        raise FailedPreconditionError(
            "this budget is archived, or gives its cap to each value for itself: change it with "
            "`bursar budget`",
            budget_id=budget_id,
        )
    return found[0]


def lately_changed(
    tx: Tx, standings: Iterable[Standing], now_unix_ms: int
) -> list[tuple[Standing, CapReach]]:
    """Budgets whose newest decision can be taken back, and how far it has come; the newest ones."""
    found = [one for one in standings if one.undo_until_unix_ms(now_unix_ms) is not None]
    found.sort(key=lambda one: -one.newest.changed_unix_ms)
    return [
        (one, reach.of_cap(tx, one.budget, one.newest)) for one in found[: limits.DESK_STRIPS_MAX]
    ]


def cap_reach(tx: Tx, standing: Standing) -> CapReach:
    """How far the newest decision about a budget's cap has come."""
    return reach.of_cap(tx, standing.budget, standing.newest)


def client_names(tx: Tx) -> Mapping[str, str]:
    """What clients are called, by id and in the order of their names."""
    return {project.project_id: project.display_name for project in projects.listed(tx)}


def names_to_choose(clients: Mapping[str, str]) -> tuple[str, ...]:
    """The names of clients, where they are few enough for a form to offer; else none."""
    return tuple(clients.values()) if len(clients) <= limits.DESK_ROWS else ()


def budget_names(tx: Tx) -> Mapping[str, str]:
    """What budgets are called, by id."""
    return {budget.budget_id: budget.display_name for budget in budgets.active(tx)}


def agency_zone(tx: Tx) -> str:
    """The time zone of pages that are about all clients."""
    return installation.get(tx).time_zone


def policy_version(tx: Tx) -> int:
    """The number of the policy that sidecars should have."""
    return installation.get(tx).policy_version


def change_no(tx: Tx) -> int:
    """How many commits were made: a number that rises with whatever a page may show."""
    return installation.get(tx).change_no


class _Spans:
    """The windows that run now: hundreds of budgets share a few."""

    def __init__(self, now_unix_ms: int) -> None:
        self._now_unix_ms = now_unix_ms
        self._known: dict[tuple[str, str, int], WindowSpan] = {}

    def __call__(self, budget: Budget) -> WindowSpan:
        of = budget.window, budget.time_zone, budget.anchor_day
        found = self._known.get(of)
        if found is None:
            found = self._known[of] = budget.span_at(self._now_unix_ms)
        return found


def _period(
    tx: Tx,
    budget: Budget,
    span: WindowSpan,
    periods: Mapping[tuple[str, str], Period],
    levels: Levels,
) -> Period:
    """The current period; one in which nothing happened yet is empty."""
    found = periods.get((budget.budget_id, span.period_id))
    if found is None:
        cap = budgets.cap_in_force(tx, budget.budget_id, span.period_id)
        return Period(budget.budget_id, "", span, cap, cap_version=budget.cap_version)
    held = levels.held_nano_usd(PeriodKey(budget.budget_id, "", span.period_id))
    return replace(found, held_nano_usd=held) if held != found.held_nano_usd else found


def _outlook(seen: SeenForecast | None, span: WindowSpan) -> Outlook | None:
    """The forecast of the running period; one of a period that is over says nothing of it."""
    if seen is None or seen.period_id != span.period_id:
        return None
    return Outlook(seen.forecast, seen.runs_out_unix_ms)
