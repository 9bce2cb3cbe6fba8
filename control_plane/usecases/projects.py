"""Projects: made together with a first budget, changed, suspended, archived."""

from dataclasses import replace

from control_plane import limits
from control_plane.core import fields, pages, projects
from control_plane.core.budgets import Budget, NewBudget
from control_plane.core.pages import Asked, Page
from control_plane.core.projects import NewProject, Project, ProjectChange, ProjectState
from control_plane.core.zones import check_zone
from control_plane.store import budgets as budget_store
from control_plane.store import installation, keys, policy, provider_secrets, rollups
from control_plane.store import projects as project_store
from control_plane.store.engine import ConflictError, Tx
from control_plane.usecases import budgets
from control_plane.usecases.acts import Act, record
from protos.values import ids
from protos.values.errors import AlreadyExistsError, LimitExceededError, NotFoundError

_LIKE_SHOWN = 5
"""Names that are offered to whoever misspelt one."""


def create_project(
    tx: Tx, asked: NewProject, first_budget: NewBudget, act: Act
) -> tuple[Project, Budget]:
    """Make a project together with its first budget: a call that no budget matches is refused."""
    wanted = projects.check_new(asked, installation.get(tx).time_zone)
    if project_store.count(tx) >= limits.PROJECTS_MAX:
        raise LimitExceededError(
            f"there are {limits.PROJECTS_MAX} projects: archive one first",
            limit=str(limits.PROJECTS_MAX),
        )
    selector = first_budget.selector
    if selector.project_id or selector.conditions:
        raise fields.invalid(
            "budget", "the first budget counts every call of the project: make narrower ones later"
        )
    project = Project(
        project_id=act.id(ids.PROJECT),
        display_name=wanted.display_name,
        time_zone=wanted.time_zone,
        state=ProjectState.ACTIVE,
        patience_ms=wanted.patience_ms,
        created_unix_ms=act.now_unix_ms,
        updated_unix_ms=act.now_unix_ms,
        version=1,
    )
    try:
        project_store.insert(tx, project)
    except ConflictError:
        raise _name_taken(project.display_name) from None
    rollups.begin_days(tx, project.project_id, project.time_zone)
    own = replace(first_budget, selector=replace(selector, project_id=project.project_id))
    budget = budgets.insert_new(tx, own, "", act)
    policy.bump(tx)
    record(
        tx,
        act,
        project.project_id,
        project_id=project.project_id,
        display_name=project.display_name,
        time_zone=project.time_zone,
        budget_id=budget.budget_id,
        cap_nano_usd=budget.cap_nano_usd,
    )
    return project, budget


def get_project(tx: Tx, project: str) -> Project:
    """One project by id or, when no id is like it, by name."""
    found = (
        project_store.get(tx, project)
        if ids.is_id(project, ids.PROJECT)
        else project_store.by_name(tx, project)
    )
    if found is None:
        shown = project[: limits.NAME_CHARACTERS_MAX]
        raise NotFoundError(f"there is no project {shown!r}", project=shown)
    return found


def list_projects(tx: Tx, asked: Asked, *, show_archived: bool) -> Page[Project]:
    """Projects by name."""
    filters = {"list": "projects", "archived": str(show_archived)}
    wanted = pages.begin(asked, filters, (str, str))
    rows = project_store.page(tx, wanted, show_archived=show_archived)
    return pages.finish(
        rows, wanted, filters, lambda row: (fields.name_key(row.display_name), row.project_id)
    )


