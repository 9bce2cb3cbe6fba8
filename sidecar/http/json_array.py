"""A JSON array that comes bit by bit: cut into its elements wherever the bytes were split.

Only brackets and texts are looked at, never values: an element that is no JSON is handed on all the
same, for its reader to say so. Elements keep their original bytes, without the commas between them.
"""

import re

from sidecar.http import limits
from sidecar.http.sse import FrameTooLargeError

_MARK = re.compile(rb'["\\{}\[\]]')
_TEXT_MARK = re.compile(rb'["\\]')


class Elements:
    """Cuts an array of objects into the objects."""

    __slots__ = ("_depth", "_from", "_in_text", "_pending", "_scanned")

    def __init__(self) -> None:
        """Begin before the array's first byte."""
        self._pending = b""
        self._scanned = 0
        self._from = 0
        self._depth = 0
        self._in_text = False

    def feed(self, data: bytes) -> list[bytes]:
        """The elements that these bytes complete. Raises FrameTooLargeError."""
        pending = self._pending + data
        found: list[bytes] = []
        at = self._scanned
        while (mark := (_TEXT_MARK if self._in_text else _MARK).search(pending, at)) is not None:
            at = mark.end()
            byte = mark[0]
            if byte == b"\\":
                if at == len(pending):
                    # What it escapes has not come yet: look at both together.
                    at -= 1
                    break
                at += 1
            elif byte == b'"':
                self._in_text = not self._in_text
            elif byte in b"{[":
                self._depth += 1
                if self._depth == 2:
                    self._from = mark.start()
            else:
                self._depth -= 1
                if self._depth == 1:
                    found.append(pending[self._from : at])
                    self._from = at
        else:
            at = len(pending)
        if self._depth < 2:
            self._from = at
        self._pending = pending[self._from :]
        self._scanned = at - self._from
        self._from = 0
        if len(self._pending) > limits.FRAME_MAX_BYTES:
            raise FrameTooLargeError(f"an element is larger than {limits.FRAME_MAX_BYTES} bytes")
        return found

    @property
    def pending_bytes(self) -> int:
        """How much of an element has come that is not complete."""
        return len(self._pending)

    def rest(self) -> bytes:
        """What is left of an incomplete element at the end."""
        rest, self._pending = self._pending, b""
        return rest

    @staticmethod
    def content_of(element: bytes) -> bytes:
        """The JSON of an element: all of it."""
        return element
