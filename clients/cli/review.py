"""`bursar review`: what all clients cost in a month, what changed, and why."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import click
from rich.console import RenderableType
from rich.text import Text

from clients.admin import Review, UsageRow
from clients.cli.output import NONE_TEXT, count_text, instant_text, share, table, usd
from clients.cli.parameters import MONTH
from clients.cli.session import Command, Session, pass_session

_MOVERS = 10
_CENT_NANO_USD = 10_000_000


@click.command("review", cls=Command)
@click.option("--month", type=MONTH, help="The month, such as 2026-10  [default: the running one]")
@pass_session
def review(session: Session, month: tuple[int, int] | None) -> None:
    """Review a month over all clients: totals, movers and why, errors, raises, what comes.

    A month is each client's own, by its time zone. A running one is held against the month before
    up to the end of the same day. Amounts are rounded to cents here; --json has them exactly.
    """
    name = "" if month is None else f"{month[0]:04}-{month[1]:02}"
    found = session.bursar.reviews.get(name)
    names = {one.project_id: one.display_name for one in found.clients}
    session.show({"review": found}, *_parts(found, names))


def _parts(found: Review, names: Mapping[str, str]) -> Iterator[RenderableType]:
    yield _headline(found)
    yield _clients(found)
    yield _models(found)
    yield _movers(found, names)
    if found.errors:
        rows = [
            [one.provider, one.outcome, count_text(one.call_count), _of(one)]
            for one in found.errors
        ]
        yield table("Errors", ["Provider", "Kind", ">Calls", ">Of its calls"], rows)
    if found.raises:
        yield _raises(found, names)
    if found.coming:
        yield _coming(found)
    if found.unused_keys:
        keys = [
            [names.get(one.project_id, one.project_id), one.display_name, _last_use(one)]
            for one in found.unused_keys
        ]
        yield table("Keys that nobody used this month", ["Client", "Key", "Last used"], keys)


def _headline(found: Review) -> Text:
    running = f", until {instant_text(found.end_time)}" if found.is_running else ""
    lump = f", and {_cents(found.lump_nano_usd)} for lost journals" if found.lump_nano_usd else ""
    total, before = found.total, found.before
    return Text(
        f"{found.month}{running}: spent {_cents(total.cost_nano_usd)}"
        f"{_change(total.cost_nano_usd, before.cost_nano_usd)}{lump}, charged"
        f" {_cents(total.charge_nano_usd)}"
        f"{_change(total.charge_nano_usd, before.charge_nano_usd)}, margin"
        f" {_cents(_margin(total))}, {count_text(total.call_count)} calls"
        f"{_change(total.call_count, before.call_count)} of {found.client_count} clients"
        f" (before: {found.before_client_count})"
    )


def _clients(found: Review) -> RenderableType:
    columns = ["Client", ">Cost", ">Change", ">Charged", ">Margin", ">Cap", ">Failed"]
    rows: list[list[str | Text]] = [
        [
            one.display_name,
            _cents(one.sums.cost_nano_usd),
            _percent_more(one.sums.cost_nano_usd, one.before.cost_nano_usd),
            _cents(one.sums.charge_nano_usd),
            _margin_percent(one.sums),
            share(one.spent_nano_usd, one.cap_nano_usd),
            _tenths(one.sums.failed_count, one.sums.call_count),
            _tenths(one.forecast_error_ppm, 1_000_000),
            str(one.alert_count),
            one.statement_state.lower() or NONE_TEXT,
        ]
        for one in found.clients
    ]
    return table("", [*columns, ">Forecast off", ">Alerts", "Statement"], rows)


def _models(found: Review) -> RenderableType:
    rows = [
        [
            f"{one.provider}/{one.model}",
            count_text(one.sums.call_count),
            _percent_more(one.sums.call_count, one.before.call_count),
            _cents(one.sums.cost_nano_usd),
            _percent_more(one.sums.cost_nano_usd, one.before.cost_nano_usd),
            _tenths(one.sums.cost_nano_usd, found.total.cost_nano_usd),
        ]
        for one in found.models
    ]
    return table("Models", ["Model", ">Calls", ">Change", ">Cost", ">Change", ">Share"], rows)


def _movers(found: Review, names: Mapping[str, str]) -> RenderableType:
    rows = [
        [
            names.get(one.project_id, one.project_id),
            one.workflow or (NONE_TEXT if found.is_by_workflow else "(all)"),
            _signed(one.cost_nano_usd - one.before_nano_usd),
            one.why,
            _signed(one.volume_nano_usd),
            _signed(one.price_nano_usd),
            _signed(one.mix_nano_usd),
        ]
        for one in found.movers[:_MOVERS]
    ]
    columns = ["Client", "Workflow", ">Change", "Why", ">Volume", ">Price", ">Mix"]
    return table("What moved", columns, rows)


def _raises(found: Review, names: Mapping[str, str]) -> RenderableType:
    rows = [
        [
            instant_text(one.raise_time),
            names.get(one.project_id, one.project_id) or "(all clients)",
            one.budget_name,
            f"{_cents(one.old_nano_usd)} to {_cents(one.new_nano_usd, none='no cap')}",
            one.raised_by,
            one.reason or NONE_TEXT,
            str(one.raise_count),
        ]
        for one in found.raises
    ]
    columns = ["When", "Client", "Budget", "Raised", "By", "Why", ">In two months"]
    return table("Caps that were raised", columns, rows)


def _coming(found: Review) -> RenderableType:
    rows = [
        [
            instant_text(one.from_time),
            f"{one.provider}/{one.model}",
            f"retired, then {one.replacement or NONE_TEXT}" if one.is_retired else "new price",
            str(one.client_count),
            _cents(one.cost_nano_usd),
            NONE_TEXT if one.effect_nano_usd is None else _signed(one.effect_nano_usd),
        ]
        for one in found.coming
    ]
    columns = ["From", "Model", "What", ">Clients", ">Cost", ">Would change by"]
    return table("What comes", columns, rows)


def _of(one: Any) -> str:
    return _tenths(one.call_count, one.provider_call_count)


def _last_use(one: Any) -> str:
    return instant_text(one.last_use_time, none="never")


def _margin(sums: UsageRow) -> int:
    return sums.charge_nano_usd - sums.charged_cost_nano_usd


def _margin_percent(sums: UsageRow) -> str:
    return _tenths(_margin(sums), sums.charge_nano_usd)


def _cents(amount_nano_usd: int | None, *, none: str = NONE_TEXT) -> str:
    """An amount to the cent."""
    if amount_nano_usd is None:
        return none
    cents = (2 * amount_nano_usd + _CENT_NANO_USD) // (2 * _CENT_NANO_USD)
    return usd(cents * _CENT_NANO_USD)


def _signed(amount_nano_usd: int) -> str:
    return ("+" if amount_nano_usd > 0 else "") + _cents(amount_nano_usd)


def _tenths(part: int | None, whole: int) -> str:
    """A share as percent to a tenth, rounded down."""
    if part is None or not whole:
        return NONE_TEXT
    mille = abs(part) * 1_000 // abs(whole)
    return f"{'-' if part < 0 else ''}{mille // 10}.{mille % 10}%"


def _percent_more(now: int, before: int) -> str:
    if not before:
        return "new" if now else NONE_TEXT
    percent = (now - before) * 100 // before
    return f"{percent:+}%"


def _change(now: int, before: int) -> str:
    return f" ({_percent_more(now, before)})" if before else ""


COMMANDS: Sequence[Any] = (review,)
"""The command."""
