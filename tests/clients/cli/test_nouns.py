"""Providers, prices, sidecars, principals, backups: each command against a real control plane."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from protos.values.keys import ADMIN_TOKEN, JOIN_TOKEN, is_key

SECRET = "sk-a-secret-of-some-length-wxyz"


def test_a_provider_s_secret_comes_by_stdin_file_or_environment_and_never_shows(
    run: Any, run_json: Any, tmp_path: Path
) -> None:
    assert (
        run_json("provider", "set", "openai", stdin=SECRET + "\n")["provider"]["base_url"]
        == "https://api.openai.com"
    )
    file = tmp_path / "secret"
    file.write_text(SECRET)
    run("provider", "set", "openai", "--secret-file", str(file))
    done = run("provider", "set", "openai", "--secret-env", "MY_KEY", MY_KEY=SECRET)
    assert "wxyz" in done.stdout
    assert SECRET not in done.stdout + done.stderr
    assert SECRET not in run("provider", "list", "--json").stdout
    assert SECRET not in run("audit", "--json").stdout
    refused = run("provider", "set", "openai", stdin="two words", code=2)
    assert "two words" not in refused.stderr


def test_a_provider_that_is_not_known_needs_family_and_address(run: Any, run_json: Any) -> None:
    assert "--family" in run("provider", "set", "mystery", stdin=SECRET, code=2).stderr
    made = run_json(
        *("provider", "set", "mystery", "--family", "openai"),
        *("--base-url", "https://llm.example.com/v1"),
        stdin=SECRET,
    )
    assert made["provider"]["base_url"] == "https://llm.example.com"
    assert "--yes" in run("provider", "remove", "mystery", code=2).stderr
    run("provider", "remove", "mystery", "--yes")
    assert "mystery" not in run("provider", "list").stdout
    run("provider", "remove", "mystery", "--yes", code=3)


def test_a_price_is_set_exactly_and_keeps_what_was_not_given(run: Any, run_json: Any) -> None:
    assert "no price yet" in run("price", "set", "openai", "gpt-x", "--input", "1", code=2).stderr
    made = run_json(
        *("price", "set", "openai", "gpt-x", "--input", "0.25", "--output", "2"),
        *("--input-max", "1000", "--output-max", "100", "--alias", "gpt-x-1"),
        *("--tier", "500:input=0.5,output=4"),
    )["price"]
    assert made["tiers"][0]["rates_pico_usd"] == {"input": "250000", "output": "2000000"}
    assert made["tiers"][1]["above_input"] == 500
    refused = run("price", "set", "openai", "gpt-x", "--cached", "0.025", code=2)
    assert "every tier" in refused.stderr
    later = run_json(
        *("price", "set", "openai", "gpt-x", "--cached", "0.025", "--from", "7d"),
        *("--tier", "500:input=0.5,output=4,cached=0.05"),
    )["price"]
    assert later["tiers"][0]["rates_pico_usd"]["cached"] == "25000"
    assert later["tiers"][0]["rates_pico_usd"]["input"] == "250000"
    assert later["aliases"] == ["gpt-x-1"]
    assert "gpt-x" in run("price", "list", "openai", "--model", "gpt-x").stdout


def test_a_variant_begins_with_the_standard_rates(run: Any, run_json: Any) -> None:
    run(
        *("price", "set", "openai", "gpt-v", "--input", "2", "--output", "8"),
        *("--input-max", "1000", "--output-max", "100"),
    )
    told = run("price", "set", "openai", "gpt-v", "--variant", "us+Batch", "--output", "4").stdout
    assert "gpt-v: input $2.00, output $8.00; batch+us: input $2.00, output $4.00;" in told
    made = run_json("price", "set", "openai", "gpt-v", "--input", "3")["price"]
    assert made["tiers"][0]["rates_pico_usd"] == {"input": "3000000", "output": "8000000"}
    [variant] = made["variants"]
    assert variant["name"] == "batch+us"
    assert variant["tiers"][0]["rates_pico_usd"] == {"input": "2000000", "output": "4000000"}
    assert "batch+us" in run("price", "list", "openai", "--model", "gpt-v").stdout


def test_the_built_in_prices_are_listed(run: Any, run_json: Any) -> None:
    assert len(run_json("price", "list")["prices"]) > 10
    assert "$0.25" in run("price", "list", "openai", "--model", "gpt-5-mini").stdout


def test_an_invitation_is_a_token_and_the_command_to_use_it(run: Any, run_json: Any) -> None:
    run("client", "add", "Scoped", "--cap", "1")
    done = run("sidecars", "invite", "--client", "Scoped", "--lifetime", "10m")
    assert is_key(done.stdout.strip(), JOIN_TOKEN)
    assert "BURSAR_JOIN_TOKEN" in done.stderr
    assert done.stdout.strip() not in done.stderr
    run("sidecars", "invite", "--client", "Nobody", code=3)


def test_without_sidecars_the_lists_are_empty_and_say_what_is_next(run: Any, run_json: Any) -> None:
    assert run_json("sidecars", "list")["sidecars"] == []
    assert "bursar sidecars invite" in run("sidecars").stderr
    assert run_json("leases")["leases"] == []
    run("sidecars", "revoke", "nobody", "--yes", code=3)


def test_a_viewer_reads_and_may_not_change(run: Any, run_json: Any) -> None:
    made = run_json("principal", "add", "Vera", "--role", "viewer")
    assert is_key(made["token"], ADMIN_TOKEN)
    as_vera = {"BURSAR_TOKEN": made["token"]}
    assert run_json("principal", "whoami", **as_vera)["principal"]["role"] == "viewer"
    run("client", "list", **as_vera)
    denied = run("client", "add", "Not Hers", "--cap", "1", code=4, **as_vera)
    assert made["token"] not in denied.stderr
    another = run_json("principal", "token", "Vera", "--expires", "1d")
    run_json("principal", "revoke-token", made["principal"]["tokens"][0]["token_id"], "--yes")
    run("client", "list", code=4, **as_vera)
    run("client", "list", BURSAR_TOKEN=another["token"])
    run("principal", "disable", "Vera", "--yes")
    run("client", "list", code=4, BURSAR_TOKEN=another["token"])
    assert "disabled" in run("principal", "list").stdout


def test_a_token_can_come_by_file(run: Any, run_json: Any, tmp_path: Path) -> None:
    made = run_json("principal", "add", "Olga", "--role", "operator")
    file = tmp_path / "token"
    file.write_text(made["token"] + "\n")
    shown = run_json("principal", "whoami", "--token-file", str(file))
    assert shown["principal"]["display_name"] == "Olga"


def test_an_unknown_token_is_denied(run: Any) -> None:
    run("client", "list", code=4, BURSAR_TOKEN="bursar_at_" + "x" * 39)


def test_the_audit_tells_who_did_what(run: Any, run_json: Any) -> None:
    run("client", "add", "Audited", "--cap", "1")
    entries = run_json("audit", "Audited")["entries"]
    assert {"CreateProject", "CreateKey"} <= {one["method"] for one in entries}
    assert "CreateKey" in run("audit", "Audited", "-n", "1").stdout


def test_a_backup_is_a_whole_database(run: Any, run_json: Any, tmp_path: Path) -> None:
    run("client", "add", "Backed Up", "--cap", "1")
    path = tmp_path / "copy.db"
    made = run_json("backup", str(path))
    assert made["size_bytes"] == path.stat().st_size
    with sqlite3.connect(path) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    database.close()
    run("backup", str(path), code=5)
    run("backup", str(path), "--replace")


def test_usage_of_nothing_is_nothing(run: Any, run_json: Any) -> None:
    run("client", "add", "Idle", "--cap", "1")
    found = run_json("usage", "Idle", "--by", "workflow,model,day")
    assert found["rows"] == []
    assert found["total"]["cost_nano_usd"] == "0"
    assert "Total" in run("usage", "Idle", "--month", "2026-11").stdout
    assert run_json("calls", "Idle")["calls"] == []
    assert run_json("refusals", "Idle")["refusals"] == []


@pytest.mark.parametrize(
    ("month", "zone", "start"),
    [
        ("2026-11", "UTC", "2026-11-01T00:00:00Z"),
        ("2026-11", "Europe/Berlin", "2026-10-31T23:00:00Z"),
    ],
)
def test_a_month_is_summed_in_its_time_zone(
    run_json: Any, month: str, zone: str, start: str
) -> None:
    found = run_json("usage", "--month", month, "--time-zone", zone)
    assert found["start_time"] == start


def test_doctor_says_what_is_missing_and_how_to_mend_it(run: Any) -> None:
    done = run("doctor", code=1)
    assert "✓ control plane" in done.stdout
    assert "✗ sidecars" in done.stdout
    assert "bursar sidecars invite" in done.stdout
    assert "! channels               none, so alerts reach nobody" in done.stdout
    assert "✓ messages" in done.stdout
    told = json.loads(run("doctor", "--json", code=1).stdout)
    assert told["ok"] is False
    for finding in told["findings"]:
        assert finding["level"] == "ok" or finding["fix"], finding


def test_doctor_without_a_control_plane_says_how_to_start_one(run: Any) -> None:
    done = run("doctor", "--control-plane", "127.0.0.1:1", code=1)
    assert "bursar up" in done.stdout


def test_a_model_gets_a_name_of_the_agency_s_own(run: Any, run_json: Any) -> None:
    run("provider", "set", "openai", stdin=SECRET)
    run("client", "add", "Routed Ltd", "--cap", "5")
    assert "PROVIDER/MODEL" in run("route", "set", "smart", "--to", "gpt-4o", code=2).stderr
    crossed = run("route", "set", "smart", "--to", "nobody/claude-haiku-4-5", code=2)
    assert "there is no provider 'nobody'" in crossed.stderr
    for targets in (["openai/gpt-4o"], ["openai/gpt-4o-mini", "openai/gpt-4o"]):
        named = [word for target in targets for word in ("--to", target)]
        made = run_json("route", "set", "smart", *named, "--client", "Routed Ltd")["route"]
        assert [f"{one['provider']}/{one['model']}" for one in made["targets"]] == targets
    assert "openai/gpt-4o-mini, then openai/gpt-4o" in run("route", "list").stdout
    assert run_json("route", "list", "--client", "Routed Ltd")["routes"][0]["name"] == "smart"
    near = ("route", "set", "smart", "--client", "Routed Ltd")
    assert "--above" in run(*near, "--cheaper", "openai/gpt-4o-mini", code=2).stderr
    for percent in ("80.5%", "100%", "-5%"):
        assert "whole percent" in run(*near, "--above", percent, code=2).stderr
    rule = ("--to", "openai/gpt-4o", "--cheaper", "openai/gpt-4o-mini", "--above", "80%")
    assert run_json(*near, *rule)["route"]["above_percent"] == 80
    assert run_json(*near, "--above", "90%")["route"]["cheaper"]["model"] == "gpt-4o-mini"
    assert "openai/gpt-4o; openai/gpt-4o-mini above 90%" in run("route", "list").stdout
    assert run_json(*near, "--no-cheaper")["route"]["cheaper"] is None
    assert "--to" in run("route", "set", "nothing-yet", code=2).stderr
    run("route", "remove", "smart", "--yes", code=3)
    run("route", "remove", "smart", "--client", "Routed Ltd", "--yes")
    assert run_json("route", "list", "--client", "Routed Ltd")["routes"] == []


def test_more_secrets_at_a_provider_are_added_listed_and_forgotten_and_never_shown(
    run: Any, run_json: Any
) -> None:
    run("provider", "set", "anthropic", stdin=SECRET)
    run("client", "add", "Own Secrets Ltd", "--cap", "5")
    agency = run_json("provider", "secret", "add", "anthropic", "--name", "spare", stdin=SECRET)
    added = run(
        *("provider", "secret", "add", "anthropic", "--client", "Own Secrets Ltd"), stdin=SECRET
    )
    assert SECRET not in added.stdout + added.stderr
    shown = run("provider", "secret", "list", "anthropic").stdout
    assert "the agency's" in shown
    assert "Own Secrets Ltd" in shown
    assert SECRET not in shown + run("audit", "--json").stdout
    run("provider", "secret", "add", "nobody", stdin=SECRET, code=3)
    secret_id = agency["secret"]["provider_secret_id"]
    run("provider", "secret", "remove", secret_id, "--yes")
    left = run_json("provider", "secret", "list", "anthropic")["secrets"]
    assert [one["display_name"] for one in left] == [""]
    run("provider", "secret", "remove", secret_id, "--yes", code=3)
