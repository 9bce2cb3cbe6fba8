"""One client as its page shows it: budgets, this month by what it was for, and what happened last.

Reads only, and only what is the client's own: the page of a share link is made of the same value.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from control_plane import limits
from control_plane.core import overview as core
from control_plane.core.budgets import Budget, CapChange, CapReach
from control_plane.core.log import CallFilter, LoggedCall, RefusalMinute
from control_plane.core.overview import Standing
from control_plane.core.pages import Asked
from control_plane.core.projects import Project
from control_plane.core.share_links import ShareLink
from control_plane.core.usage import UsageAnswer, UsageQuestion, UsageRow
from control_plane.core.windows import window_at
from control_plane.store import budgets as budget_store
from control_plane.store import keys as key_store
from control_plane.store import rate_cards, usage
from control_plane.store.engine import Tx
from control_plane.usecases import budgets, calls, overview, projects, share_links
from control_plane.usecases.levels import Levels

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
    month: UsageAnswer
    """This month's calls in its own zone, by workflow."""
    by_model: tuple[UsageRow, ...]
    by_key: tuple[UsageRow, ...]
    days: tuple[tuple[str, int], ...]
    """What each day of the month cost so far, by date; days without calls are there too."""
    latencies: Mapping[str, Mapping[int, int]]
    """How long its calls took, in the steps of `core.latency`, by workflow; of the dearest ones."""
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


def client_overview(
    tx: Tx, project_id: str, levels: Levels, now_unix_ms: int, *, workflow: str = ""
) -> ClientOverview:
    """One client; the latency of a workflow that is named is known. Raises NotFoundError."""
    project = projects.found(tx, project_id)
    own = budget_store.active_of(tx, [project_id])
    standings = overview.standings_of(tx, own, levels, now_unix_ms)
    month = window_at("month", project.time_zone, 1, now_unix_ms)

    def by(*grouping: str) -> UsageAnswer:
        question = UsageQuestion(grouping, project_id, start_unix_ms=month.start_unix_ms)
        return calls.query_usage(tx, question, now_unix_ms)

    workflows = by("workflow")
    named = [row.group[0] for row in workflows.rows[: limits.STATEMENT_WORKFLOWS_MAX]]
    named += [workflow] * bool(workflow)
    return ClientOverview(
        project=project,
        standings=core.by_project(standings, now_unix_ms).get(project_id, ()),
        split=tuple(budget for budget in own if budget.split_by),
        month=workflows,
        by_model=by("model").rows,
        by_key=by("key").rows,
        days=_days(by("day"), project.time_zone, month.start_unix_ms, now_unix_ms),
        latencies=(
            usage.latencies(tx, project_id, month.start_unix_ms, now_unix_ms, workflows=named)
            if named
            else {}
        ),
        key_names={key.key_id: key.display_name for key in key_store.of_project(tx, project_id)},
        has_rate_card=bool(rate_cards.of_project(tx, project_id)),
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
