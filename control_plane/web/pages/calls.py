"""Calls: found again, each with what it was made of; and why others were refused."""

from collections.abc import Mapping

from control_plane.core.log import CallFilter
from control_plane.core.pages import Asked as AskedPage
from control_plane.store.engine import Tx
from control_plane.usecases import calls, overview
from control_plane.web.routes import Asked, Page, Route, View, client_of

REASONS: Mapping[str, str] = {
    "exhausted": "its budget was used up",
    "too_large": "it could have cost more than was left",
    "unreachable": "its money was out of reach",
    "busy": "others held the money until its patience ended",
    "no_budget": "no budget counts it",
    "invalid_key": "there is no such key",
    "key_revoked": "its key was revoked",
    "key_expired": "its key was over",
    "project_suspended": "the client is suspended",
    "model_not_allowed": "its key may not use this model",
    "model_not_priced": "its model has no price",
}
"""Why a call was refused, for people; a reason that is not here is shown as it is."""


def read_calls(tx: Tx, asked: Asked) -> View:
    """Calls by client, workflow and time, newest first; and what was refused."""
    clients = overview.client_names(tx)
    wanted = CallFilter(
        project_id=client_of(tx, asked.query),
        workflow=asked.query.get("workflow", "").strip(),
    )
    page = calls.list_calls(tx, AskedPage(token=asked.query.get("after", "")), wanted)
    refused = calls.list_refusals(tx, AskedPage(20), wanted.project_id)
    values = {
        "page": page,
        "refused": refused.items,
        "wanted": wanted,
        "clients": clients,
        "known": overview.names_to_choose(clients),
        "budgets": overview.budget_names(tx),
        "reasons": REASONS,
        "zone": overview.agency_zone(tx),
    }
    return View("calls.html", values, "Calls")


def read_call(tx: Tx, asked: Asked) -> View:
    """One call, whole."""
    call = calls.get_call(tx, asked.path["call_id"])
    values = {
        "logged": call,
        "clients": overview.client_names(tx),
        "zone": overview.agency_zone(tx),
    }
    return View("call.html", values, "Call")


ROUTES: tuple[Route, ...] = (
    Page("/calls", read_calls),
    Page("/calls/{call_id}", read_call),
)
