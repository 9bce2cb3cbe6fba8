"""An old copy of the database is put back: nothing that was granted since is granted again."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from control_plane import limits
from control_plane.core.leases import Holder
from control_plane.core.reports import Status
from control_plane.store import installation
from control_plane.store.sqlite import DATABASE_FILE
from control_plane.store.watermark_file import WATERMARK_FILE
from control_plane.usecases import learning, orphans, unknown
from control_plane.usecases.housekeeping import keep_house
from tests.control_plane.leasing_world import CENT, DAY_MS, USD, World
from tests.control_plane.virtual_sidecar import VirtualSidecar


def is_learning(world: World) -> bool:
    return world.do(installation.get).learning


def alarms(world: World) -> list[str]:
    rows = world.store.read(lambda tx: tx.rows("SELECT kind FROM alarm ORDER BY position")).result()
    return [row["kind"] for row in rows]


def opened(sidecar: VirtualSidecar, call_id: str) -> bool:
    sidecar.sync()
    return call_id in sidecar.opened


def speak(*sidecars: VirtualSidecar) -> None:
    """Twice each: at first they hear of the new generation, then they have told all they hold."""
    for _ in range(2):
        for sidecar in sidecars:
            sidecar.sync()


def unknown_nano_usd(world: World) -> int:
    return world.number(
        """SELECT SUM(granted_nano_usd - returned_nano_usd) FROM lease
           WHERE sidecar_id = 'unknown'"""
    )


def test_the_last_transactions_are_lost_and_nobody_is_granted_twice(world: World) -> None:
    """Scenario 17: what a fail-over loses comes back from those who hold it."""
    ref, one, two = world.budget("b", USD), world.sidecar("one"), world.sidecar("two")
    first = one.wait(30 * CENT, ref)
    assert opened(one, first)
    copy = world.backup()
    second = two.wait(40 * CENT, ref)
    assert opened(two, second)
    one.settle(first, 10 * CENT)
    one.sync()
    world.put_back(copy)
    # The watermark has seen more than this database: it learns before anybody speaks.
    assert is_learning(world)
    assert alarms(world) == ["OLD_DATABASE"]
    assert world.period(ref)["allocated_nano_usd"] >= 70 * CENT
    world.check()
    speak(one, two)
    assert not is_learning(world)
    assert world.period(ref)["spent_nano_usd"] == 10 * CENT
    # All is known again but for the step that the watermark was ahead.
    assert unknown_nano_usd(world) <= USD // limits.WATERMARK_STEPS
    two.settle(second, 40 * CENT)
    speak(one, two)
    assert world.period(ref)["spent_nano_usd"] == 50 * CENT
    assert opened(one, one.wait(45 * CENT, ref))
    world.check()


def test_a_backup_of_an_hour_ago_one_gone_one_silent_one_new(world: World) -> None:
    """Scenario 18: what the one that is gone may hold stays out of the budget."""
    ref = world.budget("b", USD)
    gone, silent, here = world.sidecar("gone"), world.sidecar("silent"), world.sidecar("here")
    speak(gone, silent, here)
    copy = world.backup()
    new = world.sidecar("new")
    billed = 0
    for sidecar in (gone, silent, here, new):
        call_id = sidecar.wait(20 * CENT, ref)
        for _ in range(10):
            if opened(sidecar, call_id):
                break
            world.sync_all()
        assert call_id in sidecar.opened
        sidecar.settle(call_id, 20 * CENT)
        billed += 20 * CENT
    world.put_back(copy)
    assert is_learning(world)
    here.wait(30 * CENT, ref)
    speak(here)
    assert is_learning(world)
    # A person says that the two that do not speak need not be waited for.
    world.do(lambda tx: learning.excuse(tx, ["gone", "silent"]))
    speak(here)
    assert not is_learning(world)
    # One that is unknown to the copy, and one that never speaks, have spent 60 cents together.
    assert unknown_nano_usd(world) >= 60 * CENT
    assert here.opened[-1] == "here-1"
    world.check()
    # The silent one turns up after all: what it shows was held for it.
    speak(silent)
    assert not is_learning(world)
    assert unknown_nano_usd(world) >= 40 * CENT
    assert world.period(ref)["spent_nano_usd"] == 40 * CENT
    assert world.period(ref)["allocated_nano_usd"] <= USD
    assert alarms(world) == ["OLD_DATABASE"]
    assert billed <= world.period(ref)["allocated_nano_usd"]
    world.check()


def test_without_the_watermark_the_one_that_is_gone_would_be_forgotten(world: World) -> None:
    """What mutant M13 takes away."""
    ref, here, gone = world.budget("b", USD), world.sidecar("here"), world.sidecar("gone")
    speak(here, gone)
    copy = world.backup()
    assert opened(gone, gone.wait(80 * CENT, ref))
    world.put_back(copy)
    world.do(lambda tx: learning.excuse(tx, ["gone"]))
    here.wait(30 * CENT, ref)
    speak(here)
    assert here.opened == []
    assert not is_learning(world)


def test_what_was_granted_and_given_back_many_times_holds_up_no_more_than_the_cap(
    world: World,
) -> None:
    ref, here, gone = world.budget("b", USD), world.sidecar("here"), world.sidecar("gone")
    speak(here, gone)
    copy = world.backup()
    for _ in range(10):
        call_id = gone.wait(80 * CENT, ref)
        assert opened(gone, call_id)
        gone.void(call_id)
        for lease in gone.leases.values():
            lease.keep = 0
        gone.sync()
    assert world.period(ref)["granted_total_nano_usd"] > 5 * USD
    call_id = here.wait(20 * CENT, ref)
    assert opened(here, call_id)
    world.put_back(copy)
    assert unknown_nano_usd(world) > 5 * USD
    world.do(lambda tx: learning.excuse(tx, ["gone"]))
    speak(here)
    assert not is_learning(world)
    # All leases together never held more than the cap, and this one holds 20 cents of it.
    assert unknown_nano_usd(world) == USD - world.number(
        "SELECT granted_nano_usd - returned_nano_usd FROM lease WHERE sidecar_id = 'here'"
    )
    world.check()
    # It turns up after all, with everything that it ever gave back.
    speak(gone)
    assert world.period(ref)["allocated_nano_usd"] <= USD
    assert alarms(world) == ["OLD_DATABASE"]


def test_nobody_is_told_that_a_budget_is_used_up_while_it_is_learnt(world: World) -> None:
    ref, one, two = world.budget("b", USD), world.sidecar("one"), world.sidecar("two")
    speak(one, two)
    copy = world.backup()
    for _ in range(5):
        call_id = one.wait(80 * CENT, ref)
        assert opened(one, call_id)
        one.void(call_id)
        for lease in one.leases.values():
            lease.keep = 0
        one.sync()
    world.put_back(copy)
    one.wait(90 * CENT, ref)
    one.sync()
    (told,) = one.sync().leases
    assert told.unspent_nano_usd == USD
    speak(two)
    (told,) = one.sync().leases
    assert 90 * CENT <= told.unspent_nano_usd < USD
    assert one.opened[-1] == "one-6"


def test_the_same_copy_is_put_back_twice(world: World) -> None:
    ref = world.budget("b", USD)
    one = world.sidecar("one")
    speak(one)
    copy = world.backup()
    first = one.wait(30 * CENT, ref)
    assert opened(one, first)
    for generation in (2, 3):
        world.put_back(copy)
        assert world.do(installation.get).generation == generation
        speak(one)
        assert not is_learning(world)
        world.check()
    one.settle(first, 30 * CENT)
    speak(one)
    assert world.period(ref)["spent_nano_usd"] == 30 * CENT


def test_a_copy_that_was_made_while_it_learnt_begins_to_learn_anew(world: World) -> None:
    ref, one, two = world.budget("b", USD), world.sidecar("one"), world.sidecar("two")
    speak(one, two)
    before = world.backup()
    held = one.wait(30 * CENT, ref)
    assert opened(one, held)
    world.put_back(before)
    one.sync()
    learning_copy = world.backup()
    one.settle(held, 30 * CENT)
    speak(one, two)
    later = two.wait(60 * CENT, ref)
    assert opened(two, later)
    world.put_back(learning_copy)
    assert is_learning(world)
    # All have seen the second generation, but what they told in it the copy does not know.
    assert world.do(installation.get).generation == 3
    one.wait(60 * CENT, ref)
    one.sync()
    assert is_learning(world)
    speak(one, two)
    assert not is_learning(world)
    period = world.period(ref)
    assert period["spent_nano_usd"] == 30 * CENT
    assert 90 * CENT <= period["allocated_nano_usd"] <= USD
    assert one.opened == [held]
    world.check()


def test_a_restart_with_the_newest_database_learns_nothing(world: World) -> None:
    ref = world.budget("b", USD)
    one = world.sidecar("one")
    assert opened(one, one.wait(30 * CENT, ref))
    world.put_back(world.backup())
    assert not is_learning(world)
    assert world.do(installation.get).generation == 1


def test_a_crash_between_the_watermark_and_the_commit_is_no_old_database(world: World) -> None:
    """The watermark was raised for a grant whose transaction never committed."""
    ref = world.budget("b", USD)
    one = world.sidecar("one")
    one.sync()
    copy = world.backup()
    watermark = world.folder / WATERMARK_FILE
    slot = watermark.read_bytes()[:32]
    one.wait(30 * CENT, ref)
    one.send(one.report())
    # As after the crash: the line is there, the commit and what comes after it are not.
    lines = watermark.read_bytes()
    world.store.close()
    watermark.write_bytes(slot + lines[32:])
    world.put_back(copy)
    assert not is_learning(world)
    world.do(lambda tx: tx.watermark.close())


@pytest.mark.parametrize("damage", ["missing", "rotten", "another's"])
def test_without_a_watermark_that_can_be_trusted_nothing_is_granted(
    world: World, tmp_path: Path, damage: str
) -> None:
    ref = world.budget("b", USD)
    one = world.sidecar("one")
    held = one.wait(30 * CENT, ref)
    assert opened(one, held)
    world.store.close()
    watermark = world.folder / WATERMARK_FILE
    if damage == "missing":
        watermark.unlink()
    elif damage == "rotten":
        lines = watermark.read_bytes().split(b"\n")
        lines[1] = lines[1][:-3] + b"..."
        watermark.write_bytes(b"\n".join(lines))
    else:
        other = World(tmp_path / "other")
        other.store.close()
        shutil.copy(tmp_path / "other" / WATERMARK_FILE, watermark)
    copy = world.folder / "copy.db"
    shutil.copy(world.folder / DATABASE_FILE, copy)
    world.put_back(copy)
    waiting = one.wait(10 * CENT, ref)
    answer = one.sync()
    assert answer.status is Status.LEARNING
    assert waiting not in one.opened
    # What is leased may still be used and settled, and authority is renewed.
    assert answer.leases[0].authority_ms > 0
    one.settle(held, 10 * CENT)
    one.sync()
    assert world.period(ref)["spent_nano_usd"] == 10 * CENT
    assert not opened(one, waiting)


def test_periods_that_are_closed_leave_the_watermark(world: World) -> None:
    ref = world.budget("b", USD, window="day")
    one = world.sidecar("one")
    call_id = one.wait(CENT, ref)
    assert opened(one, call_id)
    one.settle(call_id, CENT)
    for lease in one.leases.values():
        lease.keep = 0
    one.wants = False
    one.sync()
    assert len(world.do(lambda tx: dict(tx.watermark.state.marks))) == 1
    one.leases.clear()
    world.pass_ms(3 * DAY_MS)
    one.drain()
    world.do(lambda tx: tx.run("UPDATE period SET allocated_nano_usd = spent_nano_usd"))
    world.do(
        lambda tx: tx.run("UPDATE lease SET returned_nano_usd = granted_nano_usd - spent_nano_usd")
    )
    world.do(lambda tx: keep_house(tx, world.levels, world.now))
    assert not world.do(lambda tx: dict(tx.watermark.state.marks))


def test_what_the_unknown_holder_is_called_is_no_sidecar(world: World) -> None:
    assert world.number("SELECT COUNT(*) FROM sidecar WHERE id = 'unknown'") == 0
    assert unknown.UNKNOWN.epoch == 0


@pytest.mark.parametrize("days_old", [0, 2])
def test_who_tells_late_of_a_window_that_closed_after_the_copy_is_no_liar(
    world: World, days_old: int
) -> None:
    """The watermark forgot the window when it closed; the copy still has it open, or not at all."""
    ref = world.budget("b", USD, window="day")
    one = world.sidecar("one")
    copy = world.backup()
    world.pass_ms(days_old * DAY_MS)
    call_id = one.wait(CENT, ref)
    assert opened(one, call_id)
    if not days_old:
        copy = world.backup()
        call_id = one.wait(50 * CENT, ref)
        assert opened(one, call_id)
    one.settle(call_id, CENT)
    told = one.report()
    world.pass_ms(DAY_MS)
    one.wants = False
    for lease in one.leases.values():
        lease.keep = 0
    for _ in range(3):
        one.sync()
    world.do(lambda tx: tx.run("UPDATE period SET state = 'CLOSED'"))
    world.do(lambda tx: keep_house(tx, world.levels, world.now))
    assert not world.do(lambda tx: dict(tx.watermark.state.marks))
    world.put_back(copy)
    # It says so within the first minute, before any housekeeping notes that the window is over.
    answer = one.send(told)
    assert answer.status is not Status.FENCED, answer.alarms
    assert "FENCED" not in alarms(world)


def test_a_copy_from_before_the_first_grant_without_its_watermark_calls_nobody_a_liar(
    world: World,
) -> None:
    ref = world.budget("b", USD)
    one = world.sidecar("one")
    copy = world.backup()
    held = one.wait(50 * CENT, ref)
    assert opened(one, held)
    world.store.close()
    (world.folder / WATERMARK_FILE).unlink()
    world.put_back(copy)
    # No grant is known, so a new watermark begins; it says nothing of what was granted before.
    assert one.sync().status is Status.LEARNING
    one.settle(held, 50 * CENT)
    speak(one)
    assert not is_learning(world)
    assert alarms(world) == ["OLD_DATABASE"]
    assert world.period(ref)["spent_nano_usd"] == 50 * CENT
    world.check()


def test_a_generation_from_far_away_is_untrue_without_a_watermark_too(world: World) -> None:
    """A generation at the end of all numbers could never be followed by another."""
    ref, one, liar = world.budget("b", USD), world.sidecar("one"), world.sidecar("liar")
    assert opened(one, one.wait(CENT, ref))
    copy = world.backup()
    world.store.close()
    (world.folder / WATERMARK_FILE).unlink()
    world.put_back(copy)
    liar.generation = 2**62 - 1
    assert liar.sync().status is Status.FENCED
    assert world.do(installation.get).generation <= limits.AHEAD_GENERATIONS_MAX
    assert one.sync().status is Status.LEARNING


def claims(thief: VirtualSidecar, more_nano_usd: int) -> Status:
    """A stolen credential claims so much more than it was granted."""
    told = thief.report()
    (lease,) = told.leases
    claimed = lease.granted_seen_nano_usd + more_nano_usd
    thief.leases[lease.lease].granted = claimed
    return thief.send(replace(told, leases=(replace(lease, granted_seen_nano_usd=claimed),))).status


def test_a_claimant_that_falls_silent_stops_the_others_for_a_minute_and_once_an_hour(
    world: World,
) -> None:
    ref, thief, other = world.budget("b", USD), world.sidecar("thief"), world.sidecar("other")
    assert opened(thief, thief.wait(CENT, ref))
    speak(thief, other)
    assert claims(thief, 1) is Status.LEARNING
    waiting = other.wait(50 * CENT, ref, patience_ms=600_000)
    speak(other)
    assert waiting not in other.opened
    world.pass_ms(limits.LEARNING_STOP_MS)
    # It is waited for still, and what may be missing is held: one step of the watermark.
    assert opened(other, waiting)
    assert is_learning(world)
    assert 0 < unknown_nano_usd(world) <= USD // limits.WATERMARK_STEPS
    world.check()
    # It speaks at last, so learning ends; and it claims again, more than is held for claims.
    thief.generation = world.do(installation.get).generation
    thief.sync()
    assert not is_learning(world)
    more = world.period(ref)["unclaimed_nano_usd"] + 1
    assert claims(thief, more) is not Status.FENCED
    assert is_learning(world)
    other.sync()  # It hears of the new generation, and tells what it holds.
    assert opened(other, other.wait(10 * CENT, ref))
    world.check()


@pytest.mark.parametrize("ended", ["fenced", "revoked"])
def test_who_is_stopped_is_never_waited_for(world: World, ended: str) -> None:
    ref, stopped, here = world.budget("b", USD), world.sidecar("stopped"), world.sidecar("here")
    held = stopped.wait(20 * CENT, ref)
    assert opened(stopped, held)
    if ended == "fenced":
        assert stopped.send(replace(stopped.report(), generation_seen=9)).status is Status.FENCED
    else:
        world.do(lambda tx: tx.run("UPDATE sidecar SET revoked_unix_ms = 1 WHERE id = 'stopped'"))
        world.do(
            lambda tx: orphans.orphan_leases(tx, Holder("stopped", 1), orphans.REVOKED, world.now)
        )
    speak(here)
    copy = world.backup()
    assert opened(here, here.wait(CENT, ref))
    world.put_back(copy)
    speak(here)
    assert not is_learning(world)
    # What it had may be somebody else's since the copy: it counts twice until there is evidence.
    assert world.period(ref)["allocated_nano_usd"] >= 21 * CENT
    world.check()


def test_after_a_restore_grants_go_on_beside_all_that_the_missing_one_may_hold(
    world: World,
) -> None:
    ref, here, gone = world.budget("b", USD), world.sidecar("here"), world.sidecar("gone")
    speak(here, gone)
    copy = world.backup()
    assert opened(gone, gone.wait(60 * CENT, ref))
    assert opened(here, here.wait(10 * CENT, ref))
    world.put_back(copy)
    speak(here)
    small = here.wait(5 * CENT, ref, patience_ms=600_000)
    large = here.wait(60 * CENT, ref, patience_ms=600_000)
    assert not opened(here, small)
    world.pass_ms(limits.LEARNING_STOP_MS)
    here.sync()
    assert is_learning(world)
    assert large not in here.opened
    # Nothing of what the missing one may hold is granted again, and nobody is told that it is gone.
    held = sum(lease.granted - lease.returned for lease in here.leases.values())
    assert held + 60 * CENT <= USD
    assert large not in here.sync().hopeless
    assert world.period(ref)["allocated_nano_usd"] >= held + 60 * CENT
    world.check()
    speak(gone)
    assert not is_learning(world)
    assert world.period(ref)["allocated_nano_usd"] <= USD


def test_without_a_watermark_that_knows_the_missing_are_waited_for_however_long_it_takes(
    world: World,
) -> None:
    ref, here, gone = world.budget("b", USD), world.sidecar("here"), world.sidecar("gone")
    speak(here, gone)
    copy = world.backup()
    assert opened(gone, gone.wait(60 * CENT, ref))
    world.store.close()
    (world.folder / WATERMARK_FILE).unlink()
    world.put_back(copy)
    gone.sync()
    waiting = here.wait(60 * CENT, ref, patience_ms=600_000)
    for _ in range(3):
        world.pass_ms(limits.LEARNING_STOP_MS)
        assert not opened(here, waiting)
    assert is_learning(world)
