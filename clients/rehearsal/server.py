"""The trio and h11 shell: reads requests whole, carries plans out, notices who hangs up.

Rules:
- One connection is two tasks: one only reads, so that a client's hanging up is seen at once, even
  while nothing is being written; the other answers.
- A call is settled exactly once. A whole answer is settled before its last bytes leave.
- A client that goes away from a stream is billed for the prompt, for the tokens generated so far
  and for one more chunk, or to the end where the plan says so; from a plain answer, for all of it.
"""

import contextlib
import logging
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

import h11
import trio

from clients.rehearsal import clock, limits
from clients.rehearsal.bill import NOTHING, Quantities
from clients.rehearsal.incoming import Answer, Request, encode
from clients.rehearsal.knobs import Knobs
from clients.rehearsal.plan import Stream
from clients.rehearsal.provider import Metered, Provider

_log = logging.getLogger("rehearsal")

ByteStream = trio.SocketStream | trio.SSLStream[trio.SocketStream]
_GONE = (trio.BrokenResourceError, trio.ClosedResourceError)


class _HangUp(Exception):  # noqa: N818 - it is a knob, not a fault
    """The provider closes the socket here."""


@dataclass(slots=True)
class _Interlude:
    """What the knobs do in the middle of a stream, each thing once."""

    stall: int | None
    """After how many chunks it falls silent; None: never, or no more."""
    hang_up: int | None
    """After how many chunks it hangs up."""
    break_off: int | None
    """After how many chunks it sends an error."""

    @classmethod
    def of(cls, knobs: Knobs) -> "_Interlude":
        return cls(knobs.stall_after_chunks, knobs.hangup_after_chunks, knobs.error_after_chunks)

    @staticmethod
    def _due(after: int | None, sent: int | None) -> bool:
        """Return whether it is time; sent is None after the last chunk, the latest moment."""
        return after is not None and (sent is None or sent == after)

    def stalls(self, sent: int | None) -> bool:
        if not self._due(self.stall, sent):
            return False
        self.stall = None
        return True

    def hangs_up(self, sent: int | None) -> bool:
        return self._due(self.hang_up, sent)

    def breaks(self, sent: int | None) -> bool:
        return self._due(self.break_off, sent)


