"""Compressed bodies, opened within bounds."""

import zlib

_GZIP_OR_ZLIB_BITS = 32 + zlib.MAX_WBITS
_STEP_BYTES = 1024 * 1024


class UnreadableBodyError(Exception):
    """The body is not in the encoding that it claims, or becomes too large."""


def is_identity(encoding: bytes | None) -> bool:
    """Whether a Content-Encoding says that the body is as it is."""
    return encoding is None or encoding.strip().lower() in (b"", b"identity")


def is_supported(encoding: bytes) -> bool:
    """Whether this program can open the encoding: gzip and deflate, and nothing stacked."""
    return encoding.strip().lower() in (b"gzip", b"x-gzip", b"deflate")


class Inflater:
    """Opens a gzip or deflate body piece by piece."""

    __slots__ = ("_first", "_inflate", "_left_bytes")

    def __init__(self, size_max_bytes: int) -> None:
        """Allow at most so many bytes to come out."""
        self._inflate = zlib.decompressobj(_GZIP_OR_ZLIB_BITS)
        self._left_bytes = size_max_bytes
        self._first = True

    def feed(self, data: bytes) -> bytes:
        """What these bytes become. Raises UnreadableBodyError."""
        if not data:
            return b""
        try:
            return self._bounded(data)
        except zlib.error:
            if not self._first:
                raise UnreadableBodyError("the compressed body is damaged") from None
        # "deflate" is zlib by the standard, and raw by what some programs send.
        self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            return self._bounded(data)
        except zlib.error:
            raise UnreadableBodyError("the body is not compressed as it says") from None

    def _bounded(self, data: bytes) -> bytes:
        parts: list[bytes] = []
        while data:
            part = self._inflate.decompress(data, min(_STEP_BYTES, self._left_bytes + 1))
            self._left_bytes -= len(part)
            if self._left_bytes < 0:
                raise UnreadableBodyError("the compressed body becomes too large")
            parts.append(part)
            data = self._inflate.unconsumed_tail
            if self._inflate.eof:
                break
        self._first = False
        return b"".join(parts)

    def finish(self) -> None:
        """Make sure that the body was whole. Raises UnreadableBodyError."""
        if not self._inflate.eof or self._inflate.unused_data:
            raise UnreadableBodyError("the compressed body breaks off or goes on after its end")


def inflate(body: bytes, size_max_bytes: int) -> bytes:
    """Open a whole gzip or deflate body. Raises UnreadableBodyError."""
    inflater = Inflater(size_max_bytes)
    opened = inflater.feed(body)
    inflater.finish()
    return opened
