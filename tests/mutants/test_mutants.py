"""The simulation is worth something only if it can fail: bugs that are planted are found.

Here a few of the quickest; `make mutants` hunts all of them.
"""

from collections.abc import Iterator

import pytest

from tests.mutants.__main__ import ALL
from tests.mutants.campaign import Trees, hunt, made_trees
from tests.mutants.planting import Change, Mutant, StaleMutantError, planted_sources
from tests.mutants.table import MUTANTS

QUICKEST = ("M4", "M7", "V1", "V8", "A2", "A7", "A8")
BY_NAME = {mutant.name: mutant for mutant in ALL}


@pytest.mark.parametrize("bare", [False, True], ids=["guarded", "bare"])
@pytest.mark.parametrize("name", BY_NAME)
def test_a_mutant_still_fits_the_code_and_is_python(name: str, bare: bool) -> None:
    assert planted_sources(BY_NAME[name], bare=bare)


@pytest.mark.parametrize("name", BY_NAME)
def test_a_mutant_changes_one_line(name: str) -> None:
    mutant = BY_NAME[name]
    assert [change.lines_changed for change in (mutant.change, *mutant.unguarded)] == [1] * (
        1 + len(mutant.unguarded)
    )


def test_the_table_is_the_protocols() -> None:
    wanted = [f"M{number}" for number in range(1, 14)] + [f"V{number}" for number in range(1, 11)]
    assert [mutant.name for mutant in MUTANTS] == wanted
    assert len(BY_NAME) == len(ALL)


def test_a_mutant_that_the_code_has_left_behind_is_told() -> None:
    gone = Change("sidecar/core/leases.py", "no such line", "another")
    with pytest.raises(StaleMutantError, match="0 times instead of once"):
        planted_sources(Mutant("X", "gone", gone, 1), bare=False)


@pytest.fixture(scope="module")
def trees() -> Iterator[Trees]:
    with made_trees() as made:
        yield made


@pytest.mark.slow
@pytest.mark.parametrize("name", QUICKEST)
def test_a_planted_bug_is_found(trees: Trees, name: str) -> None:
    verdict = hunt(trees, BY_NAME[name], range(BY_NAME[name].seeds))
    assert verdict.caught, f"{name}: not found by any of {verdict.seeds} seeds"


@pytest.mark.slow
def test_nothing_is_found_where_nothing_was_planted(trees: Trees) -> None:
    same = Change("sidecar/core/leases.py", "_PPM = 1_000_000\n", "_PPM = 1_000 * 1_000\n")
    verdict = hunt(trees, Mutant("none", "the code as it is", same, 2), range(2))
    assert verdict.first is None
