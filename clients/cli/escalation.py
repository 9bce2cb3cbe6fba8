"""`bursar escalation`: who is told of alerts, and who answers for which client."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import click
from rich.console import Group as Lines
from rich.text import Text

from clients.admin import Agreement, Bursar, EscalationInfo, Hours, Person
from clients.cli import channels, names
from clients.cli.names import meant
from clients.cli.output import table
from clients.cli.parameters import TIME_ZONE
from clients.cli.session import Group, Session, pass_session
from protos.values.errors import NotFoundError

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_STRETCH = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)-([01]?\d|2[0-4]):([0-5]\d)\Z")


@click.group("escalation", cls=Group)
def escalation() -> None:
    """Set who is told of alerts, who answers for whom, and what clients are told."""


@escalation.command("show")
@pass_session
def show_escalation(session: Session) -> None:
    """Show everybody, and who answers for which client."""
    found = session.bursar.escalation.get()
    by_id = {one.person_id: one.display_name for one in found.people}
    clients = {one.project_id: one.display_name for one in session.bursar.projects.list()}
    session.show(
        {"people": found.people, "agreements": found.agreements},
        Lines(
            table(
                "People",
                ["Name", "Reached by", "Quiet"],
                [
                    [one.display_name, ", ".join(one.channel_ids), _hours_text(one.quiet)]
                    for one in found.people
                ],
            ),
            table(
                "\nWho answers",
                ["Client", "Owner", "Backup", "Lead", "Hours", "Client hears"],
                [
                    [
                        clients.get(one.project_id, one.project_id) or "all others",
                        by_id.get(one.owner_id, ""),
                        by_id.get(one.backup_id, ""),
                        by_id.get(one.lead_id, ""),
                        _hours_text(one.hours),
                        one.client_told.lower().replace("_", " "),
                    ]
                    for one in found.agreements
                ],
            ),
        ),
    )
    if not found.agreements:
        session.say("Nobody is told: bursar escalation set --owner NAME")


@escalation.command("person")
@click.argument("name", metavar="NAME")
@click.option("--channel", "channel_names", metavar="CHANNEL", multiple=True, required=True)
@click.option("--quiet-hours", metavar="HH:MM-HH:MM", help="When nothing but a page is sent.")
@click.option("--quiet-days", metavar="DAYS", default="mon-sun", help="Such as sat,sun.")
@click.option("--time-zone", type=TIME_ZONE, default="UTC", show_default=True)
@pass_session
def set_person(
    session: Session,
    *,
    name: str,
    channel_names: tuple[str, ...],
    quiet_hours: str | None,
    quiet_days: str,
    time_zone: str,
) -> None:
    """Add somebody who is told of alerts, or replace the one of that name."""
    bursar = session.bursar
    made = bursar.escalation.set_person(
        Person(
            display_name=name,
            channel_ids=tuple(channels.find(bursar, one).channel_id for one in channel_names),
            quiet=_hours(quiet_hours, quiet_days, time_zone) if quiet_hours else None,
        )
    )
    session.show({"person": made}, Text(f"{made.display_name} is told of alerts"))


@escalation.command("set")
@click.argument("client_name", metavar="[CLIENT]", required=False)
@click.option("--owner", help="Who is told first.")
@click.option("--backup", help="Who is told when the owner does not answer in time.")
@click.option("--lead", help="Who is told when the backup does not answer in time.")
@click.option("--hours", metavar="HH:MM-HH:MM", help="Hours of work  [default: 09:00-17:00]")
@click.option("--days", default="mon-fri", show_default=True, help="Days of work.")
@click.option("--time-zone", type=TIME_ZONE, default="UTC", show_default=True)
@click.option("--client-channel", "client_channels", metavar="CHANNEL", multiple=True)
@click.option(
    "--tell-client",
    type=click.Choice(["never", "late", "at-once"]),
    help="When the client hears that its calls are stopped; late is after half an hour.",
)
@click.option(
    "--client-thresholds/--no-client-thresholds",
    default=None,
    help="Whether the client hears that 80 and 95 % are used.",
)
@pass_session
def set_agreement(session: Session, /, *, client_name: str | None, **asked: Any) -> None:
    """Set who answers for a client, or without one for all that have nobody named.

    What is not given stays as it is.
    """
    bursar = session.bursar
    known = bursar.escalation.get()
    project_id = names.client(bursar, client_name).project_id if client_name else ""
    before = {one.project_id: one for one in known.agreements}.get(
        project_id, Agreement(project_id=project_id)
    )
    made = bursar.escalation.set_agreement(_changed(bursar, known, before, asked))
    by_id = {one.person_id: one.display_name for one in known.people}
    told = [by_id.get(one, "") for one in (made.owner_id, made.backup_id, made.lead_id)]
    session.show({"agreement": made}, Text(" -> ".join(name for name in told if name)))
    session.say("To try it: bursar alert test")


def _changed(
    bursar: Bursar, known: EscalationInfo, before: Agreement, asked: dict[str, Any]
) -> Agreement:
    changes: dict[str, Any] = {
        f"{tier}_id": person(known, asked[tier]).person_id
        for tier in ("owner", "backup", "lead")
        if asked[tier]
    }
    if asked["hours"]:
        changes["hours"] = _hours(asked["hours"], asked["days"], asked["time_zone"])
    if asked["client_channels"]:
        changes["client_channel_ids"] = tuple(
            channels.find(bursar, one).channel_id for one in asked["client_channels"]
        )
    if asked["tell_client"]:
        changes["client_told"] = asked["tell_client"].upper().replace("-", "_")
    if asked["client_thresholds"] is not None:
        changes["client_thresholds"] = asked["client_thresholds"]
    return replace(before, **changes)


def person(known: EscalationInfo, text: str) -> Person:
    """Find somebody by id or name. Raises NotFoundError."""
    for one in known.people:
        if text in {one.person_id, one.display_name}:
            return one
    hint = meant(text, [one.display_name for one in known.people])
    raise NotFoundError(
        f"there is no person {text!r}{hint or '; add one: bursar escalation person'}"
    )


def _hours(stretch: str, days: str, time_zone: str) -> Hours:
    found = _STRETCH.match(stretch)
    if found is None:
        raise click.UsageError(f"{stretch!r} is no stretch of time: write 22:00-07:00.")
    opens, closes = (60 * int(found[place]) + int(found[place + 1]) for place in (1, 3))
    return Hours(
        time_zone=time_zone, opens_minute=opens, closes_minute=closes, weekdays=_weekdays(days)
    )


def _weekdays(text: str) -> tuple[int, ...]:
    found: list[int] = []
    for part in text.casefold().split(","):
        first, _, last = part.strip().partition("-")
        if first not in _DAYS or (last and last not in _DAYS):
            raise click.UsageError(f"{text!r} are no days: write mon-fri or sat,sun.")
        begin = _DAYS.index(first)
        count = (_DAYS.index(last or first) - begin) % 7 + 1
        found += [(begin + place) % 7 + 1 for place in range(count)]
    return tuple(dict.fromkeys(found))


def _hours_text(hours: Hours | None) -> str:
    if hours is None:
        return ""
    days = ",".join(_DAYS[day - 1] for day in hours.weekdays)
    opens, closes = (divmod(one, 60) for one in (hours.opens_minute, hours.closes_minute))
    return f"{days} {opens[0]:02d}:{opens[1]:02d}-{closes[0]:02d}:{closes[1]:02d} {hours.time_zone}"


COMMANDS: Sequence[Any] = (escalation,)
"""The noun."""
