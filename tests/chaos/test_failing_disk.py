"""The shim is hit by what a journal really does, and the small disk is full when it is filled."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chaos.failing_disk import ALWAYS, COMPILERS, FailingDisk, compile_shim

ROOT = Path(__file__).resolve().parents[2]
RUN_S = 120
JOURNAL = """
import sys
from pathlib import Path
from sidecar.runtime.journal_file import Batch, JournalFile
file, _ = JournalFile.open(Path(sys.argv[1]))
file.write(Batch(meta={"epoch": 1}))
print("written", flush=True)
sys.stdin.readline()
try:
    file.write(Batch(meta={"epoch": 2}))
except Exception:
    print("failed", flush=True)
else:
    print("written", flush=True)
"""
SMALL_DISK = """
import errno, sys
from pathlib import Path
from tests.chaos import failing_disk as disk
folder = Path(sys.argv[1])
try:
    disk.enter_own_mounts()
    disk.mount_small_disk(folder, 1 << 20)
except disk.UnavailableError as error:
    print("unavailable", error)
    sys.exit()
(folder / "kept").write_bytes(b"kept")
disk.fill(folder)
try:
    (folder / "more").write_bytes(bytes(4096))
    print("room left")
except OSError as error:
    print(errno.errorcode[error.errno])
disk.free(folder)
(folder / "more").write_bytes(bytes(4096))
print((folder / "kept").read_bytes().decode())
disk.unmount_small_disk(folder)
print(sorted(folder.iterdir()))
"""


@pytest.fixture
def disk(tmp_path: Path) -> FailingDisk:
    """A disk that can fail, over a folder that is there."""
    if not any(map(shutil.which, COMPILERS)):
        pytest.skip("no C compiler is here, so the shim cannot be made")
    (tmp_path / "data").mkdir()
    return FailingDisk(compile_shim(tmp_path), tmp_path / "control", tmp_path / "data")


def journal(disk: FailingDisk, folder: Path, *, syncs: int = 0, writes: int = 0) -> str:
    """What a journal's second write comes to when the disk fails after the first."""
    with subprocess.Popen(
        [sys.executable, "-c", JOURNAL, str(folder)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=disk.env,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "written\n"
        assert disk.syncs_seen > 0, "the shim is not in the way of the journal's syncs"
        assert disk.syncs_failed == disk.writes_failed == 0
        disk.fail(syncs=syncs, writes=writes)
        told, _ = process.communicate("\n", timeout=RUN_S)
    return told.strip()


def test_a_healthy_disk_fails_nothing(disk: FailingDisk, tmp_path: Path) -> None:
    with disk:
        assert journal(disk, tmp_path / "data") == "written"


@pytest.mark.parametrize("syncs", [1, ALWAYS])
def test_a_failed_sync_reaches_the_journal(disk: FailingDisk, tmp_path: Path, syncs: int) -> None:
    with disk:
        assert journal(disk, tmp_path / "data", syncs=syncs) == "failed"
        assert disk.syncs_failed >= 1


def test_a_write_without_room_reaches_the_journal(disk: FailingDisk, tmp_path: Path) -> None:
    with disk:
        assert journal(disk, tmp_path / "data", writes=ALWAYS) == "failed"
        assert disk.writes_failed >= 1


def test_other_folders_are_left_alone(disk: FailingDisk, tmp_path: Path) -> None:
    other = tmp_path / "database"
    other.mkdir()
    with disk:
        disk.fail(syncs=ALWAYS, writes=ALWAYS)
        told = subprocess.run(
            [sys.executable, "-c", JOURNAL, str(other)],
            input="\n", capture_output=True, text=True, check=True, cwd=ROOT, env=disk.env,
        )  # fmt: skip
        assert told.stdout == "written\nwritten\n"
        assert disk.syncs_failed == disk.writes_failed == 0


def test_a_small_disk_is_full_when_it_is_filled_and_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    done = subprocess.run(
        [sys.executable, "-c", SMALL_DISK, str(folder)],
        capture_output=True, text=True, check=True, cwd=ROOT, timeout=RUN_S,
    )  # fmt: skip
    if done.stdout.startswith("unavailable"):
        pytest.skip(done.stdout)
    assert done.stdout.splitlines() == ["ENOSPC", "kept", "[]"]
    assert list(folder.iterdir()) == []
    assert str(folder) not in Path("/proc/mounts").read_text()
