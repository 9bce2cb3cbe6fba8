"""Sums of local dates over all clients: of each client its own days, from the fewest spans of them.

What has no spans yet, because its zone was changed or an earlier version left it, is summed from
days or quarter hours of the same dates. An answer is the same whichever it is made of.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from operator import itemgetter
from typing import Literal

from control_plane import limits
from control_plane.core.local_dates import LocalDates, signed_spans
from control_plane.core.model_matrix import WorkflowModel
from control_plane.core.usage import Grouping, Sums, UsageRow, Used
from control_plane.store import rollups, spans
from control_plane.store.engine import Row, Tx, Value
from control_plane.store.growing import SUMMED

_COLUMNS = {
    "project": "project_id",
    "workflow": "workflow",
    "model": "model",
    "provider": "provider",
    "outcome": "outcome",
}
_OF_WORKFLOW = ("project_id", "workflow", "provider", "model")
_USED = ("call_count", "cost_nano_usd", "input_count", "output_count")
_SUMMED_OF, _USED_OF, _NAMED_OF = itemgetter(*SUMMED), itemgetter(*_USED), itemgetter(*_OF_WORKFLOW)
assert tuple(field.name for field in fields(Sums)) == SUMMED
_COUNTED = ", COUNT(*) OVER () AS group_count"
"""How many rows there are without a limit."""
Rank = Literal["cost_nano_usd", "charge_nano_usd"]
_WITHOUT_DAYS = f"""
  SELECT found.id AS project_id, COALESCE(project.time_zone, :zone) AS time_zone
  FROM ({rollups.STRANGERS}) found LEFT JOIN project ON project.project_id = found.id"""  # noqa: S608 - names of the store's modules
Signed = Sequence[tuple[LocalDates, int]]
"""Dates that are summed (1), or taken away (-1)."""


@dataclass(frozen=True, slots=True)
class MostChanged:
    """Workflows whose cost changed most between two times."""

    pairs: tuple[tuple[str, str], ...]
    """Project and workflow, largest change first."""
    workflow_count: int
    """All workflows that were looked at."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What is summed."""

    columns: Sequence[str]
    """What rows are apart by."""
    summed: Sequence[str] = SUMMED
    whose: Sequence[tuple[str, ...]] = ()
    """Projects, or projects with a workflow each, and no others; none for all."""

    @property
    def table(self) -> str:
        """The smallest table of spans that knows it."""
        asked = {*self.columns, *self.named}
        return next(name for name, key in spans.TABLES.items() if asked <= set(key))

    @property
    def named(self) -> Sequence[str]:
        """The columns that `whose` names."""
        return _OF_WORKFLOW[: len(self.whose[0])] if self.whose else ()

    def chosen(self, sign: str) -> str:
        """The columns of one source, before they are summed."""
        of_sign = [f"{sign} * s.{name} AS {name}" for name in self.summed]
        return ", ".join([*(f"s.{name}" for name in self.columns), *of_sign])


class _Params:
    """Parameters of a statement that is put together, named in order."""

    def __init__(self) -> None:
        self.values: dict[str, Value] = {}

    def put(self, value: Value) -> str:
        """How the statement names a value."""
        name = f"p{len(self.values)}"
        self.values[name] = value
        return f":{name}"


