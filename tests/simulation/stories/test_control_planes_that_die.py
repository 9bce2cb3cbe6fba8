"""A control plane is killed around its COMMIT, or two serve the same Sync: one effect, or none."""

import shutil
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from control_plane.core.leases import BudgetRef
from control_plane.core.reports import Answer, Report, Status
from control_plane.store.dialect import Dialect
from control_plane.store.engine import NO_PARAMS, Params, Row, Tx
from control_plane.store.sqlite import DATABASE_FILE
from control_plane.store.watermark_file import WATERMARK_FILE, WatermarkFile
from control_plane.usecases.levels import Levels
from control_plane.usecases.sync import sync
from tests.control_plane.leasing_world import CENT, NOON, USD, World
from tests.control_plane.virtual_sidecar import VirtualSidecar
from tests.simulation.stories.till import Till

TABLES = ("period", "lease", "cursor", "call", "charge", "rollup")
TORN_BYTES = 499


class Photographed:
    """A transaction of which a picture is taken before every statement."""

    def __init__(self, tx: Tx, photograph: Callable[[], None]) -> None:
        self._tx = tx
        self._photograph = photograph

    @property
    def dialect(self) -> Dialect:
        return self._tx.dialect

    @property
    def watermark(self) -> WatermarkFile:
        return self._tx.watermark

    @property
    def rows_changed(self) -> int:
        return self._tx.rows_changed

    def rows(self, sql: str, params: Params = NO_PARAMS) -> Sequence[Row]:
        return self._tx.rows(sql, params)

    def row(self, sql: str, params: Params = NO_PARAMS) -> Row | None:
        return self._tx.row(sql, params)

    def run(self, sql: str, params: Params = NO_PARAMS) -> int:
        self._photograph()
        return self._tx.run(sql, params)

    def many(self, sql: str, params: Sequence[Params]) -> int:
        self._photograph()
        return self._tx.many(sql, params)

    def savepoint(self) -> AbstractContextManager[None]:
        return self._tx.savepoint()


class Disk:
    """The folder of a control plane, as it lay there at each moment it could have died."""

    def __init__(self, folder: Path, album: Path) -> None:
        self.folder = folder
        self.album = album
        self.pictures: list[Path] = []

    def photograph(self, log_bytes: int | None = None, watermark: bytes | None = None) -> None:
        """Keep what is on the disk now; or of the log only so much, and an earlier watermark."""
        picture = self.album / str(len(self.pictures))
        picture.mkdir(parents=True)
        shutil.copy(self.folder / DATABASE_FILE, picture)
        (picture / WATERMARK_FILE).write_bytes(watermark or self.watermark)
        log = (self.folder / f"{DATABASE_FILE}-wal").read_bytes()
        (picture / f"{DATABASE_FILE}-wal").write_bytes(log[:log_bytes])
        self.pictures.append(picture)

    @property
    def watermark(self) -> bytes:
        return (self.folder / WATERMARK_FILE).read_bytes()

    @property
    def log_bytes(self) -> int:
        return (self.folder / f"{DATABASE_FILE}-wal").stat().st_size


def books(world: World) -> dict[str, list[tuple[object, ...]]]:
    """All that the ledger says."""
    return {
        table: world.store.read(
            lambda tx, table=table: [tuple(row) for row in tx.rows(f"SELECT * FROM {table}")]  # type: ignore[misc]  # noqa: S608 - a bound default; names above
        ).result()
        for table in TABLES
    }


def a_sync_with_much_in_it(world: World, till: Till, ref: BudgetRef) -> Report:
    """Records, a return, and a call that waits for more money than is there."""
    sidecar = world.sidecar("one")
    for _ in range(3):
        sidecar.wait(10 * CENT, ref)
    sidecar.sync()
    till.serve(sidecar, 4 * CENT, ref)
    sidecar.give_back(next(iter(sidecar.leases)), 2 * CENT)
    sidecar.wait(50 * CENT, ref)
    return sidecar.report()


