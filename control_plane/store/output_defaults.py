"""Defaults of output in the database, and the answers from which they are proposed."""

import json

from control_plane.core.output_defaults import Answered, OutputDefault, Scope
from control_plane.core.pages import Slice
from control_plane.store.engine import Row, Tx, Value
from protos.values.quantities import OUTPUT_KINDS


def put(tx: Tx, wanted: OutputDefault) -> None:
    """Add a default, or replace the one of its scope."""
    tx.run(
        """INSERT INTO output_default (project_id, workflow, model, limit_count, updated_unix_ms)
           VALUES (:project, :workflow, :model, :limit, :now)
           ON CONFLICT (project_id, workflow, model) DO UPDATE SET
             limit_count = excluded.limit_count, updated_unix_ms = excluded.updated_unix_ms""",
        {
            **_params(wanted.scope),
            "limit": wanted.limit_count,
            "now": wanted.updated_unix_ms,
        },
    )


def delete(tx: Tx, scope: Scope) -> bool:
    """Take the default of a scope away; whether there was one."""
    changed = tx.run(
        """DELETE FROM output_default
           WHERE project_id = :project AND workflow = :workflow AND model = :model""",
        _params(scope),
    )
    return changed == 1


def count(tx: Tx, project_id: str) -> int:
    """How many there are for one project, or for all."""
    row = tx.row(
        "SELECT count(*) AS n FROM output_default WHERE project_id = :project",
        {"project": project_id},
    )
    assert row is not None
    return int(row["n"])


def get(tx: Tx, scope: Scope) -> OutputDefault | None:
    """The default of exactly this scope."""
    row = tx.row(
        """SELECT * FROM output_default
           WHERE project_id = :project AND workflow = :workflow AND model = :model""",
        _params(scope),
    )
    return _from_row(row) if row is not None else None


def everything(tx: Tx) -> list[OutputDefault]:
    """All defaults."""
    rows = tx.rows("SELECT * FROM output_default ORDER BY project_id, workflow, model")
    return [_from_row(row) for row in rows]


def page(tx: Tx, asked: Slice, project_id: str) -> list[OutputDefault]:
    """Defaults by project, workflow and model."""
    first = asked.after is None
    after = asked.after or ("", "", "")
    rows = tx.rows(
        """SELECT * FROM output_default
           WHERE (:only = '' OR project_id = :only)
             AND (:first = 1 OR (project_id, workflow, model) > (:project, :workflow, :model))
           ORDER BY project_id, workflow, model LIMIT :limit""",
        {
            "only": project_id,
            "first": int(first),
            "project": after[0],
            "workflow": after[1],
            "model": after[2],
            "limit": asked.limit,
        },
    )
    return [_from_row(row) for row in rows]


def answers(
    tx: Tx, project_id: str, start_unix_ms: int, calls_max: int
) -> tuple[list[Answered], int]:
    """Whole answers of the newest calls, and how many calls were looked at."""
    rows = tx.rows(
        """SELECT project_id, workflow, requested_model, outcome, estimated, quantities_json
           FROM call
           WHERE (:project = '' OR project_id = :project) AND started_unix_ms >= :start
           ORDER BY position DESC LIMIT :most""",
        {"project": project_id, "start": start_unix_ms, "most": calls_max},
    )
    found = []
    for row in rows:
        if row["outcome"] != "ok" or row["estimated"]:
            continue
        quantities = json.loads(row["quantities_json"])
        output = sum(quantities.get(kind, 0) for kind in OUTPUT_KINDS)
        if output:
            scope = Scope(row["project_id"], row["workflow"], row["requested_model"])
            found.append(Answered(scope, output))
    return found, len(rows)


def _params(scope: Scope) -> dict[str, Value]:
    return {"project": scope.project_id, "workflow": scope.workflow, "model": scope.model}


def _from_row(row: Row) -> OutputDefault:
    scope = Scope(row["project_id"], row["workflow"], row["model"])
    return OutputDefault(scope, row["limit_count"], row["updated_unix_ms"])
