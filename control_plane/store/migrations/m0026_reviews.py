"""What a monthly review looks up by time, and a person's word for what a workflow does."""

_WORKFLOW_TASK = """
CREATE TABLE workflow_task (
  project_id TEXT NOT NULL,
  workflow TEXT NOT NULL,
  task TEXT NOT NULL,
  set_by TEXT NOT NULL,
  set_unix_ms BIGINT NOT NULL,
  PRIMARY KEY (project_id, workflow)
)
"""

STATEMENTS = (
    _WORKFLOW_TASK,
    "CREATE INDEX cap_change_by_time ON cap_change (changed_unix_ms)",
    "CREATE INDEX alert_by_opening ON alert (opened_unix_ms, project_id)",
    "CREATE INDEX statement_by_month ON statement (month, project_id, version, state)",
    "CREATE INDEX period_by_name ON period (period_id, budget_id)",
)
