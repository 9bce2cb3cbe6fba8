"""Sums by local day, how long calls took, and refusals that are kept for good.

The days of a project are kept in one zone, which `rollup_zone` names; a project without a row there
has no days yet, and is summed from its quarter hours. So nothing has to be computed here: days of
what is booked already are made after the start, a project at a time.
"""

_ROLLUP_ZONE = """
CREATE TABLE rollup_zone (
  project_id TEXT NOT NULL PRIMARY KEY,
  time_zone TEXT NOT NULL
)
"""

_ROLLUP_DAY = """
CREATE TABLE rollup_day (
  project_id TEXT NOT NULL,
  start_unix_ms BIGINT NOT NULL,
  key_id TEXT NOT NULL,
  workflow TEXT NOT NULL,
  model TEXT NOT NULL,
  provider TEXT NOT NULL,
  outcome TEXT NOT NULL,
  time_zone TEXT NOT NULL,
  call_count BIGINT NOT NULL,
  failed_count BIGINT NOT NULL,
  estimated_count BIGINT NOT NULL,
  input_count BIGINT NOT NULL,
  output_count BIGINT NOT NULL,
  cost_nano_usd BIGINT NOT NULL,
  charge_nano_usd BIGINT NOT NULL,
  charged_cost_nano_usd BIGINT NOT NULL,
  PRIMARY KEY (project_id, start_unix_ms, key_id, workflow, model, provider, outcome)
)
"""

_ROLLUP_DAY_TOTAL = """
CREATE TABLE rollup_day_total (
  project_id TEXT NOT NULL,
  start_unix_ms BIGINT NOT NULL,
  time_zone TEXT NOT NULL,
  call_count BIGINT NOT NULL,
  failed_count BIGINT NOT NULL,
  estimated_count BIGINT NOT NULL,
  input_count BIGINT NOT NULL,
  output_count BIGINT NOT NULL,
  cost_nano_usd BIGINT NOT NULL,
  charge_nano_usd BIGINT NOT NULL,
  charged_cost_nano_usd BIGINT NOT NULL,
  PRIMARY KEY (project_id, start_unix_ms)
)
"""

_LATENCY_DAY = """
CREATE TABLE latency_day (
  project_id TEXT NOT NULL,
  start_unix_ms BIGINT NOT NULL,
  workflow TEXT NOT NULL,
  model TEXT NOT NULL,
  provider TEXT NOT NULL,
  step BIGINT NOT NULL,
  call_count BIGINT NOT NULL,
  PRIMARY KEY (project_id, start_unix_ms, workflow, model, provider, step)
)
"""

_REFUSAL_ROLLUP = """
CREATE TABLE refusal_rollup (
  project_id TEXT NOT NULL,
  bucket_unix_ms BIGINT NOT NULL,
  key_id TEXT NOT NULL,
  workflow TEXT NOT NULL,
  model TEXT NOT NULL,
  reason TEXT NOT NULL,
  budget_id TEXT NOT NULL,
  refused_count BIGINT NOT NULL CHECK (refused_count > 0),
  PRIMARY KEY (project_id, bucket_unix_ms, key_id, workflow, model, reason, budget_id)
)
"""

_FILL_REFUSALS = """
INSERT INTO refusal_rollup (project_id, bucket_unix_ms, key_id, workflow, model, reason, budget_id,
  refused_count)
SELECT project_id, minute_unix_ms / 900000 * 900000, key_id, workflow, model, reason, budget_id,
  SUM(refused_count)
FROM refusal
GROUP BY project_id, minute_unix_ms / 900000 * 900000, key_id, workflow, model, reason, budget_id
"""

STATEMENTS = (
    _ROLLUP_ZONE,
    _ROLLUP_DAY,
    "CREATE INDEX rollup_day_by_zone ON rollup_day (time_zone, start_unix_ms)",
    _ROLLUP_DAY_TOTAL,
    "CREATE INDEX rollup_day_total_by_zone ON rollup_day_total (time_zone, start_unix_ms)",
    _LATENCY_DAY,
    _REFUSAL_ROLLUP,
    _FILL_REFUSALS,
    "CREATE INDEX call_by_time ON call (project_id, started_unix_ms)",
)
