"""The watermark and the database agree, whatever fails between the two."""

import random
from collections.abc import Callable

import pytest

from control_plane import limits
from control_plane.core.leases import BudgetRef
from control_plane.core.principals import Principal, Role
from control_plane.core.reports import Status
from control_plane.entropy import Entropy
from control_plane.store import installation
from control_plane.store.engine import ConflictError, Tx
from control_plane.store.watermark_file import WATERMARK_FILE
from control_plane.usecases import learning
from control_plane.usecases.acts import Act
from tests.control_plane.leasing_world import CENT, NOON, USD, World
from tests.control_plane.virtual_sidecar import VirtualSidecar


def begin(tx: Tx) -> None:
    owner = Principal("prn_1", "Mia", Role.OWNER, NOON)
    made = Act(owner, "BeginWatermark", "r1", NOON, Entropy(random.Random(1).randbytes))
    learning.begin_watermark(tx, "the disk burnt", made)


def begin_and_fail_at_commit(tx: Tx) -> None:
    """A row that nothing refers to is refused by COMMIT alone."""
    begin(tx)
    tx.run("INSERT INTO child VALUES (7)")


def begin_and_fail(tx: Tx) -> None:
    begin(tx)
    raise ConflictError


def trouble(world: World) -> str:
    return world.do(lambda tx: tx.watermark.trouble)


@pytest.fixture
def lost(world: World) -> VirtualSidecar:
    """A sidecar of a control plane whose watermark is gone."""
    ref = world.budget("b", USD)
    one = world.sidecar("one")
    one.wait(10 * CENT, ref)
    one.sync()
    world.do(lambda tx: tx.run("CREATE TABLE parent (id INTEGER PRIMARY KEY)"))
    world.do(
        lambda tx: tx.run(
            """CREATE TABLE child (id INTEGER REFERENCES parent (id)
               DEFERRABLE INITIALLY DEFERRED)"""
        )
    )
    copy = world.backup()
    world.store.close()
    (world.folder / WATERMARK_FILE).unlink()
    world.put_back(copy)
    assert "is gone" in trouble(world)
    return one


@pytest.mark.parametrize("fails", [begin_and_fail_at_commit, begin_and_fail])
def test_a_watermark_whose_transaction_fails_was_never_begun(
    world: World, lost: VirtualSidecar, fails: Callable[[Tx], None]
) -> None:
    with pytest.raises(Exception, match=r"FOREIGN KEY|^$"):
        world.do(fails)
    assert "is gone" in trouble(world)
    assert not world.do(installation.get).learning
    waiting = lost.wait(CENT, BudgetRef("b", ""))
    assert lost.sync().status is Status.LEARNING
    assert waiting not in lost.opened
    world.put_back(world.backup())
    assert "is gone" in trouble(world)
    # The next attempt goes well, and is known after a restart too.
    world.do(begin)
    assert trouble(world) == ""
    world.put_back(world.backup())
    assert trouble(world) == ""
    for _ in range(3):
        lost.sync()
    assert waiting in lost.opened
    world.check()


@pytest.mark.parametrize("committed", [True, False])
def test_a_crash_between_the_database_and_the_file_is_ended_at_the_next_start(
    world: World, lost: VirtualSidecar, *, committed: bool
) -> None:
    before = world.backup("before.db")
    world.do(begin)
    copy = world.backup() if committed else before
    world.store.close()
    # As the crash leaves it: the file is there beside the old one, which was gone.
    file = world.folder / WATERMARK_FILE
    file.rename(file.with_name(f"{WATERMARK_FILE}.begun"))
    world.put_back(copy)
    assert (trouble(world) == "") is committed
    assert not file.with_name(f"{WATERMARK_FILE}.begun").exists()


def test_a_generation_that_the_watermark_could_not_note_is_told_to_nobody(world: World) -> None:
    ref = world.budget("b", USD)
    one, other = world.sidecar("one"), world.sidecar("other")
    held = one.wait(CENT, ref)
    one.sync()
    other.sync()
    assert held in one.opened
    world.do(lambda tx: setattr(tx.watermark, "_sync", _fail))
    (key,) = one.leases
    one.leases[key].granted += 1
    assert one.sync().status is Status.LEARNING
    assert world.do(installation.get).generation == 2
    waiting = other.wait(CENT, ref, patience_ms=600_000)
    for _ in range(3):
        world.pass_ms(limits.LEARNING_STOP_MS)
        assert [each.sync().generation for each in (one, other)] == [1, 1]
    assert world.do(installation.get).learning
    assert waiting not in other.opened
    # Evidence is taken meanwhile; and when there is a file again, all goes on.
    one.settle(held, CENT)
    one.sync()
    assert world.period(ref)["spent_nano_usd"] == CENT
    world.do(lambda tx: setattr(tx.watermark, "_sync", lambda _: None))
    world.do(lambda tx: tx.watermark.mend())
    for _ in range(2):
        one.sync()
        other.sync()
    assert other.generation == 2
    assert not world.do(installation.get).learning
    other.sync()
    assert waiting in other.opened
    world.check()


def _fail(_: int) -> None:
    raise OSError
