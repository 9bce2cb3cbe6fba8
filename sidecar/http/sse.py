"""Server-sent events: cut into frames wherever the bytes were split, and read when it pays.

A frame is everything up to and including a blank line; line ends are LF, CR LF or CR, also mixed.
Frames keep their original bytes, so that what is forwarded is what was sent. At most one incomplete
frame is held back, and its size is bounded.
"""

import re

from sidecar.http import limits

_FRAME_END = re.compile(rb"(?>\r\n|\n|\r)(?>\r\n|\n|\r)")
_LINE_END = re.compile(rb"\r\n|\n|\r")
_BOM = b"\xef\xbb\xbf"
_OVERLAP_BYTES = 3
"""The longest piece of a frame's end (CR LF CR LF) that can lie before a split."""


class FrameTooLargeError(Exception):
    """One event is larger than is taken."""


class Frames:
    """Cuts a stream into frames."""

    __slots__ = ("_after_cr", "_pending")

    def __init__(self) -> None:
        """Begin at the start of a stream."""
        self._pending = b""
        self._after_cr = False
        """The last frame ended in CR: a LF that comes next is the rest of its line end."""

    def feed(self, data: bytes) -> list[bytes]:
        """The frames that these bytes complete, each with the blank line that ends it."""
        if self._after_cr and data:
            self._after_cr = False
            if data.startswith(b"\n"):
                return [b"\n", *self.feed(data[1:])]
        pending = self._pending
        if pending:
            scan_from = max(0, len(pending) - _OVERLAP_BYTES)
            data = pending + data
        else:
            scan_from = 0
        if b"\r" not in data:
            return self._feed_plain(data)
        frames: list[bytes] = []
        start = 0
        for ending in _FRAME_END.finditer(data, scan_from):
            frames.append(data[start : ending.end()])
            start = ending.end()
        self._after_cr = 0 < start == len(data) and data.endswith(b"\r")
        self._keep(data[start:])
        return frames

    def _feed_plain(self, data: bytes) -> list[bytes]:
        """As `feed`, for a stream whose lines end in LF: what every provider sends."""
        parts = data.split(b"\n\n")
        self._keep(parts.pop())
        return [part + b"\n\n" for part in parts]

    def _keep(self, rest: bytes) -> None:
        self._pending = rest
        if len(rest) > limits.FRAME_MAX_BYTES:
            raise FrameTooLargeError(f"an event is larger than {limits.FRAME_MAX_BYTES} bytes")

    @property
    def pending_bytes(self) -> int:
        """How much of a frame has come that is not complete."""
        return len(self._pending)

    def rest(self) -> bytes:
        """What is left of an incomplete frame at the end of the stream."""
        rest, self._pending = self._pending, b""
        return rest

    @staticmethod
    def content_of(frame: bytes) -> bytes:
        """The data of a frame; b"" when it has none."""
        return data_of(frame)


def data_of(frame: bytes) -> bytes:
    """The data of a frame: its data lines joined by LF; b"" when it has none."""
    # Nearly every frame is one line of data; this spares it the general reading.
    if frame.startswith(b"data: ") and frame.endswith(b"\n\n"):
        line = frame[6:-2]
        if b"\n" not in line and b"\r" not in line:
            return line
    lines: list[bytes] = []
    for line in _LINE_END.split(frame.removeprefix(_BOM)):
        if line.startswith(b"data:"):
            value = line[5:]
            lines.append(value[1:] if value.startswith(b" ") else value)
        elif line == b"data":
            lines.append(b"")
    return b"\n".join(lines)
