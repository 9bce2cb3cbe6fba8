"""One caller's connection: its requests read, its answers written, its clock and its hang-ups.

Rules:
1. One cancel scope per connection, not per call or read: time limits are a number that the watch
   compares every quarter of a second. (Measured: two scopes a call cost 25 us.)
2. A connection whose scope was cancelled is never used again; what its caller is still told, it is
   told within a bound of its own.
3. A request that was not read to its end is thrown away within a bound, or the connection closed.
"""

from enum import Enum
from typing import NoReturn

import trio

from sidecar.http import codec, limits
from sidecar.http.codec import BadMessageError, RequestHead, RequestReader
from sidecar.http.surfaces import OPENAI
from sidecar.providers import envelopes
from sidecar.providers.envelopes import Fault
from sidecar.runtime.sockets import PlainStream

SLOW_HEAD = envelopes.wire_fault(
    408,
    "request_timeout",
    f"the head of the request did not come within {limits.HEAD_DEADLINE_MS // 1000} s",
)
SLOW_BODY = envelopes.wire_fault(
    408,
    "request_timeout",
    f"nothing of the request's body came for {limits.BODY_IDLE_MS // 1000} s",
)
SLOW_ANSWER = envelopes.wire_fault(
    504,
    "upstream_timeout",
    f"the provider did not finish within {limits.LONGEST_CALL_MS // 1000} s; it may bill the call, "
    "so its worst case is charged",
)
ENDING = envelopes.wire_fault(
    503, "shutting_down", "this sidecar is ending; the call was broken off", retry=True
)
_NEVER = float("inf")
_STALLED_LOOKS = limits.CALLER_STALL_MS // limits.HANG_UP_CHECK_MS


class FaultError(Exception):
    """The request is answered with a fault."""

    def __init__(self, fault: Fault) -> None:
        """Carry what the caller is told."""
        super().__init__(fault.message)
        self.fault = fault


class NoRoomError(FaultError):
    """The memory for bodies is used up."""


class CallerGoneError(Exception):
    """The caller closed its connection."""


class Room:
    """The memory that bodies may take, all connections together."""

    __slots__ = ("taken_bytes",)

    def __init__(self) -> None:
        """Begin empty."""
        self.taken_bytes = 0

    def take(self, count_bytes: int) -> None:
        """Take room. Raises NoRoomError when there is none."""
        if self.taken_bytes + count_bytes > limits.BUFFERED_MAX_BYTES:
            raise NoRoomError(
                envelopes.wire_fault(
                    503,
                    "overloaded",
                    f"this sidecar holds {limits.BUFFERED_MAX_BYTES} bytes of bodies, the most "
                    "that it takes; try again in a moment",
                    retry=True,
                )
            )
        self.taken_bytes += count_bytes

    def give(self, count_bytes: int) -> None:
        """Give room back."""
        self.taken_bytes -= count_bytes
        assert self.taken_bytes >= 0


class Why(Enum):
    """Why a connection was cancelled."""

    EXPIRED = "expired"
    """A time limit passed."""
    GONE = "gone"
    """The caller hung up."""
    ENDING = "ending"
    """The sidecar ends."""


