"""Routes of models: set, listed, taken away."""

from dataclasses import replace

from control_plane import limits
from control_plane.core import fields, pages
from control_plane.core.model_routes import ModelRoute, check_route
from control_plane.core.pages import Asked, Page
from control_plane.core.projects import check_not_archived
from control_plane.store import model_routes as store
from control_plane.store import policy, prices, providers
from control_plane.store.engine import Tx
from control_plane.usecases import projects
from control_plane.usecases.acts import Act, record
from protos.values.errors import LimitExceededError, NotFoundError


def set_model_route(tx: Tx, wanted: ModelRoute, etag: str, act: Act) -> ModelRoute:
    """Make a route or replace it."""
    if wanted.project_id:
        check_not_archived(projects.found(tx, wanted.project_id))
    before = store.get(tx, wanted.project_id, wanted.name)
    if before is not None:
        fields.check_etag(etag, before.version, "the route")
    elif store.count(tx, wanted.project_id) >= limits.SCOPE_ROUTES_MAX:
        raise LimitExceededError(
            f"there are {limits.SCOPE_ROUTES_MAX} routes: take one away first",
            limit=str(limits.SCOPE_ROUTES_MAX),
        )
    checked = check_route(wanted, providers.everything(tx), prices.everything(tx), act.now_unix_ms)
    route = replace(checked, updated_unix_ms=act.now_unix_ms, version=policy.bump(tx))
    store.put(tx, route)
    record(
        tx,
        act,
        route.name,
        project_id=route.project_id,
        targets=[str(target) for target in route.targets],
        cheaper=str(route.cheaper) if route.cheaper else None,
        above_percent=route.above_percent,
    )
    return route


def list_model_routes(tx: Tx, asked: Asked, project_id: str) -> Page[ModelRoute]:
    """Routes by client and name; of one client with those for all."""
    if project_id:
        projects.found(tx, project_id)
    filters = {"list": "model_routes", "project": project_id}
    wanted = pages.begin(asked, filters, (str, str))
    return pages.finish(
        store.page(tx, wanted, project_id),
        wanted,
        filters,
        lambda row: (row.project_id, row.name),
    )


def delete_model_route(tx: Tx, project_id: str, name: str, etag: str, act: Act) -> None:
    """Take a route away; its name means what the price book says from then on."""
    route = store.get(tx, project_id, name)
    if route is None:
        shown = name[: limits.NAME_CHARACTERS_MAX]
        raise NotFoundError(f"there is no route {shown!r}", route=shown)
    fields.check_etag(etag, route.version, "the route")
    store.delete(tx, route)
    policy.bump(tx)
    record(tx, act, route.name, project_id=route.project_id)
