"""The data folder that `up` works in, and what other commands learn from it.

<data>/                 the control plane's own data: database, encryption.key, owner.token
<data>/sidecar-N/       each sidecar's journal and credential
<data>/logs/            what the processes said
<data>/demo.key         the demo client's key, so that it can be shown again
<data>/up.lock          held while `up` runs
<data>/up.json          addresses and process ids while `up` runs
"""

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clients.cli import clock
from clients.cli.limits import READY_POLL_MS, SECRET_MAX_CHARACTERS, STOP_SIDECAR_MS
from protos.values.errors import FailedPreconditionError, InvalidArgumentError

DEFAULT = Path("bursar-data")


@dataclass(frozen=True, slots=True)
class Folder:
    """A data folder."""

    path: Path
    """Where it is."""

    @property
    def owner_token(self) -> Path:
        """The first principal's token, written by the control plane."""
        return self.path / "owner.token"

    @property
    def demo_key(self) -> Path:
        """The demo client's key."""
        return self.path / "demo.key"

    @property
    def state(self) -> Path:
        """What runs where."""
        return self.path / "up.json"

    @property
    def logs(self) -> Path:
        """What the processes said."""
        return self.path / "logs"

    def sidecar(self, number: int) -> Path:
        """The folder of one sidecar."""
        return self.path / f"sidecar-{number}"

    def create(self) -> None:
        """Make the folder, for its owner alone. Raises InvalidArgumentError."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.logs.mkdir(mode=0o700, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            ways = (self.logs, self.path, *self.path.parents)
            file = next((way for way in ways if way.exists() and not way.is_dir()), self.path)
            raise InvalidArgumentError(
                f"{file} is a file, and a folder should be there;"
                " move it away or name another data folder with --data",
                field="data",
            ) from None
        except OSError as error:
            raise InvalidArgumentError(
                f"the data folder {self.path} cannot be made: {error.strerror};"
                " name another one with --data",
                field="data",
            ) from None

    @contextmanager
    def locked(self, say: Callable[[str], None]) -> Iterator[int]:
        """Hold the folder for one `up`. Raises FailedPreconditionError when another holds it.

        The descriptor that is given is for the children to keep open: the folder is held until the
        last of them is gone, even if `up` itself was killed. Then a new one waits for them.
        """
        descriptor = os.open(self.path / "up.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if not _lock(descriptor):
                self._await_orphans(descriptor, say)
            yield descriptor
        finally:
            os.close(descriptor)

    def _await_orphans(self, descriptor: int, say: Callable[[str], None]) -> None:
        owner = self.read_state().get("pid")
        process = f" (process {owner})" if owner else ""
        refused = FailedPreconditionError(
            f"another `bursar up`{process} works in {self.path}; end it with Ctrl-C,"
            " or name another folder with --data and other ports with --port-base"
        )
        if not isinstance(owner, int) or _lives(owner):
            raise refused
        say(f"The processes of an earlier `bursar up`{process} are still ending …")
        ends_ms = clock.monotonic_ms() + STOP_SIDECAR_MS
        while clock.monotonic_ms() < ends_ms:
            if _lock(descriptor):
                return
            clock.pause_ms(READY_POLL_MS)
        raise refused

    def read_state(self) -> dict[str, Any]:
        """What `up` wrote about itself; empty when none runs here."""
        try:
            found = json.loads(self.state.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def write_state(self, state: dict[str, Any]) -> None:
        """Tell other commands what runs where."""
        write_private(self.state, json.dumps(state, indent=2) + "\n")

    def clear_state(self) -> None:
        """Nothing runs here any more."""
        self.state.unlink(missing_ok=True)


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it lives, and is somebody else's
        return True
    return True


def write_private(path: Path, text: str) -> None:
    """Replace a file whole; only its owner may read it."""
    partial = path.with_name(f".{path.name}.partial")
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def read_secret(path: Path, what: str) -> str:
    """Read a token or secret from a file. Raises InvalidArgumentError; never shows the content."""
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(SECRET_MAX_CHARACTERS + 1).strip()
    except OSError as error:
        raise InvalidArgumentError(f"cannot read {what} from {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InvalidArgumentError(f"{path} is no text, so {what} is not in it") from None
    if not text or len(text) > SECRET_MAX_CHARACTERS or "\n" in text:
        raise InvalidArgumentError(f"{path} should hold {what} on one line, and nothing else")
    return text
