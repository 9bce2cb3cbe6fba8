"""What the stories share."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from control_plane.store.sqlite import DATABASE_FILE
from tests.control_plane.leasing_world import World


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with its schema and nothing else, to be copied."""
    folder = tmp_path_factory.mktemp("empty")
    World(folder).store.close()
    return folder / DATABASE_FILE


@pytest.fixture
def world(tmp_path: Path, empty_database: Path) -> Iterator[World]:
    """A control plane at which small sidecars live."""
    folder = tmp_path / "control-plane"
    folder.mkdir()
    shutil.copy(empty_database, folder / DATABASE_FILE)
    made = World(folder)
    yield made
    made.check()
    made.store.close()
