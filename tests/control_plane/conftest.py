"""What every test of the control plane may ask for."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.control_plane.desk import Desk


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.store.close()
