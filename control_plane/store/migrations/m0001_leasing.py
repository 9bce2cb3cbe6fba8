"""Periods, leases, the ledger and what sidecars are: the state that the lease protocol rests on.

Rules that the tables keep by themselves: spent never passes allocated, a lease never spends or
returns more than was granted, and three of a lease's numbers only grow (see store/leases.py).
allocated = sum(granted - returned) over the period's leases + counted + overrun.
"""

_META = """
CREATE TABLE meta (
  id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
  generation BIGINT NOT NULL CHECK (generation >= 1),
  mode TEXT NOT NULL CHECK (mode IN ('NORMAL', 'LEARNING')),
  policy_version BIGINT NOT NULL CHECK (policy_version >= 0),
  time_zone TEXT NOT NULL,
  call_position BIGINT NOT NULL CHECK (call_position >= 0),
  alarm_position BIGINT NOT NULL CHECK (alarm_position >= 0),
  created_unix_ms BIGINT NOT NULL,
  backup_unix_ms BIGINT NOT NULL
)
"""

_PERIOD = """
CREATE TABLE period (
  budget_id TEXT NOT NULL,
  partition TEXT NOT NULL,
  period_id TEXT NOT NULL,
  start_unix_ms BIGINT NOT NULL,
  end_unix_ms BIGINT,
  cap_nano_usd BIGINT CHECK (cap_nano_usd >= 0),
  cap_version BIGINT NOT NULL,
  allocated_nano_usd BIGINT NOT NULL DEFAULT 0 CHECK (allocated_nano_usd >= 0),
  spent_nano_usd BIGINT NOT NULL DEFAULT 0 CHECK (spent_nano_usd >= 0),
  counted_nano_usd BIGINT NOT NULL DEFAULT 0 CHECK (counted_nano_usd >= 0),
  overrun_nano_usd BIGINT NOT NULL DEFAULT 0 CHECK (overrun_nano_usd >= 0),
  orphan_hold_nano_usd BIGINT NOT NULL DEFAULT 0 CHECK (orphan_hold_nano_usd >= 0),
  granted_total_nano_usd BIGINT NOT NULL DEFAULT 0,
  grant_serial BIGINT NOT NULL DEFAULT 0,
  state TEXT NOT NULL DEFAULT 'OPEN' CHECK (state IN ('OPEN', 'CLOSING', 'CLOSED')),
  PRIMARY KEY (budget_id, partition, period_id),
  CHECK (end_unix_ms IS NULL OR end_unix_ms > start_unix_ms),
  CHECK (spent_nano_usd + orphan_hold_nano_usd <= allocated_nano_usd),
  CHECK (overrun_nano_usd + counted_nano_usd <= spent_nano_usd)
)
"""

_PERIOD_BY_END = "CREATE INDEX period_by_end ON period (state, end_unix_ms)"

_SIDECAR = """
CREATE TABLE sidecar (
  id TEXT NOT NULL PRIMARY KEY,
  display_name TEXT NOT NULL UNIQUE,
  region TEXT NOT NULL,
  project_ids_json TEXT NOT NULL,
  credential_digest BLOB NOT NULL UNIQUE CHECK (length(credential_digest) = 32),
  sealing_public_key BLOB NOT NULL CHECK (length(sealing_public_key) = 32),
  software_version TEXT NOT NULL DEFAULT '',
  machine_id TEXT NOT NULL DEFAULT '',
  boot_id TEXT NOT NULL DEFAULT '',
  incarnation TEXT NOT NULL DEFAULT '',
  epoch BIGINT NOT NULL DEFAULT 0,
  state TEXT NOT NULL DEFAULT 'JOINED'
    CHECK (state IN ('JOINED', 'ACTIVE', 'DRAINED', 'FENCED')),
  last_sync_no BIGINT NOT NULL DEFAULT 0,
  generation_seen BIGINT NOT NULL DEFAULT 0,
  policy_acked BIGINT NOT NULL DEFAULT 0,
  policy_refused TEXT NOT NULL DEFAULT '',
  created_unix_ms BIGINT NOT NULL,
  last_seen_unix_ms BIGINT NOT NULL DEFAULT 0,
  revoked_unix_ms BIGINT NOT NULL DEFAULT 0
)
"""

_CURSOR = """
CREATE TABLE cursor (
  sidecar_id TEXT NOT NULL,
  epoch BIGINT NOT NULL,
  last_seq BIGINT NOT NULL CHECK (last_seq >= 0),
  chain BLOB NOT NULL CHECK (length(chain) = 32),
  PRIMARY KEY (sidecar_id, epoch)
)
"""

_LEASE = """
CREATE TABLE lease (
  sidecar_id TEXT NOT NULL,
  epoch BIGINT NOT NULL,
  budget_id TEXT NOT NULL,
  partition TEXT NOT NULL,
  period_id TEXT NOT NULL,
  granted_nano_usd BIGINT NOT NULL DEFAULT 0,
  returned_nano_usd BIGINT NOT NULL DEFAULT 0 CHECK (returned_nano_usd >= 0),
  spent_nano_usd BIGINT NOT NULL DEFAULT 0 CHECK (spent_nano_usd >= 0),
  serial BIGINT NOT NULL DEFAULT 0,
  frozen_cap_version BIGINT,
  state TEXT NOT NULL DEFAULT 'ACTIVE' CHECK (state IN ('ACTIVE', 'ORPHANED', 'CLOSED')),
  PRIMARY KEY (sidecar_id, epoch, budget_id, partition, period_id),
  CHECK (spent_nano_usd <= granted_nano_usd - returned_nano_usd)
)
"""

