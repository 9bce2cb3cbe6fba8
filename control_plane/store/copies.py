"""Copies of the embedded database: made while it is used, checked before one takes its place."""

import os
import shutil
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from control_plane.store import schema
from control_plane.store.engine import StoreOpenError


def copy(source: Path, target: Path) -> int:
    """Copy a snapshot through a connection that only reads, so that writing goes on meanwhile.

    Returns how many bytes it has. Raises StoreOpenError with what to do.
    """
    partial = target.with_name(target.name + ".partial")
    if target.exists():
        raise StoreOpenError(f"{target} exists: name another file for the backup")
    try:
        descriptor = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        os.close(descriptor)
        reading = read_only(source)
        try:
            written = sqlite3.connect(partial, isolation_level=None)
            try:
                reading.backup(written)
                written.execute("PRAGMA journal_mode=DELETE")
            finally:
                written.close()
        finally:
            reading.close()
        sync(partial)
        partial.rename(target)
        sync(target.parent)
    except OSError as error:
        raise StoreOpenError(f"the backup {target} cannot be written ({error.strerror})") from error
    finally:
        partial.unlink(missing_ok=True)
    return target.stat().st_size


def sync(path: Path) -> None:
    """Make a file or folder durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_only(path: Path) -> sqlite3.Connection:
    """A connection that never writes and never checkpoints."""
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=5.0
    )
    for pragma in ("query_only=ON", "wal_autocheckpoint=0", "trusted_schema=OFF"):
        connection.execute(f"PRAGMA {pragma}")
    connection.row_factory = sqlite3.Row
    return connection


@dataclass(frozen=True, slots=True)
class Checked:
    """What a copy says of itself."""

    watermark_id: str
    """Of which watermark; empty when it was made before there were any."""
    generation: int
    backup_unix_ms: int
    """When `bursar backup` made it; 0 when something else did."""


def check(path: Path) -> Checked:
    """Look whether a file is a whole database of this program, no newer than the program.

    Raises StoreOpenError with what to do.
    """
    if not path.is_file():
        raise StoreOpenError(f"{path} is no file: name a backup that `bursar backup` made")
    try:
        connection = read_only(path)
        try:
            verdict = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
            if verdict != "ok":
                raise StoreOpenError(f"{path} is damaged ({verdict}): take another backup")
            _check_steps(connection, path)
            row = connection.execute("SELECT * FROM meta WHERE id = 1").fetchone()
        finally:
            connection.close()
    except sqlite3.DatabaseError as error:
        raise StoreOpenError(
            f"{path} is no database of this program ({error}): name a backup that `bursar backup` "
            "made"
        ) from error
    if row is None:
        raise StoreOpenError(f"{path} is no whole database of this program: take another backup")
    known = row.keys()
    return Checked(
        watermark_id=row["watermark_id"] if "watermark_id" in known else "",
        generation=row["generation"],
        backup_unix_ms=row["backup_unix_ms"],
    )


def generation_of(path: Path) -> int:
    """The generation of a database that may be damaged or gone; 0 when it cannot be read."""
    try:
        connection = read_only(path)
        try:
            return int(connection.execute("SELECT generation FROM meta").fetchone()[0])
        finally:
            connection.close()
    except (sqlite3.DatabaseError, TypeError):
        return 0


def exchange(prepared: Path, database: Path, suffix: str) -> Path | None:
    """Put a prepared database into a place, durably; where the one before it is kept, None if none.

    A crash leaves either the one or the other, each whole. Only one that cannot be read any more is
    moved away with all that belongs to it: there, for a moment, is none.
    """
    sync(prepared)
    there = database.exists()
    kept = database.with_name(f"{database.name}.{suffix}")
    while kept.exists():
        kept = kept.with_name(f"{kept.name}+")
    if there and _write_ahead_log_is_in(database):
        try:
            os.link(database, kept)
        except OSError:  # this disk has no such links
            shutil.copy2(database, kept)
            sync(kept)
    else:
        for beside in ("-shm", "-wal", ""):
            old = database.with_name(database.name + beside)
            if old.exists():
                old.rename(kept.with_name(kept.name + beside))
    for beside in ("-shm", "-wal"):
        # Of no database that is here any more: a new one must not take them for its own.
        database.with_name(database.name + beside).unlink(missing_ok=True)
    prepared.rename(database)
    sync(database.parent)
    return kept if there else None


def _write_ahead_log_is_in(database: Path) -> bool:
    """Whether a database's file alone is all of it, now that its log was written back into it."""
    try:
        connection = sqlite3.connect(database, isolation_level=None)
        try:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            connection.close()
    except sqlite3.DatabaseError:
        return False
    log = database.with_name(database.name + "-wal")
    return not log.exists() or log.stat().st_size == 0


def _check_steps(connection: sqlite3.Connection, path: Path) -> None:
    known = {step.name for step in schema.steps()}
    rows = connection.execute(
        "SELECT name FROM _sqlite_migrations WHERE migration_set = 'control_plane'"
    ).fetchall()
    names = {row["name"] for row in rows}
    if not names:
        raise StoreOpenError(f"{path} is no control plane's database: name one of its backups")
    if names - known:
        raise StoreOpenError(
            f"{path} was written by a newer version of this program (it has "
            f"{', '.join(sorted(names - known))}): restore it with that version"
        )
