"""What the rules of alerts look at: sums and rows of periods, never rows of calls.

Every query is bounded by an index and by how much can have changed: an evaluation of 500 clients
must be cheap enough for twice a minute.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from control_plane import limits
from control_plane.core.alert_health import Answers, OrphanSeen, SidecarSeen
from control_plane.core.alert_money import LONG_PACE_MS, SHORT_PACE_MS, Pace
from control_plane.core.alerts import DAY_MS
from control_plane.core.leases import PeriodKey
from control_plane.core.ledger import bucket_of
from control_plane.store.engine import Row, Tx, Value

REFUSED_FOR_MONEY = ("exhausted", "too_large")
"""Reasons of refusals that mean that a cap is reached, in the words of sidecars."""


@dataclass(frozen=True, slots=True)
class CappedPeriod:
    """An open period with a cap, and how fast it is spent."""

    key: PeriodKey
    project_id: str
    client: str
    budget: str
    split_by: str
    cap_nano_usd: int
    cap_version: int
    spent_nano_usd: int
    start_unix_ms: int
    end_unix_ms: int | None
    pace: Pace
    noted_unix_ms: int
    """When its spend was last noted; 0 for never."""
    noted_nano_usd: int


@dataclass(frozen=True, slots=True)
class RefusedLately:
    """Calls of one key and workflow that a budget refused in the last minutes."""

    budget_id: str
    key_id: str
    workflow: str
    reason: str
    refused_count: int
    first_unix_ms: int
    last_unix_ms: int


@dataclass(frozen=True, slots=True)
class ModelUse:
    """What a client used of a model."""

    provider: str
    model: str
    cost_nano_usd: int
    input_count: int
    output_count: int


def _paced(what: str, order: str = "DESC", until: str = "") -> str:
    """The column of the last note of a period's spend up to an instant, or of its first."""
    return f"""(SELECT {what} FROM pace WHERE pace.budget_id = period.budget_id
      AND pace.partition = period.partition AND pace.period_id = period.period_id
      {until} ORDER BY pace.at_unix_ms {order} LIMIT 1)"""  # noqa: S608 - names of this module


_SEEN = "AND at_unix_ms >= :since"
_SHORT = f"{_SEEN} AND at_unix_ms <= :short"
_LONG = f"{_SEEN} AND at_unix_ms <= :long"
_CAPPED = f"""
  SELECT period.*, budget.display_name AS budget_name, budget.project_id AS project_id,
    budget.split_by AS split_by, COALESCE(project.display_name, '') AS client,
    {_paced("at_unix_ms")} AS noted_at,
    {_paced("spent_nano_usd")} AS noted,
    {_paced("spent_nano_usd", "ASC", _SEEN)} AS first_noted,
    {_paced("at_unix_ms", until=_SHORT)} AS short_at,
    {_paced("spent_nano_usd", until=_SHORT)} AS short_noted,
    {_paced("spent_nano_usd", until=_LONG)} AS long_noted
  FROM period JOIN budget ON budget.budget_id = period.budget_id
  LEFT JOIN project ON project.project_id = budget.project_id
  WHERE period.state = 'OPEN' AND period.cap_nano_usd IS NOT NULL
    AND budget.archived_unix_ms IS NULL
    AND (period.end_unix_ms IS NULL OR period.end_unix_ms > :now)
  ORDER BY period.budget_id, period.partition"""  # noqa: S608 - names of this module


def capped_periods(tx: Tx, watched_since_unix_ms: int, now_unix_ms: int) -> list[CappedPeriod]:
    """Every open period with a cap that runs now.

    What was spent before it was watched was spent nobody knows when, and is in no pace: else all
    that was told after an outage would look like a runaway.
    """
    rows = tx.rows(
        _CAPPED,
        {
            "now": now_unix_ms,
            "since": watched_since_unix_ms,
            "short": max(watched_since_unix_ms, now_unix_ms - SHORT_PACE_MS),
            "long": max(watched_since_unix_ms, now_unix_ms - LONG_PACE_MS),
        },
    )
    return [_capped(row, watched_since_unix_ms, now_unix_ms) for row in rows]


def _capped(row: Row, watched_since_unix_ms: int, now_unix_ms: int) -> CappedPeriod:
    spent = int(row["spent_nano_usd"])
    # A period that began while it was watched began with nothing.
    fresh = row["start_unix_ms"] > max(watched_since_unix_ms, now_unix_ms - LONG_PACE_MS)
    unseen = 0 if fresh else (spent if row["first_noted"] is None else int(row["first_noted"]))
    long_before = unseen if row["long_noted"] is None else int(row["long_noted"])
    short_before = unseen if row["short_noted"] is None else int(row["short_noted"])
    since = SHORT_PACE_MS
    if row["short_at"] is not None:
        seen_ms = now_unix_ms - int(row["short_at"])
        since = seen_ms if seen_ms <= 2 * SHORT_PACE_MS else SHORT_PACE_MS
    return CappedPeriod(
        key=PeriodKey(row["budget_id"], row["partition"], row["period_id"]),
        project_id=row["project_id"],
        client=row["client"],
        budget=row["budget_name"],
        split_by=row["split_by"],
        cap_nano_usd=row["cap_nano_usd"],
        cap_version=row["cap_version"],
        spent_nano_usd=spent,
        start_unix_ms=row["start_unix_ms"],
        end_unix_ms=row["end_unix_ms"],
        pace=Pace(max(0, spent - short_before), since, max(0, spent - long_before)),
        noted_unix_ms=row["noted_at"] or 0,
        noted_nano_usd=row["noted"] or 0,
    )


