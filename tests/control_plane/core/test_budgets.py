"""How many budgets a call can match, and until when a class of calls can still be started."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.core.budgets import Budget, last_call_unix_ms, matching_max
from protos.values.selectors import Attributes, Selector

VALUES = ("", "a", "b")
SELECTORS = st.builds(Selector, *(st.sampled_from(VALUES) for _ in range(5)))
NOW = 1_000_000


def calls() -> list[Attributes]:
    """Every call that these selectors can tell apart."""
    return [Attributes(*values) for values in itertools.product("abc", repeat=5)]


CALLS = calls()


@given(st.lists(SELECTORS, max_size=12))
def test_no_call_matches_more_budgets_than_the_bound_says(selectors: list[Selector]) -> None:
    bound = matching_max(selectors)
    matched = max(sum(selector.matches(call) for selector in selectors) for call in CALLS)
    assert matched <= bound <= len(selectors)


def test_the_bound_does_not_count_budgets_that_exclude_each_other() -> None:
    own = [Selector("p", workflow=f"w{number}") for number in range(100)]
    assert matching_max(own) == 1
    assert matching_max([*own, Selector("p"), Selector()]) == 3
    assert matching_max([*own, Selector("p", workflow="w1")]) == 2


def budget(
    selector: Selector, max_offline_ms: int, *, capped: bool = True, until: int = 0
) -> Budget:
    return Budget(
        budget_id="b",
        display_name="b",
        selector=selector,
        split_by="",
        window="month",
        time_zone="UTC",
        anchor_day=1,
        cap_nano_usd=1 if capped else None,
        cap_version=1,
        max_offline_ms=max_offline_ms,
        offline_until_unix_ms=until,
        created_unix_ms=0,
        archived_unix_ms=None,
        version=1,
    )


PROJECT, AGENCY = Selector("p"), Selector()
SLOW = Selector("p", workflow="slow")
KEY = Selector("p", key_id="k")


@pytest.mark.parametrize(
    ("budgets", "ends_after_ms"),
    [
        # One capped budget covers the class: with its authority all calls end.
        ([budget(PROJECT, 100_000)], 125_000 + 1_000),
        # Of several the first to end is enough.
        ([budget(PROJECT, 100_000), budget(AGENCY, 60_000)], 75_000 + 1_000),
        # One that is narrower ends only a part of the class.
        ([budget(PROJECT, 100_000), budget(SLOW, 20_000)], 125_000 + 1_000),
        # Calls that nothing caps have an authority of their own, whatever a budget without says.
        ([budget(SLOW, 20_000), budget(PROJECT, 1, capped=False)], 375_000 + 1_000),
        ([budget(SLOW, 400_000), budget(PROJECT, 1, capped=False)], 500_000 + 1_000),
        # Only capped budgets can match, but none covers all: the last to end counts.
        ([budget(SLOW, 20_000), budget(Selector("p", model="m"), 40_000)], 50_000 + 1_000),
        # Budgets of others do not matter.
        ([budget(PROJECT, 100_000), budget(Selector("q"), 1, capped=False)], 125_000 + 1_000),
        ([budget(PROJECT, 100_000), budget(Selector("p", "x"), 1, capped=False)], 126_000),
        # Nothing matches: nothing can be started.
        ([budget(Selector("q"), 100_000)], 0),
        # Authority from before max_offline was lowered lasts as long as it was given.
        ([budget(PROJECT, 20_000, until=NOW + 999_000)], 999_000),
        ([budget(PROJECT, 20_000, until=NOW - 1)], 25_000 + 1_000),
    ],
)
def test_until_when_calls_of_a_key_can_be_started(
    budgets: list[Budget], ends_after_ms: int
) -> None:
    assert last_call_unix_ms(KEY, budgets, NOW) == NOW + ends_after_ms