_LEASE_BY_PERIOD = "CREATE INDEX lease_by_period ON lease (budget_id, partition, period_id)"

_CALL = """
CREATE TABLE call (
  position BIGINT NOT NULL PRIMARY KEY,
  call_id TEXT NOT NULL UNIQUE,
  sidecar_id TEXT NOT NULL,
  epoch BIGINT NOT NULL,
  seq BIGINT NOT NULL,
  started_unix_ms BIGINT NOT NULL,
  ended_unix_ms BIGINT NOT NULL,
  booked_unix_ms BIGINT NOT NULL,
  project_id TEXT NOT NULL,
  key_id TEXT NOT NULL,
  secret_id TEXT NOT NULL,
  workflow TEXT NOT NULL,
  execution TEXT NOT NULL,
  step TEXT NOT NULL,
  region TEXT NOT NULL,
  provider TEXT NOT NULL,
  surface TEXT NOT NULL,
  requested_model TEXT NOT NULL,
  answered_model TEXT NOT NULL,
  alias TEXT NOT NULL,
  tier TEXT NOT NULL,
  streamed BIGINT NOT NULL,
  outcome TEXT NOT NULL,
  error_kind TEXT NOT NULL,
  status BIGINT NOT NULL,
  first_byte_ms BIGINT NOT NULL,
  quantities_json TEXT NOT NULL,
  price_version TEXT NOT NULL,
  worst_nano_usd BIGINT NOT NULL,
  cost_nano_usd BIGINT NOT NULL,
  charge_nano_usd BIGINT,
  estimated BIGINT NOT NULL,
  parent_call_id TEXT NOT NULL,
  provider_request_id TEXT NOT NULL,
  clamped_output_count BIGINT NOT NULL
)
"""

_CALL_BY_PROJECT = "CREATE INDEX call_by_project ON call (project_id, position)"

_CHARGE = """
CREATE TABLE charge (
  sidecar_id TEXT NOT NULL,
  epoch BIGINT NOT NULL,
  seq BIGINT NOT NULL,
  budget_id TEXT NOT NULL,
  partition TEXT NOT NULL,
  period_id TEXT NOT NULL,
  kind TEXT NOT NULL
    CHECK (kind IN ('SETTLE', 'ADJUST', 'OVERRUN', 'ORPHAN', 'CORRECTION')),
  call_id TEXT NOT NULL,
  amount_nano_usd BIGINT NOT NULL,
  estimated BIGINT NOT NULL,
  booked_unix_ms BIGINT NOT NULL,
  PRIMARY KEY (sidecar_id, epoch, seq, budget_id, partition, period_id)
)
"""

_CHARGE_BY_PERIOD = "CREATE INDEX charge_by_period ON charge (budget_id, partition, period_id)"

_ROLLUP = """
CREATE TABLE rollup (
  bucket_unix_ms BIGINT NOT NULL,
  project_id TEXT NOT NULL,
  key_id TEXT NOT NULL,
  workflow TEXT NOT NULL,
  model TEXT NOT NULL,
  provider TEXT NOT NULL,
  outcome TEXT NOT NULL,
  call_count BIGINT NOT NULL,
  failed_count BIGINT NOT NULL,
  estimated_count BIGINT NOT NULL,
  input_count BIGINT NOT NULL,
  output_count BIGINT NOT NULL,
  cost_nano_usd BIGINT NOT NULL,
  PRIMARY KEY (bucket_unix_ms, project_id, key_id, workflow, model, provider, outcome)
)
"""

_REFUSAL = """
CREATE TABLE refusal (
  minute_unix_ms BIGINT NOT NULL,
  sidecar_id TEXT NOT NULL,
  project_id TEXT NOT NULL,
  key_id TEXT NOT NULL,
  workflow TEXT NOT NULL,
  model TEXT NOT NULL,
  reason TEXT NOT NULL,
  budget_id TEXT NOT NULL,
  refused_count BIGINT NOT NULL CHECK (refused_count > 0),
  sample TEXT NOT NULL,
  PRIMARY KEY (minute_unix_ms, sidecar_id, project_id, key_id, workflow, model, reason, budget_id)
)
"""

_ALARM = """
CREATE TABLE alarm (
  position BIGINT NOT NULL PRIMARY KEY,
  raised_unix_ms BIGINT NOT NULL,
  kind TEXT NOT NULL
    CHECK (kind IN ('OVERRUN', 'FENCED', 'JOURNAL_LOST', 'OLD_DATABASE', 'BAD_RECORD')),
  sidecar_id TEXT NOT NULL,
  epoch BIGINT NOT NULL,
  budget_id TEXT NOT NULL,
  partition TEXT NOT NULL,
  period_id TEXT NOT NULL,
  call_id TEXT NOT NULL,
  amount_nano_usd BIGINT NOT NULL,
  detail TEXT NOT NULL
)
"""

_FIRST_META = """
INSERT INTO meta (id, generation, mode, policy_version, time_zone, call_position,
  alarm_position, created_unix_ms, backup_unix_ms)
VALUES (1, 1, 'NORMAL', 1, 'UTC', 0, 0, 0, 0)
"""

STATEMENTS = (
    _META,
    _PERIOD,
    _PERIOD_BY_END,
    _SIDECAR,
    _CURSOR,
    _LEASE,
    _LEASE_BY_PERIOD,
    _CALL,
    _CALL_BY_PROJECT,
    _CHARGE,
    _CHARGE_BY_PERIOD,
    _ROLLUP,
    _REFUSAL,
    _ALARM,
    _FIRST_META,
)
