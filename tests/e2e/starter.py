"""Starts the programs of stories quickly: one process imports them all, and forks for each.

What starts is the module itself under its tether, in a process of its own, with its own arguments,
environment and log. Only the imports are not made again, which are most of the cost of a start.
How the programs start from nothing is told by the stories of `bursar up`.
"""

import array
import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parents[2]
_REQUEST_MAX_BYTES = 1 << 17
_FDS = 3
"""The log, the reading end of the tether, and where the exit status is written."""


class Started:
    """A process that was started here, as `subprocess.Popen` shows it."""

    def __init__(self, pid: int, told: int) -> None:
        """Take its id and the pipe in which its exit status will be."""
        self.pid = pid
        self._told = told
        self._status: int | None = None

    def poll(self) -> int | None:
        """Return its exit status, negative when a signal ended it; None while it runs."""
        return self._look(0)

    def wait(self, timeout: float) -> int:
        """Wait for its end. Raises subprocess.TimeoutExpired."""
        status = self._look(timeout)
        if status is None:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout)
        return status

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)

    def _look(self, timeout_s: float) -> int | None:
        if self._status is None and select.select([self._told], [], [], timeout_s)[0]:
            said = os.read(self._told, 16)
            os.close(self._told)
            assert said, "what starts the programs is gone"
            self._status = int(said)
        return self._status


class Starter:
    """The process that imports and forks, seen from outside."""

    def __init__(self) -> None:
        """Start it; it ends with this process."""
        self._lock = threading.Lock()
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.e2e.starter", str(theirs.fileno())],
                cwd=ROOT,
                pass_fds=(theirs.fileno(),),
            )

    def start(self, argv: list[str], env: dict[str, str], log: IO[bytes], tether: int) -> Started:
        """Start a module with its arguments."""
        told, tell = os.pipe()
        asked = json.dumps({"argv": argv, "env": env, "cwd": f"{Path.cwd()}"}).encode()
        handed = array.array("i", [log.fileno(), tether, tell])
        with self._lock:
            self._socket.sendmsg([asked], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, handed)])
            answer = self._socket.recv(16)
        os.close(tell)
        assert answer, "what starts the programs is gone"
        return Started(int(answer), told)

    def close(self) -> None:
        """End it."""
        self._socket.close()
        self._process.wait()


_READ_LATE = ("BURSAR_", "OTEL_EXPORTER_OTLP_", "OTEL_METRIC_EXPORT_")
"""How settings begin that our programs read when they run, and no library when it is imported."""


def only_ours(env: Mapping[str, str]) -> bool:
    """Whether settings are Bursar's alone; others may mean the interpreter, or a library."""
    return all(name.startswith(_READ_LATE) for name in env)


def start_from_nothing(
    argv: list[str], env: dict[str, str], log: IO[bytes], tether: int
) -> subprocess.Popen[bytes]:
    """Start a module with its arguments as anybody would."""
    return subprocess.Popen(
        [sys.executable, "-m", "clients.cli.tether", str(tether), *argv],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        env=env,
        pass_fds=(tether,),
        process_group=0,
    )


@cache
def starter() -> Starter:
    """Return the one of this process."""
    made = Starter()
    atexit.register(made.close)
    return made


@dataclass(frozen=True)
class _Asked:
    argv: list[str]
    env: dict[str, str]
    cwd: str
    log: int
    tether: int


def _serve(asking: socket.socket) -> _Asked | None:
    """Fork for whoever asks: what to become in a child, None when nobody can ask any more."""
    woken, waking = os.pipe()
    os.set_blocking(waking, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(waking)
    running: dict[int, int] = {}
    while True:
        ready, _, _ = select.select([asking.fileno(), woken], [], [])
        if woken in ready:
            os.read(woken, 512)
            _tell_ends(running)
        if asking.fileno() not in ready:
            continue
        said, handed, _, _ = socket.recv_fds(asking, _REQUEST_MAX_BYTES, _FDS)
        if not said:
            return None
        log, tether, tell = handed
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for descriptor in (*running.values(), tell, woken, waking):
                os.close(descriptor)
            asking.close()
            return _Asked(**json.loads(said), log=log, tether=tether)
        running[pid] = tell
        os.close(log)
        os.close(tether)
        asking.send(str(pid).encode())


def _tell_ends(running: dict[int, int]) -> None:
    while running:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        tell = running.pop(pid)
        with suppress(BrokenPipeError):
            os.write(tell, str(os.waitstatus_to_exitcode(status)).encode())
        os.close(tell)


def _become(asked: _Asked) -> None:
    from clients.cli import tether  # noqa: PLC0415 - only a child is tethered

    os.setpgid(0, 0)
    os.chdir(asked.cwd)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for descriptor, target in ((nothing, 0), (asked.log, 1), (asked.log, 2)):
        os.dup2(descriptor, target)
    os.close(nothing)
    os.close(asked.log)
    os.environ.clear()
    os.environ.update(asked.env)
    sys.argv = ["tether", str(asked.tether), *asked.argv]
    tether.main()


def main() -> None:
    """Import everything, and serve."""
    asking = socket.socket(fileno=int(sys.argv[1]))
    os.set_inheritable(asking.fileno(), False)
    for module in ("control_plane.app", "sidecar.app", "clients.rehearsal.app"):
        __import__(module)
    asked = _serve(asking)
    if asked is not None:
        _become(asked)


if __name__ == "__main__":
    main()
