"""Caps: raised in one press, set with a reason, taken back within ten minutes.

What a form was made on stands in it as an etag: a second press, or a press on an old page, raises
nothing and shows how it is now.
"""

from control_plane.core import fields
from control_plane.core.budgets import SetCap
from control_plane.core.overview import Standing
from control_plane.store.engine import Tx
from control_plane.usecases import budgets, overview, projects
from control_plane.usecases.acts import Act
from control_plane.web.routes import (
    Asked,
    Change,
    Form,
    Next,
    Page,
    Route,
    View,
    came_from,
    needed,
    number,
    text,
)
from protos.values.errors import EtagMismatchError
from protos.values.money import usd_to_nano


def read_cap(tx: Tx, asked: Asked) -> View:
    """The form to set a cap, filled in with what is proposed."""
    standing = _standing(tx, asked)
    values = {
        "standing": standing,
        "zone": standing.budget.time_zone,
        "client": _client(tx, standing),
        "back": back_to(standing),
        "reach": overview.cap_reach(tx, standing),
    }
    return View("cap.html", values, f"Cap of {standing.budget.display_name}")


def set_cap(tx: Tx, act: Act, form: Form, asked: Asked) -> Next:
    """Set a cap as the form says, if nobody changed it since."""
    wish = SetCap(
        budget_id=asked.path["budget_id"],
        cap_nano_usd=_amount(form),
        this_period_only=text(form, "holds") != "good",
        reason=text(form, "reason"),
        etag=needed(form, "etag"),
    )
    try:
        budgets.set_cap(tx, wish, act, keeps_period=True)
    except EtagMismatchError:
        return came_from(form, stale=wish.budget_id)
    return came_from(form)


def undo_cap(tx: Tx, act: Act, form: Form, asked: Asked) -> Next:
    """Take the newest decision back, if it is still the one that the page showed."""
    budget_id, version = asked.path["budget_id"], number(form, "cap_version")
    try:
        budgets.undo_cap(tx, budget_id, version, text(form, "reason"), act)
    except EtagMismatchError:
        return came_from(form, stale=budget_id)
    return came_from(form)


def back_to(standing: Standing) -> str:
    """The page that a budget belongs to."""
    project_id = standing.budget.selector.project_id
    return f"/clients/{project_id}" if project_id else "/"


def _standing(tx: Tx, asked: Asked) -> Standing:
    return overview.standing_of(tx, asked.path["budget_id"], asked.levels, asked.now_unix_ms)


def _client(tx: Tx, standing: Standing) -> str:
    project_id = standing.budget.selector.project_id
    return projects.found(tx, project_id).display_name if project_id else "Whole agency"


def _amount(form: Form) -> int:
    try:
        return usd_to_nano(needed(form, "cap"))
    except ValueError as error:
        raise fields.invalid("cap", str(error)) from None


ROUTES: tuple[Route, ...] = (
    Page("/budgets/{budget_id}/cap", read_cap),
    Change("/budgets/{budget_id}/cap", "BudgetService", "SetCap", set_cap),
    Change("/budgets/{budget_id}/undo", "BudgetService", "UndoCap", undo_cap),
)
