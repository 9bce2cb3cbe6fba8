"""Children come up in order, come back when they crash, and are gone when `up` is."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from clients.cli import supervision
from clients.cli.children import Child, Log, Plan
from clients.cli.limits import CRASHES_MAX_TIMES, LOG_MAX_BYTES, LOG_TAIL_LINES
from clients.cli.supervision import StopAsked, Supervisor, last_words
from protos.values.errors import BursarError
from tests.reserved_port import reserve_port

ACTOR = """
import json, os, signal, socket, sys
port, ready_file, diary, role = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]

def note(text):
    with open(diary, "a") as file:
        file.write(f"{role} {text}\\n")

def end(number, frame):
    note("ended")
    sys.exit(0)

print("hello from", role, *sys.argv[5:], "bursar_at_" + "x" * 39, flush=True)
if role == "mute":
    sys.exit(3)
signal.signal(signal.SIGTERM, signal.SIG_IGN if role == "stubborn" else end)
door = socket.create_server(("127.0.0.1", port))
port = door.getsockname()[1]
note(f"listens on {port}")
with open(ready_file + ".new", "w") as file:
    url = "https://ai.example.com" if role == "public" else f"http://127.0.0.1:{port}"
    json.dump({"url": url, "pid": os.getpid()}, file)
os.replace(ready_file + ".new", ready_file)
while True:
    visitor, _ = door.accept()
    with visitor:
        word = visitor.recv(16)
    if word == b"crash":
        door.close()
        sys.exit(7)
"""

Planner = Callable[..., Plan]


@pytest.fixture
def diary(tmp_path: Path) -> Path:
    return tmp_path / "diary"


@pytest.fixture
def plan(tmp_path: Path, diary: Path, monkeypatch: pytest.MonkeyPatch) -> Planner:
    """Make plans for actors of a role."""
    (tmp_path / "actor.py").write_text(ACTOR)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def make(role: str, stop_ms: int = 10_000) -> Plan:
        ready_file = tmp_path / f"{role}.ready"
        return Plan(
            name=role,
            module="actor",
            arguments=("{port}", str(ready_file), str(diary), role),
            port=0,
            ready_file=ready_file,
            log=tmp_path / f"{role}.log",
            stop_ms=stop_ms,
        )

    return make


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def supervisor(said: list[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Supervisor]:
    monkeypatch.setattr(supervision, "RESTART_FIRST_MS", 1)
    made = Supervisor(said.append)
    with made.signals():
        yield made
        made.stop()


def crash(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as door:
        door.sendall(b"crash")
        door.recv(1)


def until(happened: Callable[[], bool], supervisor: Supervisor) -> None:
    """Watch the children until something happened."""
    thread = threading.Thread(target=_then_signal, args=(happened,))
    thread.start()
    supervisor.watch()
    thread.join()


def _then_signal(happened: Callable[[], bool]) -> None:
    waiting = threading.Event()
    for _ in range(6_000):
        if happened():
            break
        waiting.wait(0.005)
    os.kill(os.getpid(), signal.SIGTERM)


def test_children_inherit_the_environment_but_no_secret_of_it(
    plan: Planner, supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "BURSAR_TOKEN", "BURSAR_JOIN_TOKEN")
    for name in (*secrets, "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://a-value")
    pid = supervisor.start(plan("one"))["pid"]
    names = {
        entry.partition("=")[0]
        for entry in Path(f"/proc/{pid}/environ").read_text().split("\0")
        if entry.endswith("=http://a-value")
    }
    assert names == {"HTTPS_PROXY"}


def test_a_child_is_ready_when_it_says_so_and_tells_its_port(
    supervisor: Supervisor, plan: Planner
) -> None:
    told = supervisor.start(plan("first"))
    child = supervisor.children[0]
    assert told["url"] == f"http://127.0.0.1:{child.port}"
    assert told["pid"] == child.pid


def test_a_child_behind_a_public_name_keeps_the_port_it_was_given(
    supervisor: Supervisor, plan: Planner
) -> None:
    with reserve_port() as reserved:
        port = reserved.getsockname()[1]
        told = supervisor.start(replace(plan("public"), port=port))
    assert told["url"] == "https://ai.example.com"
    assert supervisor.children[0].port == port


def test_a_child_that_ends_before_it_is_ready_is_an_error_with_its_last_words(
    supervisor: Supervisor, plan: Planner
) -> None:
    with pytest.raises(BursarError, match=r"exit code 3.*\n.*\n.*hello from mute"):
        supervisor.start(plan("mute"))


def test_a_crashed_child_comes_back_on_the_port_it_had(
    supervisor: Supervisor, plan: Planner, diary: Path, said: list[str]
) -> None:
    supervisor.start(plan("actor-1"))
    child = supervisor.children[0]
    port, first_pid = child.port, child.pid
    crash(port)
    until(lambda: diary.read_text().count("listens") == 2, supervisor)
    assert diary.read_text().splitlines()[-1] == f"actor-1 listens on {port}"
    assert child.pid not in {None, first_pid}
    assert len(said) == 1
    assert "exit code 7" in said[0]


def test_what_works_once_is_given_to_the_first_life_alone(
    supervisor: Supervisor, plan: Planner
) -> None:
    supervisor.start(replace(plan("actor-1"), once=("join-token",)))
    child = supervisor.children[0]
    crash(child.port)

    def hellos() -> list[str]:
        return [line for line in child.plan.log.read_text().splitlines() if "hello" in line]

    # The log is written here, as it is heard, which may be after the child has noted the same.
    until(lambda: len(hellos()) == 2, supervisor)
    assert [("join-token" in line) for line in hellos()] == [True, False]


def test_a_child_that_keeps_crashing_ends_everything_with_its_last_words(
    supervisor: Supervisor, plan: Planner, diary: Path
) -> None:
    supervisor.start(plan("actor-1"))
    port = supervisor.children[0].port

    def keep_crashing() -> None:
        waiting = threading.Event()
        for life in range(1, CRASHES_MAX_TIMES + 1):
            while diary.read_text().count("listens") < life:
                waiting.wait(0.005)
            crash(port)

    thread = threading.Thread(target=keep_crashing)
    thread.start()
    with pytest.raises(BursarError, match=rf"{CRASHES_MAX_TIMES} times.*exit code 7"):
        supervisor.watch()
    thread.join()


def test_children_end_in_the_opposite_order_of_their_coming(
    supervisor: Supervisor, plan: Planner, diary: Path
) -> None:
    for role in ("first", "second", "third"):
        supervisor.start(plan(role))
    supervisor.stop()
    ended = [line for line in diary.read_text().splitlines() if line.endswith("ended")]
    assert ended == ["third ended", "second ended", "first ended"]
    assert all(child.pid is None for child in supervisor.children)


def test_a_child_that_does_not_end_is_killed(
    supervisor: Supervisor, plan: Planner, said: list[str]
) -> None:
    supervisor.start(plan("stubborn", stop_ms=50))
    supervisor.stop()
    assert supervisor.children[0].pid is None
    assert "killed, because it did not end in time" in said[0]


def test_a_second_signal_ends_them_at_once(
    supervisor: Supervisor, plan: Planner, said: list[str]
) -> None:
    supervisor.start(plan("stubborn", stop_ms=60_000))
    os.kill(os.getpid(), signal.SIGINT)
    supervisor.stop()
    assert "killed, at once, as asked" in said[0]


def test_a_signal_while_starting_stops_the_start(supervisor: Supervisor, plan: Planner) -> None:
    os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(StopAsked):
        supervisor.check()


def test_a_signal_that_wakes_nobody_is_seen_all_the_same(supervisor: Supervisor) -> None:
    """The kernel may give it to a thread of a child's log, or just before the wait begins."""
    main = threading.get_ident()
    seen = threading.Event()
    late: list[str] = []

    def elsewhere() -> None:
        while sys._current_frames()[main].f_code.co_name != "_next":
            pass
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)
        if not seen.wait(10):
            late.append("nobody woke")
            os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    supervisor.watch()
    seen.set()
    thread.join()
    assert not late


