"""The one place where a sidecar rolls dice."""

import os
from typing import Protocol


class Entropy(Protocol):
    """Gives random bytes."""

    def random_bytes(self, count: int) -> bytes:
        """So many random bytes, fit for secrets."""
        ...


class SystemEntropy:
    """The operating system's random numbers."""

    __slots__ = ()

    def random_bytes(self, count: int) -> bytes:
        """So many random bytes, fit for secrets."""
        return os.urandom(count)
