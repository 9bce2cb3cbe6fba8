"""`bursar surfaces`: what can be called through a sidecar, and what it refuses and why.

The sidecar's own program tells it, for it is the one that serves.
"""

import json
import subprocess
from collections.abc import Sequence
from typing import Any

import click

from clients.cli.output import NONE_TEXT, table
from clients.cli.processes import environment, python
from clients.cli.session import Command, Session, pass_session
from protos.values.errors import FailedPreconditionError


@click.command("surfaces", cls=Command, connects=False)
@click.option("--refused", is_flag=True, help="Show what is refused by name, each with its reason.")
@pass_session
def surfaces(session: Session, *, refused: bool) -> None:
    """List what can be called: how each is bounded before, and metered after."""
    ended = subprocess.run(
        python("sidecar", "surfaces"),
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        last = (ended.stderr.strip().splitlines() or ["it ended without a word"])[-1]
        raise FailedPreconditionError(f"the sidecar's program did not tell: {last}")
    told: dict[str, Any] = json.loads(ended.stdout)
    if refused:
        rows = [(row["path"], row["reason"]) for row in told["unserved"]]
        session.show({"unserved": told["unserved"]}, table("", ("Path", "Why"), rows))
        return
    shown = [
        (
            f"{row['method']} {row['path']}",
            row["bounded_by"],
            row["metered_from"],
            row["refused"] or NONE_TEXT,
        )
        for row in told["surfaces"]
    ]
    columns = ("Surface", "Bounded before by", "Metered after from", "Refused in it")
    session.show({"surfaces": told["surfaces"]}, table("", columns, shown))
    session.say("Anything else is refused and never forwarded: bursar surfaces --refused")


COMMANDS: Sequence[Any] = (surfaces,)
