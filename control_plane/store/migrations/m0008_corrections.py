"""Corrections of what calls cost, when a price turns out to have been wrong.

`corrected` is what they add to a period beside its leases, and may be negative: allocated and spent
both hold it.
"""

_CORRECTION = """
CREATE TABLE correction (
  call_id TEXT NOT NULL,
  number BIGINT NOT NULL CHECK (number >= 1),
  price_version TEXT NOT NULL,
  before_nano_usd BIGINT NOT NULL CHECK (before_nano_usd >= 0),
  after_nano_usd BIGINT NOT NULL CHECK (after_nano_usd >= 0),
  actor TEXT NOT NULL,
  request_id TEXT NOT NULL,
  reason TEXT NOT NULL,
  booked_unix_ms BIGINT NOT NULL,
  PRIMARY KEY (call_id, number),
  CHECK (before_nano_usd <> after_nano_usd)
)
"""

STATEMENTS = (
    "ALTER TABLE call ADD COLUMN variant TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE period ADD COLUMN corrected_nano_usd BIGINT NOT NULL DEFAULT 0",
    _CORRECTION,
)
