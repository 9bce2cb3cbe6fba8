"""The only module of the rehearsal provider that reads a clock."""

import time


def monotonic_ns() -> int:
    """Nanoseconds on CLOCK_MONOTONIC, comparable between processes of one machine."""
    return time.monotonic_ns()


def unix_s() -> int:
    """Whole seconds since 1970, for the wire's `created` fields."""
    return time.time_ns() // 1_000_000_000
