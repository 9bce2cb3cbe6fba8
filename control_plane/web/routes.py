"""What a page and a change are: the two shapes of everything that the desk serves.

A `Page` reads. It names the least role that may see it; a client sees only pages whose `scope` is
its own project. A `Change` is a form. It names the method of the admin services that it is the same
as, and is allowed to whom that method is allowed, by the same table (`core/access.py`); it calls
one use case, and says which page to show next. Handlers hold no SQL and decide nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, urlencode

from control_plane import limits
from control_plane.core import fields
from control_plane.core.principals import Principal, Role
from control_plane.store.engine import Tx
from control_plane.usecases import projects
from control_plane.usecases.acts import Act
from control_plane.usecases.levels import Levels

Form: TypeAlias = Mapping[str, str]
_TOLD = frozenset({"stale"})
"""What a query tells of a form that was sent, and not of the page that it stood on."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a browser asks for, and in whose name."""

    principal: Principal
    """Who is signed in."""
    path: Mapping[str, str]
    """What the route's path names."""
    query: Mapping[str, str]
    """What stands behind the question mark."""
    now_unix_ms: int
    levels: Levels
    """What sidecars said last."""


@dataclass(frozen=True, slots=True)
class View:
    """What a page shows."""

    template: str
    """A file of `templates`."""
    values: Mapping[str, Any]
    """What the template is given."""
    title: str
    """The page's name, for the browser's tab."""


@dataclass(frozen=True, slots=True)
class Next:
    """What follows a change: a page to go to, or one that is shown at once and never again."""

    location: str = ""
    shown: View | None = field(default=None, repr=False)
    """For secrets that are shown once."""


def _everywhere(_path: Mapping[str, str]) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Page:
    """One page."""

    path: str
    """Such as "/clients/{project_id}"."""
    read: Callable[[Tx, Asked], View]
    """Runs in one reading transaction."""
    needs: Role = Role.VIEWER
    """The least role that may see it."""
    scope: Callable[[Mapping[str, str]], str] = _everywhere
    """The project that a page is about; "" for one that is about all."""


@dataclass(frozen=True, slots=True)
class Change:
    """One form."""

    path: str
    service: str
    """Of the admin services, such as "BudgetService"."""
    method: str
    """Such as "SetCap"."""
    do: Callable[[Tx, Act, Form, Asked], Next]
    """Runs in one writing transaction; calls one use case."""


@dataclass(frozen=True, slots=True)
class Content:
    """What a file holds."""

    make: Callable[[], bytes]
    """Runs in a thread, after the transaction."""
    media_type: str
    name: str
    """What it is called where it is kept."""
    shows: bool = False
    """Whether a browser may show it, and not only keep it."""


@dataclass(frozen=True, slots=True)
class File:
    """Something to be kept, such as a PDF."""

    path: str
    read: Callable[[Tx, Asked], Content]
    """Runs in one reading transaction."""
    needs: Role = Role.VIEWER
    scope: Callable[[Mapping[str, str]], str] = _everywhere


Route: TypeAlias = Page | Change | File


def text(form: Form, name: str) -> str:
    """A field of a form, without spaces around it; "" when it was not sent."""
    return form.get(name, "").strip()


def needed(form: Form, name: str) -> str:
    """A field that must be there."""
    found = text(form, name)
    if not found:
        raise fields.invalid(name, "is missing: fill it in")
    return found


def number(form: Form, name: str) -> int:
    """A whole number."""
    found = needed(form, name)
    if not (found.isascii() and found.isdigit()) or len(found) > limits.FORM_DIGITS_MAX:
        raise fields.invalid(name, "a whole number is wanted")
    return int(found)


def client_of(tx: Tx, given: Mapping[str, str]) -> str:
    """The id of the client that a query or a form names, by id or by name; "" for none."""
    found = text(given, "client")
    return projects.named(tx, found) if found else ""


def came_from(form: Form, otherwise: str = "/", **told: str) -> Next:
    """Back to the page that a form stands on, as it says itself; never to another site.

    What is told there stands in its query, in the place of what was told before.
    """
    wanted = text(form, "back")
    if not wanted.startswith("/") or not wanted.isascii() or "//" in wanted:
        wanted = otherwise
    path, _, query = wanted.partition("?")
    kept = [(name, value) for name, value in parse_qsl(query) if name not in _TOLD]
    query = urlencode([*kept, *told.items()])
    return Next(f"{path}?{query}" if query else path)


def page_of(query: Mapping[str, str]) -> int:
    """Which page of a list is asked for, from 1 on."""
    if not query.get("page"):
        return 1
    return min(max(1, number(query, "page")), limits.READ_ROWS_MAX)


def project_of_path(path: Mapping[str, str]) -> str:
    """The scope of pages whose path names a client."""
    return path["project_id"]
