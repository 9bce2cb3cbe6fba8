"""What bounds evidence: partitions that it alone named, and how long learning stops grants."""

STATEMENTS = (
    """ALTER TABLE period ADD COLUMN adopted BIGINT NOT NULL DEFAULT 0
       CHECK (adopted IN (0, 1))""",
    # Until when learning stops all grants, whoever is missing; 0 when it never did.
    "ALTER TABLE meta ADD COLUMN grants_stop_until_unix_ms BIGINT NOT NULL DEFAULT 0",
)
