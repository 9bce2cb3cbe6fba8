"""The mail that brings a statement: its figures as text, the whole as a PDF."""

import re

from control_plane.core.deliveries import Message, Part
from control_plane.core.statements import Statement
from control_plane.statements import figures
from control_plane.statements.document import render_pdf
from control_plane.statements.view import view_of

_UNSAFE = re.compile(r"[^A-Za-z0-9]+")


def letter_of(statement: Statement) -> Message:
    """What the mail says; nothing in it is fetched from anywhere."""
    view = view_of(statement)
    month = figures.month_name(statement.month.name)
    again = f", version {statement.version}" if statement.version > 1 else ""
    subject = f"{view.agency + ': ' if view.agency else ''}AI automation report, {month}{again}"
    lines = [
        (tile.label, f"{tile.value} ({tile.below})" if tile.below else tile.value)
        for tile in view.tiles
    ]
    for section in view.sections:
        if section.lines:
            lines.append(("", section.title))
            lines += [("", line) for line in section.lines]
    lines.append(("", "The whole report is attached."))
    return Message(subject, f"{view.headline}.", tuple(lines))


def attachment_of(statement: Statement) -> Part:
    """The PDF."""
    name = _UNSAFE.sub("-", statement.client.lower()).strip("-")[:40] or "statement"
    return Part(f"{name}-{statement.month.name}.pdf", "application/pdf", render_pdf(statement))
