"""What models did of each task, and what people said that workflows do."""

from collections.abc import Mapping, Sequence

from control_plane.core.latency import Counts
from control_plane.core.model_matrix import TaskModel
from control_plane.core.usage import Sums
from control_plane.store import spans
from control_plane.store.engine import Tx, Value
from control_plane.store.growing import SUMMED

_SUMS = ", ".join(f"SUM({name}) AS {name}" for name in SUMMED)


def sums(tx: Tx, since: str) -> Mapping[TaskModel, Sums]:
    """What spans of five days since one of them come to, by task and model."""
    rows = tx.rows(
        f"""SELECT task, provider, model, {_SUMS} FROM task_span WHERE span >= :since
            GROUP BY task, provider, model HAVING SUM(call_count) > 0""",  # noqa: S608 - names of the store's modules
        {"since": since},
    )
    return {
        (row["task"], row["provider"], row["model"]): Sums(
            **{name: int(row[name]) for name in SUMMED}
        )
        for row in rows
    }


def latencies(tx: Tx, since: str, names: Sequence[TaskModel]) -> Mapping[TaskModel, Counts]:
    """How long calls of those spans took that ended well, in steps, of some tasks and models."""
    if not names:
        return {}
    params: dict[str, Value] = {"since": since}
    places = []
    for number, name in enumerate(names):
        of = {f"{column}{number}": value for column, value in zip("tpm", name, strict=True)}
        places.append(f"({', '.join(f':{one}' for one in of)})")
        params |= of
    # One step of the index for each span and name.
    rows = tx.rows(
        f"""SELECT l.task, l.provider, l.model, l.step, SUM(l.call_count) AS n
            FROM (SELECT DISTINCT span FROM task_span WHERE span >= :since) s
              CROSS JOIN (SELECT column1 AS task, column2 AS provider, column3 AS model
                          FROM (VALUES {", ".join(places)})) named
              CROSS JOIN task_latency l
            WHERE l.span = s.span AND l.task = named.task AND l.provider = named.provider
              AND l.model = named.model
            GROUP BY l.task, l.provider, l.model, l.step HAVING SUM(l.call_count) > 0""",  # noqa: S608 - names of parameters
        params,
    )
    found: dict[TaskModel, dict[int, int]] = {}
    for row in rows:
        of_row = row["task"], row["provider"], row["model"]
        found.setdefault(of_row, {})[row["step"]] = int(row["n"])
    return dict(found)


def tasks(tx: Tx) -> Mapping[tuple[str, str], str]:
    """What people said, by project and workflow."""
    rows = tx.rows("SELECT project_id, workflow, task FROM workflow_task")
    return {(row["project_id"], row["workflow"]): row["task"] for row in rows}


def put_task(
    tx: Tx, project_id: str, workflow: str, task: str, set_by: str, now_unix_ms: int
) -> None:
    """Keep what a workflow does; its sums go along."""
    spans.move_workflow(tx, project_id, workflow, -1)
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
    spans.move_workflow(tx, project_id, workflow, 1)


def drop_task(tx: Tx, project_id: str, workflow: str) -> bool:
    """Forget it; whether anything was said."""
    spans.move_workflow(tx, project_id, workflow, -1)
    was_said = tx.run(
        "DELETE FROM workflow_task WHERE project_id = :project AND workflow = :workflow",
        {"project": project_id, "workflow": workflow},
    )
    spans.move_workflow(tx, project_id, workflow, 1)
    return bool(was_said)
