"""`bursar client rate-card`: what a client is charged, apart from what its calls cost."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from itertools import islice
from typing import Any

import click
from rich.text import Text

from clients.admin import RateCard
from clients.cli import clock, names
from clients.cli.limits import LIST_MAX_ITEMS
from clients.cli.output import instant_text, table, usd
from clients.cli.parameters import LATER, PERCENT, USD
from clients.cli.projects import client
from clients.cli.session import Group, Session, pass_session

_PPM_PER_PERCENT = 10_000


@client.group("rate-card", cls=Group)
def rate_card() -> None:
    """See and set what a client is charged; caps always count what calls cost."""


@rate_card.command("set")
@click.argument("client_name", metavar="CLIENT")
@click.option(
    "--markup", type=PERCENT, help="Added to the cost, such as 20%; negative: a discount."
)
@click.option("--per-call", type=USD, help="A fee for each call that cost anything.")
@click.option("--per-run", type=USD, help="A fee for each run of a workflow, with its first call.")
@click.option("--included", type=USD, help="Cost of each month that is paid for otherwise.")
@click.option("--from", "valid_from", type=LATER, help="From when it holds  [default: now]")
@click.option("--reason", default="", help="Why, for the audit log.")
@pass_session
def set_rate_card(
    session: Session,
    *,
    client_name: str,
    markup: int | None,
    per_call: int | None,
    per_run: int | None,
    included: int | None,
    valid_from: datetime | None,
    reason: str,
) -> None:
    """Set what a client is charged; what is not given stays as it is.

    A call is charged its cost beyond the month's included one, with the markup, and the fees;
    rounded up once, to a billionth of a dollar. Booked calls keep what they were charged.
    """
    if markup is None and per_call is None and per_run is None and included is None:
        raise click.UsageError("Give one of --markup, --per-call, --per-run and --included.")
    project = names.client(session.bursar, client_name)
    now = clock.now()
    cards = list(islice(session.bursar.rate_cards.list(project.project_id), LIST_MAX_ITEMS))
    begun = [one for one in cards if one.valid_from_time is None or one.valid_from_time <= now]
    before = begun[-1] if begun else RateCard(project_id=project.project_id)
    wanted = replace(
        before,
        markup_ppm=before.markup_ppm if markup is None else markup,
        per_call_nano_usd=before.per_call_nano_usd if per_call is None else per_call,
        per_execution_nano_usd=before.per_execution_nano_usd if per_run is None else per_run,
        included_nano_usd=before.included_nano_usd if included is None else included,
        valid_from_time=valid_from,
    )
    made = session.bursar.rate_cards.set(wanted, reason=reason)
    session.show({"rate_card": made}, Text(f"{project.display_name}: {_words(made)}"))
    session.say(
        f"It holds from {instant_text(made.valid_from_time, none='now')} on, for calls that begin"
        " then."
    )


@rate_card.command("show")
@click.argument("client_name", metavar="CLIENT")
@pass_session
def show_rate_cards(session: Session, *, client_name: str) -> None:
    """Show what a client is, was and will be charged, the newest first."""
    project = names.client(session.bursar, client_name)
    cards = list(islice(session.bursar.rate_cards.list(project.project_id), LIST_MAX_ITEMS))
    cards.reverse()
    session.show(
        {"rate_cards": cards},
        table(
            "",
            ["Since", ">Markup", ">Per call", ">Per run", ">Included a month", "Version"],
            [
                [
                    instant_text(one.valid_from_time),
                    _percent(one.markup_ppm),
                    usd(one.per_call_nano_usd),
                    usd(one.per_execution_nano_usd),
                    usd(one.included_nano_usd),
                    one.version,
                ]
                for one in cards
            ],
        ),
    )
    if not cards:
        session.say("There is no rate card, so nothing is charged: bursar client rate-card set")


def _words(card: RateCard) -> str:
    parts = [f"cost {'+' if card.markup_ppm >= 0 else ''}{_percent(card.markup_ppm)}"]
    if card.per_call_nano_usd:
        parts.append(f"{usd(card.per_call_nano_usd)} a call")
    if card.per_execution_nano_usd:
        parts.append(f"{usd(card.per_execution_nano_usd)} a run")
    if card.included_nano_usd:
        parts.append(f"{usd(card.included_nano_usd)} of cost a month included")
    return f"{', '.join(parts)}, version {card.version}"


def _percent(ppm: int) -> str:
    whole, rest = divmod(abs(ppm), _PPM_PER_PERCENT)
    places = f"{rest:04d}".rstrip("0")
    return f"{'-' if ppm < 0 else ''}{whole}{'.' + places if places else ''}%"


COMMANDS: Sequence[Any] = (client,)
"""The noun, with what is added to it here."""
