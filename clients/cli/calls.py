"""`bursar usage`, `tail`, `calls` and `refusals`: what was used, and what was stopped."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, cast, get_args

import click
from rich.text import Text

from clients.admin import Bursar, Call, Grouping, Usage, UsageRow
from clients.cli import names
from clients.cli.limits import LIST_ITEMS, LIST_MAX_ITEMS
from clients.cli.output import (
    NONE_TEXT,
    count_text,
    fields_of,
    instant_text,
    json_text,
    safe,
    table,
    usd,
)
from clients.cli.parameters import EARLIER, MONTH, TIME_ZONE, in_zone, month_bounds
from clients.cli.session import Command, Session, pass_session
from protos.values.errors import UnavailableError

_WORDS: dict[str, Grouping] = {
    "client": "project",
    **{word: word for word in get_args(Grouping) if word != "project"},
}
_ALL = "client"


class Groupings(click.ParamType[tuple[str, ...]]):
    """What to sum by, separated by commas."""

    name = "client,workflow,model,key,provider,outcome,day"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return cast("tuple[str, ...]", value)
        words = tuple(word.strip() for word in str(value).split(",") if word.strip())
        for word in words:
            if word not in _WORDS:
                hint = names.meant(word, _WORDS)
                self.fail(
                    f"{word!r} is nothing to sum by{hint or f': use {self.name}'}", param, ctx
                )
        if len(set(words)) != len(words):
            self.fail("a word stands twice", param, ctx)
        return words


@click.command("usage", cls=Command)
@click.argument("client_name", metavar="[CLIENT]", required=False)
@click.option(
    "--by", "by", type=Groupings(), default=_ALL, show_default=True, help="What to sum by."
)
@click.option(
    "--from",
    "start",
    type=EARLIER,
    help="From when, such as 2026-11-01 or 7d  [default: this month]",
)
@click.option("--to", "end", type=EARLIER, help="Until when  [default: now]")
@click.option("--month", type=MONTH, help="One month instead of --from and --to.")
@click.option(
    "--time-zone",
    type=TIME_ZONE,
    default="",
    help="Where days and months begin  [default: the client's]",
)
@pass_session
def usage(
    session: Session,
    client_name: str | None,
    by: tuple[str, ...],
    start: datetime | None,
    end: datetime | None,
    month: tuple[int, int] | None,
    time_zone: str,
) -> None:
    """Sum what calls cost: by client, workflow, model, key, provider, outcome or day.

    Held vs cost says how many times their cost was held for calls that told their usage: their
    worst case. What makes it smaller: bursar default-output propose.
    """
    if month is not None and (start is not None or end is not None):
        raise click.UsageError("Give either --month, or --from and --to.")
    bursar = session.bursar
    project = names.client(bursar, client_name) if client_name else None
    if month or start or end:
        default_zone = project.time_zone if project else bursar.installation.get().time_zone
        zone = time_zone or default_zone
        if month is not None:
            start, end = month_bounds(month, zone)
        start, end = (None if at is None else in_zone(at, zone) for at in (start, end))
        if start is not None and end is not None and start >= end:
            raise click.UsageError("--from is not before --to.")
    found = bursar.calls.usage(
        group_by=[_WORDS[word] for word in by],
        project_id=project.project_id if project else "",
        start_time=start,
        end_time=end,
        time_zone=time_zone,
    )
    _show_usage(session, found, by)


def _show_usage(session: Session, found: Usage, by: tuple[str, ...]) -> None:
    named = _Names(session.bursar, by)
    charged = bool(found.total.charge_nano_usd or found.total.charged_cost_nano_usd)
    shown = table(
        "",
        [
            *(word.capitalize() for word in by),
            ">Calls",
            ">Failed",
            ">Estimated",
            ">Input",
            ">Output",
            ">Cost",
            ">Held vs cost",
            *((">Charged", ">Margin") if charged else ()),
        ],
        [[*named.of(row.group), *_sums(row, charged=charged)] for row in found.rows],
    )
    if by:
        shown.add_section()
    total = ["Total", *[""] * (len(by) - 1)] if by else []
    cells = (*total, *_sums(found.total, charged=charged))
    shown.add_row(*(Text(cell, style="bold") for cell in cells))
    session.show(
        {
            "rows": [
                {
                    **_with_margin(row),
                    "group": dict(zip(by, row.group, strict=True)),
                    "names": named.of(row.group),
                }
                for row in found.rows
            ],
            "total": {
                name: value for name, value in _with_margin(found.total).items() if name != "group"
            },
            "by": by,
            "start_time": found.start_time,
            "end_time": found.end_time,
            "time_zone": found.time_zone,
            "lump_nano_usd": found.lump_nano_usd,
        },
        shown,
    )
    if found.lump_nano_usd:
        session.say(
            f"Besides {usd(found.lump_nano_usd)} was charged as an estimate for lost sidecars, of"
            " which no call is known: bursar lease orphans --all"
        )
    session.say(
        f"{instant_text(found.start_time)} to {instant_text(found.end_time)},"
        f" days of {found.time_zone}"
    )


def _with_margin(row: UsageRow) -> dict[str, Any]:
    """A row's fields, and what is earned by the calls that are charged for."""
    return {
        **fields_of(row),
        "margin_nano_usd": row.charge_nano_usd - row.charged_cost_nano_usd,
    }


