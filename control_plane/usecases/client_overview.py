"""One client as its page shows it: budgets, this month by what it was for, and what happened last.

Reads only, and only what is the client's own: the page of a share link is made of the same value.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from control_plane.core import overview as core
from control_plane.core.budgets import Budget, CapChange, CapReach
from control_plane.core.listed import Listed
from control_plane.core.local_dates import LocalDates, whole_month
from control_plane.core.log import CallFilter, LoggedCall, RefusalMinute
from control_plane.core.overview import Standing
from control_plane.core.pages import Asked
from control_plane.core.projects import Project
from control_plane.core.share_links import ShareLink
from control_plane.core.usage import (
    Sums,
    UsageAnswer,
    UsageQuestion,
    UsageRow,
    arrange,
    total_of,
)
from control_plane.core.windows import window_at
from control_plane.store import budgets as budget_store
from control_plane.store import keys as key_store
from control_plane.store import rate_cards, usage
from control_plane.store.engine import Tx
from control_plane.store.local_usage import LocalUsage, Rank
from control_plane.usecases import budgets, calls, overview, projects, share_links
from control_plane.usecases.levels import Levels
from control_plane.usecases.statement_values import month_at
from protos.values.errors import NotFoundError

RECENT_CALLS = 20
RECENT_REFUSALS = 10
RECENT_CHANGES = 20
RECENT_LINKS = 10


@dataclass(frozen=True, slots=True)
class ClientOverview:
    """One client at a glance."""

    project: Project
    standings: tuple[Standing, ...]
    """Its own budgets that are not split, the most urgent first."""
    split: tuple[Budget, ...]
    """Its budgets that give their cap to each value for itself."""
    total: Sums
    """This month's calls, in its own zone."""
    lump_nano_usd: int
    """What was charged for lost journals in it; in no sum."""
    workflows: tuple[UsageRow, ...]
    """A page of its workflows, the dearest first."""
    listed: Listed
    """Which page that is."""
    by_model: tuple[UsageRow, ...]
    by_key: tuple[UsageRow, ...]
    days: tuple[tuple[str, int], ...]
    """What each day of the month cost so far, by date; days without calls are there too."""
    latencies: Mapping[str, Mapping[int, int]]
    """How long its calls took, in the steps of `core.latency`, by workflow of the page."""
    key_names: Mapping[str, str]
    """What its keys are called, by id."""
    has_rate_card: bool

    @property
    def binding(self) -> Standing | None:
        """The budget that its calls meet first."""
        return self.standings[0] if self.standings else None


@dataclass(frozen=True, slots=True)
class ClientTrail:
    """What happened last to one client, for the agency alone."""

    changes: tuple[CapChange, ...]
    """Decisions about the cap of its binding budget, newest first."""
    reach: CapReach | None
    calls: tuple[LoggedCall, ...]
    refusals: tuple[RefusalMinute, ...]
    agency: tuple[Standing, ...]
    """Budgets of the whole agency, which its calls meet too."""
    links: tuple[ShareLink, ...]
    """Links to its page that work."""


@dataclass(frozen=True, slots=True)
class WorkflowOverview:
    """One workflow of a client, in the month that runs."""

    project: Project
    sums: Sums
    models: tuple[UsageRow, ...]
    """By model, the dearest first."""
    took: Mapping[int, int]
    """How long its calls took, in the steps of `core.latency`."""


