"""What bounds evidence: which partitions were made by it alone."""

STATEMENTS = (
    """ALTER TABLE period ADD COLUMN adopted BIGINT NOT NULL DEFAULT 0
       CHECK (adopted IN (0, 1))""",
)
