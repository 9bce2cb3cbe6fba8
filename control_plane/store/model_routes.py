"""Routes of models in the database."""

import json

from control_plane.core.model_routes import ModelRoute, Target
from control_plane.core.pages import Slice
from control_plane.store.engine import Row, Tx


def put(tx: Tx, route: ModelRoute) -> None:
    """Add a route or replace it."""
    cheaper = route.cheaper
    tx.run(
        """INSERT INTO model_route (project_id, name, targets, cheaper, above_percent,
             updated_unix_ms, version)
           VALUES (:project, :name, :targets, :cheaper, :above, :updated, :version)
           ON CONFLICT (project_id, name) DO UPDATE SET targets = excluded.targets,
             cheaper = excluded.cheaper, above_percent = excluded.above_percent,
             updated_unix_ms = excluded.updated_unix_ms, version = excluded.version""",
        {
            "project": route.project_id,
            "name": route.name,
            "targets": json.dumps([[one.provider, one.model] for one in route.targets]),
            "cheaper": json.dumps([cheaper.provider, cheaper.model]) if cheaper else "",
            "above": route.above_percent,
            "updated": route.updated_unix_ms,
            "version": route.version,
        },
    )


def delete(tx: Tx, route: ModelRoute) -> None:
    """Take a route away."""
    changed = tx.run(
        "DELETE FROM model_route WHERE project_id = :project AND name = :name",
        {"project": route.project_id, "name": route.name},
    )
    assert changed == 1


def get(tx: Tx, project_id: str, name: str) -> ModelRoute | None:
    """The route of a name, for one client or for all."""
    row = tx.row(
        "SELECT * FROM model_route WHERE project_id = :project AND name = :name",
        {"project": project_id, "name": name},
    )
    return _from_row(row) if row is not None else None


def count(tx: Tx, project_id: str) -> int:
    """How many routes there are for one client, or for all."""
    row = tx.row(
        "SELECT count(*) AS n FROM model_route WHERE project_id = :project",
        {"project": project_id},
    )
    assert row is not None
    return int(row["n"])


def page(tx: Tx, asked: Slice, project_id: str) -> list[ModelRoute]:
    """Routes by client and name, those for all first; of one client with those for all."""
    after = asked.after or ("", "")
    rows = tx.rows(
        """SELECT * FROM model_route
           WHERE (:wanted = '' OR project_id IN ('', :wanted))
             AND (project_id, name) > (:project, :name)
           ORDER BY project_id, name LIMIT :limit""",
        {"wanted": project_id, "project": after[0], "name": after[1], "limit": asked.limit},
    )
    return [_from_row(row) for row in rows]


def everything(tx: Tx) -> list[ModelRoute]:
    """All routes."""
    return [
        _from_row(row) for row in tx.rows("SELECT * FROM model_route ORDER BY project_id, name")
    ]


def _from_row(row: Row) -> ModelRoute:
    return ModelRoute(
        project_id=row["project_id"],
        name=row["name"],
        targets=tuple(Target(provider, model) for provider, model in json.loads(row["targets"])),
        cheaper=Target(*json.loads(row["cheaper"])) if row["cheaper"] else None,
        above_percent=row["above_percent"],
        updated_unix_ms=row["updated_unix_ms"],
        version=row["version"],
    )
