"""Each record of the protocol's table must be durable at its moment: without that, a story breaks.

The table's last line is the other way round: a GRANT that is lost does no harm.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mutants.campaign import Trees, made_trees, run_in
from tests.mutants.planting import Mutant
from tests.mutants.table import MUTANTS
from tests.simulation.durability import STORIES, VIOLATED
from tests.simulation.stories.scene import tell

WITHOUT = {"OPEN": "M4", "SETTLE": "M5", "VOID": "M5", "RETURN": "M3"}
"""The mutant that takes a record's durability away."""
BROKEN = {
    "OPEN": "I1 proof",
    "SETTLE": "alarms",
    "VOID": "alarms",
    "RETURN": "r >= R",
}
"""What must hold, and does not then."""


@pytest.mark.parametrize("record", STORIES)
def test_with_its_durability_the_story_ends_well(tmp_path: Path, record: str) -> None:
    tell(tmp_path, STORIES[record])


@pytest.fixture(scope="module")
def trees() -> Iterator[Trees]:
    with made_trees(bare=False) as made:
        yield made


@pytest.mark.slow
@pytest.mark.parametrize("record", WITHOUT)
def test_without_its_durability_the_story_breaks(trees: Trees, record: str) -> None:
    with trees.planted(_mutant(WITHOUT[record]), bare=False) as tree:
        told = run_in(tree, "tests.simulation.durability", record)
    assert told.returncode == VIOLATED, told.stdout + told.stderr
    assert told.stdout.startswith(BROKEN[record]), told.stdout


def _mutant(name: str) -> Mutant:
    return next(mutant for mutant in MUTANTS if mutant.name == name)
