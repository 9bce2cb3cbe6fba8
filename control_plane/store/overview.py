"""What the first page reads of all clients at once: a query each, and none per client."""

from collections.abc import Mapping

from control_plane import limits
from control_plane.core.budgets import CapChange, Period
from control_plane.core.overview import Refused
from control_plane.core.projects import ListedProject, Project, ProjectState
from control_plane.store import budgets, holdings, projects
from control_plane.store.engine import Tx

_DAY_MS = 86_400_000
SPARK_DAYS = 30
"""Days in the small picture of a client."""
ACTIVE_DAYS = 7
"""A workflow counts that had calls in so many days."""


def clients(tx: Tx) -> list[Project]:
    """Clients that are not archived, by name, as many as may be looked at."""
    found = {project.project_id: project for project in projects.everything(tx)}
    return [found[one.project_id] for one in listed_clients(tx)]


def listed_clients(tx: Tx) -> list[ListedProject]:
    """The same, as a list names them."""
    archived = ProjectState.ARCHIVED.value
    found = [one for one in projects.listed(tx) if one.state != archived]
    return found[: limits.PROJECTS_MAX]


def open_periods(tx: Tx) -> Mapping[tuple[str, str], Period]:
    """Whole periods that take money, by budget and period id."""
    return {
        (period.budget_id, period.span.period_id): period for period in holdings.open_periods(tx)
    }


def newest_changes(tx: Tx) -> Mapping[str, CapChange]:
    """The newest decision about the cap of each budget that is not archived."""
    return {change.budget_id: change for change in budgets.newest_changes(tx)}


def refused(tx: Tx, since_unix_ms: int) -> Mapping[str, Refused]:
    """What budgets refused since their caps were last decided about, by budget.

    The minute in which a cap was changed counts for what was before it.
    """
    rows = tx.rows(
        """SELECT r.budget_id, SUM(r.refused_count) AS calls,
             SUM(CASE WHEN r.reason = 'exhausted' THEN r.refused_count ELSE 0 END) AS exhausted,
             MIN(r.minute_unix_ms) AS first, MAX(r.minute_unix_ms) AS last
           FROM refusal r JOIN budget b ON b.budget_id = r.budget_id
             JOIN cap_change c ON c.budget_id = b.budget_id AND c.cap_version = b.cap_version
           WHERE r.minute_unix_ms >= :since
             AND (c.cap_version = 1 OR r.minute_unix_ms >= c.changed_unix_ms)
             AND r.reason IN ('exhausted', 'too_large')
           GROUP BY r.budget_id""",
        {"since": since_unix_ms},
    )
    return {
        row["budget_id"]: Refused(
            int(row["calls"]), int(row["exhausted"]), int(row["first"]), int(row["last"])
        )
        for row in rows
    }


def daily(tx: Tx, project_id: str, now_unix_ms: int) -> tuple[int, ...]:
    """What each of the last days of a client's own zone cost, today last."""
    rows = tx.rows(
        """SELECT start_unix_ms, cost_nano_usd FROM rollup_day_total
           WHERE project_id = :project AND start_unix_ms > :start""",
        {"project": project_id, "start": now_unix_ms - SPARK_DAYS * _DAY_MS},
    )
    days = [0] * SPARK_DAYS
    for row in rows:
        past = (now_unix_ms - int(row["start_unix_ms"])) // _DAY_MS
        if 0 <= past < SPARK_DAYS:
            days[-1 - past] += int(row["cost_nano_usd"])
    return tuple(days)


def workflow_count(tx: Tx, project_id: str, now_unix_ms: int) -> int:
    """How many workflows of a client had calls in the last days."""
    row = tx.row(
        """SELECT COUNT(DISTINCT workflow) AS n FROM rollup_day
           WHERE project_id = :project AND start_unix_ms > :start AND workflow <> ''""",
        {"project": project_id, "start": now_unix_ms - ACTIVE_DAYS * _DAY_MS},
    )
    assert row is not None
    return int(row["n"])
