"""A sidecar's disk: real SQLite, whose writing takes virtual time and can be cut off or fail.

What was synced stays. A kill takes the process and nothing else. A power loss also takes what of
the write-ahead log was not synced: it is cut at a byte that the seed chooses, as far as the file's
own `PRAGMA synchronous` promised no more.
"""

import random
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import trio

from sidecar.clock import Clock
from sidecar.core.leases import LeaseKey
from sidecar.limits import BALLAST_BYTES
from sidecar.runtime.ballast import Ballast
from sidecar.runtime.journal import Group, Journal
from sidecar.runtime.journal_file import JournalFile, Recovered
from tests.simulation.clocks import sleep

NAME = "journal.db"
_WAL = "journal.db-wal"
_SHM = "journal.db-shm"
_FULL_SYNC = 2
_PAGE_BYTES = 4096
_SPARED_BYTES = 64 * 1024
ROOM_COMMITS = 60
"""Transactions that find room where the ballast was."""


class _Connection(sqlite3.Connection):
    """A connection whose commits can fail."""

    disk: "Disk"

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        if sql == "COMMIT":
            self.disk.commit(super().execute)
        return super().execute(sql, *parameters)


def _error(code: int, words: str) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError(words)
    error.sqlite_errorcode = code
    return error


class JournalCopy:
    """One journal as the outside knows it, for as long as its files live on a disk."""

    def __init__(self) -> None:
        self.lost = False
        """Its files are gone or cannot be read: what it knew may never be told."""
        self.forked = False
        """Two processes wrote to copies of it."""
        self.rotten = False
        """Bytes of it went bad: only then may a process find it unreadable."""


