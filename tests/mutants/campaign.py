"""Hunts mutants: plants each, lets the simulation look for it, and says what found it.

Each mutant is hunted with our own guards in place; what only they noticed is hunted once more
without them (no assertions, no CHECKs), because the outside truth is what convinces.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.mutants.planting import Mutant, StaleMutantError, copy_tree, plant

WORKERS = 2
HUNT_S = 1_200
"""One hunt takes at most so long. Each seed has a bound of its own, in CPU time: this one is far
off, so that a machine that does other work too ends none early."""
_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it
NO_END = "no end"
NO_BUG = ("NameError:", "ImportError:", "AttributeError: module", "unexpected keyword argument")
"""What a line says that does not fit the code any more; it proves nothing that this is seen."""


@dataclass(frozen=True, slots=True)
class Catch:
    """What caught a mutant."""

    by: str
    """The invariant, the place in the code that stopped itself, or the directed test."""
    words: str = ""
    seed: int | None = None
    """None for a directed test."""
    steps: int = 0
    outside: bool = True
    """The outside truth saw it."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a mutant."""

    mutant: Mutant
    first: Catch | None
    """What caught it, our own guards included."""
    outside: Catch | None
    """What caught it from outside."""
    seeds: int

    @property
    def caught(self) -> bool:
        """Whether it was caught as the table says: from outside too, unless something masks it."""
        return self.first is not None and (self.outside is not None or bool(self.mutant.masked))


class Trees:
    """Clean copies of the tree in memory, from which mutants are made."""

    def __init__(self, folder: Path, *, bare: bool) -> None:
        """Copy the tree as it is, and if asked, once more without our own guards."""
        self._folder = folder
        self.guarded = folder / "guarded"
        self.bare = folder / "bare"
        copy_tree(self.guarded, bare=False)
        if bare:
            copy_tree(self.bare, bare=True)
            self._compile(self.bare)

    @staticmethod
    def _compile(tree: Path) -> None:
        command = [sys.executable, "-m", "compileall", "-q", "-j", "2", "control_plane", "sidecar"]
        subprocess.run(command, cwd=tree, check=True)

    @contextmanager
    def planted(self, mutant: Mutant, *, bare: bool) -> Iterator[Path]:
        """A copy with the mutant in it, for as long as it is needed."""
        folder = self._folder / f"{mutant.name}-{'bare' if bare else 'guarded'}"
        try:
            plant(mutant, self.bare if bare else self.guarded, folder, bare=bare)
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def made_trees(*, bare: bool = True) -> Iterator[Trees]:
    """Trees in memory if there is room for them, else in the folder for temporary files."""
    place = _MEMORY if os.access(_MEMORY, os.W_OK) else None
    folder = Path(tempfile.mkdtemp(prefix="bursar-mutants-", dir=place))
    try:
        yield Trees(folder, bare=bare)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run_in(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a module in a tree."""
    environment = {**os.environ, "PYTHONPATH": str(tree), "TMPDIR": str(tree.parent)}
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=tree,
        env=environment,
        capture_output=True,
        text=True,
        timeout=HUNT_S,
        check=False,
    )


def _played(tree: Path, seeds: Sequence[int], *options: str) -> list[Catch]:
    """Play seeds in a tree, up to the first that goes wrong or, if asked, all."""
    try:
        done = run_in(tree, "tests.mutants.hunt", *options, *map(str, seeds))
    except subprocess.TimeoutExpired:
        return [Catch(NO_END, f"no end within {HUNT_S} s", outside=False)]
    if done.returncode != 0:
        # It does not even begin to play: whoever starts it sees that.
        return [Catch("cannot run", done.stderr.strip().rpartition("\n")[2], outside=False)]
    found = [
        Catch(each["invariant"], each["words"], each["seed"], each["steps"], each["outside"])
        for each in json.loads(done.stdout.strip().rpartition("\n")[2])
    ]
    for catch in found:
        if any(sign in catch.words for sign in NO_BUG):
            raise StaleMutantError(f"{tree.name} names what the code no longer has: {catch.words}")
    return found


def _by_direction(tree: Path, place: str) -> Catch | None:
    """Run the story that was made for a mutant; the mutant is caught when it fails."""
    done = run_in(tree, "pytest", "-q", "-p", "no:cacheprovider", "--tb=line", place)
    if done.returncode == 0:
        return None
    if done.returncode != 1:
        raise RuntimeError(f"{place} cannot be run: {done.stdout}{done.stderr}")
    return Catch(place.rpartition("::")[2], "")


def hunt(trees: Trees, mutant: Mutant, seeds: Sequence[int]) -> Verdict:
    """Plant one mutant and look for it."""
    with trees.planted(mutant, bare=False) as tree:
        caught = next(iter(_played(tree, seeds)), None)
        if caught is None and mutant.directed:
            caught = _by_direction(tree, mutant.directed)
    outside = caught
    if caught is not None and not caught.outside:
        with trees.planted(mutant, bare=True) as tree:
            outside = next(iter(_played(tree, seeds, "--bare")), None)
        if outside is not None and not outside.outside:
            outside = None
    return Verdict(mutant, caught, outside, len(seeds))


def without_mutants(trees: Trees, seeds: Sequence[int]) -> list[Catch]:
    """What the simulation finds though nothing was planted: no such seed proves anything."""
    halves = [seeds[place::WORKERS] for place in range(WORKERS) if seeds[place::WORKERS]]
    with ThreadPoolExecutor(WORKERS) as pool:
        parts = pool.map(lambda half: _played(trees.guarded, half, "--all"), halves)
    return [catch for part in parts for catch in part]


def hunt_all(
    trees: Trees, mutants: Sequence[Mutant], seeds_of: Callable[[Mutant], Sequence[int]]
) -> Iterator[Verdict]:
    """Hunt several, two at a time, in their order."""
    with ThreadPoolExecutor(WORKERS) as pool:
        hunted = [pool.submit(hunt, trees, mutant, seeds_of(mutant)) for mutant in mutants]
        for each in hunted:
            yield each.result()
