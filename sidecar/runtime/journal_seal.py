"""The journal's seal: a bit that rots in a row never passes for another amount.

SQLite checks the shape of its pages, not what is in them: a flipped bit in a number of a lease, or
in the count of rows of a page, is read back without a word. So a digest of each row that a start
believes is kept in memory, and all of them together, by exclusive or, are written with each
transaction. Rows come and go in any order, and each counts once; so what changes is all that is
computed anew.
"""

import hashlib
from collections.abc import Sequence

Cell = int | str | bytes | None

_DIGEST_BYTES = 16


class Seal:
    """Over the rows of all tables that a start reads, by table and key."""

    __slots__ = ("_all", "_rows")

    def __init__(self) -> None:
        """Begin with no row."""
        self._rows: dict[tuple[str, object], int] = {}
        self._all = 0

    def put(self, table: str, key: object, row: Sequence[Cell]) -> None:
        """A row is there, instead of the one of the same key; said twice it changes nothing."""
        digest = _digest(table, row)
        self._all ^= self._rows.get((table, key), 0) ^ digest
        self._rows[table, key] = digest

    def drop(self, table: str, key: object) -> None:
        """A row is gone."""
        self._all ^= self._rows.pop((table, key), 0)

    @property
    def value(self) -> bytes:
        """What is written beside the rows."""
        return self._all.to_bytes(_DIGEST_BYTES)


def _digest(table: str, row: Sequence[Cell]) -> int:
    text = repr((table, *row)).encode(errors="surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=_DIGEST_BYTES).digest())
