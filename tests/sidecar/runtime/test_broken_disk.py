"""A disk that fails or is full, as the journal meets it: fail closed, and trust nothing."""

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sidecar.limits import BALLAST_BYTES
from sidecar.runtime.journal import JournalFailedError
from sidecar.runtime.journal_file import JournalFile, JournalUnavailableError
from tests.sidecar.runtime.journal_world import CLOCK, body, connecting, read, running


def failing(code: int, sick: Callable[[], bool]) -> Callable[[Path], sqlite3.Connection]:
    """A disk whose commits fail while it is sick."""

    class Failing(sqlite3.Connection):
        def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
            if sql == "COMMIT" and sick():
                error = sqlite3.OperationalError("disk I/O error")
                error.sqlite_errorcode = code
                raise error
            return super().execute(sql, *parameters)

    return connecting(Failing)


@pytest.mark.trio
async def test_an_fsync_error_poisons_the_journal_even_if_the_disk_recovers(
    tmp_path: Path,
) -> None:
    sick = [False]
    async with running(tmp_path, failing(sqlite3.SQLITE_IOERR_FSYNC, lambda: sick[0])) as (
        journal,
        _,
    ):
        _, good = journal.open_call(b"good")
        await journal.durable(good)
        sick[0] = True
        _, bad = journal.open_call(b"bad")
        with pytest.raises(JournalFailedError, match="disk I/O error"):
            await journal.durable(bad)
        assert journal.failure is not None
        sick[0] = False
        _, later = journal.open_call(b"later")
        with pytest.raises(JournalFailedError):
            await journal.durable(later)
        with pytest.raises(JournalFailedError):
            await journal.records(1)


@pytest.mark.trio
async def test_on_a_full_disk_open_calls_still_settle_and_no_new_one_opens(
    tmp_path: Path,
) -> None:
    ballast = tmp_path / "ballast"
    full = [False]
    async with running(
        tmp_path, failing(sqlite3.SQLITE_FULL, lambda: full[0] and ballast.exists())
    ) as (journal, _):
        assert ballast.stat().st_size == BALLAST_BYTES
        numbers = []
        for _ in range(50):
            number, group = journal.open_call(b"a stream")
            numbers.append(number)
        await journal.durable(group)
        full[0] = True
        for number in numbers:
            journal.record(body, CLOCK.now(), ends=number)
        await journal.flush()
        assert not ballast.exists()
        assert journal.failure == "the disk is full"
    recovered = read(tmp_path)
    assert recovered.open_calls == ()
    assert recovered.last_seq == 50


@pytest.mark.trio
async def test_a_new_process_writes_anew_what_it_reads_before_it_trusts_it(tmp_path: Path) -> None:
    """After a failed fsync the system goes on showing lines that no disk has."""
    async with running(tmp_path) as (journal, _):
        for _ in range(3):
            journal.record(body, CLOCK.now())
        await journal.flush()
        copied = tmp_path / "copy"
        shutil.copytree(tmp_path, copied, ignore=shutil.ignore_patterns("copy"))
    assert (copied / "journal.db-wal").stat().st_size > 0
    file, recovered = JournalFile.open(copied)
    assert recovered.last_seq == 3
    assert (copied / "journal.db-wal").stat().st_size == 0
    file.close()


def test_a_journal_that_cannot_be_written_anew_is_not_trusted_and_not_lost(tmp_path: Path) -> None:
    file, _ = JournalFile.open(tmp_path)
    file.close()

    class Failing(sqlite3.Connection):
        def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
            if "wal_checkpoint" in sql:
                error = sqlite3.OperationalError("disk I/O error")
                error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
                raise error
            return super().execute(sql, *parameters)

    with pytest.raises(JournalUnavailableError, match="disk I/O error"):
        JournalFile.open(tmp_path, connect=connecting(Failing))
    assert read(tmp_path).last_seq == 0


@pytest.mark.trio
async def test_a_file_that_cannot_be_read_is_as_bad_as_one_that_cannot_be_written(
    tmp_path: Path,
) -> None:
    sick = [False]

    class Unreadable(sqlite3.Connection):
        def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
            if sick[0] and sql.startswith("SELECT"):
                raise sqlite3.DatabaseError("database disk image is malformed")
            return super().execute(sql, *parameters)

    async with running(tmp_path, connecting(Unreadable)) as (journal, _):
        journal.record(body, CLOCK.now())
        sick[0] = True
        with pytest.raises(JournalFailedError, match="malformed"):
            await journal.records(1)
        assert journal.failure is not None
        _, group = journal.open_call(b"a call")
        with pytest.raises(JournalFailedError):
            await journal.durable(group)
