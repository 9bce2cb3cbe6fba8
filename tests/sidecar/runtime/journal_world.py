"""A journal with its writing thread, over a disk that a story chooses."""

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from sidecar.core.allowance import Allowance
from sidecar.core.leases import Lease
from sidecar.runtime.journal import Journal, open_journal
from sidecar.runtime.journal_file import JournalFile, Recovered
from tests.sidecar.builders import DOLLAR, HandClock, grant

CLOCK = HandClock()


@asynccontextmanager
async def running(
    folder: Path, connect: Callable[[Path], sqlite3.Connection] | None = None
) -> AsyncIterator[tuple[Journal, Recovered]]:
    """A journal with its writing thread."""
    if connect is None:
        journal, recovered = open_journal(folder, CLOCK, synchronous="full")
    else:
        file, recovered = JournalFile.open(folder, connect=connect)
        journal = Journal(file, recovered, CLOCK)
    async with trio.open_nursery() as nursery:
        await nursery.start(journal.run)
        yield journal, recovered
        await journal.close()
        nursery.cancel_scope.cancel()


def read(folder: Path) -> Recovered:
    """What a new process would find."""
    file, recovered = JournalFile.open(folder)
    file.close()
    return recovered


def body(seq: int) -> bytes:
    return f"record {seq}".encode()


def a_lease(granted: int = DOLLAR) -> Lease:
    return Allowance().merge(grant(granted=granted), CLOCK.boot_ms, renews=True)


def connecting(factory: type[sqlite3.Connection]) -> Callable[[Path], sqlite3.Connection]:
    return lambda path: sqlite3.connect(
        path, isolation_level=None, check_same_thread=False, factory=factory
    )
