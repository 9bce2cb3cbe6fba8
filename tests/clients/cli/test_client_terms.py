"""What of a client's calls may pass, as people say and read it."""

from typing import Any

import pytest


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        ("reject", "never cut shorter"),
        ("count", "Anthropic calls its counter an estimate"),
        ("clamp", "a smaller limit"),
    ],
)
def test_what_becomes_of_calls_that_do_not_fit_is_said_and_shown(
    run: Any, run_json: Any, mode: str, words: str
) -> None:
    name = f"Told {mode}"
    run("client", "add", name, "--cap", "5")
    assert run_json("client", "show", name)["client"]["when_too_large"] == "clamp"
    assert words in run("client", "when-too-large", name, mode).stderr
    assert run_json("client", "show", name)["client"]["when_too_large"] == mode
    assert mode in run("client", "show", name).stdout


def test_searches_are_granted_and_taken_back(run: Any, run_json: Any) -> None:
    run("client", "add", "Searching", "--cap", "5")
    assert "3 searches a call" in run("client", "allow", "Searching", "--searches", "3").stdout
    shown = run_json("client", "show", "Searching")["client"]
    assert (shown["hosted_call_count"], shown["when_too_large"]) == (3, "clamp")
    assert "no searches" in run("client", "allow", "Searching", "--searches", "0").stdout
    assert (
        "not in the range"
        in run("client", "allow", "Searching", "--searches", "1001", code=2).stderr
    )
