"""Sums over the roll-ups: whole days of a project's own zone from its days, all else by quarters.

Both hold the same calls, so it does not matter to an answer which of them it was made of; it
matters to how long it takes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from operator import itemgetter

from control_plane import limits
from control_plane.core.latency import Counts
from control_plane.core.usage import (
    Grouping,
    Refused,
    Stretch,
    Sums,
    UsageRow,
    whole_days,
)
from control_plane.store import rollups
from control_plane.store.engine import Row, Tx, Value

_COLUMNS = {
    "project": "project_id",
    "workflow": "workflow",
    "model": "model",
    "key": "key_id",
    "provider": "provider",
    "outcome": "outcome",
}
_SUMS = ", ".join(f"COALESCE(SUM({name}), 0) AS {name}" for name in rollups.SUMMED)
_SUMMED_OF = itemgetter(*rollups.SUMMED)
assert tuple(field.name for field in fields(Sums)) == rollups.SUMMED
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


def sums(
    tx: Tx, stretch: Stretch, group_by: Sequence[Grouping], *, project_id: str
) -> list[UsageRow]:
    """The sums of one stretch of time, one row for every set of values that occurs in it."""
    found = _Found(group_by)
    for zone in _zones(tx, project_id):
        for part in _parts(zone, stretch.start_unix_ms, stretch.end_unix_ms):
            for row in _rows(tx, part, found.columns, project_id):
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
            for row in _rows(tx, part, [*found.columns, "start_unix_ms"], project_id):
                found.add(row, names[row[f"g{len(found.columns)}"]])
        for day in days:
            if kept and begin <= day.start_unix_ms < end:
                continue
            for part in _quarters(of_zone, (day.start_unix_ms, day.end_unix_ms)):
                for row in _rows(tx, part, found.columns, project_id):
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
    tx: Tx, project_id: str, start_unix_ms: int, end_unix_ms: int
) -> dict[tuple[str, str], Counts]:
    """How long calls of a project took that ended well, by workflow and model, in steps."""
    found: dict[tuple[str, str], dict[int, int]] = {}

    def add(workflow: str, model: str, step: int, count: int) -> None:
        counts = found.setdefault((workflow, model), {})
        counts[step] = counts.get(step, 0) + count

    for zone in _zones(tx, project_id):
        for part in _parts(zone, start_unix_ms, end_unix_ms):
            if part.table == "rollup_day":
                rows = tx.rows(
                    """SELECT workflow, model, step, SUM(call_count) AS n FROM latency_day
                       WHERE project_id = :project AND start_unix_ms >= :start
                         AND start_unix_ms < :end
                       GROUP BY workflow, model, step""",
                    {"project": project_id, "start": part.start_unix_ms, "end": part.end_unix_ms},
                )
                for row in rows:
                    add(row["workflow"], row["model"], row["step"], int(row["n"]))
            else:
                edges = rollups.call_steps(tx, project_id, part.start_unix_ms, part.end_unix_ms)
                for workflow, model, _, step, count in edges:
                    add(workflow, model, step, count)
    return dict(found)


def refused(tx: Tx, project_id: str, start_unix_ms: int, end_unix_ms: int) -> list[Refused]:
    """Calls of a project that were refused, by workflow, reason and budget."""
    rows = tx.rows(
        """SELECT workflow, reason, budget_id, SUM(refused_count) AS n,
             MIN(bucket_unix_ms) AS first, MAX(bucket_unix_ms) AS last
           FROM refusal_rollup
           WHERE project_id = :project AND bucket_unix_ms >= :start AND bucket_unix_ms < :end
           GROUP BY workflow, reason, budget_id ORDER BY workflow, reason, budget_id""",
        {"project": project_id, "start": start_unix_ms, "end": end_unix_ms},
    )
    return [
        Refused(
            workflow=row["workflow"],
            reason=row["reason"],
            budget_id=row["budget_id"],
            refused_count=int(row["n"]),
            first_unix_ms=row["first"],
            last_unix_ms=row["last"],
        )
        for row in rows
    ]


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


def _rows(tx: Tx, part: _Part, columns: Sequence[str], project_id: str) -> Sequence[Row]:
    table = part.table
    if table == "rollup_day" and set(columns) <= {"project_id", "start_unix_ms"}:
        table = "rollup_day_total"
    chosen = "".join(f"{column} AS g{number}, " for number, column in enumerate(columns))
    if project_id:
        whose = "project_id = :project"
    elif part.table != "rollup":
        whose = "time_zone = :zone"
    elif part.zone == _WITHOUT_DAYS:
        whose = f"project_id IN ({rollups.STRANGERS})"
    else:
        whose = "project_id IN (SELECT project_id FROM rollup_zone WHERE time_zone = :zone)"
    params: dict[str, Value] = {
        "start": part.start_unix_ms,
        "end": part.end_unix_ms,
        "project": project_id,
        "zone": part.zone,
        "limit": limits.USAGE_ROWS_MAX + 1,
    }
    return tx.rows(
        # Only names of tables in this module are put in; every value is a parameter.
        f"""SELECT {chosen}{_SUMS} FROM {table}
           WHERE {whose} AND {part.time} >= :start AND {part.time} < :end
           {"GROUP BY " + ", ".join(columns) if columns else ""}
           ORDER BY cost_nano_usd DESC LIMIT :limit""",  # noqa: S608 - names come from tables in this module
        params,
    )


def _sums_of(row: Row) -> Sums:
    return Sums(*map(int, _SUMMED_OF(row)))
