"""Runs a plan: the same plan and seed always give the same run."""

import gc
import logging
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trio

from control_plane.limits import HEARTBEAT_WAITING_MS
from tests.simulation import closing
from tests.simulation.actions import ACTIONS, enough
from tests.simulation.clocks import VirtualClock, sleep, sleep_until, true_ms
from tests.simulation.invariants import ViolationError
from tests.simulation.plan import Plan
from tests.simulation.simulation import Simulation
from tests.simulation.stage import Stage

MIDNIGHT = 1_795_478_400_000
"""2026-11-24T00:00:00Z."""
MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of each run's own is made in it

WEAK = "weak"
"""Stands for a violation where a run had too few steps."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a run."""

    seed: int
    violation: str
    """The name of the invariant that broke; empty when all held."""
    words: str
    """What was found then."""
    steps: int
    simulated_ms: int
    faults: Counter[str]
    happened: Counter[str]
    digest: str
    """Of all that happened, and when."""
    cpu_s: float


Told = Callable[[Simulation], Awaitable[None]]


def run(
    plan: Plan,
    seed: int,
    *,
    folder: Path | None = None,
    trace: Callable[[str], object] | None = None,
) -> Outcome:
    """Run a plan to its end, or to the first violation.

    `folder` keeps the files; `trace` is told of every step and of every process's log.
    """
    began = time.process_time()
    own = folder or Path(
        tempfile.mkdtemp(prefix="bursar-", dir=MEMORY if MEMORY.exists() else None)
    )
    made: list[Simulation] = []

    async def story() -> None:
        before_ms = next((step.ms for step in plan if step.action == "midnight"), 7_200_000)
        simulation = Simulation(own / "world", seed, start_unix_ms=MIDNIGHT - before_ms)
        simulation.trace = trace
        made.append(simulation)
        try:
            await _play(simulation, plan)
        finally:
            simulation.end_ms = true_ms()

    logging.getLogger("bursar.control_plane").setLevel(logging.CRITICAL + 1)
    gc.disable()
    try:
        play(story, seed)
    finally:
        gc.enable()
        for simulation in made:
            simulation.close()
        if folder is None:
            shutil.rmtree(own, ignore_errors=True)
    [simulation] = made
    violation = simulation.violation
    return Outcome(
        seed=seed,
        violation=violation.name if violation else "",
        words=violation.words if violation else "",
        steps=simulation.tally.steps,
        simulated_ms=simulation.end_ms,
        faults=simulation.tally.faults,
        happened=simulation.tally.happened,
        digest=simulation.digest,
        cpu_s=time.process_time() - began,
    )


async def _play(simulation: Simulation, plan: Plan) -> None:
    stage = Stage(simulation, chance=random.Random(f"{simulation.seed}:stage"))
    try:
        async with trio.open_nursery() as nursery:
            simulation.nursery = simulation.network.nursery = nursery
            nursery.start_soon(_keep_house, simulation)
            nursery.start_soon(_beat, simulation)
            for step in plan:
                if step.action == "encore" and enough(stage):
                    continue
                await sleep_until(step.at_ms / 1_000)
                await ACTIONS[step.action](stage, step)
            await closing.close(stage)
            simulation.shut()
            nursery.cancel_scope.cancel()
    except* ViolationError as group:
        simulation.fail_late(group)
    except* Exception as group:  # noqa: BLE001 - whatever it is, the run ends with it
        simulation.crashed(group)


async def _keep_house(simulation: Simulation) -> None:
    while True:
        await sleep(60)
        simulation.headquarters.keep_house()
        simulation.check_books("housekeeping")


async def _beat(simulation: Simulation) -> None:
    while True:
        await sleep(HEARTBEAT_WAITING_MS / 1_000)
        simulation.beat()


def play(story: Callable[[], Awaitable[None]], seed: int) -> None:
    """Run a story in virtual time, the same way each time."""
    scheduler: Any = trio._core._run
    scheduler._ALLOW_DETERMINISTIC_SCHEDULING = True
    scheduler._r.seed(seed)
    ordinary = trio.sleep
    trio.sleep = sleep  # what the product asks for too: it costs a quarter of trio's own
    try:
        trio.run(story, clock=VirtualClock())
    finally:
        trio.sleep = ordinary
        scheduler._ALLOW_DETERMINISTIC_SCHEDULING = False
