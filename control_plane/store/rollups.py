"""The sums of the ledger as they are written: by quarter hour, by local day, by spans of days.

All grow in the transaction that books, so they never disagree. Hot: a Sync adds hundreds of rows,
each table with one statement that is run many times.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from control_plane import limits
from control_plane.core.calls import ENDED_WELL
from control_plane.core.latency import step_of
from control_plane.core.ledger import RollupKey, RollupSum
from control_plane.core.usage import LocalDay, local_day
from control_plane.store import spans
from control_plane.store.engine import Tx, Value
from control_plane.store.growing import SUMMED, upsert

_SHARED = ("key_id", "workflow", "model", "provider", "outcome")
_ADD_QUARTER = upsert("rollup", ("bucket_unix_ms", "project_id", *_SHARED))
_ADD_DAY = upsert("rollup_day", ("project_id", "start_unix_ms", *_SHARED), ("time_zone",))
_ADD_DAY_TOTAL = upsert("rollup_day_total", ("project_id", "start_unix_ms"), ("time_zone",))
_ADD_LATENCY = """
  INSERT INTO latency_day (project_id, start_unix_ms, workflow, model, provider, step, call_count)
  VALUES (:project, :start, :workflow, :model, :provider, :step, :count)
  ON CONFLICT (project_id, start_unix_ms, workflow, model, provider, step)
  DO UPDATE SET call_count = latency_day.call_count + excluded.call_count"""
STRANGERS = """
  WITH RECURSIVE booked(id) AS (
    SELECT MIN(project_id) FROM rollup
    UNION ALL
    SELECT (SELECT MIN(project_id) FROM rollup WHERE project_id > booked.id) FROM booked
    WHERE booked.id IS NOT NULL)
  SELECT id FROM booked
  WHERE id IS NOT NULL AND id NOT IN (SELECT project_id FROM rollup_zone)"""
"""Projects that something is booked of and that have no days: one step of an index for each."""
_LatencyKey = tuple[str, int, str, str, str, int]


def add(tx: Tx, sums: Mapping[RollupKey, RollupSum]) -> None:
    """Let sums grow."""
    tx.many(
        _ADD_QUARTER,
        [{"bucket_unix_ms": key.bucket_unix_ms, **_row(key, row)} for key, row in sums.items()],
    )
    kept = _kept(tx, {key.project_id for key in sums})
    zones = {project_id: zone for project_id, (zone, _) in kept.items()}
    dates: dict[tuple[str, int], str] = {}
    days: dict[RollupKey, RollupSum] = defaultdict(RollupSum)
    totals: dict[RollupKey, RollupSum] = defaultdict(RollupSum)
    for key, row in sums.items():
        zone = zones.get(key.project_id)
        if zone is not None:
            local = local_day(zone, key.bucket_unix_ms)
            day = key.at(local.start_unix_ms)
            dates[zone, local.start_unix_ms] = local.date
            days[day].add(row)
            totals[RollupKey(day.bucket_unix_ms, day.project_id)].add(row)
    tx.many(_ADD_DAY, [_day_row(key, row, zones) for key, row in days.items()])
    tx.many(_ADD_DAY_TOTAL, [_day_row(key, row, zones) for key, row in totals.items()])
    steps: dict[_LatencyKey, int] = defaultdict(int)
    for key, row in days.items():
        where = (key.project_id, key.bucket_unix_ms, key.workflow, key.model, key.provider)
        for step, count in row.latency_counts.items():
            steps[*where, step] += count
    _add_latencies(tx, steps)
    spanned = [
        (_day_of(key, zones[key.project_id], dates), row)
        for key, row in days.items()
        if kept[key.project_id][1]
    ]
    spans.add(tx, spanned)


def _day_of(key: RollupKey, zone: str, dates: Mapping[tuple[str, int], str]) -> spans.Day:
    return spans.Day(
        zone,
        dates[zone, key.bucket_unix_ms],
        key.project_id,
        key.workflow,
        key.provider,
        key.model,
        key.outcome,
    )


def zones_of(tx: Tx, project_ids: Iterable[str]) -> dict[str, str]:
    """The zones in which the days of some projects are kept; those without days have none."""
    return {project_id: zone for project_id, (zone, _) in _kept(tx, project_ids).items()}


def _kept(tx: Tx, project_ids: Iterable[str]) -> dict[str, tuple[str, bool]]:
    """The zone of projects that have days, and whether they have spans too."""
    found = {}
    for project_id in project_ids:
        row = tx.row(
            "SELECT time_zone, spans FROM rollup_zone WHERE project_id = :project",
            {"project": project_id},
        )
        if row is not None:
            found[project_id] = str(row["time_zone"]), bool(row["spans"])
    return found


def begin_days(tx: Tx, project_id: str, zone: str) -> None:
    """Keep days from now on, of a project that has nothing booked, or whose days were just made."""
    tx.run(
        "INSERT INTO rollup_zone (project_id, time_zone, spans) VALUES (:project, :zone, 1)",
        {"project": project_id, "zone": zone},
    )


def drop_days(tx: Tx, project_id: str) -> None:
    """Forget a project's days, as its zone changed; they are made anew in a while."""
    spans.drop(tx, project_id)
    for table in ("rollup_zone", "rollup_day", "rollup_day_total", "latency_day"):
        tx.run(f"DELETE FROM {table} WHERE project_id = :project", {"project": project_id})  # noqa: S608 - one of four names


