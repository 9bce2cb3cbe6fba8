"""Heads in the plain form that every client and provider sends, read by one regular expression.

h11 is the reader of record. What stands here takes a part of what h11 takes, and reads it the same;
a test holds the two together on random heads. Whatever is less than plain is left to h11: a head
that is not whole, other versions, characters beyond printable ASCII, and every header that changes
how a message is framed. (Measured: 7 us instead of 30 for each of the two heads of a call.)
"""

import re

from sidecar.http import limits

Header = tuple[bytes, bytes]

_LINES = rb"((?:[!#$%&'*+.^_`|~0-9A-Za-z-]++:[\x20-\x7e]*+\r\n)++)\r\n"
_LINE = re.compile(rb"([^:]++):([^\r]*+)\r\n")
_REQUEST = re.compile(rb"([A-Z]++) (/[\x21-\x7e]*+) HTTP/1\.1\r\n" + _LINES)
_RESPONSE = re.compile(rb"HTTP/1\.1 ([2-5][0-9][0-9])(?: [\x20-\x7e]*+)?\r\n" + _LINES)
_LENGTH_MAX_DIGITS = 15
_NOT_PLAIN = frozenset((b"transfer-encoding", b"expect", b"upgrade"))


class PlainHead:
    """What a plain head says."""

    __slots__ = ("end", "first", "headers", "second", "values")

    def __init__(
        self,
        first: bytes,
        second: bytes,
        headers: list[Header],
        values: dict[bytes, bytes],
        end: int,
    ) -> None:
        """Take the parts of a head."""
        self.first = first
        """The method, or the status."""
        self.second = second
        """The target; empty for an answer."""
        self.headers = headers
        """Names in lower case, values without spaces around them."""
        self.values = values
        """The same by name; of repeated ones the last."""
        self.end = end
        """Where the body begins."""


def plain_request(raw: bytes) -> PlainHead | None:
    """The head of the request that these bytes begin with; None when h11 must look at it."""
    match = _REQUEST.match(raw)
    if match is None or match.end() > limits.HEAD_MAX_BYTES:
        return None
    method, target, lines = match.groups()
    headers = _headers(lines)
    values = dict(headers)
    if (
        len(values) != len(headers)
        or len(headers) > limits.HEAD_MAX_HEADERS
        or b"host" not in values
        or not _NOT_PLAIN.isdisjoint(values)
        or not _is_length(values.get(b"content-length", b"0"))
    ):
        return None
    return PlainHead(method, target, headers, values, match.end())


def plain_response(raw: bytes) -> PlainHead | None:
    """The head of the answer that these bytes begin with; None when h11 must look at it."""
    match = _RESPONSE.match(raw)
    if match is None or match.end() > limits.HEAD_MAX_BYTES:
        return None
    status, lines = match.groups()
    headers = _headers(lines)
    values = dict(headers)
    if (
        status in (b"204", b"304")
        or not _NOT_PLAIN.isdisjoint(values)
        or not _is_length(values.get(b"content-length", b""))
        or (len(values) != len(headers) and _repeats_length(headers))
    ):
        return None
    return PlainHead(status, b"", headers, values, match.end())


def _headers(lines: bytes) -> list[Header]:
    return [(name.lower(), value.strip(b" ")) for name, value in _LINE.findall(lines)]


def _is_length(value: bytes) -> bool:
    return value.isdigit() and len(value) <= _LENGTH_MAX_DIGITS


def _repeats_length(headers: list[Header]) -> bool:
    return sum(name == b"content-length" for name, _ in headers) > 1
