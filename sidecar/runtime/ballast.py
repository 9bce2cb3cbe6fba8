"""Room that is kept on the disk, so that open calls can still settle when it is full."""

import contextlib
import hashlib
import os
from pathlib import Path

from sidecar.limits import BALLAST_BYTES

_NAME = "ballast"


class Ballast:
    """A file that is in nobody's way until its room is needed."""

    def __init__(self, folder: Path) -> None:
        """Name the file; it may or may not lie there."""
        self._path = folder / _NAME

    def lay(self) -> bool:
        """Lay it, where it does not lie already; whether it lies now.

        There must be as much room again: else it would have to go again at once.
        """
        path = self._path
        try:
            if path.exists() and path.stat().st_size == BALLAST_BYTES:
                return True
            found = os.statvfs(path.parent)
            if found.f_bavail * found.f_frsize < 2 * BALLAST_BYTES:
                return False
            with path.open("wb") as file:
                # Nothing that a file system could squeeze together.
                file.write(hashlib.shake_256(_NAME.encode()).digest(BALLAST_BYTES))
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            self.drop()
            return False
        return True

    def drop(self) -> bool:
        """Give its room away; whether there was any."""
        with contextlib.suppress(OSError):
            self._path.unlink()
            return True
        return False
