"""Counters of refused calls: a refusal is no call, so it never becomes a row each."""

from collections.abc import Iterable

from control_plane.core.reports import RefusalCount
from control_plane.store.engine import Tx


def merge(tx: Tx, sidecar_id: str, counts: Iterable[RefusalCount]) -> None:
    """Keep the largest count of each minute; the first sample stays."""
    tx.many(
        """INSERT INTO refusal (minute_unix_ms, sidecar_id, project_id, key_id, workflow, model,
             reason, budget_id, refused_count, sample)
           VALUES (:minute, :sidecar, :project, :key, :workflow, :model, :reason, :budget, :count,
             :sample)
           ON CONFLICT (minute_unix_ms, sidecar_id, project_id, key_id, workflow, model, reason,
             budget_id)
           DO UPDATE SET refused_count = CASE
             WHEN excluded.refused_count > refusal.refused_count THEN excluded.refused_count
             ELSE refusal.refused_count END""",
        [
            {
                "minute": count.minute_unix_ms,
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
            for count in counts
            if count.count > 0
        ],
    )


def drop_before(tx: Tx, minute_unix_ms: int) -> int:
    """Forget old counters; how many were dropped."""
    return tx.run("DELETE FROM refusal WHERE minute_unix_ms < :minute", {"minute": minute_unix_ms})
