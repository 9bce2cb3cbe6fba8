"""Rate limits, the weights by which clients share them, and where a loop is stopped."""

_RATE_LIMIT = """
CREATE TABLE rate_limit (
  rate_limit_id TEXT NOT NULL PRIMARY KEY,
  measure TEXT NOT NULL,
  window_ms BIGINT NOT NULL,
  project_id TEXT NOT NULL,
  key_id TEXT NOT NULL,
  provider TEXT NOT NULL,
  model TEXT NOT NULL,
  amount BIGINT NOT NULL CHECK (amount > 0),
  updated_unix_ms BIGINT NOT NULL,
  CONSTRAINT rate_limit_counts UNIQUE (measure, window_ms, project_id, key_id, provider, model)
)
"""

STATEMENTS = (
    _RATE_LIMIT,
    "ALTER TABLE project ADD COLUMN rate_weight BIGINT NOT NULL DEFAULT 100",
    "ALTER TABLE project ADD COLUMN loop_max_count BIGINT NOT NULL DEFAULT 0",
)
