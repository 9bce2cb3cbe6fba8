"""What can be called is told by the sidecar's own program."""

import json

from click.testing import CliRunner

from clients.cli.app import cli


def run(*arguments: str) -> str:
    result = CliRunner().invoke(cli, ["surfaces", *arguments], standalone_mode=False)
    assert result.exception is None, result.exception
    return result.stdout


def test_every_surface_is_shown_with_its_bound_and_its_meter() -> None:
    shown = run()
    for word in ("/v1/responses", "max_output_tokens", "response.completed", "MCP"):
        assert word in shown
    rows = {row["path"]: row for row in json.loads(run("--json"))["surfaces"]}
    assert rows["/v1/chat/completions"]["method"] == "POST"
    assert rows["/v1/messages/count_tokens"]["kind"] == "free"


def test_what_is_refused_is_shown_with_its_reason() -> None:
    assert "/v1/batches" in run("--refused")
    reasons = {
        row["path"]: row["reason"] for row in json.loads(run("--refused", "--json"))["unserved"]
    }
    assert "hours later" in reasons["/v1/batches"]
