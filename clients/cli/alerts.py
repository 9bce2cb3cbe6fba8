"""`bursar alert`: what somebody should know, who was told, and what became of the messages."""

from collections.abc import Sequence
from itertools import islice
from typing import Any

import click
from rich.console import Group as Lines
from rich.text import Text

from clients.admin import Alert, Delivery
from clients.cli import names
from clients.cli.limits import LIST_MAX_ITEMS
from clients.cli.output import instant_text, safe, table
from clients.cli.session import Group, Session, pass_session

_STATES = ("QUEUED", "SENDING", "SENT", "FAILED", "UNKNOWN")


@click.group("alert", cls=Group)
def alert() -> None:
    """See what somebody should know, answer it, and see who was told."""


@alert.command("list")
@click.argument("client_name", metavar="[CLIENT]", required=False)
@click.option("--all", "show_resolved", is_flag=True, help="Those that are over too.")
@pass_session
def list_alerts(session: Session, *, client_name: str | None, show_resolved: bool) -> None:
    """List alerts that go on, the gravest first, or all of them, the newest first."""
    project_id = names.client(session.bursar, client_name).project_id if client_name else ""
    found = list(
        islice(
            session.bursar.alerts.list(project_id=project_id, show_resolved=show_resolved),
            LIST_MAX_ITEMS,
        )
    )
    session.show(
        {"alerts": found},
        table(
            "",
            ["Alert ID", "State", "Since", "Owner", "Answer by", "What"],
            [
                [
                    one.alert_id,
                    "muted" if one.muted_by else one.state.lower(),
                    instant_text(one.found_time),
                    one.answered_by or one.owner,
                    instant_text(one.due_time),
                    one.subject,
                ]
                for one in found
            ],
        ),
    )
    if not found:
        session.say("Nothing goes on. Those that are over: bursar alert list --all")


@alert.command("show")
@click.argument("alert_id", metavar="ALERT")
@pass_session
def show_alert(session: Session, *, alert_id: str) -> None:
    """Show an alert, what happened to it, and its messages."""
    found = session.bursar.alerts.get(alert_id)
    session.show(
        {"alert": found.alert, "events": found.events, "deliveries": found.deliveries},
        Lines(
            _words(found.alert),
            table(
                "\nHistory",
                ["When", "What", "Severity", "Who or why"],
                [
                    [instant_text(one.time), one.event.lower(), one.severity, one.detail]
                    for one in found.events
                ],
            ),
            _deliveries("\nMessages", found.deliveries),
        ),
    )


@alert.command("ack")
@click.argument("alert_id", metavar="ALERT")
@click.option("--note", default="", help="What others should know.")
@pass_session
def acknowledge(session: Session, *, alert_id: str, note: str) -> None:
    """Take an alert on: nobody further is told, until it gets worse or 4 hours are over."""
    found = session.bursar.alerts.acknowledge(alert_id, note=note)
    session.show({"alert": found}, _words(found))


@alert.command("resolve")
@click.argument("alert_id", metavar="ALERT")
@click.option("--note", default="", help="How.")
@pass_session
def resolve(session: Session, *, alert_id: str, note: str) -> None:
    """Say that an alert is done. While its condition goes on it stays quiet, until it is graver."""
    found = session.bursar.alerts.resolve(alert_id, note=note)
    session.show({"alert": found}, _words(found))


@alert.command("test")
@click.argument("client_name", metavar="[CLIENT]", required=False)
@click.option("--severity", type=click.Choice(["P1", "P2", "P3", "P4"]), default="P2")
@pass_session
def send_test(session: Session, *, client_name: str | None, severity: str) -> None:
    """Tell whoever would be told of a true alert, and say that it is a test."""
    project_id = names.client(session.bursar, client_name).project_id if client_name else ""
    found = session.bursar.alerts.send_test(project_id=project_id, severity=severity)
    session.show({"alert": found}, _words(found))
    session.say(f"What becomes of its messages: bursar alert show {found.alert_id}")


@alert.command("deliveries")
@click.option("--alert", "alert_id", default="", metavar="ALERT", help="Only of this alert.")
@click.option("--state", type=click.Choice(_STATES), default=None, help="Only in this state.")
@pass_session
def list_deliveries(session: Session, *, alert_id: str, state: str | None) -> None:
    """List messages and what became of them, the newest first."""
    found = list(
        islice(
            session.bursar.alerts.deliveries(alert_id=alert_id, state=state or ""), LIST_MAX_ITEMS
        )
    )
    session.show({"deliveries": found}, _deliveries("", found))


@alert.command("retry")
@click.argument("delivery_id", metavar="MESSAGE")
@pass_session
def retry(session: Session, *, delivery_id: str) -> None:
    """Send a message again that failed, or of which nobody knows whether it arrived."""
    found = session.bursar.alerts.retry_delivery(delivery_id)
    session.show({"delivery": found}, Text(f"{found.delivery_id}: {found.state}"))


def _words(one: Alert) -> Text:
    lines = [safe(one.subject), *(safe(f"  {name}: {said}") for name, said in one.lines)]
    return Text("\n".join([*lines, f"  State: {one.state.lower()}", f"  {one.alert_id}"]))


def _deliveries(title: str, found: Sequence[Delivery]) -> Any:
    return table(
        title,
        ["Message ID", "State", ">Attempts", "Changed", "To", "Subject", "Error"],
        [
            [
                one.delivery_id,
                one.state,
                str(one.attempt_count),
                instant_text(one.update_time),
                one.address or one.channel_id,
                one.subject,
                one.error,
            ]
            for one in found
        ],
    )


COMMANDS: Sequence[Any] = (alert,)
"""The noun."""
