"""A head that is read as plain is one that h11 takes, and h11 reads it the same."""

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.http import codec, limits
from sidecar.http.plain_heads import plain_request, plain_response

NAMES = st.sampled_from(
    [
        *(b"Host", b"HOST", b"content-length", b"Content-Length", b"Accept", b"X-A", b"Set-Cookie"),
        *(b"Transfer-Encoding", b"Expect", b"Connection", b"Upgrade", b"X A", b"", b"X\tB", b"Key"),
    ]
)
VALUES = st.sampled_from(
    [
        *(b"a", b"", b"5", b" 5 ", b"+5", b"5, 5", b"0005", b"chunked", b"close", b"a  b", b"a\tb"),
        *(b"\xe9", b"a\0b", b"a\rb", b"100-continue", b"9" * 30, b"localhost:1", b"  x", b'"q", z'),
    ]
) | st.binary(max_size=6)
COLONS = st.sampled_from([b": ", b":", b" : ", b":\t", b""])
ENDS = st.sampled_from([b"\r\n"] * 12 + [b"\n", b"\r\n ", b"\r\r\n"])
LINES = st.lists(st.tuples(NAMES, COLONS, VALUES, ENDS).map(b"".join), max_size=6).map(b"".join)
REQUEST_LINES = st.sampled_from(
    [
        *([b"POST /v1/x HTTP/1.1\r\n"] * 6),
        *(
            b"GET / HTTP/1.0\r\n",
            b"get / HTTP/1.1\r\n",
            b"GET /a b HTTP/1.1\r\n",
            b"GET / HTTP/1.1\n",
        ),
        *(
            b"GET http://a/ HTTP/1.1\r\n",
            b"GET /\xc3 HTTP/1.1\r\n",
            b" GET / HTTP/1.1\r\n",
            b"\r\n",
        ),
    ]
)
STATUS_LINES = st.sampled_from(
    [
        *([b"HTTP/1.1 200 OK\r\n"] * 6),
        *(b"HTTP/1.1 204 No Content\r\n", b"HTTP/1.1 200\r\n", b"HTTP/1.1 200 \r\n"),
        *(b"HTTP/1.0 200 OK\r\n", b"HTTP/1.1 100 Continue\r\n", b"HTTP/1.1 304 x\r\n"),
        *(b"HTTP/1.1 99 x\r\n", b"HTTP/1.1 2000 x\r\n", b"HTTP/1.1 500 a  b\r\n"),
    ]
)


@settings(max_examples=400)
@given(first=REQUEST_LINES, host=st.booleans(), lines=LINES, body=st.binary(max_size=9))
def test_a_plain_request_is_what_h11_reads(
    first: bytes, host: bool, lines: bytes, body: bytes
) -> None:
    raw = first + (b"Host: a\r\n" if host else b"") + lines + b"\r\n" + body
    plain = plain_request(raw)
    if plain is None:
        return
    reader = codec.RequestReader()
    reader._connection = codec._reader(h11.SERVER, raw)
    reader._raw = raw
    head = reader.head()
    assert head is not None
    assert (head.method, head.target) == (plain.first, plain.second)
    assert head.headers == plain.headers
    assert head.values == plain.values
    assert not head.chunked
    assert not reader.awaits_continue
    told = reader._body
    assert told is not None
    assert told.rest == raw[plain.end :]


@settings(max_examples=400)
@given(first=STATUS_LINES, length=st.booleans(), lines=LINES, body=st.binary(max_size=9))
def test_a_plain_answer_is_what_h11_reads(
    first: bytes, length: bool, lines: bytes, body: bytes
) -> None:
    raw = first + (b"Content-Length: 3\r\n" if length else b"") + lines + b"\r\n" + body
    plain = plain_response(raw)
    if plain is None:
        return
    reader = codec.ResponseReader()
    reader._connection = codec._reader(h11.CLIENT, raw)
    head = reader.take_head()
    assert head is not None
    assert head.status == int(plain.first)
    assert head.headers == plain.headers
    assert head.body_bytes == int(plain.values[b"content-length"])
    told = reader._body
    assert told is not None
    assert told.rest == raw[plain.end :]


def test_what_clients_and_providers_send_is_plain() -> None:
    sent = (
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:7250\r\nAccept-Encoding: gzip"
        b"\r\nConnection: keep-alive\r\nAccept: application/json\r\nX-Stainless-Async: false\r\n"
        b"User-Agent: OpenAI/Python 3.54.0\r\nAuthorization: Bearer bursar_pk_x\r\n"
        b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
    )
    assert plain_request(sent) is not None
    got = (
        b"HTTP/1.1 200 OK\r\nDate: Mon, 23 Nov 2026 12:00:00 GMT\r\nSet-Cookie: a\r\n"
        b"Set-Cookie: b\r\n"
        b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
    )
    assert plain_response(got) is not None


@pytest.mark.parametrize(
    "line",
    [
        *(b"Transfer-Encoding: chunked", b"Expect: 100-continue", b"Upgrade: websocket"),
        *(
            b"Host: b",
            b"Content-Length: 5\r\nContent-Length: 5",
            b"X: \xe9",
            b"X: a\tb",
            b"X: a\r\n b",
        ),
        b"X: " + b"a" * limits.HEAD_MAX_BYTES,
        b"\r\n".join(b"X-%d: 1" % number for number in range(limits.HEAD_MAX_HEADERS)),
    ],
)
def test_what_is_less_than_plain_is_left_to_h11(line: bytes) -> None:
    assert plain_request(b"POST / HTTP/1.1\r\nHost: a\r\n" + line + b"\r\n\r\n") is None
