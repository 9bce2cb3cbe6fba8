"""`bursar model`: which models are retired, and which do which task."""

from collections.abc import Sequence
from datetime import datetime
from itertools import islice
from typing import Any

import click
from rich.text import Text

from clients.admin import Retirement
from clients.cli.limits import LIST_MAX_ITEMS
from clients.cli.model_matrix import matrix
from clients.cli.output import instant_text, table
from clients.cli.parameters import LATER
from clients.cli.session import Group, Session, pass_session


@click.group("model", cls=Group)
def model() -> None:
    """See what models do and cost, and note which are retired: who uses them is told in time."""


model.add_command(matrix)


@model.command("retire")
@click.argument("provider")
@click.argument("name", metavar="MODEL")
@click.option("--on", "retire_time", type=LATER, required=True, help="From when on calls fail.")
@click.option("--replacement", default="", metavar="MODEL", help="What is to take its place.")
@click.option("--source", default="", help="Where that stands, such as an address.")
@pass_session
def retire(
    session: Session,
    *,
    provider: str,
    name: str,
    retire_time: datetime,
    replacement: str,
    source: str,
) -> None:
    """Note when a provider retires a model."""
    made = session.bursar.retirements.set(
        Retirement(
            provider=provider,
            model=name,
            retire_time=retire_time,
            replacement=replacement,
            source=source,
        )
    )
    session.show(
        {"retirement": made},
        Text(f"{made.provider}/{made.model} is retired on {instant_text(made.retire_time)}"),
    )
    session.say("Whoever uses it is told of 90, 30 and 7 days before: bursar alert list")


@model.command("retiring")
@pass_session
def list_retirements(session: Session) -> None:
    """List models that are retired, the next one first."""
    found = list(islice(session.bursar.retirements.list(), LIST_MAX_ITEMS))
    session.show(
        {"retirements": found},
        table(
            "",
            ["Provider", "Model", "Retired on", "Replacement", "Source"],
            [
                [
                    one.provider,
                    one.model,
                    instant_text(one.retire_time),
                    one.replacement,
                    one.source,
                ]
                for one in found
            ],
        ),
    )


@model.command("keep")
@click.argument("provider")
@click.argument("name", metavar="MODEL")
@pass_session
def keep(session: Session, *, provider: str, name: str) -> None:
    """Take back that a model is retired."""
    session.bursar.retirements.remove(provider, name)
    session.show({"kept": f"{provider}/{name}"}, Text(f"{provider}/{name} is not retired"))


COMMANDS: Sequence[Any] = (model,)
"""The noun."""