def _sums(row: UsageRow, *, charged: bool) -> list[str]:
    money = [row.charge_nano_usd, row.charge_nano_usd - row.charged_cost_nano_usd]
    return [
        count_text(row.call_count),
        count_text(row.failed_count),
        count_text(row.estimated_count),
        count_text(row.input_count),
        count_text(row.output_count),
        usd(row.cost_nano_usd),
        held_text(row),
        *(map(usd, money) if charged else ()),
    ]


def held_text(row: UsageRow) -> str:
    """How many times what calls cost was held for them, cut to tenths."""
    if not row.held_cost_nano_usd:
        return NONE_TEXT
    whole, tenth = divmod(10 * row.held_nano_usd // row.held_cost_nano_usd, 10)
    return f"{count_text(whole)}.{tenth}x"


class _Names:
    """Shows clients and keys by name where a grouping gives their ids."""

    def __init__(self, bursar: Bursar, by: Iterable[str]) -> None:
        self._by = tuple(by)
        self._known: dict[str, str] = {}
        if "client" in self._by:
            for project in bursar.projects.list(show_archived=True):
                self._known[project.project_id] = project.display_name
        if "key" in self._by:
            for key in bursar.keys.list(show_revoked=True):
                self._known[key.key_id] = key.display_name or key.key_id

    def of(self, group: Sequence[str]) -> list[str]:
        """The names of one row's values."""
        return [
            self._known.get(value, value) if word in {"client", "key"} else value or "(none)"
            for word, value in zip(self._by, group, strict=True)
        ]


@click.command("tail", cls=Command)
@click.argument("client_name", metavar="[CLIENT]", required=False)
@click.option(
    "--after",
    type=click.IntRange(min=1),
    default=None,
    metavar="POSITION",
    help="Begin behind this position of the ledger  [default: now]",
)
@click.option("--from-start", is_flag=True, help="Begin with the first call that there is.")
@click.option(
    "--since", type=EARLIER, help="Begin with what was booked since, such as 2h or 2026-11-01."
)
@click.option(
    "-n", "--limit", type=click.IntRange(1, LIST_MAX_ITEMS), help="End after so many calls."
)
@pass_session
def tail(
    session: Session,
    *,
    client_name: str | None,
    after: int | None,
    from_start: bool,
    since: datetime | None,
    limit: int | None,
) -> None:
    """Watch calls as they settle, each with its cost and the running total."""
    if (after is not None) + from_start + (since is not None) > 1:
        raise click.UsageError("Give one of --after, --from-start and --since.")
    bursar = session.bursar
    project_id = names.client(bursar, client_name).project_id if client_name else ""
    owners = {one.project_id: one.display_name for one in bursar.projects.list(show_archived=True)}
    found = bursar.calls.tail(
        project_id=project_id,
        after_position=after or 0,
        from_start=from_start,
        start_time=since and in_zone(since, "UTC"),
        on_interruption=lambda error: session.warn(_interrupted(error)),
    )
    session.say(_HEAD.line())
    with suppress(KeyboardInterrupt):
        _follow(session, islice(found, limit), owners)


def _interrupted(error: UnavailableError) -> str:
    return f"The connection is lost; the tail goes on when it is back. ({error.message})"


def _follow(session: Session, found: Iterator[Call], owners: dict[str, str]) -> None:
    total_nano_usd = 0
    console = session.console()
    for call in found:
        total_nano_usd += call.cost_nano_usd
        if session.as_json:
            row = {**fields_of(call), "client": owners.get(call.project_id, "")}
            click.echo(json_text({**row, "running_total_nano_usd": total_nano_usd}, line=True))
            continue
        line = _Line.of(call, owners.get(call.project_id, call.project_id), total_nano_usd)
        style = "" if call.outcome == "ok" else "yellow"
        console.print(Text(line.line(), style=style), soft_wrap=True)


@dataclass(frozen=True, slots=True)
class _Line:
    """One call on one line, in columns that hold still while lines come."""

    time: str
    client: str
    workflow: str
    model: str
    tokens: str
    outcome: str
    cost: str
    total: str

    @staticmethod
    def of(call: Call, client: str, total_nano_usd: int) -> "_Line":
        """The line of a call."""
        tokens_in = sum(call.quantities.get(kind, 0) for kind in ("input", "cached", "cache_write"))
        return _Line(
            time=call.end_time.strftime("%H:%M:%S"),
            client=client,
            workflow=call.workflow or "-",
            model=call.answered_model or call.requested_model,
            tokens=f"{tokens_in}→{call.quantities.get('output', 0)}",
            outcome=call.outcome + (" est." if call.estimated else ""),
            cost=usd(call.cost_nano_usd),
            total=usd(total_nano_usd),
        )

    def line(self) -> str:
        """The columns side by side."""
        return (
            f"{self.time:<8}  {safe(self.client):<18.18}  {safe(self.workflow):<18.18}"
            f"  {safe(self.model):<22.22}  {self.tokens:>12}  {self.outcome:<14.14}"
            f"  {self.cost:>14}  {self.total:>14}"
        )


_HEAD = _Line("UTC", "Client", "Workflow", "Model", "Tokens", "Outcome", "Cost", "Total")


@click.command("calls", cls=Command)
@click.argument("client_name", metavar="[CLIENT]", required=False)
@click.option("--workflow", default="", help="Only calls of this workflow.")
@click.option("--from", "start", type=EARLIER, help="Only calls that started since, such as 2h.")
@click.option("--to", "end", type=EARLIER, help="Only calls that started before.")
@click.option(
    "-n",
    "--limit",
    type=click.IntRange(1, LIST_MAX_ITEMS),
    default=LIST_ITEMS,
    show_default=True,
    help="At most so many.",
)
@pass_session
def calls(
    session: Session,
    client_name: str | None,
    workflow: str,
    start: datetime | None,
    end: datetime | None,
    limit: int,
) -> None:
    """List booked calls, newest first."""
    bursar = session.bursar
    project_id = names.client(bursar, client_name).project_id if client_name else ""
    owners = {one.project_id: one.display_name for one in bursar.projects.list(show_archived=True)}
    listed = bursar.calls.list(
        project_id=project_id,
        workflow=workflow,
        start_time=None if start is None else in_zone(start, "UTC"),
        end_time=None if end is None else in_zone(end, "UTC"),
    )
    found = list(islice(listed, limit))
    session.show(
        {"calls": found},
        table(
            "",
            [
                "Started",
                "Client",
                "Workflow",
                "Execution",
                "Model",
                "Outcome",
                ">First byte",
                ">Cost",
                ">Held",
                "Id",
            ],
            [
                [
                    instant_text(one.start_time),
                    owners.get(one.project_id, one.project_id),
                    one.workflow,
                    one.execution,
                    (one.answered_model or one.requested_model)
                    + (f" ({one.routed})" if one.routed else ""),
                    one.outcome + (" (estimated)" if one.estimated else ""),
                    f"{one.first_byte_ms} ms",
                    usd(one.cost_nano_usd),
                    usd(one.worst_nano_usd),
                    one.call_id,
                ]
                for one in found
            ],
        ),
    )


@click.command("refusals", cls=Command)
@click.argument("client_name", metavar="[CLIENT]", required=False)
@click.option(
    "-n",
    "--limit",
    type=click.IntRange(1, LIST_MAX_ITEMS),
    default=LIST_ITEMS,
    show_default=True,
    help="At most so many.",
)
@pass_session
def refusals(session: Session, client_name: str | None, limit: int) -> None:
    """List refused calls by minute, newest first, with what the callers were told."""
    bursar = session.bursar
    project_id = names.client(bursar, client_name).project_id if client_name else ""
    owners = {one.project_id: one.display_name for one in bursar.projects.list(show_archived=True)}
    found = list(islice(bursar.calls.refusals(project_id=project_id), limit))
    session.show(
        {"refusals": found},
        table(
            "",
            ["Minute", "Client", "Workflow", "Model", "Reason", ">Calls", "What they were told"],
            [
                [
                    instant_text(one.minute),
                    owners.get(one.project_id, one.project_id),
                    one.workflow,
                    one.model,
                    one.reason,
                    count_text(one.count),
                    one.sample,
                ]
                for one in found
            ],
        ),
    )
    if not found:
        session.say("No call was refused.")


COMMANDS: Sequence[Any] = (usage, tail, calls, refusals)
