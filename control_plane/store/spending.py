"""What was spent hour by hour, summed from the roll-ups."""

from control_plane.core.forecast import HISTORY_DAYS, HOUR_MS, History
from control_plane.store.engine import Tx, Value
from protos.values.selectors import Selector


def hourly(tx: Tx, selector: Selector, time_zone: str, now_unix_ms: int) -> History:
    """The whole hours before an instant in which a selector's calls began, as forecasts want them.

    From the first hour that had any spend, at most HISTORY_DAYS back; one row is read for each
    quarter hour and combination of key, workflow, model, provider and outcome. Roll-ups know no
    region: a selector of one gets an empty history, never another region's.
    """
    end = now_unix_ms // HOUR_MS * HOUR_MS
    start = end - HISTORY_DAYS * 24 * HOUR_MS
    if selector.region:
        return History(end, (), time_zone)
    named: dict[str, Value] = {
        "project_id": selector.project_id,
        "key_id": selector.key_id,
        "workflow": selector.workflow,
        "model": selector.model,
    }
    narrowed = "".join(f" AND {column} = :{column}" for column, value in named.items() if value)
    rows = tx.rows(
        # Only names of columns that stand above are put in; every value is a parameter.
        f"""SELECT bucket_unix_ms / :hour AS hour, SUM(cost_nano_usd) AS cost FROM rollup
           WHERE bucket_unix_ms >= :start AND bucket_unix_ms < :end{narrowed}
           GROUP BY bucket_unix_ms / :hour ORDER BY hour""",  # noqa: S608 - see above
        {"hour": HOUR_MS, "start": start, "end": end, **named},
    )
    if not rows:
        return History(end, (), time_zone)
    first = int(rows[0]["hour"])
    found = [0] * (end // HOUR_MS - first)
    for row in rows:
        found[int(row["hour"]) - first] = int(row["cost"])
    return History(first * HOUR_MS, tuple(found), time_zone)
