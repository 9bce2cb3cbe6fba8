"""An instant by the two clocks that a sidecar lives by."""

from typing import NamedTuple


class Now(NamedTuple):
    """One instant, by two clocks."""

    unix_ms: int
    """The wall clock: finds periods and dates calls; it may jump."""
    boot_ms: int
    """Time since the machine booted, suspended or not: measures authority, ages and idleness."""
