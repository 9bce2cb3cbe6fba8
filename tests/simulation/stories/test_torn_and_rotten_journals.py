"""What a power cut tore is cut off; what rotted is lost, loudly: never a silent smaller spend."""

import sqlite3
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import trio

from sidecar.core.calls import Outcome, Settlement
from sidecar.runtime import translate
from sidecar.runtime.journal_file import Batch, JournalFile, JournalLostError, Recovered
from tests.sidecar.builders import CENT, DOLLAR, new_call
from tests.sidecar.runtime.admission_world import World, world

PAGE_BYTES = 512
FRAME_BYTES = PAGE_BYTES + 24
HEADER_BYTES = 32
CALLS = 4


@dataclass(frozen=True)
class Mark:
    """What had happened in the world when the log was so long on the disk."""

    log_bytes: int
    billed_nano_usd: int
    told_seq: int


@dataclass
class Disk:
    """A journal's two files as they lay there when the power went, and what the world knew."""

    folder: Path
    database: bytes = b""
    log: bytes = b""
    marks: list[Mark] = field(default_factory=list)
    chains: list[bytes] = field(default_factory=list)
    """The chain after each record, by its number, as it was told."""

    def read(self, database: bytes, log: bytes) -> Recovered:
        """What the next process finds. Raises JournalLostError."""
        for ending in ("-wal", "-shm"):
            (self.folder / f"journal.db{ending}").unlink(missing_ok=True)
        # Written over: a file of its own would be told from the one before.
        (self.folder / "journal.db").write_bytes(database)
        if log:
            (self.folder / "journal.db-wal").write_bytes(log)
        file, recovered = JournalFile.open(self.folder)
        file.close()
        # Which file it was read from is not what it says; and records of the last minute count
        # requests for rate limits, no money.
        return replace(recovered, file_id="", copied=False, recent_records=())


def small_pages(path: Path) -> sqlite3.Connection:
    """So that a log of many frames is small."""
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
    return connection


async def live(sidecar: World, disk: Disk, folder: Path) -> None:
    """Some calls: each is let out when its OPEN is durable, billed, settled, and told."""
    billed = 0

    async def mark() -> None:
        await sidecar.journal.flush()
        seq, chain = await sidecar.journal.tip()
        if seq > len(disk.chains):
            disk.chains.append(chain)
        size = (folder / "journal.db-wal").stat().st_size
        disk.marks.append(Mark(size, billed, seq))

    sidecar.told(granted=DOLLAR)
    await mark()
    for number in range(CALLS):
        hold = await sidecar.admission.open(new_call(10 * CENT))
        # It is out: the provider bills it whatever becomes of this machine.
        billed += (number + 1) * CENT
        await mark()
        outcome = Settlement(outcome=Outcome.OK, cost_nano_usd=(number + 1) * CENT)
        sidecar.admission.settle(hold, outcome)
        await mark()
    await sidecar.admission.open(new_call(10 * CENT))
    billed += 10 * CENT
    await mark()


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Disk:
    """The disk of a sidecar that lost its power with one call out."""
    lived = tmp_path_factory.mktemp("lived")
    found = Disk(tmp_path_factory.mktemp("found"))

    async def story() -> None:
        async with world(lived, connect=small_pages) as sidecar:
            await live(sidecar, found, lived)
            found.database = (lived / "journal.db").read_bytes()
            found.log = (lived / "journal.db-wal").read_bytes()

    trio.run(story)
    return found


def charged_nano_usd(recovered: Recovered) -> int:
    """What the next process will charge: what is settled, and the worst of what has no end."""
    bodies = [translate.record_from_open(body) for _, body in recovered.open_calls]
    open_nano_usd = sum(record.settle.call.worst_nano_usd for record in bodies)
    return open_nano_usd + sum(lease.spent_nano_usd for lease in recovered.leases)


def holds(recovered: Recovered, before: Mark, disk: Disk) -> None:
    """What must be so after a cut: the bill is covered, and no told number means anything else."""
    assert charged_nano_usd(recovered) >= before.billed_nano_usd
    assert recovered.last_seq >= before.told_seq
    if recovered.last_seq:
        assert recovered.chain == disk.chains[recovered.last_seq - 1]


def test_power_loss_at_any_byte_of_the_unsynced_tail(disk: Disk) -> None:
    """6. The power goes while the tail of the log is not on the disk yet, at whatever byte.

    Each call that was let out is found again, settled or open, and will be charged not below its
    bill; no record that was told has another content under its number.
    """
    size = len(disk.log)
    edges = range(HEADER_BYTES, size + 1, FRAME_BYTES)
    cuts = {*range(0, size, 61), *(edge + off for edge in edges for off in (-1, 0, 1, 24)), size}
    seen = set()
    for cut in sorted(cut for cut in cuts if cut <= size):
        before = max(
            (mark for mark in disk.marks if mark.log_bytes <= cut),
            key=lambda mark: mark.log_bytes,
            default=Mark(0, 0, 0),
        )
        recovered = disk.read(disk.database, disk.log[:cut])
        holds(recovered, before, disk)
        seen.add((recovered.last_seq, len(recovered.open_calls)))
    # Every state that was ever durable was come back to.
    assert {(done, out) for done in range(CALLS + 1) for out in (0, 1)} <= seen


