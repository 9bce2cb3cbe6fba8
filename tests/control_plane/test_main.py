"""The control plane as a process: how it starts, refuses to start, and ends."""

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from control_plane.__main__ import config_from

DEADLINE_S = 120
"""Without assertions every module is compiled anew, which takes a busy machine a while."""


def command(*arguments: object, options: tuple[str, ...] = ()) -> list[str]:
    return [sys.executable, *options, "-m", "control_plane", *map(str, arguments)]


@contextmanager
def running(folder: Path, *more: object) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        command("--data", folder, "--listen", "127.0.0.1:0", *more),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def refused(*arguments: object, options: tuple[str, ...] = ()) -> tuple[int, str]:
    """The exit status and the last line that was said."""
    ended = subprocess.run(
        command(*arguments, options=options),
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert ended.stdout == ""
    assert "Traceback" not in ended.stderr
    return ended.returncode, ended.stderr.strip().splitlines()[-1]


def test_it_tells_that_it_is_ready_and_ends_cleanly_on_sigterm(tmp_path: Path) -> None:
    ready = tmp_path / "ready.json"
    with running(tmp_path / "data", "--ready-file", ready) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        told = json.loads(ready.read_text())
        assert line == f"control plane on {told['address']}\n"
        assert told["pid"] == process.pid
        assert (tmp_path / "data" / "owner.token").read_text().startswith("bursar_at_")
        assert (tmp_path / "data" / "owner.token").stat().st_mode & 0o777 == 0o600
        status, why = refused("--data", tmp_path / "data", "--listen", "127.0.0.1:0")
        assert (status, "another control plane is using" in why) == (1, True)
        status, why = refused("--data", tmp_path / "other", "--listen", told["address"])
        assert (status, "cannot be listened on" in why) == (1, True)
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=DEADLINE_S)
        assert process.returncode == 0
        assert "INFO stopped" in log
        assert "bursar_at_" not in log


def test_a_second_start_keeps_the_owner_and_the_data(tmp_path: Path) -> None:
    tokens = []
    for _ in range(2):
        with running(tmp_path) as process:
            assert process.stdout is not None
            assert process.stdout.readline()
            tokens.append((tmp_path / "owner.token").read_text())
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=DEADLINE_S)
            assert process.returncode == 0
    assert tokens[0] == tokens[1]


def test_it_refuses_to_run_without_its_checks(tmp_path: Path) -> None:
    status, why = refused("--data", tmp_path, options=("-O",))
    assert status == 1
    assert "start without it" in why


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("--listen", "0.0.0.0:0"), 1, "0.0.0.0"),
        (("--time-zone", "Mars/Olympus", "--listen", "127.0.0.1:0"), 1, "not a time zone"),
        (("--listen", "127.0.0.1:0", "--ready-file", "/proc/none/x"), 1, "cannot be written"),
        (
            ("--listen", "127.0.0.1:0", "--certificate", "/no/c", "--key", "/no/k"),
            1,
            "cannot be read",
        ),
    ],
    ids=["open address", "time zone", "ready file", "certificate"],
)
def test_a_bad_setting_is_told_in_one_line(
    tmp_path: Path, arguments: tuple[str, ...], status: int, said: str
) -> None:
    ended, why = refused("--data", tmp_path / "data", *arguments)
    assert ended == status
    assert said in why


def test_a_file_where_the_data_folder_should_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    status, why = refused("--data", tmp_path / "file", "--listen", "127.0.0.1:0")
    assert (status, "is a file" in why) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "--data"),
        (["--data", "d", "--listen", "nowhere"], "not HOST:PORT"),
        (["--data", "d", "--listen", "127.0.0.1:99999"], "not HOST:PORT"),
        (["--data", "d", "--listen", "127.0.0.1:" + "9" * 5_000], "not HOST:PORT"),
        (["--data", "d", "--listen", ":7240"], "not HOST:PORT"),
        (["--data", "d", "--certificate", "c"], "come together"),
        (["--data", "d", "--lis", "127.0.0.1:1"], "unrecognized"),
        (["--data", "d", "--pagerduty-url", "http://events.example/v2"], "https://"),
        (["--data", "d", "--pagerduty-url", "events.example"], "https://"),
        (["--data", "d", "--pagerduty-url", "https://["], "not an address"),
    ],
    ids=[
        *("no data", "no port", "port", "long port", "no host", "half of TLS", "abbreviation"),
        *("pages in plain text", "pages to a name", "pages to nowhere"),
    ],
)
def test_a_command_line_that_cannot_be_understood_is_told(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        config_from(arguments)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_telemetry_and_metrics_are_off_until_they_are_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    config = config_from(["--data", "d"])
    assert (config.metrics, config.telemetry) == (None, None)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318")
    config = config_from(["--data", "d", "--metrics-listen", "127.0.0.1:7249"])
    assert config.metrics is not None
    assert config.metrics.port == 7249
    assert config.telemetry is not None
    assert config.telemetry.metrics_url == "http://127.0.0.1:4318/v1/metrics"


def test_an_address_may_be_of_either_family() -> None:
    config = config_from(["--data", "d", "--listen", "[::1]:7240"])
    assert (config.listen_host, config.listen_port) == ("::1", 7240)


def test_ipv6_loopback_is_listened_on(tmp_path: Path) -> None:
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    with running(tmp_path, "--listen", "[::1]:0") as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("control plane on [::1]:")
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=DEADLINE_S)