def test_handlers_are_as_they_were_afterwards() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with Supervisor(lambda _text: None).signals():
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before


def test_when_up_is_killed_its_children_end_too(plan: Planner, diary: Path, tmp_path: Path) -> None:
    made = plan("orphan")
    program = textwrap.dedent(f"""
        import sys
        from pathlib import Path
        from clients.cli.children import Plan
        from clients.cli.supervision import Supervisor
        supervisor = Supervisor(print)
        supervisor.start(Plan(
            name="orphan", module="actor", arguments={made.arguments!r}, port=0,
            ready_file=Path({str(made.ready_file)!r}), log=Path({str(made.log)!r}), stop_ms=1,
        ))
        print("ready", flush=True)
        supervisor.watch()
    """)
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "ready\n"
        parent.kill()
    waiting = threading.Event()
    while "orphan ended" not in diary.read_text():
        waiting.wait(0.005)


def test_secrets_do_not_reach_the_log(supervisor: Supervisor, plan: Planner) -> None:
    supervisor.start(plan("talker"))
    supervisor.stop()
    child: Child = supervisor.children[0]
    assert "hello from talker bursar_at_[redacted]" in child.plan.log.read_text()
    assert "bursar_at_[redacted]" in last_words(child)
    assert child.plan.log.stat().st_mode & 0o777 == 0o600


def test_a_log_never_grows_beyond_two_of_its_bound(tmp_path: Path) -> None:
    log = Log(tmp_path / "x.log")
    line = "x" * 65_000
    for _ in range(3 * LOG_MAX_BYTES // len(line)):
        log.write(line)
    log.close()
    sizes = {path.name: path.stat().st_size for path in tmp_path.iterdir()}
    assert set(sizes) == {"x.log", "x.log.1"}
    assert max(sizes.values()) <= LOG_MAX_BYTES + len(line) + 1
    assert len(log.last) == LOG_TAIL_LINES
