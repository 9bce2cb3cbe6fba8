"""Clients are added with a working key in one step, and ended for good only when said so."""

from typing import Any

import pytest

from protos.values.keys import PROJECT_KEY, is_key
from protos.values.mailboxes import RECIPIENTS_MAX


def test_adding_a_client_gives_cap_key_and_every_setting(run_json: Any) -> None:
    made = run_json(
        "client", "add", "Northside Dental", "--cap", "300", "--workflow", "lead-scoring"
    )
    assert made["client"]["display_name"] == "Northside Dental"
    assert made["budget"]["cap_nano_usd"] == "300000000000"
    assert made["budget"]["cap_usd"] == "$300.00"
    assert made["budget"]["window"] == "month"
    assert made["key"]["workflow"] == "lead-scoring"
    assert is_key(made["secret"], PROJECT_KEY)
    assert made["openai_base_url"] == "http://127.0.0.1:7250/v1"
    assert made["secret"] in made["settings"]["n8n_openai"]
    assert "cannot reach" in made["settings"]["make"]


def test_people_see_the_key_once_on_stdout_and_the_next_step_on_stderr(run: Any) -> None:
    done = run("client", "add", "Key Shower", "--cap", "10")
    assert "bursar_pk_" in done.stdout
    assert "={{ $workflow.name }}:{{ $execution.id }}" in done.stdout
    assert "shown this once" in done.stderr
    assert "bursar tail 'Key Shower'" in done.stderr
    assert "bursar_pk_" not in run("client", "show", "Key Shower").stderr


def test_quiet_is_data_alone(run: Any) -> None:
    done = run("client", "add", "Quiet", "--cap", "1", "--quiet")
    assert not done.stderr


def test_window_zone_and_anchor_are_kept(run_json: Any) -> None:
    made = run_json(
        *("client", "add", "Weekly", "--cap", "5", "--window", "week"),
        *("--time-zone", "Asia/Kathmandu", "--anchor-day", "3", "--patience", "45s"),
    )
    assert made["budget"]["window"] == "week"
    assert made["budget"]["anchor_day"] == 3
    assert made["client"]["time_zone"] == "Asia/Kathmandu"
    assert made["client"]["patience_ms"] == 45_000


def test_statements_have_a_recipient_from_the_first_day(run: Any, run_json: Any) -> None:
    made = run_json("client", "add", "Told", "--statements-to", "office@told.example")
    assert made["client"]["display_name"] == "Told"
    shown = run("statement", "settings", "Told").stdout
    assert "office@told.example" in shown


@pytest.mark.parametrize("address", ["office", "office@told", "a b@told.example", ""])
def test_nothing_is_made_when_no_statement_could_be_sent_there(run: Any, address: str) -> None:
    done = run("client", "add", "Unaddressed", "--statements-to", address, code=2)
    assert f"{address!r} is no mail address" in done.stderr
    run("client", "show", "Unaddressed", code=3)


def test_nothing_is_made_when_more_were_named_than_statements_go_to(run: Any) -> None:
    named = [f"--statements-to=p{number}@told.example" for number in range(RECIPIENTS_MAX + 1)]
    assert "at most 20" in run("client", "add", "Unaddressed", *named, code=2).stderr
    run("client", "show", "Unaddressed", code=3)


def test_nothing_is_made_when_nobody_of_that_name_could_answer(run: Any) -> None:
    done = run("client", "add", "Unanswered", "--owner", "Nobody", code=3)
    assert "there is no person 'Nobody'" in done.stderr
    run("client", "show", "Unanswered", code=3)


def test_without_a_cap_it_says_that_nothing_is_stopped(run: Any) -> None:
    assert "never stopped" in run("client", "add", "Counting").stdout


def test_a_public_address_is_shown_for_clouds(run_json: Any) -> None:
    made = run_json(
        "client", "add", "Cloudy", "--cap", "1", "--public-url", "https://ai.example.com"
    )
    assert "https://ai.example.com/v1" in made["settings"]["zapier"]


def test_a_name_is_taken_once(run: Any) -> None:
    run("client", "add", "Twin", "--cap", "1")
    done = run("client", "add", "Twin", "--cap", "1", code=5)
    assert "Twin" in done.stderr


def test_an_unknown_client_is_not_found_with_a_suggestion(run: Any) -> None:
    run("client", "add", "Bright Smiles", "--cap", "1")
    done = run("client", "show", "Brigth Smiles", code=3)
    assert "did you mean 'Bright Smiles'" in done.stderr


def test_show_and_list_tell_caps_budgets_and_keys(run: Any, run_json: Any) -> None:
    made = run_json("client", "add", "Shown", "--cap", "12.50")
    shown = run("client", "show", made["client"]["project_id"]).stdout
    assert "$12.50" in shown
    assert made["budget"]["budget_id"] in shown
    assert made["key"]["key_id"] in shown
    assert made["secret"] not in shown
    listed = run_json("client", "list")["clients"]
    assert made["client"] in [one["client"] for one in listed]
    assert "Shown" in run("client", "list").stdout


def test_suspended_resumed_archived(run: Any, run_json: Any) -> None:
    run("client", "add", "Moody", "--cap", "1")
    assert (
        run_json("client", "suspend", "Moody", "--reason", "unpaid")["client"]["state"]
        == "suspended"
    )
    assert run_json("client", "resume", "Moody")["client"]["state"] == "active"
    refused = run("client", "archive", "Moody", code=2)
    assert "--yes" in refused.stderr
    assert run_json("client", "archive", "Moody", "--yes")["client"]["state"] == "archived"
    assert "Moody" not in run("client", "list").stdout
    assert "Moody" in run("client", "list", "--all").stdout


def test_settings_can_be_shown_again_without_a_key(run: Any) -> None:
    run("client", "add", "Again", "--cap", "1")
    shown = run("client", "settings", "Again").stdout
    assert "YOUR-BURSAR-KEY" in shown


@pytest.mark.parametrize("name", ["", "   ", "a\x07b"])
def test_a_name_that_is_none_is_refused(run: Any, name: str) -> None:
    run("client", "add", name, "--cap", "1", code=2)
