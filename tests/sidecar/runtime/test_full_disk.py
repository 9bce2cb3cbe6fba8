"""A disk that is full: open calls settle, nothing new opens, and all goes on when there is room."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from sidecar.core.refusals import Reason
from sidecar.limits import BALLAST_BYTES
from sidecar.runtime import journal as journal_module
from sidecar.runtime.journal import DISK_FULL, JournalFailedError
from sidecar.runtime.journal_file import JournalFile
from tests.sidecar.builders import CENT, new_call
from tests.sidecar.runtime.admission_world import OK, World, found, refusal_of, world

pytestmark = pytest.mark.trio

_DISK_BYTES = 5 * BALLAST_BYTES // 2


@pytest.fixture(autouse=True)
def looked_at_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "DISK_FULL_RETRY_MS", 5)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of ten megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    options = ["-t", "tmpfs", "-o", f"size={_DISK_BYTES},mode=700", "tmpfs", str(folder)]
    if mount is None or subprocess.run([mount, *options], check=False).returncode:
        pytest.skip("nobody but root may mount a small file system")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(disk: Path) -> Path:
    """Write until nothing more fits."""
    filler = disk / "filler"
    with filler.open("ab", buffering=0) as file:
        for size in (1 << 16, 1 << 12):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
    return filler


async def with_room(sidecar: World) -> None:
    while sidecar.journal.failure is not None:
        await trio.lowlevel.checkpoint()


async def flushed(sidecar: World) -> bool:
    """Whether all that was added so far is on the disk."""
    try:
        await sidecar.journal.flush()
    except JournalFailedError:
        return False
    return True


async def test_fifty_streams_settle_on_a_full_disk_and_calls_open_again_when_there_is_room(
    disk: Path,
) -> None:
    async with world(disk) as sidecar:
        sidecar.told()
        holds = [await sidecar.admission.open(new_call()) for _ in range(50)]
        fill(disk)
        for hold in holds:
            sidecar.admission.settle(hold, OK)
            await sidecar.journal.flush()
        assert sidecar.journal.failure == DISK_FULL
        assert not (disk / "ballast").exists()
        assert await refusal_of(sidecar.admission) is Reason.DISK_FULL
        assert "ALARM disk_full" in sidecar.log.getvalue()
        assert len(await sidecar.records()) == 50

        (disk / "filler").unlink()
        await with_room(sidecar)
        assert (disk / "ballast").stat().st_size == BALLAST_BYTES
        sidecar.admission.settle(await sidecar.admission.open(new_call()), OK)
        assert "INFO disk_has_room" in sidecar.log.getvalue()
    recovered = found(disk)
    assert recovered.open_calls == ()
    assert recovered.last_seq == 51
    assert recovered.leases[0].spent_nano_usd == 51 * CENT


async def test_what_finds_no_room_even_without_the_ballast_waits_in_order(disk: Path) -> None:
    async with world(disk) as sidecar:
        sidecar.told()
        holds = [await sidecar.admission.open(new_call()) for _ in range(50)]
        fill(disk)
        while sidecar.journal.failure is None:
            sidecar.admission.settle(holds.pop(), OK)
            await sidecar.journal.flush()
        # Somebody else takes the room that the ballast gave.
        while await flushed(sidecar):
            fill(disk)
            sidecar.admission.settle(holds.pop(), OK)
        # Nothing can be told of what is not on the disk.
        with pytest.raises(JournalFailedError, match=DISK_FULL):
            await sidecar.records()
        for hold in holds:
            sidecar.admission.settle(hold, OK)
        assert await refusal_of(sidecar.admission) is Reason.DISK_FULL

        (disk / "filler").unlink()
        await with_room(sidecar)
        assert [record.seq for record in await sidecar.records()] == [*range(1, 51)]
        sidecar.admission.settle(await sidecar.admission.open(new_call()), OK)
    recovered = found(disk)
    assert recovered.open_calls == ()
    assert recovered.leases[0].spent_nano_usd == 51 * CENT


async def test_a_process_that_starts_on_a_full_disk_opens_nothing_until_there_is_room(
    disk: Path,
) -> None:
    async with world(disk) as sidecar:
        sidecar.told()
        await sidecar.admission.open(new_call(3 * CENT))
        await sidecar.journal.flush()
    (disk / "ballast").unlink()
    filler = fill(disk)
    os.truncate(filler, filler.stat().st_size - (1 << 18))
    async with world(disk) as sidecar:
        assert await refusal_of(sidecar.admission) is Reason.DISK_FULL
        # The call that the last process left open is charged all the same.
        assert [record.settle.amount_nano_usd for record in await sidecar.records()] == [3 * CENT]
        (disk / "filler").unlink()
        await with_room(sidecar)
        sidecar.admission.settle(await sidecar.admission.open(new_call()), OK)


async def test_old_records_cannot_be_dropped_on_a_full_disk_and_nothing_is_lost_by_it(
    disk: Path,
) -> None:
    async with world(disk) as sidecar:
        sidecar.told()
        for _ in range(20):
            sidecar.admission.settle(await sidecar.admission.open(new_call()), OK)
        await sidecar.journal.flush()
        (disk / "ballast").unlink()
        fill(disk)
        sidecar.clock.forward(100 * 3_600_000)
        assert await sidecar.journal.prune(20) in (0, 19)
        (disk / "filler").unlink()
        await sidecar.journal.flush()
        assert sidecar.journal.failure is None


async def test_a_batch_that_finds_no_room_leaves_the_file_as_it_was(disk: Path) -> None:
    """The journal's own file: what is refused is not there, and later batches follow."""
    async with world(disk) as sidecar:
        number, group = sidecar.journal.open_call(b"before")
        await sidecar.journal.durable(group)
        fill(disk)
        (disk / "ballast").unlink()
        fill(disk)
        for _ in range(2_000):
            _, group = sidecar.journal.open_call(bytes(4_096))
        with pytest.raises(JournalFailedError, match=DISK_FULL):
            await sidecar.journal.durable(group)
        (disk / "filler").unlink()
        await with_room(sidecar)
        sidecar.journal.record(lambda seq: b"%d" % seq, sidecar.clock.now(), ends=number)
        await sidecar.journal.flush()
    file, recovered = JournalFile.open(disk)
    file.close()
    assert recovered.open_calls == ()
    assert recovered.last_seq == 1
