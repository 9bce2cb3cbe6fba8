"""`bursar statement` and `bursar export`: closed months, looked at, approved and sent."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, cast, get_args

import click
from rich.text import Text

from clients.admin import Statement, StatementFormat
from clients.cli import names
from clients.cli.limits import LIST_ITEMS, LIST_MAX_ITEMS
from clients.cli.output import count_text, instant_text, quoted, table, usd
from clients.cli.parameters import MONTH
from clients.cli.session import Group, Session, pass_session
from protos.values import ids
from protos.values.errors import NotFoundError

_MONTH_HELP = "The month, such as 2026-10  [default: the newest]"


@click.group("statement", cls=Group)
def statement() -> None:
    """Freeze a client's closed month, look at it, approve it and let it go out."""


def _month_text(month: tuple[int, int] | None) -> str:
    return "" if month is None else f"{month[0]:04}-{month[1]:02}"


def _found(session: Session, text: str, month: tuple[int, int] | None) -> Statement:
    """A statement by its id, or the newest of a client (and month)."""
    if ids.is_id(text, ids.STATEMENT):
        return session.bursar.statements.get(text)
    project = names.client(session.bursar, text)
    listed = session.bursar.statements.list(project_id=project.project_id, month=_month_text(month))
    newest = next(listed, None)
    if newest is None:
        raise NotFoundError(
            f"{project.display_name} has no statement yet: bursar statement build"
            f" {quoted(project.display_name)}",
            project_id=project.project_id,
        )
    return newest


def _line(one: Statement) -> Text:
    charged = f", charged {usd(one.charge_nano_usd)}" if one.charge_nano_usd else ""
    calls = count_text(one.call_count)
    return Text(
        f"{one.month} version {one.version}, {one.state.lower()}: {calls} calls,"
        f" cost {usd(one.cost_nano_usd)}{charged}, {one.statement_id}"
    )


@statement.command("build")
@click.argument("client_name", metavar="CLIENT")
@click.option("--month", type=MONTH, help="The month  [default: the last that is over]")
@pass_session
def build(session: Session, client_name: str, month: tuple[int, int] | None) -> None:
    """Freeze a closed month as a draft; when nothing changed, its newest version is shown.

    Late usage and prices that were set right make a new version, which says the difference.
    """
    project = names.client(session.bursar, client_name)
    made = session.bursar.statements.build(project.project_id, _month_text(month))
    session.show({"statement": made}, _line(made))
    if made.state == "DRAFT":
        session.say(f"Look at it: bursar statement preview {made.statement_id}")


@statement.command("list")
@click.argument("client_name", metavar="[CLIENT]", required=False)
@click.option("--month", type=MONTH, help="Only of this month.")
@click.option(
    "-n",
    "--limit",
    type=click.IntRange(1, LIST_MAX_ITEMS),
    default=LIST_ITEMS,
    show_default=True,
    help="At most so many.",
)
@pass_session
def list_statements(
    session: Session, client_name: str | None, month: tuple[int, int] | None, limit: int
) -> None:
    """List statements, newest months first."""
    bursar = session.bursar
    project_id = names.client(bursar, client_name).project_id if client_name else ""
    owners = {one.project_id: one.display_name for one in bursar.projects.list(show_archived=True)}
    listed = bursar.statements.list(project_id=project_id, month=_month_text(month))
    found = list(islice(listed, limit))
    session.show(
        {"statements": found},
        table(
            "",
            ["Month", "Client", ">Version", "State", ">Calls", ">Cost", ">Charged", "Goes", "Id"],
            [
                [
                    one.month,
                    owners.get(one.project_id, one.project_id),
                    str(one.version),
                    one.state.lower(),
                    count_text(one.call_count),
                    usd(one.cost_nano_usd),
                    usd(one.charge_nano_usd),
                    instant_text(one.send_time or one.sent_time),
                    one.statement_id,
                ]
                for one in found
            ],
        ),
    )
    if not found:
        session.say("There is no statement yet: bursar statement build CLIENT")


@statement.command("show")
@click.argument("name", metavar="STATEMENT|CLIENT")
@click.option("--month", type=MONTH, help=_MONTH_HELP)
@pass_session
def show(session: Session, name: str, month: tuple[int, int] | None) -> None:
    """Show how far a statement is, and what it comes to."""
    one = _found(session, name, month)
    session.show(
        {"statement": one},
        _line(one),
        Text(f"frozen {instant_text(one.create_time)}, sha256 {one.sha256}"),
        Text(f"goes out {instant_text(one.send_time)}, went out {instant_text(one.sent_time)}"),
    )


@statement.command("preview")
@click.argument("name", metavar="STATEMENT|CLIENT")
@click.option("--month", type=MONTH, help=_MONTH_HELP)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="The file to write.")
@pass_session
def preview(
    session: Session, name: str, month: tuple[int, int] | None, output: Path | None
) -> None:
    """Write the PDF that the client gets, to be looked at."""
    one = _found(session, name, month)
    path = output or Path(f"statement-{one.month}-v{one.version}.pdf")
    path.write_bytes(session.bursar.statements.file(one.statement_id, "pdf"))
    session.show({"statement": one, "path": str(path)}, _line(one), Text(f"written to {path}"))
    if one.state == "DRAFT":
        session.say(f"Let it go out: bursar statement approve {one.statement_id}")


