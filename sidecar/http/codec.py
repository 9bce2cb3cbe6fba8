"""HTTP/1.1 messages: read by h11, written here.

Rules:
1. Whatever comes from a peer is read by h11, or is plain enough to be read as h11 reads it
   (`plain_heads`). What h11 forgives and another reader might read differently is refused: both
   framings, a repeated length, folded lines, bare line feeds.
2. Every message is read by a fresh h11 connection that never sends. Writing through h11 would check
   again what h11 has just read; a head is written from names and values that h11 let pass, or that
   this program made itself. (Measured: 33 us to read a request, 13 more to tell h11 of the answer.)
3. Sans-IO: bytes in, values out. Whoever holds the socket decides when to read.
"""

import re
from collections.abc import Iterable

import h11

from sidecar.http import limits
from sidecar.http.plain_heads import Header, plain_request, plain_response

_ONCE = frozenset(
    (
        *(b"host", b"authorization", b"x-api-key", b"content-type", b"content-encoding"),
        *(b"content-length", b"transfer-encoding", b"expect", b"origin", b"sec-fetch-site"),
        *(b"x-bursar-workflow", b"x-bursar-step", b"anthropic-version"),
    )
)
"""Headers by which the sidecar decides something: given twice, two readers could differ."""


_LENGTHS = re.compile(rb"\n(?i:content-length):[^\r]*,")
"""Several lengths in one line; h11 takes them when they are equal."""


class BadMessageError(Exception):
    """The peer's bytes are no message that can be read in one way only."""

    def __init__(self, status: int, message: str) -> None:
        """Take the HTTP status for the peer and what is wrong."""
        super().__init__(message)
        self.status = status
        self.message = message


class RequestHead:
    """A request without its body."""

    __slots__ = (
        "body_bytes",
        "chunked",
        "headers",
        "http_1_1",
        "keep_alive",
        "method",
        "target",
        "values",
    )

    def __init__(
        self,
        method: bytes,
        target: bytes,
        headers: list[Header],
        values: dict[bytes, bytes],
        *,
        http_1_1: bool,
    ) -> None:
        """Take the parts of a head, as they were read."""
        self.method = method
        self.target = target
        self.headers = headers
        self.values = values
        """Each header's last value; those in _ONCE have no other."""
        self.chunked = b"transfer-encoding" in values
        self.body_bytes = int(values.get(b"content-length", b"0"))
        """The length that was announced; 0 for a chunked body, whose length nobody knows."""
        self.http_1_1 = http_1_1
        """Whether the caller understands chunked answers and kept connections."""
        self.keep_alive = http_1_1 and not _says_close(values.get(b"connection", b""))

    @classmethod
    def from_h11(cls, event: h11.Request, raw: bytes) -> "RequestHead":
        """Take h11's event apart, and refuse what h11 forgives. Raises BadMessageError."""
        _refuse_ambiguous(raw)
        headers, values = _taken_apart(event)
        if len(values) != len(headers):
            _refuse_repeated(headers)
        if event.http_version not in (b"1.1", b"1.0"):
            raise BadMessageError(505, "this is HTTP/1.1")
        http_1_1 = event.http_version == b"1.1"
        head = cls(event.method, event.target, headers, values, http_1_1=http_1_1)
        if head.chunked and not http_1_1:
            raise BadMessageError(400, "Transfer-Encoding needs HTTP/1.1")
        if head.chunked and b"content-length" in values:
            raise BadMessageError(400, "Content-Length and Transfer-Encoding are both given")
        return head

    @property
    def has_body(self) -> bool:
        """Whether anything follows the head."""
        return self.chunked or self.body_bytes > 0


class ResponseHead:
    """An answer without its body."""

    __slots__ = ("body_bytes", "headers", "keep_alive", "status", "values")

    def __init__(
        self,
        status: int,
        headers: list[Header],
        values: dict[bytes, bytes],
        *,
        http_1_1: bool,
    ) -> None:
        """Take the parts of a head, as they were read."""
        self.status = status
        self.headers = headers
        self.values = values
        self.body_bytes: int | None = None
        """The length of the body; None for one that ends in a chunk, or with the connection."""
        if status in (204, 304):
            self.body_bytes = 0
        elif b"transfer-encoding" not in values and b"content-length" in values:
            self.body_bytes = int(values[b"content-length"])
        framed = self.body_bytes is not None or b"transfer-encoding" in values
        self.keep_alive = http_1_1 and framed and not _says_close(values.get(b"connection", b""))

    @classmethod
    def from_h11(cls, event: h11.Response) -> "ResponseHead":
        """Take h11's event apart."""
        headers, values = _taken_apart(event)
        return cls(event.status_code, headers, values, http_1_1=event.http_version == b"1.1")


