"""The journal's seal: a bit that rots in a row never passes for another amount.

SQLite checks the shape of its pages, not what is in them: a flipped bit in a number of a lease, or
in the count of rows of a page, is read back without a word. So a digest of each row that a start
believes is kept in memory, and all of them together, by exclusive or, are written with each
transaction. Rows come and go in any order, and each counts once; so what changes is all that is
computed anew.

This is on the way of every call, and most of it was spent on writing rows out to be digested: an
OPEN is digested as it is, and of a lease the numbers as they lie in 64 bits.
"""

import hashlib
import struct
from collections.abc import Iterable, Mapping, Sequence

Cell = int | str | bytes | None
LeaseRow = tuple[str, str, str, int, int | None, int, int, int, int, int, int]

_DIGEST_BYTES = 16
_NUMBERS = struct.Struct("<9q").pack
_NUMBER = struct.Struct("<q").pack
_LEASE, _OPEN, _TIP, _FACT = b"lease", b"open_call", b"tip", b"meta"
"""No row of one table is taken for one of another."""
_NO_END = -(2**63)
"""Stands for a window without an end."""


class Seal:
    """Over the rows of all tables that a start reads, each by its key."""

    __slots__ = ("_all", "_facts", "_leases", "_opens", "_tip")

    def __init__(self) -> None:
        """Begin with no row."""
        self._leases: dict[tuple[str, str, str], int] = {}
        self._opens: dict[int, int] = {}
        self._facts: dict[str, int] = {}
        self._tip = 0
        self._all = 0

    def put_leases(self, rows: Iterable[LeaseRow]) -> None:
        """Leases are so; said twice it changes nothing."""
        known = self._leases
        for row in rows:
            key = row[:3]
            begin, end, *levels = row[3:]
            numbers = _NUMBERS(begin, _NO_END if end is None else end, end is None, *levels)
            digest = _digest(_LEASE + numbers + "\0".join(key).encode(errors="surrogatepass"))
            self._all ^= known.get(key, 0) ^ digest
            known[key] = digest

    def drop_lease(self, key: tuple[str, str, str]) -> None:
        """A lease is forgotten."""
        self._all ^= self._leases.pop(key, 0)

    def put_opens(self, rows: Iterable[tuple[int, bytes]]) -> None:
        """Calls are open."""
        known = self._opens
        for number, body in rows:
            digest = _digest(_OPEN + _NUMBER(number) + body)
            self._all ^= known.get(number, 0) ^ digest
            known[number] = digest

    def drop_open(self, number: int) -> None:
        """A call has ended, or its OPEN was never written."""
        self._all ^= self._opens.pop(number, 0)

    def put_tip(self, seq: int, chain: bytes) -> None:
        """The last record is this one."""
        digest = _digest(_TIP + _NUMBER(seq) + chain)
        self._all ^= self._tip ^ digest
        self._tip = digest

    def put_facts(self, facts: Mapping[str, Cell]) -> None:
        """Facts about the journal itself are so."""
        known = self._facts
        for name, value in facts.items():
            digest = _digest(_FACT + repr((name, value)).encode(errors="surrogatepass"))
            self._all ^= known.get(name, 0) ^ digest
            known[name] = digest

    @property
    def value(self) -> bytes:
        """What is written beside the rows."""
        return self._all.to_bytes(_DIGEST_BYTES)


def _digest(row: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(row).digest()[:_DIGEST_BYTES])


def value_of_format_2(
    facts: Mapping[str, Cell],
    leases: Iterable[Sequence[Cell]],
    opens: Iterable[Sequence[Cell]],
    last: Sequence[Cell] | None,
) -> bytes:
    """The seal as versions before wrote it: each row written out whole."""
    rows: list[tuple[Cell, ...]] = [("meta", name, value) for name, value in facts.items()]
    rows += [("lease", *row) for row in leases]
    rows += [("open_call", *row) for row in opens]
    if last is not None:
        rows.append(("tip", *last))
    sealed = 0
    for row in rows:
        text = repr(row).encode(errors="surrogatepass")
        sealed ^= int.from_bytes(hashlib.blake2b(text, digest_size=_DIGEST_BYTES).digest())
    return sealed.to_bytes(_DIGEST_BYTES)
