"""The one place of this room that makes ids and secrets."""

import os
from collections.abc import Callable

from protos.values import ids, keys


class Entropy:
    """Makes ids and secrets from random bytes."""

    def __init__(self, source: Callable[[int], bytes] = os.urandom) -> None:
        """Take the source of randomness; a test passes a seeded one."""
        self._source = source

    def random_bytes(self, count: int) -> bytes:
        """So many random bytes."""
        drawn = self._source(count)
        assert len(drawn) == count
        return drawn

    def id(self, prefix: str, now_unix_ms: int) -> str:
        """A new id of the noun that the prefix tells; see protos.values.ids."""
        return ids.make_id(prefix, now_unix_ms, self.random_bytes(ids.RANDOM_BYTES))

    def secret(self, prefix: str) -> str:
        """The text of a new secret; see protos.values.keys."""
        return keys.make_key(prefix, self.random_bytes(keys.SECRET_BYTES))

    def __repr__(self) -> str:
        return "Entropy()"
