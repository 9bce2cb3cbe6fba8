"""The embedded database: one SQLite file in the data folder, through sqlite-utils.

Rules. One connection writes and checkpoints, from one thread; every other connection is opened
`mode=ro`, never checkpoints and never writes (SQLite below 3.51.3 can corrupt a file on which two
connections checkpoint and commit at once). `synchronous=FULL`: with NORMAL a power cut can forget
a grant that a sidecar already holds. A lock file keeps a second process out, migrations included.
"""

import contextlib
import fcntl
import os
import queue
import sqlite3
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Literal, TypeVar

from sqlite_utils import Database, Migrations

from control_plane import limits
from control_plane.clock import Clock
from control_plane.entropy import Entropy
from control_plane.store import copies, dialect, schema, watermark
from control_plane.store.engine import (
    ReadTooLongError,
    StoreBusyError,
    StoreClosedError,
    StoreFullError,
    StoreOpenError,
    Tx,
)
from control_plane.store.group_commit import Around, GroupCommit, Work, WriterThread
from control_plane.store.sqlite_tx import SqliteTx, primary_code
from control_plane.store.watermark_file import WATERMARK_FILE, WatermarkFile

DATABASE_FILE = "control_plane.db"
LOCK_FILE = "control_plane.lock"
Synchronous = Literal["FULL", "OFF"]
"""OFF is for tests and simulations only: it survives kill -9, not a power cut."""
T = TypeVar("T")

_PROGRESS_STEPS = 5_000
"""SQLite asks whether a read is over time after so many of its own instructions."""
_FATAL = frozenset(
    {
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_READONLY,
    }
)
"""Errors after which nobody knows what the disk holds."""


class _Writing:
    """The connection that writes."""

    def __init__(self, database: Database, second_place: WatermarkFile) -> None:
        self._database = database
        self._watermark = second_place
        self._changes = 0
        self.tx: Tx = SqliteTx(database, second_place)

    @property
    def in_transaction(self) -> bool:
        return self._database.conn.in_transaction

    def begin(self) -> None:
        # sqlite-utils only knows the deferred BEGIN; IMMEDIATE takes the write lock at once.
        self._database.conn.execute("BEGIN IMMEDIATE")
        self._changes = self._database.conn.total_changes

    def commit(self) -> None:
        if self._database.conn.total_changes == self._changes:
            self._database.commit()
            return
        change_no = watermark.count_change(self.tx)
        self._database.commit()
        self._watermark.settle()
        self._watermark.committed(change_no)

    def rollback(self) -> None:
        self._watermark.withdraw()
        self._database.rollback()

    def is_fatal(self, error: BaseException) -> bool:
        return primary_code(error) in _FATAL

    def for_caller(self, error: BaseException) -> BaseException:
        if primary_code(error) != sqlite3.SQLITE_FULL:
            return error
        full = StoreFullError("the disk of the data folder is full: make room, then try again")
        full.__cause__ = error
        return full

    def close(self) -> None:
        self._database.close()


class _Reading:
    """A connection that reads, with a limit in time."""

    def __init__(self, folder: "LockedFolder", clock: Clock) -> None:
        self._database = _connect(folder.database, read_only=True)
        self._clock = clock
        self._tx = SqliteTx(self._database, folder.watermark)

    def run(self, work: Work) -> None:
        if not work.future.set_running_or_notify_cancel():
            return
        connection = self._database.conn
        deadline_ns = self._clock.monotonic_ns() + limits.READ_TIME_LIMIT_MS * 1_000_000
        connection.set_progress_handler(
            lambda: int(self._clock.monotonic_ns() > deadline_ns), _PROGRESS_STEPS
        )
        try:
            connection.execute("BEGIN")
            value = work.fn(self._tx)
        except BaseException as error:  # noqa: BLE001 - the future must hear of it
            work.future.set_exception(_too_long(error))
        else:
            work.future.set_result(value)
        finally:
            connection.set_progress_handler(None, 0)
            self._database.rollback()

    def close(self) -> None:
        self._database.close()


def _too_long(error: BaseException) -> BaseException:
    if primary_code(error) != sqlite3.SQLITE_INTERRUPT:
        return error
    return ReadTooLongError(
        f"the read took longer than {limits.READ_TIME_LIMIT_MS} ms: ask for a shorter time or page"
    )


