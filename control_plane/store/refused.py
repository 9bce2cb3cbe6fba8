"""Refused calls of a project by what they were for: counted where they lie, however many rows."""

from collections.abc import Sequence

from control_plane.core.usage import Refused
from control_plane.store.engine import Tx, Value

_WITHIN = """FROM refusal_rollup
  WHERE project_id = :project AND bucket_unix_ms >= :start AND bucket_unix_ms < :end"""


def most(
    tx: Tx, project_id: str, start_unix_ms: int, end_unix_ms: int, limit: int
) -> list[Refused]:
    """By workflow, reason and budget, the most refused first."""
    rows = tx.rows(
        f"""SELECT workflow, reason, budget_id, SUM(refused_count) AS n,
              MIN(bucket_unix_ms) AS first, MAX(bucket_unix_ms) AS last
            {_WITHIN} GROUP BY workflow, reason, budget_id
            ORDER BY n DESC, workflow, reason, budget_id LIMIT :limit""",
        {**_span(project_id, start_unix_ms, end_unix_ms), "limit": limit},
    )
    return [
        Refused(
            workflow=row["workflow"],
            reason=row["reason"],
            budget_id=row["budget_id"],
            refused_count=int(row["n"]),
            first_unix_ms=row["first"],
            last_unix_ms=row["last"],
        )
        for row in rows
    ]


def count(tx: Tx, project_id: str, start_unix_ms: int, end_unix_ms: int) -> int:
    """All of them."""
    row = tx.row(
        f"SELECT COALESCE(SUM(refused_count), 0) AS n {_WITHIN}",
        _span(project_id, start_unix_ms, end_unix_ms),
    )
    assert row is not None
    return int(row["n"])


def workflows(
    tx: Tx, project_id: str, start_unix_ms: int, end_unix_ms: int, limit: int
) -> list[str]:
    """The first workflows by name of which calls were refused."""
    rows = tx.rows(
        f"SELECT DISTINCT workflow {_WITHIN} ORDER BY workflow LIMIT :limit",
        {**_span(project_id, start_unix_ms, end_unix_ms), "limit": limit},
    )
    return [row["workflow"] for row in rows]


def by_workflow(
    tx: Tx, project_id: str, start_unix_ms: int, end_unix_ms: int, names: Sequence[str]
) -> dict[str, int]:
    """How many of some workflows; those without any are left out."""
    listed = {f"name{number}": name for number, name in enumerate(names)}
    rows = tx.rows(
        f"""SELECT workflow, SUM(refused_count) AS n {_WITHIN}
              AND workflow IN ({", ".join(f":{name}" for name in listed)})
            GROUP BY workflow""",
        {**_span(project_id, start_unix_ms, end_unix_ms), **listed},
    )
    return {row["workflow"]: int(row["n"]) for row in rows}


def workflow_count(tx: Tx, project_id: str, start_unix_ms: int, end_unix_ms: int) -> int:
    """How many workflows had calls, booked or refused."""
    row = tx.row(
        f"""SELECT COUNT(*) AS n FROM (
              SELECT workflow FROM rollup
              WHERE project_id = :project AND bucket_unix_ms >= :start AND bucket_unix_ms < :end
              UNION SELECT workflow {_WITHIN})""",  # noqa: S608 - written above
        _span(project_id, start_unix_ms, end_unix_ms),
    )
    assert row is not None
    return int(row["n"])


def _span(project_id: str, start_unix_ms: int, end_unix_ms: int) -> dict[str, Value]:
    return {"project": project_id, "start": start_unix_ms, "end": end_unix_ms}
