"""The agency's own playbooks, and what was said of steps."""

from dataclasses import dataclass

from control_plane.core.playbook import Mark, MarkKind
from control_plane.store.engine import Tx


@dataclass(frozen=True, slots=True)
class Applied:
    """One version of a playbook that was applied."""

    name: str
    version: int
    toml: str
    author: str
    applied_unix_ms: int


def insert(tx: Tx, applied: Applied) -> None:
    """Keep a version."""
    tx.run(
        """INSERT INTO playbook (name, version, toml, author, applied_unix_ms)
           VALUES (:name, :version, :toml, :author, :applied)""",
        {
            "name": applied.name,
            "version": applied.version,
            "toml": applied.toml,
            "author": applied.author,
            "applied": applied.applied_unix_ms,
        },
    )


def newest(tx: Tx) -> list[Applied]:
    """The newest version of each."""
    rows = tx.rows(
        """SELECT * FROM playbook WHERE version =
             (SELECT MAX(version) FROM playbook AS other WHERE other.name = playbook.name)
           ORDER BY name"""
    )
    return [
        Applied(row["name"], row["version"], row["toml"], row["author"], row["applied_unix_ms"])
        for row in rows
    ]


def put_mark(tx: Tx, mark: Mark) -> None:
    """Keep what was said; it takes the place of what was said before."""
    tx.run(
        """INSERT INTO playbook_mark (playbook, step_id, project_id, month, kind, marked_by,
             marked_unix_ms, note)
           VALUES (:playbook, :step, :project, :month, :kind, :by, :at, :note)
           ON CONFLICT (project_id, playbook, month, step_id) DO UPDATE SET kind = excluded.kind,
             marked_by = excluded.marked_by, marked_unix_ms = excluded.marked_unix_ms,
             note = excluded.note""",
        {
            "playbook": mark.playbook,
            "step": mark.step_id,
            "project": mark.project_id,
            "month": mark.month,
            "kind": mark.kind.value,
            "by": mark.marked_by,
            "at": mark.marked_unix_ms,
            "note": mark.note,
        },
    )


def drop_mark(tx: Tx, playbook: str, step_id: str, project_id: str, month: str) -> bool:
    """Forget what was said; False when nothing was."""
    return bool(
        tx.run(
            """DELETE FROM playbook_mark WHERE playbook = :playbook AND step_id = :step
                 AND project_id = :project AND month = :month""",
            {"playbook": playbook, "step": step_id, "project": project_id, "month": month},
        )
    )


def marks(tx: Tx, playbook: str, project_id: str, month: str) -> list[Mark]:
    """What was said of the steps of one playbook."""
    rows = tx.rows(
        """SELECT * FROM playbook_mark WHERE project_id = :project AND playbook = :playbook
             AND month = :month ORDER BY step_id""",
        {"project": project_id, "playbook": playbook, "month": month},
    )
    return [
        Mark(
            row["playbook"],
            row["step_id"],
            row["project_id"],
            row["month"],
            MarkKind(row["kind"]),
            row["marked_by"],
            row["marked_unix_ms"],
            row["note"],
        )
        for row in rows
    ]
