"""Counters of refused calls: a refusal is no call, so it never becomes a row each.

They are kept by minute for a while, with a sample, and by quarter hour for good.
"""

from collections.abc import Iterable

from control_plane.core.ledger import bucket_of
from control_plane.core.reports import RefusalCount
from control_plane.store.engine import Tx, Value


def merge(tx: Tx, sidecar_id: str, counts: Iterable[RefusalCount]) -> None:
    """Keep the largest count of each minute; the first sample stays. Sums grow by what is new."""
    for count in counts:
        _merge(tx, sidecar_id, count)


def _merge(tx: Tx, sidecar_id: str, count: RefusalCount) -> None:
    params: dict[str, Value] = {
        "minute": count.minute_unix_ms,
        "bucket": bucket_of(count.minute_unix_ms),
        "sidecar": sidecar_id,
        "project": count.project_id,
        "key": count.key_id,
        "workflow": count.workflow,
        "model": count.model,
        "reason": count.reason,
        "budget": count.budget_id,
        "count": count.count,
        "sample": count.sample,
    }
    known = tx.row(
        """SELECT refused_count FROM refusal
           WHERE minute_unix_ms = :minute AND sidecar_id = :sidecar AND project_id = :project
             AND key_id = :key AND workflow = :workflow AND model = :model AND reason = :reason
             AND budget_id = :budget""",
        params,
    )
    more = count.count - (int(known["refused_count"]) if known is not None else 0)
    if more <= 0:
        return
    tx.run(
        """INSERT INTO refusal (minute_unix_ms, sidecar_id, project_id, key_id, workflow, model,
             reason, budget_id, refused_count, sample)
           VALUES (:minute, :sidecar, :project, :key, :workflow, :model, :reason, :budget, :count,
             :sample)
           ON CONFLICT (minute_unix_ms, sidecar_id, project_id, key_id, workflow, model, reason,
             budget_id)
           DO UPDATE SET refused_count = excluded.refused_count""",
        params,
    )
    tx.run(
        """INSERT INTO refusal_rollup (project_id, bucket_unix_ms, key_id, workflow, model, reason,
             budget_id, refused_count)
           VALUES (:project, :bucket, :key, :workflow, :model, :reason, :budget, :more)
           ON CONFLICT (project_id, bucket_unix_ms, key_id, workflow, model, reason, budget_id)
           DO UPDATE SET refused_count = refusal_rollup.refused_count + excluded.refused_count""",
        {**params, "more": more},
    )


def drop_before(tx: Tx, minute_unix_ms: int) -> int:
    """Forget old counters; how many were dropped."""
    return tx.run("DELETE FROM refusal WHERE minute_unix_ms < :minute", {"minute": minute_unix_ms})
