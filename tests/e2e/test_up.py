"""`bursar up` brings everything up, answers calls, ends in order, and goes on where it left off."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any
from urllib.request import urlopen

import pytest
from anthropic import Anthropic
from openai import OpenAI, PermissionDeniedError

from clients.admin import connect

READY_S = 120
STOP_S = 60
BOOKED_S = 60
RETRIES = 5
"""As a workflow does: on a very busy machine the control plane may seem away for a moment."""
BURSAR = (sys.executable, "-m", "clients.cli")
PROMPT: Any = [{"role": "user", "content": "Score this lead: wants a demo on Friday."}]


@dataclass
class Up:
    """A `bursar up` that runs."""

    process: subprocess.Popen[str]
    data: Path
    ready: dict[str, Any]

    @property
    def key(self) -> str:
        return str(self.ready["key"])

    def run(self, *arguments: str, code: int = 0) -> str:
        """Run another command against it."""
        done = subprocess.run(
            [*BURSAR, *arguments, "--data", str(self.data)],
            capture_output=True,
            text=True,
            check=False,
            env=environment(),
        )
        assert done.returncode == code, f"{done.stdout}\n{done.stderr}"
        return done.stdout

    def run_json(self, *arguments: str, code: int = 0) -> Any:
        return json.loads(self.run(*arguments, "--json", code=code))

    def billed_nano_usd(self) -> int:
        """What the rehearsal provider says that it billed."""
        with urlopen(f"{self.ready['rehearsal']}/rehearsal/bill") as answer:  # noqa: S310 - our own
            return int(json.load(answer)["total_nano_usd"])

    def booked_nano_usd(self) -> int:
        """What the ledger says."""
        token = (self.data / "owner.token").read_text().strip()
        with connect(self.ready["control_plane"], token=token) as bursar:
            return bursar.calls.usage().total.cost_nano_usd

    def await_ledger(self, nano_usd: int) -> None:
        """Wait until all calls are reported."""
        until(lambda: self.booked_nano_usd() == nano_usd, f"a ledger of {nano_usd} nano-dollars")

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        self.process.send_signal(number)
        return self.process.wait(STOP_S)


def environment() -> dict[str, str]:
    """The environment, without what would lead elsewhere."""
    foreign = ("BURSAR_", "OPENAI_", "ANTHROPIC_")
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)}


Start = Callable[..., Up]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start `bursar up` on free ports; whatever still runs at the end is stopped."""
    running: list[Up] = []

    def start(*arguments: str, environ: Mapping[str, str] = MappingProxyType({})) -> Up:
        folder = tmp_path / "data"
        ports = [f"--{one}-port=0" for one in ("control-plane", "sidecar", "rehearsal")]
        with (tmp_path / "up.log").open("a") as log:
            process = subprocess.Popen(
                [*BURSAR, "up", "--json", "--data", str(folder), *ports, *arguments],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={**environment(), **environ},
            )
        line = first_line(process)
        assert line, (tmp_path / "up.log").read_text()
        running.append(Up(process, folder, json.loads(line)))
        return running[-1]

    yield start
    for one in running:
        if one.process.poll() is None:
            one.stop()
        assert one.process.stdout is not None
        one.process.stdout.close()


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    stream: IO[str] = process.stdout
    timer = threading.Timer(READY_S, process.kill)
    timer.start()
    try:
        return stream.readline()
    finally:
        timer.cancel()


def until(reached: Callable[[], bool], what: str) -> None:
    """Wait until something is so."""
    waiting = threading.Event()
    ends = time.monotonic() + BOOKED_S
    while not reached():
        assert time.monotonic() < ends, f"never reached: {what}"
        waiting.wait(0.05)


def make_every_kind_of_call(up: Up) -> int:
    """Call plain and streamed, in both formats; returns how many calls were made."""
    openai = OpenAI(base_url=up.ready["openai_base_url"], api_key=up.key, max_retries=RETRIES)
    plain = openai.chat.completions.create(model="gpt-5-mini", messages=PROMPT)
    assert plain.choices[0].message.content
    stream: Any = openai.chat.completions.create(model="gpt-5-mini", messages=PROMPT, stream=True)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
    assert text == plain.choices[0].message.content
    vector = openai.embeddings.create(model="text-embedding-3-small", input="lead")
    assert vector.data[0].embedding
    openai.close()

    anthropic = Anthropic(
        base_url=up.ready["anthropic_base_url"], api_key=up.key, max_retries=RETRIES
    )
    message = anthropic.messages.create(model="claude-haiku-4-5", max_tokens=200, messages=PROMPT)
    assert message.content[0].type == "text"
    with anthropic.messages.stream(
        model="claude-haiku-4-5",
        max_tokens=200,
        messages=PROMPT,
    ) as spoken:
        assert "".join(spoken.text_stream) == message.content[0].text
    anthropic.close()
    return 5


