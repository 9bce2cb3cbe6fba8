"""`bursar key`: what workflows show instead of a provider's key."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

import click
from rich.text import Text

from clients.admin import Key, KeySecret, Project, Reach
from clients.cli import clock, names, places
from clients.cli.limits import LIST_MAX_ITEMS
from clients.cli.output import instant_text, quoted, table
from clients.cli.parameters import LABEL, LATER, LENGTH
from clients.cli.session import Group, Session, pass_session


@click.group("key", cls=Group)
def key() -> None:
    """Issue, rotate and revoke gateway keys."""


@key.command("issue")
@click.argument("client_name", metavar="CLIENT")
@click.option("--name", default="", help="A name for people, such as n8n production.")
@click.option("--workflow", type=LABEL, default="", help="All its calls belong to this workflow.")
@click.option(
    "--model",
    "models",
    multiple=True,
    help="A model that it may use; may be repeated  [default: all]",
)
@click.option("--expires", type=LATER, help="When it ends, such as 90d or 2027-01-01.")
@places.place_options
@pass_session
def issue(
    session: Session,
    client_name: str,
    name: str,
    workflow: str,
    models: Sequence[str],
    expires: datetime | None,
    sidecar_url: str | None,
    public_url: str | None,
) -> None:
    """Issue a key and show the settings for every tool."""
    owner = names.client(session.bursar, client_name)
    issued = session.bursar.keys.create(
        owner.project_id,
        display_name=name,
        models=models,
        workflow=workflow,
        expire_time=expires,
    )
    where = places.place(session, issued.secret, sidecar_url, public_url, workflow)
    session.show(
        {"client": owner, "key": issued.key, "secret": issued.secret, **places.to_json(where)},
        Text(
            f"{issued.key.display_name or 'Key'} of {owner.display_name} ({issued.key.key_id})",
            style="bold",
        ),
        Text(f"  Key       {issued.secret}"),
        Text(f"  Base URL  {where.base_url}/v1"),
        *places.shown(where),
    )
    session.say(
        "\nThe key is shown this once. If it is lost: bursar key rotate " + issued.key.key_id
    )


@key.command("list")
@click.argument("client_name", metavar="[CLIENT]", required=False)
@click.option("--all", "show_revoked", is_flag=True, help="Revoked ones too.")
@pass_session
def list_keys(session: Session, *, client_name: str | None, show_revoked: bool) -> None:
    """List keys with their secrets, and when each was last used."""
    bursar = session.bursar
    project_id = names.client(bursar, client_name).project_id if client_name else ""
    found = list(
        islice(bursar.keys.list(project_id=project_id, show_revoked=show_revoked), LIST_MAX_ITEMS)
    )
    owners = {one.project_id: one for one in bursar.projects.list(show_archived=True)}
    session.show(
        {"keys": found},
        table(
            "",
            [
                "Client",
                "Key",
                "Workflow",
                "Models",
                "Secret",
                "State",
                "Last used",
                "Key id",
                "Secret id",
            ],
            [row for one in found for row in _rows(one, owners.get(one.project_id))],
        ),
    )
    if not found:
        session.say(f"No key yet. Next: bursar key issue {quoted(client_name or 'CLIENT')}")


@key.command("rotate")
@click.argument("key_name", metavar="KEY")
@click.option(
    "--overlap", type=LENGTH, help="How long the secrets before go on working  [default: 24h]"
)
@click.option("--expires", type=LATER, help="When the new secret ends.")
@pass_session
def rotate(
    session: Session, key_name: str, overlap: timedelta | None, expires: datetime | None
) -> None:
    """Make a new secret of a key; the ones before end after the overlap."""
    found = names.key(session.bursar, key_name)
    issued = session.bursar.keys.rotate(found.key_id, overlap=overlap, expire_time=expires)
    session.show(
        {
            "key": issued.key,
            "secret": issued.secret,
            "overlap_end_time": issued.overlap_end_time,
        },
        Text(f"New secret of {issued.key.display_name or issued.key.key_id}", style="bold"),
        Text(f"  Key       {issued.secret}"),
        Text(
            f"  The secrets before work until {instant_text(issued.overlap_end_time, none='now')}"
        ),
    )
    session.say(
        "The secret is shown this once. Put it where the old one is, before the overlap ends."
    )


@key.command("revoke", dangerous=True)
@click.argument("key_name", metavar="KEY")
@click.option("--secret", "secret_id", default="", help="Only this secret of it (sec_…).")
@click.option("--reason", default="", help="Why, for the audit log.")
@pass_session
def revoke(session: Session, key_name: str, secret_id: str, reason: str) -> None:
    """End a key for good, or one secret of it."""
    found = names.key(session.bursar, key_name)
    what = f"the secret {secret_id} of" if secret_id else ""
    session.confirm(f"Revoke {what or 'the key'} {found.display_name or found.key_id} for good?")
    revoked = session.bursar.keys.revoke(found.key_id, secret_id=secret_id, reason=reason)
    session.show(
        {"key": revoked.key, "reach": revoked.reach},
        Text(f"{found.display_name or found.key_id}: revoked."),
        Text(reach_text(revoked.reach)),
    )
    if not secret_id:
        session.say(
            "Where that is applied its calls are refused with 401; the ledger keeps what it cost."
        )


def reach_text(reach: Reach) -> str:
    """How far a change has come, in words."""
    binds = instant_text(reach.guaranteed_time, none="now")
    return (
        f"{reach.acked_count} of {reach.sidecar_count} sidecars apply it (policy"
        f" {reach.policy_version}); no sidecar can act against it after {binds}."
    )


def _rows(one: Key, owner: Project | None) -> list[list[str]]:
    name = owner.display_name if owner is not None else one.project_id
    head = [name, one.display_name, one.workflow or "any", ", ".join(one.models) or "all"]
    if not one.secrets:
        return [[*head, "none", "", "", one.key_id, ""]]
    return [
        [
            *(head if number == 0 else ["", "", "", ""]),
            secret.hint,
            _state(one, secret),
            instant_text(secret.last_use_time, none="never"),
            one.key_id if number == 0 else "",
            secret.secret_id,
        ]
        for number, secret in enumerate(one.secrets)
    ]


def _state(one: Key, secret: KeySecret) -> str:
    if one.revoke_time is not None or secret.revoke_time is not None:
        return "revoked"
    if secret.expire_time is not None:
        over = secret.expire_time <= clock.now()
        return f"{'ended' if over else 'until'} {instant_text(secret.expire_time)}"
    return "works"


COMMANDS: Sequence[Any] = (key,)
