"""What a client is charged, as people set and read it."""

from typing import Any


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
