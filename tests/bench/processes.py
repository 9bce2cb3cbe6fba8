"""Child processes on a named core, known to be ready by the line they print."""

from __future__ import annotations

import os
import queue
import re
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

REPOSITORY = Path(__file__).resolve().parents[2]
READY_S = 30
STOP_S = 15
# Runs in the child before the program: no thread of it ever sees another core.
_PIN = (
    "import os, sys; os.sched_setaffinity(0, {int(sys.argv[1])}); "
    "os.execv(sys.argv[2], sys.argv[2:])"
)


class ChildError(Exception):
    """A child process did not come up, or ended too early."""


def raise_file_limit(wanted: int) -> int:
    """Allow this process and its children as many open files as they may have, up to `wanted`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
        return allowed
    return wanted if soft == resource.RLIM_INFINITY else soft


class Child:
    """`python -m MODULE ARGUMENTS` on one core; its log is kept in a file."""

    def __init__(
        self,
        module: str,
        arguments: Sequence[str],
        *,
        core: int | None,
        log: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.module = module
        self.log = log
        python = [sys.executable, "-m", module, *arguments]
        command = python if core is None else [sys.executable, "-c", _PIN, str(core), *python]
        with log.open("ab") as errors:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**os.environ, **(environment or {})},
                cwd=REPOSITORY,
                text=True,
            )
        self.pid = self.process.pid
        self.lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.listener = threading.Thread(target=self._listen, daemon=True)
        self.listener.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def port(self) -> int:
        """The port at the end of the child's first line."""
        line = self.first_line()
        found = re.search(r":(\d+)\s*$", line)
        if found is None:
            raise ChildError(f"{self.module} did not say its port but {line!r}\n{self.tail()}")
        return int(found.group(1))

    def first_line(self) -> str:
        """The first line of the child's output; an error, with its log, when none comes."""
        try:
            line = self.lines.get(timeout=READY_S)
        except queue.Empty:
            raise ChildError(f"{self.module}: not ready after {READY_S} s\n{self.tail()}") from None
        if not line:
            raise ChildError(f"{self.module} ended before it was ready\n{self.tail()}")
        return line

    def _listen(self) -> None:
        """Hand over the first line, log the rest: a full pipe would stop the child."""
        assert self.process.stdout is not None
        self.lines.put(self.process.stdout.readline())
        with self.log.open("a") as log:
            for line in self.process.stdout:
                log.write(line)

    def tail(self) -> str:
        """The end of the child's log."""
        return self.log.read_bytes()[-2_000:].decode(errors="replace")

    def stop(self) -> None:
        """End the child: SIGTERM, and SIGKILL when it takes too long."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.listener.join(STOP_S)
        if self.process.stdout is not None:
            self.process.stdout.close()
