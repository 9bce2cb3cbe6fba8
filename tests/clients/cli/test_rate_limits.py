"""Rate limits as people set and read them."""

from typing import Any

import pytest


def test_limits_are_set_listed_and_removed(run: Any, run_json: Any) -> None:
    run("client", "add", "Limited", "--cap", "5")
    made = run_json(
        *("limit", "set", "--client", "Limited"),
        *("--requests", "60/minute", "--tokens", "200k", "--at-once", "4"),
    )["rate_limits"]
    assert [(one["measure"], one["window"], one["amount"]) for one in made] == [
        ("requests", "minute", 60),
        ("tokens", "minute", 200_000),
        ("calls", "", 4),
    ]
    again = run_json("limit", "set", "--client", "Limited", "--requests", "90/min")
    assert again["rate_limits"][0]["rate_limit_id"] == made[0]["rate_limit_id"]
    shown = run("limit", "list").stdout
    assert "90 requests a minute" in shown
    assert "4 calls at once" in shown
    assert "Limited" in shown
    for one in made:
        run("limit", "remove", one["rate_limit_id"])
    assert made[0]["rate_limit_id"] not in run("limit", "list", "--json").stdout
    gone = run("limit", "remove", made[0]["rate_limit_id"], code=3).stderr
    assert "no rate limit" in gone


def test_a_limit_for_everybody_says_so(run: Any, run_json: Any) -> None:
    made = run_json("limit", "set", "--model", "gpt-4o-mini", "--requests", "5/s")["rate_limits"]
    assert made[0]["window"] == "second"
    assert "gpt-4o-mini (all clients)" in run("limit", "list").stdout
    run("limit", "remove", made[0]["rate_limit_id"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--requests", "60/minute"), "Give one of --client, --key"),
        (("--client", "Limited"), "Give one of --requests"),
        (("--provider", "openai", "--requests", "60/hour"), "is no rate: write 60/minute"),
    ],
)
def test_what_is_no_limit_is_told(run: Any, arguments: tuple[str, ...], words: str) -> None:
    assert words in run("limit", "set", *arguments, code=2).stderr


def test_a_clients_weight_and_loops_are_shown_with_it(run: Any, run_json: Any) -> None:
    run("client", "add", "Heavy", "--cap", "5")
    told = run_json("limit", "client", "Heavy", "--weight", "300", "--loop-max", "50")["client"]
    assert (told["rate_weight"], told["loop_max_count"]) == (300, 50)
    shown = run("client", "show", "Heavy").stdout
    assert "300" in shown
    assert "more than 50 equal requests" in shown
    assert "Give one of" in run("limit", "client", "Heavy", code=2).stderr