def _taken_apart(
    event: h11.Request | h11.Response,
) -> tuple[list[Header], dict[bytes, bytes]]:
    # Going over h11's own sequence costs three times as much.
    pairs = [(name.lower(), value) for name, value in event.headers.raw_items()]
    return pairs, dict(pairs)


def _says_close(value: bytes) -> bool:
    return bool(value) and b"close" in {token.strip() for token in value.lower().split(b",")}


def _refuse_repeated(headers: Iterable[Header]) -> None:
    seen: set[bytes] = set()
    for name, _ in headers:
        if name in seen and name in _ONCE:
            raise BadMessageError(400, f"the header {name.decode('ascii')} is given twice")
        seen.add(name)


def _refuse_ambiguous(raw: bytes) -> None:
    """Refuse what h11 forgives in the head of a request."""
    head = raw[: raw.find(b"\r\n\r\n") + 4]
    if len(head) > limits.HEAD_MAX_BYTES:
        raise BadMessageError(431, f"the head is larger than {limits.HEAD_MAX_BYTES} bytes")
    lines = head.count(b"\r\n")
    if lines < 2 or head.count(b"\n") != lines or head.count(b"\r") != lines:
        raise BadMessageError(400, "lines must end in CR LF")
    if lines - 2 > limits.HEAD_MAX_HEADERS:
        raise BadMessageError(431, f"more than {limits.HEAD_MAX_HEADERS} header lines")
    if b"\n " in head or b"\n\t" in head:
        raise BadMessageError(400, "a header line is folded")
    if head.lower().count(b"\ncontent-length") > 1 or _LENGTHS.search(head) is not None:
        raise BadMessageError(400, "Content-Length is given twice")


class _Body:
    """Reads a body after its head: counted here when its length was told, else by h11."""

    __slots__ = ("_connection", "_left_bytes", "_rest", "_told")

    def __init__(
        self, connection: h11.Connection | None, told_bytes: int | None, rest: bytes
    ) -> None:
        """Go on after a head: how long the body is said to be, and what has come of it."""
        assert connection is not None or told_bytes is not None
        self._connection = connection
        self._told = told_bytes is not None
        self._left_bytes = told_bytes or 0
        self._rest = rest

    def feed(self, data: bytes) -> None:
        """Take bytes from the socket; b"" at its end. Raises EOFError when that is too early."""
        if not self._told:
            assert self._connection is not None
            self._connection.receive_data(data)
        elif data:
            self._rest = self._rest + data if self._rest else data
        elif self._left_bytes > len(self._rest):
            raise EOFError

    def take(self, parts: list[bytes]) -> bool:
        """Append what has come; True when that was the last. Raises EOFError, BadMessageError."""
        ended = self._take_told(parts) if self._told else self._take_chunks(parts)
        if len(parts) > 1:
            _fold(parts)
        return ended

    def _take_chunks(self, parts: list[bytes]) -> bool:
        assert self._connection is not None
        come: list[bytes] = []
        while type(event := _next(self._connection)) is h11.Data:
            come.append(bytes(event.data))
        if come:
            parts.append(come[0] if len(come) == 1 else b"".join(come))
        if event is h11.NEED_DATA:
            return False
        if type(event) is not h11.EndOfMessage:
            raise EOFError
        self._rest = self._connection.trailing_data[0]
        return True

    def _take_told(self, parts: list[bytes]) -> bool:
        rest, left = self._rest, self._left_bytes
        if len(rest) > left:
            rest, self._rest = rest[:left], rest[left:]
        else:
            self._rest = b""
        if rest:
            parts.append(rest)
        self._left_bytes = left - len(rest)
        return not self._left_bytes

    @property
    def rest(self) -> bytes:
        """What came after the end of the body."""
        return self._rest


def _fold(parts: list[bytes]) -> None:
    """Join the last parts while they are small: crumbs would take many times their size."""
    while len(parts) > 1 and len(parts[-2]) <= min(len(parts[-1]), limits.READ_MAX_BYTES):
        last = parts.pop()
        parts[-1] += last