def client_overview(
    tx: Tx,
    project_id: str,
    levels: Levels,
    now_unix_ms: int,
    *,
    page: int = 1,
    is_for_client: bool = False,
) -> ClientOverview:
    """One client, with a page of its workflows; for itself by what it is charged, if it is.

    Raises NotFoundError.
    """
    project = projects.found(tx, project_id)
    own = budget_store.active_of(tx, [project_id])
    standings = overview.standings_of(tx, own, levels, now_unix_ms)
    month = month_at(project.time_zone, now_unix_ms)
    # The whole month: nothing begins after now.
    dates, used = whole_month(month), LocalUsage(tx, project.time_zone, project_id)
    by_model = arrange(used.sums(dates, ("model",), [project_id]), ("model",))

    def by(*grouping: str) -> UsageAnswer:
        question = UsageQuestion(grouping, project_id, start_unix_ms=month.start_unix_ms)
        return calls.query_usage(tx, question, now_unix_ms)

    has_rate_card = bool(rate_cards.of_project(tx, project_id))
    rank: Rank = "charge_nano_usd" if is_for_client and has_rate_card else "cost_nano_usd"
    workflows, listed = _workflows(used, dates, project_id, rank, page)
    named = [row.group[0] for row in workflows]
    days = by("day")
    return ClientOverview(
        project=project,
        standings=core.by_project(standings, now_unix_ms).get(project_id, ()),
        split=tuple(budget for budget in own if budget.split_by),
        total=total_of(by_model),
        lump_nano_usd=days.lump_nano_usd,
        workflows=tuple(workflows),
        listed=listed,
        by_model=by_model,
        by_key=by("key").rows,
        days=_days(days, project.time_zone, month.start_unix_ms, now_unix_ms),
        latencies=(
            usage.latencies(tx, project_id, month.start_unix_ms, now_unix_ms, workflows=named)
            if named
            else {}
        ),
        key_names={key.key_id: key.display_name for key in key_store.of_project(tx, project_id)},
        has_rate_card=has_rate_card,
    )


def _workflows(
    used: LocalUsage, dates: LocalDates, project_id: str, rank: Rank, page: int
) -> tuple[list[UsageRow], Listed]:
    rows, count = used.workflows(dates, project_id, rank, Listed(page, 0).first)
    if not rows and page > 1:
        # There are fewer pages now.
        _, count = used.workflows(dates, project_id, rank, 1)
        rows, _ = used.workflows(dates, project_id, rank, Listed.of(page, count).first)
    return rows, Listed.of(page, count)


def workflow_overview(tx: Tx, project_id: str, workflow: str, now_unix_ms: int) -> WorkflowOverview:
    """One workflow of a client. Raises NotFoundError also where it had no calls this month."""
    project = projects.found(tx, project_id)
    month = month_at(project.time_zone, now_unix_ms)
    used = LocalUsage(tx, project.time_zone, project_id)
    rows = used.of_workflows(whole_month(month), [(project_id, workflow)])
    if not rows:
        raise NotFoundError("this workflow had no calls this month", workflow=workflow)
    models: dict[str, Sums] = {}
    for row in rows:
        model = row.group[3]
        models[model] = models.get(model, Sums()).plus(row.sums)
    took = usage.latencies(tx, project_id, month.start_unix_ms, now_unix_ms, workflows=[workflow])
    return WorkflowOverview(
        project=project,
        sums=total_of(rows),
        models=arrange((UsageRow((name,), sums) for name, sums in models.items()), ("model",)),
        took=took.get(workflow, {}),
    )


def client_trail(tx: Tx, client: ClientOverview, levels: Levels, now_unix_ms: int) -> ClientTrail:
    """What happened last to a client."""
    project_id, binding = client.project.project_id, client.binding
    changes: tuple[CapChange, ...] = ()
    if binding is not None:
        asked = Asked(RECENT_CHANGES)
        changes = budgets.list_cap_changes(tx, asked, binding.budget.budget_id).items
    agency = overview.standings_of(tx, budget_store.active_of(tx, [""]), levels, now_unix_ms)
    return ClientTrail(
        changes=changes,
        reach=None if binding is None else overview.cap_reach(tx, binding),
        calls=calls.list_calls(tx, Asked(RECENT_CALLS), CallFilter(project_id)).items,
        refusals=calls.list_refusals(tx, Asked(RECENT_REFUSALS), project_id).items,
        agency=tuple(sorted(agency, key=lambda one: one.order_at(now_unix_ms))),
        links=tuple(
            link
            for link in share_links.list_share_links(tx, Asked(RECENT_LINKS), project_id).items
            if link.works_at(now_unix_ms)
        ),
    )


def _days(
    answer: UsageAnswer, zone: str, start_unix_ms: int, now_unix_ms: int
) -> tuple[tuple[str, int], ...]:
    costs = {row.group[0]: row.sums.cost_nano_usd for row in answer.rows}
    days = []
    at = start_unix_ms
    while at <= now_unix_ms:
        day = window_at("day", zone, 1, at)
        assert day.end_unix_ms is not None
        days.append((day.period_id, costs.get(day.period_id, 0)))
        at = day.end_unix_ms
    return tuple(days)
