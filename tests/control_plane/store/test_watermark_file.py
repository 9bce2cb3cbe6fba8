"""The second place on a real disk: bounded, mended, and never a reason to end a Sync."""

import os
from pathlib import Path

import pytest

from control_plane import limits
from control_plane.clock import SystemClock
from control_plane.core.leases import PeriodKey
from control_plane.core.watermark import Mark, Watermark
from control_plane.store.engine import StoreOpenError
from control_plane.store.sqlite import DATABASE_FILE, open_inline, open_store
from control_plane.store.watermark_file import WATERMARK_FILE, WatermarkFile
from tests.control_plane.leasing_world import CENT, USD, World

KEY = PeriodKey("bud_1", "", "2026-11-01")


class Disk:
    """Makes files durable, until it fails."""

    def __init__(self) -> None:
        self.syncs = 0
        self.broken = False

    def sync(self, descriptor: int) -> None:
        self.syncs += 1
        if self.broken:
            raise OSError
        os.fsync(descriptor)


def begun(folder: Path, disk: Disk) -> WatermarkFile:
    file = WatermarkFile(folder / WATERMARK_FILE, disk.sync)
    file.begin(Watermark(watermark_id="w"))
    file.settle()
    return file


def read_again(folder: Path) -> WatermarkFile:
    file = WatermarkFile(folder / WATERMARK_FILE, Disk().sync)
    assert file.read()
    return file