@statement.command("export")
@click.argument("name", metavar="STATEMENT|CLIENT")
@click.option("--month", type=MONTH, help=_MONTH_HELP)
@click.option(
    "--format",
    "form",
    type=click.Choice(get_args(StatementFormat)),
    default="csv",
    show_default=True,
    help="json is what was frozen, for the agency alone.",
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="A file  [default: stdout]")
@pass_session
def export_statement(
    session: Session, name: str, month: tuple[int, int] | None, form: str, output: Path | None
) -> None:
    """Write a statement as PDF, HTML, CSV, FOCUS or JSON, from what was frozen."""
    one = _found(session, name, month)
    content = session.bursar.statements.file(one.statement_id, cast("StatementFormat", form))
    _write(session, content, output)


@statement.command("note")
@click.argument("name", metavar="STATEMENT|CLIENT")
@click.argument("text")
@click.option("--month", type=MONTH, help=_MONTH_HELP)
@pass_session
def note(session: Session, name: str, text: str, month: tuple[int, int] | None) -> None:
    """Write a note for the client on a draft."""
    one = _found(session, name, month)
    noted = session.bursar.statements.set_note(one.statement_id, text)
    session.show({"statement": noted}, _line(noted))


@statement.command("approve")
@click.argument("name", metavar="STATEMENT|CLIENT")
@click.option("--month", type=MONTH, help=_MONTH_HELP)
@pass_session
def approve(session: Session, name: str, month: tuple[int, int] | None) -> None:
    """Let a draft go out at nine in the morning of its day, where the client is."""
    done = session.bursar.statements.approve(_found(session, name, month))
    session.show({"statement": done}, _line(done), Text(f"goes out {instant_text(done.send_time)}"))
    if not session.bursar.statements.settings(done.project_id).recipients:
        session.warn("Nobody is named to whom it goes: bursar statement settings CLIENT --to …")


@statement.command("send", dangerous=True)
@click.argument("name", metavar="STATEMENT|CLIENT")
@click.option("--month", type=MONTH, help=_MONTH_HELP)
@pass_session
def send(session: Session, name: str, month: tuple[int, int] | None) -> None:
    """Let an approved statement go out now."""
    one = _found(session, name, month)
    to = ", ".join(session.bursar.statements.settings(one.project_id).recipients)
    session.confirm(f"Send the statement of {one.month} to {to or 'nobody'} now?")
    done = session.bursar.statements.send(one.statement_id)
    session.show({"statement": done}, _line(done))


@statement.command("settings", dangerous=True)
@click.argument("client_name", metavar="CLIENT")
@click.option(
    "--automatic/--review",
    "automatic",
    default=None,
    help="Whether it goes out without anybody's approval.",
)
@click.option("--day", type=click.IntRange(2, 28), help="The day of the month after.")
@click.option("--to", "recipients", multiple=True, help="A mail address; may be repeated.")
@click.option("--note", "text", help="Stands in the client's next statements.")
@pass_session
def settings(
    session: Session,
    *,
    client_name: str,
    automatic: bool | None,
    day: int | None,
    recipients: tuple[str, ...],
    text: str | None,
) -> None:
    """Show or change how a client's statements go out; what is not given stays.

    Approved ones that wait for somebody to be named go out then, so naming the first asks.
    """
    project = names.client(session.bursar, client_name)
    before = session.bursar.statements.settings(project.project_id)
    wanted = replace(
        before,
        automatic=before.automatic if automatic is None else automatic,
        send_day=day or before.send_day,
        recipients=recipients or before.recipients,
        note=before.note if text is None else text,
    )
    if recipients and not before.recipients:
        _ask_about_waiting(session, project.project_id, recipients)
    if wanted != before:
        wanted = session.bursar.statements.set_settings(wanted)
    how = "by itself" if wanted.automatic else "when somebody approved it"
    to = ", ".join(wanted.recipients) or "nobody yet"
    said = Text(f"{project.display_name}: {how}, on day {wanted.send_day} at 09:00, to {to}")
    session.show({"settings": wanted}, said)


def _ask_about_waiting(session: Session, project_id: str, to: tuple[str, ...]) -> None:
    every = session.bursar.statements.list(project_id=project_id)
    waiting = [one.month for one in every if one.state == "APPROVED"]
    if waiting:
        months = ", ".join(waiting[:3]) + (f" and {len(waiting) - 3} more" if waiting[3:] else "")
        session.confirm(f"Approved already, and going out to {', '.join(to)} then: {months}.")


@click.group("export", cls=Group)
def export() -> None:
    """Write the ledger for other programs."""


@export.command("focus")
@click.argument("client_name", metavar="[CLIENT]", required=False)
@click.option("--month", type=MONTH, required=True, help="The month, such as 2026-10.")
@click.option("--client-view", is_flag=True, help="What the client is charged.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="A file  [default: stdout]")
@pass_session
def focus(
    session: Session,
    client_name: str | None,
    month: tuple[int, int],
    client_view: bool,  # noqa: FBT001 - click's flag
    output: Path | None,
) -> None:
    """Write a month's usage as FOCUS 1.4 CSV, of one client or of all.

    Rows sum to the ledger to the nano-dollar. Of one client it is the month of its time zone, of
    all it is the month in UTC.
    """
    if client_view and not client_name:
        raise click.UsageError("--client-view is of one client: name it.")
    project_id = names.client(session.bursar, client_name).project_id if client_name else ""
    content = session.bursar.statements.focus(
        _month_text(month), project_id=project_id, client_view=client_view
    )
    _write(session, content, output)


def _write(session: Session, content: bytes, output: Path | None) -> None:
    if output is None:
        sys.stdout.flush()
        sys.stdout.buffer.write(content)
        return
    output.write_bytes(content)
    session.show({"path": str(output), "size_bytes": len(content)}, Text(f"written to {output}"))


COMMANDS: Sequence[Any] = (statement, export)
"""The nouns."""
