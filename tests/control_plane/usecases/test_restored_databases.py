"""A database older than its sidecars finds that out, and grants nothing that is spent already."""

from control_plane.core.reports import Journal, Registration, Status
from control_plane.store import installation
from control_plane.usecases.register import register
from tests.control_plane.leasing_world import CENT, USD, World


def restore(world: World, *tables: str) -> None:
    """Forget what these tables learnt, as a backup from before would."""
    for table in tables:
        world.do(lambda tx, table=table: tx.run(f"DELETE FROM {table}"))  # type: ignore[misc]  # noqa: S608 - a bound default; names below


def learning(world: World) -> bool:
    return world.do(installation.get).learning


def test_a_registration_from_a_later_epoch_begins_learning(world: World) -> None:
    ref = world.budget("b", USD)
    ahead, other = world.sidecar("ahead"), world.sidecar("other")
    ahead.register(lost=True)
    ahead.wait(90 * CENT, ref)
    ahead.sync()
    restore(world, "lease", "period", "cursor")
    world.do(lambda tx: tx.run("UPDATE sidecar SET epoch = 1 WHERE id = 'ahead'"))
    assert ahead.register().status is Status.LEARNING
    other.wait(90 * CENT, ref)
    assert other.sync().status is Status.LEARNING
    assert other.opened == []
    assert ahead.sync().status is Status.LEARNING
    # Whoever has seen the new generation tells all it holds: not before has it spoken.
    assert other.sync().status is Status.OK
    assert other.opened == []
    world.check()


def test_who_seemed_to_have_left_is_waited_for_too(world: World) -> None:
    ref = world.budget("b", USD)
    back, ahead, third = world.sidecar("back"), world.sidecar("ahead"), world.sidecar("third")
    for sidecar in (back, ahead):
        sidecar.wait(40 * CENT, ref)
        sidecar.sync()
    restore(world, "lease", "period")
    # When the copy was made, one of them had said goodbye and another had not come yet.
    world.do(lambda tx: tx.run("UPDATE sidecar SET state = 'DRAINED' WHERE id = 'back'"))
    world.do(lambda tx: tx.run("UPDATE sidecar SET state = 'JOINED', epoch = 0 WHERE id = 'third'"))
    assert ahead.sync().status is Status.LEARNING
    ahead.wait(60 * CENT, ref)
    assert ahead.sync().status is Status.LEARNING
    for _ in range(2):
        assert back.sync().status is Status.LEARNING
    assert third.sync().status is Status.LEARNING
    assert third.sync().status is Status.OK
    assert not learning(world)
    ahead.sync()
    assert len(ahead.opened) == 1
    world.check()


def test_evidence_of_an_epoch_that_is_over_never_looks_like_a_living_lease(world: World) -> None:
    ref = world.budget("b", USD)
    sidecar = world.sidecar("a")
    call_id = sidecar.wait(70 * CENT, ref)
    sidecar.sync()
    sidecar.settle(call_id, 10 * CENT)
    for held in sidecar.leases.values():
        held.keep = USD
    old = sidecar.report()
    sidecar.register(lost=True)
    restore(world, "lease", "period", "cursor")
    # The disk of the epoch before turns up, and this database knows nothing of its lease.
    assert sidecar.send(old).status is Status.FENCED
    world.check()
    while sidecar.sync().status is not Status.OK:
        pass
    sidecar.wait(CENT, ref)
    told = sidecar.sync()
    (lease,) = told.leases
    mine = world.number("SELECT granted_nano_usd FROM lease WHERE epoch = 2")
    assert lease.granted_nano_usd == mine < 70 * CENT
    assert world.period(ref)["orphan_hold_nano_usd"] >= 60 * CENT
    world.check()


def test_a_process_that_is_newer_than_the_database_is_no_stranger_to_it(world: World) -> None:
    ref = world.budget("b", USD)
    sidecar = world.sidecar("a")
    known = sidecar.incarnation
    sidecar.register()
    call_id = sidecar.wait(30 * CENT, ref)
    sidecar.sync()
    restore(world, "lease", "period", "process")
    world.do(lambda tx: tx.run("UPDATE sidecar SET incarnation = :i", {"i": known}))
    assert sidecar.sync().status is Status.LEARNING
    sidecar.settle(call_id, CENT)
    assert sidecar.sync().status is Status.OK
    assert world.period(ref)["spent_nano_usd"] == CENT


def test_a_register_of_any_epoch_is_answered_at_once(world: World) -> None:
    # Whatever it says it had: the watermark knows the newest epoch that it was ever given.
    world.sidecar("a")
    journal = Journal(2**61, 0, b"", lost=True)
    asked = Registration(1, "", "", "", "x", journal)
    answer = world.do(lambda tx: register(tx, "a", asked, world.levels, world.now))
    assert answer.epoch == 2


def test_a_process_that_began_after_the_copy_registers_and_goes_on(world: World) -> None:
    ref = world.budget("b", USD)
    sidecar = world.sidecar("a")
    call_id = sidecar.wait(10 * CENT, ref)
    sidecar.sync()
    sidecar.settle(call_id, 10 * CENT)
    sidecar.sync()
    copy = world.backup()
    before = sidecar.incarnation
    sidecar.register()
    sidecar.sync()
    world.put_back(copy)
    # The copy knows the process before: it is no other that goes under this sidecar's name.
    assert sidecar.sync().status is Status.STALE
    assert sidecar.register().status is Status.LEARNING
    sidecar.sync()
    assert sidecar.sync().status is Status.OK
    # From now on the database knows who lives, and whose time is over.
    sidecar.incarnation = before
    assert sidecar.sync().status is Status.FENCED
