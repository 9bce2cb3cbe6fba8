"""Metering Gemini's streams: server-sent events, or one JSON array that comes bit by bit.

Every chunk tells the usage so far, and nothing marks the end but the finish of each candidate. So
usage counts for good when all candidates that were asked for have finished; when fewer came than
were asked for, the clean end of the stream after the last of them counts as well.
"""

from protos.values import quantities as kinds
from sidecar.core.metering import Seen, Usage
from sidecar.http.json_array import Elements
from sidecar.providers import gemini_content
from sidecar.providers.reading import CallRequest, told_object
from sidecar.providers.streams import Cutter, StreamMeter


class ContentStream(StreamMeter):
    """Meters a stream of generated content; nothing is ever taken out."""

    __slots__ = ("_choices", "_ended", "_latest")

    def __init__(self, request: CallRequest, cutter: Cutter | None = None) -> None:
        """Begin with no usage told."""
        super().__init__(frames_matter=False, cutter=cutter)
        self._choices = request.asked.choices
        self._ended: set[int] = set()
        self._latest = b""

    def read_frame(self, data: bytes) -> bool:
        # Reading each chunk would cost more than all else: the usage of most is soon out of date.
        if b'"usageMetadata"' in data:
            self._latest = data
        if b'"finishReason"' in data or b'"blockReason"' in data or self.done:
            self._finish(data)
        elif b'"error"' in data:
            self.error_kind = gemini_content.error_kind(told_object(data))
        return True

    def _finish(self, data: bytes) -> None:
        chunk = told_object(data)
        self._ended |= gemini_content.ended_candidates(chunk)
        if len(self._ended) >= self._choices or gemini_content.is_blocked(chunk) or self.done:
            self.done = True
            self.usage = self._so_far() or self.usage

    def _so_far(self) -> Usage | None:
        return gemini_content.usage_of(told_object(self._latest)) if self._latest else None

    def rest(self) -> bytes:
        if self._ended and not self.error_kind:
            self.done = True
            self.usage = self._so_far() or self.usage
        return super().rest()

    def seen(self) -> Seen:
        told = self._so_far()
        if told is not None:
            self.input_quantities = {
                kind: count for kind, count in told.quantities.items() if kind in kinds.INPUT_KINDS
            }
        return super().seen()

    def seen_in(self, data: bytes) -> int:
        return gemini_content.seen_bytes(told_object(data))


class ArrayStream(ContentStream):
    """Meters the same as a JSON array."""

    __slots__ = ()
    tells_by_events = False

    def __init__(self, request: CallRequest) -> None:
        """Begin before the array's first byte."""
        super().__init__(request, Elements())
