"""`bursar lease`: money whose journal is lost, and what a person decides about it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import click
from rich.text import Text

from clients.admin import DecidedOrphans, Orphan
from clients.cli import clock, names
from clients.cli.limits import LIST_MAX_ITEMS
from clients.cli.output import count_text, instant_text, table, usd
from clients.cli.session import Group, Session, pass_session

_WHY = {
    "lost": "journal lost",
    "fenced": "journal in use twice",
    "revoked": "sidecar revoked",
    "restored": "database restored",
}
_UNKNOWN = "unknown"
"""Who holds what a restored database may have forgotten."""
_NEXT = (
    "It counts as spent until evidence comes or somebody decides:\n"
    "  start the sidecar on its old disk   what it spent takes the place of this\n"
    "  wait                                it is charged when the window ends\n"
    "  bursar lease charge SIDECAR         charge it now, as an estimate\n"
    "  bursar lease release SIDECAR        give it back: only if you know that it was not spent"
)


@click.group("lease", cls=Group)
def lease() -> None:
    """Money of lost sidecars: see it, charge it, release it."""


_budget = click.option(
    "--budget", "budget_name", default="", metavar="CLIENT|BUDGET", help="Only of this budget."
)
_period = click.option(
    "--period", "period_id", default="", metavar="DATE", help="Only of the window of that date."
)
_reason = click.option("--reason", required=True, help="Why, for the audit log.")


@lease.command("orphans")
@_budget
@click.option(
    "--sidecar", "sidecar_name", default="", metavar="SIDECAR", help="Only of this sidecar."
)
@click.option("--all", "show_decided", is_flag=True, help="Charged and released ones too.")
@pass_session
def orphans(session: Session, *, budget_name: str, sidecar_name: str, show_decided: bool) -> None:
    """Show what is set aside for lost sidecars: whose, since when, and what to do."""
    chosen = _Choice.of(session, sidecar_name, budget_name, "")
    found = chosen.orphans(session, show_decided=show_decided)
    session.show({"orphans": found}, _table(session, found))
    if not found:
        session.say("Nothing is set aside for lost sidecars.")
    elif any(one.held_back_nano_usd for one in found):
        session.say(_NEXT)


@lease.command("charge", dangerous=True)
@click.argument("sidecar_name", metavar="SIDECAR")
@_budget
@_period
@_reason
@pass_session
def charge(
    session: Session, sidecar_name: str, budget_name: str, period_id: str, reason: str
) -> None:
    """Charge what is set aside for a sidecar, as an estimate; evidence takes its place later."""
    chosen = _Choice.of(session, sidecar_name, budget_name, period_id)
    found = [one for one in chosen.orphans(session) if one.held_back_nano_usd]
    amount_nano_usd = sum(one.held_back_nano_usd for one in found)
    _show_first(session, found)
    session.confirm(f"Charge {usd(amount_nano_usd)} of {sidecar_name} as if it were spent?")
    decide = session.bursar.leases.charge_orphans
    _decide(session, chosen, decide, amount_nano_usd, reason, "is charged as an estimate")
    session.say("If the old disk turns up, what it tells takes the place of the estimate.")


@lease.command("release", dangerous=True)
@click.argument("sidecar_name", metavar="SIDECAR")
@_budget
@_period
@_reason
@pass_session
def release(
    session: Session, sidecar_name: str, budget_name: str, period_id: str, reason: str
) -> None:
    """Give what is set aside, or was charged, for a sidecar back to the budgets."""
    chosen = _Choice.of(session, sidecar_name, budget_name, period_id)
    known = chosen.orphans(session, show_decided=True)
    found = [one for one in known if one.held_back_nano_usd or one.lease.lump_nano_usd]
    amount_nano_usd = sum(one.held_back_nano_usd + one.lease.lump_nano_usd for one in found)
    _show_first(session, found)
    _warn_of_overshoot(session, found)
    session.confirm(f"Release {usd(amount_nano_usd)} of {sidecar_name} as unspent?")
    decide = session.bursar.leases.release_orphans
    _decide(session, chosen, decide, amount_nano_usd, reason, "is released")
    session.say(
        "The budgets can spend it again, from now on. If it was spent after all, that is booked"
        " when it is told, with an alarm: bursar lease orphans --all shows what you released."
    )


@dataclass(frozen=True, slots=True)
class _Choice:
    """Which orphans are meant."""

    sidecar_id: str
    budget_id: str
    period_id: str

    @classmethod
    def of(cls, session: Session, sidecar_name: str, budget_name: str, period_id: str) -> "_Choice":
        bursar = session.bursar
        sidecar_id = sidecar_name
        if sidecar_name not in {"", _UNKNOWN}:
            sidecar_id = names.sidecar(bursar, sidecar_name).sidecar_id
        budget_id = names.budget(bursar, budget_name).budget_id if budget_name else ""
        return cls(sidecar_id, budget_id, period_id)

    def orphans(self, session: Session, *, show_decided: bool = False) -> list[Orphan]:
        found = session.bursar.leases.orphans(
            budget_id=self.budget_id, sidecar_id=self.sidecar_id, show_decided=show_decided
        )
        return [
            one
            for one in islice(found, LIST_MAX_ITEMS)
            if self.period_id in {"", one.lease.period_id}
        ]


def _warn_of_overshoot(session: Session, found: Sequence[Orphan]) -> None:
    """Say what may go wrong before it is asked whether to go on."""
    at_risk = [one for one in found if one.overshoot_max_nano_usd]
    owners = names.clients_of_budgets(session.bursar) if at_risk else {}
    for one in at_risk:
        session.warn(
            f"{owners.get(one.lease.budget_id, '')}, {one.budget_name},"
            f" {one.lease.period_id}: the cap may be passed by up to"
            f" {usd(one.overshoot_max_nano_usd)} if this was spent."
        )
    now = clock.now()
    ends = [one.lease.authority_end_time for one in found if one.lease.authority_end_time]
    if ends and max(ends) > now:
        session.warn(
            f"The sidecar may still be starting calls from this money, until"
            f" {instant_text(max(ends))}: answer no, and come back after that."
        )


def _show_first(session: Session, found: Sequence[Orphan]) -> None:
    if found and not session.as_json and not session.quiet:
        session.show(None, _table(session, found))


def _decide(
    session: Session,
    chosen: _Choice,
    ask: Callable[..., DecidedOrphans],
    amount_nano_usd: int,
    reason: str,
    what: str,
) -> None:
    """Decide, a thousand leases at a time, and say how far it has got.

    Each step is done when it is said: who is cut short begins again with what is left.
    """
    orphans: list[Orphan] = []
    decided_nano_usd = overshoot_max_nano_usd = 0
    while True:
        told = ask(
            chosen.sidecar_id,
            budget_id=chosen.budget_id,
            period_id=chosen.period_id,
            expected_nano_usd=amount_nano_usd - decided_nano_usd,
            reason=reason,
        )
        orphans += told.orphans
        decided_nano_usd += told.decided_nano_usd
        overshoot_max_nano_usd += told.overshoot_max_nano_usd
        if not told.remaining_count:
            break
        session.say(
            f"{count_text(len(orphans))} leases, {usd(decided_nano_usd)}: {what};"
            f" {count_text(told.remaining_count)} leases, {usd(told.remaining_nano_usd)} to go."
        )
    session.show(
        {
            "orphans": orphans,
            "decided_nano_usd": decided_nano_usd,
            "overshoot_max_nano_usd": overshoot_max_nano_usd,
        },
        Text(f"{usd(decided_nano_usd)} {what}."),
    )


def _table(session: Session, found: Sequence[Orphan]) -> Any:
    owners = names.clients_of_budgets(session.bursar) if found else {}
    return table(
        "",
        [
            "Sidecar",
            "Why",
            "Since",
            "Client",
            "Budget",
            "Partition",
            "Period",
            ">Set aside",
            ">Charged",
            ">Released",
            "Window ends",
            "May start calls until",
        ],
        [
            [
                one.sidecar_name,
                _WHY.get(one.lease.orphan_cause, one.lease.orphan_cause),
                instant_text(one.lease.orphan_time),
                owners.get(one.lease.budget_id, ""),
                one.budget_name,
                one.lease.partition,
                one.lease.period_id,
                usd(one.held_back_nano_usd),
                usd(one.lease.lump_nano_usd),
                usd(one.lease.released_nano_usd),
                instant_text(one.period_end_time, none="never"),
                _authority(one),
            ]
            for one in found
        ],
    )


def _authority(one: Orphan) -> Text:
    end = one.lease.authority_end_time
    if end is None or end <= clock.now():
        return Text("over", style="dim")
    return Text(instant_text(end), style="yellow")


COMMANDS: Sequence[Any] = (lease,)
