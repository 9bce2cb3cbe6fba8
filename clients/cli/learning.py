"""`bursar restore` and `bursar learning`: a database that may be old, and how it gets whole again.

Restoring happens in the data folder, with the control plane stopped, by the control plane's own
program: it knows how to check a backup, and what must be so before the first sidecar speaks.
"""

import json
import subprocess
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from clients.admin import Learning
from clients.cli import clock, names
from clients.cli.output import instant_text, usd
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

    The database that is replaced is kept. For a minute nothing new is granted, while sidecars tell
    what they hold; calls go on from what is leased.
    """
    if data is not None:
        session.data = data
    folder = session.folder.path
    command = ["--data", str(folder), str(file)]
    _answer_of_restore(*command, "--check")
    session.confirm(f"Restore {file} into {folder}? What was decided since is not in it.")
    if watermark is not None:
        command += ["--watermark", watermark]
    if without_watermark:
        command.append("--without-watermark")
    made = _answer_of_restore(*command)
    session.show(made, Text(f"{file} is restored in {made['database']}."))
    _say_what_next(session, made)


def _answer_of_restore(*command: str) -> dict[str, Any]:
    """What the control plane's own program says. Raises FailedPreconditionError in its words."""
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
    answer: dict[str, Any] = json.loads(ended.stdout)
    return answer


def _say_what_next(session: Session, made: dict[str, Any]) -> None:
    if made["replaced"]:
        session.say(f"The database before it is kept as {made['replaced']}.")
    if made["watermark_lost"]:
        session.warn(f"A new watermark begins: {made['watermark_lost']}.")
    session.say(_UNTOLD)
    missing = made["missing_sidecars"]
    if missing:
        session.say(
            f"Start the control plane. It asks these what they hold: {_some(missing)}. No new money"
            " goes out in its first minute, unless all have answered before; see `bursar learning`."
            " For one that is gone for good: bursar learning finish --without NAME --reason WHY"
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
    session.confirm(
        f"Wait no longer for {listed}? What they may hold stays set aside until their windows end"
        " or they speak."
    )
    ids = [one.sidecar_id for one in found]
    told = session.bursar.installation.finish_learning(ids, reason=reason)
    _show(session, told)
    if not told.in_progress:
        session.say("Nobody is waited for any more: new money goes out again.")


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


def explained(told: Learning, now: datetime) -> tuple[list[str], list[str]]:
    """What is so and what it means in money; and what to do about it. Nothing when all is well."""
    so: list[str] = []
    todo: list[str] = []
    if told.watermark_trouble:
        so.append(f"The watermark cannot be trusted or written: {told.watermark_trouble}.")
        todo.append(
            "put the watermark's file back and start the control plane again; if it is gone for"
            " good: bursar learning begin-watermark --reason WHY"
        )
    if told.in_progress:
        so += _of_learning(told, now)
        if told.missing_sidecars:
            todo.append(
                "start the sidecars that are missing, on their own disks: each is heard within"
                " seconds"
            )
            todo.append(
                "for one that is gone for good: bursar learning finish --without NAME --reason WHY"
            )
    if told.unknown_nano_usd:
        so.append(
            f"{usd(told.unknown_nano_usd)} are set aside, over all budgets, for grants that may"
            " have been made after this copy and that nobody has shown. They count as spent until a"
            " sidecar shows them, and are charged as an estimate when their windows end."
        )
        if not told.in_progress:
            todo.append(
                "wait for the windows to end; or, only if you know that no sidecar is missing:"
                " bursar lease release unknown --reason WHY"
            )
    return so, todo


def _of_learning(told: Learning, now: datetime) -> list[str]:
    so = ["The database may be an old copy, so every sidecar is asked what it holds."]
    if told.missing_sidecars:
        so.append(f"Not heard yet: {_some(told.missing_sidecars)}.")
    else:
        so.append("All have spoken: it ends with the next Sync, within seconds.")
    if told.grants_time is None:
        so.append(
            "No new money goes out until it ends. Calls go on from what their sidecars hold; what"
            " that does not cover waits, and is refused at the end of its patience."
        )
    elif told.grants_time > now:
        so.append(
            f"No new money goes out until {instant_text(told.grants_time)}. Calls go on from what"
            " their sidecars hold until then."
        )
    else:
        so.append(
            "New money goes out all the same, beside what is set aside: no cap can be passed, but"
            " there may be little left."
        )
    return so


def _show(session: Session, told: Learning) -> None:
    so, todo = explained(told, clock.now())
    text = "\n".join(so) or "The database is up to date, and nothing is set aside."
    session.show({"learning": told, "explained": so, "next": todo}, Text(text))
    for each in todo:
        session.say(f"  → {each}")


def _some(listed: Sequence[str]) -> str:
    shown = ", ".join(listed[:10])
    return shown if len(listed) <= 10 else f"{shown} and {len(listed) - 10} more"


COMMANDS: Sequence[Any] = (restore, learning)