class Server:
    """Serves one provider's connections."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider
        self._open_connections = 0

    async def serve_connection(self, stream: ByteStream) -> None:
        """Serve one connection until either side closes it."""
        if self._open_connections >= limits.CONNECTIONS_MAX:
            await trio.aclose_forcefully(stream)
            return
        self._open_connections += 1
        try:
            await _Connection(stream, self.provider).run()
        finally:
            self._open_connections -= 1


class _Connection:
    """One client's connection."""

    def __init__(self, stream: ByteStream, provider: Provider) -> None:
        self._stream = stream
        self._provider = provider
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=limits.HEAD_BYTES_MAX)
        self._inbox = bytearray()
        self._eof = False
        self._discarding = False
        self._head_only = False
        self._arrived = trio.Event()
        self._drained = trio.Event()
        self._answering: trio.CancelScope | None = None

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._read)
            try:
                await self._converse()
            except _GONE:
                pass
            except Exception:  # noqa: BLE001 - one connection's fault must not end the others
                _log.exception("a connection failed")
            nursery.cancel_scope.cancel()
        await self._close()

    async def _close(self) -> None:
        with trio.move_on_after(limits.CLOSE_S, shield=True) as scope:
            with contextlib.suppress(*_GONE):
                await self._stream.aclose()
        if scope.cancelled_caught:
            await trio.aclose_forcefully(self._stream)

    async def _read(self) -> None:
        while True:
            try:
                data = await self._stream.receive_some(limits.RECEIVE_BYTES)
            except _GONE:
                data = b""
            if not data:
                self._eof = True
                self._arrived.set()
                if self._answering is not None:
                    self._answering.cancel()
                return
            if not self._discarding:
                self._inbox += data
            self._arrived.set()
            if len(self._inbox) > limits.INBOX_BYTES_MAX:
                self._drained = trio.Event()
                await self._drained.wait()

    async def _receive(self) -> bytes:
        """Return what has come in; nothing at the end."""
        while not self._inbox and not self._eof:
            self._arrived = trio.Event()
            await self._arrived.wait()
        data = bytes(self._inbox)
        self._inbox.clear()
        self._drained.set()
        return data

    async def _write(self, data: bytes) -> None:
        with trio.move_on_after(limits.SEND_S) as scope:
            await self._stream.send_all(data)
        if scope.cancelled_caught:
            raise trio.BrokenResourceError("the client does not read")

    async def _send(self, *events: h11.Event) -> None:
        """Write events at once."""
        await self._write(b"".join(self._h11.send(event) or b"" for event in events))

    async def _converse(self) -> None:
        while True:
            try:
                request = await self._next_request()
            except h11.RemoteProtocolError as error:
                await self._refuse_malformed(error.error_status_hint, str(error))
                return
            if request is None:
                return
            self._head_only = request.method == "HEAD"
            now_ns = clock.monotonic_ns()
            decided = self._provider.handle(request, now_ns, clock.unix_s())
            try:
                if isinstance(decided, Answer):
                    await self._send_answer(decided)
                else:
                    await self._serve(decided)
            except _HangUp:
                await trio.aclose_forcefully(self._stream)
                return
            if self._eof or self._h11.our_state is not h11.DONE:
                return
            if self._h11.their_state is not h11.DONE:
                return
            self._h11.start_next_cycle()

    async def _next_event(self) -> h11.Event | type[h11.PAUSED]:
        while True:
            event = self._h11.next_event()
            if not isinstance(event, type) or event is h11.PAUSED:
                return event
            if self._h11.they_are_waiting_for_100_continue:
                await self._send(h11.InformationalResponse(status_code=100, headers=[]))
            self._h11.receive_data(await self._receive())

    async def _next_request(self) -> Request | None:
        """Return the next request, read whole; None if there is none, or it takes too long."""
        head: h11.Event | type[h11.PAUSED] | None = None
        with trio.move_on_after(limits.IDLE_S):
            head = await self._next_event()
        if not isinstance(head, h11.Request):
            return None
        with trio.move_on_after(limits.BODY_S):
            return _request_of(head, await self._read_body())
        return None

    async def _read_body(self) -> bytes:
        parts: list[bytes] = []
        size = 0
        while True:
            event = await self._next_event()
            if not isinstance(event, h11.Data):
                return b"".join(parts)
            size += len(event.data)
            if size > limits.BODY_BYTES_MAX:
                raise h11.RemoteProtocolError("the body is too large", error_status_hint=413)
            parts.append(bytes(event.data))

    async def _refuse_malformed(self, status: int, why: str) -> None:
        if self._h11.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return
        error = {"message": why, "type": "invalid_request_error", "param": None, "code": None}
        await self._send_answer(
            Answer(status, encode({"error": error}), (("connection", "close"),))
        )
        # Closing on unread bytes would reset the connection before the answer is read.
        self._discarding = True
        self._inbox.clear()
        self._drained.set()
        with trio.move_on_after(limits.CLOSE_S):
            if isinstance(self._stream, trio.SocketStream):
                await self._stream.send_eof()
            while not self._eof:
                await self._receive()

    async def _send_body(self, data: bytes, split_bytes: int | None) -> None:
        step = split_bytes or len(data)
        for at in range(0, len(data), step):
            await self._send(h11.Data(data=data[at : at + step]))

    async def _send_answer(self, answer: Answer, split_bytes: int | None = None) -> None:
        head = _head_of(answer)
        if self._head_only:
            await self._send(head, h11.EndOfMessage())
            return
        if split_bytes is None:
            await self._send(head, h11.Data(data=answer.body), h11.EndOfMessage())
            return
        await self._send(head)
        await self._send_body(answer.body, split_bytes)
        await self._send(h11.EndOfMessage())

    async def _serve(self, metered: Metered) -> None:
        """Carry a plan out, and settle it however it ends."""
        with trio.CancelScope() as scope:
            self._answering = scope
            if self._eof:
                scope.cancel()
            try:
                await self._play(metered)
            except _GONE:
                self._eof = True
            finally:
                self._answering = None
                if not metered.call.ended:
                    self._settle_cut_short(metered)

    def _settle(self, metered: Metered, outcome: str, used: Quantities) -> None:
        self._provider.settle(metered, outcome, used, clock.monotonic_ns())

    def _settle_cut_short(self, metered: Metered) -> None:
        plan, call = metered.plan, metered.call
        outcome = "client_gone" if self._eof else "hung_up"
        if plan.refusal is not None:
            used = NOTHING
        elif plan.stream is None or (plan.runs_on and self._eof):
            used = plan.used
        else:
            used = plan.generated(call.generated_tokens + plan.knobs.chunk_tokens)
        self._settle(metered, outcome, used)

    async def _play(self, metered: Metered) -> None:
        plan, call = metered.plan, metered.call
        knobs = plan.knobs
        if knobs.latency_ms:
            await trio.sleep(knobs.latency_ms / 1000)
        if plan.refusal is not None:
            call.status = plan.refusal.status
            self._settle(metered, "error", NOTHING)
            await self._send_answer(plan.refusal, knobs.split_bytes)
            return
        if knobs.hangup_before_headers:
            self._hang_up(metered, plan.used)
        if plan.stream is None:
            await self._play_plain(metered)
        else:
            await self._play_stream(metered, plan.stream)

    def _hang_up(self, metered: Metered, used: Quantities) -> None:
        self._settle(metered, "hung_up", used if metered.plan.knobs.bill_hangup else NOTHING)
        raise _HangUp

    async def _play_plain(self, metered: Metered) -> None:
        plan, call = metered.plan, metered.call
        body = await trio.to_thread.run_sync(plan.body) if plan.heavy else plan.body()
        call.status = 200
        answer = Answer(200, body, metered.headers, plan.content_type)
        if plan.knobs.hangup_after_chunks is not None:
            await self._send(_head_of(answer))
            await self._send_body(body[: len(body) // 2], plan.knobs.split_bytes)
            self._hang_up(metered, plan.used)
        self._settle(metered, "done", plan.used)
        await self._send_answer(answer, plan.knobs.split_bytes)

    async def _play_stream(self, metered: Metered, stream: Stream) -> None:
        plan, call = metered.plan, metered.call
        split_bytes = plan.knobs.split_bytes
        interlude = _Interlude.of(plan.knobs)
        call.status = 200
        headers = [("content-type", stream.content_type), *metered.headers]
        headers.append(("cache-control", "no-cache"))
        await self._send(h11.Response(status_code=200, headers=headers))
        for data in stream.opening:
            await self._send_body(data, split_bytes)
        pace_s = plan.knobs.chunk_ms / 1000
        due = trio.current_time()
        for sent, chunk in enumerate(stream.chunks()):
            if await self._interrupted(metered, stream, interlude, sent):
                return
            if sent and pace_s:
                # A stall or a slow client shifts what follows; it is not caught up with a burst.
                due = max(due, trio.current_time() - pace_s) + pace_s
                await trio.sleep_until(due)
            call.generated_tokens += chunk.tokens
            await self._send_body(chunk.data, split_bytes)
        if await self._interrupted(metered, stream, interlude, None):
            return
        self._settle(metered, "done", plan.used)
        for data in stream.closing:
            await self._send_body(data, split_bytes)
        await self._send(h11.EndOfMessage())

    async def _interrupted(
        self, metered: Metered, stream: Stream, interlude: _Interlude, sent: int | None
    ) -> bool:
        """Stall, hang up or break the stream if a knob says so; true if it broke."""
        plan, call = metered.plan, metered.call
        if interlude.stalls(sent):
            await trio.sleep(plan.knobs.stall_ms / 1000)
        if interlude.hangs_up(sent):
            self._hang_up(metered, plan.generated(call.generated_tokens))
        if not interlude.breaks(sent):
            return False
        self._settle(metered, "error", plan.generated(call.generated_tokens))
        await self._send_body(stream.broken, plan.knobs.split_bytes)
        await self._send(h11.EndOfMessage())
        return True


def _head_of(answer: Answer) -> h11.Response:
    headers = [
        ("content-type", answer.content_type),
        ("content-length", str(len(answer.body))),
        *answer.headers,
    ]
    return h11.Response(status_code=answer.status, headers=headers)


def _request_of(head: h11.Request, body: bytes) -> Request:
    try:
        target = urlsplit(head.target.decode("ascii"))
        query = dict(parse_qsl(target.query, keep_blank_values=True, max_num_fields=32))
    except ValueError:
        raise h11.RemoteProtocolError("the request target is no URL") from None
    return Request(
        method=head.method.decode("ascii"),
        path=target.path,
        query=query,
        headers={name.decode("ascii"): value.decode("latin-1") for name, value in head.headers},
        body=body,
    )