class SqliteStore:
    """The store with its threads: one that writes, two that read."""

    def __init__(
        self,
        folder: "LockedFolder",
        clock: Clock,
        *,
        on_poison: Callable[[BaseException], None] | None = None,
        around: Around | None = None,
    ) -> None:
        self._folder = folder
        self._clock = clock
        writing = _Writing(folder.open(), folder.watermark)
        self._writer = WriterThread(writing, on_poison, *([around] if around else []))
        self._reads: queue.Queue[Work | None] = queue.Queue(limits.QUEUED_READS_MAX)
        self._lock = threading.Lock()
        self._closed = False
        self._readers = [
            threading.Thread(target=self._read_loop, name=f"store-reader-{n}", daemon=True)
            for n in range(limits.READERS)
        ]
        for thread in self._readers:
            thread.start()

    def write(self, fn: Callable[[Tx], T]) -> Future[T]:
        return self._writer.submit(fn)

    def read(self, fn: Callable[[Tx], T]) -> Future[T]:
        future: Future[T] = Future()
        with self._lock:
            if self._closed:
                raise StoreClosedError("the control plane is stopping: try again in a moment")
            try:
                self._reads.put_nowait(Work(fn, future))
            except queue.Full:
                raise StoreBusyError("too many reads wait: try again in a moment") from None
        return future

    def backup(self, target: Path) -> Future[int]:
        return _in_thread("store-backup", lambda: copies.copy(self._folder.database, target))

    def close(self) -> None:
        with self._lock:
            if self._closed:
                return
            self._closed = True
        for _ in self._readers:
            self._reads.put(None)
        for thread in self._readers:
            thread.join()
        self._writer.close()
        self._folder.unlock()

    def _read_loop(self) -> None:
        reading = _Reading(self._folder, self._clock)
        while (work := self._reads.get()) is not None:
            reading.run(work)
        reading.close()


class InlineStore:
    """The same store without threads: everything runs where it is called, in order."""

    def __init__(self, folder: "LockedFolder", clock: Clock, synchronous: Synchronous) -> None:
        self._folder = folder
        self._session = _Writing(folder.open(synchronous), folder.watermark)
        self._group = GroupCommit(self._session)
        self._reading = _Reading(folder, clock)
        self._closed = False

    def write(self, fn: Callable[[Tx], T]) -> Future[T]:
        future: Future[T] = Future()
        self._check()
        self._group.run([Work(fn, future)])
        return future

    def write_all(self, functions: Sequence[Callable[[Tx], Any]]) -> list[Future[Any]]:
        """Run several functions in one commit, as the writer thread does with what waits."""
        self._check()
        batch = [Work(fn, Future()) for fn in functions]
        self._group.run(batch)
        return [work.future for work in batch]

    def read(self, fn: Callable[[Tx], T]) -> Future[T]:
        future: Future[T] = Future()
        self._check()
        self._reading.run(Work(fn, future))
        return future

    def backup(self, target: Path) -> Future[int]:
        self._check()
        future: Future[int] = Future()
        future.set_result(copies.copy(self._folder.database, target))
        return future

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._reading.close()
            self._session.close()
            self._folder.unlock()

    def _check(self) -> None:
        if self._closed:
            raise StoreClosedError("the store is closed")


class LockedFolder:
    """A data folder that this process alone may use, its schema brought up to date."""

    def __init__(
        self, folder: Path, second_place: Path | None = None, synchronous: Synchronous = "FULL"
    ) -> None:
        """Lock it. The watermark lies in `second_place`, or in the folder itself."""
        self.folder = folder
        self.database = folder / DATABASE_FILE
        self._descriptor = _lock(folder)
        sync = os.fdatasync if synchronous == "FULL" else lambda _: None
        self.watermark = WatermarkFile((second_place or folder) / WATERMARK_FILE, sync)
        try:
            self._migrate()
        except BaseException:
            self.unlock()
            raise

    def open(self, synchronous: Synchronous = "FULL") -> Database:
        """A connection that writes."""
        return _connect(self.database, synchronous=synchronous)

    def unlock(self) -> None:
        """Let another process in."""
        self.watermark.close()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _migrate(self) -> None:
        try:
            database = _connect(self.database)
        except sqlite3.DatabaseError as error:
            raise _no_database(self.database, error) from error
        try:
            _apply_steps(database, self.database)
            watermark.open_for(SqliteTx(database, self.watermark), Entropy())
        except sqlite3.DatabaseError as error:
            raise _no_database(self.database, error) from error
        finally:
            database.close()


