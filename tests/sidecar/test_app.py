"""The whole process: how it starts, how it refuses to, how it ends."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from protos.values.keys import JOIN_TOKEN, make_key
from tests.sidecar.control_plane_double import ControlPlaneDouble

TOKEN = make_key(JOIN_TOKEN, bytes(24))
END_S = 60


class Process:
    """One `python -m sidecar`."""

    def __init__(
        self, folder: Path, control_plane: str, *arguments: str, token: str = TOKEN
    ) -> None:
        self.ready_file = folder.parent / "ready.json"
        self.ready_file.unlink(missing_ok=True)
        self.popen = subprocess.Popen(
            [
                *(sys.executable, "-m", "sidecar", "--data", str(folder)),
                *("--control-plane", control_plane, "--listen", "127.0.0.1:0"),
                *("--ready-file", str(self.ready_file), *arguments),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"BURSAR_JOIN_TOKEN": token},
        )

    def url(self) -> str:
        """Wait for the ready line."""
        assert self.popen.stdout is not None
        line = self.popen.stdout.readline()
        assert line.startswith("sidecar on http://127.0.0.1:"), line
        return line.removeprefix("sidecar on ").strip()

    def end(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """Its exit status, and what it said."""
        self.popen.send_signal(number)
        return self.wait()

    def wait(self) -> tuple[int, str]:
        _, said = self.popen.communicate(timeout=END_S)
        return self.popen.returncode, said


@pytest.fixture
def cp() -> Iterator[ControlPlaneDouble]:
    double = ControlPlaneDouble()
    double.start()
    yield double
    double.close()


def answer(url: str, key: str = "") -> tuple[int, Any]:
    request = Request(f"{url}/v1/models", headers={"authorization": f"Bearer {key}"})  # noqa: S310 - our own
    try:
        with urlopen(request, timeout=END_S) as got:  # noqa: S310 - our own
            return got.status, json.load(got)
    except OSError as error:
        status = getattr(error, "code", None)
        assert status is not None
        with error:  # type: ignore[attr-defined]  # an HTTPError is an answer
            return status, json.load(error)  # type: ignore[arg-type]  # and can be read


def test_a_sidecar_joins_serves_and_ends_in_order(tmp_path: Path, cp: ControlPlaneDouble) -> None:
    process = Process(tmp_path / "data", cp.address)
    url = process.url()
    assert json.loads(process.ready_file.read_text()) == {"url": url, "pid": process.popen.pid}
    assert answer(url)[0] == 401
    status, said = process.end()
    assert status == 0, said
    assert len(cp.drains) == 1
    assert TOKEN not in said
    assert cp.joins[0].join_token == TOKEN


def test_a_sidecar_that_knows_its_policy_serves_without_a_control_plane(
    tmp_path: Path, cp: ControlPlaneDouble
) -> None:
    first = Process(tmp_path / "data", cp.address)
    first.url()
    assert first.end()[0] == 0
    cp.stop()
    second = Process(tmp_path / "data", cp.address, token="")
    assert answer(second.url())[0] == 401
    status, said = second.end(signal.SIGINT)
    assert status == 0, said
    assert "drain_without_control_plane" in said


def test_a_sidecar_without_a_policy_waits_and_can_be_ended(
    tmp_path: Path, cp: ControlPlaneDouble
) -> None:
    cp.policy = None
    process = Process(tmp_path / "data", cp.address)
    cp.until(lambda: len(cp.syncs) > 0)
    assert not process.ready_file.exists()
    assert process.end()[0] == 0


def refused(process: Process, *words: str) -> None:
    status, said = process.wait()
    assert status in (1, 2)
    for word in words:
        assert word in said
    assert "Traceback" not in said


def test_a_refused_join_token_ends_it_with_words(tmp_path: Path, cp: ControlPlaneDouble) -> None:
    import grpc  # noqa: PLC0415 - only this story needs it

    cp.refuse = grpc.StatusCode.UNAUTHENTICATED
    refused(Process(tmp_path / "data", cp.address), "refused to let this sidecar join")


def test_a_first_start_without_a_token_says_how_to_get_one(tmp_path: Path) -> None:
    refused(
        Process(tmp_path / "data", "127.0.0.1:1", token=""),
        "has not joined yet",
        "bursar sidecars invite",
    )


def test_a_busy_port_is_named(tmp_path: Path, cp: ControlPlaneDouble) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = Process(tmp_path / "data", cp.address, "--listen", f"127.0.0.1:{port}")
        refused(process, f"cannot listen on 127.0.0.1:{port}", "in use", "--listen")
    assert cp.joins == []


def test_a_file_where_the_folder_should_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    refused(Process(tmp_path / "data", "127.0.0.1:1"), "is not a folder")


def test_a_bad_control_plane_address_is_named(tmp_path: Path) -> None:
    refused(Process(tmp_path / "data", "nowhere"), "'nowhere' is no address")


def test_a_second_process_on_one_folder_is_refused(tmp_path: Path, cp: ControlPlaneDouble) -> None:
    first = Process(tmp_path / "data", cp.address)
    first.url()
    refused(Process(tmp_path / "data", cp.address), "Another sidecar is using")
    assert first.end()[0] == 0


def test_optimised_python_is_refused(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-O", "-m", "sidecar", "--data", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "-O" in done.stderr


def test_a_rotten_journal_is_set_aside_and_a_new_epoch_begins(
    tmp_path: Path, cp: ControlPlaneDouble
) -> None:
    first = Process(tmp_path / "data", cp.address)
    first.url()
    assert first.end()[0] == 0
    (tmp_path / "data" / "journal.db").write_bytes(b"rotten" * 1_000)
    cp.epoch = 2
    cp.records.clear()
    second = Process(tmp_path / "data", cp.address)
    second.url()
    cp.until(lambda: len(cp.registrations) == 2)
    status, said = second.end()
    assert status == 0
    assert "ALARM journal_lost" in said
    assert cp.registrations[-1].WhichOneof("journal") == "lost"
    assert cp.registrations[-1].lost.epoch == 1
    assert list((tmp_path / "data").glob("journal.db.lost-*"))


def test_a_sidecar_that_joins_anew_leaves_the_journal_of_its_former_self_alone(
    tmp_path: Path, cp: ControlPlaneDouble
) -> None:
    first = Process(tmp_path / "data", cp.address)
    first.url()
    assert first.end()[0] == 0
    (tmp_path / "data" / "identity.json").unlink()
    cp.records.clear()
    second = Process(tmp_path / "data", cp.address)
    second.url()
    cp.until(lambda: len(cp.registrations) == 2)
    status, said = second.end()
    assert status == 0
    assert "ALARM journal_of_another_identity" in said
    assert cp.registrations[-1].WhichOneof("journal") == "lost"
    assert cp.registrations[-1].lost.epoch == 0
    assert list((tmp_path / "data").glob("journal.db.of-another-*"))


def test_a_journal_whose_epoch_the_identity_never_heard_of_goes_on(
    tmp_path: Path, cp: ControlPlaneDouble
) -> None:
    """It found no room to be kept: that is no reason to begin a new life."""
    first = Process(tmp_path / "data", cp.address)
    first.url()
    assert first.end()[0] == 0
    file = tmp_path / "data" / "identity.json"
    fields = json.loads(file.read_text())
    assert fields["epoch"] == 1
    file.write_text(json.dumps(fields | {"epoch": 0}))
    second = Process(tmp_path / "data", cp.address)
    second.url()
    cp.until(lambda: len(cp.registrations) == 2)
    status, said = second.end()
    assert status == 0, said
    assert cp.registrations[-1].intact.epoch == 1
