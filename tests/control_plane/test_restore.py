"""`python -m control_plane.restore`: a backup takes the database's place, or nothing changes."""

import json
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from control_plane.restore import Restored, restore
from control_plane.store import StoreOpenError, installation
from control_plane.store.sqlite import DATABASE_FILE, open_inline
from control_plane.store.watermark_file import WATERMARK_FILE
from control_plane.usecases import learning
from tests.control_plane.leasing_world import CENT, NOON, USD, FrozenClock, World


@pytest.fixture
def lived(tmp_path: Path) -> tuple[Path, Path]:
    """A data folder, its control plane stopped, and a backup from before the last grant."""
    data = tmp_path / "data"
    world = World(data)
    ref = world.budget("b", USD)
    one = world.sidecar("one")
    one.sync()
    backup = tmp_path / "backup.db"
    world.store.backup(backup).result()
    one.wait(30 * CENT, ref)
    one.sync()
    world.store.close()
    return data, backup


def generation(data: Path) -> int:
    store = open_inline(data, FrozenClock())
    found = store.write(installation.get).result()
    store.close()
    return found.generation


def test_a_restored_database_learns_before_it_grants(lived: tuple[Path, Path]) -> None:
    data, backup = lived
    told = restore(data, backup, None)
    assert told.generation == 2
    assert told.missing_sidecars == ["one"]
    assert told.unknown_nano_usd >= 30 * CENT
    assert told.watermark_lost == ""
    assert Path(told.replaced).exists()
    assert sorted(path.name for path in data.iterdir() if "replaced" not in path.name) == [
        DATABASE_FILE,
        "control_plane.lock",
        WATERMARK_FILE,
    ]
    assert (data / DATABASE_FILE).stat().st_mode & 0o777 == 0o600
    store = open_inline(data, FrozenClock())
    assert not store.write(lambda tx: learning.notice_old_database(tx, NOON)).result()
    assert store.read(learning.state).result().in_progress
    store.close()


def test_a_look_changes_nothing(lived: tuple[Path, Path]) -> None:
    data, backup = lived
    before = {path.name: path.read_bytes() for path in data.iterdir()}
    command = [sys.executable, "-m", "control_plane.restore", "--check", "--data", str(data)]
    looked = subprocess.run([*command, str(backup)], capture_output=True, check=True)
    assert json.loads(looked.stdout)["generation"] == 1
    assert {path.name: path.read_bytes() for path in data.iterdir()} == before


def test_the_generation_is_above_every_known_one(lived: tuple[Path, Path]) -> None:
    data, backup = lived
    assert [restore(data, backup, None).generation for _ in range(3)] == [2, 3, 4]
    assert generation(data) == 4
    # Also above that of a watermark, when nothing else is left.
    (data / DATABASE_FILE).unlink()
    assert restore(data, backup, None).generation == 5
    # And above that of the replaced database, when the watermark is gone.
    (data / WATERMARK_FILE).unlink()
    told = restore(data, backup, None, without_watermark=True)
    assert told.generation == 6


def test_a_folder_whose_database_is_gone_or_broken_gets_one(lived: tuple[Path, Path]) -> None:
    data, backup = lived
    (data / DATABASE_FILE).write_bytes(b"broken" * 1_000)
    told = restore(data, backup, None)
    assert Path(told.replaced).read_bytes().startswith(b"broken")
    (data / DATABASE_FILE).unlink()
    assert restore(data, backup, None).replaced == ""
    assert generation(data) == 3


def test_another_machine_gets_one_from_backup_and_watermark(
    lived: tuple[Path, Path], tmp_path: Path
) -> None:
    data, backup = lived
    kept = tmp_path / "kept"
    kept.mkdir()
    shutil.copy(data / WATERMARK_FILE, kept)
    told = restore(tmp_path / "new", backup, kept)
    assert told.unknown_nano_usd >= 30 * CENT


