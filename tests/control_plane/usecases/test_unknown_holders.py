"""What may be missing after a restore, beside holders that did not speak: it is never granted.

Of all stories: three sidecars and a dollar. `early` and `gone` are excused, `here` alone speaks.
"""

import random
from dataclasses import dataclass, replace

import pytest

from control_plane import limits
from control_plane.core.leases import BudgetRef
from control_plane.core.log import OrphanFilter
from control_plane.core.principals import Principal, Role
from control_plane.core.reports import Status
from control_plane.entropy import Entropy
from control_plane.store import installation, sidecars
from control_plane.store.engine import Tx
from control_plane.usecases import learning, orphans
from control_plane.usecases.acts import Act
from control_plane.usecases.leases import release_orphans
from tests.control_plane.leasing_world import CENT, NOON, USD, World
from tests.control_plane.virtual_sidecar import VirtualSidecar

HERE, EARLY, GONE = (f"sdc_{number:026d}" for number in range(3))
MIA = Principal("prn_1", "Mia", Role.OWNER, NOON)


@dataclass
class Story:
    """A budget of a dollar, and who takes part."""

    world: World
    ref: BudgetRef
    here: VirtualSidecar
    early: VirtualSidecar
    gone: VirtualSidecar

    def opens(self, sidecar: VirtualSidecar, worst: int) -> str:
        """A call that opens, perhaps after a Sync or two."""
        call_id = sidecar.wait(worst, self.ref)
        for _ in range(3):
            self.world.sync_all()
        assert call_id in sidecar.opened
        return call_id

    def gives_back(self, sidecar: VirtualSidecar, call_id: str) -> None:
        """Nothing of a call was billed, and its money goes back."""
        sidecar.void(call_id)
        sidecar.wants = False
        for lease in sidecar.leases.values():
            lease.keep = 0
        sidecar.sync()

    def speaks(self) -> None:
        """All that are waited for have told all that they hold."""
        self.world.do(lambda tx: learning.excuse(tx, [EARLY, GONE]))
        for _ in range(2):
            self.here.sync()
        assert not self.world.do(installation.get).learning

    def releases(self, sidecar_id: str) -> int:
        """A person gives back what orphans of a sidecar hold; how much that was."""
        held = self.world.number(
            """SELECT SUM(granted_nano_usd - returned_nano_usd - spent_nano_usd - released_nano_usd)
               FROM lease WHERE sidecar_id = :id AND state = 'ORPHANED'""",
            id=sidecar_id,
        )
        act = Act(MIA, "ReleaseOrphans", "r1", NOON, Entropy(random.Random(1).randbytes))
        wanted = OrphanFilter(sidecar_id=sidecar_id)
        self.world.do(lambda tx: release_orphans(tx, wanted, held, "it was idle", act))
        self.world.check()
        return held

    @property
    def free(self) -> int:
        """What could be granted."""
        period = self.world.period(self.ref)
        return int(period["cap_nano_usd"] - period["allocated_nano_usd"])

    @property
    def unknown(self) -> int:
        """What is held for those that nobody knows."""
        return self.world.number(
            """SELECT granted_nano_usd - returned_nano_usd - released_nano_usd FROM lease
               WHERE sidecar_id = 'unknown'"""
        )


@pytest.fixture
def story(world: World) -> Story:
    ref = world.budget("b", USD)
    here, early, gone = (world.sidecar(name) for name in (HERE, EARLY, GONE))
    for sidecar in (here, early, gone):
        sidecar.wants = False
        sidecar.sync()
    return Story(world, ref, here, early, gone)


def test_what_one_gave_back_after_the_copy_another_may_have_got(story: Story) -> None:
    world = story.world
    call_id = story.opens(story.early, 50 * CENT)
    copy = world.backup()
    story.gives_back(story.early, call_id)
    story.opens(story.gone, 90 * CENT)
    world.put_back(copy)
    story.speaks()
    assert story.free == 0
    # It says now that it holds nothing any more: what the copy took it to hold may be gone's.
    story.early.sync()
    assert story.unknown >= 90 * CENT
    assert story.free <= 10 * CENT
    call_id = story.here.wait(11 * CENT, story.ref)
    for _ in range(3):
        story.here.sync()
    assert call_id not in story.here.opened
    world.check()


def test_what_was_let_go_already_is_not_let_go_again_when_it_is_shown(story: Story) -> None:
    world = story.world
    copy = world.backup()
    story.gives_back(story.early, story.opens(story.early, 50 * CENT))
    story.opens(story.gone, 90 * CENT)
    world.put_back(copy)
    story.speaks()
    # 140 cents were granted since the copy, but never more than a dollar was out.
    assert story.unknown == USD
    story.early.sync()
    assert story.unknown >= 90 * CENT
    assert world.period(story.ref)["allocated_nano_usd"] <= USD
    world.check()


