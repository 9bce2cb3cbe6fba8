"""Alerts and their history, who is told of them, and messages on their way.

`notice` holds who is still to be told of what; a notice becomes part of a delivery in the
transaction that takes it, so nothing is told twice and nothing is forgotten. `pace` holds what a
period had spent at instants of the last hours, `forecast` what each budget's period will come to.
"""

_ALERT = """
CREATE TABLE alert (
  alert_id TEXT NOT NULL PRIMARY KEY,
  rule TEXT NOT NULL,
  subject TEXT NOT NULL,
  project_id TEXT NOT NULL,
  severity BIGINT NOT NULL CHECK (severity BETWEEN 1 AND 4),
  state TEXT NOT NULL CHECK (state IN ('PENDING', 'OPEN', 'ACKNOWLEDGED', 'RESOLVED')),
  found_unix_ms BIGINT NOT NULL,
  measure BIGINT NOT NULL,
  facts_json TEXT NOT NULL,
  about TEXT NOT NULL,
  rank BIGINT NOT NULL,
  opened_unix_ms BIGINT NOT NULL,
  gone_unix_ms BIGINT NOT NULL,
  answered_by TEXT NOT NULL,
  answered_unix_ms BIGINT NOT NULL,
  answered_measure BIGINT NOT NULL,
  note TEXT NOT NULL,
  resolved_unix_ms BIGINT NOT NULL,
  holds BIGINT NOT NULL,
  muted_by TEXT NOT NULL,
  round_unix_ms BIGINT NOT NULL,
  steps_done BIGINT NOT NULL,
  told BIGINT NOT NULL,
  client_told BIGINT NOT NULL,
  version BIGINT NOT NULL
)
"""

_ALERT_EVENT = """
CREATE TABLE alert_event (
  alert_id TEXT NOT NULL,
  place BIGINT NOT NULL,
  at_unix_ms BIGINT NOT NULL,
  event TEXT NOT NULL,
  state TEXT NOT NULL,
  severity BIGINT NOT NULL,
  detail TEXT NOT NULL,
  PRIMARY KEY (alert_id, place)
)
"""

_NOTICE = """
CREATE TABLE notice (
  alert_id TEXT NOT NULL,
  channel_id TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('TOLD', 'ESCALATED', 'ANSWERED', 'OVER', 'CLIENT')),
  due_unix_ms BIGINT NOT NULL,
  detail TEXT NOT NULL,
  PRIMARY KEY (alert_id, channel_id, kind)
)
"""

_TOLD = """
CREATE TABLE alert_told (
  alert_id TEXT NOT NULL,
  channel_id TEXT NOT NULL,
  is_client BIGINT NOT NULL CHECK (is_client IN (0, 1)),
  PRIMARY KEY (alert_id, channel_id)
)
"""

_CHANNEL = """
CREATE TABLE channel (
  channel_id TEXT NOT NULL PRIMARY KEY,
  display_name TEXT NOT NULL,
  name_key TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('mail', 'slack', 'teams', 'pagerduty', 'webhook')),
  hint TEXT NOT NULL,
  target_ciphertext BLOB NOT NULL,
  target_key_id TEXT NOT NULL,
  created_unix_ms BIGINT NOT NULL,
  tested_unix_ms BIGINT NOT NULL,
  deleted_unix_ms BIGINT,
  version BIGINT NOT NULL
)
"""

_MAIL_SERVER = """
CREATE TABLE mail_server (
  id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
  host TEXT NOT NULL,
  port BIGINT NOT NULL,
  security TEXT NOT NULL CHECK (security IN ('starttls', 'tls', 'none')),
  username TEXT NOT NULL,
  from_address TEXT NOT NULL,
  from_name TEXT NOT NULL,
  password_ciphertext BLOB,
  password_key_id TEXT NOT NULL,
  tested_unix_ms BIGINT NOT NULL,
  version BIGINT NOT NULL
)
"""

_PERSON = """
CREATE TABLE person (
  person_id TEXT NOT NULL PRIMARY KEY,
  display_name TEXT NOT NULL,
  name_key TEXT NOT NULL,
  channel_ids_json TEXT NOT NULL,
  quiet_json TEXT NOT NULL,
  deleted_unix_ms BIGINT,
  version BIGINT NOT NULL
)
"""

