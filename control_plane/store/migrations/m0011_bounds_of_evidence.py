"""What bounds evidence, and those who wait because of it.

Partitions that evidence alone named, how long learning stops grants, how many records of journals
that are over are booked, and how many alarms are kept.
"""

_DROPPED_ALARMS = """
CREATE TABLE dropped_alarms (
  sidecar_id TEXT NOT NULL,
  kind TEXT NOT NULL,
  dropped_count BIGINT NOT NULL,
  PRIMARY KEY (sidecar_id, kind)
)
"""

STATEMENTS = (
    """ALTER TABLE period ADD COLUMN adopted BIGINT NOT NULL DEFAULT 0
       CHECK (adopted IN (0, 1))""",
    # Until when learning stops all grants, whoever is missing; 0 when it never did.
    "ALTER TABLE meta ADD COLUMN grants_stop_until_unix_ms BIGINT NOT NULL DEFAULT 0",
    # Of a journal whose time is over: records that took nothing from its leases; those not booked.
    "ALTER TABLE cursor ADD COLUMN late_count BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE cursor ADD COLUMN dropped_count BIGINT NOT NULL DEFAULT 0",
    _DROPPED_ALARMS,
    "CREATE INDEX alarm_by_sidecar ON alarm (sidecar_id, kind, position)",
    # An overrun is known by it, however long ago its alarm was dropped.
    "CREATE INDEX charge_of_overrun ON charge (call_id) WHERE kind = 'OVERRUN'",
)
