"""Projects in the database."""

from collections.abc import Sequence
from operator import itemgetter

from control_plane.core.fields import name_key
from control_plane.core.pages import Slice
from control_plane.core.projects import ListedProject, Project, ProjectState, WhenTooLarge
from control_plane.store.engine import Row, Tx

_LISTED_OF = itemgetter(*ListedProject._fields)


def insert(tx: Tx, project: Project) -> None:
    """Add a project. Raises ConflictError when its name is taken."""
    tx.run(
        """INSERT INTO project (project_id, display_name, name_key, time_zone, state, patience_ms,
             created_unix_ms, updated_unix_ms, version, when_too_large, hosted_calls, rate_weight,
             loop_max_count)
           VALUES (:project_id, :display_name, :name_key, :time_zone, :state, :patience_ms,
             :created, :updated, :version, :when_too_large, :hosted_calls, :rate_weight,
             :loop_max)""",
        _params(project),
    )


def update(tx: Tx, project: Project) -> None:
    """Replace what may change. Raises ConflictError when its name is taken."""
    changed = tx.run(
        """UPDATE project SET display_name = :display_name, name_key = :name_key,
             time_zone = :time_zone, state = :state, patience_ms = :patience_ms,
             updated_unix_ms = :updated, version = :version, when_too_large = :when_too_large,
             hosted_calls = :hosted_calls, rate_weight = :rate_weight, loop_max_count = :loop_max
           WHERE project_id = :project_id AND version = :version - 1""",
        _params(project),
    )
    assert changed == 1


def get(tx: Tx, project_id: str) -> Project | None:
    """One project."""
    row = tx.row("SELECT * FROM project WHERE project_id = :id", {"id": project_id})
    return _from_row(row) if row is not None else None


def by_name(tx: Tx, name: str) -> Project | None:
    """The project of that name that is not archived."""
    row = tx.row(
        "SELECT * FROM project WHERE name_key = :name AND state <> 'ARCHIVED'",
        {"name": name_key(name)},
    )
    return _from_row(row) if row is not None else None


def page(tx: Tx, asked: Slice, *, show_archived: bool) -> list[Project]:
    """Projects by name."""
    after = asked.after or ("", "")
    rows = tx.rows(
        """SELECT * FROM project
           WHERE (state <> 'ARCHIVED' OR :archived = 1)
             AND (name_key, project_id) > (:name, :id)
           ORDER BY name_key, project_id LIMIT :limit""",
        {
            "archived": int(show_archived),
            "name": after[0],
            "id": after[1],
            "limit": asked.limit,
        },
    )
    return [_from_row(row) for row in rows]


def everything(tx: Tx) -> list[Project]:
    """All projects, archived ones too."""
    return [_from_row(row) for row in tx.rows("SELECT * FROM project ORDER BY project_id")]


def some(tx: Tx, project_ids: Sequence[str]) -> list[Project]:
    """Projects that are named and exist."""
    named = {f"p{number}": project_id for number, project_id in enumerate(project_ids)}
    places = ", ".join(f":{name}" for name in named)
    rows = tx.rows(
        f"SELECT * FROM project WHERE project_id IN ({places}) ORDER BY project_id",  # noqa: S608 - names of parameters
        named,
    )
    return [_from_row(row) for row in rows]


def listed(tx: Tx) -> list[ListedProject]:
    """All projects by name, archived ones too."""
    rows = tx.rows(
        "SELECT project_id, display_name, state FROM project ORDER BY name_key, project_id"
    )
    return [ListedProject(*_LISTED_OF(row)) for row in rows]


def count(tx: Tx) -> int:
    """How many are not archived."""
    row = tx.row("SELECT count(*) AS n FROM project WHERE state <> 'ARCHIVED'")
    assert row is not None
    return int(row["n"])


def _params(project: Project) -> dict[str, str | int]:
    return {
        "project_id": project.project_id,
        "display_name": project.display_name,
        "name_key": name_key(project.display_name),
        "time_zone": project.time_zone,
        "state": project.state.value,
        "patience_ms": project.patience_ms,
        "created": project.created_unix_ms,
        "updated": project.updated_unix_ms,
        "version": project.version,
        "when_too_large": project.when_too_large.value,
        "hosted_calls": project.hosted_calls,
        "rate_weight": project.rate_weight,
        "loop_max": project.loop_max,
    }


def _from_row(row: Row) -> Project:
    return Project(
        project_id=row["project_id"],
        display_name=row["display_name"],
        time_zone=row["time_zone"],
        state=ProjectState(row["state"]),
        patience_ms=row["patience_ms"],
        created_unix_ms=row["created_unix_ms"],
        updated_unix_ms=row["updated_unix_ms"],
        version=row["version"],
        when_too_large=WhenTooLarge(row["when_too_large"]),
        hosted_calls=row["hosted_calls"],
        rate_weight=row["rate_weight"],
        loop_max=row["loop_max_count"],
    )
