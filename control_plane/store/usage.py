"""Sums over the roll-ups: whole days of a project's own zone from its days, all else by quarters.

Whole days are read from spans of them where nothing is asked that spans do not know. All hold the
same calls, so it does not matter to an answer which of them it was made of; it matters to how long
it takes.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from operator import itemgetter

from control_plane import limits
from control_plane.core.latency import Counts
from control_plane.core.usage import (
    Grouping,
    Stretch,
    Sums,
    UsageRow,
    spans_between,
    whole_days,
)
from control_plane.store import rollups, spans
from control_plane.store.engine import Row, Tx, Value
from control_plane.store.growing import SUMMED

_COLUMNS = {
    "project": "project_id",
    "workflow": "workflow",
    "model": "model",
    "key": "key_id",
    "provider": "provider",
    "outcome": "outcome",
}
_SUMS = ", ".join(f"COALESCE(SUM({name}), 0) AS {name}" for name in SUMMED)
_SUMMED_OF = itemgetter(*SUMMED)
assert tuple(field.name for field in fields(Sums)) == SUMMED
_WITHOUT_DAYS = ""
"""Stands for the zone of projects that have no days."""


@dataclass(frozen=True, slots=True)
class _Part:
    """Rows of one table within a time, of the projects of one zone."""

    table: str
    time: str
    """The name of the column that says when a row begins."""
    zone: str
    start_unix_ms: int
    end_unix_ms: int


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What of a part is summed."""

    columns: Sequence[str]
    """What rows are apart by."""
    project_id: str
    """Empty for all."""


def sums(
    tx: Tx,
    stretch: Stretch,
    group_by: Sequence[Grouping],
    *,
    project_id: str,
) -> list[UsageRow]:
    """The sums of one stretch of time, one row for every set of values that occurs in it.

    At most limits.USAGE_ROWS_MAX + 1 of each part of the time, the dearest.
    """
    found = _Found(group_by)
    wanted = _Wanted(found.columns, project_id)
    for zone in _zones(tx, project_id):
        for part in _parts(zone, stretch.start_unix_ms, stretch.end_unix_ms):
            for row in _rows_of_part(tx, part, wanted):
                found.add(row, stretch.day)
    return found.rows()


def sums_by_day(
    tx: Tx,
    days: Sequence[Stretch],
    zone: str,
    group_by: Sequence[Grouping],
    *,
    project_id: str,
) -> list[UsageRow]:
    """The sums of days of a zone that follow each other; only the first and last may be parts."""
    found = _Found(group_by)
    begin, end = whole_days(zone, days[0].start_unix_ms, days[-1].end_unix_ms) if days else (0, 0)
    names = {day.start_unix_ms: day.day for day in days}
    for of_zone in _zones(tx, project_id):
        kept = of_zone == zone and begin < end
        if kept:
            part = _Part("rollup_day", "start_unix_ms", zone, begin, end)
            by_day = _Wanted([*found.columns, "start_unix_ms"], project_id)
            for row in _rows(tx, part, by_day):
                found.add(row, names[row[f"g{len(found.columns)}"]])
        for day in days:
            if kept and begin <= day.start_unix_ms < end:
                continue
            for part in _quarters(of_zone, (day.start_unix_ms, day.end_unix_ms)):
                for row in _rows(tx, part, _Wanted(found.columns, project_id)):
                    found.add(row, day.day)
    return found.rows()


class _Found:
    """What was summed so far, by group."""

    def __init__(self, group_by: Sequence[Grouping]) -> None:
        self._group_by = group_by
        self._sums: dict[tuple[str, ...], Sums] = {}
        self.columns = [_COLUMNS[name] for name in group_by if name != "day"]

    def add(self, row: Row, day: str) -> None:
        """Take a row of an answer, of one day or of none."""
        values = iter([row[f"g{number}"] for number in range(len(self.columns))])
        group = tuple(day if name == "day" else next(values) for name in self._group_by)
        before = self._sums.get(group)
        more = _sums_of(row)
        self._sums[group] = more if before is None else before.plus(more)

    def rows(self) -> list[UsageRow]:
        """What is not nothing."""
        return [UsageRow(group, total) for group, total in self._sums.items() if total != Sums()]


