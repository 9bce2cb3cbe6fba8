"""What was agreed that workflows are worth."""

from control_plane.core.workflows import Roi
from control_plane.store.engine import Row, Tx

_NAMES = (
    "project_id",
    "workflow",
    "unit",
    "units",
    "counts",
    "seconds_per_unit",
    "agreed_by",
    "agreed_on",
    "set_by",
    "set_unix_ms",
)


def put_roi(tx: Tx, roi: Roi) -> None:
    """Replace what was agreed."""
    tx.run(
        f"""INSERT INTO workflow_roi ({", ".join(_NAMES)})
            VALUES ({", ".join(":" + name for name in _NAMES)})
            ON CONFLICT (project_id, workflow) DO UPDATE SET
              {", ".join(f"{name} = excluded.{name}" for name in _NAMES[2:])}""",  # noqa: S608 - names written above
        {name: getattr(roi, name) for name in _NAMES},
    )


def drop_roi(tx: Tx, project_id: str, workflow: str) -> bool:
    """Forget what was agreed; whether there was anything."""
    return (
        tx.run(
            "DELETE FROM workflow_roi WHERE project_id = :project AND workflow = :workflow",
            {"project": project_id, "workflow": workflow},
        )
        == 1
    )


def rois(tx: Tx, project_id: str) -> list[Roi]:
    """What was agreed for a project's workflows, by name."""
    rows = tx.rows(
        "SELECT * FROM workflow_roi WHERE project_id = :project ORDER BY workflow",
        {"project": project_id},
    )
    return [_from_row(row) for row in rows]


def _from_row(row: Row) -> Roi:
    return Roi(**{name: row[name] for name in _NAMES})