def test_a_control_plane_that_is_killed_around_its_commit(world: World, tmp_path: Path) -> None:
    """15. Killed before COMMIT, at every statement inside it, at every piece of it, and after it.

    The sidecar hears nothing and asks the next process the same. Whatever it finds on the disk, in
    the end each record is booked once, each grant was made once, and the answers agree: never a
    ledger without its cursor, never half a Sync.
    """
    ref = world.budget("b", USD)
    till = Till(world)
    report = a_sync_with_much_in_it(world, till, ref)
    sidecar = world.sidecars["one"]
    disk = Disk(tmp_path / "control-plane", tmp_path / "album")
    before_bytes, before = disk.log_bytes, books(world)
    answered = world.do(
        lambda tx: sync(Photographed(tx, disk.photograph), "one", report, world.levels, world.now)
    )
    inside = len(disk.pictures)
    # At COMMIT the watermark is what it was; only afterwards it learns how far the database got.
    watermark = (disk.pictures[-1] / WATERMARK_FILE).read_bytes()
    for log_bytes in [*range(before_bytes, disk.log_bytes, TORN_BYTES), disk.log_bytes]:
        disk.photograph(log_bytes, watermark)
    disk.photograph()
    after = books(world)
    assert inside > 8
    found = {"none": 0, "one": 0}
    for picture in disk.pictures:
        again = World(picture)
        again.levels = Levels(started_unix_ms=NOON)
        found["one" if books(again) == after else "none"] += 1
        assert books(again) in (before, after)
        second = again.do(lambda tx, of=again: sync(tx, "one", report, of.levels, of.now))  # type: ignore[misc]  # a bound default
        check_same_effect(again, sidecar, second, answered)
        till.check_ledger(again)
        again.store.close()
    assert found["none"] > inside
    assert found["one"] >= 1
    sidecar.take(answered)
    till.serve(sidecar, 50 * CENT, ref)
    sidecar.sync()
    till.check_ledger()
    assert till.kept(ref, USD)


def check_same_effect(again: World, sidecar: VirtualSidecar, second: Answer, first: Answer) -> None:
    """The answer to the second try leads the sidecar where the first would have led it."""
    again.check()
    assert second.acked_seq == first.acked_seq == len(sidecar.journal)
    assert second.status in (Status.OK, Status.STALE)
    key = next(iter(sidecar.leases))
    granted = again.number("SELECT granted_nano_usd FROM lease")
    if second.status is Status.OK:
        # Nothing was booked the first time: the same grant, made now.
        told = {each.lease: each.granted_nano_usd for each in second.leases}
        assert told == {each.lease: each.granted_nano_usd for each in first.leases}
        assert second.named == first.named
    else:
        # All was: nothing is granted twice, and the next Sync tells of it.
        assert granted == {each.lease: each.granted_nano_usd for each in first.leases}[key]


def test_the_same_sync_at_two_instances_a_hundred_times(world: World) -> None:
    """16. Two instances share a database, and each Sync reaches both, in either order.

    One of them applies it, the other sees that it was here before; what is allocated is exact, and
    the client's bill is in the ledger once. (On SQLite they take turns at one file; at the same
    instant they meet only on a database that several processes write.)
    """
    ref = world.budget("b", 20 * USD)
    till = Till(world)
    sidecar = world.sidecar("one")
    instances = [Levels(started_unix_ms=NOON), Levels(started_unix_ms=NOON)]
    for turn in range(100):
        sidecar.wait(10 * CENT, ref)
        report = sidecar.report()
        both = [
            lambda tx, levels=levels: sync(tx, "one", report, levels, world.now)  # noqa: B023 - used up within the turn
            for levels in (instances if turn % 2 else instances[::-1])
        ]
        first, second = (done.result() for done in world.store.write_all(both))
        assert (first.status, second.status) == (Status.OK, Status.STALE)
        assert first.acked_seq == second.acked_seq == len(sidecar.journal)
        # Either answer may be the one that arrives, or the late one may come after.
        for answer in (second, first) if turn % 3 else (first, second, first):
            sidecar.take(answer)
        till.serve(sidecar, 7 * CENT, ref)
        world.pass_ms(200)
        world.check()
    sidecar.sync()
    till.check_ledger()
    assert len(till.calls) == 100
    assert till.budgets[ref] == world.period(ref)["spent_nano_usd"] == 700 * CENT
    assert till.kept(ref, 20 * USD)
