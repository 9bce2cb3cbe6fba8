"""Templates with what all of them may use."""

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from control_plane.core.principals import Principal, Role
from control_plane.core.sessions import form_proof
from control_plane.web import charts, formatting
from control_plane.web.browser import PROOF_FIELD
from control_plane.web.routes import View

HERE = Path(__file__).parent
STATIC = HERE / "static"
NAVIGATION: tuple[tuple[str, str, str], ...] = (
    ("Clients", "/", "c"),
    ("Alerts", "/alerts", "a"),
    ("Calls", "/calls", "l"),
    ("Keys", "/keys", "k"),
    ("Prices", "/prices", "p"),
    ("Statements", "/statements", "m"),
    ("Review", "/review", "r"),
    ("Playbook", "/playbook", "b"),
    ("Sidecars", "/sidecars", "d"),
    ("Settings", "/settings", "s"),
)
"""The pages of the bar at the top: label, path, and the key after `g`."""
HTMX_CONFIG = json.dumps(
    {"includeIndicatorCSS": False, "history": False, "defaultSwap": "outerMorph"}
)
"""No style sheet is put in by script: our policy forbids it."""

_FILTERS = (
    *(formatting.usd, formatting.usd_short, formatting.usd_whole, formatting.usd_exact),
    *(formatting.usd_field, formatting.count, formatting.plural, formatting.percent),
    *(formatting.clock, formatting.day, formatting.instant, formatting.when, formatting.month),
    *(
        formatting.machine_time,
        formatting.seconds,
        formatting.ago,
        formatting.change,
        formatting.success,
        formatting.share_of,
        formatting.usd_fine,
        formatting.signed,
    ),
)


@cache
def environment() -> Environment:
    """The templates; every value is escaped, and a name that is missing is an error."""
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {function.__name__: function for function in _FILTERS}
    made.globals |= {
        "asset": asset,
        "htmx_config": HTMX_CONFIG,
        "meter": charts.meter,
        "navigation": NAVIGATION,
        "share_bar": charts.share_bar,
        "spark": charts.spark,
    }
    return made


def compile_all() -> None:
    """Compile every template now, so that nobody's first page waits for it."""
    for name in environment().list_templates():
        environment().get_template(name)


@cache
def asset(name: str) -> str:
    """The address of a static file; it changes with the file, so browsers keep it for ever."""
    digest = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]
    return f"/static/{digest}/{name}"


def page(
    view: View,
    *,
    principal: Principal | None,
    session_text: str,
    path: str,
    query: str,
    now_unix_ms: int,
) -> str:
    """A whole page as HTML."""
    values: dict[str, Any] = {
        "title": view.title,
        "me": principal,
        "may_operate": principal is not None and principal.role.includes(Role.OPERATOR),
        "is_owner": principal is not None and principal.role is Role.OWNER,
        "is_client": principal is not None and principal.role is Role.CLIENT,
        "proof_field": PROOF_FIELD,
        "proof": form_proof(session_text),
        "path": path,
        "here": f"{path}?{query}" if query else path,
        "now": now_unix_ms,
    }
    return environment().get_template(view.template).render({**values, **view.values})
