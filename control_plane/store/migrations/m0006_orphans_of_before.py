"""Leases that were left active when their sidecar was revoked or fenced, as versions before did.

Nobody can use them any more, and nothing would ever end them: their windows could not close. They
become orphans, and orphans of that time learn why and since when they are, as far as is known.
"""

_STOPPED = "(SELECT id FROM sidecar WHERE revoked_unix_ms > 0 OR state = 'FENCED')"

STATEMENTS = (
    f"""UPDATE period SET orphan_hold_nano_usd = orphan_hold_nano_usd + (
          SELECT COALESCE(SUM(l.granted_nano_usd - l.returned_nano_usd - l.spent_nano_usd), 0)
          FROM lease l
          WHERE l.budget_id = period.budget_id AND l.partition = period.partition
            AND l.period_id = period.period_id AND l.state = 'ACTIVE'
            AND l.sidecar_id IN {_STOPPED})""",  # noqa: S608 - a constant
    f"UPDATE lease SET state = 'ORPHANED' WHERE state = 'ACTIVE' AND sidecar_id IN {_STOPPED}",  # noqa: S608 - a constant
    """UPDATE lease SET
          orphan_cause = (SELECT CASE WHEN s.revoked_unix_ms > 0 THEN 'revoked'
            WHEN s.state = 'FENCED' AND s.epoch = lease.epoch THEN 'fenced' ELSE 'lost' END
            FROM sidecar s WHERE s.id = lease.sidecar_id),
          orphaned_unix_ms = (SELECT CASE WHEN s.revoked_unix_ms > 0 THEN s.revoked_unix_ms
            ELSE s.last_seen_unix_ms END FROM sidecar s WHERE s.id = lease.sidecar_id)
        WHERE state = 'ORPHANED' AND orphan_cause = ''""",
)
