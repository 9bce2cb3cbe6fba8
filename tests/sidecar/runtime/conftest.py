"""What the stories of the runtime share."""

from collections.abc import Iterator

import pytest

from tests.sidecar.control_plane_double import ControlPlaneDouble


@pytest.fixture
def cp() -> Iterator[ControlPlaneDouble]:
    double = ControlPlaneDouble()
    double.start()
    yield double
    double.stop()
