"""Compressed bodies are opened within bounds, and refused when they are not what they claim."""

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.http.encoding import Inflater, UnreadableBodyError, inflate, is_supported


def packed(body: bytes, how: str) -> bytes:
    if how == "gzip":
        return gzip.compress(body)
    bits = -zlib.MAX_WBITS if how == "raw" else zlib.MAX_WBITS
    pack = zlib.compressobj(wbits=bits)
    return pack.compress(body) + pack.flush()


@given(body=st.binary(max_size=3000), how=st.sampled_from(["gzip", "zlib", "raw"]))
def test_what_was_packed_is_opened(body: bytes, how: str) -> None:
    assert inflate(packed(body, how), 3000) == body


@given(body=st.binary(min_size=1, max_size=3000), step=st.integers(1, 100))
def test_a_stream_is_opened_piece_by_piece(body: bytes, step: int) -> None:
    data = packed(body, "gzip")
    inflater = Inflater(10_000)
    opened = b"".join(inflater.feed(data[at : at + step]) for at in range(0, len(data), step))
    inflater.finish()
    assert opened == body


def test_a_bomb_is_stopped_at_its_bound() -> None:
    with pytest.raises(UnreadableBodyError, match="too large"):
        inflate(gzip.compress(b"\0" * 10_000_000), 1_000_000)


@pytest.mark.parametrize(
    "data",
    [b"", b"not packed", gzip.compress(b"abc")[:-4]],
    ids=["nothing", "not packed", "cut off"],
)
def test_what_is_damaged_is_refused(data: bytes) -> None:
    with pytest.raises(UnreadableBodyError):
        inflate(data, 1000)


def test_what_follows_the_end_is_refused() -> None:
    with pytest.raises(UnreadableBodyError):
        inflate(gzip.compress(b"abc") + b"more", 1000)


@pytest.mark.parametrize(
    ("name", "known"),
    [
        (b"gzip", True),
        (b" GZIP ", True),
        (b"deflate", True),
        (b"br", False),
        (b"gzip, gzip", False),
    ],
)
def test_only_what_the_standard_library_opens_is_supported(name: bytes, known: bool) -> None:
    assert is_supported(name) is known
