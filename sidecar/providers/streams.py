"""Metering a streamed answer while it passes.

Rules:
1. Bytes are passed on as they came; only whole frames are ever taken out, and then at most one
   incomplete frame is held back.
2. A frame is read as JSON only when it can tell usage or an error. What was generated so far is
   wanted only for an answer that breaks off; so frames are kept unread, within a bound, and counted
   when they are many or when the answer has broken off.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Protocol

from sidecar.core.metering import Seen, Usage
from sidecar.http import limits, sse

EVERYTHING = Seen(2**40)
"""Of an answer whose bytes say nothing of its tokens: as much as the call allows."""


class Cutter(Protocol):
    """Cuts a stream into frames."""

    @property
    def pending_bytes(self) -> int:
        """How much of a frame has come that is not complete."""
        ...

    def feed(self, data: bytes) -> list[bytes]:
        """The frames that these bytes complete. Raises FrameTooLargeError."""
        ...

    def rest(self) -> bytes:
        """What is left of an incomplete frame at the end of the stream."""
        ...

    def content_of(self, frame: bytes) -> bytes:
        """The data of a frame; b"" when it has none."""
        ...


class StreamMeter(ABC):
    """Reads one streamed answer, frame by frame."""

    __slots__ = (
        "_frames",
        "_frames_matter",
        "_seen_bytes",
        "_taken_out",
        "_unread",
        "_unread_bytes",
        "done",
        "error_kind",
        "input_quantities",
        "replacement",
        "usage",
    )

    tells_by_events: ClassVar[bool] = True
    """Whether it is made of events, so that an error of ours can follow as one."""

    def __init__(self, *, frames_matter: bool, cutter: Cutter | None = None) -> None:
        """Begin; `frames_matter` when a frame may have to be taken out."""
        self._frames: Cutter = cutter or sse.Frames()
        self._frames_matter = frames_matter
        self._taken_out = False
        self._unread: list[bytes] = []
        self._unread_bytes = 0
        self._seen_bytes = 0
        self.usage: Usage | None = None
        """What the provider said it used, for good."""
        self.input_quantities: Mapping[str, int] | None = None
        """What the provider said of the prompt, ahead of the rest."""
        self.error_kind = ""
        """The error that the provider sent within the stream, in a word."""
        self.replacement: bytes | None = None
        """What is passed on in place of the frame that was just read."""
        self.done = False
        """The provider's mark of the end has come."""

    @property
    def held_bytes(self) -> int:
        """How much of the answer is held back, or kept to be read."""
        return self._frames.pending_bytes

    @abstractmethod
    def read_frame(self, data: bytes) -> bool:
        """Look at the data of a frame; False to take the frame out of the stream."""

    @abstractmethod
    def seen_in(self, data: bytes) -> int:
        """Bytes of output in the data of a frame."""

    def take(self, data: bytes) -> bytes:
        """Read what has come, and say what to pass on now. Raises FrameTooLargeError."""
        frames = self._frames.feed(data)
        if not frames:
            return b"" if self._frames_matter else data
        kept: list[bytes] = []
        for frame in frames:
            content = self._frames.content_of(frame)
            if frame != b"\n":
                # A LF alone is the rest of the frame before it, and goes the same way.
                self._taken_out = bool(content) and not self.read_frame(content)
            if self.replacement is not None:
                frame, self.replacement = self.replacement, None  # noqa: PLW2901 - it takes its place
            if not self._taken_out:
                kept.append(frame)
            if self.usage is None and content:
                self._unread.append(content)
                self._unread_bytes += len(content)
        if self.usage is not None:
            self._unread.clear()
        elif self._unread_bytes > limits.UNREAD_DELTAS_MAX_BYTES:
            self._count_unread()
        return b"".join(kept) if self._frames_matter else data

    def rest(self) -> bytes:
        """What is left to pass on at the end of the stream."""
        rest = self._frames.rest()
        return rest if self._frames_matter else b""

    def seen(self) -> Seen:
        """What was seen of an answer that came without its usage."""
        self._count_unread()
        return Seen(self._seen_bytes + self._frames.pending_bytes, self.input_quantities)

    def _count_unread(self) -> None:
        for content in self._unread:
            self._seen_bytes += self.seen_in(content)
        self._unread.clear()
        self._unread_bytes = 0


class Untouched(StreamMeter):
    """Lets an answer of bytes pass that tells nothing."""

    __slots__ = ()

    def __init__(self) -> None:
        """Expect no mark of the end: the bytes end with the message."""
        super().__init__(frames_matter=False)
        self.done = True

    def take(self, data: bytes) -> bytes:
        """Pass all on."""
        return data

    def read_frame(self, data: bytes) -> bool:
        """There are no frames."""
        raise AssertionError(data[:0])

    def seen_in(self, data: bytes) -> int:
        """There are no frames."""
        raise AssertionError(data[:0])

    def seen(self) -> Seen:
        """Bytes of sound bound nothing."""
        return EVERYTHING
