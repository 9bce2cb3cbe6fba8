"""A real control plane in a process of its own, and the command run against it."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from clients.admin import Bursar, connect
from clients.cli.app import cli

READY_S = 60


@dataclass(frozen=True)
class ControlPlane:
    """A control plane that runs."""

    data: Path
    address: str

    def connect(self) -> Bursar:
        return connect(self.address, token=(self.data / "owner.token").read_text().strip())


@contextmanager
def running(folder: Path) -> Iterator[ControlPlane]:
    """Run a control plane that nobody has used."""
    data = folder / "data"
    ready_file = folder / "ready.json"
    log = folder / "log"
    command = [sys.executable, "-m", "control_plane", "--data", str(data)]
    command += ["--listen", "127.0.0.1:0", "--ready-file", str(ready_file)]
    command += ["--allow-receivers", "127.0.0.0/8"]
    with (
        log.open("wb") as words,
        subprocess.Popen(command, stdout=words, stderr=subprocess.STDOUT) as process,
    ):
        waiting = threading.Event()
        for _ in range(READY_S * 50):
            if ready_file.exists() or process.poll() is not None:
                break
            waiting.wait(0.02)
        assert ready_file.exists(), log.read_text()
        yield ControlPlane(data, json.loads(ready_file.read_text())["address"])
        process.send_signal(signal.SIGTERM)
        assert process.wait(READY_S) == 0, log.read_text()


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """One control plane for all tests of the session; each test makes clients of its own.

    Which files share it is up to chance. One whose stories leave what others could see has its own.
    """
    with running(tmp_path_factory.mktemp("control-plane")) as made:
        yield made


@pytest.fixture
def bursar(control_plane: ControlPlane) -> Iterator[Bursar]:
    """The owner's client of that control plane."""
    with control_plane.connect() as made:
        yield made


Run = Callable[..., Result]


@pytest.fixture
def run(control_plane: ControlPlane) -> Run:
    """Run the command as its owner; what it says on stderr is apart."""

    def run(*arguments: str, code: int = 0, stdin: str | None = None, **env: str) -> Result:
        environment = {
            "BURSAR_DATA": str(control_plane.data),
            "BURSAR_CONTROL_PLANE": control_plane.address,
            "BURSAR_TOKEN": "",
            "NO_COLOR": "1",
            **env,
        }
        done = CliRunner(env=environment).invoke(cli, list(arguments), input=stdin)
        assert done.exit_code == code, f"{done.stdout}\n{done.stderr}\n{done.exception!r}"
        return done

    return run


@pytest.fixture
def run_json(run: Run) -> Callable[..., Any]:
    """Run the command and read its JSON."""

    def run_json(*arguments: str, **settings: Any) -> Any:
        return json.loads(run(*arguments, "--json", **settings).stdout)

    return run_json


@pytest.fixture(autouse=True)
def _no_real_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("BURSAR_") or name in {
            "OPENAI_API_KEY",
            "ANTHROPIC_API_KEY",
            "GEMINI_API_KEY",
        }:
            monkeypatch.delenv(name)
