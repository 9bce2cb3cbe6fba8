"""The monthly review of all clients, and which models do which task at what cost."""

from itertools import groupby
from urllib.parse import urlencode

from control_plane.statements import figures
from control_plane.store.engine import Tx
from control_plane.usecases import model_matrix, overview, review
from control_plane.usecases.statement_values import month_before
from control_plane.web.routes import Asked, Page, Route, View, page_of

_MOVERS = 12
_WHY = {"volume": "more or fewer calls", "price": "what a call costs", "mix": "other models"}
_STATES = {
    "": "none yet",
    "DRAFT": "to look at",
    "APPROVED": "approved",
    "SENT": "sent",
    "SUPERSEDED": "replaced",
}


def read_review(tx: Tx, asked: Asked) -> View:
    """One month; the running one until another is asked for."""
    month = asked.query.get("month", "")
    found = review.get_review(tx, month, asked.now_unix_ms, page=page_of(asked.query))
    values = {
        "review": found,
        "clients": overview.client_names(tx),
        "movers": found.movers[:_MOVERS],
        "why": _WHY,
        "states": _STATES,
        "month_name": figures.month_name,
        "month_before": month_before(found.month).name,
    }
    return View("review.html", values, f"Review of {figures.month_name(found.month.name)}")


def read_models(tx: Tx, asked: Asked) -> View:
    """All tasks by all models, and what moves would have saved."""
    name = asked.query.get("name", "").strip()
    found = model_matrix.get_model_matrix(
        tx, asked.now_unix_ms, name=name, page=page_of(asked.query)
    )
    values = {
        "matrix": found,
        "name": name,
        "search": f"/models?{urlencode({'name': name})}&" if name else "/models?",
        "tasks": [
            (task, list(cells)) for task, cells in groupby(found.cells, key=lambda one: one.task)
        ],
        "clients": overview.client_names(tx),
        "month_name": figures.month_name,
    }
    return View("models.html", values, "Models by task")


ROUTES: tuple[Route, ...] = (Page("/review", read_review), Page("/models", read_models))