def test_without_a_watermark_a_person_must_say_so(lived: tuple[Path, Path], tmp_path: Path) -> None:
    data, _ = lived
    (data / WATERMARK_FILE).unlink()
    world = World(tmp_path / "granting")
    ref, one = world.budget("b", USD), world.sidecar("one")
    one.wait(30 * CENT, ref)
    one.sync()
    later = world.backup()
    world.store.close()
    with pytest.raises(StoreOpenError, match="--without-watermark"):
        restore(data, later, None)
    assert generation(data) == 1
    assert not list(data.glob(".restore-*"))
    told = restore(data, later, None, without_watermark=True)
    assert "is gone" in told.watermark_lost


def test_what_is_no_backup_changes_nothing(lived: tuple[Path, Path], tmp_path: Path) -> None:
    data, backup = lived
    before = (data / DATABASE_FILE).read_bytes()
    text, other, rotten = tmp_path / "text", tmp_path / "other.db", tmp_path / "rotten.db"
    text.write_text("hello" * 1_000)
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE t (n INTEGER)")
    connection.close()
    content = bytearray(backup.read_bytes())
    for place in range(8_192, len(content), 512):
        content[place] ^= 0xFF
    rotten.write_bytes(bytes(content))
    newer = tmp_path / "newer.db"
    shutil.copy(backup, newer)
    with sqlite3.connect(newer) as connection:
        connection.execute(
            "UPDATE _sqlite_migrations SET name = 'm9999_x' WHERE name LIKE 'm0001%'"
        )
    connection.close()
    wrongs = {
        tmp_path / "nothing": "is no file",
        text: "is no database",
        other: "is no database",
        rotten: "damaged|malformed|is no database",
        newer: "newer version",
        data / DATABASE_FILE: "the database itself",
    }
    for wrong, words in wrongs.items():
        with pytest.raises(StoreOpenError, match=words):
            restore(data, wrong, None)
    assert (data / DATABASE_FILE).read_bytes() == before


def test_a_backup_of_another_installation_is_refused(
    lived: tuple[Path, Path], tmp_path: Path
) -> None:
    data, _ = lived
    other = World(tmp_path / "other")
    other.budget("b", USD)
    copy = other.backup()
    other.store.close()
    with pytest.raises(StoreOpenError, match="another installation"):
        restore(data, copy, None)


def test_a_running_control_plane_is_never_pulled_away(lived: tuple[Path, Path]) -> None:
    data, backup = lived
    store = open_inline(data, FrozenClock())
    with pytest.raises(StoreOpenError, match="stop it first"):
        restore(data, backup, None)
    store.close()


def test_the_program_tells_json_or_one_line(lived: tuple[Path, Path]) -> None:
    data, backup = lived

    def run(*more: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "control_plane.restore", "--data", str(data), *map(str, more)],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    ended = run(data / "nothing.db")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert len(ended.stderr.splitlines()) == 1
    ended = run(backup)
    assert ended.returncode == 0
    assert Restored(**json.loads(ended.stdout)).generation == 2


def test_what_was_only_in_the_log_is_kept_in_the_one_file_that_is_replaced(
    lived: tuple[Path, Path], tmp_path: Path
) -> None:
    """After a kill the last commits are in the log alone: no crash may part it from its file."""
    data, backup = lived
    running = open_inline(data, FrozenClock())
    running.write(lambda tx: tx.run("UPDATE meta SET backup_unix_ms = 77")).result()
    killed = tmp_path / "killed"
    shutil.copytree(data, killed)
    running.close()
    assert (killed / f"{DATABASE_FILE}-wal").stat().st_size > 0
    told = restore(killed, backup, None)
    assert not list(killed.glob("*-wal"))
    with sqlite3.connect(told.replaced) as connection:
        assert connection.execute("SELECT backup_unix_ms FROM meta").fetchone()[0] == 77
    connection.close()
