"""How people name things: by id, or by the name that they gave; with a hint when it is close."""

from collections.abc import Callable, Iterable
from difflib import get_close_matches
from itertools import islice
from typing import TypeVar

from clients.admin import Budget, Bursar, Key, Principal, Project, Sidecar
from clients.cli.limits import NAMES_SEARCHED_ITEMS
from protos.values import ids
from protos.values.errors import InvalidArgumentError, NotFoundError

Thing = TypeVar("Thing")


def client(bursar: Bursar, text: str) -> Project:
    """The client of that id or name. Raises NotFoundError."""
    try:
        return bursar.projects.get(text)
    except NotFoundError as error:
        known = islice(bursar.projects.list(), NAMES_SEARCHED_ITEMS)
        names = [project.display_name for project in known]
        hint = meant(text, names) or "; `bursar client list` shows them all"
        raise NotFoundError(f"there is no client {text!r}{hint}", **error.fields) from None


def budget(bursar: Bursar, text: str) -> Budget:
    """The budget of that id or name, or the only one of the client of that name."""
    if ids.is_id(text, ids.BUDGET):
        return bursar.budgets.get(text)
    known = list(islice(bursar.budgets.list(), NAMES_SEARCHED_ITEMS))
    named = [one for one in known if one.display_name == text]
    projects = {p.display_name: p.project_id for p in _projects(bursar)}
    project_id = text if ids.is_id(text, ids.PROJECT) else projects.get(text, "")
    owned = [one for one in known if project_id and one.project_id == project_id]
    for found in (owned, named):
        if len(found) == 1:
            return found[0]
    both = {one.budget_id: one for one in (*owned, *named)}
    if both:
        listed = ", ".join(f"{one.budget_id} ({one.display_name})" for one in both.values())
        raise InvalidArgumentError(f"{text!r} has several budgets; name one by its id: {listed}")
    hint = meant(text, [*projects, *(one.display_name for one in known)])
    hint = hint or "; `bursar budget list` shows them all"
    raise NotFoundError(f"there is no budget and no client {text!r}{hint}")


def clients_of_budgets(bursar: Bursar) -> dict[str, str]:
    """Whose each budget is, by its id: most are called alike, so a name alone tells little."""
    owners = {one.project_id: one.display_name for one in bursar.projects.list(show_archived=True)}
    known = bursar.budgets.list(show_archived=True)
    return {one.budget_id: owners.get(one.project_id, "(agency)") for one in known}


def key(bursar: Bursar, text: str) -> Key:
    """The key of that id, or of that name ("Acme Dental/n8n" when several clients have one)."""
    if ids.is_id(text, ids.KEY):
        return bursar.keys.get(text)
    projects = {p.project_id: p.display_name for p in _projects(bursar)}
    known = islice(bursar.keys.list(), NAMES_SEARCHED_ITEMS)
    named = [
        (one, f"{projects.get(one.project_id, one.project_id)}/{one.display_name}") for one in known
    ]
    found = [one for one, full in named if text in {one.display_name, full}]
    if not found:
        found = [one for one, full in named if full.split("/")[0] == text]
    hint = meant(text, [name for one, full in named for name in (one.display_name, full)])
    fulls = {one.key_id: f"{one.key_id} ({full})" for one, full in named}
    return _only(found, text, "key", "bursar key list", lambda one: fulls[one.key_id], hint)


def sidecar(bursar: Bursar, text: str) -> Sidecar:
    """The sidecar of that id or name, revoked or not."""
    known = list(islice(bursar.sidecars.list(show_revoked=True), NAMES_SEARCHED_ITEMS))
    found = [one for one in known if text in {one.sidecar_id, one.display_name}]
    hint = meant(text, [one.display_name for one in known])
    return _only(found, text, "sidecar", "bursar sidecars list", lambda s: s.sidecar_id, hint)


def principal(bursar: Bursar, text: str) -> Principal:
    """The principal of that id or name."""
    known = list(islice(bursar.principals.list(), NAMES_SEARCHED_ITEMS))
    found = [one for one in known if text in {one.principal_id, one.display_name}]
    hint = meant(text, [one.display_name for one in known])
    return _only(found, text, "principal", "bursar principal list", lambda p: p.principal_id, hint)


def meant(text: str, names: Iterable[str]) -> str:
    """A hint at the name that was probably meant; "" when none is close."""
    by_folded = {name.casefold(): name for name in names if name}
    close = get_close_matches(text.casefold(), by_folded, n=1)
    return f"; did you mean {by_folded[close[0]]!r}?" if close else ""


def _projects(bursar: Bursar) -> Iterable[Project]:
    return islice(bursar.projects.list(show_archived=True), NAMES_SEARCHED_ITEMS)


def _only(
    found: list[Thing],
    text: str,
    noun: str,
    listing: str,
    id_of: Callable[[Thing], str],
    hint: str,
) -> Thing:
    if len(found) == 1:
        return found[0]
    if found:
        listed = ", ".join(id_of(one) for one in found)
        raise InvalidArgumentError(f"{text!r} names several; name one by its id: {listed}")
    raise NotFoundError(f"there is no {noun} {text!r}{hint or f'; `{listing}` shows them all'}")
