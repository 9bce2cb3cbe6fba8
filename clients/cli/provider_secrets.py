"""`bursar provider secret`: more secrets at a provider, the agency's or a client's own."""

from collections.abc import Sequence
from itertools import islice
from typing import Any

import click
from rich.text import Text

from clients.cli import names
from clients.cli.limits import LIST_MAX_ITEMS
from clients.cli.output import instant_text, safe, table
from clients.cli.providers import provider, secret_from
from clients.cli.session import Group, Session, pass_session


@provider.group("secret", cls=Group)
def secret() -> None:
    """Add secrets beside a provider's own: to fall back on, or a client's own."""


@secret.command("add")
@click.argument("name", metavar="PROVIDER")
@click.option(
    "--client", "client_name", metavar="CLIENT", help="This client's own; used for nobody else."
)
@click.option("--name", "display_name", default="", help="A name to tell it by.")
@click.option("--secret-file", metavar="FILE", help="Read the secret from here; - is stdin.")
@click.option(
    "--secret-env", metavar="VARIABLE", help="Read the secret from this environment variable."
)
@pass_session
def add_secret(
    session: Session,
    *,
    name: str,
    client_name: str | None,
    display_name: str,
    secret_file: str | None,
    secret_env: str | None,
) -> None:
    """Add one more secret at a provider; it is sealed and never shown again.

    When a provider refuses a secret, or its limit or quota is used up, the next one is tried. A
    client with secrets of its own is served with them and no others.
    """
    bursar = session.bursar
    project_id = names.client(bursar, client_name).project_id if client_name else ""
    made = bursar.provider_secrets.add(
        name,
        secret_from(name, secret_file, secret_env),
        project_id=project_id,
        display_name=display_name,
    )
    whose = f"of {safe(client_name)}" if client_name else "of the agency"
    session.show(
        {"secret": made},
        Text(f"{made.provider}: a secret {whose}, …{made.secret_hint}, {made.provider_secret_id}"),
    )
    session.say("Every sidecar that serves it gets it within a second.")


@secret.command("list")
@click.argument("name", metavar="[PROVIDER]", required=False, default="")
@pass_session
def list_secrets(session: Session, *, name: str) -> None:
    """List secrets beside the providers' own, in the order in which they are tried."""
    bursar = session.bursar
    found = list(islice(bursar.provider_secrets.list(name), LIST_MAX_ITEMS))
    wanted = sorted({one.project_id for one in found} - {""})
    clients = {one: bursar.projects.get(one).display_name for one in wanted}
    session.show(
        {"secrets": found},
        table(
            "",
            ["Provider", "Whose", "Name", "Secret", "Added", "Id"],
            [
                [
                    one.provider,
                    clients.get(one.project_id, "the agency's"),
                    one.display_name,
                    f"…{one.secret_hint}",
                    instant_text(one.create_time),
                    one.provider_secret_id,
                ]
                for one in found
            ],
        ),
    )
    if not found:
        session.say("No secret beside the providers' own. Next: bursar provider secret add openai")


@secret.command("remove", dangerous=True)
@click.argument("secret_id", metavar="SECRET_ID")
@pass_session
def remove_secret(session: Session, *, secret_id: str) -> None:
    """Forget a secret; calls go on with those that are left."""
    session.confirm(f"Forget {safe(secret_id)}? No call is made with it any more.")
    session.bursar.provider_secrets.remove(secret_id)
    session.show({"removed": secret_id}, Text(f"{safe(secret_id)} is forgotten."))


COMMANDS: Sequence[Any] = (provider,)
"""The noun, with what is added to it here."""