class LocalUsage:
    """What all clients used, by local dates; for one transaction."""

    def __init__(self, tx: Tx, zone: str, project_id: str = "") -> None:
        """A project that nobody knows has the days of `zone`, the agency's.

        With `project_id` only that project is asked about, and `zone` is its own.
        """
        self._tx, self._zone = tx, zone
        if project_id:
            has_days = bool(rollups.zones_of(tx, [project_id]))
            self._zones_of_days = [zone] * (has_days and not spans.are_kept(tx, zone, [project_id]))
            self._zones_of_quarters = [zone] * (not has_days)
            return
        rows = tx.rows("SELECT DISTINCT time_zone FROM rollup_zone WHERE spans = 0")
        self._zones_of_days = [str(row["time_zone"]) for row in rows]
        rows = tx.rows(f"SELECT DISTINCT time_zone FROM ({_WITHOUT_DAYS})", {"zone": zone})  # noqa: S608 - written above
        self._zones_of_quarters = [str(row["time_zone"]) for row in rows]

    def sums(
        self, dates: LocalDates, group_by: Sequence[Grouping], project_ids: Sequence[str] = ()
    ) -> list[UsageRow]:
        """One row for every set of values that occurs, of all projects or of those named."""
        columns = [_COLUMNS[name] for name in group_by]
        wanted = _Wanted(columns, whose=[(project_id,) for project_id in project_ids])
        return _usage_rows(self._rows(wanted, [(dates, 1)]), wanted.columns)

    def callers(self, dates: LocalDates) -> frozenset[str]:
        """Projects that had calls."""
        rows = self._rows(_Wanted(("project_id",), ("call_count",)), [(dates, 1)])
        return frozenset(row["project_id"] for row in rows if row["call_count"])

    def of_workflows(self, dates: LocalDates, pairs: Sequence[tuple[str, str]]) -> list[UsageRow]:
        """By project, workflow, provider and model, of some projects' workflows."""
        if not pairs:
            return []
        rows = self._rows(_Wanted(_OF_WORKFLOW, whose=pairs), [(dates, 1)])
        return _usage_rows(rows, _OF_WORKFLOW)

    def workflows(
        self, dates: LocalDates, project_id: str, rank: Rank, first: int
    ) -> tuple[list[UsageRow], int]:
        """A page of a project's workflows from one on (the first is 1), the dearest first.

        And how many there are, where there is any on the page.
        """
        wanted = _Wanted(("workflow",), whose=[(project_id,)])
        tail = f"""ORDER BY SUM({rank}) DESC, workflow
            LIMIT {limits.DESK_ROWS:d} OFFSET {first - 1:d}"""
        rows = self._rows(wanted, [(dates, 1)], tail, _COUNTED)
        return _usage_rows(rows, wanted.columns), int(rows[0]["group_count"]) if rows else 0

    def used(self, dates: LocalDates) -> tuple[int, Iterator[tuple[WorkflowModel, Used]]]:
        """What workflows used of models, the dearest first, and how many those are.

        At most limits.USAGE_ROWS_MAX + 1, read as they are looked at.
        """
        tail = f"ORDER BY cost_nano_usd DESC LIMIT {limits.USAGE_ROWS_MAX + 1}"
        rows = self._rows(_Wanted(_OF_WORKFLOW, _USED), [(dates, 1)], tail)
        return len(rows), ((_NAMED_OF(row), _USED_OF(row)) for row in rows)

    def most_changed(self, now: LocalDates, before: LocalDates, most: int) -> MostChanged:
        """The workflows whose cost changed most; where it changed alike, by their names."""
        wanted = _Wanted(("project_id", "workflow"), ("cost_nano_usd",))
        tail = f"ORDER BY ABS(SUM(cost_nano_usd)) DESC, project_id, workflow LIMIT {most:d}"
        rows = self._rows(wanted, [(now, 1), (before, -1)], tail, _COUNTED)
        return MostChanged(
            tuple((row["project_id"], row["workflow"]) for row in rows if row["cost_nano_usd"]),
            int(rows[0]["group_count"]) if rows else 0,
        )

    def _rows(
        self, wanted: _Wanted, signed: Signed, tail: str = "", counted: str = ""
    ) -> Sequence[Row]:
        params = _Params()
        sources = list(self._sources(wanted, signed, params))
        columns = ", ".join(wanted.columns)
        # Rows of one span that are apart by all that its table is apart by are sums already, where
        # they are of one client each: a client is of one zone.
        is_summed = len(sources) == 1 and len(wanted.columns) == len(spans.TABLES[wanted.table])
        is_summed = is_summed and "project_id" in wanted.columns
        is_summed = is_summed and sum(len(signed_spans(dates)) for dates, _ in signed) == 1
        named = wanted.summed
        if not is_summed:
            named = [f"SUM({name}) AS {name}" for name in wanted.summed]
        grouped = "" if is_summed else f"GROUP BY {columns}"
        return self._tx.rows(
            f"""SELECT {columns}, {", ".join(named)}{counted} FROM ({" UNION ALL ".join(sources)})
                {grouped} {tail}""",  # noqa: S608 - names of the store's modules
            params.values,
        )

    def _sources(self, wanted: _Wanted, signed: Signed, params: _Params) -> Iterator[str]:
        yield _of_spans(wanted, signed, params)
        for dates, sign in signed:
            for zone in self._zones_of_days:
                whose = f"""time_zone = {params.put(zone)} AND project_id IN (
                    SELECT project_id FROM rollup_zone
                    WHERE time_zone = {params.put(zone)} AND spans = 0)"""  # noqa: S608 - names of parameters
                time = "start_unix_ms"
                yield _within("rollup_day", time, zone, dates, wanted, sign, whose, params)
            for zone in self._zones_of_quarters:
                without = _WITHOUT_DAYS.replace(":zone", params.put(self._zone))
                whose = f"""project_id IN (
                    SELECT project_id FROM ({without}) WHERE time_zone = {params.put(zone)})"""  # noqa: S608 - names of parameters
                yield _within("rollup", "bucket_unix_ms", zone, dates, wanted, sign, whose, params)


