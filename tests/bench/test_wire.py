"""The hand-written half of HTTP/1.1 reads what it should and refuses the rest."""

import pytest

from tests.bench import wire


def test_a_head_ends_after_its_empty_line_and_nowhere_before() -> None:
    whole = b"HTTP/1.1 200 OK\r\na: b\r\n\r\nbody"
    assert wire.head_end(whole) == whole.index(b"body")
    assert all(wire.head_end(whole[:cut]) == -1 for cut in range(whole.index(b"body")))


@pytest.mark.parametrize(
    ("line", "length_bytes"),
    [
        (b"content-length: 12", 12),
        (b"Content-Length:7", 7),
        (b"Transfer-Encoding: chunked", None),
    ],
)
def test_the_framing_of_a_body_is_read_from_its_head(line: bytes, length_bytes: int | None) -> None:
    head = b"HTTP/1.1 200 OK\r\nx-content-length-hint: 99\r\n" + line + b"\r\n\r\n"
    assert wire.content_length_bytes(head) == length_bytes


def test_a_head_without_framing_is_an_error() -> None:
    with pytest.raises(wire.WireError):
        wire.content_length_bytes(b"HTTP/1.1 200 OK\r\n\r\n")


def test_chunks_are_joined_however_they_were_cut() -> None:
    payload = b"data: one\n\ndata: two\n\n"
    for cut in range(1, len(payload)):
        body = wire.chunk(payload[:cut]) + wire.chunk(payload[cut:]) + wire.LAST_CHUNK
        assert wire.dechunk(body) == payload


@pytest.mark.parametrize(
    "body",
    [
        b"5\r\nhello\r\n",
        b"5\r\nhello0\r\n\r\n",
        b"5\r\nhello\r\n0\r\n\r\nmore",
        b"zz\r\nhello\r\n0\r\n\r\n",
    ],
    ids=["no end", "no line end after a chunk", "bytes after the end", "no size"],
)
def test_broken_chunks_are_an_error(body: bytes) -> None:
    with pytest.raises((wire.WireError, ValueError)):
        wire.dechunk(body)