class Disk:
    """One folder, and what may happen to it."""

    def __init__(self, folder: Path, chance: random.Random, count: Callable[[str], None]) -> None:
        """Take a folder that exists; `count` is told of each fault that truly happened."""
        self.folder = folder
        self._wal = folder / _WAL
        self.chance = chance
        self.count = count
        self.slow_ms = 3
        """A write takes up to so long."""
        self.fail_sync = False
        """The next commit ends in an I/O error, once."""
        self.full = False
        self.journal = JournalCopy()
        self._room = 0
        self._synced_bytes = 0
        self.authority_ms: dict[tuple[int, int, LeaseKey], int] = {}
        """Until when calls might be started by what came here, by the true time: for each boot,
        epoch and lease. A copy has none."""
        self._syncs = False
        """Whether the connection was told to sync each commit."""
        self.lay_ballast()

    def lay_ballast(self) -> None:
        """The same room, without writing it."""
        with (self.folder / "ballast").open("wb") as file:
            file.truncate(BALLAST_BYTES)

    def connect(self, path: Path) -> sqlite3.Connection:
        connection = sqlite3.connect(
            path, isolation_level=None, check_same_thread=False, factory=_Connection
        )
        connection.disk = self
        return connection

    def commit(self, run: Callable[[str], object]) -> None:
        """What happens before a commit: nothing, or an error after which nobody knows."""
        if self.fail_sync:
            self.fail_sync = False
            self.count("sync error")
            run("COMMIT" if self.chance.random() < 0.5 else "ROLLBACK")
            raise _error(sqlite3.SQLITE_IOERR, "disk I/O error")
        if self.full:
            if (self.folder / "ballast").exists():
                self._room = ROOM_COMMITS
                raise _error(sqlite3.SQLITE_FULL, "database or disk is full")
            self._room -= 1
            if self._room < 0:
                raise _error(sqlite3.SQLITE_FULL, "database or disk is full")

    def make_room(self) -> None:
        self.full = False

    async def write(self) -> None:
        """The time that a write takes."""
        await sleep(self.chance.uniform(0.0002, self.slow_ms / 1_000))

    @property
    def wal_bytes(self) -> int:
        try:
            return self._wal.stat().st_size
        except FileNotFoundError:
            return 0

    def opened(self, file: JournalFile) -> None:
        """A process opened the journal, which empties and syncs the log."""
        [level] = file._connection.execute("PRAGMA synchronous").fetchone()
        self._syncs = level >= _FULL_SYNC
        self._synced_bytes = self.wal_bytes

    def synced(self) -> None:
        """A transaction was committed: what the connection's setting promises is on the disk."""
        if self._syncs:
            self._synced_bytes = self.wal_bytes

    def crash(self, file: JournalFile, unwritten: Group | None, *, power_loss: bool) -> None:
        """The process ends at once, perhaps while it writes; with the power its unsynced tail."""
        if unwritten is not None and self.chance.random() < (0.9 if power_loss else 0.5):
            try:
                file.write(unwritten.batch)
                if not file.roomy:
                    # The log was copied into the database, and no byte of it goes there unsynced.
                    self._synced_bytes = self.wal_bytes
            except sqlite3.Error:
                self.count("error in the last write")
        kept = {name: self._read(name) for name in (NAME, _WAL)}
        file._connection.close()
        for name, content in kept.items():
            if content is not None:
                (self.folder / name).write_bytes(content)
        (self.folder / _SHM).unlink(missing_ok=True)
        if power_loss:
            self._cut()

    def _cut(self) -> None:
        have = self.wal_bytes
        if have <= self._synced_bytes:
            return
        left = self.chance.randint(self._synced_bytes, have)
        with (self.folder / _WAL).open("r+b") as file:
            file.truncate(left)
        self.count("torn tail")

    def _read(self, name: str) -> bytes | None:
        path = self.folder / name
        return path.read_bytes() if path.exists() else None

    def copy_to(self, folder: Path) -> None:
        """A copy of all files, as they are at this moment."""
        folder.mkdir()
        for path in self.folder.iterdir():
            if path.is_file() and not path.name.endswith(("-shm", "ballast")):
                shutil.copyfile(path, folder / path.name)

    def wipe(self) -> None:
        """The journal is gone; who the sidecar is, is not."""
        for name in (NAME, _WAL, _SHM):
            (self.folder / name).unlink(missing_ok=True)
        self.lose()

    def lose(self) -> None:
        """The journal cannot be had any more; the next begins."""
        self.journal.lost = True
        self.journal = JournalCopy()
        self._synced_bytes = 0

    def rot(self) -> None:
        """Bytes go bad: one in the middle of the log or of the file, or a whole page of it.

        The very end of the log is left alone. Bad bytes there look like a write that was torn, and
        no program can tell that they were once whole.
        """
        wal, path = self.folder / _WAL, self.folder / NAME
        if self.wal_bytes > _SPARED_BYTES and self.chance.random() < 0.5:
            self._spoil(wal, self.chance.randrange(self.wal_bytes - _SPARED_BYTES), 1)
        elif path.exists() and path.stat().st_size > _PAGE_BYTES:
            connection = sqlite3.connect(path, isolation_level=None)
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            connection.close()
            size = path.stat().st_size
            if self.chance.random() < 0.5:
                self._spoil(path, self.chance.randrange(_PAGE_BYTES, size), 1)
            else:
                page = self.chance.randrange(1, size // _PAGE_BYTES)
                self._spoil(path, page * _PAGE_BYTES, _PAGE_BYTES)

    def _spoil(self, path: Path, at: int, count: int) -> None:
        with path.open("r+b") as file:
            file.seek(at)
            before = file.read(count)
            file.seek(at)
            file.write(bytes(byte ^ 0x5A for byte in before))
        self.journal.rotten = True
        self.count("rotten journal")


class _Ballast(Ballast):
    """The ballast on a simulated disk: there is room for it when the disk says so."""

    disk: Disk

    def lay(self) -> bool:
        if self.disk.full:
            return False
        self.disk.lay_ballast()
        return True


class SimulatedJournal(Journal):
    """The journal, whose writer is a task: each group takes the disk's time."""

    def __init__(
        self,
        file: JournalFile,
        recovered: Recovered,
        clock: Clock,
        disk: Disk,
        happened: Callable[[str], None],
    ) -> None:
        """`happened` is told before and after each write; it may end the process."""
        super().__init__(file, recovered, clock)
        ballast = _Ballast(disk.folder)
        ballast.disk = disk
        file._ballast = ballast
        self._disk = disk
        self._happened = happened
        self._work = trio.Event()
        self._in_hand: Group | None = None
        self.dead = False

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._write_forever)
            nursery.start_soon(self._gather)
            nursery.start_soon(self._linger)
            task_status.started()

    def _wake(self) -> None:
        if not self._awake:
            self._awake = True
            self._work.set()

    async def _write_forever(self) -> None:
        while True:
            await self._work.wait()
            self._work = trio.Event()
            group, self._filling = self._filling, Group()
            self._in_hand = group
            if not group.batch.empty:
                self._happened("write begins")
                await self._disk.write()
            if self.dead:
                return
            self._write(group)
            self._in_hand = None
            if group.failure is None and not group.batch.empty:
                self._disk.synced()
                self._happened("write ends")
            elif self._failure is not None:
                self._happened("journal fails")
            self._written(group)

    async def close(self) -> None:
        await self.flush()
        self.die(power_loss=False)

    def die(self, *, power_loss: bool) -> None:
        """Nothing is written any more."""
        if not self.dead:
            self.dead = True
            in_hand = self._in_hand if self._failure is None else None
            self._disk.crash(self._file, in_hand, power_loss=power_loss)
