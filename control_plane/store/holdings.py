"""Where money is, as people see it: periods of budgets and sidecars.

Reads only. What open calls hold is no row anywhere: sidecars tell it with every Sync, and whoever
shows these rows adds it.
"""

import json

from control_plane.core.budgets import Budget, Period
from control_plane.core.log import SidecarView
from control_plane.core.pages import Slice
from control_plane.core.windows import WindowSpan
from control_plane.store.engine import Row, Tx

_SIDECAR = """SELECT sidecar.*, (
  SELECT COALESCE(SUM(granted_nano_usd - returned_nano_usd - spent_nano_usd), 0)
  FROM lease WHERE lease.sidecar_id = sidecar.id AND lease.state = 'ACTIVE') AS leased, (
  SELECT COALESCE(SUM(granted_nano_usd - returned_nano_usd - spent_nano_usd - lump_nano_usd
    - released_nano_usd), 0)
  FROM lease WHERE lease.sidecar_id = sidecar.id AND lease.state = 'ORPHANED') AS orphaned, (
  SELECT detail FROM alarm WHERE alarm.sidecar_id = sidecar.id AND alarm.kind = 'FENCED'
  ORDER BY position DESC LIMIT 1) AS fence_detail"""
_PERIOD = """SELECT period.*, (
  SELECT COALESCE(SUM(lump_nano_usd), 0) FROM lease
  WHERE lease.budget_id = period.budget_id AND lease.partition = period.partition
    AND lease.period_id = period.period_id) AS lumps FROM period"""


def period(tx: Tx, budget: Budget, partition: str, span: WindowSpan) -> Period | None:
    """One period; None when nothing happened in it yet."""
    row = tx.row(
        f"""{_PERIOD} WHERE budget_id = :budget AND partition = :partition
             AND period_id = :period""",
        {"budget": budget.budget_id, "partition": partition, "period": span.period_id},
    )
    return _period_from_row(row) if row is not None else None


def periods_page(tx: Tx, asked: Slice, *, budget_id: str, partition: str) -> list[Period]:
    """Periods of a budget, newest first."""
    after = asked.after or (0, "")
    rows = tx.rows(
        f"""{_PERIOD}
           WHERE budget_id = :budget AND (:partition = '' OR partition = :partition)
             AND (:first = 1 OR start_unix_ms < :start
               OR (start_unix_ms = :start AND partition > :after))
           ORDER BY start_unix_ms DESC, partition LIMIT :limit""",
        {
            "budget": budget_id,
            "partition": partition,
            "first": int(asked.after is None),
            "start": after[0],
            "after": after[1],
            "limit": asked.limit,
        },
    )
    return [_period_from_row(row) for row in rows]


def open_periods(tx: Tx) -> list[Period]:
    """Every period that takes money, but for those of one value of a split budget."""
    rows = tx.rows(f"{_PERIOD} WHERE state = 'OPEN' AND partition = ''")
    return [_period_from_row(row) for row in rows]


def sidecars_page(tx: Tx, asked: Slice, *, show_revoked: bool) -> list[SidecarView]:
    """Sidecars by name."""
    rows = tx.rows(
        f"""{_SIDECAR} FROM sidecar
           WHERE (revoked_unix_ms = 0 OR :revoked = 1) AND display_name > :after
           ORDER BY display_name LIMIT :limit""",
        {
            "revoked": int(show_revoked),
            "after": asked.after[0] if asked.after else "",
            "limit": asked.limit,
        },
    )
    return [_sidecar_from_row(row) for row in rows]


def sidecar(tx: Tx, sidecar_id: str) -> SidecarView | None:
    """One sidecar."""
    row = tx.row(
        f"""{_SIDECAR} FROM sidecar WHERE id = :id""",
        {"id": sidecar_id},
    )
    return _sidecar_from_row(row) if row is not None else None


def reach_of(tx: Tx, project_id: str, policy_version: int) -> tuple[int, int]:
    """How many sidecars receive a project, and how many of them apply a policy version.

    An empty project id means every sidecar.
    """
    rows = tx.rows(
        """SELECT project_ids_json, policy_acked FROM sidecar
           WHERE revoked_unix_ms = 0 AND state <> 'DRAINED'"""
    )
    concerned = acked = 0
    for row in rows:
        scope = json.loads(row["project_ids_json"])
        if not project_id or not scope or project_id in scope:
            concerned += 1
            acked += row["policy_acked"] >= policy_version
    return concerned, acked


def reachable(tx: Tx, project_id: str) -> list[SidecarView]:
    """The sidecars that receive a project; all of them for an empty id. By name."""
    rows = tx.rows(
        f"""{_SIDECAR} FROM sidecar WHERE revoked_unix_ms = 0 AND state <> 'DRAINED'
           ORDER BY display_name"""
    )
    found = [_sidecar_from_row(row) for row in rows]
    return [
        one
        for one in found
        if not project_id or not one.project_ids or project_id in one.project_ids
    ]


def lumps(
    tx: Tx, *, start_unix_ms: int, end_unix_ms: int, project_id: str
) -> list[tuple[str, int]]:
    """What budgets of clients were charged as lumps, in periods that begin within a time."""
    rows = tx.rows(
        """SELECT lease.budget_id, SUM(lump_nano_usd) AS lumps FROM lease
           JOIN period p ON p.budget_id = lease.budget_id AND p.partition = lease.partition
             AND p.period_id = lease.period_id
           JOIN budget b ON b.budget_id = lease.budget_id
           WHERE lease.state = 'ORPHANED' AND lump_nano_usd > 0 AND b.project_id <> ''
             AND (:project = '' OR b.project_id = :project)
             AND p.start_unix_ms >= :start AND p.start_unix_ms < :end
           GROUP BY lease.budget_id""",
        {"project": project_id, "start": start_unix_ms, "end": end_unix_ms},
    )
    return [(row["budget_id"], int(row["lumps"])) for row in rows]


def _period_from_row(row: Row) -> Period:
    allocated, spent = row["allocated_nano_usd"], row["spent_nano_usd"]
    orphaned = row["orphan_hold_nano_usd"]
    return Period(
        budget_id=row["budget_id"],
        partition=row["partition"],
        span=WindowSpan(row["period_id"], row["start_unix_ms"], row["end_unix_ms"]),
        cap_nano_usd=row["cap_nano_usd"],
        spent_nano_usd=spent,
        leased_nano_usd=allocated - spent - orphaned,
        overrun_nano_usd=row["overrun_nano_usd"],
        orphaned_nano_usd=orphaned,
        cap_version=row["cap_version"],
        lump_nano_usd=int(row["lumps"]),
        overshoot_nano_usd=row["overshoot_nano_usd"],
        state=row["state"],
    )


def _sidecar_from_row(row: Row) -> SidecarView:
    return SidecarView(
        sidecar_id=row["id"],
        display_name=row["display_name"],
        region=row["region"],
        project_ids=tuple(json.loads(row["project_ids_json"])),
        software_version=row["software_version"],
        epoch=row["epoch"],
        created_unix_ms=row["created_unix_ms"],
        last_seen_unix_ms=row["last_seen_unix_ms"],
        stored_state=row["state"],
        policy_acked=row["policy_acked"],
        policy_refused=row["policy_refused"],
        leased_nano_usd=int(row["leased"]),
        open_calls=0,
        revoked_unix_ms=row["revoked_unix_ms"],
        orphaned_nano_usd=int(row["orphaned"]),
        stopped_unix_ms=row["stopped_unix_ms"],
        fence_detail=row["fence_detail"] or "",
    )
