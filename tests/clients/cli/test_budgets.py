"""Caps are set for good or raised for a while, and every change is remembered."""

from typing import Any

import pytest


@pytest.fixture
def client(run_json: Any, request: pytest.FixtureRequest) -> str:
    name = f"Client of {request.node.name}"[:100]
    run_json("client", "add", name, "--cap", "300")
    return name


def test_setting_a_client_s_cap_changes_its_own_budget(run_json: Any, client: str) -> None:
    done = run_json("budget", "set", client, "--cap", "350", "--reason", "grew")
    assert done["created"] is False
    assert done["change"]["old_cap_nano_usd"] == "300000000000"
    assert done["change"]["new_cap_nano_usd"] == "350000000000"
    assert done["budget"]["cap_usd"] == "$350.00"
    assert len(run_json("budget", "list", client)["budgets"]) == 1


def test_conditions_make_a_budget_once_and_then_set_its_cap(run_json: Any, client: str) -> None:
    ask = ("budget", "set", client, "--workflow", "lead-scoring", "--cap")
    made = run_json(*ask, "20")
    assert made["created"] is True
    assert made["budget"]["workflow"] == "lead-scoring"
    again = run_json(*ask, "25")
    assert again["created"] is False
    assert again["budget"]["budget_id"] == made["budget"]["budget_id"]
    daily = run_json("budget", "set", client, "--window", "day", "--cap", "15")
    assert daily["created"] is True
    split = run_json("budget", "set", client, "--split-by", "workflow", "--cap", "5")
    assert split["budget"]["split_by"] == "workflow"
    assert len(run_json("budget", "list", client)["budgets"]) == 4


def test_the_agency_has_budgets_of_its_own(run: Any, run_json: Any) -> None:
    made = run_json("budget", "set", "--agency", "--region", "eu-1", "--cap", "1000")
    assert made["budget"]["project_id"] == ""
    assert "(agency)" in run("budget", "list").stdout
    run("budget", "archive", made["budget"]["budget_id"], "--yes")


def test_a_raise_holds_for_this_period_unless_told_otherwise(
    run: Any, run_json: Any, client: str
) -> None:
    done = run_json("budget", "raise", client, "--by", "50", "--reason", "campaign")
    assert done["change"]["period_id"]
    assert done["budget"]["cap_nano_usd"] == "300000000000"
    assert done["budget"]["current_period"]["cap_nano_usd"] == "350000000000"
    good = run_json("budget", "raise", client, "--to", "400", "--for-good")
    assert good["change"]["period_id"] == ""
    assert good["budget"]["cap_nano_usd"] == "400000000000"
    refused = run("budget", "raise", client, "--to", "10", code=2)
    assert "is not above" in refused.stderr


def test_a_raise_for_good_never_lowers_what_this_period_has(
    run: Any, run_json: Any, client: str
) -> None:
    shown = run("budget", "raise", client, "--by", "100").stdout
    assert f"{client}, monthly: $300.00 → $400.00" in shown
    refused = run("budget", "raise", client, "--by", "5", "--for-good", code=2)
    assert "$400.00: $305.00 for good would lower it" in refused.stderr
    good = run_json("budget", "raise", client, "--to", "400", "--for-good")
    assert good["budget"]["current_period"]["cap_nano_usd"] == "400000000000"


def test_history_tells_who_when_and_why(run: Any, run_json: Any, client: str) -> None:
    run("budget", "raise", client, "--by", "1", "--reason", "autumn campaign")
    changes = run_json("budget", "history", client)["changes"]
    assert changes[0]["reason"] == "autumn campaign"
    assert changes[0]["actor"]
    assert "autumn campaign" in run("budget", "history", client).stdout


def test_periods_show_the_window(run_json: Any, client: str) -> None:
    periods = run_json("budget", "periods", client)["periods"]
    assert all(one["spent_nano_usd"] == "0" for one in periods)


def test_a_cap_can_be_taken_away(run: Any, run_json: Any, client: str) -> None:
    done = run_json("budget", "set", client, "--no-cap")
    assert done["budget"]["cap_nano_usd"] is None
    refused = run("budget", "raise", client, "--by", "1", code=5)
    assert "no cap to raise" in refused.stderr


def test_a_client_with_several_budgets_wants_an_id(run: Any, run_json: Any, client: str) -> None:
    run("budget", "set", client, "--window", "day", "--cap", "1")
    refused = run("budget", "raise", client, "--by", "1", code=2)
    assert "several budgets" in refused.stderr
    ids = [one["budget_id"] for one in run_json("budget", "list", client)["budgets"]]
    assert all(one in refused.stderr for one in ids)


def test_the_last_budget_of_a_client_cannot_end(run: Any, client: str) -> None:
    run("budget", "archive", client, "--yes", code=5)


def test_nothing_is_set_for_nobody(run: Any) -> None:
    run("budget", "set", "Nobody Knows", "--cap", "1", code=3)
