"""What models did of each task, and what people said that workflows do."""

from collections.abc import Mapping

from control_plane.core.latency import Counts
from control_plane.core.model_matrix import TaskModel
from control_plane.core.usage import Sums
from control_plane.store import rollups
from control_plane.store.engine import Tx

_OF_TASK = """
  LEFT JOIN workflow_task t ON t.project_id = d.project_id AND t.workflow = d.workflow
  WHERE d.start_unix_ms >= :since AND d.workflow <> ''
  GROUP BY COALESCE(t.task, d.workflow), d.provider, d.model"""
_SUMS = ", ".join(f"SUM(d.{name}) AS {name}" for name in rollups.SUMMED)


def sums(tx: Tx, since_unix_ms: int) -> Mapping[TaskModel, Sums]:
    """What days that began since an instant come to, by task and model."""
    rows = tx.rows(
        f"""SELECT COALESCE(t.task, d.workflow) AS task, d.provider, d.model, {_SUMS}
            FROM rollup_day d {_OF_TASK}""",  # noqa: S608 - names of the store's modules
        {"since": since_unix_ms},
    )
    return {
        (row["task"], row["provider"], row["model"]): Sums(
            **{name: int(row[name]) for name in rollups.SUMMED}
        )
        for row in rows
    }


def latencies(tx: Tx, since_unix_ms: int) -> Mapping[TaskModel, Counts]:
    """How long calls of those days took that ended well, in steps."""
    rows = tx.rows(
        f"""SELECT COALESCE(t.task, d.workflow) AS task, d.provider, d.model, d.step,
              SUM(d.call_count) AS n
            FROM latency_day d {_OF_TASK}, d.step""",  # noqa: S608 - written above
        {"since": since_unix_ms},
    )
    found: dict[TaskModel, dict[int, int]] = {}
    for row in rows:
        name = row["task"], row["provider"], row["model"]
        found.setdefault(name, {})[row["step"]] = int(row["n"])
    return dict(found)


def tasks(tx: Tx) -> Mapping[tuple[str, str], str]:
    """What people said, by project and workflow."""
    rows = tx.rows("SELECT project_id, workflow, task FROM workflow_task")
    return {(row["project_id"], row["workflow"]): row["task"] for row in rows}


def put_task(
    tx: Tx, project_id: str, workflow: str, task: str, set_by: str, now_unix_ms: int
) -> None:
    """Keep what a workflow does."""
    tx.run(
        """INSERT INTO workflow_task (project_id, workflow, task, set_by, set_unix_ms)
           VALUES (:project, :workflow, :task, :by, :now)
           ON CONFLICT (project_id, workflow) DO UPDATE SET task = excluded.task,
             set_by = excluded.set_by, set_unix_ms = excluded.set_unix_ms""",
        {
            "project": project_id,
            "workflow": workflow,
            "task": task,
            "by": set_by,
            "now": now_unix_ms,
        },
    )


def drop_task(tx: Tx, project_id: str, workflow: str) -> bool:
    """Forget it; whether anything was said."""
    return bool(
        tx.run(
            "DELETE FROM workflow_task WHERE project_id = :project AND workflow = :workflow",
            {"project": project_id, "workflow": workflow},
        )
    )
