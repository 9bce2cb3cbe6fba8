"""`bursar restore` and `bursar learning`: a database that may be old, and how it gets whole again.

Restoring happens in the data folder, with the control plane stopped, by the control plane's own
program: it knows how to check a backup, and what must be so before the first sidecar speaks.
"""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from clients.admin import Learning
from clients.cli import names
from clients.cli.output import usd
from clients.cli.processes import environment, python
from clients.cli.session import Command, Group, Session, pass_session
from protos.values.errors import FailedPreconditionError

_UNTOLD = "Keys, revocations, caps and clients are as they were in it: look what changed since."


@click.command("restore", cls=Command, connects=False, dangerous=True)
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--data", metavar="FOLDER", help="The data folder  [env BURSAR_DATA; default ./bursar-data]"
)
@click.option(
    "--watermark",
    metavar="FOLDER",
    help="Where the watermark is  [env BURSAR_WATERMARK; default: the data folder]",
)
@click.option(
    "--without-watermark",
    is_flag=True,
    help="It is gone for good: forget what it knew, and begin a new one.",
)
@pass_session
def restore(
    session: Session,
    *,
    file: Path,
    data: str | None,
    watermark: str | None,
    without_watermark: bool,
) -> None:
    """Put a backup in the database's place, with the control plane stopped.

    The database that is replaced is kept. Nothing is granted until every sidecar has told what it
    holds; calls go on from what is leased.
    """
    if data is not None:
        session.data = data
    folder = session.folder.path
    session.confirm(f"Restore {file} into {folder}? What was decided since is not in it.")
    command = ["--data", str(folder), str(file)]
    if watermark is not None:
        command += ["--watermark", watermark]
    if without_watermark:
        command.append("--without-watermark")
    ended = subprocess.run(
        python("control_plane.restore", *command),
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        told = ended.stderr.strip().splitlines() or ["it ended without a word"]
        raise FailedPreconditionError(f"nothing was restored: {told[-1]}")
    made: dict[str, Any] = json.loads(ended.stdout)
    session.show(made, Text(f"{file} is restored in {made['database']}."))
    _say_what_next(session, made)


def _say_what_next(session: Session, made: dict[str, Any]) -> None:
    if made["replaced"]:
        session.say(f"The database before it is kept as {made['replaced']}.")
    if made["watermark_lost"]:
        session.warn(f"A new watermark begins: {made['watermark_lost']}.")
    session.say(_UNTOLD)
    missing = made["missing_sidecars"]
    if missing:
        session.say(
            f"Start the control plane. Nothing is granted until all have synced: {_some(missing)}."
            " For one that is gone for good: bursar learning finish --without NAME"
        )
    if made["unknown_nano_usd"]:
        session.say(
            f"Up to {usd(made['unknown_nano_usd'])} may have been granted since the backup; so much"
            " is held until sidecars show what it was. See it with `bursar learning`."
        )


@click.group("learning", cls=Group, invoke_without_command=True)
@click.pass_context
def learning(ctx: click.Context) -> None:
    """Show whether the database may be old, and who is waited for."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(show)


@learning.command("show")
@pass_session
def show(session: Session) -> None:
    """Show whether the database may be old, and who is waited for."""
    _show(session, session.bursar.installation.get().learning)


@learning.command("finish", dangerous=True)
@click.option(
    "--without",
    "without",
    metavar="SIDECAR",
    multiple=True,
    required=True,
    help="One that is gone for good; may be repeated.",
)
@click.option("--reason", default="", help="Why, for the audit log.")
@pass_session
def finish(session: Session, *, without: tuple[str, ...], reason: str) -> None:
    """Stop waiting for sidecars; what they may hold stays set aside."""
    found = [names.sidecar(session.bursar, one) for one in without]
    listed = _some([one.display_name for one in found])
    session.confirm(f"Grant again without having heard what {listed} hold?")
    ids = [one.sidecar_id for one in found]
    _show(session, session.bursar.installation.finish_learning(ids, reason=reason))


@learning.command("begin-watermark", dangerous=True)
@click.option("--reason", default="", help="Why, for the audit log.")
@pass_session
def begin_watermark(session: Session, *, reason: str) -> None:
    """Begin a new watermark in place of one that is gone for good."""
    session.confirm(
        "Begin a new watermark? If the database is an old copy, what sidecars hold that never come"
        " back can be spent once more."
    )
    _show(session, session.bursar.installation.begin_watermark(reason=reason))


def _show(session: Session, told: Learning) -> None:
    lines = []
    if told.watermark_trouble:
        lines.append(f"The watermark cannot be trusted or written: {told.watermark_trouble}.")
    if told.in_progress and told.missing_sidecars:
        lines.append(f"Nothing is granted until these have synced: {_some(told.missing_sidecars)}.")
    elif told.in_progress:
        lines.append("Nothing is granted yet: all have spoken, it ends with the next Sync.")
    if told.unknown_nano_usd:
        held = usd(told.unknown_nano_usd)
        lines.append(f"{held} are set aside for what may have been granted and nobody has shown.")
    session.show({"learning": told}, Text("\n".join(lines or ["The database is up to date."])))


def _some(listed: Sequence[str]) -> str:
    shown = ", ".join(listed[:10])
    return shown if len(listed) <= 10 else f"{shown} and {len(listed) - 10} more"


COMMANDS: Sequence[Any] = (restore, learning)
