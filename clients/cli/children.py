"""A child process of `up`: started, watched until it is ready, its words kept, and ended.

A child gets a process group of its own, so that a Ctrl-C at the terminal reaches `up` alone and the
children end in order. It is tethered: when `up` dies, it ends too. What it says goes to a log file
of bounded size.
"""

import json
import os
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from clients.cli.limits import LOG_LINE_MAX_BYTES, LOG_MAX_BYTES, LOG_TAIL_LINES
from clients.cli.processes import environment, python
from clients.cli.providers import KEY_VARIABLES
from protos.values.keys import redact

_SECRETS = frozenset({*KEY_VARIABLES.values(), "BURSAR_TOKEN", "BURSAR_JOIN_TOKEN"})
"""What children have no use for: they get their secrets by file, or from the control plane."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How a child is started."""

    name: str
    """What it is called in talk and logs, such as "sidecar-1"."""
    module: str
    """The module that it runs."""
    arguments: tuple[str, ...]
    """Its arguments; "{port}" stands for its port."""
    port: int
    """The port that it shall listen on; 0 for any free one."""
    ready_file: Path
    """What it writes when it is ready."""
    log: Path
    """Where its words go."""
    stop_ms: int
    """How long it may take to end."""
    once: tuple[str, ...] = ()
    """Further arguments of its first life only, such as a token that works once."""


class Log:
    """A log file that never grows beyond two of its bound; the last lines stay in memory."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = self._open()
        self.last: deque[str] = deque(maxlen=LOG_TAIL_LINES)

    def write(self, line: str) -> None:
        """Keep a line, with any Bursar secret in it replaced."""
        kept = redact(line.rstrip("\n"))
        self.last.append(kept)
        if self._file.tell() > LOG_MAX_BYTES:
            self._file.close()
            self._path.replace(self._path.with_name(f"{self._path.name}.1"))
            self._file = self._open()
        self._file.write(kept.encode() + b"\n")

    def close(self) -> None:
        """End the file."""
        self._file.close()

    def _open(self) -> IO[bytes]:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        return os.fdopen(descriptor, "ab", buffering=0)


class Child:
    """One child process, over all its lives."""

    def __init__(
        self,
        plan: Plan,
        ended: Callable[["Child", int, int], None],
        keep: tuple[int, ...] = (),
    ) -> None:
        """Take a plan, whom to tell (from another thread) that a life ended, and open files."""
        self._keep = keep
        self.plan = plan
        self.port = plan.port
        self.life = 0
        self.log = Log(plan.log)
        self._ended = ended
        self._process: subprocess.Popen[bytes] | None = None
        self._tether: int | None = None
        self._watcher: threading.Thread | None = None

    @property
    def name(self) -> str:
        """What it is called."""
        return self.plan.name

    @property
    def pid(self) -> int | None:
        """Its process id while it lives."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def start(self) -> None:
        """Begin a life."""
        assert self.pid is None
        self.plan.ready_file.unlink(missing_ok=True)
        self._cut()
        reading, self._tether = os.pipe()
        try:
            self._process = subprocess.Popen(
                self._command(reading),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=(reading, *self._keep),
                process_group=0,
                env=environment(without=_SECRETS),
            )
        finally:
            os.close(reading)
        self.life += 1
        self._watcher = threading.Thread(
            target=self._watch, args=(self._process, self.life), name=f"log of {self.name}"
        )
        self._watcher.start()

    def ready(self) -> dict[str, Any] | None:
        """What it said about itself when it became ready; None before."""
        try:
            told = json.loads(self.plan.ready_file.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return None
        if not isinstance(told, dict) or told.get("pid") != self.pid:
            return None
        if self.port == 0:
            where = str(told.get("url") or f"//{told.get('address')}")
            self.port = urlsplit(where).port or 0
        return told

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if it still lives."""
        if self.pid is not None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def wait(self, timeout_ms: int) -> bool:
        """Wait for its end and for its last words; whether it ended in time."""
        if self._process is None or self._watcher is None:
            return True
        try:
            self._process.wait(timeout_ms / 1000)
        except subprocess.TimeoutExpired:
            return False
        self._watcher.join()
        return True

    def close(self) -> None:
        """Let go of everything; the process has ended."""
        self._cut()
        self.log.close()
        self.plan.ready_file.unlink(missing_ok=True)

    def _command(self, tether: int) -> Sequence[str]:
        given = (*self.plan.arguments, *(self.plan.once if self.life == 0 else ()))
        arguments = [part.replace("{port}", str(self.port)) for part in given]
        return python("clients.cli.tether", str(tether), self.plan.module, *arguments)

    def _cut(self) -> None:
        if self._tether is not None:
            os.close(self._tether)
            self._tether = None

    def _watch(self, process: subprocess.Popen[bytes], life: int) -> None:
        """Keep what the process says until it ends, then tell."""
        assert process.stdout is not None
        with process.stdout as words:
            while line := words.readline(LOG_LINE_MAX_BYTES):
                self.log.write(line.decode(errors="replace"))
        self._ended(self, life, process.wait())
