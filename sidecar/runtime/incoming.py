"""What comes from a provider for one call: read off its connection, and what it tells.

It knows the answer and not the caller: so it can be read to its end after the caller has gone.
"""

from collections.abc import Callable

from sidecar.clock import Clock
from sidecar.core.exchange import Event, Exchange, State
from sidecar.core.metering import Seen, Usage
from sidecar.http import encoding, limits, sse
from sidecar.http.codec import BadMessageError, ResponseHead, ResponseReader
from sidecar.http.encoding import Inflater, UnreadableBodyError
from sidecar.providers.streams import StreamMeter, Untouched
from sidecar.runtime.catching_up import catch_up
from sidecar.runtime.prepared import Prepared
from sidecar.runtime.upstream import BrokenOffError, Line

BREAKS = (BrokenOffError, BadMessageError, UnreadableBodyError, sse.FrameTooLargeError)
"""The ways in which a provider's answer can be cut short or be no answer."""
NO_ROOM = "no_room"
"""What a call's record says when this sidecar, and not the provider, broke off for want of memory:
the provider may go on."""
_REQUEST_IDS = (b"x-request-id", b"request-id")


class Incoming:
    """One call's answer."""

    __slots__ = (
        "_clock",
        "_exchange",
        "_inflater",
        "call",
        "error_kind",
        "first_byte_ms",
        "line",
        "meter",
        "reader",
        "request_id",
        "seen",
        "sent_ms",
        "status",
        "tier",
        "unreadable",
        "usage",
    )

    def __init__(self, call: Prepared, exchange: Exchange, clock: Clock) -> None:
        """Begin before anything came; what happens is told to the exchange."""
        self.call = call
        self._exchange = exchange
        self._clock = clock
        self.line: Line | None = None
        """The connection, while it is this call's."""
        self.reader = ResponseReader()
        self.meter: StreamMeter | None = None
        """Reads a stream; None for a whole answer, and for a stream that cannot be read."""
        self._inflater: Inflater | None = None
        self.unreadable = False
        """It is packed in a way that nobody here can open."""
        self.usage: Usage | None = None
        """What the provider said it used, for good."""
        self.seen: Seen | None = None
        """What was seen of a whole answer without usage."""
        self.tier = ""
        self.sent_ms = 0
        """When the request was written whole, by the boot clock."""
        self.first_byte_ms = 0
        self.status = 0
        self.error_kind = ""
        self.request_id = ""

    def let_go(self) -> None:
        """Close the connection, if it is still this call's."""
        if self.line is not None:
            self.call.upstream.drop(self.line)
            self.line = None

    def now_boot_ms(self) -> int:
        """The time, by the boot clock."""
        return self._clock.now().boot_ms

    def sent(self) -> None:
        """The whole request was written."""
        self.sent_ms = self._clock.now().boot_ms
        self._exchange.step(Event.DISPATCH)

    async def head(self) -> ResponseHead:
        """The head of the answer, once it has come. Raises one of BREAKS."""
        line, reader = self.line, self.reader
        assert line is not None
        while (head := reader.take_head()) is None:
            reader.feed(await line.receive())
        self.first_byte_ms = max(1, self._clock.now().boot_ms - self.sent_ms)
        self.status = head.status
        for name in _REQUEST_IDS:
            if name in head.values:
                self.request_id = head.values[name].decode("latin-1")[:128]
                break
        self.tier = head.values.get(self.call.api.tier_header, b"").decode("latin-1")
        if 200 <= head.status < 300:
            self._exchange.step(Event.GOOD_HEAD)
        elif head.status in self.call.request.dialect.billed_errors:
            self._exchange.step(Event.BILLED_HEAD)
        else:
            self._exchange.step(Event.ERROR_HEAD)
        return head

    def note_error(self, kind: str) -> None:
        """Take what the body of an error says went wrong; "" when it does not say."""
        self.error_kind = kind or f"http_{self.status}"
        if self._exchange.state is State.FAILING:
            billed = self.call.request.dialect.billed_errors[self.status]
            if kind and billed and kind not in billed:
                self._exchange.step(Event.UNBILLED)

    # --- Whole answers ---------------------------------------------------------------------------

    async def whole(self, take_room: Callable[[int], None]) -> bytes:
        """The body of an answer that is no stream. Raises one of BREAKS, or as `take_room` does."""
        line, reader = self.line, self.reader
        assert line is not None
        parts: list[bytes] = []
        count_bytes = 0
        while True:
            before = len(parts)
            ended = reader.take_body(parts)
            come_bytes = sum(map(len, parts[before:]))
            count_bytes += come_bytes
            if count_bytes > limits.ANSWER_BODY_MAX_BYTES:
                raise BadMessageError(
                    502, f"the answer is larger than {limits.ANSWER_BODY_MAX_BYTES} bytes"
                )
            if ended:
                break
            take_room(come_bytes)
            reader.feed(await line.receive())
        self._give_back()
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _give_back(self) -> None:
        if self.reader.reusable and self.line is not None:
            self.call.upstream.give_back(self.line)
            self.line = None

    def opened(self, head: ResponseHead, body: bytes) -> bytes:
        """A body, opened when it came compressed in spite of all."""
        packed = head.values.get(b"content-encoding")
        if packed is None or encoding.is_identity(packed):
            return body
        if encoding.is_supported(packed):
            return encoding.inflate(body, limits.ANSWER_BODY_MAX_BYTES)
        self.unreadable = True
        return body

    # --- Streams ---------------------------------------------------------------------------------

    def stream_meter(self, head: ResponseHead) -> StreamMeter | None:
        """The meter of a stream; None when the answer is none."""
        api, request = self.call.api, self.call.request
        kind = head.values.get(b"content-type", b"").lower()
        if api.meter is not None and kind.startswith(b"text/event-stream"):
            return api.meter(request)
        if api.array_meter is not None and kind.startswith(b"application/json"):
            return api.array_meter(request)
        return Untouched() if api.answers_bytes else None

    def begin_stream(self, head: ResponseHead, meter: StreamMeter) -> None:
        """Meter what follows, if it can be read."""
        packed = head.values.get(b"content-encoding")
        if packed is not None and not encoding.is_identity(packed):
            if encoding.is_supported(packed):
                self._inflater = Inflater(limits.ANSWER_BODY_MAX_BYTES)
            else:
                self.unreadable = True
        self.meter = None if self.unreadable else meter

    def untouched_bytes(self, head: ResponseHead) -> int | None:
        """How many bytes a stream passes on that is neither read nor opened, if its head tells."""
        whole = isinstance(self.meter, Untouched) and self._inflater is None
        return head.body_bytes if whole else None

    def piece(self) -> tuple[bytes, bool]:
        """What has come of a stream, metered, to be passed on; and whether that was its end."""
        parts: list[bytes] = []
        ended = self.reader.take_body(parts)
        data = self.metered(parts[0] if len(parts) == 1 else b"".join(parts)) if parts else b""
        return data, ended

    def metered(self, data: bytes) -> bytes:
        """Read what has come, and say what of it to pass on. Raises one of BREAKS."""
        if self._inflater is not None:
            data = self._inflater.feed(data)
        meter = self.meter
        if meter is None:
            return data
        out = meter.take(data)
        self._note_usage(meter)
        return out

    def _note_usage(self, meter: StreamMeter) -> None:
        if meter.usage is not None and self.usage is None:
            self._exchange.step(Event.USAGE)
        self.usage = meter.usage

    def end_stream(self) -> bytes:
        """What is left to pass on at the clean end of a stream, which may tell its usage."""
        if self._inflater is not None:
            self._inflater.finish()
        self._give_back()
        meter = self.meter
        if meter is None:
            return b""
        rest = meter.rest()
        self._note_usage(meter)
        return rest

    def ended_early(self) -> bool:
        """Whether a stream ended without its mark of the end, or with an error."""
        meter = self.meter
        if meter is None:
            return False
        self.error_kind = meter.error_kind
        return bool(meter.error_kind) or not (meter.done or meter.usage)

    # --- Answers that nobody waits for -----------------------------------------------------------

    async def catch_up(self) -> None:
        """Take what the provider of an abandoned stream has sent already: it bills that."""
        if self.line is None or self.meter is None or self._exchange.state is not State.ANSWERING:
            return
        try:
            self.unreadable = not await catch_up(self.line, self.reader, self.metered)
        except BREAKS:
            return

    async def read_to_end(self) -> None:
        """Read on to the end of a stream. Raises one of BREAKS."""
        line = self.line
        assert line is not None
        if self._exchange.state is State.SENT:
            head = await self.head()
            meter = self.stream_meter(head)
            if meter is None:
                return
            self.begin_stream(head, meter)
        while True:
            _, ended = self.piece()
            if ended:
                break
            self.reader.feed(await line.receive())
        self.end_stream()

    def known(self) -> Seen | None:
        """What was seen of an answer that tells no usage; None when that is not known."""
        if self.unreadable:
            return None
        return self.seen if self.meter is None else self.meter.seen()
