"""A quick value is what its frozen dataclass is, made more cheaply."""

import copy
from dataclasses import dataclass, field, fields, replace

import pytest

from protos.values.quick import quick


@quick
@dataclass(frozen=True, slots=True)
class Point:
    """Where it is."""

    x: int
    y: int = 2
    names: dict[str, int] = field(default_factory=dict, compare=False)
    secret: str = field(default="", repr=False, kw_only=True)

    @property
    def total(self) -> int:
        return self.x + self.y


def test_it_is_made_compared_printed_and_replaced_as_before() -> None:
    point = Point(1, secret="s")
    assert (point.x, point.y, point.total, point.secret) == (1, 2, 3, "s")
    assert point == Point(1, 2, {"a": 1}, secret="s")
    assert hash(point) == hash(Point(1, secret="s"))
    assert point != Point(1, secret="t")
    assert repr(point) == "Point(x=1, y=2, names={})"
    assert replace(point, y=5) == Point(1, 5, secret="s")
    assert copy.copy(point) == point
    assert [each.name for each in fields(Point)] == ["x", "y", "names", "secret"]


def test_defaults_that_are_made_are_made_anew() -> None:
    assert Point(1).names is not Point(1).names


def test_what_is_missing_or_unknown_is_refused() -> None:
    with pytest.raises(TypeError, match="x"):
        Point()  # type: ignore[call-arg]  # that is the test
    with pytest.raises(TypeError, match="z"):
        Point(1, z=2)  # type: ignore[call-arg]  # that is the test
    with pytest.raises(AttributeError):
        Point(1).z = 3  # type: ignore[attr-defined]  # that is the test
    with pytest.raises(TypeError):
        Point(1, 2, {}, "s")  # type: ignore[call-arg]  # that is the test


def test_what_checks_itself_when_it_is_made_cannot_be_quick() -> None:
    @dataclass(frozen=True, slots=True)
    class Checked:
        x: int

        def __post_init__(self) -> None:
            assert self.x

    with pytest.raises(AssertionError):
        quick(Checked)
