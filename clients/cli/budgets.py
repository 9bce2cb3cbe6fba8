"""`bursar budget`: caps, for whom they hold, and how they changed."""

from collections.abc import Sequence
from datetime import timedelta
from itertools import islice
from typing import Any

import click
from rich.text import Text

from clients.admin import Budget, Bursar, CapChange, ChangedCap, Window
from clients.cli import names
from clients.cli.keys import reach_text
from clients.cli.limits import LIST_MAX_ITEMS, NAMES_SEARCHED_ITEMS
from clients.cli.output import instant_text, share, table, usd
from clients.cli.parameters import LABEL, LENGTH, TIME_ZONE, USD
from clients.cli.projects import counted
from clients.cli.session import Group, Session, pass_session
from protos.values import ids
from protos.values.errors import FailedPreconditionError
from protos.values.selectors import SplitBy

Conditions = tuple[str, str, str, str, str, str]
"""Project, key, workflow, model, region, split."""


@click.group("budget", cls=Group)
def budget() -> None:
    """Set and raise caps; a call is charged to every budget that matches."""


@budget.command("set")
@click.argument("target", metavar="CLIENT|BUDGET", required=False)
@click.option("--agency", is_flag=True, help="For the whole agency instead of one client.")
@click.option("--cap", type=USD, help="The cap for good.")
@click.option("--no-cap", is_flag=True, help="Only count.")
@click.option("--workflow", type=LABEL, default="", help="Only calls of this workflow.")
@click.option("--key", "key_name", default="", help="Only calls with this key.")
@click.option("--model", default="", help="Only calls of this model.")
@click.option("--region", default="", help="Only calls through sidecars of this region.")
@click.option(
    "--split-by",
    type=click.Choice(["key", "workflow"]),
    default=None,
    help="Each key, or each workflow, has the cap for itself.",
)
@click.option(
    "--window",
    type=click.Choice(["day", "week", "month", "once"]),
    default=None,
    help="For a new budget  [default: month]",
)
@click.option(
    "--time-zone", type=TIME_ZONE, default="", help="For a new budget  [default: the client's]"
)
@click.option(
    "--anchor-day", type=click.IntRange(1, 31), default=None, help="For a new budget  [default: 1]"
)
@click.option(
    "--max-offline",
    type=LENGTH,
    help="For a new budget: how long a cut-off sidecar may start calls  [default: 5m]",
)
@click.option("--name", default="", help="The name of a new budget.")
@click.option("--reason", default="", help="Why, for the cap's history.")
@pass_session
def set_budget(  # noqa: PLR0913 - one parameter per option
    session: Session,
    *,
    target: str | None,
    agency: bool,
    cap: int | None,
    no_cap: bool,
    workflow: str,
    key_name: str,
    model: str,
    region: str,
    split_by: SplitBy | None,
    window: Window | None,
    time_zone: str,
    anchor_day: int | None,
    max_offline: timedelta | None,
    name: str,
    reason: str,
) -> None:
    """Set the cap of a budget for good; a budget that counts other calls is made.

    `budget set Acme --cap 300` sets the client's own cap. With --workflow, --key, --model,
    --region, --split-by or another --window it sets the cap of the budget with just these
    conditions, and makes it when there is none. Usage is never reset.
    """
    if (cap is None) == (not no_cap):
        raise click.UsageError("Give either --cap or --no-cap.")
    if (target is None) == (not agency):
        raise click.UsageError("Name a client or a budget, or give --agency.")
    bursar = session.bursar
    if target is not None and ids.is_id(target, ids.BUDGET):
        _changed(
            session,
            bursar.budgets.set_cap(bursar.budgets.get(target), cap_nano_usd=cap, reason=reason),
        )
        return
    owner = "" if target is None else names.client(bursar, target).project_id
    key_id = names.key(bursar, key_name).key_id if key_name else ""
    wanted = (owner, key_id, workflow, model, region, split_by or "")
    same = _same(bursar, wanted, window)
    if same is not None:
        _changed(session, bursar.budgets.set_cap(same, cap_nano_usd=cap, reason=reason))
        return
    made = bursar.budgets.create(
        display_name=name,
        project_id=owner,
        cap_nano_usd=cap,
        key_id=key_id,
        workflow=workflow,
        model=model,
        region=region,
        split_by=split_by or "",
        window=window or "month",
        time_zone=time_zone,
        anchor_day=anchor_day or 1,
        max_offline_ms=0 if max_offline is None else max_offline // timedelta(milliseconds=1),
        reason=reason,
    )
    _made(session, made)


