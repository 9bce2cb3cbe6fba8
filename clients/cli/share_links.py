"""`bursar client share`: links that show a client its own page at the desk."""

from collections.abc import Sequence
from datetime import datetime
from itertools import islice
from typing import Any

import click
from rich.text import Text

from clients.cli import names
from clients.cli.limits import LIST_MAX_ITEMS
from clients.cli.output import instant_text, table
from clients.cli.parameters import LATER
from clients.cli.projects import client
from clients.cli.session import Group, Session, pass_session
from protos.values.errors import FailedPreconditionError


@client.group("share", cls=Group)
def share() -> None:
    """Make, list and end links that show a client its own page."""


@share.command("add")
@click.argument("client_name", metavar="CLIENT")
@click.option("--expires", type=LATER, help="When it ends, such as 30d  [default: 90d]")
@pass_session
def add_share_link(session: Session, client_name: str, expires: datetime | None) -> None:
    """Make a link; whoever has it sees the client's page, and nothing else."""
    project = names.client(session.bursar, client_name)
    made = session.bursar.share_links.create(project.project_id, expire_time=expires)
    if not made.url:
        raise FailedPreconditionError(
            "this control plane serves no desk: start it with --web HOST:PORT"
        )
    session.show(
        {"url": made.url, "link": made.link},
        Text(f"{project.display_name}, until {instant_text(made.link.expire_time)}"),
        Text(f"  {made.url}"),
    )
    session.say("It is shown this once. `bursar client share revoke` ends it.")


@share.command("list")
@click.argument("client_name", metavar="CLIENT")
@pass_session
def list_share_links(session: Session, client_name: str) -> None:
    """List the links of a client, newest first, with how often each was looked at."""
    project = names.client(session.bursar, client_name)
    found = list(islice(session.bursar.share_links.list(project.project_id), LIST_MAX_ITEMS))
    session.show(
        {"links": found},
        table(
            f"Links of {project.display_name}",
            ["Made", "Ends", "Revoked", ">Views", "Last view", "Id"],
            [
                [
                    instant_text(one.create_time),
                    instant_text(one.expire_time),
                    "" if one.revoke_time is None else instant_text(one.revoke_time),
                    str(one.view_count),
                    "" if one.view_time is None else instant_text(one.view_time),
                    one.link_id,
                ]
                for one in found
            ],
        ),
    )


@share.command("revoke", dangerous=True)
@click.argument("link_id", metavar="LINK_ID")
@pass_session
def revoke_share_link(session: Session, link_id: str) -> None:
    """End a link."""
    session.confirm(f"End {link_id}? Whoever has it sees nothing any more.")
    ended = session.bursar.share_links.revoke(link_id)
    session.show({"link": ended}, Text(f"{ended.link_id} is ended."))


COMMANDS: Sequence[Any] = (client,)
"""The noun, with what is added to it here."""
