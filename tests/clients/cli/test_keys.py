"""Keys are shown once, rotated with an overlap, and revoked only when said so."""

from typing import Any

import pytest

from protos.values.keys import PROJECT_KEY, is_key, key_hint


@pytest.fixture
def client(run_json: Any, request: pytest.FixtureRequest) -> str:
    name = f"Client of {request.node.name}"[:100]
    run_json("client", "add", name, "--cap", "1")
    return name


def test_a_key_is_issued_with_its_settings(run_json: Any, client: str) -> None:
    made = run_json(
        *("key", "issue", client, "--name", "n8n", "--workflow", "w"),
        *("--model", "gpt-5-mini", "--model", "claude-haiku-4-5", "--expires", "90d"),
    )
    assert is_key(made["secret"], PROJECT_KEY)
    assert made["key"]["models"] == ["gpt-5-mini", "claude-haiku-4-5"]
    assert made["key"]["secrets"][0]["expire_time"]
    assert made["key"]["secrets"][0]["hint"] == key_hint(made["secret"])
    assert made["secret"] in made["settings"]["curl"]


def test_a_key_is_found_by_id_by_name_and_by_client(run: Any, run_json: Any, client: str) -> None:
    made = run_json("key", "issue", client, "--name", "only one of this name")
    key_id = made["key"]["key_id"]
    for name in (key_id, "only one of this name", f"{client}/only one of this name"):
        assert run_json("key", "rotate", name)["key"]["key_id"] == key_id
    several = run("key", "rotate", client, code=2)
    assert f"{key_id} ({client}/only one of this name)" in several.stderr
    unknown = run("key", "rotate", "only one of this nmae", code=3)
    assert "did you mean" in unknown.stderr


def test_a_rotation_gives_a_new_secret_and_tells_when_the_old_one_ends(
    run_json: Any, client: str
) -> None:
    first = run_json("key", "issue", client, "--name", "turning")
    second = run_json("key", "rotate", first["key"]["key_id"], "--overlap", "10m")
    assert second["secret"] != first["secret"]
    assert second["overlap_end_time"]
    hints = [one["hint"] for one in second["key"]["secrets"]]
    assert hints[0] == key_hint(second["secret"])
    assert key_hint(first["secret"]) in hints


def test_a_revocation_wants_yes_and_tells_its_reach(run: Any, run_json: Any, client: str) -> None:
    made = run_json("key", "issue", client, "--name", "leaked")
    key_id = made["key"]["key_id"]
    assert "--yes" in run("key", "revoke", key_id, code=2).stderr
    done = run_json("key", "revoke", key_id, "--yes", "--reason", "leaked")
    other = run_json("key", "issue", client, "--name", "leaked too")["key"]["key_id"]
    told = run("key", "revoke", other, "--yes").stderr
    assert "Where that is applied its calls are refused" in told
    assert done["key"]["revoke_time"]
    assert int(done["reach"]["policy_version"]) > 0
    listed = run_json("key", "list", client)["keys"]
    assert key_id not in [one["key_id"] for one in listed]
    everything = run("key", "list", client, "--all").stdout
    assert "revoked" in everything
    assert made["secret"] not in everything
