"""A bound is proved by trying: generated requests, and bugs that must not pass them.

Here a few thousand, and the quickest of the mutants; `make bounds` runs a hundred thousand, and
`python -m tests.bounds --mutants` hunts every mutant.
"""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from sidecar.http.surfaces import SURFACES, Kind
from tests.bounds import bills, texts
from tests.bounds.campaign import run
from tests.bounds.cases import Case, Version
from tests.bounds.mutants import MUTANTS, hunt, trees
from tests.bounds.requests import case
from tests.bounds.shrink import smallest
from tests.mutants.planting import ROOT

COUNT = 3_000
QUICKEST = ("cliff", "choices", "preamble", "media", "version", "variant")
BY_NAME = {mutant.name: mutant for mutant in MUTANTS}


@pytest.mark.slow
def test_no_legal_answer_is_billed_more_than_was_held_for_it() -> None:
    outcome = run(COUNT, 0)
    assert outcome.broken is None, (outcome.seed, outcome.broken)
    for label, count in outcome.bounded.items():
        assert count > outcome.refused[label] / 2, f"{label}: mostly refused, which proves little"


def test_every_surface_that_costs_is_tried() -> None:
    tried = {case(seed).surface for seed in range(1_500)}
    costs = {surface for surface, row in SURFACES.items() if row.kind is Kind.METERED}
    assert costs <= tried


def test_a_seed_always_makes_the_same_request() -> None:
    assert case(7) == case(7)
    assert case(7) != case(8)


def test_the_bill_is_of_the_tier_the_version_and_the_kind_that_cost_most() -> None:
    low, high = {"input": 2_000, "output": 5_000}, {"input": 3_000, "output": 7_000}
    now = Version(-1, 100, 10, ((0, low), (50, high)), {})
    later = replace(now, from_ms=600_000, tiers=((0, {**low, "cached": 9_000}),))
    legal = dict.fromkeys((True, False), bills.Legal(({"input": 60},), answers=2, limit=4))
    below = replace(now, window=50)
    assert bills.dearest_pico_usd(legal, (below,)) == 50 * 2_000 + 8 * 5_000
    assert bills.dearest_pico_usd(legal, (now,)) == 60 * 3_000 + 8 * 7_000
    assert bills.dearest_pico_usd(legal, (now, later)) == 60 * 9_000 + 8 * 5_000
    never = replace(later, from_ms=600_001)
    assert bills.dearest_pico_usd(legal, (now, never)) == Fraction(60 * 3_000 + 8 * 7_000)


def test_a_text_that_grows_is_counted_as_it_is_normalised() -> None:
    assert texts.tokens("\ufdfa", normalises=True) == 33
    assert texts.tokens("\ufdfa", normalises=False) == 3
    assert texts.tokens("\u00e9\u0323", normalises=True) == 5


def test_a_case_is_shrunk_to_what_breaks_it() -> None:
    def breaks(made: Case) -> bool:
        return "needle" in f"{made.value['messages'][-1]}"

    first = next(made for seed in range(100) if "messages" in (made := case(seed)).value)
    broken = replace(first, value={**first.value, "messages": [1, {"a": ["b", "xneedlex"]}, 2, 3]})
    broken = replace(broken, value={**broken.value, "messages": [1, {"a": ["b", "xneedlex"]}]})
    least = smallest(broken, breaks)
    assert least.value == {"messages": [{"a": ["xneedlex"]}]}
    assert len(least.versions) == 1


@pytest.mark.parametrize("name", BY_NAME)
def test_a_mutant_still_fits_the_code_and_changes_one_line(name: str) -> None:
    change = BY_NAME[name].change
    source = (ROOT / change.path).read_text(encoding="utf-8")
    compile(change.applied_to(source), change.path, "exec")
    assert change.lines_changed == 1


@pytest.fixture(scope="module")
def tree() -> Iterator[Path]:
    with trees() as made:
        yield made


@pytest.mark.slow
@pytest.mark.parametrize("name", QUICKEST)
def test_a_planted_bug_breaks_a_bound(tree: Path, name: str) -> None:
    verdict = hunt(tree, BY_NAME[name])
    assert verdict.caught, f"{name}: not found by {BY_NAME[name].within} requests"
