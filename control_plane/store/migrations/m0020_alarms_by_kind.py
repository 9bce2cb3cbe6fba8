"""Finds whether an alarm of a kind was raised lately."""

STATEMENTS = ("CREATE INDEX alarm_by_kind ON alarm (kind, raised_unix_ms)",)