class RequestReader:
    """Reads a caller's connection, one request after the other."""

    __slots__ = ("_body", "_connection", "_raw", "awaits_continue", "begun", "ended")

    def __init__(self) -> None:
        """Begin with nothing read."""
        self._connection: h11.Connection | None = None
        self._raw = b""
        self._body: _Body | None = None
        self.begun = False
        """Whether a byte of the next head has come."""
        self.ended = False
        """Whether the request has been read to its end."""
        self.awaits_continue = False
        """Whether the caller sends its body only when it is told to."""

    def feed(self, data: bytes) -> None:
        """Take bytes from the socket; b"" when the caller has said all that it will say."""
        self.begun = True
        if self._body is None:
            self._raw = self._raw + data if self._raw else data
            if not data and self._connection is None:
                self._connection = _reader(h11.SERVER, self._raw)
            if self._connection is not None:
                self._connection.receive_data(data)
            return
        if data:
            self.awaits_continue = False
        try:
            self._body.feed(data)
        except EOFError:
            raise BadMessageError(400, "the body breaks off") from None

    def head(self) -> RequestHead | None:
        """The head of the request, or None while bytes are missing.

        Raises BadMessageError; EOFError when the caller closed between two requests.
        """
        if self._connection is None:
            plain = plain_request(self._raw)
            if plain is not None:
                head = RequestHead(
                    plain.first, plain.second, plain.headers, plain.values, http_1_1=True
                )
                self._body = _Body(None, head.body_bytes, self._raw[plain.end :])
                self._raw = b""
                return head
            self._connection = _reader(h11.SERVER, self._raw)
        return self._head_by_h11(self._connection)

    def _head_by_h11(self, connection: h11.Connection) -> RequestHead | None:
        event = _next(connection)
        if type(event) is h11.Request:
            head = RequestHead.from_h11(event, self._raw)
            self._raw = b""
            told = None if head.chunked else head.body_bytes
            self._body = _Body(connection, told, _rest_of(connection, told))
            self.awaits_continue = connection.they_are_waiting_for_100_continue
            return head
        if event is h11.NEED_DATA:
            if len(self._raw) > limits.HEAD_MAX_BYTES:
                raise BadMessageError(431, f"the head is larger than {limits.HEAD_MAX_BYTES} bytes")
            return None
        if type(event) is h11.ConnectionClosed:
            raise EOFError
        raise AssertionError(event)

    def take_body(self, parts: list[bytes]) -> bool:
        """Append what has come of the body; True when that was the last of it."""
        assert self._body is not None
        try:
            self.ended = self._body.take(parts)
        except EOFError:
            raise BadMessageError(400, "the body breaks off") from None
        if parts:
            self.awaits_continue = False
        return self.ended

    def start_next(self) -> None:
        """Go on to the request after this one, with the bytes of it that have come already."""
        assert self.ended
        assert self._body is not None
        following = self._body.rest
        self._connection = None
        self._body = None
        self.begun = False
        self.ended = False
        if following:
            self.feed(following)


