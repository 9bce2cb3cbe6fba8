"""JSON that two readers could take differently is refused."""

import json
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.http import limits, strict_json
from sidecar.http.strict_json import BadJsonError

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))


@given(value=VALUES, plain=st.booleans())
def test_good_json_is_read_as_the_standard_library_reads_it(value: object, plain: bool) -> None:
    body = json.dumps(value, ensure_ascii=plain).encode()
    assert strict_json.read(body) == json.loads(body)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"model":"a","model":"b"}', "'model' is given twice"),
        (b'{"a":{"b":1,"\\u0062":2}}', "'b' is given twice"),
        (b'{"a":NaN}', "NaN"),
        (b'{"a":-Infinity}', "Infinity"),
        (b'{"a":1e999}', "too large"),
        (b'{"a":"\xff"}', "not UTF-8"),
        (b'{"a":"\xed\xa0\x80"}', "not UTF-8"),
        (b'{"a":"\\ud800"}', "surrogate"),
        (b'{"a":["\\uDC00x"]}', "surrogate"),
        (b'{"\\ud83d":1}', "surrogate"),
        (b"\xef\xbb\xbf{}", "line 1"),
        ('{"a":1}'.encode("utf-16"), "not UTF-8"),
        (b"{'a':1}", "line 1, column 2"),
        (b'{"a":1,}', "line 1"),
        (b'{"a":1} {}', "Extra data"),
        (b"", "line 1"),
        (b'{"a":' + b"1" * 5000 + b"}", "digits"),
        (b"[" * 200_000, "nested too deeply"),
        (b"[" * 129 + b"]" * 129, "nested deeper than 128"),
        (b'{"a":' * 129 + b"1" + b"}" * 129, "nested deeper than 128"),
    ],
)
def test_what_can_be_read_in_two_ways_is_refused_with_words(body: bytes, words: str) -> None:
    with pytest.raises(BadJsonError, match=words):
        strict_json.read(body)


def test_a_whole_surrogate_pair_is_text() -> None:
    assert strict_json.read(b'{"a":"\\ud83d\\ude00"}') == {"a": "\U0001f600"}


def test_nesting_up_to_the_bound_is_taken() -> None:
    depth = limits.JSON_DEPTH_MAX_TIMES
    assert strict_json.read(b"[" * depth + b"]" * depth)


@given(value=st.dictionaries(st.text(), VALUES, min_size=1, max_size=4), member=VALUES)
def test_a_member_is_added_and_every_other_byte_stays(
    value: dict[str, object], member: object
) -> None:
    if "added" in value:
        del value["added"]
        value["other"] = 1
    body = b" \n" + json.dumps(value, indent=1).encode()
    edited = strict_json.with_member(body, "added", member)
    assert json.loads(edited) == {"added": member, **value}
    assert edited.endswith(body[body.index(b"{") + 1 :])


@pytest.mark.parametrize(
    ("body", "after"),
    [
        (b'{"model":"a","x":1}', b'{"model":"B","x":1}'),
        (b'{ "x" : [ 1.0e+0 ] ,\n "model" :\t"a" }', b'{ "x" : [ 1.0e+0 ] ,\n "model" :\t"B" }'),
        (b'{"mod\\u0065l":"\\u0061"}', b'{"mod\\u0065l":"B"}'),
        (b'{"x":"model","model":"a"}', b'{"x":"model","model":"B"}'),
        (b'{"x":"\\"model\\":\\"a\\"","model":"a"}', b'{"x":"\\"model\\":\\"a\\"","model":"B"}'),
        (b'{"x":{"model":"a"},"y":["model"]}', b'{"x":{"model":"a"},"y":["model"]}'),
        (b'{"model":"other"}', b'{"model":"other"}'),
        (b'{"model":["a"]}', b'{"model":["a"]}'),
    ],
)  # fmt: skip
def test_a_text_is_exchanged_and_nothing_else(body: bytes, after: bytes) -> None:
    assert strict_json.with_texts(body, "model", {"a": "B"}) == (after, int(body != after))


def test_texts_deeper_down_are_exchanged_where_that_is_asked_for() -> None:
    body = b'{"requests":[{"model":"a","x":{"model":"a"}},{"model":"a"}]}'
    after = b'{"requests":[{"model":"B","x":{"model":"a"}},{"model":"B"}]}'
    assert strict_json.with_texts(body, "model", {"a": "B"}, 3) == (after, 2)


@given(
    members=st.dictionaries(TEXTS.filter(lambda name: name != "model"), VALUES, max_size=4),
    at=st.integers(0, 4),
    before=TEXTS,
    after=TEXTS,
    plain=st.booleans(),
    gap=st.sampled_from(["", " ", "\r\n\t"]),
)
def test_whatever_else_an_object_holds_stays_as_it_was(
    members: dict[str, object], at: int, before: str, after: str, plain: bool, gap: str
) -> None:
    dump = partial(json.dumps, ensure_ascii=plain)
    written = [f"{gap}{dump(name)}{gap}:{dump(value)}{gap}" for name, value in members.items()]

    def whole(text: str) -> bytes:
        parts = [*written[:at], f'{gap}"model"{gap}:{gap}{text}{gap}', *written[at:]]
        return f"{gap}{{{','.join(parts)}}}".encode()

    exchanged = strict_json.with_texts(whole(dump(before)), "model", {before: after})
    assert exchanged == (whole(strict_json.write(after).decode()), 1)