def update_project(tx: Tx, project_id: str, etag: str, change: ProjectChange, act: Act) -> Project:
    """Change the fields that are given."""
    project = found(tx, project_id)
    fields.check_etag(etag, project.version, "the project")
    projects.check_not_archived(project)
    name, zone, patience_ms = change.display_name, change.time_zone, change.patience_ms
    weight, loop_max = change.rate_weight, change.loop_max
    changed = replace(
        project,
        display_name=(
            project.display_name
            if name is None
            else fields.check_name(name, "project.display_name")
        ),
        time_zone=(project.time_zone if zone is None else check_zone(zone, "project.time_zone")),
        patience_ms=(
            project.patience_ms if patience_ms is None else projects.check_patience(patience_ms)
        ),
        when_too_large=change.when_too_large or project.when_too_large,
        hosted_calls=(
            project.hosted_calls
            if change.hosted_calls is None
            else projects.check_hosted_calls(change.hosted_calls)
        ),
        rate_weight=(project.rate_weight if weight is None else projects.check_rate_weight(weight)),
        loop_max=(project.loop_max if loop_max is None else projects.check_loop_max(loop_max)),
    )
    if changed.time_zone != project.time_zone:
        # Housekeeping sums its days anew; until then its quarter hours are summed.
        rollups.drop_days(tx, project_id)
    return _saved(tx, changed, act, "")


def suspend_project(tx: Tx, project_id: str, reason: str, act: Act) -> Project:
    """Refuse all calls until the project is resumed."""
    return _moved(tx, project_id, ProjectState.SUSPENDED, reason, act)


def resume_project(tx: Tx, project_id: str, reason: str, act: Act) -> Project:
    """Let calls pass again."""
    return _moved(tx, project_id, ProjectState.ACTIVE, reason, act)


def archive_project(tx: Tx, project_id: str, reason: str, act: Act) -> Project:
    """End a project for good: its keys are revoked, its budgets end, its ledger stays."""
    project = _moved(tx, project_id, ProjectState.ARCHIVED, reason, act)
    for key in keys.of_project(tx, project_id):
        keys.update(tx, replace(key, revoked_unix_ms=act.now_unix_ms, version=key.version + 1))
    for budget in budget_store.active_of(tx, [project_id]):
        budgets.end(tx, budget, act)
    provider_secrets.delete_of(tx, project_id)
    return project


def found(tx: Tx, project_id: str) -> Project:
    """The project of an id. Raises NotFoundError."""
    fields.check_id(project_id, ids.PROJECT, "project_id")
    project = project_store.get(tx, project_id)
    if project is None:
        raise NotFoundError(f"there is no project {project_id}", project_id=project_id)
    return project


def named(tx: Tx, text: str) -> str:
    """The id of the project that a person means by its id, or by its name if it is not archived.

    Raises InvalidArgumentError, which says whose names are like that.
    """
    if ids.is_id(text, ids.PROJECT):
        return text
    project = project_store.by_name(tx, text)
    if project is None:
        wanted, names = text.casefold(), [one.display_name for one in project_store.listed(tx)]
        like = [repr(name) for name in names if wanted in name.casefold()][:_LIKE_SHOWN]
        told = f": {', '.join(like)}?" if like else ""
        raise fields.invalid("client", f"no client is called {text!r}{told}")
    return project.project_id


def _moved(tx: Tx, project_id: str, to: ProjectState, reason: str, act: Act) -> Project:
    fields.check_reason(reason)
    project = found(tx, project_id)
    projects.check_transition(project, to)
    return _saved(tx, replace(project, state=to), act, reason)


def _saved(tx: Tx, project: Project, act: Act, reason: str) -> Project:
    saved = replace(project, updated_unix_ms=act.now_unix_ms, version=project.version + 1)
    try:
        project_store.update(tx, saved)
    except ConflictError:
        raise _name_taken(saved.display_name) from None
    policy.bump(tx)
    record(
        tx,
        act,
        saved.project_id,
        project_id=saved.project_id,
        display_name=saved.display_name,
        time_zone=saved.time_zone,
        patience_ms=saved.patience_ms,
        rate_weight=saved.rate_weight,
        loop_max=saved.loop_max,
        state=saved.state.value,
        when_too_large=saved.when_too_large.value,
        hosted_calls=saved.hosted_calls,
        reason=reason,
    )
    return saved


def _name_taken(name: str) -> AlreadyExistsError:
    return AlreadyExistsError(
        f"another project is called {name!r}: take another name, or archive that one",
        field="project.display_name",
    )
