"""`bursar client add`: from nothing to a client's first call, in one command."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import click
from rich.text import Text

from clients.admin import (
    Agreement,
    Budget,
    Bursar,
    IssuedKey,
    Project,
    StatementSettings,
    Window,
)
from clients.cli import escalation, first_call, places
from clients.cli.limits import FIRST_CALL_WAIT_MAX_S, FIRST_CALL_WAIT_S
from clients.cli.output import quoted, usd
from clients.cli.parameters import LABEL, LATER, LENGTH, MAIL_ADDRESS, TIME_ZONE, USD
from clients.cli.projects import client
from clients.cli.session import Session, pass_session
from protos.values.errors import BursarError
from protos.values.mailboxes import RECIPIENTS_MAX
from protos.values.recipes import Place


@client.command("add")
@click.argument("name")
@click.option(
    "--cap", type=USD, help="What its calls may cost in a window; without one they only count."
)
@click.option(
    "--window",
    type=click.Choice(["day", "week", "month", "once"]),
    default="month",
    show_default=True,
    help="The stretch of time over which the cap holds.",
)
@click.option(
    "--time-zone",
    type=TIME_ZONE,
    default="",
    help="Where its windows turn  [default: the installation's]",
)
@click.option(
    "--anchor-day",
    type=click.IntRange(1, 31),
    default=1,
    show_default=True,
    help="Day of the month (or week, Monday = 1) on which a window begins.",
)
@click.option(
    "--workflow", type=LABEL, default="", help="All calls of the key belong to this workflow."
)
@click.option(
    "--model",
    "models",
    multiple=True,
    help="A model that the key may use; may be repeated  [default: all]",
)
@click.option("--key-name", default="first key", show_default=True, help="The key's name.")
@click.option("--expires", type=LATER, help="When the key ends, such as 90d or 2027-01-01.")
@click.option(
    "--patience",
    type=LENGTH,
    help="How long a call may wait for money that other calls hold  [default: 20s]",
)
@click.option("--owner", metavar="PERSON", help="Who is told first of its alerts.")
@click.option("--backup", metavar="PERSON", help="Who is told when the owner does not answer.")
@click.option(
    "--statements-to",
    "recipients",
    type=MAIL_ADDRESS,
    multiple=True,
    help="Who gets its statements by mail; may be repeated.",
)
@click.option(
    "--wait",
    "wait_s",
    type=click.IntRange(1, FIRST_CALL_WAIT_MAX_S),
    metavar="[SECONDS]",
    is_flag=False,
    flag_value=FIRST_CALL_WAIT_S,
    help=f"Wait for the first call and show what it cost  [{FIRST_CALL_WAIT_S} when none are"
    " named]",
)
@places.place_options
@pass_session
def add(  # noqa: PLR0913 - one parameter per option
    session: Session,
    *,
    name: str,
    cap: int | None,
    window: Window,
    time_zone: str,
    anchor_day: int,
    workflow: str,
    models: Sequence[str],
    key_name: str,
    expires: datetime | None,
    patience: timedelta | None,
    owner: str | None,
    backup: str | None,
    recipients: Sequence[str],
    wait_s: int | None,
    sidecar_url: str | None,
    public_url: str | None,
) -> None:
    """Add a client with a cap and a working key, and show the settings for every tool.

    With --wait it then waits for the first call and shows its model, tokens and cost, and what is
    left of the cap. Ctrl-C ends the waiting and nothing else. With --json all comes at the end.
    """
    _check_anchor(window, anchor_day)
    if len(recipients) > RECIPIENTS_MAX:
        raise click.BadParameter(f"at most {RECIPIENTS_MAX}", param_hint="--statements-to")
    where = places.place(session, "", sidecar_url, public_url, workflow)
    answering = _answering(session.bursar, owner, backup)
    made = session.bursar.projects.create(
        display_name=name,
        cap_nano_usd=cap,
        window=window,
        time_zone=time_zone,
        anchor_day=anchor_day,
        patience_ms=0 if patience is None else patience // timedelta(milliseconds=1),
    )
    issued = _first_key(
        session,
        made.project,
        display_name=key_name,
        models=models,
        workflow=workflow,
        expire_time=expires,
    )
    where = places.place(session, issued.secret, sidecar_url, public_url, workflow)
    shown = _Added(made.project, made.budget, issued, where)
    if not session.as_json:
        _show(session, shown)
    _tell_who_answers(session, made.project, answering)
    _tell_recipients(session, made.project, recipients)
    if wait_s:
        found = first_call.wait(session, made.project, made.budget.budget_id, wait_s)
        both = {**shown.to_json(), **first_call.to_json(found)}
        session.show(both, *(() if found is None else first_call.shown(found)))
        return
    session.show(shown.to_json())
    session.say(f"Next: make a call, then watch it with: bursar tail {quoted(name)}")


@dataclass(frozen=True, slots=True)
class _Added:
    """What was made."""

    project: Project
    budget: Budget
    issued: IssuedKey
    where: Place

    def to_json(self) -> dict[str, Any]:
        """All of it for programs."""
        return {
            "client": self.project,
            "budget": self.budget,
            "key": self.issued.key,
            "secret": self.issued.secret,
            **places.to_json(self.where),
        }


def _show(session: Session, added: _Added) -> None:
    session.show(
        {},
        Text(f"{added.project.display_name} ({added.project.project_id})", style="bold"),
        Text(f"  Cap       {_cap_text(added.budget)}"),
        Text(f"  Base URL  {added.where.base_url}/v1"),
        Text(f"  Key       {added.issued.secret}"),
        *places.shown(added.where),
    )
    again = f"bursar key rotate {added.issued.key.key_id}"
    session.say(f"\nThe key is shown this once. If it is lost: {again}")


def _first_key(session: Session, project: Project, **wanted: Any) -> IssuedKey:
    try:
        return session.bursar.keys.create(project.project_id, **wanted)
    except BursarError as error:
        session.warn(
            f"{project.display_name} was added ({project.project_id}), but its key was not."
            f" Go on with: bursar key issue {quoted(project.display_name)}"
        )
        raise error from None


def _answering(bursar: Bursar, owner: str | None, backup: str | None) -> Agreement | None:
    """Who is to answer, looked up before anything is made; the rest as for all others."""
    if owner is None and backup is None:
        return None
    known = bursar.escalation.get()
    common = next((one for one in known.agreements if not one.project_id), Agreement())
    return replace(
        common,
        owner_id=escalation.person(known, owner).person_id if owner else common.owner_id,
        backup_id=escalation.person(known, backup).person_id if backup else common.backup_id,
        client_channel_ids=(),
        client_told="NEVER",
        client_thresholds=False,
    )


def _tell_who_answers(session: Session, project: Project, wanted: Agreement | None) -> None:
    if wanted is None:
        return
    try:
        session.bursar.escalation.set_agreement(replace(wanted, project_id=project.project_id))
    except BursarError as error:
        again = f"bursar escalation set {quoted(project.display_name)} --owner NAME"
        session.warn(f"Nobody was named who answers: {error.message}. Go on with: {again}")


def _tell_recipients(session: Session, project: Project, recipients: Sequence[str]) -> None:
    if not recipients:
        return
    try:
        session.bursar.statements.set_settings(
            StatementSettings(project_id=project.project_id, recipients=tuple(recipients))
        )
    except BursarError as error:
        again = f"bursar statement settings {quoted(project.display_name)} --to ADDRESS"
        session.warn(f"Nobody gets statements: {error.message}. Go on with: {again}")


def _check_anchor(window: str, anchor_day: int) -> None:
    if window == "week" and anchor_day > 7:
        raise click.BadParameter(
            "a week begins on a day from 1 (Monday) to 7 (Sunday)", param_hint="--anchor-day"
        )
    if window in {"day", "once"} and anchor_day != 1:
        raise click.BadParameter(
            f"a window of {window!r} has no anchor day", param_hint="--anchor-day"
        )


def _cap_text(budget: Budget) -> str:
    if budget.cap_nano_usd is None:
        return "none: calls are counted, never stopped"
    per = "once" if budget.window == "once" else f"a {budget.window}"
    turns = "" if budget.window == "once" else f", {budget.time_zone}"
    return f"{usd(budget.cap_nano_usd)} {per}{turns}"


COMMANDS: Sequence[Any] = (client,)
"""The noun, with what is added to it here."""
