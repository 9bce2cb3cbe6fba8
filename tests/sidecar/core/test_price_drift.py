"""When the price book is doubted, and how often that is told."""

import pytest

from protos.values.rates import ModelPrice, Tier
from sidecar.core.metering import Usage, charge_of
from sidecar.core.price_drift import REMEMBERED_MAX, TOLD_AGAIN_MS, Alarms, drifts, ratio_text

PRICE = ModelPrice("openrouter", "m", (), 1_000, 1_000, (Tier(0, {"input": 1_000_000}),), "v1")


@pytest.mark.parametrize(
    ("told", "book", "drifted"),
    [
        (105_000, 100_000, False),
        (105_001, 100_000, True),
        (95_000, 100_000, False),
        (94_999, 100_000, True),
        (999, 0, False),
        (1_000, 0, True),
        (0, 10**9, True),
        (0, 0, False),
        (1_500, 600, False),
    ],
)
def test_a_difference_above_the_threshold_is_drift(told: int, book: int, drifted: bool) -> None:
    assert drifts(told, book) is drifted


@pytest.mark.parametrize(
    ("told", "book", "text"),
    [(125, 100, "1.25 times"), (1, 3, "0.33 times"), (7, 0, "something, and not")],
)
def test_a_ratio_is_told_in_hundredths(told: int, book: int, text: str) -> None:
    assert ratio_text(told, book) == text


@pytest.mark.parametrize(
    ("told", "doubt"), [(10_000_000, ""), (10_400_000, ""), (20_000_000, "price_drift")]
)
def test_what_is_told_in_money_is_charged_and_held_against_the_price_book(
    told: int, doubt: str
) -> None:
    usage = Usage({"input": 10_000}, told_nano_usd={"credits": told})
    charge = charge_of(usage, PRICE, 10**9, "credits")
    assert (charge.cost_nano_usd, charge.book_nano_usd, charge.doubt) == (told, 10_000_000, doubt)
    assert charge.told


def test_what_the_price_book_has_no_rate_for_is_no_drift() -> None:
    usage = Usage({"web_search": 1}, told_nano_usd={"credits": 5})
    charge = charge_of(usage, PRICE, 10**9, "credits")
    assert (charge.cost_nano_usd, charge.book_nano_usd, charge.doubt) == (5, None, "")


def test_an_alarm_is_raised_once_an_hour_for_each_thing_and_memory_is_bounded() -> None:
    alarms = Alarms()
    assert alarms.due("a", 0)
    assert not alarms.due("a", TOLD_AGAIN_MS - 1)
    assert alarms.due("b", 0)
    assert alarms.due("a", TOLD_AGAIN_MS)
    assert not alarms.due("a", TOLD_AGAIN_MS + 1)
    for number in range(REMEMBERED_MAX):
        assert alarms.due(number, TOLD_AGAIN_MS)
    assert alarms.due("a", TOLD_AGAIN_MS + 2)
