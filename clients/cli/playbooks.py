"""`bursar playbook`: what the agency does step by step, and whether it is so."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from clients.admin import Playbook, PlaybookFinding
from clients.cli import exits, names
from clients.cli.limits import PLAYBOOK_MAX_BYTES
from clients.cli.names import meant
from clients.cli.output import instant_text, safe, table
from clients.cli.session import Group, Session, pass_session
from protos.values.errors import InvalidArgumentError, NotFoundError

_MARKS = {
    "PASSED": ("✓", "green"),
    "DONE": ("✓", "green"),
    "WAIVED": ("-", ""),
    "TO_DO": ("·", "yellow"),
    "FAILED": ("✗", "red"),
}


@click.group("playbook", cls=Group)
def playbook() -> None:
    """Go through what is to be so for each client and for the agency."""


@playbook.command("list")
@pass_session
def list_playbooks(session: Session) -> None:
    """List playbooks, each in the version that holds."""
    found = session.bursar.playbooks.list()
    session.show(
        {"playbooks": found},
        table(
            "",
            ["Name", "Title", "For", ">Steps", "Version"],
            [
                [
                    one.name,
                    one.title,
                    one.about + (", every month" if one.monthly else ""),
                    str(len(one.steps)),
                    f"{one.version}, {instant_text(one.apply_time)}" if one.version else "shipped",
                ]
                for one in found
            ],
        ),
    )


@playbook.command("show")
@click.argument("name", metavar="PLAYBOOK")
@pass_session
def show(session: Session, name: str) -> None:
    """Show the steps of one, and what sees each."""
    one = _found(session, name)
    session.show(
        {"playbook": one},
        table(
            one.title,
            ["Step", "What is to be so", "Seen by"],
            [
                [
                    step.step_id,
                    step.text,
                    (step.check or "a person") + (", may be waived" if step.may_waive else ""),
                ]
                for step in one.steps
            ],
        ),
    )


@playbook.command("verify")
@click.argument("name", metavar="[PLAYBOOK]", required=False)
@click.option("--client", "client_name", help="For this client  [default: for the agency]")
@click.pass_context
def verify(ctx: click.Context, name: str | None, client_name: str | None) -> None:
    """Look at each step; what is not so names the command that mends it, and ends with 1."""
    session = ctx.ensure_object(Session)
    project_id = names.client(session.bursar, client_name).project_id if client_name else ""
    found = session.bursar.playbooks.verify(project_id=project_id, playbook=name or "")
    holds = all(one.holds for one in found)
    shown: list[Text] = []
    for before, one in zip((None, *found), found, strict=False):
        if before is None or before.playbook != one.playbook:
            shown.append(Text(one.playbook, style="bold"))
        shown.append(_line(one))
    session.show({"ok": holds, "findings": found}, *shown)
    if not holds:
        ctx.exit(exits.FAILED)
    session.say("\nAll of it is so.")


@playbook.command("mark")
@click.argument("name", metavar="PLAYBOOK")
@click.argument("step_id", metavar="STEP")
@click.option("--client", "client_name", help="For this client.")
@click.option("--waive", is_flag=True, help="It is not needed; say why with --note.")
@click.option("--undo", is_flag=True, help="Take back what was said.")
@click.option("--note", default="", help="How, or why; kept and shown.")
@pass_session
def mark(
    session: Session,
    *,
    name: str,
    step_id: str,
    client_name: str | None,
    waive: bool,
    undo: bool,
    note: str,
) -> None:
    """Say that a step was done: by you, now."""
    if waive and undo:
        raise click.UsageError("Give --waive or --undo, not both.")
    project_id = names.client(session.bursar, client_name).project_id if client_name else ""
    kind = "" if undo else "WAIVED" if waive else "DONE"
    made = session.bursar.playbooks.mark(name, step_id, project_id=project_id, kind=kind, note=note)
    session.show({"finding": made}, _line(made))


@playbook.command("export")
@click.argument("name", metavar="PLAYBOOK")
@click.option("--markdown", "form", flag_value="markdown", default=True, help="For reading.")
@click.option("--toml", "form", flag_value="toml", help="To change and apply.")
@pass_session
def export(session: Session, name: str, form: str) -> None:
    """Write one to stdout: as Markdown, or as the TOML that it was read from."""
    one = _found(session, name)
    text = one.toml if form == "toml" else one.markdown
    session.show({"name": one.name, form: text}, Text(text.rstrip("\n")))


@playbook.command("apply")
@click.argument(
    "path", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@pass_session
def apply(session: Session, path: Path) -> None:
    """Add a playbook of your own, or a new version of one; the ones before stay on record."""
    with path.open("rb") as file:
        read = file.read(PLAYBOOK_MAX_BYTES + 1)
    if len(read) > PLAYBOOK_MAX_BYTES:
        raise InvalidArgumentError(f"{path} has more than {PLAYBOOK_MAX_BYTES} bytes")
    try:
        text = read.decode()
    except UnicodeDecodeError:
        raise InvalidArgumentError(f"{path} is no text in UTF-8") from None
    made = session.bursar.playbooks.apply(text)
    session.show({"playbook": made}, Text(f"{made.name}, version {made.version}: {made.title}"))


def _found(session: Session, name: str) -> Playbook:
    known = session.bursar.playbooks.list()
    for one in known:
        if one.name == name:
            return one
    hint = meant(name, [one.name for one in known]) or "; see them with: bursar playbook list"
    raise NotFoundError(f"there is no playbook {name!r}{hint}")


def _line(one: PlaybookFinding) -> Text:
    sign, style = _MARKS.get(one.outcome, ("?", ""))
    line = Text.assemble("  ", (sign, style), f" {one.step.step_id:<14} {safe(one.step.text)}")
    if one.text:
        line.append(f"\n      {safe(one.text)}")
    if one.mark_time is not None:
        said = f": {safe(one.note)}" if one.note else ""
        line.append(f"\n      {one.outcome.lower()} {instant_text(one.mark_time)}{said}")
    if one.fix:
        line.append(f"\n      → {safe(one.fix)}", style="bold")
    return line


COMMANDS: Sequence[Any] = (playbook,)
"""The noun."""
