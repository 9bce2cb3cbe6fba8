"""What becomes of money whose journal is lost, forked or not trusted any more.

A lease of such a journal is ORPHANED, and each nano-dollar of its granted - returned - spent is in
one of three places: held back in the period (period.orphan_hold_nano_usd), charged as a lump
(lease.lump_nano_usd, part of period.spent_nano_usd), or released by a named person
(lease.released_nano_usd, no part of period.allocated_nano_usd any more). So from here on
allocated = sum(granted - returned - released) over the period's leases + counted + overrun, and
spent = sum(spent + lump) over them + counted + overrun.

`charge.seq` is a record's number; below zero for what no record of the booked journal says: lumps,
and the calls of a fork. cursor.beside_count says how many of those there are.
"""

_ALARM = """
CREATE TABLE alarm_of_any_kind (
  position BIGINT NOT NULL PRIMARY KEY,
  raised_unix_ms BIGINT NOT NULL,
  kind TEXT NOT NULL CHECK (kind <> ''),
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

_FORK = """
CREATE TABLE fork (
  sidecar_id TEXT NOT NULL,
  epoch BIGINT NOT NULL,
  last_seq BIGINT NOT NULL CHECK (last_seq > 0),
  chain BLOB NOT NULL CHECK (length(chain) = 32),
  found_unix_ms BIGINT NOT NULL,
  PRIMARY KEY (sidecar_id, epoch, chain)
)
"""

_PROCESS = """
CREATE TABLE process (
  sidecar_id TEXT NOT NULL,
  incarnation TEXT NOT NULL,
  place BIGINT NOT NULL,
  PRIMARY KEY (sidecar_id, incarnation)
)
"""

STATEMENTS = (
    """ALTER TABLE lease ADD COLUMN lump_nano_usd BIGINT NOT NULL DEFAULT 0
         CHECK (lump_nano_usd >= 0)""",
    """ALTER TABLE lease ADD COLUMN released_nano_usd BIGINT NOT NULL DEFAULT 0
         CHECK (released_nano_usd >= 0 AND spent_nano_usd + lump_nano_usd + released_nano_usd
           <= granted_nano_usd - returned_nano_usd)""",
    "ALTER TABLE lease ADD COLUMN orphaned_unix_ms BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE lease ADD COLUMN orphan_cause TEXT NOT NULL DEFAULT ''",
    "CREATE INDEX lease_orphaned ON lease (sidecar_id, epoch) WHERE state = 'ORPHANED'",
    """ALTER TABLE period ADD COLUMN overshoot_nano_usd BIGINT NOT NULL DEFAULT 0
         CHECK (overshoot_nano_usd >= 0)""",
    "ALTER TABLE sidecar ADD COLUMN stopped_unix_ms BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE cursor ADD COLUMN forked_unix_ms BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE cursor ADD COLUMN beside_count BIGINT NOT NULL DEFAULT 0",
    _FORK,
    _PROCESS,
    """INSERT INTO process (sidecar_id, incarnation, place)
         SELECT id, incarnation, 1 FROM sidecar WHERE incarnation <> ''""",
    _ALARM,
    "INSERT INTO alarm_of_any_kind SELECT * FROM alarm",
    "DROP TABLE alarm",
    "ALTER TABLE alarm_of_any_kind RENAME TO alarm",
)