@pytest.mark.slow
def test_first_start_calls_ledger_equals_bill_clean_end_second_start(start: Start) -> None:
    up = start()
    made = make_every_kind_of_call(up)
    billed = up.billed_nano_usd()
    assert billed > 0
    up.await_ledger(billed)
    usage = up.run_json("usage", "--by", "client,workflow,model,day")
    assert int(usage["total"]["cost_nano_usd"]) == billed
    assert usage["total"]["call_count"] == made
    assert sum(int(row["cost_nano_usd"]) for row in usage["rows"]) == billed
    assert up.run_json("doctor")["ok"] is True
    for whence in (("--from-start",), ("--since", "1h")):
        tailed = up.run("tail", "--json", *whence, "-n", str(made)).splitlines()
        assert int(json.loads(tailed[-1])["running_total_nano_usd"]) == billed
    tailed = up.run("tail", "--json", "--after", "1", "-n", str(made - 1)).splitlines()
    assert json.loads(tailed[0])["position"] == 2

    children = up.ready["pids"]
    assert up.stop(signal.SIGINT) == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in children.values())
    assert not (up.data / "up.json").exists()

    again = start()
    assert again.key == up.key
    assert again.booked_nano_usd() == billed
    make_every_kind_of_call(again)
    second = again.billed_nano_usd()
    again.await_ledger(billed + second)
    assert len(again.run_json("sidecars", "list")["sidecars"]) == 1
    assert again.stop(signal.SIGTERM) == 0


@pytest.mark.slow
def test_a_client_added_beside_gets_a_key_that_works_at_once(start: Start) -> None:
    up = start("--sidecars", "2", "--metrics-listen", "127.0.0.1:0")
    assert len(up.ready["sidecars"]) == 2
    assert len(up.ready["metrics"]) == 3
    for url in up.ready["metrics"]:
        with urlopen(url) as shown:  # noqa: S310 - our own
            assert b"# HELP" in shown.read()
    made = up.run_json("client", "add", "Acme Dental", "--cap", "300", "--workflow", "lead-scoring")
    assert made["base_url"] == up.ready["base_url"]
    for url in up.ready["sidecars"]:
        openai = OpenAI(base_url=f"{url}/v1", api_key=made["secret"], max_retries=RETRIES)
        until(partial(works, openai), f"the new key at {url}")
        openai.close()
    billed = up.billed_nano_usd()
    up.await_ledger(billed)
    rows = up.run_json("usage", "Acme Dental", "--by", "workflow")["rows"]
    assert [row["group"]["workflow"] for row in rows] == ["lead-scoring"]
    up.run("client", "suspend", "Acme Dental")
    openai = OpenAI(base_url=made["openai_base_url"], api_key=made["secret"], max_retries=RETRIES)
    until(lambda: not works(openai), "the suspension at the sidecar")
    openai.close()


def works(client: OpenAI) -> bool:
    try:
        client.chat.completions.create(model="gpt-5-nano", messages=PROMPT)
    except PermissionDeniedError:
        return False
    except Exception as error:
        if getattr(error, "status_code", None) in {401, 403}:
            return False
        raise
    return True


@pytest.mark.slow
def test_a_crashed_process_comes_back_and_calls_go_on(start: Start, tmp_path: Path) -> None:
    up = start()
    make_every_kind_of_call(up)
    up.await_ledger(up.billed_nano_usd())
    os.kill(up.ready["pids"]["sidecar-1"], signal.SIGKILL)

    def back() -> bool:
        host, port = up.ready["base_url"].removeprefix("http://").split(":")
        try:
            socket.create_connection((host, int(port)), 1).close()
        except OSError:
            return False
        return True

    until(
        lambda: "sidecar-1 ended with signal SIGKILL" in (tmp_path / "up.log").read_text(), "talk"
    )
    until(back, "the sidecar on its port")
    make_every_kind_of_call(up)
    billed = up.billed_nano_usd()
    up.await_ledger(billed)


@pytest.mark.slow
def test_a_second_up_on_the_same_folder_is_told_about_the_first(start: Start) -> None:
    up = start()
    done = subprocess.run(
        [*BURSAR, "up", "--data", str(up.data)],
        capture_output=True, text=True, check=False, env=environment(),
    )  # fmt: skip
    assert done.returncode == 5
    assert f"process {up.process.pid}" in done.stderr
    assert up.process.poll() is None


