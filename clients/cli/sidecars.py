"""`bursar sidecars`: the proxies on the hosts where workflows run."""

from collections.abc import Sequence
from datetime import timedelta
from itertools import islice
from typing import Any

import click
from rich.text import Text

from clients.admin import RevokedSidecar, Sidecar
from clients.cli import clock, names
from clients.cli.limits import LIST_MAX_ITEMS
from clients.cli.output import duration_text, instant_text, table, usd
from clients.cli.parameters import LENGTH
from clients.cli.session import Group, Session, pass_session


@click.group("sidecars", cls=Group, invoke_without_command=True)
@click.pass_context
def sidecars(ctx: click.Context) -> None:
    """List sidecars; invite new ones, revoke lost ones."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_sidecars, show_revoked=False)


@sidecars.command("list")
@click.option("--all", "show_revoked", is_flag=True, help="Revoked ones too.")
@pass_session
def list_sidecars(session: Session, *, show_revoked: bool) -> None:
    """List sidecars: state, policy, money and calls."""
    listed = session.bursar.sidecars.list(show_revoked=show_revoked)
    found = list(islice(listed, LIST_MAX_ITEMS))
    newest = session.bursar.installation.get().policy_version if found else 0
    session.show(
        {"sidecars": found, "policy_version": newest},
        table(
            "",
            [
                "Sidecar",
                "State",
                "Last seen",
                "Policy",
                ">In leases",
                ">Set aside",
                ">Open calls",
                "Version",
                "Region",
                "Id",
            ],
            [_row(one, newest) for one in found],
        ),
    )
    if not found:
        session.say("No sidecar has joined yet. Next: bursar sidecars invite")
    for one in found:
        if one.fenced_why:
            session.say(f"{one.display_name} is fenced: {one.fenced_why}")
    if any(one.orphaned_nano_usd for one in found):
        session.say("What is set aside, and what to do about it: bursar lease orphans")


@sidecars.command("invite")
@click.option(
    "--client",
    "clients",
    multiple=True,
    help="A client that it serves; may be repeated  [default: all]",
)
@click.option("--region", default="", help="Its region.")
@click.option("--lifetime", type=LENGTH, help="How long the token may be used  [default: 1h]")
@pass_session
def invite(
    session: Session, clients: Sequence[str], region: str, lifetime: timedelta | None
) -> None:
    """Make a one-time token with which a sidecar joins."""
    project_ids = [names.client(session.bursar, name).project_id for name in clients]
    made = session.bursar.sidecars.create_join_token(
        project_ids=project_ids, region=region, lifetime=lifetime
    )
    session.show(made, made.join_token)
    address = session.address
    session.say(
        f"It works once, until {instant_text(made.expire_time)}. On the other host:\n"
        f"  BURSAR_JOIN_TOKEN=<token> bursar sidecar --data ./sidecar --control-plane {address}"
    )


@sidecars.command("revoke", dangerous=True)
@click.argument("sidecar_name", metavar="SIDECAR")
@click.option("--reason", default="", help="Why, for the audit log.")
@pass_session
def revoke(session: Session, sidecar_name: str, reason: str) -> None:
    """End a sidecar's credential for all but evidence; what it holds is set aside."""
    found = names.sidecar(session.bursar, sidecar_name)
    session.confirm(f"Revoke {found.display_name}? Its calls stop when its authority ends.")
    revoked = session.bursar.sidecars.revoke(found.sidecar_id, reason=reason)
    session.show(
        {
            "sidecar": revoked.sidecar,
            "reach": revoked.reach,
            "orphaned_nano_usd": revoked.orphaned_nano_usd,
        },
        Text(f"{revoked.sidecar.display_name} is revoked."),
        Text(_reach_text(revoked)),
    )
    if revoked.orphaned_nano_usd:
        session.say(
            f"{usd(revoked.orphaned_nano_usd)} is set aside for what it may have spent (counted in"
            " every budget). What it reports is still recorded: see `bursar lease orphans`."
        )


def _reach_text(revoked: RevokedSidecar) -> str:
    """How far a revocation has come, in words."""
    reach = revoked.reach
    binds = instant_text(reach.guaranteed_time, none="now")
    heard = "It has said" if reach.acked_count else "Pushed; it has not said yet"
    return (
        f"{heard} that it starts no calls ({reach.acked_count} of {reach.sidecar_count});"
        f" it can start none after {binds}."
    )


def _row(one: Sidecar, newest: int) -> list[str | Text]:
    style = {"connected": "green", "drained": "dim", "fenced": "red", "revoked": "red"}.get(
        one.state, "yellow"
    )
    policy = "newest" if one.policy_acked >= newest else f"{newest - one.policy_acked} behind"
    return [
        one.display_name,
        Text(one.state, style=style),
        seen_text(one),
        one.policy_refused or policy,
        usd(one.leased_nano_usd),
        usd(one.orphaned_nano_usd),
        str(one.open_calls),
        one.software_version,
        one.region,
        one.sidecar_id,
    ]


def seen_text(one: Sidecar) -> str:
    """How long ago a sidecar last spoke."""
    if one.last_seen_time is None:
        return "never"
    ago_ms = (clock.now() - one.last_seen_time) // timedelta(milliseconds=1)
    return "now" if ago_ms < 1_000 else f"{duration_text(ago_ms)} ago"


COMMANDS: Sequence[Any] = (sidecars,)
