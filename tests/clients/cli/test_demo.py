"""The demo client comes once, with a key that can be shown again, and goes when it is ended."""

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from clients.admin import Bursar, connect
from clients.cli import stage
from clients.cli.folder import Folder
from protos.values.keys import PROJECT_KEY, is_key


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Bursar]:
    """A control plane that nobody has used."""
    data, ready_file = tmp_path / "data", tmp_path / "ready.json"
    command = [sys.executable, "-m", "control_plane", "--data", str(data)]
    command += ["--listen", "127.0.0.1:0", "--ready-file", str(ready_file)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT) as process:
        waiting = threading.Event()
        while not ready_file.exists() and process.poll() is None:
            waiting.wait(0.02)
        address = json.loads(ready_file.read_text())["address"]
        with connect(address, token=(data / "owner.token").read_text().strip()) as bursar:
            yield bursar
        process.send_signal(signal.SIGTERM)


@pytest.mark.slow
def test_the_demo_key_is_made_once_shown_again_and_gone_when_revoked(
    fresh: Bursar, tmp_path: Path
) -> None:
    folder = Folder(tmp_path / "data")
    interrupted = fresh.projects.create(display_name=stage.DEMO_NAME, cap_usd="10")
    first = stage.demo(fresh, folder)
    assert first is not None
    assert is_key(first.key, PROJECT_KEY)
    assert first.cap.startswith("$10.00")
    assert first.key not in repr(first)
    assert stage.demo(fresh, folder) == first
    assert [one.project_id for one in fresh.projects.list()] == [interrupted.project.project_id]
    for key in fresh.keys.list():
        fresh.keys.revoke(key.key_id)
    assert stage.demo(fresh, folder) is None
    folder.demo_key.unlink()
    assert stage.demo(fresh, folder) is None, "a demo that was ended does not come back"


@pytest.mark.slow
def test_an_installation_with_clients_of_its_own_gets_no_demo(
    fresh: Bursar, tmp_path: Path
) -> None:
    fresh.projects.create(display_name="Acme Dental", cap_usd="300")
    assert stage.demo(fresh, Folder(tmp_path / "data")) is None


@pytest.mark.slow
def test_stand_ins_come_move_and_go_and_real_providers_stay(fresh: Bursar) -> None:
    first = stage.cast(fresh, {}, rehearsal=None)
    assert first.rehearse
    stage.set_rehearsal_prices(fresh)
    stage.set_providers(fresh, first, "http://127.0.0.1:7260")
    stage.set_providers(fresh, stage.cast(fresh, {}, rehearsal=None), "http://127.0.0.1:7261")
    assert {one.base_url for one in fresh.providers.list()} == {"http://127.0.0.1:7261"}
    secret = {"OPENAI_API_KEY": "sk-some-real-secret-abcd"}
    real = stage.cast(fresh, secret, rehearsal=None)
    assert not real.rehearse
    stage.set_providers(fresh, real, "")
    assert {one.provider: one.base_url for one in fresh.providers.list()} == {
        "openai": "https://api.openai.com"
    }
    assert not stage.cast(fresh, {}, rehearsal=None).rehearse
    ignoring = stage.cast(fresh, secret, rehearsal=True)
    assert not ignoring.secrets
    assert ignoring.standing("openai") == "real"
    assert ignoring.standing("anthropic") == "stand-in"


@pytest.mark.slow
def test_setting_a_rehearsal_s_prices_twice_adds_nothing(fresh: Bursar) -> None:
    stage.set_rehearsal_prices(fresh)
    before = list(fresh.prices.list())
    assert {"rehearsal-cent", "claude-rehearsal-cent"} <= {one.model for one in before}
    stage.set_rehearsal_prices(fresh)
    assert list(fresh.prices.list()) == before