def note_spent(tx: Tx, notes: Mapping[PeriodKey, int], at_unix_ms: int) -> None:
    """Note what periods have spent by now."""
    tx.many(
        """INSERT INTO pace (budget_id, partition, period_id, at_unix_ms, spent_nano_usd)
           VALUES (:budget, :partition, :period, :at, :spent)
           ON CONFLICT (budget_id, partition, period_id, at_unix_ms)
           DO UPDATE SET spent_nano_usd = excluded.spent_nano_usd""",
        [
            {
                "budget": key.budget_id,
                "partition": key.partition,
                "period": key.period_id,
                "at": at_unix_ms,
                "spent": spent,
            }
            for key, spent in notes.items()
        ],
    )


def forget_spent(tx: Tx, before_unix_ms: int) -> int:
    """Forget notes that a later, old enough one stands in for, and those of closed periods."""
    return tx.run(
        """DELETE FROM pace WHERE at_unix_ms < :before AND (
             EXISTS (SELECT 1 FROM pace AS later WHERE later.budget_id = pace.budget_id
               AND later.partition = pace.partition AND later.period_id = pace.period_id
               AND later.at_unix_ms > pace.at_unix_ms AND later.at_unix_ms <= :before)
             OR NOT EXISTS (SELECT 1 FROM period WHERE period.budget_id = pace.budget_id
               AND period.partition = pace.partition AND period.period_id = pace.period_id
               AND period.state = 'OPEN'))""",
        {"before": before_unix_ms},
    )


def refused_since(tx: Tx, since_unix_ms: int) -> list[RefusedLately]:
    """Calls that were refused because a cap was reached, in the minutes since an instant."""
    rows = tx.rows(
        """SELECT budget_id, key_id, workflow, reason, SUM(refused_count) AS n,
             MIN(minute_unix_ms) AS first, MAX(minute_unix_ms) AS last
           FROM refusal WHERE minute_unix_ms >= :since AND reason IN (:exhausted, :too_large)
           GROUP BY budget_id, key_id, workflow, reason""",
        {
            "since": since_unix_ms,
            "exhausted": REFUSED_FOR_MONEY[0],
            "too_large": REFUSED_FOR_MONEY[1],
        },
    )
    return [
        RefusedLately(
            row["budget_id"],
            row["key_id"],
            row["workflow"],
            row["reason"],
            int(row["n"]),
            row["first"],
            row["last"],
        )
        for row in rows
    ]


def refused_at_cap(
    tx: Tx, period: CappedPeriod, since_unix_ms: int, now_unix_ms: int
) -> tuple[int, int]:
    """How many calls one period refused since an instant, and when the first was.

    By minutes up to the next quarter hour and by quarter hours after it, so that a raise cuts where
    it was made; of a budget of the whole agency by minutes, and of one day.
    """
    edge = bucket_of(since_unix_ms) + limits.BUCKET_MS
    if not period.project_id:
        edge = now_unix_ms + 1
        since_unix_ms = max(since_unix_ms, now_unix_ms - DAY_MS)
    params: dict[str, Value] = {
        "budget": period.key.budget_id,
        "project": period.project_id,
        "since": since_unix_ms,
        "edge": edge,
        "exhausted": REFUSED_FOR_MONEY[0],
        "too_large": REFUSED_FOR_MONEY[1],
        "key": period.key.partition if period.split_by == "key" else "",
        "workflow": period.key.partition if period.split_by == "workflow" else "",
    }
    narrowed = """budget_id = :budget AND reason IN (:exhausted, :too_large)
      AND (:key = '' OR key_id = :key) AND (:workflow = '' OR workflow = :workflow)"""
    minutes = tx.row(
        f"""SELECT SUM(refused_count) AS n, MIN(minute_unix_ms) AS first FROM refusal
            WHERE minute_unix_ms >= :since AND minute_unix_ms < :edge AND {narrowed}""",  # noqa: S608 - a constant
        params,
    )
    quarters = tx.row(
        f"""SELECT SUM(refused_count) AS n, MIN(bucket_unix_ms) AS first FROM refusal_rollup
            WHERE project_id = :project AND bucket_unix_ms >= :edge AND {narrowed}""",  # noqa: S608 - a constant
        params,
    )
    found = [row for row in (minutes, quarters) if row is not None and row["n"]]
    return sum(int(row["n"]) for row in found), min((row["first"] for row in found), default=0)


