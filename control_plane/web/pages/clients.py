"""All clients at a glance: how much, how long it lasts, and what needs somebody."""

from collections import Counter
from collections.abc import Mapping
from urllib.parse import urlencode

from control_plane import limits
from control_plane.core.forecast import Trouble
from control_plane.core.overview import Outlook, Overview, Standing, Urgency
from control_plane.store.engine import Tx
from control_plane.usecases import alerts, overview, principals
from control_plane.web import formatting
from control_plane.web.routes import Asked, Page, Route, View, page_of

CLASSES: Mapping[Urgency, str] = {
    Urgency.STOPPED: "bad",
    Urgency.TIGHT: "bad",
    Urgency.NEAR: "warn",
    Urgency.ABOVE: "warn",
    Urgency.FINE: "fine",
    Urgency.COUNTING: "quiet",
}
"""What each state looks like; its text says the same."""


def state_text(standing: Standing) -> str:
    """How a budget stands, in words: colour alone tells nothing."""
    used = formatting.percent(standing.used_ppm)
    match standing.urgency:
        case Urgency.STOPPED:
            return "Stopped at cap"
        case Urgency.TIGHT:
            return f"{used} used · larger calls refused"
        case Urgency.NEAR:
            return f"{used} used · near the cap"
        case Urgency.ABOVE:
            return f"{used} used · forecast above cap"
        case Urgency.FINE:
            return f"{used} used"
        case Urgency.COUNTING:
            return "No cap: it only counts"


def outlook_text(outlook: Outlook) -> str:
    """Why there is no forecast to show, in words."""
    match outlook.forecast.trouble:
        case Trouble.TOO_SHORT:
            return f"{outlook.forecast.days_known} of 14 days known"
        case Trouble.UNTESTED:
            return "too new to be tested"
        case Trouble.IRREGULAR:
            return "too irregular to forecast"
        case Trouble.NONE:
            return ""


def read_clients(tx: Tx, asked: Asked) -> View:
    """The first page."""
    name = asked.query.get("name", "").strip()
    page = page_of(asked.query)
    found = overview.clients_overview(tx, asked.levels, asked.now_unix_ms, name=name, page=page)
    standings = _standings(found)
    stopped = [one for one in standings if one.urgency is Urgency.STOPPED]
    values = {
        "overview": found,
        "name": name,
        "lately": overview.lately_changed(tx, standings, asked.now_unix_ms),
        "names": principals.names(tx),
        "state_text": state_text,
        "classes": CLASSES,
        "tiles": _needs(found),
        "stopped": stopped[: limits.DESK_STRIPS_MAX],
        "stopped_count": len(stopped),
        "search": f"/?{urlencode({'name': name})}&" if name else "/?",
        "stops": alerts.stops(tx),
        "forecast": found.forecast,
        "outlook_text": outlook_text,
        "clients": {"": "Whole agency"}
        | {row.project.project_id: row.project.display_name for row in found.rows},
        "stale": next(
            (one for one in standings if one.budget.budget_id == asked.query.get("stale")), None
        ),
    }
    return View("clients.html", values, "Clients")


def _standings(found: Overview) -> list[Standing]:
    own = [standing for row in found.rows for standing in row.standings]
    return [*found.agency, *own]


def _needs(found: Overview) -> str:
    """What of the clients needs somebody, in a line."""
    at = Counter(
        row.binding.urgency
        for row in found.rows
        if row.binding is not None and not row.is_suspended
    )
    counted = {
        "stopped": at[Urgency.STOPPED] + at[Urgency.TIGHT],
        "near cap": at[Urgency.NEAR],
        "forecast above": at[Urgency.ABOVE],
    }
    return " · ".join(f"{number} {what}" for what, number in counted.items() if number)


ROUTES: tuple[Route, ...] = (Page("/", read_clients),)