def open_store(
    folder: Path,
    clock: Clock,
    *,
    second_place: Path | None = None,
    on_poison: Callable[[BaseException], None] | None = None,
    around: Around | None = None,
) -> SqliteStore:
    """Open the database of a data folder. Raises StoreOpenError with what to do.

    The watermark lies in the folder `second_place`, or else beside the database.
    """
    locked = LockedFolder(folder, second_place)
    return SqliteStore(locked, clock, on_poison=on_poison, around=around)


def open_inline(
    folder: Path,
    clock: Clock,
    *,
    second_place: Path | None = None,
    synchronous: Synchronous = "OFF",
) -> InlineStore:
    """Open the database of a data folder without any thread. Raises StoreOpenError."""
    return InlineStore(LockedFolder(folder, second_place, synchronous), clock, synchronous)


def database_name() -> str:
    """What the data lies in, for people."""
    return f"SQLite {sqlite3.sqlite_version}"


@contextlib.contextmanager
def locked(folder: Path) -> Generator[None, None, None]:
    """Keep every control plane out of a data folder for a while. Raises StoreOpenError."""
    descriptor = _lock(folder)
    try:
        yield
    finally:
        os.close(descriptor)


def _lock(folder: Path) -> int:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(folder / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except (FileExistsError, NotADirectoryError):
        raise StoreOpenError(
            f"the data folder {folder} is a file: move it away, or name another folder with --data"
        ) from None
    except OSError as error:
        raise StoreOpenError(
            f"the data folder {folder} cannot be used ({error.strerror}): "
            "make it writable for this user, or name another folder with --data"
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise StoreOpenError(
            f"another control plane is using {folder}: stop it first, or name another folder "
            "with --data; two at once would corrupt the ledger"
        ) from None
    return descriptor


def _connect(path: Path, *, read_only: bool = False, synchronous: Synchronous = "FULL") -> Database:
    if not read_only:
        path.touch(mode=0o600)
    mode = "ro" if read_only else "rw"
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=512,
        timeout=5.0,
    )
    connection.row_factory = sqlite3.Row
    database = Database(connection, recursive_triggers=False, execute_plugins=False)
    pragmas = ["foreign_keys=ON", "temp_store=MEMORY", "trusted_schema=OFF"]
    if read_only:
        pragmas += ["query_only=ON", "wal_autocheckpoint=0"]
    else:
        pragmas += ["journal_mode=WAL", f"synchronous={synchronous}", "wal_autocheckpoint=1000"]
    try:
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")
    except BaseException:
        connection.close()
        raise
    return database


def _apply_steps(database: Database, path: Path) -> None:
    words = dialect.Sqlite()
    wanted = schema.steps()
    migrations = Migrations("control_plane")
    for step in wanted:

        def run(on: Database, step: schema.Step = step) -> None:
            for statement in step.statements:
                on.execute(words.ddl(statement))

        migrations(name=step.name)(run)
    strangers = {one.name for one in migrations.applied(database)} - {s.name for s in wanted}
    if strangers:
        raise StoreOpenError(
            f"{path} was written by a newer version of this program (it has "
            f"{', '.join(sorted(strangers))}): start that version, or restore an older backup"
        )
    migrations.apply(database)


def _no_database(path: Path, error: sqlite3.DatabaseError) -> StoreOpenError:
    return StoreOpenError(
        f"{path} cannot be read as the control plane's database ({error}): "
        "restore it from a backup, or name another folder with --data"
    )


def _in_thread(name: str, fn: Callable[[], T]) -> Future[T]:
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(fn())
        except BaseException as error:  # noqa: BLE001 - the future must hear of it
            future.set_exception(error)

    threading.Thread(target=run, name=name, daemon=True).start()
    return future
