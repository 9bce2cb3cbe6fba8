"""A running installation for each story."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.stand import Stand


@pytest.fixture
def stand(tmp_path: Path) -> Iterator[Stand]:
    """An installation with a rehearsal provider and a control plane; sidecars on demand."""
    with Stand(tmp_path) as running:
        yield running
