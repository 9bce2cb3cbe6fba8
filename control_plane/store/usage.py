"""Sums over the roll-ups."""

from collections.abc import Sequence

from control_plane import limits
from control_plane.core.usage import Grouping, Stretch, Sums, UsageRow
from control_plane.store.engine import Tx

_COLUMNS = {
    "project": "project_id",
    "workflow": "workflow",
    "model": "model",
    "key": "key_id",
    "provider": "provider",
    "outcome": "outcome",
}


def sums(
    tx: Tx, stretch: Stretch, group_by: Sequence[Grouping], *, project_id: str
) -> list[UsageRow]:
    """The sums of one stretch of time, one row for every set of values that occurs in it."""
    columns = [_COLUMNS[name] for name in group_by if name != "day"]
    chosen = ", ".join(f"{column} AS g{number}" for number, column in enumerate(columns))
    grouped = ", ".join(columns)
    rows = tx.rows(
        # Only names of the table above are put in; every value is a parameter.
        f"""SELECT {chosen + ", " if chosen else ""}
             COALESCE(SUM(call_count), 0) AS calls,
             COALESCE(SUM(failed_count), 0) AS failed,
             COALESCE(SUM(estimated_count), 0) AS estimated,
             COALESCE(SUM(input_count), 0) AS input,
             COALESCE(SUM(output_count), 0) AS output,
             COALESCE(SUM(cost_nano_usd), 0) AS cost,
             COALESCE(SUM(charge_nano_usd), 0) AS charge,
             COALESCE(SUM(charged_cost_nano_usd), 0) AS charged_cost
           FROM rollup
           WHERE bucket_unix_ms >= :start AND bucket_unix_ms < :end
             AND (:project = '' OR project_id = :project)
           {"GROUP BY " + grouped if grouped else ""}
           LIMIT :limit""",  # noqa: S608 - names come from a table in this module
        {
            "start": stretch.start_unix_ms,
            "end": stretch.end_unix_ms,
            "project": project_id,
            "limit": limits.USAGE_ROWS_MAX + 1,
        },
    )
    found = []
    for row in rows:
        values = iter([row[f"g{number}"] for number in range(len(columns))])
        group = tuple(stretch.day if name == "day" else next(values) for name in group_by)
        total = Sums(
            call_count=int(row["calls"]),
            failed_count=int(row["failed"]),
            estimated_count=int(row["estimated"]),
            input_count=int(row["input"]),
            output_count=int(row["output"]),
            cost_nano_usd=int(row["cost"]),
            charge_nano_usd=int(row["charge"]),
            charged_cost_nano_usd=int(row["charged_cost"]),
        )
        if total != Sums():
            found.append(UsageRow(group, total))
    return found
