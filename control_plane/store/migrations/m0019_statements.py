"""Statements, what they are made with, and what workflows are worth.

A statement's value is frozen text, known by its digest; its lines by kind are compressed beside it.
"""

_STATEMENT = """
CREATE TABLE statement (
  statement_id TEXT NOT NULL,
  project_id TEXT NOT NULL,
  month TEXT NOT NULL,
  version BIGINT NOT NULL CHECK (version >= 1),
  state TEXT NOT NULL CHECK (state IN ('DRAFT', 'APPROVED', 'SENT', 'SUPERSEDED')),
  value BLOB NOT NULL,
  sha256 TEXT NOT NULL CHECK (length(sha256) = 64),
  lines BLOB NOT NULL,
  call_count BIGINT NOT NULL,
  cost_nano_usd BIGINT NOT NULL,
  charge_nano_usd BIGINT NOT NULL,
  created_unix_ms BIGINT NOT NULL,
  approved_by TEXT NOT NULL DEFAULT '',
  approved_unix_ms BIGINT,
  due_unix_ms BIGINT,
  sent_unix_ms BIGINT,
  CONSTRAINT statement_pk PRIMARY KEY (statement_id),
  CONSTRAINT statement_version UNIQUE (project_id, month, version),
  CONSTRAINT statement_sent CHECK ((state = 'SENT') = (sent_unix_ms IS NOT NULL))
)
"""

_SETTINGS = """
CREATE TABLE statement_settings (
  project_id TEXT NOT NULL PRIMARY KEY,
  automatic BIGINT NOT NULL CHECK (automatic IN (0, 1)),
  send_day BIGINT NOT NULL CHECK (send_day BETWEEN 2 AND 28),
  recipients_json TEXT NOT NULL,
  note TEXT NOT NULL,
  version BIGINT NOT NULL
)
"""

_BRANDING = """
CREATE TABLE branding (
  id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
  agency TEXT NOT NULL,
  colour TEXT NOT NULL,
  logo_type TEXT NOT NULL,
  logo BLOB NOT NULL,
  note TEXT NOT NULL,
  names_bursar BIGINT NOT NULL CHECK (names_bursar IN (0, 1)),
  version BIGINT NOT NULL
)
"""

_WORKFLOW_ROI = """
CREATE TABLE workflow_roi (
  project_id TEXT NOT NULL,
  workflow TEXT NOT NULL,
  unit TEXT NOT NULL,
  units TEXT NOT NULL,
  counts TEXT NOT NULL CHECK (counts IN ('execution', 'call')),
  seconds_per_unit BIGINT NOT NULL CHECK (seconds_per_unit > 0),
  agreed_by TEXT NOT NULL,
  agreed_on TEXT NOT NULL,
  set_by TEXT NOT NULL,
  set_unix_ms BIGINT NOT NULL,
  PRIMARY KEY (project_id, workflow)
)
"""

STATEMENTS = (
    _STATEMENT,
    "CREATE INDEX statement_by_due ON statement (state, due_unix_ms)",
    _SETTINGS,
    _BRANDING,
    _WORKFLOW_ROI,
)
