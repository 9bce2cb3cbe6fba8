"""What is SQLite's own: the lock, the file, errors of the disk, the limit in time."""

import sqlite3
import threading
from concurrent.futures import Future
from pathlib import Path

import pytest
from sqlite_utils import Database

from control_plane import limits
from control_plane.clock import SystemClock
from control_plane.store import schema
from control_plane.store.engine import (
    ReadTooLongError,
    StoreBusyError,
    StoreClosedError,
    StoreFullError,
    StoreOpenError,
    Tx,
)
from control_plane.store.group_commit import GroupCommit, Work, WriterThread
from control_plane.store.sqlite import DATABASE_FILE, _connect, open_inline, open_store
from control_plane.store.sqlite_tx import SqliteTx


def test_a_second_process_is_refused_and_told_what_to_do(tmp_path: Path) -> None:
    store = open_store(tmp_path, SystemClock())
    with pytest.raises(StoreOpenError, match="stop it first"):
        open_store(tmp_path, SystemClock())
    store.close()
    open_store(tmp_path, SystemClock()).close()


def test_a_file_where_the_data_folder_should_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(StoreOpenError, match="is a file"):
        open_store(tmp_path / "data", SystemClock())
    with pytest.raises(StoreOpenError, match="is a file"):
        open_store(tmp_path / "data" / "below", SystemClock())


def test_a_file_that_is_no_database_is_told_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / DATABASE_FILE).write_bytes(b"not a database" * 100)
    with pytest.raises(StoreOpenError, match="restore it from a backup"):
        open_store(tmp_path, SystemClock())
    assert (tmp_path / DATABASE_FILE).read_bytes().startswith(b"not a database")


def test_a_database_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    store = open_inline(tmp_path, SystemClock())
    newer = "UPDATE _sqlite_migrations SET name = 'm9999_future' WHERE name LIKE 'm0001%'"
    store.write(lambda tx: tx.run(newer)).result()
    store.close()
    with pytest.raises(StoreOpenError, match="newer version"):
        open_inline(tmp_path, SystemClock())


def test_the_files_are_for_this_user_alone(tmp_path: Path) -> None:
    open_store(tmp_path / "data", SystemClock()).close()
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "data").iterdir()}
    assert set(modes.values()) == {0o600}
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700


def test_commits_are_durable_and_readers_never_checkpoint(tmp_path: Path) -> None:
    open_inline(tmp_path, SystemClock()).close()

    def pragma(connection: sqlite3.Connection, name: str) -> int:
        return int(connection.execute(f"PRAGMA {name}").fetchone()[0])

    writing = _connect(tmp_path / DATABASE_FILE)
    reading = _connect(tmp_path / DATABASE_FILE, read_only=True)
    assert pragma(writing.conn, "synchronous") == 2
    assert pragma(reading.conn, "query_only") == 1
    assert pragma(reading.conn, "wal_autocheckpoint") == 0
    reading.close()
    writing.close()


def test_a_read_that_takes_too_long_is_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "READ_TIME_LIMIT_MS", 20)
    store = open_store(tmp_path, SystemClock())
    endless = """WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)
                 SELECT COUNT(*) AS c FROM n"""
    with pytest.raises(ReadTooLongError):
        store.read(lambda tx: tx.row(endless)).result()
    assert store.read(lambda tx: tx.row("SELECT 1 AS one")).result()
    store.close()


def test_steps_are_numbered_without_a_gap_and_every_table_is_strict(tmp_path: Path) -> None:
    assert [step.name[:5] for step in schema.steps()][:2] == ["m0001", "m0002"]
    store = open_inline(tmp_path, SystemClock())
    rows = store.read(lambda tx: tx.rows("PRAGMA table_list")).result()
    loose = {
        row["name"] for row in rows if not row["strict"] and not row["name"].startswith("sqlite_")
    }
    assert loose == {"_sqlite_migrations"}
    store.close()


