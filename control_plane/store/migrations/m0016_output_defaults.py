"""Limits on the output of calls whose callers set none."""

_OUTPUT_DEFAULT = """
CREATE TABLE output_default (
  project_id TEXT NOT NULL,
  workflow TEXT NOT NULL,
  model TEXT NOT NULL,
  limit_count BIGINT NOT NULL CHECK (limit_count > 0),
  updated_unix_ms BIGINT NOT NULL,
  PRIMARY KEY (project_id, workflow, model)
)
"""

STATEMENTS = (_OUTPUT_DEFAULT,)
