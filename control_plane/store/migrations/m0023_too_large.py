"""What becomes of a client's calls that do not fit, and what of tools they may use unsaid."""

STATEMENTS = (
    """ALTER TABLE project ADD COLUMN when_too_large TEXT NOT NULL DEFAULT 'CLAMP'
       CHECK (when_too_large IN ('CLAMP', 'REJECT', 'COUNT'))""",
    """ALTER TABLE project ADD COLUMN hosted_calls BIGINT NOT NULL DEFAULT 0
       CHECK (hosted_calls >= 0)""",
)
