"""The forms in which a frozen statement is handed out."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from control_plane.core import fields
from control_plane.core.cost_lines import Line
from control_plane.core.statements import Statement, canonical
from control_plane.statements.document import render_pdf
from control_plane.statements.focus import Names, Period, render_focus
from control_plane.statements.page import render_html
from control_plane.statements.spreadsheet import render_csv

Form = Callable[[Statement, Sequence[Line]], bytes]


def _focus(statement: Statement, lines: Sequence[Line]) -> bytes:
    month = statement.month
    text = render_focus(
        lines,
        Period(month.start_unix_ms, month.end_unix_ms, month.time_zone),
        Names(statement.brand.agency, {statement.project_id: statement.client}),
        client=statement.shows_charges,
    )
    return text.encode()


FORMS: Final[Mapping[str, Form]] = {
    "pdf": lambda statement, _: render_pdf(statement),
    "html": lambda statement, _: render_html(statement).encode(),
    "csv": lambda statement, _: render_csv(statement).encode(),
    "focus": _focus,
    "json": lambda statement, _: canonical(statement),
}
"""By the name of the format."""


def check_format(name: str) -> str:
    """A format that exists."""
    if name not in FORMS:
        raise fields.invalid("format", f"one of {', '.join(FORMS)}")
    return name
