"""The one place where a sidecar rolls dice."""

import os
from typing import Protocol

_SMALL_BYTES = 16
_POOL_BYTES = 4_096


class Entropy(Protocol):
    """Gives random bytes."""

    def random_bytes(self, count: int) -> bytes:
        """So many random bytes, fit for secrets."""
        ...


class SystemEntropy:
    """The operating system's random numbers, fetched for many ids at a time.

    Asking the system lets other threads run, which costs a call more than all its bookkeeping.
    """

    __slots__ = ("_at", "_pool")

    def __init__(self) -> None:
        self._pool = b""
        self._at = 0

    def random_bytes(self, count: int) -> bytes:
        """So many random bytes, fit for secrets; no byte is ever given twice."""
        if count > _SMALL_BYTES:
            return os.urandom(count)
        end = self._at + count
        if end > len(self._pool):
            self._pool = os.urandom(_POOL_BYTES)
            self._at, end = 0, count
        taken = self._pool[self._at : end]
        self._at = end
        return taken