def test_a_ceiling_is_durable_before_it_counts(tmp_path: Path) -> None:
    disk = Disk()
    file = begun(tmp_path, disk)
    before = disk.syncs
    assert file.cover({KEY: Mark(USD, 10 * USD)})
    assert disk.syncs == before + 1
    # Up to the ceiling nothing is written.
    assert file.cover({KEY: Mark(USD + USD // 2, 10 * USD)})
    assert disk.syncs == before + 1
    assert read_again(tmp_path).state.marks == file.state.marks


def test_several_periods_cost_one_write(tmp_path: Path) -> None:
    disk = Disk()
    file = begun(tmp_path, disk)
    before = disk.syncs
    keys = [PeriodKey(f"bud_{n}", "", "once") for n in range(30)]
    assert file.cover(dict.fromkeys(keys, Mark(USD, USD)))
    assert disk.syncs == before + 1


def test_a_failing_disk_refuses_ceilings_and_is_mended_by_a_new_file(tmp_path: Path) -> None:
    disk = Disk()
    file = begun(tmp_path, disk)
    assert file.cover({KEY: Mark(USD, 10 * USD)})
    disk.broken = True
    assert not file.cover({KEY: Mark(5 * USD, 10 * USD)})
    assert "cannot be written" in file.trouble
    # What the ceiling allows already goes on, and nobody syncs that file again.
    assert file.cover({KEY: Mark(USD + USD // 2, 10 * USD)})
    syncs = disk.syncs
    assert not file.cover({KEY: Mark(5 * USD, 10 * USD)})
    assert disk.syncs == syncs
    file.mend()
    assert file.trouble
    disk.broken = False
    file.mend()
    assert not file.trouble
    assert file.cover({KEY: Mark(5 * USD, 10 * USD)})
    assert read_again(tmp_path).state.marks[KEY].ceiling_nano_usd >= 5 * USD


def test_the_file_does_not_grow_for_ever(tmp_path: Path) -> None:
    file = WatermarkFile(tmp_path / WATERMARK_FILE, lambda _: None)
    file.begin(Watermark(watermark_id="w"))
    file.settle()
    largest = 0
    for number in range(20_000):
        assert file.cover({KEY: Mark((number + 1) * USD, USD)})
        largest = max(largest, file.path.stat().st_size if number % 100 == 0 else 0)
    assert largest < limits.WATERMARK_SPARE_BYTES + 10_000
    assert read_again(tmp_path).state.marks == file.state.marks


def test_a_second_place_that_fails_costs_grants_and_no_sync(tmp_path: Path) -> None:
    """The Sync is answered, its records are booked; what is granted is what the ceiling allows."""
    world = World(tmp_path)
    ref, second = world.budget("a", USD), world.budget("b", USD)
    one = world.sidecar("one")
    call_id = one.wait(10 * CENT, ref)
    one.sync()
    assert call_id in one.opened
    world.do(lambda tx: setattr(tx.watermark, "_sync", _fail))
    one.settle(call_id, 10 * CENT)
    both = one.wait(20 * CENT, ref, second)
    one.sync()
    one.sync()
    assert both not in one.opened
    assert world.period(ref)["spent_nano_usd"] == 10 * CENT
    # The vector is all or none: nothing of it stays granted.
    assert world.number("SELECT SUM(granted_nano_usd) FROM lease WHERE budget_id = 'b'") == 0
    world.check()
    world.do(lambda tx: setattr(tx.watermark, "_sync", lambda _: None))
    world.do(lambda tx: tx.watermark.mend())
    one.sync()
    assert both in one.opened
    world.store.close()


def _fail(_: int) -> None:
    raise OSError


def test_it_may_lie_on_another_disk(tmp_path: Path) -> None:
    other = tmp_path / "other disk"
    open_store(tmp_path / "data", SystemClock(), second_place=other).close()
    assert (other / WATERMARK_FILE).exists()
    assert not (tmp_path / "data" / WATERMARK_FILE).exists()


def test_a_folder_that_cannot_be_made_stops_grants_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = open_inline(tmp_path / "data", SystemClock(), second_place=tmp_path / "file" / "below")
    assert "cannot be used" in store.read(lambda tx: tx.watermark.trouble).result()
    store.close()


def test_a_new_database_beside_an_old_watermark_is_refused(tmp_path: Path) -> None:
    world = World(tmp_path)
    ref, one = world.budget("a", USD), world.sidecar("one")
    one.wait(10 * CENT, ref)
    one.sync()
    world.store.close()
    (tmp_path / DATABASE_FILE).unlink()
    with pytest.raises(StoreOpenError, match="bursar restore"):
        open_inline(tmp_path, SystemClock())


def test_a_database_that_was_never_watched_gets_a_watermark(tmp_path: Path) -> None:
    world = World(tmp_path)
    ref, one = world.budget("a", USD), world.sidecar("one")
    one.wait(10 * CENT, ref)
    one.sync()
    granted = world.period(ref)["granted_total_nano_usd"]
    world.do(lambda tx: tx.run("UPDATE meta SET watermark_id = ''"))
    world.store.close()
    (tmp_path / WATERMARK_FILE).unlink()
    again = open_inline(tmp_path, SystemClock())
    marks = again.read(lambda tx: dict(tx.watermark.state.marks)).result()
    assert [mark.ceiling_nano_usd >= granted for mark in marks.values()] == [True]
    assert again.read(lambda tx: tx.watermark.trouble).result() == ""
    again.close()


def in_the_way(folder: Path) -> Path:
    """A folder where the old file is to be set aside: the rename fails."""
    found = folder / f"{WATERMARK_FILE}.set-aside"
    found.mkdir()
    return found


def test_a_begun_file_that_could_not_take_its_place_never_takes_it_later(tmp_path: Path) -> None:
    file = begun(tmp_path, Disk())
    obstacle = in_the_way(tmp_path)
    file.begin(Watermark(watermark_id="newer"))
    file.settle()
    assert "cannot be written" in file.trouble
    assert not file.cover({KEY: Mark(USD, 10 * USD)})
    file.mend()
    assert file.trouble == ""
    assert file.cover({KEY: Mark(USD, 10 * USD)})
    obstacle.rmdir()
    again = WatermarkFile(file.path, Disk().sync)
    again.finish("newer")
    assert again.read()
    assert again.state.marks == file.state.marks != {}


def test_a_begun_file_that_cannot_take_its_place_at_the_start_is_kept(tmp_path: Path) -> None:
    file = begun(tmp_path, Disk())
    file.begin(Watermark(watermark_id="newer"))
    obstacle = in_the_way(tmp_path)
    again = WatermarkFile(file.path, Disk().sync)
    again.finish("newer")
    assert "could not take the place" in again.trouble
    assert not again.cover({KEY: Mark(USD, 10 * USD)})
    obstacle.rmdir()
    third = WatermarkFile(file.path, Disk().sync)
    third.finish("newer")
    assert third.read()
    assert third.state.watermark_id == "newer"
