"""Records that could not be read or booked, kept as they came for a person to look at."""

_BAD_RECORD = """
CREATE TABLE bad_record (
  sidecar_id TEXT NOT NULL,
  epoch BIGINT NOT NULL,
  seq BIGINT NOT NULL,
  why TEXT NOT NULL,
  raw BLOB NOT NULL,
  booked_unix_ms BIGINT NOT NULL,
  PRIMARY KEY (sidecar_id, epoch, seq)
)
"""

STATEMENTS = (_BAD_RECORD,)