def cap_decided_unix_ms(tx: Tx, budget_id: str, cap_version: int) -> int:
    """When a version of a cap was decided; 0 for the first, which every period began with."""
    row = tx.row(
        """SELECT changed_unix_ms FROM cap_change
           WHERE budget_id = :budget AND cap_version = :version AND cap_version > 1""",
        {"budget": budget_id, "version": cap_version},
    )
    return 0 if row is None else int(row["changed_unix_ms"])


def answers(
    tx: Tx, windows_ms: Sequence[int], now_unix_ms: int, failed_min: int
) -> list[tuple[str, str, str, dict[int, Answers]]]:
    """How calls ended, by client, workflow and provider, in windows up to now.

    Windows are whole quarter hours beside the one that runs. Only where something failed.
    """
    now = bucket_of(now_unix_ms)
    sums = "".join(
        f", SUM(CASE WHEN bucket_unix_ms >= :from{n} THEN call_count ELSE 0 END) AS c{n}"
        f", SUM(CASE WHEN bucket_unix_ms >= :from{n} THEN failed_count ELSE 0 END) AS f{n}"
        for n in range(len(windows_ms))
    )
    rows = tx.rows(
        f"""SELECT project_id, workflow, provider{sums} FROM rollup
            WHERE bucket_unix_ms >= :first
            GROUP BY project_id, workflow, provider
            HAVING SUM(failed_count) >= :least""",  # noqa: S608 - columns written above
        {
            "first": now - max(windows_ms),
            "least": failed_min,
            **{f"from{place}": now - window for place, window in enumerate(windows_ms)},
        },
    )
    return [
        (
            row["project_id"],
            row["workflow"],
            row["provider"],
            {
                window: Answers(int(row[f"c{place}"]), int(row[f"f{place}"]))
                for place, window in enumerate(windows_ms)
            },
        )
        for row in rows
    ]


def speaking_sidecars(tx: Tx) -> list[SidecarSeen]:
    """Sidecars that registered, and were neither drained, fenced nor revoked."""
    rows = tx.rows(
        """SELECT id, display_name, last_seen_unix_ms, project_ids_json FROM sidecar
           WHERE state = 'ACTIVE' AND revoked_unix_ms = 0 ORDER BY id"""
    )
    return [
        SidecarSeen(
            row["id"],
            row["display_name"],
            tuple(json.loads(row["project_ids_json"])),
            row["last_seen_unix_ms"],
        )
        for row in rows
    ]


def orphaned(tx: Tx) -> list[OrphanSeen]:
    """Money of lost journals that nobody has decided about, by sidecar."""
    rows = tx.rows(
        """SELECT lease.sidecar_id AS id, COALESCE(MAX(sidecar.display_name), lease.sidecar_id)
             AS name, COUNT(*) AS n, SUM(granted_nano_usd - returned_nano_usd
               - lease.spent_nano_usd - lump_nano_usd - released_nano_usd) AS held
           FROM lease LEFT JOIN sidecar ON sidecar.id = lease.sidecar_id
           WHERE lease.state = 'ORPHANED' AND granted_nano_usd - returned_nano_usd
             - lease.spent_nano_usd - lump_nano_usd - released_nano_usd > 0
           GROUP BY lease.sidecar_id"""
    )
    return [OrphanSeen(row["id"], row["name"], int(row["held"]), int(row["n"])) for row in rows]


def charged(tx: Tx, project_id: str, since_unix_ms: int) -> tuple[int, int]:
    """What a client's charged calls cost since an instant, and what it was charged for them."""
    row = tx.row(
        """SELECT SUM(charged_cost_nano_usd) AS cost, SUM(charge_nano_usd) AS charge FROM rollup
           WHERE project_id = :project AND bucket_unix_ms >= :since""",
        {"project": project_id, "since": since_unix_ms},
    )
    assert row is not None
    return int(row["cost"] or 0), int(row["charge"] or 0)


def models_used(tx: Tx, project_id: str, since_unix_ms: int) -> list[ModelUse]:
    """What a client used of each model since an instant."""
    rows = tx.rows(
        """SELECT provider, model, SUM(cost_nano_usd) AS cost, SUM(input_count) AS input,
             SUM(output_count) AS output FROM rollup
           WHERE project_id = :project AND bucket_unix_ms >= :since
           GROUP BY provider, model ORDER BY provider, model""",
        {"project": project_id, "since": since_unix_ms},
    )
    return [
        ModelUse(
            row["provider"], row["model"], int(row["cost"]), int(row["input"]), int(row["output"])
        )
        for row in rows
    ]


def latency_of_day(
    tx: Tx, project_id: str, start_unix_ms: int, end_unix_ms: int
) -> dict[str, dict[int, int]]:
    """How many calls took how long, by workflow and step, on the local days in a span."""
    rows = tx.rows(
        """SELECT workflow, step, SUM(call_count) AS n FROM latency_day
           WHERE project_id = :project AND start_unix_ms >= :start AND start_unix_ms < :end
           GROUP BY workflow, step""",
        {"project": project_id, "start": start_unix_ms, "end": end_unix_ms},
    )
    found: dict[str, dict[int, int]] = {}
    for row in rows:
        found.setdefault(row["workflow"], {})[int(row["step"])] = int(row["n"])
    return found
