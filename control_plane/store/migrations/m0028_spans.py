"""Sums by month, by five days and by day over all clients, and what models did of each task.

What is booked already is summed after the start, some projects at a time: `rollup_zone.spans` says
of which it was. Until it was of all, days answer as they did before.
"""

_SUMS = """
  call_count BIGINT NOT NULL,
  failed_count BIGINT NOT NULL,
  estimated_count BIGINT NOT NULL,
  input_count BIGINT NOT NULL,
  output_count BIGINT NOT NULL,
  cost_nano_usd BIGINT NOT NULL,
  charge_nano_usd BIGINT NOT NULL,
  charged_cost_nano_usd BIGINT NOT NULL,
  held_nano_usd BIGINT NOT NULL,
  held_cost_nano_usd BIGINT NOT NULL"""

_SPAN_WORKFLOW = f"""
CREATE TABLE span_workflow (
  time_zone TEXT NOT NULL,
  span TEXT NOT NULL,
  project_id TEXT NOT NULL,
  workflow TEXT NOT NULL,
  provider TEXT NOT NULL,
  model TEXT NOT NULL,{_SUMS},
  PRIMARY KEY (time_zone, span, project_id, workflow, provider, model)
) WITHOUT ROWID
"""

_SPAN_MODEL = f"""
CREATE TABLE span_model (
  time_zone TEXT NOT NULL,
  span TEXT NOT NULL,
  project_id TEXT NOT NULL,
  provider TEXT NOT NULL,
  model TEXT NOT NULL,
  outcome TEXT NOT NULL,{_SUMS},
  PRIMARY KEY (time_zone, span, project_id, provider, model, outcome)
) WITHOUT ROWID
"""

_TASK_SPAN = f"""
CREATE TABLE task_span (
  span TEXT NOT NULL,
  task TEXT NOT NULL,
  provider TEXT NOT NULL,
  model TEXT NOT NULL,{_SUMS},
  PRIMARY KEY (span, task, provider, model)
) WITHOUT ROWID
"""

_TASK_LATENCY = """
CREATE TABLE task_latency (
  span TEXT NOT NULL,
  task TEXT NOT NULL,
  provider TEXT NOT NULL,
  model TEXT NOT NULL,
  step BIGINT NOT NULL,
  call_count BIGINT NOT NULL,
  PRIMARY KEY (span, task, provider, model, step)
) WITHOUT ROWID
"""

STATEMENTS = (
    _SPAN_WORKFLOW,
    _SPAN_MODEL,
    _TASK_SPAN,
    _TASK_LATENCY,
    "ALTER TABLE rollup_zone ADD COLUMN spans BIGINT NOT NULL DEFAULT 0",
)
