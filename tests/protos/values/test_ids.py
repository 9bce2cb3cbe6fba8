"""Ids sort by time, and labels take what tools send."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protos.values import ids
from protos.values.keys import SUFFIX_MARK

chance = st.binary(min_size=ids.RANDOM_BYTES, max_size=ids.RANDOM_BYTES)
instant = st.integers(0, 2**48 - 1)


@given(instant, instant, chance, chance)
def test_ids_made_later_sort_later(one: int, other: int, a: bytes, b: bytes) -> None:
    first, second = ids.make_id(ids.CALL, one, a), ids.make_id(ids.CALL, other, b)
    if one != other:
        assert (first < second) == (one < other)
    assert ids.is_id(first, ids.CALL)
    assert not ids.is_id(first, ids.KEY)


@pytest.mark.parametrize(
    ("sent", "label"),
    [
        ("lead-scoring", "lead-scoring"),
        ("  Lead scoring (v2) ", "Lead scoring -v2"),
        ("Überweisung → DB", "berweisung - DB"),
        ("…", ""),
        ("x" * 200, "x" * 64),
        ("../../etc", "etc"),
    ],
)
def test_any_workflow_name_becomes_a_label(sent: str, label: str) -> None:
    assert ids.label_from_text(sent) == label


@given(st.text())
def test_what_comes_out_is_a_label_or_nothing(sent: str) -> None:
    label = ids.label_from_text(sent)
    assert label == "" or ids.is_label(label)
    assert SUFFIX_MARK not in label
