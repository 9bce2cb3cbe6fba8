"""The command line explains itself: suggestions, exit codes, errors for people and programs."""

import json
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from clients.cli import exits
from clients.cli.app import cli
from clients.cli.summary import path_hint
from protos.values import errors
from protos.values.errors import BursarError


def run(*arguments: str, **environment: str) -> Result:
    return CliRunner(env={"BURSAR_TOKEN": "", **environment}).invoke(cli, list(arguments))


def commands(group: click.Group = cli, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name)


PASSED_ON = {("serve",), ("sidecar",), ("rehearse",)}


@pytest.mark.parametrize("path", sorted(commands()), ids=" ".join)
def test_a_command_says_what_it_does_and_takes_json_and_quiet(path: tuple[str, ...]) -> None:
    command: click.Command = cli
    for name in path:
        assert isinstance(command, click.Group)
        command = command.commands[name]
    assert command.help
    if path in PASSED_ON:
        return
    shown = run(*path, "--help").stdout
    assert "--json" in shown
    assert "--quiet" in shown


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("cliennt",), "Did you mean 'client'"),
        (("client", "ad"), "Did you mean 'add'"),
        (("usage", "--by", "modle"), "did you mean 'model'"),
        (("usage", "--by", "day,day"), "stands twice"),
        (("usage", "--month", "2026-11", "--from", "7d"), "either --month"),
        (("client", "add", "A", "--cap", "-5"), "negative"),
        (("client", "add", "A", "--cap", "5", "--time-zone", "Berlin"), "Europe/Berlin"),
        (("client", "add", "A", "--window", "week", "--anchor-day", "8"), "Sunday"),
        (("client", "add", "A", "--window", "day", "--anchor-day", "2"), "no anchor day"),
        (("client", "add", "A", "--public-url", "nonsense"), "no URL"),
        (("budget", "set", "A"), "either --cap or --no-cap"),
        (("budget", "set", "--cap", "5"), "Name a client"),
        (("budget", "raise", "A"), "either --to or --by"),
        (("price", "set", "openai", "m", "--rate", "inptu=1"), "is no rate"),
        (("up", "--sidecars", "0"), "--sidecars"),
        (("up", "--port-base", "nine"), "--port-base"),
        (("up", "--data", "{tmp}", "--sidecar-port", "7240"), "do not fit together"),
        (("up", "--data", "{tmp}", "--sidecars", "3", "--sidecar-port", "65534"), "up to 65535"),
    ],
)
def test_a_wrong_command_line_ends_with_2_and_says_what_is_right(
    arguments: tuple[str, ...], told: str, tmp_path: Path
) -> None:
    words = [word.replace("{tmp}", str(tmp_path)) for word in arguments]
    done = run(*words, BURSAR_TOKEN="bursar_at_x", BURSAR_CONTROL_PLANE="127.0.0.1:1")
    assert done.exit_code == exits.USAGE, done.output
    assert told in done.stderr
    assert not done.stdout


def test_without_a_token_it_is_denied_and_says_where_tokens_come_from() -> None:
    done = run("client", "list", "--data", "nowhere")
    assert done.exit_code == exits.DENIED
    assert "BURSAR_TOKEN" in done.stderr


def test_where_nobody_answers_it_is_unreachable() -> None:
    done = run("client", "list", "--control-plane", "127.0.0.1:1", BURSAR_TOKEN="bursar_at_x")
    assert done.exit_code == exits.UNREACHABLE
    assert "127.0.0.1:1" in done.stderr


def test_an_error_is_json_when_json_is_wanted() -> None:
    done = run("--json", "client", "list", "--data", "nowhere")
    told = json.loads(done.stderr)["error"]
    assert told["reason"] == "UNAUTHENTICATED"
    assert told["exit_code"] == done.exit_code == exits.DENIED
    usage = run("client", "add", "--json")
    assert json.loads(usage.stderr)["error"]["reason"] == "USAGE"


def test_every_error_has_an_exit_code_and_every_code_a_meaning() -> None:
    assert set(exits.BY_ERROR) == set(errors.ALL)
    assert set(exits.BY_ERROR.values()) | {exits.OK, exits.INTERRUPTED} == set(exits.MEANINGS)


def test_the_help_lists_the_exit_codes() -> None:
    shown = run("--help").stdout
    for code, meaning in exits.MEANINGS.items():
        assert f"{code}  {meaning}" in shown


@pytest.mark.parametrize("kind", errors.ALL)
def test_an_error_ends_the_process_with_its_code(
    kind: type[BursarError], monkeypatch: pytest.MonkeyPatch
) -> None:
    @click.command("break")
    def break_it() -> None:
        raise kind("see bursar_at_" + "x" * 39)

    monkeypatch.setitem(cli.commands, "break", break_it)
    done = run("break")
    assert done.exit_code == exits.BY_ERROR[kind]
    assert "bursar_at_[redacted]" in done.stderr


def test_an_option_before_the_command_holds_unless_the_command_says_otherwise() -> None:
    done = run("--control-plane", "127.0.0.1:1", "client", "list", BURSAR_TOKEN="t")
    assert "127.0.0.1:1" in done.stderr
    both = ("--control-plane", "127.0.0.1:1", "client", "list", "--control-plane", "127.0.0.1:2")
    assert "127.0.0.1:2" in run(*both, BURSAR_TOKEN="t").stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_a_script_for_the_shell(shell: str) -> None:
    done = run("completion", shell)
    assert done.exit_code == 0
    assert "_BURSAR_COMPLETE" in done.stdout


def test_version_tells_the_version() -> None:
    assert json.loads(run("version", "--json").stdout)["version"]


@pytest.mark.parametrize("address", ["nowhere", "127.0.0.1:bar", "127.0.0.1:99999", "127.0.0.1:0"])
def test_an_address_without_a_port_is_refused_before_anybody_is_asked(address: str) -> None:
    done = run("client", "list", BURSAR_TOKEN="bursar_at_x", BURSAR_CONTROL_PLANE=address)
    assert done.exit_code == exits.USAGE
    assert f"'{address}' is no address: write host:port" in done.stderr


def test_a_fault_of_the_system_names_the_file_and_what_to_do(tmp_path: Path) -> None:
    missing = tmp_path / "missing.pem"
    done = run("client", "list", "--ca", str(missing), BURSAR_TOKEN="bursar_at_x")
    assert done.exit_code == exits.FAILED
    assert done.stderr == (
        f"Error: {missing}: No such file or directory; check the path: its folder must exist\n"
    )


def test_the_way_to_the_command_is_told_where_a_shell_would_not_find_it() -> None:
    command = Path("/opt/bursar/.venv/bin/bursar")
    assert path_hint(command, None).plain == '  export PATH="/opt/bursar/.venv/bin:$PATH"'
    assert not path_hint(command, str(command))
    assert not path_hint(Path("/opt/bursar/clients/cli/__main__.py"), None)