class ResponseReader:
    """Reads the one answer that a provider owes."""

    __slots__ = ("_body", "_clean", "_connection", "_final", "_raw", "head")

    def __init__(self) -> None:
        """Begin with nothing read."""
        self._connection: h11.Connection | None = None
        self._body: _Body | None = None
        self._clean = False
        self._raw = b""
        self._final = False
        self.head: ResponseHead | None = None
        """The final answer's head, once it has come."""

    def feed(self, data: bytes) -> None:
        """Take bytes from the socket; b"" at its end. Raises BadMessageError."""
        if self._body is None:
            if not self._final and data:
                data = self._after_interim(data)
                if not data:
                    return
            self._raw = self._raw + data if self._connection is None else b""
            if not data and self._connection is None:
                self._connection = _reader(h11.CLIENT, self._raw)
            if self._connection is not None:
                self._connection.receive_data(data)
            return
        try:
            self._body.feed(data)
        except EOFError:
            raise BadMessageError(502, "the answer breaks off") from None

    def _after_interim(self, data: bytes) -> bytes:
        """Drop answers of 1xx, which h11 does not expect where no request went through it."""
        raw = self._raw + data
        while raw.startswith(_INTERIM):
            end = raw.find(b"\r\n\r\n")
            if end < 0:
                break
            raw = raw[end + 4 :]
        if raw.startswith(_INTERIM) or len(raw) < len(_INTERIM[0]):
            if len(raw) > limits.HEAD_MAX_BYTES:
                raise BadMessageError(502, "an interim answer has no end")
            self._raw = raw
            return b""
        self._raw = b""
        self._final = True
        return raw

    def take_head(self) -> ResponseHead | None:
        """The final answer's head, or None while bytes are missing. Raises BadMessageError."""
        if self._connection is None:
            if not self._final:
                return None
            plain = plain_response(self._raw)
            if plain is not None:
                status = int(plain.first)
                self.head = head = ResponseHead(status, plain.headers, plain.values, http_1_1=True)
                self._body = _Body(None, head.body_bytes, self._raw[plain.end :])
                self._raw = b""
                return head
            self._connection = _reader(h11.CLIENT, self._raw)
        event = _next(self._connection)
        if type(event) is h11.Response:
            self.head = head = ResponseHead.from_h11(event)
            rest = _rest_of(self._connection, head.body_bytes)
            self._body = _Body(self._connection, head.body_bytes, rest)
            return head
        if event is h11.NEED_DATA:
            return None
        raise BadMessageError(502, "the connection was closed without an answer")

    def take_body(self, parts: list[bytes]) -> bool:
        """Append what has come of the body; True when that was the last. Raises BadMessageError."""
        assert self._body is not None
        try:
            ended = self._body.take(parts)
        except EOFError:
            raise BadMessageError(502, "the answer breaks off") from None
        if ended:
            self._clean = not self._body.rest
        return ended

    @property
    def reusable(self) -> bool:
        """Whether the answer ended and the connection can carry another call."""
        return self._clean and self.head is not None and self.head.keep_alive


def _reader(role: type[h11.CLIENT] | type[h11.SERVER], raw: bytes) -> h11.Connection:
    """A connection that reads one message, and what has come of it."""
    connection = h11.Connection(role, max_incomplete_event_size=limits.HEAD_MAX_BYTES)
    if raw:
        connection.receive_data(raw)
    return connection


def _rest_of(connection: h11.Connection, told_bytes: int | None) -> bytes:
    """What came after a head; of a body without a length, h11 keeps it."""
    return b"" if told_bytes is None else connection.trailing_data[0]


def _next(connection: h11.Connection) -> object:
    try:
        return connection.next_event()
    except h11.RemoteProtocolError as error:
        # What h11 quotes is left out: it may be the line with the key.
        words = str(error).partition(": bytearray(")[0]
        raise BadMessageError(error.error_status_hint, words or "malformed HTTP") from None


_REASON = {
    200: b"OK",
    204: b"No Content",
    400: b"Bad Request",
    401: b"Unauthorized",
    402: b"Payment Required",
    403: b"Forbidden",
    404: b"Not Found",
    405: b"Method Not Allowed",
    408: b"Request Timeout",
    413: b"Content Too Large",
    415: b"Unsupported Media Type",
    421: b"Misdirected Request",
    429: b"Too Many Requests",
    431: b"Request Header Fields Too Large",
    500: b"Internal Server Error",
    501: b"Not Implemented",
    502: b"Bad Gateway",
    503: b"Service Unavailable",
    504: b"Gateway Timeout",
    505: b"HTTP Version Not Supported",
}
_STATUS_LINE = {
    status: b"HTTP/1.1 %d %b\r\n" % (status, reason) for status, reason in _REASON.items()
}
_INTERIM = (b"HTTP/1.1 1", b"HTTP/1.0 1")
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"
CLOSE: Header = (b"connection", b"close")
CHUNKED: Header = (b"transfer-encoding", b"chunked")


def response_head(status: int, headers: Iterable[Header]) -> bytes:
    """The bytes of an answer's head."""
    line = _STATUS_LINE.get(status) or b"HTTP/1.1 %d \r\n" % status
    return line + header_lines(headers) + b"\r\n"


def header_lines(headers: Iterable[Header]) -> bytes:
    """Header lines as they go on the wire. Names and values are ours or were read by h11."""
    return b"".join([b"%b: %b\r\n" % header for header in headers])


def chunk(payload: bytes) -> bytes:
    """One chunk of a body whose length is not known yet."""
    return b"%x\r\n%b\r\n" % (len(payload), payload)
