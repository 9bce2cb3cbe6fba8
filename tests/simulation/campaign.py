"""Runs many seeds in worker processes."""

import multiprocessing
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from tests.simulation.engine import WEAK, Outcome, run
from tests.simulation.plan import STEPS_MIN, Plan, in_words, plan
from tests.simulation.shrink import as_source, shrink

SHRINK_S = 120.0
"""So long is spent on making a failing run smaller."""
ECHO_S = 2.0


def workers() -> int:
    """As many as there are cores for this process."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1


def run_seed(seed: int) -> Outcome:
    """Run one seed; a run in which too little happened proves nothing, and counts as a failure."""
    return judged(run(plan(seed), seed))


def judged(outcome: Outcome) -> Outcome:
    """The outcome of a whole plan: weak when it broke nothing, and did too little to do so."""
    if outcome.violation or outcome.steps >= STEPS_MIN:
        return outcome
    words = f"{outcome.steps} steps, and a run has {STEPS_MIN} at least"
    return replace(outcome, violation=WEAK, words=words)


def run_seeds(seeds: Iterable[int], count: int) -> Iterator[Outcome]:
    """Run seeds, some at a time in processes of their own; each as soon as it is done."""
    if count <= 1:
        yield from map(run_seed, seeds)
        return
    context = multiprocessing.get_context("spawn")
    with context.Pool(count) as pool:
        yield from pool.imap_unordered(run_seed, seeds, chunksize=2)


def cut(outcome: Outcome, *, seconds: float = SHRINK_S) -> Plan:
    """The smallest part of a failing run's plan that still breaks the same invariant.

    A weak run is left whole: each part of it is weaker.
    """
    if outcome.violation == WEAK:
        return plan(outcome.seed)

    def fails(part: Plan) -> bool:
        return run(part, outcome.seed).violation == outcome.violation

    return shrink(plan(outcome.seed), fails, seconds=seconds)


def story(outcome: Outcome, smallest: Plan) -> list[str]:
    """A failure as people need it: what broke, the cut story, and how to see it again."""
    again = run(smallest, outcome.seed)
    return [
        f"seed {outcome.seed} broke {outcome.violation}: {outcome.words}",
        f"cut from {len(plan(outcome.seed))} steps to {len(smallest)}:",
        *(f"  {in_words(step)}" for step in smallest),
        f"which end in: {again.words}",
        "as a plan:",
        as_source(smallest),
        f"to run the whole of it again: make simulate SEED={outcome.seed}",
    ]


class Progress:
    """One line that says how far it is."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._began = self._said = time.monotonic()

    def line(self) -> str:
        """Something to say now; "" when it was said just before."""
        self._done += 1
        now = time.monotonic()
        if now - self._said < ECHO_S and self._done < self._total:
            return ""
        self._said = now
        left_s = (now - self._began) / self._done * (self._total - self._done)
        return f"{self._done:,} of {self._total:,} seeds, about {left_s / 60:.1f} minutes left"


def keep(outcome: Outcome, folder: Path) -> None:
    """Run a failing seed once more, and leave its files and all that happened in a folder."""
    folder.mkdir(parents=True)
    with (folder / "trace.txt").open("w") as trace:
        run(plan(outcome.seed), outcome.seed, folder=folder, trace=trace.write)
