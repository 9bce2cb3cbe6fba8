"""After a restore a liar claims first what may be missing: nobody else is fenced or loses money.

Of all stories: a copy from before `true` got ninety cents of a dollar; `liar` speaks first.
"""

import random
from dataclasses import dataclass, replace
from functools import partial

import pytest

from control_plane.core.calls import Settle
from control_plane.core.leases import BudgetRef, PeriodKey
from control_plane.core.log import OrphanFilter
from control_plane.core.principals import Principal, Role
from control_plane.core.reports import Answer, LeaseReport, Status
from control_plane.entropy import Entropy
from control_plane.store import sidecars
from control_plane.store.engine import Tx
from control_plane.usecases import orphans
from control_plane.usecases.acts import Act
from control_plane.usecases.leases import release_orphans
from tests.control_plane.leasing_world import CENT, NOON, USD, World
from tests.control_plane.virtual_sidecar import VirtualSidecar, call

TRUE, LIAR = (f"sdc_{number:026d}" for number in range(2))


@dataclass
class Story:
    """A restored database, and who takes part."""

    world: World
    ref: BudgetRef
    true: VirtualSidecar
    liar: VirtualSidecar
    open_call: str

    @property
    def key(self) -> PeriodKey:
        return next(iter(self.true.leases))

    @property
    def ceiling(self) -> int:
        return self.world.do(lambda tx: tx.watermark.state.marks[self.key].ceiling_nano_usd)

    def lies(self, granted: int, returned: int = 0) -> Answer:
        """The liar says that so much was granted to it, and that it gave so much back."""
        said = LeaseReport(self.key, granted, returned, 0, 0, 0, 0, 0, 0, 0, 0)
        report = replace(self.liar.report(), leases=(said,))
        answer = self.liar.send(report)
        self.liar.take(answer)
        self.world.check()
        return answer

    def allocated(self) -> int:
        return int(self.world.period(self.ref)["allocated_nano_usd"])

    def alarms(self, kind: str) -> list[str]:
        rows = self.world.store.read(
            lambda tx: tx.rows(
                "SELECT sidecar_id FROM alarm WHERE kind = :kind AND budget_id = 'b'",
                {"kind": kind},
            )
        ).result()
        return [row["sidecar_id"] for row in rows]

    def is_fenced(self, sidecar: VirtualSidecar) -> bool:
        found = self.world.do(lambda tx: sidecars.get(tx, sidecar.name))
        assert found is not None
        return found.state == "FENCED"


@pytest.fixture
def story(world: World) -> Story:
    ref = world.budget("b", USD)
    true, liar = world.sidecar(TRUE), world.sidecar(LIAR)
    for sidecar in (true, liar):
        sidecar.wants = False
        sidecar.sync()
    copy = world.backup()
    open_call = true.wait(90 * CENT, ref)
    true.sync()
    assert open_call in true.open
    world.put_back(copy)
    return Story(world, ref, true, liar, open_call)


def test_a_true_claim_that_a_lie_left_no_room_for_is_booked_beside_it(story: Story) -> None:
    world, true = story.world, story.true
    assert story.lies(story.ceiling).status is not Status.FENCED
    before = story.ceiling
    for _ in range(3):
        assert true.sync().status is not Status.FENCED
        world.check()
    assert story.allocated() >= 90 * CENT + before
    assert story.ceiling == before
    # Once, and not at every Sync.
    assert story.alarms("OLD_DATABASE") == [TRUE]
    true.settle(story.open_call, 70 * CENT)
    assert true.sync().status is not Status.FENCED
    assert world.period(story.ref)["spent_nano_usd"] == 70 * CENT
    world.check()


def test_whose_lie_is_released_gives_nobody_what_a_true_one_holds(story: Story) -> None:
    world = story.world
    story.lies(story.ceiling)
    story.true.sync()
    held = story.allocated() - 90 * CENT

    def fence(tx: Tx) -> None:
        sidecar = sidecars.get(tx, LIAR)
        assert sidecar is not None
        orphans.fence(tx, sidecar, sidecar.epoch, "its credential was stolen", world.now)

    world.do(fence)
    mia = Principal("prn_1", "Mia", Role.OWNER, NOON)
    act = Act(mia, "ReleaseOrphans", "r1", NOON, Entropy(random.Random(1).randbytes))
    wanted = OrphanFilter(sidecar_id=LIAR)
    world.do(lambda tx: release_orphans(tx, wanted, held, "it was stolen", act))
    assert story.allocated() == 90 * CENT
    world.check()


def test_a_liar_that_gives_back_what_it_never_had_frees_nothing_of_others(story: Story) -> None:
    story.lies(story.ceiling, story.ceiling)
    story.true.sync()
    assert story.allocated() >= 90 * CENT


def test_spend_that_a_lie_left_no_room_for_is_booked_and_fences_nobody(story: Story) -> None:
    world, true = story.world, story.true
    story.lies(story.ceiling)
    true.settle(story.open_call, 90 * CENT)
    assert true.sync().status is not Status.FENCED
    assert world.period(story.ref)["spent_nano_usd"] == 90 * CENT
    assert not story.is_fenced(true)
    assert story.alarms("OLD_DATABASE") == [TRUE]
    world.check()


def test_whose_own_total_is_beyond_the_ceiling_is_fenced(story: Story) -> None:
    story.true.sync()
    ceiling, before = story.ceiling, story.allocated()
    assert story.lies(ceiling + 1).status is Status.FENCED
    assert story.allocated() == before
    assert story.is_fenced(story.liar)


def test_a_liar_cannot_raise_the_ceiling_step_by_step(story: Story) -> None:
    story.true.sync()
    ceiling = story.ceiling
    assert story.lies(ceiling).status is not Status.FENCED
    assert story.ceiling == ceiling
    assert story.lies(ceiling + CENT).status is Status.FENCED
    assert story.allocated() <= 2 * ceiling


def test_forged_spend_is_no_way_round(story: Story) -> None:
    liar, key = story.liar, story.key
    story.true.sync()
    ceiling = story.ceiling
    for number, cost in enumerate((ceiling, CENT)):
        made = call(f"forged-{number}", story.world.now, cost, cost, (key,))
        liar.append(partial(Settle, call=made, amount_nano_usd=cost))
        liar.sync()
        assert story.is_fenced(liar) is (number == 1)
    assert not story.is_fenced(story.true)
    story.world.check()


def test_where_no_claims_are_expected_a_claim_beyond_all_grants_fences(story: Story) -> None:
    """A budget that was made after the restore: of it nothing can be forgotten."""
    world, true, liar = story.world, story.true, story.liar
    for _ in range(3):
        true.sync()
        liar.sync()
    fresh = world.budget("fresh", USD)
    waiting = true.wait(90 * CENT, fresh)
    true.sync()
    assert waiting in true.open
    (key,) = (key for key in true.leases if key.budget_id == "fresh")
    said = LeaseReport(key, 80 * CENT, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    assert liar.send(replace(liar.report(), leases=(said,))).status is Status.FENCED
