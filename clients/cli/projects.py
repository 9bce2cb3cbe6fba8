"""`bursar client`: one project per client of the agency; `onboarding.py` adds them."""

from collections.abc import Sequence
from itertools import islice
from typing import Any

import click
from rich.text import Text

from clients.admin import Budget, Bursar, Key, Project
from clients.cli import names, places
from clients.cli.limits import LIST_MAX_ITEMS
from clients.cli.output import duration_text, instant_text, quoted, share, table, usd
from clients.cli.session import Group, Session, pass_session
from protos.values.recipes import KEY_PLACEHOLDER


@click.group("client", cls=Group)
def client() -> None:
    """Add clients and look after them; each is kept apart from all others."""


@client.command("list")
@click.option("--all", "show_archived", is_flag=True, help="Archived ones too.")
@pass_session
def list_clients(session: Session, *, show_archived: bool) -> None:
    """List clients with what they have spent of their caps."""
    bursar = session.bursar
    found = list(islice(bursar.projects.list(show_archived=show_archived), LIST_MAX_ITEMS))
    budgets = list(islice(bursar.budgets.list(show_archived=show_archived), LIST_MAX_ITEMS))
    rows = [(one, [b for b in budgets if b.project_id == one.project_id]) for one in found]
    session.show(
        {"clients": [{"client": one, "budgets": owned} for one, owned in rows]},
        table(
            "",
            ["Client", "State", ">Spent", ">Cap", ">Used", "Window", "Turns", "Id"],
            [_client_row(one, owned) for one, owned in rows],
        ),
    )
    if not found:
        session.say('No client yet. Next: bursar client add "Acme Dental" --cap 300')


@client.command("show")
@click.argument("client_name", metavar="CLIENT")
@pass_session
def show(session: Session, client_name: str) -> None:
    """Show a client with its budgets and keys."""
    found = names.client(session.bursar, client_name)
    budgets, keys = _belongings(session.bursar, found)
    state_style = "green" if found.state == "active" else "red"
    session.show(
        {"client": found, "budgets": budgets, "keys": keys},
        Text(f"{found.display_name} ({found.project_id})", style="bold"),
        Text.assemble("  State      ", (found.state, state_style)),
        Text(f"  Time zone  {found.time_zone}"),
        Text(f"  Patience   {duration_text(found.patience_ms)}"),
        Text(f"  Too large  {found.when_too_large}"),
        Text(f"  Searches   {found.hosted_call_count or 'only what a request bounds'}"),
        Text(f"  Weight     {found.rate_weight}"),
        Text(f"  Loops      {_loops_text(found.loop_max_count)}"),
        Text(f"  Since      {instant_text(found.create_time)}"),
        "",
        table(
            "Budgets",
            ["Name", "Counts", ">Spent", ">Cap", ">Used", ">In leases", "Turns", "Id"],
            [_budget_row(one) for one in budgets],
        ),
        "",
        table(
            "Keys",
            ["Name", "Workflow", "Models", "Secrets", "Last used", "Id"],
            [_key_row(one) for one in keys],
        ),
    )


@client.command("settings")
@click.argument("client_name", metavar="CLIENT")
@places.place_options
@pass_session
def settings(
    session: Session, client_name: str, sidecar_url: str | None, public_url: str | None
) -> None:
    """Show the settings for every tool again; the key itself cannot be shown again."""
    found = names.client(session.bursar, client_name)
    where = places.place(session, KEY_PLACEHOLDER, sidecar_url, public_url)
    session.show({"client": found, **places.to_json(where)}, *places.shown(where))
    again = f"bursar key issue {quoted(found.display_name)}"
    session.say(f"\nPut a key of {found.display_name} in. A new one: {again}")


@client.command("suspend")
@click.argument("client_name", metavar="CLIENT")
@click.option("--reason", default="", help="Why, for the audit log.")
@pass_session
def suspend(session: Session, client_name: str, reason: str) -> None:
    """Refuse all calls of a client until it is resumed."""
    found = names.client(session.bursar, client_name)
    changed = session.bursar.projects.suspend(found.project_id, reason=reason)
    again = f"bursar client resume {quoted(changed.display_name)}"
    _told(session, changed, f"Its calls are refused. To let them pass again: {again}")


