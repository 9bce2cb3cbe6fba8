"""An array that comes bit by bit is cut into its elements wherever the bytes were split."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.http import limits
from sidecar.http.json_array import Elements
from sidecar.http.sse import FrameTooLargeError

TEXTS = st.text(alphabet='ab"\\{}[],:\n\u2028é', max_size=12)
VALUES = st.recursive(
    st.none() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.lists(st.dictionaries(TEXTS, VALUES, max_size=3), max_size=5)


@given(OBJECTS, st.lists(st.integers(1, 9), min_size=1, max_size=20), st.booleans())
def test_elements_are_those_of_the_array(
    elements: list[Any], sizes: list[int], pretty: bool
) -> None:
    text = json.dumps(elements, indent=2 if pretty else None).encode()
    cutter = Elements()
    found: list[bytes] = []
    at = turn = 0
    while at < len(text):
        size = sizes[turn % len(sizes)]
        found += cutter.feed(text[at : at + size])
        at, turn = at + size, turn + 1
    assert [json.loads(element) for element in found] == elements
    assert cutter.pending_bytes == 0
    assert cutter.rest() == b""


def test_what_is_incomplete_is_held_back_and_bounded() -> None:
    cutter = Elements()
    assert cutter.feed(b'[{"a": "') == []
    assert cutter.pending_bytes == 7
    assert cutter.rest() == b'{"a": "'
    with pytest.raises(FrameTooLargeError):
        Elements().feed(b'[{"a": "' + b"x" * limits.FRAME_MAX_BYTES)


@pytest.mark.parametrize("junk", [b"]]]}}", b'"', b"\\", b"[[[[", b"[1, 2]", b"<html>"])
def test_what_is_no_array_of_objects_raises_nothing(junk: bytes) -> None:
    cutter = Elements()
    cutter.feed(junk)
    cutter.feed(junk)
    cutter.rest()
