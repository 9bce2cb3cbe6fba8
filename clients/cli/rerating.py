"""`bursar price rerate`: corrections of calls whose price was wrong."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import click
from rich.text import Text

from clients.admin import Bursar, Rerating
from clients.cli import clock
from clients.cli.output import count_text, table, usd
from clients.cli.parameters import EARLIER
from clients.cli.prices import price
from clients.cli.session import Session, pass_session


@price.command("rerate", dangerous=True)
@click.argument("provider")
@click.argument("model")
@click.option("--from", "start", type=EARLIER, required=True, help="Calls that began since then.")
@click.option("--to", "end", type=EARLIER, help="Calls that began before then  [default: now].")
@click.option(
    "--version",
    "price_version",
    default="",
    help="The version of the price that should have held  [default: the one in force].",
)
@click.option("--apply", "is_applied", is_flag=True, help="Write the corrections.")
@click.option("--reason", default="", help="Why, for the audit log and the entries.")
@pass_session
def rerate(
    session: Session,
    *,
    provider: str,
    model: str,
    start: datetime,
    end: datetime | None,
    price_version: str,
    is_applied: bool,
    reason: str,
) -> None:
    """Correct what calls cost, after a price turned out to have been wrong.

    Set the right price first. Each call gets a correction entry with the difference, in the
    periods that it was charged to, closed ones too; no entry is edited, and doing it twice finds
    nothing to do. Without --apply it only shows the sums.
    """
    bursar = session.bursar
    until = end or clock.now()
    asked = bursar.reratings.query(
        provider, model, start_time=start, end_time=until, price_version=price_version
    )
    if not is_applied:
        _show(session, bursar, asked)
        session.say("Nothing was changed. Write the corrections with --apply.")
        return
    if not session.as_json:
        _show(session, bursar, asked)
    calls = sum(one.call_count for one in asked.projects)
    if calls:
        session.confirm(f"Correct {count_text(calls)} calls?")
        asked = bursar.reratings.apply(
            provider,
            model,
            start_time=start,
            end_time=until,
            price_version=asked.price_version,
            reason=reason,
        )
    session.show(asked, Text(f"{count_text(calls)} calls are corrected."))


def _show(session: Session, bursar: Bursar, done: Rerating) -> None:
    names = {one.project_id: one.display_name for one in bursar.projects.list(show_archived=True)}
    session.show(
        done,
        table(
            f"By price {done.price_version}",
            ["Client", ">Calls", ">Booked", ">Should be", ">Difference"],
            [
                [
                    names.get(one.project_id, one.project_id),
                    count_text(one.call_count),
                    usd(one.before_nano_usd),
                    usd(one.after_nano_usd),
                    usd(one.after_nano_usd - one.before_nano_usd),
                ]
                for one in done.projects
            ],
        ),
    )
    if done.estimated_count:
        session.say(f"{count_text(done.estimated_count)} estimates are left as they are.")
    if done.told_count:
        session.say(
            f"{count_text(done.told_count)} calls cost what their provider said in money: they are "
            "left as they are."
        )
    if done.unpriceable_count:
        session.warn(
            f"{count_text(done.unpriceable_count)} calls used what this price has no rate for: they"
            " are left as they are."
        )


COMMANDS: Sequence[Any] = (price,)
"""The noun, with what is added to it here."""
