"""`bursar route`: where calls go that ask for a name."""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

import click
from rich.text import Text

from clients.admin import Bursar, ModelRoute, ModelTarget
from clients.cli import names
from clients.cli.limits import LIST_MAX_ITEMS
from clients.cli.output import instant_text, safe, table
from clients.cli.parameters import PERCENT
from clients.cli.session import Group, Session, pass_session
from protos.values.errors import NotFoundError

_EVERYBODY = "all"
_PPM_PER_PERCENT = 10_000


@click.group("route", cls=Group)
def route() -> None:
    """Give models names of your own, and say where calls for a name go."""


@route.command("set")
@click.argument("name", metavar="NAME")
@click.option(
    "--to",
    "targets",
    metavar="PROVIDER/MODEL",
    multiple=True,
    help="Where its calls go; the first that can be used. May be repeated.  [default: as before]",
)
@click.option(
    "--cheaper",
    metavar="PROVIDER/MODEL",
    help="Where they go instead near a cap, or when they do not fit it.  [default: as before]",
)
@click.option(
    "--above",
    metavar="PERCENT",
    type=PERCENT,
    help="Above which part of a cap of their client, such as 80%.",
)
@click.option("--no-cheaper", is_flag=True, help="Take that rule away.")
@click.option("--client", "client_name", metavar="CLIENT", help="For one client only.")
@pass_session
def set_route(
    session: Session,
    *,
    name: str,
    targets: tuple[str, ...],
    cheaper: str | None,
    above: int | None,
    no_cheaper: bool,
    client_name: str | None,
) -> None:
    """Let calls for NAME go to a model at a provider, and to a cheaper one near a cap.

    NAME may be a word of your own, which workflows then ask for as a model, or a model's id. All
    targets must speak one API: calls are passed on as they are, not translated.
    """
    bursar = session.bursar
    project_id = _project_id(bursar, client_name)
    existing = _find(bursar, name, project_id)
    if not targets and existing is None:
        raise click.UsageError(f"There is no route {name!r} yet: say where it goes with --to.")
    before = existing or ModelRoute(project_id=project_id, name=name, targets=())
    if not no_cheaper and (cheaper or before.cheaper) and not (above or before.above_percent):
        raise click.UsageError("Say above which part of a cap with --above, such as --above 80%.")
    made = bursar.model_routes.set(
        name,
        [_target(text) for text in targets] or before.targets,
        project_id=project_id,
        cheaper=None if no_cheaper else _target(cheaper) if cheaper else before.cheaper,
        above_percent=0 if no_cheaper else _whole(above) or before.above_percent,
        etag=existing.etag if existing else "",
    )
    session.show({"route": made}, Text(f"{safe(made.name)}: {_words(made)}"))
    session.say("Every sidecar gets it within a second; GET /v1/models shows it.")


@route.command("list")
@click.option(
    "--client", "client_name", metavar="CLIENT", help="Only what one client's calls go by."
)
@pass_session
def list_routes(session: Session, *, client_name: str | None) -> None:
    """List routes by name, those for all clients first."""
    bursar = session.bursar
    project_id = _project_id(bursar, client_name)
    found = list(islice(bursar.model_routes.list(project_id), LIST_MAX_ITEMS))
    clients = {one.project_id: one.display_name for one in _projects(bursar, found)}
    session.show(
        {"routes": found},
        table(
            "",
            ["Name", "For", "Goes to", "Changed"],
            [
                [
                    one.name,
                    clients.get(one.project_id, one.project_id) or _EVERYBODY,
                    _words(one),
                    instant_text(one.update_time),
                ]
                for one in found
            ],
        ),
    )
    if not found:
        session.say("No route yet. Next: bursar route set NAME --to PROVIDER/MODEL")


@route.command("remove", dangerous=True)
@click.argument("name", metavar="NAME")
@click.option("--client", "client_name", metavar="CLIENT", help="The one for this client.")
@pass_session
def remove_route(session: Session, *, name: str, client_name: str | None) -> None:
    """Take a route away; its name means what the price book says from then on."""
    bursar = session.bursar
    project_id = _project_id(bursar, client_name)
    found = _find(bursar, name, project_id)
    if found is None:
        known = [one.name for one in bursar.model_routes.list() if one.project_id == project_id]
        hint = names.meant(name, known) or "; `bursar route list` shows them all"
        raise NotFoundError(f"there is no route {name!r}{hint}")
    session.confirm(f"Remove the route {safe(name)}? Calls for it go where the price book says.")
    bursar.model_routes.delete(found)
    session.show({"removed": name}, Text(f"{safe(name)} is removed."))


def _find(bursar: Bursar, name: str, project_id: str) -> ModelRoute | None:
    return next(
        (
            one
            for one in bursar.model_routes.list(project_id)
            if one.name == name and one.project_id == project_id
        ),
        None,
    )


def _project_id(bursar: Bursar, client_name: str | None) -> str:
    return names.client(bursar, client_name).project_id if client_name else ""


def _projects(bursar: Bursar, routes: Iterable[ModelRoute]) -> Iterable[Any]:
    """The clients that some route is for."""
    return [bursar.projects.get(one) for one in sorted({r.project_id for r in routes} - {""})]


def _target(text: str) -> ModelTarget:
    provider, slash, model = text.partition("/")
    if not (provider and slash and model):
        raise click.UsageError(f"Write PROVIDER/MODEL, such as openai/gpt-5, not {text!r}.")
    return ModelTarget(provider, model)


def _whole(ppm: int | None) -> int:
    """A part of a cap in whole percent, from millionths; 0 when none is given."""
    percent, rest = divmod(ppm or 0, _PPM_PER_PERCENT)
    if rest or (ppm is not None and not 1 <= percent <= 99):
        raise click.UsageError("--above takes whole percent from 1 to 99, such as 80%.")
    return percent


def _words(one: ModelRoute) -> str:
    words = ", then ".join(map(str, one.targets))
    return f"{words}; {one.cheaper} above {one.above_percent}%" if one.cheaper else words


COMMANDS: Sequence[Any] = (route,)
