"""The trail of changes in the database: rows are added, and never changed."""

from dataclasses import replace

from control_plane.core.pages import Slice
from control_plane.core.principals import AuditEntry
from control_plane.store.engine import Row, Tx


def append(tx: Tx, entry: AuditEntry) -> AuditEntry:
    """Add an entry at the next position; the entry with its position."""
    row = tx.row("SELECT COALESCE(MAX(position), 0) + 1 AS position FROM audit")
    assert row is not None
    placed = replace(entry, position=row["position"])
    tx.run(
        """INSERT INTO audit (position, at_unix_ms, actor, method, resource, project_id,
             detail_json, request_id)
           VALUES (:position, :at, :actor, :method, :resource, :project_id, :detail,
             :request_id)""",
        {
            "position": placed.position,
            "at": placed.at_unix_ms,
            "actor": placed.actor,
            "method": placed.method,
            "resource": placed.resource,
            "project_id": placed.project_id,
            "detail": placed.detail_json,
            "request_id": placed.request_id,
        },
    )
    return placed


def page(tx: Tx, asked: Slice, *, project_id: str) -> list[AuditEntry]:
    """Entries, newest first."""
    rows = tx.rows(
        """SELECT * FROM audit
           WHERE (:project = '' OR project_id = :project)
             AND (:first = 1 OR position < :after)
           ORDER BY position DESC LIMIT :limit""",
        {
            "project": project_id,
            "first": int(asked.after is None),
            "after": asked.after[0] if asked.after else 0,
            "limit": asked.limit,
        },
    )
    return [_from_row(row) for row in rows]


def _from_row(row: Row) -> AuditEntry:
    return AuditEntry(
        position=row["position"],
        at_unix_ms=row["at_unix_ms"],
        actor=row["actor"],
        method=row["method"],
        resource=row["resource"],
        project_id=row["project_id"],
        detail_json=row["detail_json"],
        request_id=row["request_id"],
    )
