"""Copies of the embedded database: made while it is used, checked before one takes its place."""

import os
import sqlite3
from pathlib import Path

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
        _sync(partial)
        partial.rename(target)
        _sync(target.parent)
    except OSError as error:
        raise StoreOpenError(f"the backup {target} cannot be written ({error.strerror})") from error
    finally:
        partial.unlink(missing_ok=True)
    return target.stat().st_size


def _sync(path: Path) -> None:
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