def test_a_busy_port_is_named_with_its_flag(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for flag in ("--control-plane-port", "--sidecar-port", "--rehearsal-port"):
            done = subprocess.run(
                [*BURSAR, "up", "--data", str(tmp_path / "data"), "--port-base", "1024",
                 "--control-plane-port=0", "--sidecar-port=0", "--rehearsal-port=0",
                 f"{flag}={port}"],
                capture_output=True, text=True, check=False, env=environment(),
            )  # fmt: skip
            assert done.returncode == 5
            assert f"port {port}" in done.stderr
            assert flag in done.stderr
    assert not (tmp_path / "data" / "owner.token").exists()


def test_a_file_where_the_data_folder_should_be_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "data"
    file.write_text("mine")
    done = subprocess.run(
        [*BURSAR, "up", "--data", str(file)],
        capture_output=True, text=True, check=False, env=environment(),
    )  # fmt: skip
    assert done.returncode == 2
    assert str(file) in done.stderr
    assert file.read_text() == "mine"


@pytest.mark.slow
def test_no_secret_is_in_the_process_list_or_in_a_log(start: Start) -> None:
    up = start()
    make_every_kind_of_call(up)
    token = (up.data / "owner.token").read_text().strip()
    lines = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in up.ready["pids"].values()]
    logs = [path.read_bytes() for path in (up.data / "logs").iterdir()]
    for secret in (token, up.key):
        assert not [text for text in (*lines, *logs) if secret.encode() in text]
    for path in (up.data, up.data / "demo.key", up.data / "owner.token", up.data / "up.json"):
        assert path.stat().st_mode & 0o077 == 0, path


@pytest.mark.slow
def test_killed_without_a_word_it_leaves_nothing_and_the_next_start_goes_on(start: Start) -> None:
    up = start()
    make_every_kind_of_call(up)
    billed = up.billed_nano_usd()
    up.process.kill()
    up.process.wait(STOP_S)
    again = start()
    assert again.key == up.key
    processes = [Path(f"/proc/{pid}") for pid in up.ready["pids"].values()]
    # Ended as they are, they are listed until whoever inherited them has taken note.
    until(lambda: not any(one.exists() for one in processes), "the end of every process")
    again.await_ledger(billed)
    assert again.stop() == 0


@pytest.mark.slow
def test_real_keys_from_the_environment_answer_and_stay_and_no_rehearsal_runs(
    start: Start,
) -> None:
    secret = "sk-not-a-real-secret-but-long-enough-7890"
    first = start()
    assert first.ready["providers"] == dict.fromkeys(("anthropic", "gemini", "openai"), "rehearsal")
    first.stop()
    real = start(environ={"OPENAI_API_KEY": secret})
    assert real.ready["providers"] == {"openai": "https://api.openai.com"}
    assert real.ready["rehearsal"] is None
    assert secret not in real.run("provider", "list")
    real.stop()
    kept = start()
    assert kept.ready["providers"] == {"openai": "https://api.openai.com"}
    kept.stop()
    mixed = start("--rehearsal")
    assert mixed.ready["providers"] == {
        "anthropic": "rehearsal",
        "gemini": "rehearsal",
        "openai": "https://api.openai.com",
    }


@pytest.mark.slow
def test_ctrl_c_ends_a_tail_in_order_and_a_closed_pipe_is_no_error(start: Start) -> None:
    up = start()
    command = [*BURSAR, "tail", "--json", "--data", str(up.data)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    ) as tail:
        calls = threading.Thread(target=keep_calling, args=(up, tail))
        calls.start()
        assert tail.stdout is not None
        call = json.loads(tail.stdout.readline())
        tail.send_signal(signal.SIGINT)
        assert tail.wait(STOP_S) == 0
        calls.join()
        assert tail.stderr is not None
        assert tail.stderr.read() == ""
    assert call["client"] == "Demo"
    assert int(call["cost_nano_usd"]) > 0
    listing = [*BURSAR, "price", "list", "--data", str(up.data)]
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        listing, stdout=writing, stderr=subprocess.PIPE, check=False, env=environment()
    )
    os.close(writing)
    assert done.returncode == 1
    assert done.stderr == b""


def keep_calling(up: Up, tail: subprocess.Popen[str]) -> None:
    """Call until the tail ends, so that it has something to show whenever it begins."""
    with OpenAI(
        base_url=up.ready["openai_base_url"], api_key=up.key, max_retries=RETRIES
    ) as client:
        while tail.poll() is None:
            assert works(client)
