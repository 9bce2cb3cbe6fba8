"""Event streams are cut into the same frames wherever their bytes were split."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.http import limits, sse

LINE_ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])
LINES = st.sampled_from(
    [b"data: {}", b"data: a", b"data:b", b"data", b": ping", b"event: x", b"id: 1", b"data:  c"]
)


@st.composite
def streams(draw: st.DrawFn) -> tuple[bytes, list[bytes]]:
    """A stream in one style of line ends, and the data of its events."""
    end = draw(LINE_ENDS)
    stream = b""
    wanted = []
    for lines in draw(st.lists(st.lists(LINES, min_size=1, max_size=4), max_size=6)):
        stream += end.join(lines) + end + end
        values = [
            line[5:].removeprefix(b" ") if line.startswith(b"data:") else b""
            for line in lines
            if line.startswith(b"data")
        ]
        wanted.append(b"\n".join(values))
    return stream, wanted


@given(case=streams(), cuts=st.lists(st.integers(0, 200), max_size=8))
def test_frames_are_the_same_wherever_the_bytes_were_split(
    case: tuple[bytes, list[bytes]], cuts: list[int]
) -> None:
    stream, wanted = case
    marks = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    frames = sse.Frames()
    found: list[bytes] = []
    for start, stop in pairwise(marks):
        found += frames.feed(stream[start:stop])
    assert b"".join(found) + frames.rest() == stream, "no byte is lost or made"
    assert [data for frame in found if (data := sse.data_of(frame))] == [
        data for data in wanted if data
    ]


@given(stream=st.binary(max_size=300), step=st.integers(1, 40))
def test_whatever_comes_no_byte_is_lost(stream: bytes, step: int) -> None:
    frames = sse.Frames()
    passed = b""
    for at in range(0, len(stream), step):
        passed += b"".join(frames.feed(stream[at : at + step]))
    assert passed + frames.rest() == stream


@settings(deadline=None, max_examples=50)
@given(
    end=LINE_ENDS,
    sizes=st.lists(st.integers(3_000, 20_000), min_size=1, max_size=3),
    step=st.sampled_from([1, 2, 3]) | st.integers(64, 9_000),
    tail=st.integers(0, 3),
)
def test_large_frames_are_cut_where_small_ones_are(
    end: bytes, sizes: list[int], step: int, tail: int
) -> None:
    frames = [b"data: " + b"x" * size + end + end for size in sizes]
    stream = b"".join(frames) + b"data: y"[:tail]
    cutter = sse.Frames()
    found: list[bytes] = []
    for at in range(0, len(stream), step):
        found += cutter.feed(stream[at : at + step])
        assert cutter.pending_bytes <= max(sizes) + 10
    assert [len(sse.data_of(frame)) for frame in found if frame != b"\n"] == sizes
    assert b"".join(found) + cutter.rest() == stream


def test_a_stream_of_pictures_may_have_larger_frames() -> None:
    cutter = sse.Frames(limits.PICTURE_FRAME_MAX_BYTES)
    piece = b"x" * limits.MIB
    for _ in range(32):
        assert cutter.feed(piece) == []
    with pytest.raises(sse.FrameTooLargeError):
        cutter.feed(piece)


def test_mixed_line_ends_end_a_frame() -> None:
    frames = sse.Frames()
    assert frames.feed(b"data: a\r\n\ndata: b\n\r\ndata: c\r\r") == [
        b"data: a\r\n\n",
        b"data: b\n\r\n",
        b"data: c\r\r",
    ]


def test_a_line_end_of_two_bytes_is_no_blank_line_when_it_is_split() -> None:
    frames = sse.Frames()
    assert frames.feed(b"data: a\r") == []
    assert frames.feed(b"\ndata: b\r\n\r\n") == [b"data: a\r\ndata: b\r\n\r\n"]
    assert sse.data_of(b"data: a\r\ndata: b\r\n\r\n") == b"a\nb"


def test_a_mark_of_byte_order_does_not_hide_the_first_event() -> None:
    assert sse.data_of(b"\xef\xbb\xbfdata: a\n\n") == b"a"


def test_an_event_without_end_is_bounded() -> None:
    frames = sse.Frames()
    with pytest.raises(sse.FrameTooLargeError):
        frames.feed(b"data: " + b"x" * limits.FRAME_MAX_BYTES)
