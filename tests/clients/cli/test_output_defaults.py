"""Limits on answers, as people set and read them."""

from typing import Any


def test_a_default_is_set_listed_and_removed(run: Any, run_json: Any) -> None:
    run("client", "add", "Defaulted", "--cap", "5")
    own = ("--client", "Defaulted", "--workflow", "leads", "--model", "gpt-5-mini")
    assert "default-output propose" in run("default-output", "list", *own[:2]).stderr
    said = run("default-output", "set", "2000", *own).stdout
    assert "client Defaulted, workflow leads, model gpt-5-mini: 2,000 tokens" in said
    made = run_json("default-output", "set", "3000", *own)["output_default"]
    assert (made["limit_count"], made["workflow"]) == (3000, "leads")
    shown = run("default-output", "list", *own[:2]).stdout
    assert "leads" in shown
    assert "3,000" in shown
    run("default-output", "remove", *own)
    assert "there is no such default" in run("default-output", "remove", *own, code=3).stderr
    assert run_json("default-output", "list", *own[:2]) == {"output_defaults": []}


def test_what_no_api_takes_is_refused_in_words(run: Any) -> None:
    assert "output_default.limit_count" in run("default-output", "set", "3", code=2).stderr
    assert "0 is not in the range" in run("default-output", "set", "0", code=2).stderr


def test_of_no_answers_nothing_is_proposed(run: Any, run_json: Any) -> None:
    run("client", "add", "Unasked", "--cap", "5")
    asked = ("default-output", "propose", "--client", "Unasked")
    assert run_json(*asked) == {"proposals": [], "call_count": 0, "applied": False}
    assert "Too few answers" in run(*asked, "--apply").stderr