_AGREEMENT = """
CREATE TABLE agreement (
  project_id TEXT NOT NULL PRIMARY KEY,
  owner_id TEXT NOT NULL,
  backup_id TEXT NOT NULL,
  lead_id TEXT NOT NULL,
  hours_json TEXT NOT NULL,
  client_channel_ids_json TEXT NOT NULL,
  client_told TEXT NOT NULL CHECK (client_told IN ('NEVER', 'LATE', 'AT_ONCE')),
  client_thresholds BIGINT NOT NULL CHECK (client_thresholds IN (0, 1)),
  version BIGINT NOT NULL
)
"""

_DELIVERY = """
CREATE TABLE delivery (
  delivery_id TEXT NOT NULL PRIMARY KEY,
  position BIGINT NOT NULL UNIQUE,
  purpose TEXT NOT NULL,
  message_json TEXT NOT NULL,
  created_unix_ms BIGINT NOT NULL,
  channel_id TEXT NOT NULL,
  address TEXT NOT NULL,
  project_id TEXT NOT NULL,
  alert_id TEXT NOT NULL,
  severity BIGINT NOT NULL,
  thread TEXT NOT NULL,
  once TEXT NOT NULL,
  repeats BIGINT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('QUEUED', 'SENDING', 'SENT', 'FAILED', 'UNKNOWN')),
  attempt_count BIGINT NOT NULL,
  lost_sight_count BIGINT NOT NULL,
  next_unix_ms BIGINT NOT NULL,
  changed_unix_ms BIGINT NOT NULL,
  error TEXT NOT NULL,
  remote_id TEXT NOT NULL,
  CHECK (channel_id <> '' OR address <> '')
)
"""

_DELIVERY_PART = """
CREATE TABLE delivery_part (
  delivery_id TEXT NOT NULL,
  place BIGINT NOT NULL,
  file_name TEXT NOT NULL,
  media_type TEXT NOT NULL,
  content BLOB NOT NULL,
  PRIMARY KEY (delivery_id, place)
)
"""

_PACE = """
CREATE TABLE pace (
  budget_id TEXT NOT NULL,
  partition TEXT NOT NULL,
  period_id TEXT NOT NULL,
  at_unix_ms BIGINT NOT NULL,
  spent_nano_usd BIGINT NOT NULL,
  PRIMARY KEY (budget_id, partition, period_id, at_unix_ms)
)
"""

_FORECAST = """
CREATE TABLE forecast (
  budget_id TEXT NOT NULL PRIMARY KEY,
  period_id TEXT NOT NULL,
  made_unix_ms BIGINT NOT NULL,
  expected_nano_usd BIGINT NOT NULL,
  low_nano_usd BIGINT NOT NULL,
  high_nano_usd BIGINT NOT NULL,
  trouble TEXT NOT NULL,
  error_ppm BIGINT NOT NULL,
  days_known BIGINT NOT NULL,
  runs_out_unix_ms BIGINT
)
"""

_RETIREMENT = """
CREATE TABLE retirement (
  provider TEXT NOT NULL,
  model TEXT NOT NULL,
  retires_unix_ms BIGINT NOT NULL,
  replacement TEXT NOT NULL,
  source TEXT NOT NULL,
  created_unix_ms BIGINT NOT NULL,
  PRIMARY KEY (provider, model)
)
"""

STATEMENTS = (
    _ALERT,
    "CREATE INDEX alert_by_key ON alert (rule, subject, alert_id)",
    "CREATE INDEX alert_going_on ON alert (state, alert_id) WHERE state <> 'RESOLVED'",
    """CREATE INDEX alert_still_holding ON alert (alert_id)
         WHERE state = 'RESOLVED' AND holds = 1""",
    "CREATE INDEX alert_by_project ON alert (project_id, alert_id)",
    _ALERT_EVENT,
    _NOTICE,
    _TOLD,
    "CREATE INDEX notice_by_due ON notice (due_unix_ms)",
    _CHANNEL,
    "CREATE UNIQUE INDEX channel_name ON channel (name_key) WHERE deleted_unix_ms IS NULL",
    _MAIL_SERVER,
    _PERSON,
    "CREATE UNIQUE INDEX person_name ON person (name_key) WHERE deleted_unix_ms IS NULL",
    _AGREEMENT,
    _DELIVERY,
    "CREATE INDEX delivery_by_due ON delivery (state, next_unix_ms)",
    "CREATE INDEX delivery_by_alert ON delivery (alert_id, position)",
    "CREATE UNIQUE INDEX delivery_once ON delivery (once) WHERE once <> ''",
    _DELIVERY_PART,
    _PACE,
    _FORECAST,
    _RETIREMENT,
)
