"""A data folder as it is after the first start: the schema is made once in a process, and copied.

The steps to today's schema take some seventy milliseconds; the stories of the store take them.
"""

import functools
import tempfile
from pathlib import Path

from control_plane.clock import SystemClock
from control_plane.store.sqlite import DATABASE_FILE, open_inline


def lay(folder: Path) -> Path:
    """Lay an empty database into a folder that has none, and return the folder."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not (folder / DATABASE_FILE).exists():
        (folder / DATABASE_FILE).write_bytes(_made())
    return folder


@functools.cache
def _made() -> bytes:
    with tempfile.TemporaryDirectory() as made:
        open_inline(Path(made), SystemClock()).close()
        return (Path(made) / DATABASE_FILE).read_bytes()
