"""`bursar principal` and `bursar audit`: who administers, and what was changed."""

from collections.abc import Sequence
from datetime import datetime
from itertools import islice
from typing import Any

import click
from rich.text import Text

from clients.admin import IssuedToken, Principal, Role
from clients.cli import names
from clients.cli.limits import LIST_ITEMS, LIST_MAX_ITEMS
from clients.cli.output import instant_text, table
from clients.cli.parameters import LATER
from clients.cli.session import Command, Group, Session, pass_session
from protos.values.errors import FailedPreconditionError


@click.group("principal", cls=Group)
def principal() -> None:
    """Add people and programs that administer, and end their tokens."""


@principal.command("add")
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice(["client", "viewer", "operator", "owner"]),
    required=True,
    help="client sees one client's page at the desk; viewer reads all; operator also changes "
    "clients, keys, budgets and prices; owner all.",
)
@click.option("--client", "client_name", default="", help="Whose page a client sees.")
@pass_session
def add(session: Session, name: str, role: Role, client_name: str) -> None:
    """Add a principal with a first token."""
    if (role == "client") != bool(client_name):
        raise click.UsageError("Give --client with the role client, and with no other.")
    bursar = session.bursar
    project_id = names.client(bursar, client_name).project_id if client_name else ""
    made = bursar.principals.create(display_name=name, role=role, project_id=project_id)
    _show_token(session, made)


@principal.command("list")
@pass_session
def list_principals(session: Session) -> None:
    """List principals and their tokens."""
    found = list(islice(session.bursar.principals.list(), LIST_MAX_ITEMS))
    session.show(
        {"principals": found},
        table(
            "",
            ["Principal", "Role", "State", "Token", "Token state", "Principal id", "Token id"],
            [row for one in found for row in _rows(one)],
        ),
    )


@principal.command("disable", dangerous=True)
@click.argument("name", metavar="PRINCIPAL")
@click.option("--reason", default="", help="Why, for the audit log.")
@pass_session
def disable(session: Session, name: str, reason: str) -> None:
    """End a principal and all its tokens."""
    found = names.principal(session.bursar, name)
    session.confirm(f"Disable {found.display_name}? All its tokens end.")
    changed = session.bursar.principals.disable(found.principal_id, reason=reason)
    session.show({"principal": changed}, Text(f"{changed.display_name} is disabled."))


@principal.command("token")
@click.argument("name", metavar="PRINCIPAL")
@click.option("--expires", type=LATER, help="When it ends, such as 90d.")
@pass_session
def token(session: Session, name: str, expires: datetime | None) -> None:
    """Make another token of a principal."""
    found = names.principal(session.bursar, name)
    made = session.bursar.principals.issue_token(found.principal_id, expire_time=expires)
    _show_token(session, made)


@principal.command("revoke-token", dangerous=True)
@click.argument("token_id", metavar="TOKEN_ID")
@pass_session
def revoke_token(session: Session, token_id: str) -> None:
    """End one token."""
    session.confirm(f"Revoke {token_id}?")
    changed = session.bursar.principals.revoke_token(token_id)
    session.show({"principal": changed}, Text(f"{token_id} of {changed.display_name} is revoked."))


@principal.command("whoami")
@pass_session
def whoami(session: Session) -> None:
    """Tell in whose name this command speaks."""
    found = session.bursar.principals.caller()
    session.show(
        {"principal": found}, Text(f"{found.display_name}, {found.role} ({found.principal_id})")
    )


@click.command("desk", cls=Command)
@click.argument("name", metavar="[PRINCIPAL]", required=False)
@pass_session
def desk(session: Session, name: str | None) -> None:
    """Make a link that signs you, or another principal, in at the desk once."""
    bursar = session.bursar
    principal_id = names.principal(bursar, name).principal_id if name else ""
    made = bursar.principals.create_sign_in_link(principal_id)
    if not made.url:
        raise FailedPreconditionError(
            "this control plane serves no desk: start it with --web HOST:PORT"
        )
    session.show(
        {"url": made.url, "principal": made.principal, "expire_time": made.expire_time},
        Text(f"{made.principal.display_name}, {made.principal.role}", style="bold"),
        Text(f"  {made.url}"),
    )
    session.say(f"It works once, until {instant_text(made.expire_time)}.")


@click.command("audit", cls=Command)
@click.argument("client_name", metavar="[CLIENT]", required=False)
@click.option(
    "-n",
    "--limit",
    type=click.IntRange(1, LIST_MAX_ITEMS),
    default=LIST_ITEMS,
    show_default=True,
    help="At most so many.",
)
@pass_session
def audit(session: Session, client_name: str | None, limit: int) -> None:
    """List what was changed, by whom and when, newest first."""
    bursar = session.bursar
    project_id = names.client(bursar, client_name).project_id if client_name else ""
    found = list(islice(bursar.principals.audit(project_id=project_id), limit))
    people = {one.principal_id: one.display_name for one in bursar.principals.list()}
    session.show(
        {"entries": found},
        table(
            "",
            [">No", "When", "Who", "What", "On", "Said"],
            [
                [
                    str(one.position),
                    instant_text(one.time),
                    people.get(one.actor, one.actor),
                    one.method,
                    one.resource,
                    one.detail_json,
                ]
                for one in found
            ],
        ),
    )


def _show_token(session: Session, made: IssuedToken) -> None:
    session.show(
        {"principal": made.principal, "token": made.token},
        Text(
            f"{made.principal.display_name}, {made.principal.role} ({made.principal.principal_id})",
            style="bold",
        ),
        Text(f"  Token  {made.token}"),
    )
    session.say("The token is shown this once. Use it with BURSAR_TOKEN or --token-file.")


def _rows(one: Principal) -> list[list[str]]:
    state = "works" if one.disable_time is None else f"disabled {instant_text(one.disable_time)}"
    head = [one.display_name, one.role, state]
    if not one.tokens:
        return [[*head, "none", "", one.principal_id, ""]]
    return [
        [
            *(head if number == 0 else ["", "", ""]),
            each.hint,
            "revoked"
            if each.revoke_time is not None
            else f"until {instant_text(each.expire_time, none='revoked')}",
            one.principal_id if number == 0 else "",
            each.token_id,
        ]
        for number, each in enumerate(one.tokens)
    ]


COMMANDS: Sequence[Any] = (principal, desk, audit)
