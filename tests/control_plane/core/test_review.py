"""Why a cost changed: volume, price and mix are told apart, and sum to the change."""

import random

import pytest

from control_plane.core.review import by_model, cost_at, errors, movers
from control_plane.core.usage import Sums, UsageRow
from protos.values.rates import ModelPrice, Tier


def row(model: str, calls: int, cost: int, *, client: str = "a", workflow: str = "w") -> UsageRow:
    return UsageRow((client, workflow, "openai", model), Sums(call_count=calls, cost_nano_usd=cost))


def by_its_model(one: UsageRow) -> UsageRow:
    return UsageRow(one.group[2:], one.sums)


@pytest.mark.parametrize(
    ("before", "now", "parts", "why"),
    [
        # Twice the calls of the same kind.
        ([("big", 10, 1000)], [("big", 20, 2000)], (1000, 0, 0), "volume"),
        # As many calls, each dearer.
        ([("big", 10, 1000)], [("big", 10, 1500)], (0, 500, 0), "price"),
        # As many calls, moved from the dear model to the cheap one, both known before.
        (
            [("big", 10, 1000), ("small", 10, 100)],
            [("big", 0, 0), ("small", 20, 200)],
            (0, 0, -900),
            "mix",
        ),
        # A model that is new has no price before: what it changes is mix.
        ([("big", 10, 1000)], [("new", 10, 300)], (0, 0, -700), "mix"),
        # What begins or ends is volume.
        ([], [("big", 10, 1000)], (1000, 0, 0), "volume"),
        ([("big", 10, 1000)], [], (-1000, 0, 0), "volume"),
        # All three at once.
        (
            [("big", 10, 1000), ("small", 10, 100)],
            [("big", 30, 4500), ("small", 10, 100)],
            (1100, 1500, 900),
            "price",
        ),
    ],
)
def test_a_change_is_taken_apart(
    before: list[tuple[str, int, int]],
    now: list[tuple[str, int, int]],
    parts: tuple[int, int, int],
    why: str,
) -> None:
    [mover] = movers([row(*one) for one in now], [row(*one) for one in before], 9)
    assert (mover.volume_nano_usd, mover.price_nano_usd, mover.mix_nano_usd) == parts
    assert mover.why == why


def test_parts_sum_to_the_change_and_models_to_the_total() -> None:
    dice = random.Random(5)

    def month() -> list[UsageRow]:
        return [
            row(model, dice.randrange(9), dice.randrange(10**12), client=client, workflow=workflow)
            for client in "abc"
            for workflow in ("", "one", "two")
            for model in ("big", "small", "other")
            if dice.random() < 0.7
        ]

    for _ in range(50):
        now, before = month(), month()
        found = movers(now, before, 99)
        for mover in found:
            parts = mover.volume_nano_usd + mover.price_nano_usd + mover.mix_nano_usd
            assert parts == mover.change_nano_usd
        change = sum(one.sums.cost_nano_usd for one in now)
        change -= sum(one.sums.cost_nano_usd for one in before)
        assert sum(mover.change_nano_usd for mover in found) == change
        lines = by_model(*([by_its_model(one) for one in rows] for rows in (now, before)))
        assert sum(line.sums.cost_nano_usd - line.before.cost_nano_usd for line in lines) == change
        assert movers(now, before, 2) == found[:2]


def test_errors_are_told_of_their_providers_calls() -> None:
    rows = [
        UsageRow(("openai", "m", "ok"), Sums(call_count=95)),
        UsageRow(("openai", "m", "rate_limited"), Sums(call_count=5)),
        UsageRow(("anthropic", "m", "timeout"), Sums(call_count=7)),
    ]
    found = [
        (one.provider, one.outcome, one.call_count, one.provider_call_count)
        for one in errors(rows, frozenset({"ok"}))
    ]
    assert found == [("anthropic", "timeout", 7, 7), ("openai", "rate_limited", 5, 100)]


def price(model: str, **rates: int) -> ModelPrice:
    return ModelPrice(
        provider="openai",
        model=model,
        version="v1",
        aliases=(),
        input_max=1000,
        output_max=1000,
        tiers=(Tier(0, rates),),
    )


def test_another_price_scales_what_was_paid() -> None:
    sums = Sums(call_count=2, input_count=1000, output_count=100, cost_nano_usd=900)
    dear, cheap = price("dear", input=2, output=10), price("cheap", input=1, output=5)
    # What was paid is below the standard rates, for some of it was cached: it stays so.
    assert cost_at(sums, dear, cheap) == 450
    assert cost_at(sums, dear, dear) == 900
    assert cost_at(sums, None, cheap) is None
    assert cost_at(sums, dear, None) is None
    assert cost_at(sums, dear, price("pieces", images=7)) is None
    assert cost_at(Sums(), dear, cheap) is None
