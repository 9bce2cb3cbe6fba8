"""More leases of a lost journal than one request may decide about."""

import random
from collections.abc import Callable

import pytest

from control_plane import limits
from control_plane.core.leases import BudgetRef
from control_plane.core.log import Decided, OrphanFilter
from control_plane.core.principals import Principal, Role
from control_plane.entropy import Entropy
from control_plane.store.engine import Tx
from control_plane.usecases.acts import Act
from control_plane.usecases.leases import charge_orphans, release_orphans
from protos.values.errors import FailedPreconditionError, NotFoundError
from tests.control_plane.leasing_world import CENT, NOON, USD, World

A = "sdc_" + "0" * 26
Decide = Callable[[Tx, OrphanFilter, int, str, Act], Decided]


def do(world: World, decide: Decide, expected_nano_usd: int) -> Decided:
    owner = Principal("prn_1", "Mia", Role.OWNER, NOON)
    act = Act(owner, "Decide", "r", world.now, Entropy(random.Random(1).randbytes))
    done = world.do(lambda tx: decide(tx, OrphanFilter(A), expected_nano_usd, "it burnt", act))
    world.check()
    return done


def test_they_are_decided_in_steps_each_of_which_expects_what_is_left(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "DECIDED_LEASES_MAX", 2)
    world.budget("s", USD, split_by="workflow")
    sidecar = world.sidecar(A)
    for number in range(5):
        sidecar.wait(10 * CENT, BudgetRef("s", f"w{number}"))
    sidecar.sync()
    sidecar.register(lost=True)
    total = world.number("SELECT SUM(orphan_hold_nano_usd) FROM period")
    # What was charged first is released after all.
    for decide in (charge_orphans, release_orphans):
        left = total
        for count in (3, 1, 0):
            with pytest.raises(FailedPreconditionError):
                do(world, decide, left - 1)
            done = do(world, decide, left)
            left -= done.decided_nano_usd
            assert (done.remaining_count, done.remaining_nano_usd) == (count, left)
        assert left == 0
        with pytest.raises(NotFoundError):
            do(world, decide, 0)
    assert world.number("SELECT SUM(allocated_nano_usd) FROM period") == 0
