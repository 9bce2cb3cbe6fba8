"""Counts failed attempts to sign in, so that nobody guesses for long.

Kept in memory: a restart forgives. Per address and over all, in a window that moves. It closes the
form for signing in, so that whoever tries tokens costs no writes, and never a link that works:
behind a proxy all browsers share an address, and whoever knows the host could else lock everybody
out. Tokens and links have 192 random bits and cannot be guessed; a link that opens nothing costs
one read.
"""

from collections import deque

from control_plane import limits


class Attempts:
    """Failed attempts of late."""

    def __init__(self) -> None:
        self._failed: deque[tuple[int, str]] = deque(maxlen=limits.ALL_ATTEMPTS_MAX)

    def is_open(self, address: str, now_unix_ms: int) -> bool:
        """Whether another attempt may be made from an address."""
        self._forget(now_unix_ms)
        own = sum(known == address for _, known in self._failed)
        return own < limits.ADDRESS_ATTEMPTS_MAX and len(self._failed) < limits.ALL_ATTEMPTS_MAX

    def fail(self, address: str, now_unix_ms: int) -> None:
        """Note an attempt that opened nothing."""
        self._failed.append((now_unix_ms, address))

    def _forget(self, now_unix_ms: int) -> None:
        while self._failed and now_unix_ms - self._failed[0][0] > limits.SIGN_IN_WINDOW_MS:
            self._failed.popleft()
