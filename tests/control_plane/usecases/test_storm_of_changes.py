"""Storms in which budgets themselves change: caps come and go, windows turn, budgets end.

Sidecars go by policies that may be old, providers bill too much, estimates are corrected, and a
Sync may be undone after it ran. After every step no grant stands above its cap and the books
balance; at rest every period has what its calls cost, to the last.
"""

import random
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from control_plane.core.calls import Adjust
from control_plane.core.leases import BudgetRef, PeriodKey
from control_plane.core.reports import Report
from control_plane.store import budgets
from control_plane.store.engine import Row, Tx
from control_plane.usecases.housekeeping import keep_house
from control_plane.usecases.sync import sync
from tests.control_plane.leasing_world import DAY_MS, World
from tests.control_plane.virtual_sidecar import VirtualSidecar

SEEDS = 60
STEPS = 70


class UndoneError(Exception):
    """A commit that did not happen."""


@dataclass
class Ended:
    """A call that is settled, for corrections."""

    sidecar: VirtualSidecar
    call_id: str
    keys: tuple[PeriodKey, ...]
    vector: tuple[PeriodKey, ...]
    rest: int
    """What a correction may take off."""


class Storm:
    """One storm and the truth that it is held to."""

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.dice = random.Random(seed)
        self.caps: dict[BudgetRef, int | None] = {}
        for name, window in (
            ("month", "month"),
            ("day", "day"),
            ("comes", "week"),
            ("ends", "day"),
        ):
            cap = None if name == "comes" else self.dice.choice([20, 40, 60])
            self.caps[world.budget(name, cap, window=window)] = cap  # type: ignore[arg-type]  # a window of the table
        self.archived: set[BudgetRef] = set()
        self.sidecars = [world.sidecar(name) for name in "xyz"]
        self.policies = {one.name: self.policy() for one in self.sidecars}
        self.counted: dict[str, tuple[BudgetRef, ...]] = {}
        self.asked: dict[str, tuple[BudgetRef, ...]] = {}
        self.truth: dict[PeriodKey, int] = defaultdict(int)
        self.ended: list[Ended] = []
        self.sent: list[tuple[VirtualSidecar, Report]] = []

    def policy(self) -> dict[BudgetRef, bool]:
        """Every budget that lives, and whether it has a cap."""
        return {ref: cap is not None for ref, cap in self.caps.items() if ref not in self.archived}

    def rows(self) -> dict[PeriodKey, Row]:
        found = self.world.store.read(lambda tx: tx.rows("SELECT * FROM period")).result()
        return {
            PeriodKey(row["budget_id"], row["partition"], row["period_id"]): row for row in found
        }

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Whatever is granted meanwhile stands within its cap."""
        before = self.rows()
        yield
        for key, row in self.rows().items():
            was = before[key]["granted_total_nano_usd"] if key in before else 0
            if row["granted_total_nano_usd"] > was:
                assert row["state"] == "OPEN"
                assert row["allocated_nano_usd"] <= row["cap_nano_usd"]
        self.world.check()

    def step(self) -> None:
        self.world.pass_ms(self.dice.choice([10, 100, 400, 2_000]))
        sidecar = self.dice.choice(self.sidecars)
        deeds: list[tuple[int, Callable[[], object]]] = [
            (30, lambda: self.arrive(sidecar)),
            (20, lambda: self.end_a_call(sidecar)),
            (40, lambda: self.sync(sidecar)),
            (4, lambda: self.policies.update({sidecar.name: self.policy()})),
            (4, self.change_a_cap),
            (4, self.correct),
            (2, sidecar.register),
            (2, self.world.restart),
            (2, lambda: self.world.pass_ms(self.dice.choice([3_600_000, 8 * 3_600_000]))),
            (2, self.keep_house),
            (1, self.archive),
        ]
        weights = [weight for weight, _ in deeds]
        with self.watched():
            self.dice.choices([deed for _, deed in deeds], weights)[0]()

    def arrive(self, sidecar: VirtualSidecar) -> None:
        """A call comes: it needs money where the sidecar's policy knows of a cap."""
        policy = self.policies[sidecar.name]
        if not policy:
            return
        refs = self.dice.sample(sorted(policy), self.dice.randint(1, len(policy)))
        capped = tuple(ref for ref in refs if policy[ref])
        worst = self.dice.choice([1, 2, 3, 5, 8, 15])
        call_id = sidecar.wait(worst, *capped)
        self.counted[call_id] = tuple(ref for ref in refs if not policy[ref])
        if not capped:
            sidecar.waiting.pop()
            assert sidecar.try_open(call_id, worst, ())
        sidecar.waiting = sidecar.waiting[-4:]

    def end_a_call(self, sidecar: VirtualSidecar) -> None:
        if not sidecar.open:
            return
        call_id = self.dice.choice(sorted(sidecar.open))
        worst, vector = sidecar.open[call_id]
        cost = worst + self.dice.randint(1, 9) if self.dice.random() < 0.03 else None
        if cost is None:
            cost = self.dice.randint(0, worst)
        counted = tuple(self.period_now(ref) for ref in self.counted[call_id])
        sidecar.settle(call_id, cost, counted=self.counted[call_id])
        for key in (*vector, *counted):
            self.truth[key] += cost
        rest = cost if cost <= worst else 0
        self.ended.append(Ended(sidecar, call_id, (*vector, *counted), vector, rest))

    def period_now(self, ref: BudgetRef) -> PeriodKey:
        """A call counts by its start, which here is the moment in which it ends."""
        budget = self.world.do(lambda tx: budgets.get(tx, ref.budget_id))
        assert budget is not None
        return ref.period(budget.span_at(self.world.now).period_id)

    def correct(self) -> None:
        """Better evidence about a call that was settled."""
        known = [ended for ended in self.ended if ended.rest]
        if not known:
            return
        ended = self.dice.choice(known)
        less = self.dice.randint(1, ended.rest)
        ended.rest -= less
        sidecar, call_id, vector = ended.sidecar, ended.call_id, ended.vector
        for key in vector:
            sidecar.leases[key].spent -= less
        sidecar.append(lambda seq: Adjust(seq, call_id, -less, "the bill", vector))
        for key in ended.keys:
            self.truth[key] -= less

    def change_a_cap(self) -> None:
        ref = self.dice.choice(sorted(self.caps))
        if ref not in self.archived:
            keeps_one = ref.budget_id != "comes" or self.dice.random() < 0.6
            self.caps[ref] = self.dice.randint(5, 70) if keeps_one else None
            self.world.set_cap(ref, self.caps[ref])

    def archive(self) -> None:
        """What ArchiveBudget does."""
        ref = BudgetRef("ends", "")
        if ref in self.archived:
            return
        self.archived.add(ref)

        def change(tx: Tx) -> None:
            tx.run("UPDATE budget SET archived_unix_ms = 1 WHERE budget_id = 'ends'")
            budgets.close_periods(tx, "ends")

        self.world.do(change)

    def keep_house(self) -> None:
        self.world.do(lambda tx: keep_house(tx, self.world.levels, self.world.now))

    def sync(self, sidecar: VirtualSidecar) -> None:
        report = sidecar.report()
        self.sent.append((sidecar, report))
        luck = self.dice.random()
        if luck < 0.1:
            with pytest.raises(UndoneError):
                self.world.do(lambda tx: self.undone(tx, sidecar, report))
        elif luck < 0.8:
            answer = sidecar.send(report)
            if self.dice.random() < 0.75:
                sidecar.take(answer)
        if self.dice.random() < 0.2:
            owner, old = self.dice.choice(self.sent[-20:])
            owner.send(old)

    def undone(self, tx: Tx, sidecar: VirtualSidecar, report: Report) -> None:
        """The Sync runs to its end, and then nothing of it was written."""
        sync(tx, sidecar.name, report, self.world.levels, self.world.now)
        raise UndoneError

    def rest(self) -> None:
        """Everybody ends its calls, learns what is in force, and speaks."""
        for _ in range(3):
            for sidecar in self.sidecars:
                while sidecar.open:
                    self.end_a_call(sidecar)
                sidecar.waiting.clear()
                sidecar.wants = False
                with self.watched():
                    sidecar.sync()
        rows = self.rows()
        for key in {*rows, *self.truth}:
            assert (rows[key]["spent_nano_usd"] if key in rows else 0) == self.truth[key]

    def turn(self) -> None:
        """All windows pass: what sidecars still hold goes back, and the periods are closed."""
        self.world.pass_ms(40 * DAY_MS)
        for sidecar in self.sidecars:
            sidecar.worsts = []
            for _ in range(2):
                for key in sidecar.leases:
                    sidecar.give_back(key)
                with self.watched():
                    sidecar.sync()
        self.keep_house()
        for row in self.rows().values():
            if row["end_unix_ms"] <= self.world.now:
                assert row["allocated_nano_usd"] == row["spent_nano_usd"]
                assert row["state"] == "CLOSED"


@pytest.mark.parametrize("seed", range(SEEDS))
def test_no_grant_passes_a_cap_and_no_cost_is_lost_however_budgets_change(
    world: World, seed: int
) -> None:
    storm = Storm(world, seed)
    for _ in range(STEPS):
        storm.step()
    storm.rest()
    storm.turn()
    world.check()
    rows = world.store.read(lambda tx: tx.rows("SELECT kind FROM alarm")).result()
    assert {row["kind"] for row in rows} <= {"OVERRUN"}
