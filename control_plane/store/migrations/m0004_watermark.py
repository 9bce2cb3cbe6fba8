"""Restored databases: how far this one has got, and what may have been granted beyond it."""

STATEMENTS = (
    # Rises with every commit; the watermark remembers it, so an old copy is recognised.
    "ALTER TABLE meta ADD COLUMN change_no BIGINT NOT NULL DEFAULT 0 CHECK (change_no >= 0)",
    # Empty until a watermark was begun for this database.
    "ALTER TABLE meta ADD COLUMN watermark_id TEXT NOT NULL DEFAULT ''",
    # Grants that may have been made beyond this database and that no sidecar has shown yet.
    """ALTER TABLE period ADD COLUMN unclaimed_nano_usd BIGINT NOT NULL DEFAULT 0
       CHECK (unclaimed_nano_usd >= 0)""",
    # A person said that learning need not wait for it.
    "ALTER TABLE sidecar ADD COLUMN excused_generation BIGINT NOT NULL DEFAULT 0",
)
