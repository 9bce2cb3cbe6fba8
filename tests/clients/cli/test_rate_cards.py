"""What a client is charged, as people set and read it."""

from typing import Any

import pytest

from clients.admin import UsageRow
from clients.cli.calls import held_text


def test_a_rate_card_is_set_exactly_and_keeps_what_was_not_given(run: Any, run_json: Any) -> None:
    run("client", "add", "Carded", "--cap", "5")
    assert "no rate card" in run("client", "rate-card", "show", "Carded").stderr
    made = run_json("client", "rate-card", "set", "Carded", "--markup", "12.5%")["rate_card"]
    assert made["markup_ppm"] == 125_000
    made = run_json(
        *("client", "rate-card", "set", "Carded", "--per-call", "0.001"),
        *("--per-run", "0.05", "--included", "20"),
    )["rate_card"]
    assert (made["markup_ppm"], made["per_call_nano_usd"]) == (125_000, "1000000")
    shown = run("client", "rate-card", "show", "Carded").stdout
    assert "12.5%" in shown
    assert "$20.00" in shown
    assert len(run_json("client", "rate-card", "show", "Carded")["rate_cards"]) == 2


def test_what_is_no_rate_card_is_refused_in_words(run: Any) -> None:
    run("client", "add", "Uncarded", "--cap", "5")
    asked = ("client", "rate-card", "set", "Uncarded")
    assert "Give one of" in run(*asked, code=2).stderr
    assert "no percentage" in run(*asked, "--markup", "a fifth", code=2).stderr
    assert "no percentage" in run(*asked, "--markup", "0.00001", code=2).stderr
    assert "rate_card.markup_ppm" in run(*asked, "--markup=-200", code=2).stderr


def test_usage_tells_the_margin_for_programs(run_json: Any) -> None:
    total = run_json("usage")["total"]
    assert (total["charge_nano_usd"], total["margin_nano_usd"]) == ("0", "0")


def test_usage_shows_how_much_was_held_beside_what_calls_cost(run: Any, run_json: Any) -> None:
    total = run_json("usage", "--by", "model")["total"]
    assert (total["held_nano_usd"], total["held_cost_nano_usd"]) == ("0", "0")
    assert "Held vs cost" in run("usage", "--by", "model").stdout


@pytest.mark.parametrize(
    ("held", "cost", "shown"),
    [(0, 0, "-"), (35, 10, "3.5x"), (10, 10, "1.0x"), (12_349, 1, "12,349.0x")],
)
def test_what_was_held_is_shown_as_a_multiple_of_the_cost(held: int, cost: int, shown: str) -> None:
    row = UsageRow(
        group=(),
        call_count=1,
        failed_count=0,
        estimated_count=0,
        input_count=0,
        output_count=0,
        cost_nano_usd=cost,
        held_nano_usd=held,
        held_cost_nano_usd=cost,
    )
    assert held_text(row) == shown
