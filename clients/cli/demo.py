"""`bursar demo`: an agency with three months of calls, to look at before there is one's own.

The control plane's own program makes it, through the same ledger that real calls go through.
"""

import json
import subprocess
from collections.abc import Sequence
from typing import Any

import click
from rich.text import Text

from clients.cli.output import count_text, usd
from clients.cli.processes import environment, python
from clients.cli.session import Command, Session, pass_session
from protos.values.errors import FailedPreconditionError

_DEFAULT = "bursar-demo"


@click.command("demo", cls=Command, connects=False)
@click.option(
    "--data",
    metavar="FOLDER",
    default=_DEFAULT,
    show_default=True,
    help="Where it is made; nothing may lie there.",
)
@click.option(
    "--months",
    type=click.IntRange(1, 12),
    default=3,
    show_default=True,
    help="Whole months before this one.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Other dice, other calls.")
@pass_session
def demo(session: Session, *, data: str, months: int, seed: int) -> None:
    """Fill a folder with twelve clients and months of their calls, to look at.

    Takes a minute or two. No provider is asked, and nothing costs anything.
    """
    command = ["--data", data, "--months", str(months), "--seed", str(seed)]
    ended = subprocess.run(
        python("control_plane.demo", *command),
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE if session.quiet or session.as_json else None,
        text=True,
        check=False,
    )
    if ended.returncode:
        told = (ended.stderr or "").strip().splitlines()
        why = told[-1] if told else "see above"
        raise FailedPreconditionError(f"no demo was made: {why}")
    made: dict[str, Any] = {**json.loads(ended.stdout), "data": data}
    session.show(
        made,
        Text(
            f"{made['clients']} clients with {count_text(made['calls'])} calls for"
            f" {usd(made['spent_nano_usd'])}; {count_text(made['refused'])} more were refused"
            " by a cap."
        ),
    )
    session.say(f"Look at it with: bursar up --data {data}")


COMMANDS: Sequence[Any] = (demo,)