def test_a_power_cut_that_tears_pages_of_the_last_group_in_any_order(disk: Disk) -> None:
    """6. A disk may write the pages of the last, unsynced group in any order.

    Whichever of them is missing, only that group is: nothing before it, and the journal is whole.
    """
    edges = [mark.log_bytes for mark in disk.marks]
    torn = 0
    for before, mark in zip(disk.marks, disk.marks[1:], strict=False):
        for start in range(before.log_bytes, mark.log_bytes, FRAME_BYTES):
            log = bytearray(disk.log[: mark.log_bytes])
            log[start : start + FRAME_BYTES] = bytes(FRAME_BYTES)
            holds(disk.read(disk.database, bytes(log)), before, disk)
            torn += 1
    assert torn > len(edges)


def test_what_one_power_cut_left_behind_is_not_taken_for_rot_at_the_next(disk: Disk) -> None:
    """6. Torn, started, torn again: the journal is whole each time."""
    end, start = disk.marks[-1].log_bytes, disk.marks[-2].log_bytes
    log = bytearray(disk.log[:end])
    log[start : start + FRAME_BYTES] = bytes(FRAME_BYTES)
    disk.read(disk.database, bytes(log))
    file, first = JournalFile.open(disk.folder)
    number = first.next_number
    file.write(Batch(opens=[(number, b"later")]))
    written = disk.folder / "journal.db-wal"
    size = written.stat().st_size
    database, log = (disk.folder / "journal.db").read_bytes(), bytearray(written.read_bytes())
    file.close()
    log[size - 2 * FRAME_BYTES : size - FRAME_BYTES] = bytes(FRAME_BYTES)
    assert disk.read(database, bytes(log)) == replace(
        first, file_id="", copied=False, recent_records=()
    )


def test_a_log_that_is_written_anew_from_its_start_is_no_rot(disk: Disk) -> None:
    """6. When all of the log is in the file, it is written again over what is in it."""
    for ending in ("", "-wal", "-shm"):
        (disk.folder / f"journal.db{ending}").unlink(missing_ok=True)
    file, _ = JournalFile.open(disk.folder, connect=small_pages)
    written = disk.folder / "journal.db-wal"
    number, sizes = 0, [0]
    while len(sizes) < 3 or sizes[-1] > sizes[-2]:
        for _ in range(40):
            number += 1
            file.write(Batch(opens=[(number, bytes(9 * PAGE_BYTES))]))
        sizes.append(written.stat().st_size)
    database, log = (disk.folder / "journal.db").read_bytes(), written.read_bytes()
    file.close()
    assert len(disk.read(database, log).open_calls) == number


def last_two_groups(disk: Disk) -> list[Recovered]:
    """What is read with the last group of the log, and without it."""
    found: list[Recovered] = []
    for end in range(disk.marks[-2].log_bytes, len(disk.log) + 1, FRAME_BYTES):
        recovered = disk.read(disk.database, disk.log[:end])
        if not found or recovered != found[-1]:
            found.append(recovered)
    return found[-2:]


def outcomes(disk: Disk, database: bytes, log: bytes, step: int) -> dict[str, int]:
    """Flip a bit of every so many bytes; what the next process made of each."""
    groups = last_two_groups(disk) if log else [disk.read(database, log)]
    found = {"same": 0, "lost": 0}
    rotting = log or database
    for at in range(0, len(rotting), step):
        flipped = bytearray(rotting)
        flipped[at] ^= 1 << (at // step) % 8
        try:
            if log:
                recovered = disk.read(database, bytes(flipped))
            else:
                recovered = disk.read(bytes(flipped), b"")
        except JournalLostError:
            found["lost"] += 1
            continue
        # Of a log the last group may be cut, as after a power cut; nothing else is believed.
        assert recovered in groups, f"byte {at} rotted, and another spend was believed"
        found["same"] += 1
    return found


def test_a_bit_that_rots_in_the_journal_is_never_a_silent_smaller_spend(disk: Disk) -> None:
    """7. A bit flips anywhere in the file: header, schema, leases, open calls, records, facts.

    The next process reads the very same state, or counts the journal as lost: a new epoch, and the
    money of the old one stays out of the budget. It never reads another amount.
    """
    disk.read(disk.database, disk.log)
    whole = (disk.folder / "journal.db").read_bytes()
    found = outcomes(disk, whole, b"", 3)
    assert found["lost"] > 300
    assert found["same"] > 300


def test_a_bit_that_rots_in_the_log_loses_the_journal_or_cuts_its_tail(disk: Disk) -> None:
    """7. The same in the write-ahead log, where SQLite itself would drop all that follows."""
    found = outcomes(disk, disk.database, disk.log, 29)
    assert found["lost"] > 300
    assert found["same"] > 0