def _of_spans(wanted: _Wanted, signed: Signed, params: _Params) -> str:
    names = ", ".join(
        f"({params.put(name)}, {sign * of_dates:d})"
        for dates, of_dates in signed
        for name, sign in signed_spans(dates)
    )
    of_zone = "(SELECT DISTINCT time_zone FROM rollup_zone) z"
    where = "s.time_zone = z.time_zone AND s.span = named.span"
    if wanted.whose:
        # One step of the index for each of them and each span, in its client's zone alone.
        of_zone = f"(VALUES {_whose(wanted, params)}) one CROSS JOIN rollup_zone z"
        where += " AND z.project_id = one.column1"
        where += "".join(f" AND s.{of} = one.column{n}" for n, of in enumerate(wanted.named, 1))
    return f"""SELECT {wanted.chosen("named.sign")}
        FROM {of_zone}
          CROSS JOIN (SELECT column1 AS span, column2 AS sign FROM (VALUES {names})) named
          CROSS JOIN {wanted.table} s
        WHERE {where}"""  # noqa: S608 - names of the store's modules


def _within(
    table: str,
    time: str,
    zone: str,
    dates: LocalDates,
    wanted: _Wanted,
    sign: int,
    whose: str,
    params: _Params,
) -> str:
    span = dates.within(zone)
    if wanted.whose:
        names = ", ".join(f"s.{name}" for name in wanted.named)
        whose += f" AND ({names}) IN (VALUES {_whose(wanted, params)})"
    return f"""SELECT {wanted.chosen(f"{sign:d}")} FROM {table} s
        WHERE {whose} AND s.{time} >= {params.put(span.start_unix_ms)}
          AND s.{time} < {params.put(span.end_unix_ms)}"""  # noqa: S608 - names of the store's modules


def _whose(wanted: _Wanted, params: _Params) -> str:
    return ", ".join(f"({', '.join(map(params.put, one))})" for one in wanted.whose)


def _usage_rows(rows: Sequence[Row], columns: Sequence[str]) -> list[UsageRow]:
    """What is not nothing: days that are taken away may leave nothing."""
    found = []
    for row in rows:
        summed = _SUMMED_OF(row)
        if any(summed):
            found.append(UsageRow(tuple([row[name] for name in columns]), Sums(*summed)))
    return found
