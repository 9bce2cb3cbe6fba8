"""Requests that can be read in two ways are refused; others are read however they are split."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.http import codec, limits
from sidecar.http.codec import BadMessageError, RequestReader, ResponseReader

PLAIN = b"POST /v1/x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"POST /v1/x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


def read_all(data: bytes, step: int = 1 << 20) -> list[tuple[bytes, bytes]]:
    """Every request in the data, fed in pieces of so many bytes: target and body."""
    reader = RequestReader()
    pieces = [data[at : at + step] for at in range(0, len(data), step)]
    found: list[tuple[bytes, bytes]] = []
    while True:
        while (head := reader.head() if reader.begun else None) is None:
            if not pieces:
                assert not reader.begun, "the data ends within a head"
                return found
            reader.feed(pieces.pop(0))
        parts: list[bytes] = []
        while not reader.take_body(parts):
            reader.feed(pieces.pop(0) if pieces else b"")
        found.append((head.target, b"".join(parts)))
        reader.start_next()


@pytest.mark.parametrize(
    ("what", "data"),
    [
        ("both framings", PLAIN.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n")),
        (
            "both, the other way round",
            CHUNKED.replace(b"\r\n\r\n", b"\r\nContent-Length: 3\r\n\r\n"),
        ),
        ("two lengths", PLAIN.replace(b"\r\n\r\n", b"\r\nContent-Length: 6\r\n\r\n")),
        ("the same length twice", PLAIN.replace(b"\r\n\r\n", b"\r\ncontent-length: 5\r\n\r\n")),
        ("two lengths in one line", PLAIN.replace(b": 5", b": 5, 6")),
        ("the same length twice in one line", PLAIN.replace(b": 5", b": 5, 5")),
        ("a negative length", PLAIN.replace(b": 5", b": -5")),
        ("a length with a sign", PLAIN.replace(b": 5", b": +5")),
        ("a hexadecimal length", PLAIN.replace(b": 5", b": 0x5")),
        ("a folded header", PLAIN.replace(b"Host: a", b"Host: a\r\n b")),
        ("a header folded by a tab", PLAIN.replace(b"Host: a", b"X: a\r\n\tb\r\nHost: a")),
        ("bare line feeds", PLAIN.replace(b"\r\n", b"\n")),
        ("one bare line feed", PLAIN.replace(b"Host: a\r\n", b"Host: a\n")),
        ("a bare carriage return", PLAIN.replace(b"Host: a", b"Host: a\rX: b")),
        ("a space before the colon", PLAIN.replace(b"Content-Length:", b"Content-Length :")),
        ("no host", PLAIN.replace(b"Host: a\r\n", b"")),
        ("two hosts", PLAIN.replace(b"Host: a\r\n", b"Host: a\r\nHost: b\r\n")),
        ("two keys", PLAIN.replace(b"\r\n\r\n", b"\r\nX-Api-Key: a\r\nX-Api-Key: b\r\n\r\n")),
        ("a nul in a value", PLAIN.replace(b"Host: a", b"Host: a\0")),
        ("an unknown coding", CHUNKED.replace(b"chunked", b"gzip, chunked")),
        ("chunked twice", CHUNKED.replace(b"chunked", b"chunked, chunked")),
        ("chunked in HTTP/1.0", CHUNKED.replace(b"HTTP/1.1", b"HTTP/1.0")),
        ("HTTP/2.0", PLAIN.replace(b"HTTP/1.1", b"HTTP/2.0")),
        ("no request line", b"\x16\x03\x01\x02\x00\x01\r\n\r\n"),
    ],
)
def test_a_head_that_can_be_read_in_two_ways_is_refused(what: str, data: bytes) -> None:
    reader = RequestReader()
    reader.feed(data)
    with pytest.raises(BadMessageError) as caught:
        reader.head()
    assert 400 <= caught.value.status < 600, what


@pytest.mark.parametrize(
    "body",
    [
        b"5;\r\nhello",
        b"z\r\nhello\r\n0\r\n\r\n",
        b"5\r\nhelloX0\r\n\r\n",
        b"-5\r\nhello\r\n0\r\n\r\n",
        b"5\nhello\r\n0\r\n\r\n",
        b"ffffffffffffffffffffff\r\n",
        b"5\r\nhel",
    ],
)
def test_a_badly_chunked_body_is_refused(body: bytes) -> None:
    with pytest.raises(BadMessageError):
        read_all(CHUNKED + body)


def test_a_head_larger_than_its_bound_is_refused_before_it_ends() -> None:
    reader = RequestReader()
    reader.feed(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * limits.HEAD_MAX_BYTES)
    with pytest.raises(BadMessageError) as caught:
        reader.head()
    assert caught.value.status == 431


def test_a_large_head_that_comes_at_once_is_refused_too() -> None:
    reader = RequestReader()
    value = b"x" * limits.HEAD_MAX_BYTES
    reader.feed(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + value + b"\r\n\r\n")
    with pytest.raises(BadMessageError) as caught:
        reader.head()
    assert caught.value.status == 431


def test_more_headers_than_the_bound_are_refused() -> None:
    lines = b"".join(b"X-%d: 1\r\n" % number for number in range(limits.HEAD_MAX_HEADERS + 1))
    reader = RequestReader()
    reader.feed(b"GET / HTTP/1.1\r\nHost: a\r\n" + lines + b"\r\n")
    with pytest.raises(BadMessageError) as caught:
        reader.head()
    assert caught.value.status == 431


@given(
    bodies=st.lists(st.tuples(st.booleans(), st.binary(max_size=80)), min_size=1, max_size=4),
    step=st.integers(1, 60),
)
def test_pipelined_requests_are_read_however_they_are_split(
    bodies: list[tuple[bool, bytes]], step: int
) -> None:
    data = b""
    for number, (chunked, body) in enumerate(bodies):
        head = b"POST /%d HTTP/1.1\r\nHost: a\r\n" % number
        if chunked:
            data += head + b"Transfer-Encoding: chunked\r\n\r\n"
            data += b"".join(codec.chunk(body[at : at + 7]) for at in range(0, len(body), 7))
            data += codec.LAST_CHUNK
        else:
            data += head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    wanted = [(b"/%d" % number, body) for number, (_, body) in enumerate(bodies)]
    assert read_all(data, step) == wanted


def test_a_caller_that_closes_between_two_requests_ends_without_a_fault() -> None:
    reader = RequestReader()
    reader.feed(b"")
    with pytest.raises(EOFError):
        reader.head()


def test_a_body_that_breaks_off_is_refused() -> None:
    reader = RequestReader()
    reader.feed(PLAIN[:-2])
    assert reader.head() is not None
    parts: list[bytes] = []
    assert not reader.take_body(parts)
    with pytest.raises(BadMessageError):
        reader.feed(b"")


def test_a_caller_that_waits_for_100_is_known_until_its_body_comes() -> None:
    head, body = PLAIN.split(b"\r\n\r\n")
    reader = RequestReader()
    reader.feed(head + b"\r\nExpect: 100-continue\r\n\r\n")
    assert reader.head() is not None
    assert not reader.take_body([])
    before = reader.awaits_continue
    reader.feed(body)
    assert (before, reader.awaits_continue) == (True, False)
    assert reader.take_body([])


@pytest.mark.parametrize(
    ("lines", "version", "kept"),
    [
        (b"", b"1.1", True),
        (b"Connection: close\r\n", b"1.1", False),
        (b"Connection: x, Close\r\n", b"1.1", False),
        (b"Connection: keep-alive\r\n", b"1.0", False),
    ],
)
def test_a_connection_is_kept_unless_either_side_says_otherwise(
    lines: bytes, version: bytes, kept: bool
) -> None:
    reader = RequestReader()
    reader.feed(b"GET / HTTP/%b\r\nHost: a\r\n%b\r\n" % (version, lines))
    head = reader.head()
    assert head is not None
    assert head.keep_alive is kept


def answer_in(data: bytes) -> bytes:
    """The body of the answer in the data, which ends where the connection ends."""
    reader = ResponseReader()
    parts: list[bytes] = []
    pieces = [data, b""] if data else [b""]
    reader.feed(pieces.pop(0))
    while reader.take_head() is None:
        reader.feed(pieces.pop(0))
    while not reader.take_body(parts):
        reader.feed(pieces.pop(0))
    return b"".join(parts)


ANSWERS = [
    (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", b"hi", True),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", b"hi", True),
    (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", b"hi", True),
    (b"HTTP/1.1 204 No Content\r\n\r\n", b"", True),
    (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi", b"hi", False),
    (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", b"hi", False),
    (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi, and more", b"hi", False),
]


@pytest.mark.parametrize(("data", "body", "reusable"), ANSWERS)
@pytest.mark.parametrize("step", [1, 7, 1000])
def test_an_answer_is_read_and_its_connection_reused_only_if_it_ended_cleanly(
    data: bytes, body: bytes, reusable: bool, step: int
) -> None:
    reader = ResponseReader()
    parts: list[bytes] = []
    ended = False
    rest = [data[at : at + step] for at in range(0, len(data), step)]
    while not ended:
        reader.feed(rest.pop(0))
        ended = (reader.head or reader.take_head()) is not None and reader.take_body(parts)
    assert b"".join(parts) == body
    if step == 1000:
        assert reader.reusable is reusable


def test_an_answer_without_framing_ends_with_its_connection() -> None:
    assert answer_in(b"HTTP/1.1 200 OK\r\n\r\nhi") == b"hi"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhi",
    ],
)
def test_an_answer_that_breaks_off_is_no_answer(data: bytes) -> None:
    with pytest.raises(BadMessageError):
        answer_in(data)


def test_what_is_written_is_read_back_the_same() -> None:
    written = codec.response_head(402, [(b"content-length", b"2"), (b"x-bursar-error", b"x")])
    reader = ResponseReader()
    reader.feed(written + b"{}")
    head = reader.take_head()
    assert head is not None
    assert head.status == 402
    assert head.headers == [(b"content-length", b"2"), (b"x-bursar-error", b"x")]


@pytest.mark.parametrize(
    "line", [b"Authorization : Bearer bursar_pk_abc", b"Authorization\x00: Bearer bursar_pk_abc"]
)
def test_a_refusal_never_repeats_the_line_that_is_wrong(line: bytes) -> None:
    reader = RequestReader()
    reader.feed(PLAIN.replace(b"Host: a", line))
    with pytest.raises(BadMessageError, match="illegal header line") as refused:
        reader.head()
    assert "bursar" not in refused.value.message


@pytest.mark.parametrize("step", [1, 2, 7, 5_000])
@pytest.mark.parametrize("chunked", [True, False])
def test_a_body_that_comes_in_crumbs_is_kept_in_few_pieces(step: int, chunked: bool) -> None:
    body = bytes(range(256)) * 40
    if chunked:
        crumbs = b"".join(b"1\r\n%b\r\n" % body[at : at + 1] for at in range(len(body)))
        data = CHUNKED + crumbs + b"0\r\n\r\n"
    else:
        data = PLAIN[:-6].replace(b": 5", b": %d" % len(body)) + b"\n" + body
    reader = RequestReader()
    parts: list[bytes] = []
    headed = most = 0
    for at in range(0, len(data), step):
        reader.feed(data[at : at + step])
        headed = headed or reader.head() is not None
        if headed and reader.take_body(parts):
            break
        most = max(most, len(parts))
    assert b"".join(parts) == body
    assert most <= 16
