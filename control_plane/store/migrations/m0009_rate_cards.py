"""What clients are charged: rate cards, and what each call is charged by them."""

_RATE_CARD = """
CREATE TABLE rate_card (
  project_id TEXT NOT NULL,
  valid_from_unix_ms BIGINT NOT NULL,
  version TEXT NOT NULL,
  markup_ppm BIGINT NOT NULL,
  per_call_nano_usd BIGINT NOT NULL,
  per_execution_nano_usd BIGINT NOT NULL,
  included_nano_usd BIGINT NOT NULL,
  created_unix_ms BIGINT NOT NULL,
  CONSTRAINT rate_card_pk PRIMARY KEY (project_id, valid_from_unix_ms, version),
  CONSTRAINT rate_card_takes CHECK (markup_ppm >= -1000000 AND per_call_nano_usd >= 0
    AND per_execution_nano_usd >= 0 AND included_nano_usd >= 0)
)
"""

_ALLOWANCE = """
CREATE TABLE allowance (
  project_id TEXT NOT NULL,
  month TEXT NOT NULL,
  used_nano_usd BIGINT NOT NULL CHECK (used_nano_usd >= 0),
  PRIMARY KEY (project_id, month)
)
"""

_CHARGED_EXECUTION = """
CREATE TABLE charged_execution (
  project_id TEXT NOT NULL,
  workflow TEXT NOT NULL,
  execution TEXT NOT NULL,
  call_id TEXT NOT NULL,
  PRIMARY KEY (project_id, workflow, execution)
)
"""

STATEMENTS = (
    _RATE_CARD,
    _ALLOWANCE,
    _CHARGED_EXECUTION,
    "ALTER TABLE call ADD COLUMN rate_card_version TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE call ADD COLUMN included_nano_usd BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE call ADD COLUMN begins_execution BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE rollup ADD COLUMN charge_nano_usd BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE rollup ADD COLUMN charged_cost_nano_usd BIGINT NOT NULL DEFAULT 0",
)
