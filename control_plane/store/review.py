"""What a monthly review reads beside the sums: one query each over all clients."""

from collections.abc import Mapping

from control_plane import limits
from control_plane.core.review import Cap, Raise, UnusedKey
from control_plane.core.statements import State
from control_plane.store.engine import Tx


def spent_of_caps(tx: Tx, period_id: str) -> Mapping[str, Cap]:
    """What whole periods of a name came to, by budget; those without a cap are left out."""
    rows = tx.rows(
        """SELECT budget_id, cap_nano_usd, spent_nano_usd FROM period
           WHERE period_id = :period AND partition = '' AND cap_nano_usd IS NOT NULL""",
        {"period": period_id},
    )
    return {row["budget_id"]: Cap(row["cap_nano_usd"], row["spent_nano_usd"]) for row in rows}


def alert_counts(tx: Tx, start_unix_ms: int, end_unix_ms: int) -> Mapping[str, int]:
    """Alerts that were told within a time, by project."""
    rows = tx.rows(
        """SELECT project_id, COUNT(*) AS n FROM alert
           WHERE opened_unix_ms >= :start AND opened_unix_ms < :end AND state <> 'PENDING'
           GROUP BY project_id""",
        {"start": start_unix_ms, "end": end_unix_ms},
    )
    return {row["project_id"]: int(row["n"]) for row in rows}


def statement_states(tx: Tx, month: str) -> Mapping[str, State]:
    """How far the newest statement of a month is, by project."""
    rows = tx.rows(
        "SELECT project_id, state FROM statement WHERE month = :month ORDER BY project_id, version",
        {"month": month},
    )
    return {row["project_id"]: State(row["state"]) for row in rows}


def raises(
    tx: Tx, before_unix_ms: int, start_unix_ms: int, end_unix_ms: int, names: Mapping[str, str]
) -> tuple[Raise, ...]:
    """Caps that were raised within a time, newest first; counted from an earlier instant on."""
    rows = tx.rows(
        """SELECT c.budget_id, c.period_id, c.old_cap_nano_usd, c.new_cap_nano_usd, c.actor,
             c.reason, c.changed_unix_ms, b.display_name, b.project_id
           FROM cap_change c JOIN budget b ON b.budget_id = c.budget_id
           WHERE c.changed_unix_ms >= :before AND c.changed_unix_ms < :end
             AND c.cap_version > 1 AND c.old_cap_nano_usd IS NOT NULL
             AND (c.new_cap_nano_usd IS NULL OR c.new_cap_nano_usd > c.old_cap_nano_usd)
           ORDER BY c.changed_unix_ms DESC, c.budget_id, c.cap_version LIMIT :limit""",
        {"before": before_unix_ms, "end": end_unix_ms, "limit": limits.USAGE_ROWS_MAX},
    )
    counts: dict[str, int] = {}
    for row in rows:
        counts[row["budget_id"]] = counts.get(row["budget_id"], 0) + 1
    found = [
        Raise(
            budget_id=row["budget_id"],
            budget=row["display_name"],
            project_id=row["project_id"],
            old_nano_usd=row["old_cap_nano_usd"],
            new_nano_usd=row["new_cap_nano_usd"],
            by=names.get(row["actor"], row["actor"]),
            reason=row["reason"],
            at_unix_ms=row["changed_unix_ms"],
            is_for_period=bool(row["period_id"]),
            raise_count=counts[row["budget_id"]],
        )
        for row in rows
        if row["changed_unix_ms"] >= start_unix_ms
    ]
    return tuple(found[: limits.REVIEW_ROWS_MAX])


def unused_keys(tx: Tx, since_unix_ms: int) -> tuple[UnusedKey, ...]:
    """Keys that are older than an instant and were not used since, the longest unused first.

    A secret's mark and the sums by day both say whether it was; either is enough.
    """
    rows = tx.rows(
        """SELECT k.key_id, k.display_name, k.project_id,
             COALESCE(MAX(s.last_used_unix_ms), 0) AS used
           FROM api_key k JOIN project p ON p.project_id = k.project_id
             LEFT JOIN key_secret s ON s.key_id = k.key_id
           WHERE k.revoked_unix_ms IS NULL AND k.created_unix_ms < :since
             AND p.state <> 'ARCHIVED' AND NOT EXISTS (
               SELECT 1 FROM rollup_day d WHERE d.project_id = k.project_id
                 AND d.start_unix_ms >= :since AND d.key_id = k.key_id)
           GROUP BY k.key_id, k.display_name, k.project_id
           HAVING COALESCE(MAX(s.last_used_unix_ms), 0) < :since
           ORDER BY used, k.key_id LIMIT :limit""",
        {"since": since_unix_ms, "limit": limits.REVIEW_ROWS_MAX},
    )
    return tuple(
        UnusedKey(row["key_id"], row["display_name"], row["project_id"], int(row["used"]))
        for row in rows
    )
