"""Storms in which disks are lost, copied and found, sidecars revoked, and people decide.

After every step the books balance. At rest, when every disk has told all, each period has what its
calls cost, and nothing but overshoot stands above the cap.
"""

import random
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace

import pytest

from control_plane.core.leases import BudgetRef, PeriodKey
from control_plane.core.log import Decided, OrphanFilter
from control_plane.core.principals import Principal, Role
from control_plane.core.reports import Report
from control_plane.entropy import Entropy
from control_plane.store.engine import Tx
from control_plane.usecases.acts import Act
from control_plane.usecases.housekeeping import keep_house
from control_plane.usecases.leases import charge_orphans, release_orphans
from control_plane.usecases.sidecars import revoke_sidecar
from protos.values.errors import NotFoundError
from tests.control_plane.leasing_world import DAY_MS, NOON, World
from tests.control_plane.virtual_sidecar import VirtualSidecar

SEEDS = 30
STEPS = 70
NAMES = tuple(f"sdc_{digit * 26}" for digit in "012")


class Storm:
    """One storm and the truth that it is held to."""

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.dice = random.Random(seed)
        self.refs: list[BudgetRef] = []
        self.caps: dict[str, int] = {}
        for name in ("day", "month"):
            self.caps[name] = self.dice.choice([40, 80])
            self.refs.append(world.budget(name, self.caps[name], window=name))
        self.living = {name: world.sidecar(name) for name in NAMES}
        self.disks: list[VirtualSidecar] = []
        """Disks that are lost or copied, and may speak again."""
        self.revoked: set[str] = set()
        self.truth: dict[PeriodKey, int] = defaultdict(int)
        self.said: list[tuple[VirtualSidecar, Report]] = []
        self.calls = 0

    def step(self) -> None:
        self.world.pass_ms(self.dice.choice([10, 400, 2_000]))
        sidecar = self.dice.choice([*self.living.values(), *self.disks])
        deeds: list[tuple[int, Callable[[], object]]] = [
            (30, lambda: self.arrive(self.dice.choice(list(self.living.values())))),
            (25, lambda: self.end_a_call(sidecar)),
            (40, lambda: self.sync(sidecar)),
            (4, self.lose),
            (3, self.copy),
            (1, self.revoke),
            (3, lambda: self.decide(charge_orphans, lumps=False)),
            (3, lambda: self.decide(release_orphans, lumps=True)),
            (3, self.keep_house),
            (1, lambda: self.world.pass_ms(DAY_MS // 3)),
            (2, self.world.restart),
        ]
        self.dice.choices([deed for _, deed in deeds], [weight for weight, _ in deeds])[0]()
        self.world.check()

    def arrive(self, sidecar: VirtualSidecar) -> None:
        """A call comes; it is opened at once where the money is there, as when alone."""
        worst = self.dice.choice([1, 2, 3, 5])
        call_id = sidecar.wait(worst, *self.refs)
        self.calls += 1
        sidecar.waiting[-1].call_id = call_id = f"{call_id}-{self.calls}"
        if self.dice.random() < 0.5 and sidecar.try_open(call_id, worst, self.refs):
            sidecar.waiting.pop()
        sidecar.waiting = sidecar.waiting[-3:]

    def end_a_call(self, sidecar: VirtualSidecar) -> None:
        if not sidecar.open:
            return
        call_id = self.dice.choice(sorted(sidecar.open))
        worst, vector = sidecar.open[call_id]
        cost = self.dice.randint(0, worst)
        for key in vector:
            self.truth[key] += cost
        sidecar.settle(call_id, cost)

    def sync(self, sidecar: VirtualSidecar) -> None:
        report = sidecar.report()
        self.said.append((sidecar, report))
        if self.dice.random() < 0.8:
            answer = sidecar.send(report)
            if self.dice.random() < 0.8:
                sidecar.take(answer)
        if self.dice.random() < 0.2:
            owner, old = self.dice.choice(self.said)
            owner.send(old)

    def lose(self) -> None:
        """A disk is gone, or put aside; its calls run on at the provider."""
        name = self.dice.choice(NAMES)
        if name not in self.revoked:
            self.disks.append(kept(self.living[name]))
            self.living[name].register(lost=True)

    def copy(self) -> None:
        """A copy of a disk goes on by itself."""
        sidecar = self.living[self.dice.choice(NAMES)]
        if not sidecar.open:
            self.disks.append(kept(sidecar))

    def revoke(self) -> None:
        name = self.dice.choice(NAMES)
        self.revoked.add(name)
        levels = self.world.levels
        self.world.do(lambda tx: revoke_sidecar(tx, name, "", self.act(), levels))

    def decide(
        self, decision: Callable[[Tx, OrphanFilter, int, str, Act], Decided], *, lumps: bool
    ) -> None:
        name = self.dice.choice(NAMES)
        amount = "granted_nano_usd - returned_nano_usd - spent_nano_usd - released_nano_usd"
        amount += "" if lumps else " - lump_nano_usd"
        sql = f"SELECT SUM({amount}) FROM lease WHERE state = 'ORPHANED' AND sidecar_id = :name"  # noqa: S608 - two amounts
        expected = self.world.number(sql, name=name)
        try:
            self.world.do(lambda tx: decision(tx, OrphanFilter(name), expected, "x", self.act()))
        except NotFoundError:
            assert expected == 0

    def act(self) -> Act:
        owner = Principal("prn_1", "Mia", Role.OWNER, NOON)
        return Act(owner, "Decide", "r", self.world.now, Entropy(random.Random(1).randbytes))

    def keep_house(self) -> None:
        self.world.do(lambda tx: keep_house(tx, self.world.levels, self.world.now))

    def rest(self) -> None:
        """Every disk tells all that it has; then all is said once more, in another order."""
        everybody = [*self.living.values(), *self.disks]
        for sidecar in everybody:
            sidecar.waiting.clear()
            sidecar.wants = False
            while sidecar.open:
                self.end_a_call(sidecar)
        for _ in range(3):
            for sidecar in everybody:
                report = sidecar.report()
                self.said.append((sidecar, report))
                sidecar.take(sidecar.send(report))
                self.world.check()
        self.check_truth()
        before = self.ledger()
        self.dice.shuffle(self.said)
        for sidecar, report in self.said:
            sidecar.send(report)
        self.world.check()
        assert self.ledger() == before
        self.check_truth()

    def check_truth(self) -> None:
        """What the calls cost is booked, and only overshoot can stand above the cap."""
        rows = self.world.store.read(
            lambda tx: tx.rows(
                """SELECT p.*, (SELECT COALESCE(SUM(lump_nano_usd), 0) FROM lease l
                     WHERE l.budget_id = p.budget_id AND l.period_id = p.period_id) AS lumps
                   FROM period p"""
            )
        ).result()
        booked = {PeriodKey(row["budget_id"], "", row["period_id"]): row for row in rows}
        for key in {*booked, *self.truth}:
            row, truth = booked[key], self.truth[key]
            assert row["spent_nano_usd"] - row["lumps"] == truth
            assert truth - row["overshoot_nano_usd"] <= self.caps[key.budget_id]
            assert row["allocated_nano_usd"] - row["overshoot_nano_usd"] <= row["cap_nano_usd"]

    def ledger(self) -> tuple[int, int, int]:
        return (
            self.world.number("SELECT COUNT(*) FROM call"),
            self.world.number("SELECT SUM(amount_nano_usd) FROM charge"),
            self.world.number("SELECT COUNT(*) FROM alarm"),
        )


def kept(sidecar: VirtualSidecar) -> VirtualSidecar:
    """A sidecar's disk and memory as they are now."""
    return replace(
        sidecar,
        leases={key: replace(lease) for key, lease in sidecar.leases.items()},
        open=dict(sidecar.open),
        journal=list(sidecar.journal),
        waiting=[],
        listens=False,
    )


@pytest.mark.parametrize("seed", range(SEEDS))
def test_whatever_is_lost_or_decided_no_cost_is_lost_or_counted_twice(
    world: World, seed: int
) -> None:
    storm = Storm(world, seed)
    for _ in range(STEPS):
        storm.step()
    storm.rest()
