"""What the stories of the runtime share."""

from collections.abc import Iterator

import pytest

from sidecar.core.policy import Policy
from tests.sidecar.control_plane_double import ControlPlaneDouble
from tests.sidecar.runtime import wire


@pytest.fixture
def cp() -> Iterator[ControlPlaneDouble]:
    double = ControlPlaneDouble()
    double.start()
    yield double
    double.close()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[wire.Rehearsal]:
    """A rehearsal provider for all stories of a module."""
    with wire.rehearsing(tmp_path_factory.mktemp("rehearsal")) as rehearsal:
        yield rehearsal


@pytest.fixture
def rehearsal(running: wire.Rehearsal) -> wire.Rehearsal:
    """The same with an empty bill."""
    running.reset()
    return running


@pytest.fixture
def policy(rehearsal: wire.Rehearsal) -> Policy:
    """A policy that knows the provider and its prices; no budget has a cap."""
    return wire.policy_for(rehearsal.url, wire.prices_of(rehearsal))
