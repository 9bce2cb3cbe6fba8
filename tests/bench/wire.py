"""Just enough HTTP/1.1, by hand, for a generator and an upstream that must not be the bottleneck.

Both ends are ours and send well-formed messages; what lies between them is what is measured. So
this reads only what it needs, and whatever it does not understand is an error, never a guess.
"""

from __future__ import annotations


class WireError(Exception):
    """The peer sent something that this reader does not understand."""


def head_end(data: bytes | bytearray) -> int:
    """Where the body begins, or -1 while the head is not complete."""
    found = data.find(b"\r\n\r\n")
    return -1 if found < 0 else found + 4


def content_length_bytes(head: bytes) -> int | None:
    """The Content-Length of a head, or None when the body is chunked."""
    lowered = head.lower()
    at = lowered.find(b"\r\ncontent-length:")
    if at >= 0:
        return int(lowered[at + 17 : lowered.index(b"\r\n", at + 17)])
    if b"\r\ntransfer-encoding: chunked\r\n" in lowered:
        return None
    raise WireError("a head has neither Content-Length nor chunked framing")


def dechunk(data: bytes | bytearray) -> bytes:
    """The payload of one complete chunked body; anything before or after its frame is an error."""
    parts: list[bytes] = []
    at = 0
    while True:
        line_end = data.find(b"\r\n", at)
        if line_end < 0:
            raise WireError("a chunked body ends inside a chunk size")
        size_bytes = int(data[at:line_end].split(b";", 1)[0], 16)
        start = line_end + 2
        end = start + size_bytes
        if data[end : end + 2] != b"\r\n":
            raise WireError("a chunk is not followed by a line end")
        if size_bytes == 0:
            if end + 2 != len(data):
                raise WireError("bytes follow the end of a chunked body")
            return b"".join(parts)
        parts.append(bytes(data[start:end]))
        at = end + 2


def chunk(payload: bytes) -> bytes:
    """One chunk frame."""
    return b"%x\r\n%b\r\n" % (len(payload), payload)


LAST_CHUNK = b"0\r\n\r\n"