@budget.command("raise")
@click.argument("target", metavar="CLIENT|BUDGET")
@click.option("--to", "to_nano_usd", type=USD, help="The new cap.")
@click.option("--by", "by_nano_usd", type=USD, help="How much more.")
@click.option("--for-good", is_flag=True, help="Not only for this period.")
@click.option("--reason", default="", help="Why, for the cap's history.")
@pass_session
def raise_cap(
    session: Session,
    *,
    target: str,
    to_nano_usd: int | None,
    by_nano_usd: int | None,
    for_good: bool,
    reason: str,
) -> None:
    """Raise a cap, for this period only unless told otherwise."""
    if (to_nano_usd is None) == (by_nano_usd is None):
        raise click.UsageError("Give either --to or --by.")
    found = names.budget(session.bursar, target)
    period = found.current_period
    now_nano_usd = found.cap_nano_usd if for_good or period is None else period.cap_nano_usd
    if now_nano_usd is None:
        raise FailedPreconditionError(
            f"{found.display_name} has no cap to raise; set one with"
            f" `bursar budget set {found.budget_id} --cap …`"
        )
    wanted_nano_usd = now_nano_usd + by_nano_usd if by_nano_usd is not None else to_nano_usd
    assert wanted_nano_usd is not None
    if wanted_nano_usd <= now_nano_usd:
        raise click.UsageError(
            f"{usd(wanted_nano_usd)} is not above the cap of {usd(now_nano_usd)}."
            f" To lower it: bursar budget set {found.budget_id} --cap …"
        )
    raised_nano_usd = None if period is None else period.cap_nano_usd
    if for_good and raised_nano_usd is not None and wanted_nano_usd < raised_nano_usd:
        raise click.UsageError(
            f"The cap of this period alone is {usd(raised_nano_usd)}: {usd(wanted_nano_usd)} for"
            f" good would lower it. Raise it above that with --to, or lower it by name:"
            f" bursar budget set {found.budget_id} --cap …"
        )
    changed = session.bursar.budgets.set_cap(
        found, cap_nano_usd=wanted_nano_usd, this_period_only=not for_good, reason=reason
    )
    _changed(session, changed)


@budget.command("undo")
@click.argument("target", metavar="CLIENT|BUDGET")
@click.option("--reason", default="", help="Why, for the cap's history.")
@pass_session
def undo(session: Session, *, target: str, reason: str) -> None:
    """Take the newest decision about a cap back, within ten minutes of it."""
    found = names.budget(session.bursar, target)
    newest = next(iter(session.bursar.budgets.cap_changes(found.budget_id)))
    changed = session.bursar.budgets.undo_cap(found.budget_id, newest.cap_version, reason=reason)
    _changed(session, changed)


@budget.command("list")
@click.argument("client_name", metavar="[CLIENT]", required=False)
@click.option("--all", "show_archived", is_flag=True, help="Archived ones too.")
@pass_session
def list_budgets(session: Session, *, client_name: str | None, show_archived: bool) -> None:
    """List budgets with what is spent, leased and left."""
    bursar = session.bursar
    project_id = names.client(bursar, client_name).project_id if client_name else ""
    found = list(
        islice(
            bursar.budgets.list(project_id=project_id, show_archived=show_archived), LIST_MAX_ITEMS
        )
    )
    owners = _owners(bursar)
    session.show(
        {"budgets": found},
        table(
            "",
            [
                "Client",
                "Budget",
                "Counts",
                "Window",
                ">Spent",
                ">Cap",
                ">Used",
                ">In leases",
                "Turns",
                "Id",
            ],
            [_row(one, owners) for one in found],
        ),
    )


@budget.command("history")
@click.argument("target", metavar="CLIENT|BUDGET")
@pass_session
def history(session: Session, target: str) -> None:
    """Show how a cap changed: by whom, when and why."""
    found = names.budget(session.bursar, target)
    changes = list(islice(session.bursar.budgets.cap_changes(found.budget_id), LIST_MAX_ITEMS))
    session.show(
        {"budget": found, "changes": changes},
        table(
            f"{found.display_name} ({found.budget_id})",
            ["When", ">From", ">To", "Holds", "By", "Why"],
            [
                [
                    instant_text(one.change_time),
                    usd(one.old_cap_nano_usd, none="no cap"),
                    usd(one.new_cap_nano_usd, none="no cap"),
                    one.period_id or "for good",
                    one.actor,
                    one.reason,
                ]
                for one in changes
            ],
        ),
    )


