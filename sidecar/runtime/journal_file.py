"""The journal's file: tables, what is read back at the start, and one transaction per batch.

One connection, used by one thread at a time, both writes and checkpoints. The tables hold the state
that the journal's lines led to, so that a start reads what is open and not what ever was:

- `lease`: granted, returned and spent of each lease, as of the last line written;
- `open_call`: the OPEN of each call that has no end yet;
- `record`: the lines that the ledger must have, with their chain: sha256(chain before | body).

What is read back is held against a seal over all of it (`journal_seal`), and the write-ahead log is
looked through first (`journal_log`): a journal is what was written, or it is lost.
"""

import hashlib
import os
import sqlite3
import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sidecar.core.leases import Lease, LeaseKey
from sidecar.limits import PRUNED_RECORDS_MAX
from sidecar.runtime import journal_log
from sidecar.runtime.ballast import Ballast
from sidecar.runtime.journal_seal import LeaseRow, Seal
from sidecar.runtime.journal_start import (
    NO_CHAIN,
    SEAL,
    UPSERT_META,
    JournalLostError,
    JournalUnavailableError,
    Recovered,
    create,
    recover,
    write_anew,
)

__all__ = [
    "NO_CHAIN",
    "Batch",
    "Connect",
    "DiskFullError",
    "JournalFile",
    "JournalLostError",
    "JournalUnavailableError",
    "Recovered",
    "lease_row",
]

_NAME = "journal.db"

_OUTSIDE_CAUSES = frozenset(
    (
        *(sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH),
        *(sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_FULL),
        *(sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM),
    )
)
"""What keeps SQLite from a file without saying anything about what is in it."""


class DiskFullError(Exception):
    """There was no room for a batch, not even the ballast's; nothing of it is on the disk."""


@dataclass(slots=True)
class Batch:
    """Lines that become durable together."""

    opens: list[tuple[int, bytes]] = field(default_factory=list)
    ends: list[tuple[int]] = field(default_factory=list)
    records: list[tuple[int, int, bytes]] = field(default_factory=list)
    """Number, time and body."""
    leases: dict[LeaseKey, LeaseRow] = field(default_factory=dict)
    """The levels after the last line of the batch."""
    forgotten: list[LeaseKey] = field(default_factory=list)
    meta: dict[str, int | str | bytes] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        """Whether there is nothing to write."""
        return not (self.opens or self.records or self.leases or self.meta or self.forgotten)

    def add(self, later: "Batch") -> None:
        """Take in the lines of a batch that comes after this one."""
        self.opens += later.opens
        self.ends += later.ends
        self.records += later.records
        for key in later.forgotten:
            self.leases.pop(key, None)
        self.forgotten += later.forgotten
        self.leases |= later.leases
        self.meta |= later.meta


def lease_row(lease: Lease) -> LeaseRow:
    """A lease's levels, as they are at this moment."""
    key = lease.key
    return (
        key.budget_id,
        key.partition,
        key.period_id,
        lease.period_start_unix_ms,
        lease.period_end_unix_ms,
        lease.granted_nano_usd,
        lease.returned_nano_usd,
        lease.spent_nano_usd,
        lease.authority_boot_ms,
        lease.account.typical_worst_nano_usd,
        int(lease.frozen or lease.overrun_seq > 0),
    )


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None, check_same_thread=False)


Connect = Callable[[Path], sqlite3.Connection]


