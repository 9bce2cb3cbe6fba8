"""What a start of the process makes of the journal's file, before anything rests on it.

It is written anew, read, and held against its seal and its chain: it is what was written, or lost.
"""

import hashlib
import sqlite3
from dataclasses import dataclass

from sidecar.core.allowance import StoredLease
from sidecar.core.leases import LeaseKey
from sidecar.core.timekeeper import Kept
from sidecar.limits import RECENT_RECORDS_MAX, RECENT_RECORDS_MS
from sidecar.runtime.ballast import Ballast
from sidecar.runtime.journal_seal import LeaseRow, Seal, value_of_format_2

NO_CHAIN = bytes(32)
"""The chain before the first record of an epoch."""
_FORMAT = 3
_OLD_SEAL_FORMAT = 2
_UNSEALED_FORMAT = 1
SEAL = "seal"
"""The fact that says what all others must come to."""
UPSERT_META = "INSERT OR REPLACE INTO meta VALUES (?, ?)"
"""Writes a fact about the journal itself."""
_SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE lease (
  budget_id TEXT NOT NULL,
  partition TEXT NOT NULL,
  period_id TEXT NOT NULL,
  period_start_unix_ms INTEGER NOT NULL,
  period_end_unix_ms INTEGER,
  granted_nano_usd INTEGER NOT NULL,
  returned_nano_usd INTEGER NOT NULL CHECK (returned_nano_usd >= 0),
  spent_nano_usd INTEGER NOT NULL CHECK (spent_nano_usd >= 0),
  authority_boot_ms INTEGER NOT NULL,
  median_worst_nano_usd INTEGER NOT NULL,
  frozen INTEGER NOT NULL CHECK (frozen IN (0, 1)),
  PRIMARY KEY (budget_id, partition, period_id),
  CHECK (returned_nano_usd + spent_nano_usd <= granted_nano_usd)
) STRICT, WITHOUT ROWID;
CREATE TABLE open_call (number INTEGER PRIMARY KEY, body BLOB NOT NULL) STRICT;
CREATE TABLE record (
  seq INTEGER PRIMARY KEY,
  written_unix_ms INTEGER NOT NULL,
  chain BLOB NOT NULL,
  body BLOB NOT NULL
) STRICT;
"""


class JournalLostError(Exception):
    """The journal cannot be read, or does not hang together."""


class JournalUnavailableError(Exception):
    """The journal may be whole, but cannot be opened now; the message says why.

    Taken for lost, it would cost its open calls' worst cases and all that its leases hold.
    """


@dataclass(frozen=True, slots=True)
class Recovered:
    """What the journal says at the start."""

    epoch: int
    """0 before the first registration."""
    generation: int
    last_seq: int
    chain: bytes
    """The chain after the last record."""
    acked_seq: int
    next_number: int
    boot_id: str
    machine_id: str
    sidecar_id: str
    """Whose it is; empty before the first registration."""
    file_id: str
    """The file that this was read from."""
    copied: bool
    """It was written in another file, of which this is a copy."""
    kept: Kept | None
    """How the time was told when it was last written."""
    forgotten_until_unix_ms: int
    """Leases of periods that ended until then may have been forgotten."""
    heard_until_boot_ms: int
    """Until when calls that no capped budget counts may be opened."""
    leases: tuple[StoredLease, ...]
    open_calls: tuple[tuple[int, bytes], ...]
    """Calls without an end, by number."""
    recent_records: tuple[bytes, ...] = ()
    """The records of the last minute of the process before, the latest first."""


def create(connection: sqlite3.Connection) -> None:
    """Make the tables of a new journal."""
    connection.execute("BEGIN IMMEDIATE")
    for statement in _SCHEMA.split(";\n"):
        if statement.strip():
            connection.execute(statement)
    _write_seal(connection, _sealed({"format": _FORMAT}, [], [], None))
    connection.execute("COMMIT")


def _write_seal(connection: sqlite3.Connection, seal: Seal) -> None:
    connection.executemany(UPSERT_META, [("format", _FORMAT), (SEAL, seal.value)])


def _sealed(
    meta: dict[str, int | str | bytes],
    leases: list[LeaseRow],
    open_calls: list[tuple[int, bytes]],
    last: tuple[int, bytes] | None,
) -> Seal:
    """The seal that belongs to all that a start reads."""
    seal = Seal()
    seal.put_facts(meta)
    seal.put_leases(leases)
    seal.put_opens(open_calls)
    if last is not None:
        seal.put_tip(*last)
    return seal


def recover(connection: sqlite3.Connection, file_id: str) -> tuple[Recovered, Seal]:
    """Read what the journal says, and the seal over it. Raises JournalLostError.

    `file_id` tells the file on this machine from all others.
    """
    run = connection.execute
    meta = dict(run("SELECT name, value FROM meta"))
    written = meta.pop(SEAL, None)
    last = run("SELECT seq, chain FROM record ORDER BY seq DESC LIMIT 1").fetchone()
    leases = run("SELECT * FROM lease").fetchall()
    open_calls = run("SELECT number, body FROM open_call ORDER BY number").fetchall()
    found = meta.get("format")
    unsealed = written is None and found == _UNSEALED_FORMAT
    if not unsealed and found not in (_OLD_SEAL_FORMAT, _FORMAT):
        raise JournalLostError(f"the journal is of format {found}, this program reads {_FORMAT}")
    seal = _sealed(meta | {"format": _FORMAT}, leases, open_calls, last)
    expected = seal.value
    if found == _OLD_SEAL_FORMAT:
        expected = value_of_format_2(meta, leases, open_calls, last)
    if not unsealed and written != expected:
        raise JournalLostError("what the journal says is not what was written")
    if found != _FORMAT:
        # Both facts or none: the new format without its seal would be a journal that is lost.
        run("BEGIN IMMEDIATE")
        _write_seal(connection, seal)
        run("COMMIT")
    last_seq, chain = last if last is not None else (0, NO_CHAIN)
    acked_seq = int(meta.get("acked_seq", 0))
    _check_chain(connection, acked_seq)
    recovered = Recovered(
        epoch=int(meta.get("epoch", 0)),
        generation=int(meta.get("generation", 0)),
        last_seq=last_seq,
        chain=chain,
        acked_seq=acked_seq,
        next_number=max((number for number, _ in open_calls), default=0) + 1,
        boot_id=str(meta.get("boot_id", "")),
        machine_id=str(meta.get("machine_id", "")),
        sidecar_id=str(meta.get("sidecar_id", "")),
        file_id=file_id,
        copied=str(meta.get("file_id", file_id)) != file_id,
        kept=_kept(meta),
        forgotten_until_unix_ms=int(meta.get("forgotten_until_unix_ms", 0)),
        heard_until_boot_ms=int(meta.get("heard_until_boot_ms", 0)),
        leases=tuple(map(_stored_lease, leases)),
        open_calls=tuple(open_calls),
        recent_records=_recent_records(connection),
    )
    return recovered, seal


def _recent_records(connection: sqlite3.Connection) -> tuple[bytes, ...]:
    found = []
    latest_unix_ms: int | None = None
    rows = connection.execute(
        "SELECT written_unix_ms, body FROM record ORDER BY seq DESC LIMIT ?", (RECENT_RECORDS_MAX,)
    )
    for written_unix_ms, body in rows:
        if latest_unix_ms is None:
            latest_unix_ms = written_unix_ms
        if written_unix_ms < latest_unix_ms - RECENT_RECORDS_MS:
            break
        found.append(body)
    return tuple(found)


def _kept(meta: dict[str, int | str | bytes]) -> Kept | None:
    if "clock_apart_ms" not in meta:
        return None
    offset = meta.get("clock_offset_ms")
    return Kept(
        apart_ms=int(meta["clock_apart_ms"]),
        lost_ms=int(meta["clock_lost_ms"]),
        offset_ms=None if offset is None else int(offset),
    )


def _stored_lease(row: LeaseRow) -> StoredLease:
    return StoredLease(
        key=LeaseKey(row[0], row[1], row[2]),
        period_start_unix_ms=row[3],
        period_end_unix_ms=row[4],
        granted_nano_usd=row[5],
        returned_nano_usd=row[6],
        spent_nano_usd=row[7],
        authority_boot_ms=row[8],
        median_worst_nano_usd=row[9],
        frozen=bool(row[10]),
    )


def _check_chain(connection: sqlite3.Connection, acked_seq: int) -> None:
    """Check that the records which the ledger may not have yet follow upon each other."""
    expected_seq: int | None = None
    chain = NO_CHAIN
    rows = connection.execute(
        "SELECT seq, chain, body FROM record WHERE seq >= ? ORDER BY seq", (acked_seq,)
    )
    for seq, row_chain, body in rows:
        if expected_seq is not None or seq == 1:
            if expected_seq is not None and seq != expected_seq:
                raise JournalLostError(f"record {expected_seq} is missing")
            if hashlib.sha256(chain + body).digest() != row_chain:
                raise JournalLostError(f"record {seq} does not follow the one before it")
        chain = row_chain
        expected_seq = seq + 1


def write_anew(connection: sqlite3.Connection, ballast: Ballast) -> None:
    """Write all that is read back once more, and make that durable, before anything rests on it.

    After a failed fsync the system forgets what it could not write, but goes on showing it: a later
    process would read lines that no disk has, tell of them, and lose them with the next power loss.
    The log is empty then: what a power cut left behind its end would look like rot later.
    """
    try:
        busy = _checkpoint(connection)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_FULL or not ballast.drop():
            raise
        busy = _checkpoint(connection)
    if busy:
        raise JournalUnavailableError("another program is reading the journal")


def _checkpoint(connection: sqlite3.Connection) -> bool:
    """Empty the log into the database and fsync both; whether somebody stood in the way."""
    return bool(connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0])
