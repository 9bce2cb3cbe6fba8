"""The data folder: one process at a time, files that only their owner reads, writes that last."""

import contextlib
import fcntl
import os
from pathlib import Path

_LOCK_NAME = "sidecar.lock"


class FolderError(Exception):
    """The data folder cannot be used; the message says why and what to do."""


class FolderLock:
    """Keeps other processes away from a data folder for as long as it is held."""

    def __init__(self, descriptor: int) -> None:
        """Take over a locked file."""
        self._descriptor = descriptor

    def release(self) -> None:
        """Let another process have the folder."""
        os.close(self._descriptor)


def claim(folder: Path) -> FolderLock:
    """Make the folder when it is missing and lock it. Raises FolderError."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise FolderError(
            f"{folder} is not a folder. Name a folder for the sidecar's data (--data)."
        ) from error
    except OSError as error:
        raise FolderError(
            f"The folder {folder} cannot be made: {error.strerror}. Name another one (--data)."
        ) from error
    try:
        descriptor = os.open(folder / _LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise FolderError(
            f"Nothing can be written in {folder}: {error.strerror}. Check its owner and rights."
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise FolderError(
            f"Another sidecar is using {folder}. Stop it, or give this one a folder of its own."
        ) from error
    return FolderLock(descriptor)


def write_durably(path: Path, content: bytes) -> None:
    """Replace a file whole, readable by its owner only; it survives a power loss."""
    temporary = path.with_suffix(path.suffix + ".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def read_whole(path: Path) -> bytes | None:
    """The content of a file; None when it does not exist."""
    with contextlib.suppress(FileNotFoundError):
        return path.read_bytes()
    return None