@client.command("resume")
@click.argument("client_name", metavar="CLIENT")
@click.option("--reason", default="", help="Why, for the audit log.")
@pass_session
def resume(session: Session, client_name: str, reason: str) -> None:
    """Let the calls of a suspended client pass again."""
    found = names.client(session.bursar, client_name)
    changed = session.bursar.projects.resume(found.project_id, reason=reason)
    _told(
        session, changed, f'Its calls pass. Watch them with `bursar tail "{changed.display_name}"`.'
    )


@client.command("archive", dangerous=True)
@click.argument("client_name", metavar="CLIENT")
@click.option("--reason", default="", help="Why, for the audit log.")
@pass_session
def archive(session: Session, client_name: str, reason: str) -> None:
    """End a client for good: its keys are revoked, its ledger stays."""
    found = names.client(session.bursar, client_name)
    session.confirm(f"Archive {found.display_name} for good? Its keys end and cannot come back.")
    changed = session.bursar.projects.archive(found.project_id, reason=reason)
    _told(session, changed, "Its keys are revoked; `bursar usage` still shows what it cost.")


def _told(session: Session, changed: Project, following: str) -> None:
    session.show({"client": changed}, Text(f"{changed.display_name} is {changed.state}."))
    session.say(following)


def _loops_text(loop_max_count: int) -> str:
    if not loop_max_count:
        return "are not stopped"
    return f"more than {loop_max_count} equal requests of a workflow in a minute are stopped"


def _belongings(bursar: Bursar, owner: Project) -> tuple[list[Budget], list[Key]]:
    budgets = islice(bursar.budgets.list(project_id=owner.project_id), LIST_MAX_ITEMS)
    keys = islice(bursar.keys.list(project_id=owner.project_id), LIST_MAX_ITEMS)
    return list(budgets), list(keys)


def counted(budget: Budget) -> str:
    """What a budget counts, in words."""
    conditions = {
        "key": budget.key_id,
        "workflow": budget.workflow,
        "model": budget.model,
        "region": budget.region,
    }
    named = [f"{noun} {value}" for noun, value in conditions.items() if value]
    split = f", each {budget.split_by} for itself" if budget.split_by else ""
    return (", ".join(named) or "all calls") + split


def _client_row(one: Project, budgets: list[Budget]) -> Sequence[str | Text]:
    widest = [b for b in budgets if counted(b) == "all calls"] or budgets[:1]
    spent: Sequence[str | Text] = ["", "", "", "", ""]
    if widest:
        budget = widest[0]
        period = budget.current_period
        cap = budget.cap_nano_usd if period is None else period.cap_nano_usd
        spent_nano_usd = 0 if period is None else period.spent_nano_usd
        turns = instant_text(period.end_time) if period is not None else ""
        spent = [usd(spent_nano_usd), usd(cap), share(spent_nano_usd, cap), budget.window, turns]
    state = Text(one.state, style="green" if one.state == "active" else "red")
    return [one.display_name, state, *spent, one.project_id]


def _budget_row(one: Budget) -> Sequence[str | Text]:
    period = one.current_period
    if period is None:
        return [
            one.display_name,
            counted(one),
            "",
            usd(one.cap_nano_usd),
            "",
            "",
            "",
            one.budget_id,
        ]
    return [
        one.display_name,
        counted(one),
        usd(period.spent_nano_usd),
        usd(period.cap_nano_usd),
        share(period.spent_nano_usd, period.cap_nano_usd),
        usd(period.leased_nano_usd),
        instant_text(period.end_time),
        one.budget_id,
    ]


def _key_row(one: Key) -> Sequence[str | Text]:
    live = [secret for secret in one.secrets if secret.revoke_time is None]
    used = [secret.last_use_time for secret in live if secret.last_use_time is not None]
    return [
        one.display_name,
        one.workflow or "any",
        ", ".join(one.models) or "all",
        ", ".join(secret.hint for secret in live) or "none",
        instant_text(max(used, default=None), none="never"),
        one.key_id,
    ]


COMMANDS: Sequence[Any] = (client,)
