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
_LARGE_BYTES = 4 * limits.KIB
"""From here on what comes is first searched for an end by itself."""
_OVERLAP_BYTES = 3
"""The longest piece of a frame's end (CR LF CR LF) that can lie before a split."""


class FrameTooLargeError(Exception):
    """One event is larger than is taken."""


class Frames:
    """Cuts a stream into frames."""

    __slots__ = ("_after_cr", "_kept", "_max_bytes", "_pending")

    def __init__(self, max_bytes: int | None = None) -> None:
        """Begin at the start of a stream; its frames may be larger than usual."""
        self._max_bytes = max_bytes or limits.FRAME_MAX_BYTES
        self._pending = b""
        self._kept = bytearray()
        """What follows the pending bytes of a large frame, and has no end in it."""
        self._after_cr = False
        """The last frame ended in CR: a LF that comes next is the rest of its line end."""

    def feed(self, data: bytes) -> list[bytes]:
        """The frames that these bytes complete, each with the blank line that ends it."""
        if self._after_cr and data:
            self._after_cr = False
            if data.startswith(b"\n"):
                return [b"\n", *self.feed(data[1:])]
        pending = self._pending
        if len(pending) > _LARGE_BYTES:
            tail = (pending[-_OVERLAP_BYTES:] + self._kept[-_OVERLAP_BYTES:])[-_OVERLAP_BYTES:]
            ends_a_line = b"\n" in data or b"\r" in data
            if not ends_a_line or _FRAME_END.search(tail + data) is None:
                # To join a picture anew with each read would take its square.
                self._kept += data
                self._check_size()
                return []
            pending = self._joined()
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
        self._check_size()

    def _check_size(self) -> None:
        if self.pending_bytes > self._max_bytes:
            raise FrameTooLargeError(f"an event is larger than {self._max_bytes} bytes")

    def _joined(self) -> bytes:
        if self._kept:
            self._pending += self._kept
            self._kept.clear()
        return self._pending

    @property
    def pending_bytes(self) -> int:
        """How much of a frame has come that is not complete."""
        return len(self._pending) + len(self._kept)

    def rest(self) -> bytes:
        """What is left of an incomplete frame at the end of the stream."""
        rest = self._joined()
        self._pending = b""
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