def test_what_others_show_and_hold_is_no_longer_held_for_nobody(story: Story) -> None:
    world = story.world
    copy = world.backup()
    story.gives_back(story.early, story.opens(story.early, 80 * CENT))
    story.opens(story.early, 30 * CENT)
    story.gives_back(story.gone, story.opens(story.gone, 40 * CENT))
    world.put_back(copy)
    story.speaks()
    assert story.unknown == USD
    # It holds 30 cents of the dollar: 70 are left, and no more than 40 and a step can be missing.
    story.early.sync()
    assert 40 * CENT <= story.unknown <= 45 * CENT
    assert 25 * CENT <= story.free <= 30 * CENT
    world.check()


def test_who_has_spoken_gives_back_for_everybody(story: Story) -> None:
    world = story.world
    copy = world.backup()
    for _ in range(2):
        story.gives_back(story.gone, story.opens(story.gone, 60 * CENT))
    held = story.opens(story.here, 40 * CENT)
    world.put_back(copy)
    story.speaks()
    assert story.free == 0
    story.gives_back(story.here, held)
    assert story.free == 40 * CENT
    assert story.unknown == 60 * CENT
    world.check()


def test_who_comes_late_gives_back_for_everybody_once_it_has_spoken(story: Story) -> None:
    world = story.world
    held = story.opens(story.early, 40 * CENT)
    copy = world.backup()
    for _ in range(2):
        story.gives_back(story.gone, story.opens(story.gone, 60 * CENT))
    world.put_back(copy)
    story.speaks()
    for _ in range(2):
        story.early.sync()
    assert story.free == 0
    story.gives_back(story.early, held)
    assert story.free == 40 * CENT
    assert story.unknown == 60 * CENT
    world.check()


def test_what_was_released_covers_nothing_when_learning_ends_once_more(story: Story) -> None:
    world = story.world
    call_id = story.opens(story.early, 50 * CENT)
    copy = world.backup()
    story.gives_back(story.early, call_id)
    story.opens(story.gone, 90 * CENT)
    world.put_back(copy)
    story.speaks()
    released = story.releases("unknown")
    assert released == 50 * CENT
    story.early.sync()
    call_id = story.here.wait(40 * CENT, story.ref)
    for _ in range(3):
        story.here.sync()
    assert call_id in story.here.opened
    world.do(lambda tx: learning.begin_generation(tx, world.now))
    story.speaks()
    # The cap can be passed by what the person released, and by nothing else.
    assert story.free + 40 * CENT + 90 * CENT <= USD + released
    world.check()


def test_what_a_person_releases_of_one_that_did_not_speak_another_may_have_got(
    story: Story,
) -> None:
    world = story.world
    call_id = story.opens(story.early, 50 * CENT)
    copy = world.backup()
    story.gives_back(story.early, call_id)
    story.opens(story.gone, 90 * CENT)
    world.put_back(copy)
    story.speaks()
    story.early.register(lost=True)
    assert story.releases(EARLY) == 50 * CENT
    # It was idle indeed: it had given all of it back, and gone got that.
    assert story.unknown >= 90 * CENT
    assert story.free <= 10 * CENT
    world.check()


def test_what_a_person_releases_of_one_that_had_spoken_is_free(story: Story) -> None:
    world = story.world
    story.opens(story.here, 40 * CENT)
    copy = world.backup()
    story.gives_back(story.gone, story.opens(story.gone, 60 * CENT))
    story.opens(story.gone, 60 * CENT)
    world.put_back(copy)
    story.speaks()
    assert story.free == 0

    def fence(tx: Tx) -> None:
        sidecar = sidecars.get(tx, HERE)
        assert sidecar is not None
        orphans.fence(tx, sidecar, sidecar.epoch, "a copy of its journal", world.now)

    world.do(fence)
    assert story.releases(HERE) == 40 * CENT
    assert story.free == 40 * CENT
    assert story.unknown == 60 * CENT
    world.check()


def test_who_has_not_told_all_that_it_holds_is_granted_nothing_that_could_vanish_in_it(
    story: Story,
) -> None:
    world, here, early = story.world, story.here, story.early
    copy = world.backup()
    story.opens(here, 50 * CENT)
    world.put_back(copy)
    before = story.unknown
    world.pass_ms(limits.LEARNING_STOP_MS)
    # What it was granted since the copy it told long ago: it tells what changed, and asks.
    call_id = here.wait(10 * CENT, story.ref)
    world.watching = lambda *_: True
    answer = here.send(replace(here.report(), leases=()))
    assert (answer.status, answer.named) == (Status.LEARNING, ())
    here.take(answer)
    # Nor is it offered any when another speaks.
    assert early.sync().offers == ()
    assert world.period(story.ref)["granted_total_nano_usd"] == 0
    here.sync()
    assert call_id in here.opened
    # All of what is held for nobody that it has shown is let go, though it was granted more.
    assert story.unknown == before - 50 * CENT
    world.check()
