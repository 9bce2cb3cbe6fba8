"""`bursar channel`: where messages arrive. One is saved only after a test arrived."""

import secrets
from collections.abc import Sequence
from itertools import islice
from typing import Any

import click
from rich.text import Text

from clients.admin import Bursar, Channel, MailServer
from clients.cli.limits import LIST_MAX_ITEMS
from clients.cli.names import meant
from clients.cli.output import instant_text, table
from clients.cli.providers import secret_from
from clients.cli.session import Group, Session, pass_session
from protos.values.errors import NotFoundError

_SIGNING_BYTES = 32


@click.group("channel", cls=Group)
def channel() -> None:
    """Set where messages of alerts and statements arrive."""


@channel.command("add")
@click.argument("name", metavar="NAME")
@click.option("--mail", "mail_address", metavar="ADDRESS", help="A mail address.")
@click.option(
    "--kind",
    type=click.Choice(["slack", "teams", "pagerduty", "webhook"]),
    help="A chat, PagerDuty or a receiver of your own; its address is asked for.",
)
@click.option("--address-file", metavar="FILE", help="Read its address from here; - is stdin.")
@click.option("--address-env", metavar="VARIABLE", help="Read its address from the environment.")
@click.option(
    "--signing-secret-env",
    metavar="VARIABLE",
    help="What a webhook is signed with  [default: one is made and shown once]",
)
@pass_session
def add_channel(
    session: Session,
    *,
    name: str,
    mail_address: str | None,
    kind: str | None,
    address_file: str | None,
    address_env: str | None,
    signing_secret_env: str | None,
) -> None:
    """Send a test message and, when it arrived, save the channel.

    Whoever has the address of a chat's webhook can write there, so it never stands on the command
    line, and is never shown again.
    """
    if (mail_address is None) == (kind is None):
        raise click.UsageError("Give either --mail or --kind.")
    address = mail_address or secret_from(name, address_file, address_env)
    signing = ""
    if kind == "webhook":
        signing = (
            secret_from(name, None, signing_secret_env)
            if signing_secret_env
            else secrets.token_urlsafe(_SIGNING_BYTES)
        )
    made = session.bursar.channels.add(
        name, kind=kind or "mail", address=address, signing_secret=signing
    )
    shown: dict[str, Any] = {"channel": made}
    lines = [f"{made.display_name}: {made.hint}, a test arrived"]
    if signing and not signing_secret_env:
        shown["signing_secret"] = signing
        lines.append(f"Signing secret, shown once: {signing}")
    session.show(shown, Text("\n".join(lines)))
    session.say(f"Whom it reaches: bursar escalation person NAME --channel {made.channel_id}")


@channel.command("test")
@click.argument("name", metavar="CHANNEL")
@pass_session
def test_channel(session: Session, *, name: str) -> None:
    """Send a test message to a channel that is there."""
    found = session.bursar.channels.test(find(session.bursar, name).channel_id)
    session.show({"channel": found}, Text(f"{found.display_name}: a test arrived"))


@channel.command("list")
@pass_session
def list_channels(session: Session) -> None:
    """List channels; their addresses show only a hint."""
    found = list(islice(session.bursar.channels.list(), LIST_MAX_ITEMS))
    session.show(
        {"channels": found},
        table(
            "",
            ["Name", "Kind", "Where", "Last test arrived", "Channel ID"],
            [
                [
                    one.display_name,
                    one.kind,
                    one.hint,
                    instant_text(one.test_time),
                    one.channel_id,
                ]
                for one in found
            ],
        ),
    )
    if not found:
        session.say("There is none: bursar channel add ops --mail ops@agency.example")


@channel.command("remove", dangerous=True)
@click.argument("name", metavar="CHANNEL")
@pass_session
def remove_channel(session: Session, *, name: str) -> None:
    """Remove a channel that nobody is reached by any more."""
    found = find(session.bursar, name)
    session.confirm(f"Remove {found.display_name} ({found.hint})?")
    session.bursar.channels.remove(found.channel_id)
    session.show({"removed": found}, Text(f"{found.display_name} is removed"))


@channel.command("mail-server")
@click.option("--host", help="Its name or address.")
@click.option("--port", type=click.IntRange(1, 65_535), default=587, show_default=True)
@click.option(
    "--security",
    type=click.Choice(["starttls", "tls", "none"]),
    default="starttls",
    show_default=True,
    help="none is for a relay on a private network, without a password.",
)
@click.option("--username", default="", help="Empty for none.")
@click.option("--password-file", metavar="FILE", help="Read its password from here; - is stdin.")
@click.option("--password-env", metavar="VARIABLE", help="Read its password from the environment.")
@click.option("--from", "from_address", metavar="ADDRESS", help="Whom mails are from.")
@click.option("--from-name", default="", help="The name beside it.")
@pass_session
def mail_server(session: Session, /, *, host: str | None, **asked: Any) -> None:
    """Set the mail server, when it answers; without options, show it."""
    if host is None:
        shown = session.bursar.channels.mail_server()
    else:
        if asked["from_address"] is None:
            raise click.UsageError("Give --from, whom mails are from.")
        password = ""
        if asked["username"]:
            password = secret_from("the mail server", asked["password_file"], asked["password_env"])
        wanted = MailServer(
            host=host,
            port=asked["port"],
            from_address=asked["from_address"],
            security=asked["security"],
            username=asked["username"],
            from_name=asked["from_name"],
        )
        shown = session.bursar.channels.set_mail_server(wanted, password=password)
    session.show(
        {"mail_server": shown},
        Text(f"{shown.host}:{shown.port} ({shown.security}), from {shown.from_address}"),
    )


def find(bursar: Bursar, text: str) -> Channel:
    """The channel of that id or name. Raises NotFoundError."""
    known = list(islice(bursar.channels.list(), LIST_MAX_ITEMS))
    for one in known:
        if text in {one.channel_id, one.display_name}:
            return one
    hint = meant(text, [one.display_name for one in known])
    raise NotFoundError(f"there is no channel {text!r}{hint or '; see `bursar channel list`'}")


COMMANDS: Sequence[Any] = (channel,)
"""The noun."""
