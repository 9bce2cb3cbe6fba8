"""Page tokens: opaque, bound to their question, and refused when bent."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_plane.core.pages import After, Asked, begin, finish
from protos.values.errors import InvalidArgumentError

FILTERS = {"list": "things", "project": "prj_1"}


def token_after(after: After, filters: dict[str, str] = FILTERS) -> str:
    slice_ = begin(Asked(1), filters, ())
    return finish([after, after], slice_, filters, lambda row: row).next_token


@given(st.tuples(st.text(), st.integers(-(2**63), 2**63 - 1), st.text()))
def test_a_token_brings_back_the_key_it_was_made_of(after: tuple[str, int, str]) -> None:
    assert begin(Asked(5, token_after(after)), FILTERS, (str, int, str)).after == after


def test_the_last_page_has_no_token() -> None:
    slice_ = begin(Asked(3), FILTERS, (int,))
    assert slice_.limit == 4
    assert finish([1, 2, 3], slice_, FILTERS, lambda row: (row,)).next_token == ""
    page = finish([1, 2, 3, 4], slice_, FILTERS, lambda row: (row,))
    assert page.items == (1, 2, 3)
    assert begin(Asked(3, page.next_token), FILTERS, (int,)).after == (3,)


@pytest.mark.parametrize(
    ("size", "limit"), [(0, 51), (1, 2), (1_000, 1_001), (1_001, 1_001), (2**31 - 1, 1_001)]
)
def test_sizes_are_bounded(size: int, limit: int) -> None:
    assert begin(Asked(size), FILTERS, ()).limit == limit


def test_a_negative_size_is_refused() -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        begin(Asked(-1), FILTERS, ())
    assert caught.value.fields["field"] == "page_size"


def test_a_token_belongs_to_its_question() -> None:
    token = token_after(("a",))
    for other in ({"list": "others", "project": "prj_1"}, {"list": "things", "project": ""}, {}):
        with pytest.raises(InvalidArgumentError, match="another question"):
            begin(Asked(5, token), other, (str,))


def packed(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


@pytest.mark.parametrize(
    "token",
    [
        "x",
        "ä",
        "!!!!",
        packed(None),
        packed({}),
        packed([]),
        packed(["digest"]),
        packed(["digest", 1]),
        packed(["digest", "a", "b"]),
        packed(["digest", True]),
        packed(["digest", None]),
        packed([1, "a"]),
        base64.urlsafe_b64encode(b"[" * 700).decode(),
        base64.urlsafe_b64encode(b"\xff").decode(),
        "A" * 1_028,
        token_after(("a",))[:-4],
    ],
)
def test_a_bent_token_is_refused(token: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        begin(Asked(5, token), FILTERS, (str,))
    assert caught.value.fields["field"] == "page_token"


@pytest.mark.parametrize("part", [2**63, -(2**63) - 1, 10**30, "\ud800", "a\udfffb"])
def test_a_token_with_a_key_that_no_row_has_is_refused(part: str | int) -> None:
    digest = json.loads(base64.urlsafe_b64decode(token_after(("a",))))[0]
    with pytest.raises(InvalidArgumentError) as caught:
        begin(Asked(5, packed([digest, part])), FILTERS, (type(part),))
    assert caught.value.fields["field"] == "page_token"
