"""Sums of what is asked about all clients: by month, five days and day, and by task.

They grow with the days that they are made of, in the transaction that books, and so never disagree
with them. A span is named by local dates (`core.usage.spans_of`), so a month of one client lies
beside the same month of all others of its zone, and a page reads a few thousand rows where days
would be hundreds of thousands. Sums by task hold no client: saying what a workflow does moves its
own from one task to another.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from control_plane import limits
from control_plane.core.ledger import RollupSum
from control_plane.core.usage import local_day, spans_of
from control_plane.store.engine import Tx, Value
from control_plane.store.growing import SUMMED, upsert, upsert_from

SPAN_PROJECTS_MAX = 10
"""Projects of an earlier version whose spans a round of housekeeping makes."""
TABLES = {
    "span_total": ("provider", "model", "outcome"),
    "span_model": ("project_id", "provider", "model", "outcome"),
    "span_workflow": ("project_id", "workflow", "provider", "model"),
}
"""What rows of a span are apart by; the first ones have fewer of them. A zone has its own rows."""
_OF_PROJECTS = [table for table, key in TABLES.items() if "project_id" in key]
_ADD = {table: upsert(table, ("time_zone", "span", *key)) for table, key in TABLES.items()}
_BOUNDED = ", ".join(f"SUM({name})" for name in SUMMED)
_FILL = {
    table: upsert_from(
        table,
        ("time_zone", "span", *key),
        f"""SELECT :zone, :span, {", ".join(key)}, {_BOUNDED} FROM rollup_day
            WHERE project_id = :project AND start_unix_ms >= :first AND start_unix_ms <= :last
            GROUP BY {", ".join(key)}""",  # noqa: S608 - names written in this module
    )
    for table, key in TABLES.items()
}
_TAKE_OUT = upsert_from(
    "span_total",
    ("time_zone", "span", *TABLES["span_total"]),
    f"""SELECT time_zone, span, provider, model, outcome, {", ".join(f"-{name}" for name in SUMMED)}
        FROM span_model WHERE time_zone = :zone AND span = :span AND project_id = :project""",  # noqa: S608 - names written in this module
)
_TASK_KEY = ("span", "task", "provider", "model")
_ADD_TASK = upsert("task_span", _TASK_KEY)
_OF_PROJECT = """LEFT JOIN workflow_task t
    ON t.project_id = d.project_id AND t.workflow = d.workflow
  WHERE d.project_id = :project AND d.start_unix_ms >= :first AND d.start_unix_ms <= :last
    AND d.workflow <> '' AND (:workflow = '' OR d.workflow = :workflow)
  GROUP BY COALESCE(t.task, d.workflow), d.provider, d.model"""
_MOVE_TASK = upsert_from(
    "task_span",
    _TASK_KEY,
    f"""SELECT :span, COALESCE(t.task, d.workflow), d.provider, d.model,
          {", ".join(f":sign * SUM(d.{name})" for name in SUMMED)}
        FROM rollup_day d {_OF_PROJECT}""",  # noqa: S608 - names written in this module
)
_GROWN_LATENCY = """
  ON CONFLICT (span, task, provider, model, step)
  DO UPDATE SET call_count = task_latency.call_count + excluded.call_count"""
_ADD_LATENCY = f"""
  INSERT INTO task_latency (span, task, provider, model, step, call_count)
  VALUES (:span, :task, :provider, :model, :step, :count) {_GROWN_LATENCY}"""  # noqa: S608 - written above
_MOVE_LATENCY = f"""
  INSERT INTO task_latency (span, task, provider, model, step, call_count)
  SELECT :span, COALESCE(t.task, d.workflow), d.provider, d.model, d.step,
    :sign * SUM(d.call_count)
  FROM latency_day d {_OF_PROJECT}, d.step {_GROWN_LATENCY}"""  # noqa: S608 - written above


@dataclass(frozen=True, slots=True)
class Day:
    """What a sum of one local day is of."""

    time_zone: str
    date: str
    project_id: str
    workflow: str
    provider: str
    model: str
    outcome: str


def add(tx: Tx, days: Iterable[tuple[Day, RollupSum]]) -> None:
    """Let the spans and the tasks of days grow, of projects whose spans are kept."""
    by_table: dict[str, dict[tuple[str, ...], RollupSum]] = {
        table: defaultdict(RollupSum) for table in TABLES
    }
    by_task: dict[tuple[str, str, str, str], RollupSum] = defaultdict(RollupSum)
    tasks: dict[tuple[str, str], str] = {}
    for day, row in days:
        for table, key in TABLES.items():
            of = tuple(getattr(day, name) for name in key)
            for span in spans_of(day.date):
                by_table[table][day.time_zone, span, *of].add(row)
        if day.workflow:
            pair = day.project_id, day.workflow
            if pair not in tasks:
                tasks[pair] = _task_of(tx, *pair)
            five = spans_of(day.date)[1]
            by_task[five, tasks[pair], day.provider, day.model].add(row)
    for table, key in TABLES.items():
        names = ("time_zone", "span", *key)
        tx.many(_ADD[table], [_row(names, of, row) for of, row in by_table[table].items()])
    tx.many(_ADD_TASK, [_row(_TASK_KEY, of, row) for of, row in by_task.items()])
    tx.many(
        _ADD_LATENCY,
        [
            {**dict(zip(_TASK_KEY, of, strict=True)), "step": step, "count": count}
            for of, row in by_task.items()
            for step, count in row.latency_counts.items()
        ],
    )


def _task_of(tx: Tx, project_id: str, workflow: str) -> str:
    row = tx.row(
        "SELECT task FROM workflow_task WHERE project_id = :project AND workflow = :workflow",
        {"project": project_id, "workflow": workflow},
    )
    return workflow if row is None else str(row["task"])


def _row(names: Sequence[str], of: Sequence[str], row: RollupSum) -> dict[str, Value]:
    sums: dict[str, Value] = {name: getattr(row, name) for name in SUMMED}
    return {"most": limits.ROLLUP_MAX_UNITS, **dict(zip(names, of, strict=True)), **sums}


def make(tx: Tx, project_id: str, zone: str) -> None:
    """Sum all days of a project, and keep its spans from now on."""
    params: dict[str, Value] = {
        "most": limits.ROLLUP_MAX_UNITS,
        "project": project_id,
        "zone": zone,
    }
    for span, (first, last) in _spans(tx, project_id, zone).items():
        for fill in _FILL.values():
            tx.run(fill, {**params, "span": span, "first": first, "last": last})
    move_tasks(tx, project_id, zone, "", 1)
    tx.run("UPDATE rollup_zone SET spans = 1 WHERE project_id = :project", {"project": project_id})


def make_some(tx: Tx) -> None:
    """Make the spans of projects that an earlier version left without, some at a time."""
    rows = tx.rows(
        """SELECT project_id, time_zone FROM rollup_zone WHERE spans = 0
           ORDER BY project_id LIMIT :limit""",
        {"limit": SPAN_PROJECTS_MAX},
    )
    for row in rows:
        make(tx, row["project_id"], row["time_zone"])


def drop(tx: Tx, project_id: str) -> None:
    """Forget a project's spans, before its days."""
    row = tx.row(
        "SELECT time_zone FROM rollup_zone WHERE project_id = :project AND spans = 1",
        {"project": project_id},
    )
    if row is None:
        return
    zone = str(row["time_zone"])
    move_tasks(tx, project_id, zone, "", -1)
    of: dict[str, Value] = {"project": project_id, "zone": zone, "most": limits.ROLLUP_MAX_UNITS}
    names = [{**of, "span": span} for span in _spans(tx, project_id, zone)]
    tx.many(_TAKE_OUT, names)
    for table in _OF_PROJECTS:
        tx.many(
            f"""DELETE FROM {table} WHERE time_zone = :zone AND span = :span
                AND project_id = :project""",  # noqa: S608 - one of two names
            names,
        )


