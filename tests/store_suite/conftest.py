"""Every store that exists, one after the other: whatever a suite claims, each of them must keep."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from control_plane.clock import SystemClock
from control_plane.store.engine import Store
from control_plane.store.sqlite import open_inline, open_store

Opener = Callable[[], Store]


def open_threads(folder: Path) -> Store:
    return open_store(folder, SystemClock())


def open_without_threads(folder: Path) -> Store:
    return open_inline(folder, SystemClock(), synchronous="FULL")


OPENERS = {"sqlite": open_threads, "sqlite-inline": open_without_threads}
"""A second database is added here and nowhere else."""


@pytest.fixture(params=sorted(OPENERS))
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Opener:
    """Opens the store of one folder; again and again, after it was closed."""
    return lambda: OPENERS[request.param](tmp_path / "data")


@pytest.fixture
def store(opener: Opener) -> Iterator[Store]:
    opened = opener()
    yield opened
    opened.close()
