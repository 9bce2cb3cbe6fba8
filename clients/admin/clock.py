"""The one place of the admin client that reads clocks and waits."""

import time


def now_unix_ms() -> int:
    """Milliseconds since 1970, for making ids."""
    return time.time_ns() // 1_000_000


def monotonic_ms() -> int:
    """Milliseconds on a clock that never goes back, for deadlines."""
    return time.monotonic_ns() // 1_000_000


def pause_ms(duration_ms: int) -> None:
    """Wait."""
    time.sleep(duration_ms / 1000)