def move_tasks(tx: Tx, project_id: str, zone: str, workflow: str, sign: int) -> None:
    """Take what a workflow's days are out of its task (-1), or put it in (1); "" for all."""
    for span, (first, last) in _spans(tx, project_id, zone).items():
        if "/" in span:
            params: dict[str, Value] = {"project": project_id, "workflow": workflow, "sign": sign}
            params |= {"span": span, "first": first, "last": last}
            tx.run(_MOVE_TASK, {**params, "most": limits.ROLLUP_MAX_UNITS})
            tx.run(_MOVE_LATENCY, params)


def move_workflow(tx: Tx, project_id: str, workflow: str, sign: int) -> None:
    """The same of one workflow of a project, if its spans are kept."""
    row = tx.row(
        "SELECT time_zone FROM rollup_zone WHERE project_id = :project AND spans = 1",
        {"project": project_id},
    )
    if row is not None:
        move_tasks(tx, project_id, str(row["time_zone"]), workflow, sign)


def are_all_kept(tx: Tx) -> bool:
    """Whether the spans of every project that has days are."""
    return (
        tx.row("SELECT 1 AS found WHERE EXISTS (SELECT 1 FROM rollup_zone WHERE spans = 0)") is None
    )


def are_kept(tx: Tx, zone: str, project_ids: Iterable[str] = ()) -> bool:
    """Whether the spans of all projects of a zone are; or of those that are named."""
    rows = tx.rows(
        "SELECT project_id FROM rollup_zone WHERE time_zone = :zone AND spans = 0", {"zone": zone}
    )
    without = {row["project_id"] for row in rows}
    named = set(project_ids)
    return not (without & named if named else without)


def _spans(tx: Tx, project_id: str, zone: str) -> Mapping[str, tuple[int, int]]:
    """The spans in which a project has days, each with the first and the last of them."""
    found: dict[str, tuple[int, int]] = {}
    rows = tx.rows(
        """SELECT start_unix_ms FROM rollup_day_total WHERE project_id = :project
           ORDER BY start_unix_ms""",
        {"project": project_id},
    )
    for row in rows:
        at = int(row["start_unix_ms"])
        for span in spans_of(local_day(zone, at).date):
            found[span] = found.get(span, (at, at))[0], at
    return found