class Caller:
    """One caller's connection."""

    __slots__ = (
        "_looks_without_progress",
        "_room",
        "_room_bytes",
        "_sending",
        "_sends",
        "_sends_seen",
        "bodiless",
        "chunked",
        "deadline",
        "ending",
        "events",
        "expiry",
        "family",
        "file_number",
        "head_sent",
        "keep",
        "reader",
        "scope",
        "stream",
        "watched",
        "why",
    )

    def __init__(self, stream: PlainStream | trio.SSLStream[trio.SocketStream], room: Room) -> None:
        """Take over an accepted connection, whose bodies share the room with others."""
        self.stream = stream
        self._room = room
        self._room_bytes = 0
        self.file_number = (
            stream.transport_stream.socket if isinstance(stream, trio.SSLStream) else stream.socket
        ).fileno()
        self.scope = trio.CancelScope()
        self.reader = RequestReader()
        self.family = OPENAI
        """The envelope that this caller understands, as far as it is known."""
        self.events = OPENAI
        """The shape of errors in the streams that it reads."""
        self.deadline = _NEVER
        """When the watch cancels, by trio's clock."""
        self.expiry: Fault | None = None
        """What the caller is told when the deadline passes; None for nothing."""
        self.ending = ENDING
        """What the caller is told when the sidecar ends."""
        self.watched = False
        """Whether a hang-up is to cancel what is being done for this caller."""
        self.why: Why | None = None
        """Why the scope was cancelled; None when it was not."""
        self.keep = True
        """Whether the connection may carry another request."""
        self.head_sent = False
        """Whether the head of the answer to this request has gone out."""
        self.chunked = False
        """Whether that answer's body goes out in chunks."""
        self.bodiless = False
        """Whether the answer to this request has a head only: it is a HEAD request."""
        self._sending = False
        self._sends = 0
        self._sends_seen = 0
        self._looks_without_progress = 0

    def expires_in(self, limit_ms: int, expiry: Fault | None) -> None:
        """Set what the connection may take from now on, and what the caller is told after it."""
        self.deadline = trio.current_time() + limit_ms / 1000
        self.expiry = expiry

    def never_expires(self) -> None:
        """Lift the time limit: somebody else minds the time."""
        self.deadline = _NEVER

    def cancel(self, why: Why) -> None:
        """Break off what is being done for this caller."""
        if self.why is None:
            self.why = why
            self.scope.cancel()

    @property
    def is_idle(self) -> bool:
        """Whether no request has begun."""
        return not self.reader.begun

    def look(self, now: float) -> None:
        """Let time pass: cancel what took too long, or what the caller does not take."""
        if now >= self.deadline:
            self.cancel(Why.EXPIRED)
        if not self._sending or self._sends != self._sends_seen:
            self._sends_seen = self._sends
            self._looks_without_progress = 0
            return
        self._looks_without_progress += 1
        if self._looks_without_progress > _STALLED_LOOKS:
            self.cancel(Why.GONE)

    def take_room(self, count_bytes: int) -> None:
        """Take memory for a body of this request. Raises NoRoomError when there is none."""
        self._room.take(count_bytes)
        self._room_bytes += count_bytes

    def give_room(self) -> None:
        """Give all memory back that this request took."""
        self._room.give(self._room_bytes)
        self._room_bytes = 0

    # --- Reading ---------------------------------------------------------------------------------

    async def _receive(self) -> bytes:
        try:
            return bytes(await self.stream.receive_some(limits.READ_MAX_BYTES))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise CallerGoneError from None

    async def read_head(self) -> RequestHead:
        """The head of the next request. Raises EOFError, BadMessageError, CallerGoneError."""
        reader = self.reader
        head = reader.head() if reader.begun else None
        if head is not None:
            return head
        if reader.begun:
            self.expires_in(limits.HEAD_DEADLINE_MS, SLOW_HEAD)
        else:
            self.expires_in(limits.CALLER_IDLE_MS, None)
            reader.feed(await self._receive())
            head = reader.head()
            if head is not None:
                return head
            self.expires_in(limits.HEAD_DEADLINE_MS, SLOW_HEAD)
        while head is None:
            reader.feed(await self._receive())
            head = reader.head()
        return head

    async def read_body(self, head: RequestHead, size_max_bytes: int) -> bytes:
        """The body. Raises BadMessageError, CallerGoneError, or FaultError when it is too large."""
        parts: list[bytes] = []
        if self.reader.take_body(parts):
            return _joined(parts)
        if head.body_bytes > size_max_bytes:
            _refuse_large(size_max_bytes)
        if self.reader.awaits_continue:
            await self.send(codec.CONTINUE)
        count_bytes = 0
        while True:
            self.expires_in(limits.BODY_IDLE_MS, SLOW_BODY)
            self.reader.feed(await self._receive())
            ended = self.reader.take_body(parts)
            before_bytes, count_bytes = count_bytes, sum(map(len, parts))
            self.take_room(count_bytes - before_bytes)
            if count_bytes > size_max_bytes:
                _refuse_large(size_max_bytes)
            if ended:
                return _joined(parts)

    async def _discard_rest(self) -> bool:
        """Throw away what is left of a request; False when that is too much, or no body."""
        parts: list[bytes] = []
        left_bytes = limits.DISCARD_MAX_BYTES
        try:
            while not self.reader.take_body(parts):
                left_bytes -= sum(map(len, parts))
                parts.clear()
                if left_bytes < 0:
                    return False
                data = await self._receive()
                if not data:
                    return False
                self.reader.feed(data)
        except BadMessageError:
            return False
        return True

    # --- Writing ---------------------------------------------------------------------------------

    async def send(self, data: bytes) -> None:
        """Write to the caller. Raises CallerGoneError."""
        self._sending = True
        self._sends += 1
        try:
            await self.stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise CallerGoneError from None
        # Not in a finally: what was cancelled half-way leaves nothing sensible to add.
        self._sending = False

    async def answer_fault(self, fault: Fault, *, read_rest: bool = True) -> None:
        """Answer with a fault, and keep the connection for the next request if that can be."""
        assert not self.head_sent
        headers, body = envelopes.render(fault, self.family)
        reader = self.reader
        rest_comes = self.keep and read_rest and not reader.ended and not reader.awaits_continue
        if not self.keep or not (reader.ended or rest_comes):
            headers.append(codec.CLOSE)
            self.keep = False
        self.head_sent = True
        shown = b"" if self.bodiless else body
        await self.send(codec.response_head(fault.status, headers) + shown)
        if rest_comes:
            self.expires_in(limits.LINGER_MS, None)
            self.keep = await self._discard_rest()

    async def tell_expiry(self) -> None:
        """Tell the caller of a cancelled connection why, if it can still be told."""
        fault = self.ending if self.why is Why.ENDING else self.expiry
        if fault is None or self.why is Why.GONE or self._sending:
            return
        try:
            if not self.head_sent:
                self.keep = False
                await self.answer_fault(fault, read_rest=False)
            elif self.chunked and self.events:
                event = envelopes.stream_error(fault, self.events)
                await self.send(codec.chunk(event) + codec.LAST_CHUNK)
        except CallerGoneError:
            return

    async def close(self) -> None:
        """Close so that what was sent last still arrives: take the caller's own bytes first."""
        with trio.move_on_after(limits.LINGER_MS / 1000, shield=True):
            try:
                if self.why is not Why.GONE and not self.reader.ended and self.head_sent:
                    await self._linger()
            except (CallerGoneError, trio.BrokenResourceError, trio.ClosedResourceError):
                pass
        self.give_room()
        if isinstance(self.stream, PlainStream):
            self.stream.close()
        else:
            await trio.aclose_forcefully(self.stream)

    async def _linger(self) -> None:
        if isinstance(self.stream, PlainStream):
            self.stream.send_eof()
        left_bytes = limits.DISCARD_MAX_BYTES * 4
        while left_bytes > 0 and (data := await self._receive()):
            left_bytes -= len(data)

    def start_next(self) -> None:
        """Go on to the next request."""
        self.reader.start_next()
        self.give_room()
        self.head_sent = False
        self.chunked = False
        self.watched = False
        self.ending = ENDING


def _joined(parts: list[bytes]) -> bytes:
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _refuse_large(size_max_bytes: int) -> NoReturn:
    raise FaultError(
        envelopes.wire_fault(
            413,
            "request_too_large",
            f"the body is larger than {size_max_bytes} bytes, the most that is taken",
        )
    )
