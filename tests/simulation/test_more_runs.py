"""The other half of the worlds, in a file of its own for another core."""

import pytest

from tests.simulation.worlds import hold


@pytest.mark.slow
@pytest.mark.parametrize("part", [2, 3])
def test_nothing_breaks_in_the_other_half_either(part: int) -> None:
    hold(part)
