"""The one place of the command that reads clocks and waits."""

import time
from datetime import UTC, datetime


def now() -> datetime:
    """The time of day, in UTC."""
    return datetime.now(UTC)


def monotonic_ms() -> int:
    """Milliseconds on a clock that never goes back, for waiting."""
    return time.monotonic_ns() // 1_000_000


def pause_ms(duration_ms: int) -> None:
    """Wait."""
    time.sleep(duration_ms / 1000)
