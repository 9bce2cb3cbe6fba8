"""`bursar leases`: where leased money is."""

from collections.abc import Sequence
from itertools import islice
from typing import Any

import click

from clients.cli import names
from clients.cli.limits import LIST_MAX_ITEMS
from clients.cli.output import instant_text, table, usd
from clients.cli.session import Command, Session, pass_session


@click.command("leases", cls=Command)
@click.option(
    "--budget", "budget_name", default="", metavar="CLIENT|BUDGET", help="Only this budget's."
)
@click.option(
    "--sidecar", "sidecar_name", default="", metavar="SIDECAR", help="Only this sidecar's."
)
@pass_session
def leases(session: Session, budget_name: str, sidecar_name: str) -> None:
    """Show which sidecar holds how much of which budget."""
    bursar = session.bursar
    budget_id = names.budget(bursar, budget_name).budget_id if budget_name else ""
    sidecar_id = names.sidecar(bursar, sidecar_name).sidecar_id if sidecar_name else ""
    found = list(
        islice(bursar.leases.list(budget_id=budget_id, sidecar_id=sidecar_id), LIST_MAX_ITEMS)
    )
    hosts = {one.sidecar_id: one.display_name for one in bursar.sidecars.list(show_revoked=True)}
    budgets = {one.budget_id: one.display_name for one in bursar.budgets.list(show_archived=True)}
    owners = names.clients_of_budgets(bursar)
    session.show(
        {"leases": [{"lease": one, "left_nano_usd": one.left_nano_usd} for one in found]},
        table(
            "",
            [
                "Sidecar",
                "Client",
                "Budget",
                "Partition",
                "Period",
                ">Granted",
                ">Returned",
                ">Spent",
                ">Left",
                ">Held",
                "State",
                "May start calls until",
            ],
            [
                [
                    hosts.get(one.sidecar_id, one.sidecar_id),
                    owners.get(one.budget_id, ""),
                    budgets.get(one.budget_id, one.budget_id),
                    one.partition,
                    one.period_id,
                    usd(one.granted_nano_usd),
                    usd(one.returned_nano_usd),
                    usd(one.spent_nano_usd),
                    usd(one.left_nano_usd),
                    usd(one.held_nano_usd),
                    one.state,
                    instant_text(one.authority_end_time),
                ]
                for one in found
            ],
        ),
    )
    if not found:
        session.say("No sidecar holds money.")


COMMANDS: Sequence[Any] = (leases,)