class JournalFile:
    """The SQLite file under a journal."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        folder: Path,
        seal: Seal,
        last_seq: int,
        chain: bytes,
    ) -> None:
        """Take over an open file; `chain` is the one after its last record."""
        self._connection = connection
        self._seal = seal
        self._ballast = Ballast(folder)
        self.roomy = self.make_room()
        """Whether the ballast lies, so that open calls can settle on a full disk."""
        self._last_seq = last_seq
        self._chain = chain

    @property
    def tip(self) -> tuple[int, bytes]:
        """The last record that is on the disk, and the chain after it."""
        return self._last_seq, self._chain

    @classmethod
    def open(
        cls, folder: Path, *, synchronous: str = "full", connect: Connect = _connect
    ) -> tuple["JournalFile", Recovered]:
        """Open the journal in a folder, making it when it is missing.

        Raises JournalLostError, JournalUnavailableError.
        """
        assert synchronous in ("full", "normal")
        path = folder / _NAME
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            found = os.fstat(descriptor)
            os.close(descriptor)
        except OSError as error:
            raise JournalUnavailableError(f"{path}: {error.strerror}") from None
        if journal_log.is_rotten(folder / f"{_NAME}-wal"):
            raise JournalLostError(f"the journal {path} is broken before the end of its log")
        file_id = f"{found.st_dev}:{found.st_ino}"
        connection = connect(path)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(f"PRAGMA synchronous = {synchronous.upper()}")
            connection.execute("PRAGMA wal_autocheckpoint = 2000")
            write_anew(connection, Ballast(folder))
            if connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0:
                create(connection)
            recovered, seal = recover(connection, file_id)
        except sqlite3.DatabaseError as error:
            connection.close()
            # Texts that are none come without a code.
            code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
            if code & 0xFF in _OUTSIDE_CAUSES:
                raise JournalUnavailableError(f"{path}: {error}") from error
            raise JournalLostError(f"the journal {path} cannot be read: {error}") from error
        except (ValueError, TypeError, struct.error) as error:
            connection.close()
            raise JournalLostError(f"the journal {path} holds what was never written") from error
        except (JournalLostError, JournalUnavailableError):
            connection.close()
            raise
        return cls(connection, folder, seal, recovered.last_seq, recovered.chain), recovered

    @staticmethod
    def set_aside(folder: Path, suffix: str) -> Path:
        """Rename a journal that cannot be read, so that its evidence stays."""
        kept = folder / f"{_NAME}.{suffix}"
        for ending in ("", "-wal", "-shm"):
            path = folder / f"{_NAME}{ending}"
            if path.exists():
                path.rename(folder / f"{_NAME}.{suffix}{ending}")
        return kept

    def write(self, batch: Batch) -> None:
        """Write a batch in one transaction, which is durable on return.

        On a full disk the ballast makes room, once: from then on `roomy` is False, and nothing new
        should open. Raises DiskFullError when that does not help either; the file is then as it was
        before. Any other error leaves it unknown what is on the disk: the file must not be used
        again.
        """
        chained = list(self._chained(batch.records))
        self._reseal(batch, chained)
        if not self._fits(batch, chained):
            self.roomy = False
            self._ballast.drop()
            if not self._fits(batch, chained):
                for number, _ in batch.opens:
                    # All but these come again, and once in the seal they stay in it.
                    self._seal.drop_open(number)
                raise DiskFullError
        if chained:
            self._last_seq, _, self._chain, _ = chained[-1]
        if not self.roomy:
            self._begin_the_log_anew()

    def _fits(self, batch: Batch, chained: list[tuple[int, int, bytes, bytes]]) -> bool:
        """Write a batch; False when there is no room for it, and nothing of it was written."""
        try:
            self._transaction(batch, chained)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_FULL:
                raise
            self._roll_back()
            return False
        return True

    def _begin_the_log_anew(self) -> None:
        """Let the next batch be written over what the database has, not into what room is left."""
        try:
            self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_FULL:
                raise

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def make_room(self) -> bool:
        """Lay the ballast again, if there is room for it and as much again; whether it lies."""
        self.roomy = self._ballast.lay()
        return self.roomy

    def _chained(
        self, records: Iterable[tuple[int, int, bytes]]
    ) -> Iterator[tuple[int, int, bytes, bytes]]:
        chain = self._chain
        for seq, written_unix_ms, body in records:
            chain = hashlib.sha256(chain + body).digest()
            yield seq, written_unix_ms, chain, body

    def _reseal(self, batch: Batch, chained: list[tuple[int, int, bytes, bytes]]) -> None:
        # In the order of the transaction: a lease may be forgotten and come anew in one batch.
        seal = self._seal
        for key in batch.forgotten:
            seal.drop_lease(key)
        seal.put_leases(batch.leases.values())
        seal.put_opens(batch.opens)
        for (number,) in batch.ends:
            seal.drop_open(number)
        if chained:
            seal.put_tip(chained[-1][0], chained[-1][2])
        seal.put_facts(batch.meta)

    def _transaction(self, batch: Batch, chained: list[tuple[int, int, bytes, bytes]]) -> None:
        run = self._connection.execute
        run_many = self._connection.executemany
        run("BEGIN IMMEDIATE")
        if batch.forgotten:
            run_many(_DELETE_LEASE, batch.forgotten)
        if batch.leases:
            run_many(_UPSERT_LEASE, batch.leases.values())
        if batch.opens:
            run_many("INSERT INTO open_call VALUES (?, ?)", batch.opens)
        if batch.ends:
            run_many("DELETE FROM open_call WHERE number = ?", batch.ends)
        if chained:
            run_many("INSERT INTO record VALUES (?, ?, ?, ?)", chained)
        if batch.meta:
            run_many(UPSERT_META, batch.meta.items())
        run(_UPDATE_SEAL, (self._seal.value,))
        run("COMMIT")

    def records(self, from_seq: int, count_max: int, bytes_max: int) -> tuple[list[bytes], bytes]:
        """Bodies from a number on, within bounds, and the chain after the last of them.

        Raises LookupError when the first of them was dropped.
        """
        bodies: list[bytes] = []
        chain = NO_CHAIN
        size = 0
        rows = self._connection.execute(
            "SELECT seq, chain, body FROM record WHERE seq >= ? ORDER BY seq LIMIT ?",
            (from_seq, count_max),
        )
        for seq, row_chain, body in rows:
            if seq != from_seq + len(bodies):
                raise LookupError(f"record {from_seq + len(bodies)} is not kept any more")
            size += len(body)
            if bodies and size > bytes_max:
                break
            bodies.append(body)
            chain = row_chain
        return bodies, chain

    def prune(self, stable_seq: int, before_unix_ms: int, bytes_max: int) -> int:
        """Drop old records that no fail-over can lose; returns how many went."""
        run = self._connection.execute
        pages = run("PRAGMA page_count").fetchone()[0] - run("PRAGMA freelist_count").fetchone()[0]
        size = pages * run("PRAGMA page_size").fetchone()[0]
        limit = "" if size > bytes_max else " AND written_unix_ms < :before"
        try:
            run("BEGIN IMMEDIATE")
            gone = run(
                "DELETE FROM record WHERE seq IN (SELECT seq FROM record WHERE seq <= :stable"  # noqa: S608 - both parts are constants
                f" AND seq < (SELECT max(seq) FROM record){limit} ORDER BY seq LIMIT :count)",
                {"stable": stable_seq, "before": before_unix_ms, "count": PRUNED_RECORDS_MAX},
            ).rowcount
            run("COMMIT")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_FULL:
                raise
            self._roll_back()
            return 0
        return gone

    def close(self) -> None:
        """Close the file; its last write is already durable."""
        self._connection.close()


_UPSERT_LEASE = "INSERT OR REPLACE INTO lease VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_UPDATE_SEAL = f"UPDATE meta SET value = ? WHERE name = '{SEAL}'"  # noqa: S608 - a constant
_DELETE_LEASE = "DELETE FROM lease WHERE budget_id = ? AND partition = ? AND period_id = ?"
