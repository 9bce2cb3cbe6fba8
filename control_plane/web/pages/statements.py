"""Statements: which months are frozen, how far each is, what it says, and the steps it may take."""

from functools import partial

from control_plane.core.pages import Asked as AskedPage
from control_plane.core.statements import State
from control_plane.statements import figures
from control_plane.statements.files import FORMS, check_format
from control_plane.statements.view import view_of
from control_plane.store.engine import Tx
from control_plane.usecases import overview, statements
from control_plane.usecases.acts import Act
from control_plane.web.routes import (
    Asked,
    Change,
    Content,
    File,
    Form,
    Next,
    Page,
    Route,
    View,
    needed,
    text,
)

_TYPES = {
    "pdf": "application/pdf",
    "html": "text/html; charset=utf-8",
    "csv": "text/csv; charset=utf-8",
    "focus": "text/csv; charset=utf-8",
    "json": "application/json",
}
_ENDINGS = {"focus": "focus.csv"}


def read_statements(tx: Tx, asked: Asked) -> View:
    """All versions, newest months first."""
    page = statements.list_statements(
        tx,
        AskedPage(token=asked.query.get("after", "")),
        asked.query.get("client", ""),
        asked.query.get("month", ""),
    )
    clients = overview.client_names(tx)
    values = {
        "page": page,
        "clients": clients,
        "zone": overview.agency_zone(tx),
        "month_name": figures.month_name,
        "waiting_count": sum(kept.state is State.DRAFT for kept in page.items),
    }
    return View("statements.html", values, "Statements")


def read_statement(tx: Tx, asked: Asked) -> View:
    """One version: the words that the client reads, and what may be done with it."""
    frozen = statements.get_statement_file(tx, asked.path["statement_id"])
    kept = frozen.kept
    values = {
        "kept": kept,
        "statement": frozen.statement,
        "said": view_of(frozen.statement),
        "settings": statements.get_statement_settings(tx, kept.project_id),
        "is_draft": kept.state is State.DRAFT,
        "is_approved": kept.state is State.APPROVED,
        "forms": list(FORMS),
    }
    month = figures.month_name(frozen.statement.month.name)
    return View("statement.html", values, f"{frozen.statement.client}, {month}")


def read_statement_file(tx: Tx, asked: Asked) -> Content:
    """One version as a file, rendered from what was frozen."""
    form = check_format(asked.path["format"])
    frozen = statements.get_statement_file(tx, asked.path["statement_id"])
    name = f"statement-{frozen.kept.month}-v{frozen.kept.version}.{_ENDINGS.get(form, form)}"
    return Content(
        partial(FORMS[form], frozen.statement, frozen.lines),
        _TYPES[form],
        name,
        shows=form == "pdf",
    )


def set_statement_note(tx: Tx, act: Act, form: Form, asked: Asked) -> Next:
    """Write the note of a draft."""
    kept = statements.set_statement_note(tx, asked.path["statement_id"], text(form, "note"), act)
    return Next(f"/statements/{kept.statement_id}")


def approve_statement(tx: Tx, act: Act, form: Form, asked: Asked) -> Next:
    """Approve what the page showed, and nothing else."""
    kept = statements.approve_statement(tx, asked.path["statement_id"], needed(form, "sha256"), act)
    return Next(f"/statements/{kept.statement_id}")


def send_statement(tx: Tx, act: Act, _form: Form, asked: Asked) -> Next:
    """Let an approved version go out now."""
    kept = statements.send_statement(tx, asked.path["statement_id"], act)
    return Next(f"/statements/{kept.statement_id}")


ROUTES: tuple[Route, ...] = (
    Page("/statements", read_statements),
    Page("/statements/{statement_id}", read_statement),
    File("/statements/{statement_id}/file/{format}", read_statement_file),
    Change(
        "/statements/{statement_id}/note",
        "StatementService",
        "SetStatementNote",
        set_statement_note,
    ),
    Change(
        "/statements/{statement_id}/approve",
        "StatementService",
        "ApproveStatement",
        approve_statement,
    ),
    Change("/statements/{statement_id}/send", "StatementService", "SendStatement", send_statement),
)
