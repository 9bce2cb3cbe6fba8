"""Where the price book is doubted, somebody hears of it, once an hour for each model."""

from typing import Any

import pytest

from control_plane import limits
from control_plane.usecases.price_doubts import DRIFT, UNPRICED
from tests.control_plane.leasing_world import CENT, USD, World
from tests.control_plane.usecases.test_rate_cards import booked
from tests.control_plane.usecases.test_rerating import set_price

DRIFTED: dict[str, Any] = {"error_kind": "price_drift", "cost_told": True}


def alarms(world: World) -> list[tuple[str, str]]:
    rows = world.store.read(lambda tx: tx.rows("SELECT * FROM alarm ORDER BY position")).result()
    return [(row["kind"], row["detail"]) for row in rows if row["kind"] in (DRIFT, UNPRICED)]


def test_a_sum_that_is_not_the_price_books_names_the_model_and_the_ratio(world: World) -> None:
    ref, sidecar = world.budget("b", 10 * USD), world.sidecar("a")
    set_price(world, CENT, "v9")
    used = {"quantities": {"output": 1}, "price_version": "v9"}
    row = booked(world, sidecar, ref, 3 * CENT, **used, **DRIFTED)
    [(kind, detail)] = alarms(world)
    assert kind == DRIFT
    assert detail.startswith(f"{row['provider']}/{row['requested_model']}: ")
    assert "billed 300 % of what price v9 makes" in detail


def test_it_is_raised_once_an_hour_for_each_model_whoever_tells_it(world: World) -> None:
    ref = world.budget("b", 10 * USD)
    one, other = world.sidecar("a"), world.sidecar("z")
    for sidecar in (one, other, one):
        booked(world, sidecar, ref, CENT, **DRIFTED)
    assert len(alarms(world)) == 1
    booked(world, one, ref, CENT, requested_model="another", **DRIFTED)
    assert len(alarms(world)) == 2
    booked(world, one, ref, CENT, error_kind="unpriced_model", answered_model="gpt-new")
    assert alarms(world)[-1][0] == UNPRICED
    assert "gpt-new answered, which has no price" in alarms(world)[-1][1]
    world.pass_ms(limits.DOUBT_TOLD_AGAIN_MS)
    booked(world, one, ref, CENT, **DRIFTED)
    assert len(alarms(world)) == 4


@pytest.mark.parametrize("kind", ["", "overloaded_error", "no_room"])
def test_what_went_wrong_otherwise_is_no_matter_of_prices(world: World, kind: str) -> None:
    booked(world, world.sidecar("a"), world.budget("b", USD), CENT, error_kind=kind)
    assert alarms(world) == []


def test_a_price_that_is_not_known_any_more_is_told_without_a_ratio(world: World) -> None:
    ref, sidecar = world.budget("b", USD), world.sidecar("a")
    booked(world, sidecar, ref, CENT, price_version="gone", **DRIFTED)
    booked(world, sidecar, ref, CENT, error_kind="unpriced_usage")
    (_, first), (_, second) = alarms(world)
    assert "billed another sum than what price gone makes" in first
    assert "worst case" in second