def without_days(tx: Tx) -> tuple[str, str] | None:
    """A project whose days are to be made, with its zone; None when there is none."""
    row = tx.row(
        """SELECT project_id, time_zone FROM project
           WHERE project_id NOT IN (SELECT project_id FROM rollup_zone)
           ORDER BY project_id LIMIT 1"""
    )
    return (str(row["project_id"]), str(row["time_zone"])) if row is not None else None


def strangers(tx: Tx) -> bool:
    """Whether anything is booked of projects that have no days."""
    row = tx.row(f"SELECT 1 AS found WHERE EXISTS ({STRANGERS})")
    return row is not None


def make_days(tx: Tx, project_id: str, zone: str) -> None:
    """Sum all that is booked of a project by the days of a zone, and keep them from now on."""
    row = tx.row(
        """SELECT MIN(bucket_unix_ms) AS first, MAX(bucket_unix_ms) AS last FROM rollup
           WHERE project_id = :project""",
        {"project": project_id},
    )
    assert row is not None
    at, last = (0, -1) if row["first"] is None else (int(row["first"]), int(row["last"]))
    while at <= last:
        day = local_day(zone, at)
        _make_day(tx, project_id, zone, day)
        after = tx.row(
            """SELECT MIN(bucket_unix_ms) AS at FROM rollup
               WHERE project_id = :project AND bucket_unix_ms >= :end""",
            {"project": project_id, "end": day.end_unix_ms},
        )
        at = last + 1 if after is None or after["at"] is None else int(after["at"])
    begin_days(tx, project_id, zone)
    spans.make(tx, project_id, zone)


def _make_day(tx: Tx, project_id: str, zone: str, day: LocalDay) -> None:
    params: dict[str, Value] = {
        "project": project_id,
        "zone": zone,
        "start": day.start_unix_ms,
        "end": day.end_unix_ms,
    }
    shared, sums = ", ".join(_SHARED), ", ".join(SUMMED)
    bounded = ", ".join(f"SUM({name})" for name in SUMMED)
    tx.run(
        f"""INSERT INTO rollup_day (project_id, start_unix_ms, time_zone, {shared}, {sums})
            SELECT project_id, :start, :zone, {shared}, {bounded} FROM rollup
            WHERE project_id = :project AND bucket_unix_ms >= :start AND bucket_unix_ms < :end
            GROUP BY project_id, {shared}""",  # noqa: S608 - names written in this module
        params,
    )
    tx.run(
        f"""INSERT INTO rollup_day_total (project_id, start_unix_ms, time_zone, {sums})
            SELECT project_id, :start, :zone, {bounded} FROM rollup_day
            WHERE project_id = :project AND start_unix_ms = :start GROUP BY project_id""",  # noqa: S608 - names written in this module
        params,
    )
    steps: dict[_LatencyKey, int] = defaultdict(int)
    for workflow, model, provider, step, count in call_steps(
        tx, project_id, day.start_unix_ms, day.end_unix_ms
    ):
        steps[project_id, day.start_unix_ms, workflow, model, provider, step] += count
    _add_latencies(tx, steps)


def call_steps(
    tx: Tx, project_id: str, start_unix_ms: int, end_unix_ms: int
) -> Iterator[tuple[str, str, str, int, int]]:
    """Calls that ended well, by workflow, model, provider and step, from the ledger itself.

    A quarter hour at a time; of one a step may come several times.
    """
    for at in range(start_unix_ms, end_unix_ms, limits.BUCKET_MS):
        rows = tx.rows(
            """SELECT workflow, requested_model, provider, ended_unix_ms - started_unix_ms AS ms,
                 COUNT(*) AS n
               FROM call
               WHERE project_id = :project AND started_unix_ms >= :start
                 AND started_unix_ms < :end AND outcome = :well
               GROUP BY workflow, requested_model, provider, ended_unix_ms - started_unix_ms""",
            {
                "project": project_id,
                "start": at,
                "end": min(end_unix_ms, at + limits.BUCKET_MS),
                "well": ENDED_WELL,
            },
        )
        for r in rows:
            step = step_of(r["ms"])
            yield r["workflow"], r["requested_model"], r["provider"], step, int(r["n"])


def _add_latencies(tx: Tx, steps: Mapping[_LatencyKey, int]) -> None:
    names = ("project", "start", "workflow", "model", "provider", "step")
    tx.many(
        _ADD_LATENCY,
        [{**dict(zip(names, key, strict=True)), "count": n} for key, n in steps.items()],
    )


def _day_row(key: RollupKey, row: RollupSum, zones: Mapping[str, str]) -> dict[str, Value]:
    zone = zones[key.project_id]
    return {"start_unix_ms": key.bucket_unix_ms, "time_zone": zone, **_row(key, row)}


def _row(key: RollupKey, row: RollupSum) -> dict[str, Value]:
    return {
        "most": limits.ROLLUP_MAX_UNITS,
        "project_id": key.project_id,
        **{name: getattr(key, name) for name in _SHARED},
        **{name: getattr(row, name) for name in SUMMED},
    }
