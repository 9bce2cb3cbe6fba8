"""Storms of lost, repeated and reordered messages, restarts, lost journals and cap changes.

After every step: what calls cost or still hold is within the largest cap so far, what is allocated
is what leases say, and the ledger's sums agree. At rest every call is booked. A storm is its seed.
"""

import random

import pytest

from control_plane.core.leases import BudgetRef
from control_plane.core.reports import Report
from tests.control_plane.leasing_world import World
from tests.control_plane.virtual_sidecar import VirtualSidecar

SEEDS = 150
STEPS = 60


class Storm:
    """One storm and the truth that it is held to."""

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.dice = random.Random(seed)
        self.caps = {}
        for number in range(3):
            cap = self.dice.choice([20, 40, 60])
            self.caps[world.budget(f"b{number}", cap)] = cap
        self.sidecars = [world.sidecar(name) for name in "xyz"]
        self.truth = dict.fromkeys(self.caps, 0)
        self.sent: list[tuple[VirtualSidecar, Report]] = []
        self.settled = 0

    def charge(self, sidecar: VirtualSidecar, call_id: str, cost: int) -> None:
        """What the provider bills for a call."""
        for key in sidecar.open[call_id][1]:
            self.truth[BudgetRef(key.budget_id, key.partition)] += cost
        self.settled += 1

    def step(self) -> None:
        self.world.pass_ms(self.dice.choice([10, 100, 400, 2_000]))
        sidecar = self.dice.choice(self.sidecars)
        deed = self.dice.random()
        if deed < 0.30:
            refs = self.dice.sample(sorted(self.caps), self.dice.choice([1, 2, 3]))
            sidecar.wait(self.dice.choice([1, 2, 3, 5, 8, 15]), *refs)
            sidecar.waiting = sidecar.waiting[-4:]
        elif deed < 0.50:
            self.end_a_call(sidecar)
        elif deed < 0.90:
            self.sync(sidecar)
        elif deed < 0.93:
            sidecar.register()
        elif deed < 0.94:
            for call_id, (worst, _) in sidecar.open.items():
                self.charge(sidecar, call_id, worst)
            sidecar.register(lost=True)
        elif deed < 0.97:
            ref = self.dice.choice(sorted(self.caps))
            cap = self.dice.randint(5, 70)
            self.caps[ref] = max(self.caps[ref], cap)
            self.world.set_cap(ref, cap)
        else:
            self.world.restart()

    def end_a_call(self, sidecar: VirtualSidecar) -> None:
        if not sidecar.open:
            return
        call_id = self.dice.choice(sorted(sidecar.open))
        cost = self.dice.randint(0, sidecar.open[call_id][0])
        self.charge(sidecar, call_id, cost)
        sidecar.settle(call_id, cost)

    def sync(self, sidecar: VirtualSidecar) -> None:
        report = sidecar.report()
        self.sent.append((sidecar, report))
        if self.dice.random() < 0.75:
            answer = sidecar.send(report)
            if self.dice.random() < 0.75:
                sidecar.take(answer)
        if self.dice.random() < 0.3:
            owner, old = self.dice.choice(self.sent)
            owner.send(old)

    def check(self) -> None:
        self.world.check()
        for ref, cap in self.caps.items():
            held = sum(
                worst
                for sidecar in self.sidecars
                for worst, vector in sidecar.open.values()
                if ref.budget_id in {key.budget_id for key in vector}
            )
            assert self.truth[ref] + held <= cap

    def rest(self) -> None:
        """Everybody ends its calls and speaks; then the whole history is said once more.

        What was sent and never arrived is evidence when it does, also of a journal that is lost.
        """
        for sidecar in self.sidecars:
            while sidecar.open:
                self.end_a_call(sidecar)
            sidecar.sync()
        self.say_again()
        before = self.ledger()
        self.say_again()
        assert self.ledger() == before
        for ref, truth in self.truth.items():
            period = self.world.period(ref) if self.exists(ref) else None
            booked = period["spent_nano_usd"] if period else 0
            unknown = period["orphan_hold_nano_usd"] if period else 0
            assert booked <= truth <= booked + unknown

    def say_again(self) -> None:
        self.dice.shuffle(self.sent)
        for sidecar, report in self.sent:
            sidecar.send(report)

    def exists(self, ref: BudgetRef) -> bool:
        sql = "SELECT COUNT(*) FROM period WHERE budget_id = :b"
        return self.world.number(sql, b=ref.budget_id) > 0

    def ledger(self) -> tuple[int, int]:
        return (
            self.world.number("SELECT COUNT(*) FROM call"),
            self.world.number("SELECT SUM(amount_nano_usd) FROM charge"),
        )


@pytest.mark.parametrize("seed", range(SEEDS))
def test_no_cap_is_passed_and_the_books_balance_whatever_happens(world: World, seed: int) -> None:
    storm = Storm(world, seed)
    for _ in range(STEPS):
        storm.step()
        storm.check()
    storm.rest()
    storm.check()