class BrokenDisk:
    """A session whose COMMIT fails as the disk does."""

    def __init__(self, code: int) -> None:
        connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        connection.row_factory = sqlite3.Row
        connection.execute("CREATE TABLE t (n INTEGER)")
        self.database = Database(connection, execute_plugins=False)
        self.tx: Tx = SqliteTx(self.database)
        self.code = code
        self.broken = True
        self.closed = False

    @property
    def in_transaction(self) -> bool:
        return self.database.conn.in_transaction

    def begin(self) -> None:
        self.database.conn.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        if self.broken:
            error = sqlite3.OperationalError("disk")
            error.sqlite_errorcode = self.code
            raise error
        self.database.commit()

    def rollback(self) -> None:
        self.database.rollback()

    def is_fatal(self, error: BaseException) -> bool:
        return getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_IOERR

    def for_caller(self, error: BaseException) -> BaseException:
        return error

    def close(self) -> None:
        self.closed = True
        self.database.close()


def insert(tx: Tx) -> int:
    return tx.run("INSERT INTO t VALUES (1)")


def run(group: GroupCommit, count: int) -> list["Future[int]"]:
    batch = [Work(insert, Future()) for _ in range(count)]
    group.run(batch)
    return [work.future for work in batch]


def test_a_failed_commit_fails_every_function_and_an_io_error_poisons_the_store() -> None:
    session = BrokenDisk(sqlite3.SQLITE_IOERR)
    group = GroupCommit(session)
    for future in run(group, 3):
        assert isinstance(future.exception(), StoreClosedError)
    session.broken = False
    # The disk seems well again; nobody knows what it holds, so nothing is written all the same.
    assert isinstance(run(group, 1)[0].exception(), StoreClosedError)
    session.close()


def test_a_full_disk_fails_what_waits_and_is_tried_again() -> None:
    session = BrokenDisk(sqlite3.SQLITE_FULL)
    group = GroupCommit(session)
    assert all(future.exception() is not None for future in run(group, 2))
    session.broken = False
    assert run(group, 1)[0].result() == 1
    row = session.tx.row("SELECT COUNT(*) AS n FROM t")
    assert row is not None
    assert row["n"] == 1
    session.close()


def test_a_full_disk_is_told_as_such_and_loses_nothing(tmp_path: Path) -> None:
    store = open_inline(tmp_path, SystemClock())

    def fill(tx: Tx) -> None:
        tx.run("PRAGMA max_page_count = 1")
        tx.run("CREATE TABLE large AS SELECT zeroblob(100000) AS b")

    with pytest.raises(StoreFullError, match="make room"):
        store.write(fill).result()
    store.write(lambda tx: tx.run("PRAGMA max_page_count = 1000000")).result()
    assert store.write(lambda tx: tx.run("UPDATE meta SET policy_version = 2")).result() == 1
    store.close()


def test_a_poisoned_writer_tells_once_and_refuses_at_the_door() -> None:
    session = BrokenDisk(sqlite3.SQLITE_IOERR)
    told: list[BaseException] = []
    heard = threading.Event()

    def tell(error: BaseException) -> None:
        told.append(error)
        heard.set()

    writer = WriterThread(session, tell)
    assert writer.submit(insert).exception() is not None
    assert heard.wait(10)
    with pytest.raises(StoreClosedError, match="I/O error"):
        writer.submit(insert)
    writer.close()
    assert len(told) == 1
    assert session.closed


def test_the_queue_is_bounded_and_what_was_accepted_is_finished(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "QUEUED_WRITES_MAX", 3)
    session = BrokenDisk(0)
    session.broken = False
    writer = WriterThread(session)
    began, go_on = threading.Event(), threading.Event()

    def hold(_: Tx) -> None:
        began.set()
        assert go_on.wait(10)

    first = writer.submit(hold)
    assert began.wait(10)
    waiting = [writer.submit(insert) for _ in range(3)]
    with pytest.raises(StoreBusyError):
        writer.submit(insert)
    go_on.set()
    writer.close()
    assert first.done()
    assert [future.result() for future in waiting] == [1, 1, 1]
    with pytest.raises(StoreClosedError):
        writer.submit(insert)


def test_a_future_that_was_cancelled_is_not_run() -> None:
    session = BrokenDisk(0)
    session.broken = False
    group = GroupCommit(session)
    cancelled, kept = Work(insert, Future()), Work(insert, Future())
    cancelled.future.cancel()
    group.run([cancelled, kept])
    assert kept.future.result() == 1
    row = session.tx.row("SELECT COUNT(*) AS n FROM t")
    assert row is not None
    assert row["n"] == 1
    session.close()