@budget.command("periods")
@click.argument("target", metavar="CLIENT|BUDGET")
@click.option("--partition", default="", help="Only this key or workflow of a split budget.")
@pass_session
def periods(session: Session, target: str, partition: str) -> None:
    """Show the windows of a budget, newest first, with what each one cost."""
    found = names.budget(session.bursar, target)
    listed = list(
        islice(session.bursar.budgets.periods(found.budget_id, partition=partition), LIST_MAX_ITEMS)
    )
    session.show(
        {"budget": found, "periods": listed},
        table(
            f"{found.display_name} ({found.budget_id})",
            [
                "Period",
                "Partition",
                ">Spent",
                ">Cap",
                ">Used",
                ">In leases",
                ">Held",
                ">Set aside",
                ">Overrun",
                "Turns",
                "State",
            ],
            [
                [
                    one.period_id,
                    one.partition,
                    usd(one.spent_nano_usd),
                    usd(one.cap_nano_usd),
                    share(one.spent_nano_usd, one.cap_nano_usd),
                    usd(one.leased_nano_usd),
                    usd(one.held_nano_usd),
                    usd(one.orphaned_nano_usd),
                    usd(one.overrun_nano_usd),
                    instant_text(one.end_time),
                    one.state.lower(),
                ]
                for one in listed
            ],
        ),
    )


@budget.command("archive", dangerous=True)
@click.argument("target", metavar="BUDGET")
@click.option("--reason", default="", help="Why, for the audit log.")
@pass_session
def archive(session: Session, target: str, reason: str) -> None:
    """End a budget: it counts and caps nothing from now on."""
    found = names.budget(session.bursar, target)
    session.confirm(f"Archive {found.display_name}? It stops no calls any more.")
    changed = session.bursar.budgets.archive(found.budget_id, reason=reason)
    session.show({"budget": changed}, Text(f"{changed.display_name} is archived."))


def _same(bursar: Bursar, wanted: Conditions, window: str | None) -> Budget | None:
    """The budget with just these conditions, if there is one. Raises UsageError for several."""
    known = islice(bursar.budgets.list(project_id=wanted[0]), NAMES_SEARCHED_ITEMS)
    same = [one for one in known if _conditions(one) == wanted and window in {None, one.window}]
    if len(same) > 1:
        listed = ", ".join(f"{one.budget_id} (a {one.window})" for one in same)
        raise click.UsageError(f"Several budgets count these calls; name one by its id: {listed}.")
    return same[0] if same else None


def _made(session: Session, made: Budget) -> None:
    cap_text = usd(made.cap_nano_usd, none="no cap")
    session.show(
        {"budget": made, "created": True},
        Text(f"{made.display_name} ({made.budget_id}): {cap_text}, window {made.window}."),
        Text(f"It counts {counted(made)}."),
    )
    session.say("Every call that it counts is also charged to the other budgets that match.")


def _changed(session: Session, changed: ChangedCap) -> None:
    change = changed.change
    session.show(
        {"budget": changed.budget, "change": change, "reach": changed.reach, "created": False},
        Text(f"{_full_name(session, changed.budget)}: {_change_text(change)}"),
        Text(reach_text(changed.reach)),
    )
    if change.period_id:
        session.say("It holds for this period only; the next one has the cap for good again.")


def _full_name(session: Session, one: Budget) -> str:
    if not one.project_id:
        return f"The agency, {one.display_name}"
    return f"{session.bursar.projects.get(one.project_id).display_name}, {one.display_name}"


def _change_text(change: CapChange) -> str:
    before = usd(change.old_cap_nano_usd, none="no cap")
    after = usd(change.new_cap_nano_usd, none="no cap")
    return f"{before} → {after}" + (f" for {change.period_id}" if change.period_id else "")


def _conditions(one: Budget) -> Conditions:
    return (one.project_id, one.key_id, one.workflow, one.model, one.region, one.split_by)


def _owners(bursar: Bursar) -> dict[str, str]:
    return {one.project_id: one.display_name for one in bursar.projects.list(show_archived=True)}


def _row(one: Budget, owners: dict[str, str]) -> Sequence[str | Text]:
    period = one.current_period
    cap = one.cap_nano_usd if period is None else period.cap_nano_usd
    money: Sequence[str | Text] = ["", usd(cap), "", ""]
    if period is not None:
        spent = period.spent_nano_usd
        money = [usd(spent), usd(cap), share(spent, cap), usd(period.leased_nano_usd)]
    return [
        owners.get(one.project_id, one.project_id) or "(agency)",
        one.display_name,
        counted(one),
        one.window,
        *money,
        instant_text(period.end_time) if period is not None else "",
        one.budget_id,
    ]


COMMANDS: Sequence[Any] = (budget,)