def latencies(
    tx: Tx,
    project_id: str,
    start_unix_ms: int,
    end_unix_ms: int,
    *,
    workflows: Sequence[str] = (),
    models: Sequence[str] = (),
) -> dict[str, Counts]:
    """How long calls of a project took that ended well, in steps, by workflow or by model.

    Of those alone that are named; when none are, of all calls together, as "".
    """
    column, names = ("model", models) if models else ("workflow", workflows)
    found: dict[str, dict[int, int]] = {}

    def add(name: str, step: int, count: int) -> None:
        counts = found.setdefault(name, {})
        counts[step] = counts.get(step, 0) + count

    listed = {f"name{number}": name for number, name in enumerate(names)}
    asked = f"AND {column} IN ({_named(listed)})" if names else ""
    for zone in _zones(tx, project_id):
        for part in _parts(zone, start_unix_ms, end_unix_ms):
            if part.table == "rollup_day":
                span = {"start": part.start_unix_ms, "end": part.end_unix_ms}
                rows = tx.rows(
                    f"""SELECT {column if names else "''"} AS name, step, SUM(call_count) AS n
                        FROM latency_day
                        WHERE project_id = :project AND start_unix_ms >= :start
                          AND start_unix_ms < :end {asked}
                        GROUP BY name, step""",  # noqa: S608 - one of two columns
                    {"project": project_id, **span, **listed},
                )
                for row in rows:
                    add(row["name"], row["step"], int(row["n"]))
            else:
                known = frozenset(names)
                edges = rollups.call_steps(tx, project_id, part.start_unix_ms, part.end_unix_ms)
                for workflow, model, _, step, count in edges:
                    name = (model if models else workflow) if names else ""
                    if not names or name in known:
                        add(name, step, count)
    return dict(found)


def _zones(tx: Tx, project_id: str) -> list[str]:
    """The zones in which days are kept of what is asked for."""
    if project_id:
        return [rollups.zones_of(tx, [project_id]).get(project_id, _WITHOUT_DAYS)]
    rows = tx.rows("SELECT DISTINCT time_zone FROM rollup_zone ORDER BY time_zone")
    zones = [str(row["time_zone"]) for row in rows]
    return [*zones, _WITHOUT_DAYS] if rollups.strangers(tx) else zones


def _parts(zone: str, start_unix_ms: int, end_unix_ms: int) -> Iterator[_Part]:
    begin = end = start_unix_ms
    if zone != _WITHOUT_DAYS:
        begin, end = whole_days(zone, start_unix_ms, end_unix_ms)
    if begin >= end:
        yield from _quarters(zone, (start_unix_ms, end_unix_ms))
        return
    yield _Part("rollup_day", "start_unix_ms", zone, begin, end)
    yield from _quarters(zone, (start_unix_ms, begin), (end, end_unix_ms))


def _quarters(zone: str, *spans: tuple[int, int]) -> Iterator[_Part]:
    for first, last in spans:
        if first < last:
            yield _Part("rollup", "bucket_unix_ms", zone, first, last)


def _rows_of_part(tx: Tx, part: _Part, wanted: _Wanted) -> Sequence[Row]:
    """Rows of whole days from their spans, if those know all that is wanted; else from the part."""
    asked = {*wanted.columns, *(["project_id"] if wanted.project_id else [])}
    table = next((name for name, key in spans.TABLES.items() if asked <= set(key)), None)
    named = [wanted.project_id] if wanted.project_id else []
    kept = part.table == "rollup_day" and spans.are_kept(tx, part.zone, named)
    if table is None or not kept:
        return _rows(tx, part, wanted)
    names = spans_between(part.zone, part.start_unix_ms, part.end_unix_ms)
    listed = {f"span{number}": name for number, name in enumerate(names)}
    whose, params = _whose(part, wanted)
    where = f"time_zone = :zone AND span IN ({_named(listed)})"
    if wanted.project_id:
        where += f" AND {whose}"
    return tx.rows(_query(table, where, wanted.columns), {**params, **listed})


def _rows(tx: Tx, part: _Part, wanted: _Wanted) -> Sequence[Row]:
    table = part.table
    named = {"project_id", "start_unix_ms"}
    if table == "rollup_day" and set(wanted.columns) <= named:
        table = "rollup_day_total"
    whose, params = _whose(part, wanted)
    where = f"{whose} AND {part.time} >= :start AND {part.time} < :end"
    return tx.rows(_query(table, where, wanted.columns), params)


def _whose(part: _Part, wanted: _Wanted) -> tuple[str, dict[str, Value]]:
    """Which rows of a part are meant, and the parameters of that."""
    params: dict[str, Value] = {
        "start": part.start_unix_ms,
        "end": part.end_unix_ms,
        "zone": part.zone,
        "limit": limits.USAGE_ROWS_MAX + 1,
    }
    if part.table != "rollup":
        whose = "time_zone = :zone"
    elif part.zone == _WITHOUT_DAYS:
        whose = f"project_id IN ({rollups.STRANGERS})"
    else:
        whose = "project_id IN (SELECT project_id FROM rollup_zone WHERE time_zone = :zone)"
    if wanted.project_id:
        whose = "project_id = :project"
        params["project"] = wanted.project_id
    return whose, params


def _named(params: Iterable[str]) -> str:
    return ", ".join(f":{name}" for name in params)


def _query(table: str, where: str, columns: Sequence[str]) -> str:
    """Sums by some columns, the dearest first; only names of the store's modules are put in."""
    chosen = "".join(f"{column} AS g{number}, " for number, column in enumerate(columns))
    return f"""SELECT {chosen}{_SUMS} FROM {table} WHERE {where}
       {"GROUP BY " + ", ".join(columns) if columns else ""}
       ORDER BY cost_nano_usd DESC LIMIT :limit"""  # noqa: S608 - names come from the store's modules


def _sums_of(row: Row) -> Sums:
    return Sums(*map(int, _SUMMED_OF(row)))
