from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.control_plane import empty_database
from tests.control_plane.leasing_world import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(empty_database.lay(tmp_path))
    yield made
    made.check()
    made.store.close()
