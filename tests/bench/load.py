"""The load generator: raw sockets, one epoll, answers read by hand and checked byte for byte.

Rules:
1. Closed loop: each of `in_flight` connections sends its next call when the last one is answered.
   What is measured is capacity; the latency of a saturated closed loop is queueing, by Little's
   law about in_flight / throughput, and says little about the cost of one call.
2. Open loop (`rate_per_s`): calls are due at fixed times, whatever happened to those before, and
   their latency counts from when they were due. No coordinated omission.
3. A call counts in the window in which it ends. Calls that are open when the window closes are
   waited for, so that what the upstream answered and what was asked here are the same number.
4. Anything but the expected answer is an error, and one error makes the run invalid.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.bench import wire, workload

READ_BYTES = 65_536
STALL_NS = 30_000_000_000
ERRORS_BEFORE_GIVING_UP = 64
NS_PER_MS = 1_000_000


@dataclass(frozen=True, slots=True)
class Load:
    """What to send, how much of it, for how long."""

    port: int
    """Where, on 127.0.0.1."""
    request: bytes
    """The one request that is sent again and again."""
    in_flight: int
    """Connections, each with one call at a time; in an open loop, the most that may be open."""
    warm_up_ms: int
    """Time before the window opens."""
    window_ms: int
    """Time that is measured."""
    stream_events: int | None = None
    """For streams: the events that an answer must have, `[DONE]` included."""
    rate_per_s: int | None = None
    """Calls due per second; None for a closed loop."""
    ramp_ms: int = 0
    """Time over which a closed loop opens its connections."""
    once: bool = False
    """One call per connection, then none: for streams that are only held open."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Percentiles by nearest rank, in microseconds, rounded down."""

    p50_us: int
    p90_us: int
    p99_us: int
    max_us: int


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What one run showed."""

    window_ns: int
    """The window as it was, between its two callbacks."""
    calls: int
    """Calls that ended in the window."""
    events: int
    """Streamed events of those calls."""
    answered: int
    """All good answers, warm-up and drain included."""
    streaming_at_end: int
    """Streams open at the end of the window whose first event had arrived."""
    latency: Latency | None
    """Of the calls in the window; None when there were none."""
    first_event: Latency | None
    """Time to the first event, of all streams that ended; None for plain calls."""
    errors: int
    first_error: str | None

    @property
    def calls_per_s(self) -> float:
        return self.calls * 1e9 / self.window_ns

    @property
    def events_per_s(self) -> float:
        return self.events * 1e9 / self.window_ns


def latency(samples_ns: list[int]) -> Latency | None:
    """Percentiles of some durations; None of none."""
    if not samples_ns:
        return None
    ordered = sorted(samples_ns)

    def rank(percent: int) -> int:
        return ordered[-(-len(ordered) * percent // 100) - 1] // 1_000

    return Latency(rank(50), rank(90), rank(99), ordered[-1] // 1_000)


class AnswerError(Exception):
    """The answer is not the one that was to come."""


def events_in_answer(received: bytes | bytearray, stream_events: int | None) -> int | None:
    """The events of a complete, correct answer (0 of a plain one), or None while it is partial."""
    end = wire.head_end(received)
    if end < 0:
        return None
    if not received.startswith(b"HTTP/1.1 200 "):
        raise AnswerError(bytes(received[:600]).decode("latin-1"))
    if stream_events is None:
        length_bytes = wire.content_length_bytes(bytes(received[:end]))
        if length_bytes is None:
            raise AnswerError("a plain answer came in chunks")
        if len(received) < end + length_bytes:
            return None
        if received[end:] != _EXPECTED_BODY:
            raise AnswerError(f"the body was changed: {bytes(received[end:])[:600]!r}")
        return 0
    if not received.endswith(wire.LAST_CHUNK):
        return None
    payload = wire.dechunk(received[end:])
    events = payload.count(b"\n\n")
    if events != stream_events or not payload.endswith(b"data: [DONE]\n\n"):
        raise AnswerError(f"{events} events where {stream_events} were to come: {payload[-200:]!r}")
    return events


_EXPECTED_BODY = workload.response_body()


class _Client:
    """One connection and the call it is waiting for."""

    __slots__ = ("began_ns", "busy", "first_event_ns", "fresh", "received", "sock")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.received = bytearray()
        self.busy = False
        self.fresh = True
        self.began_ns = 0
        self.first_event_ns = 0


class Generator:
    """One run."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.poll = select.epoll()
        self.clients: dict[int, _Client] = {}
        self.idle: list[_Client] = []
        self.busy = 0
        self.fresh = 0
        self.arrivals = 0
        self.last_answer_ns = 0
        self.window_open = False
        self.stopping = False
        self.latencies_ns: list[int] = []
        self.first_events_ns: list[int] = []
        self.events = 0
        self.answered = 0
        self.errors = 0
        self.first_error: str | None = None

    def run(self, on_open: Callable[[], None], on_close: Callable[[], None]) -> LoadResult:
        """Warm up, call `on_open`, measure, call `on_close`, wait for what is still open."""
        self.start_ns = time.perf_counter_ns()
        self._turn_until(self.start_ns + self.load.warm_up_ms * NS_PER_MS)
        # A busy server accepts few connections a turn; one that has not been served yet would
        # count seconds in the backlog as latency.
        while self.fresh and not self.load.once and not self.hopeless:
            self._turn_until(time.perf_counter_ns() + 100 * NS_PER_MS)
        on_open()
        opened_ns = time.perf_counter_ns()
        self.window_open = True
        self._turn_until(opened_ns + self.load.window_ms * NS_PER_MS)
        self.window_open = False
        on_close()
        closed_ns = time.perf_counter_ns()
        streaming = sum(1 for client in self.clients.values() if client.first_event_ns)
        self.stopping = True
        self._drain()
        for client in self.clients.values():
            client.sock.close()
        self.poll.close()
        return LoadResult(
            window_ns=closed_ns - opened_ns,
            calls=len(self.latencies_ns),
            events=self.events,
            answered=self.answered,
            streaming_at_end=streaming,
            latency=latency(self.latencies_ns),
            first_event=latency(self.first_events_ns),
            errors=self.errors,
            first_error=self.first_error,
        )

    def _turn_until(self, deadline_ns: int) -> None:
        while (now_ns := time.perf_counter_ns()) < deadline_ns and not self.hopeless:
            self._turn(min(self._arrive(now_ns), deadline_ns))
            if self.busy and now_ns - max(self.start_ns, self.last_answer_ns) > STALL_NS:
                self._fail(f"no answer for {STALL_NS // 1_000_000_000} s")
                self.errors += ERRORS_BEFORE_GIVING_UP

    @property
    def hopeless(self) -> bool:
        """Too many errors for the run to be worth its time."""
        return self.errors > ERRORS_BEFORE_GIVING_UP

    def _drain(self) -> None:
        deadline_ns = time.perf_counter_ns() + STALL_NS
        while self.busy and not self.hopeless:
            now_ns = time.perf_counter_ns()
            if now_ns > deadline_ns:
                self._fail(f"{self.busy} calls were not answered when the run ended")
                return
            self._turn(now_ns + 100 * NS_PER_MS)

    def _arrive(self, now_ns: int) -> int:
        """Start the calls that are due; say when the next one is."""
        while not self.stopping:
            due_ns = self._due_ns(self.arrivals)
            if due_ns is None:
                break
            if due_ns > now_ns:
                return due_ns
            self.arrivals += 1
            if self.load.rate_per_s is None:
                self._send(self._connect(), now_ns)
            elif self.idle:
                self._send(self.idle.pop(), due_ns)
            elif len(self.clients) < self.load.in_flight:
                self._send(self._connect(), due_ns)
            else:
                self._fail(f"{self.load.in_flight} calls are open and the next one is due")
        return now_ns + 100 * NS_PER_MS

    def _due_ns(self, arrival: int) -> int | None:
        if self.load.rate_per_s is not None:
            return self.start_ns + arrival * 1_000_000_000 // self.load.rate_per_s
        if arrival >= self.load.in_flight:
            return None
        return self.start_ns + arrival * self.load.ramp_ms * NS_PER_MS // self.load.in_flight

    def _connect(self) -> _Client:
        sock = socket.create_connection(("127.0.0.1", self.load.port), timeout=10)
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client = _Client(sock)
        self.fresh += 1
        self.clients[sock.fileno()] = client
        self.poll.register(sock.fileno(), select.EPOLLIN)
        return client

    def _send(self, client: _Client, began_ns: int) -> None:
        client.began_ns = began_ns
        client.first_event_ns = 0
        client.received.clear()
        client.busy = True
        self.busy += 1
        try:
            sent = client.sock.send(self.load.request)
        except OSError as error:
            self._lose(client, f"a kept connection broke: {error}")
            return
        assert sent == len(self.load.request), "a request is far smaller than a socket's buffer"

    def _turn(self, until_ns: int) -> None:
        wait_s = max(0, until_ns - time.perf_counter_ns()) / 1e9
        # epoll rounds its timeout up to a millisecond, select does not: calls are due on time.
        select.select([self.poll], [], [], wait_s)
        for fd, _ in self.poll.poll(0):
            client = self.clients[fd]
            try:
                data = client.sock.recv(READ_BYTES)
            except BlockingIOError:
                continue
            except OSError as error:
                self._lose(client, f"a connection broke: {error}")
                continue
            now_ns = time.perf_counter_ns()
            if not data or not client.busy:
                self._lose(client, f"closed or unasked bytes, after {bytes(client.received)!r}")
                continue
            client.received += data
            try:
                events = events_in_answer(client.received, self.load.stream_events)
            except (AnswerError, wire.WireError, ValueError) as error:
                self._lose(client, str(error))
                continue
            streaming = self.load.stream_events is not None and not client.first_event_ns
            if streaming and b"data:" in client.received:
                client.first_event_ns = now_ns
            if events is not None:
                self._end(client, events, now_ns)

    def _end(self, client: _Client, events: int, now_ns: int) -> None:
        self.busy -= 1
        client.busy = False
        self.fresh -= client.fresh
        client.fresh = False
        self.answered += 1
        self.last_answer_ns = now_ns
        if client.first_event_ns:
            self.first_events_ns.append(client.first_event_ns - client.began_ns)
            client.first_event_ns = 0
        if self.window_open:
            self.latencies_ns.append(now_ns - client.began_ns)
            self.events += events
        if self.load.rate_per_s is not None:
            self.idle.append(client)
        elif not self.stopping and not self.load.once:
            self._send(client, now_ns)

    def _lose(self, client: _Client, why: str) -> None:
        """Count an error, close the connection and, in a closed loop, go on with another."""
        self._fail(why)
        self.busy -= client.busy
        self.fresh -= client.fresh
        if client in self.idle:
            self.idle.remove(client)
        self.poll.unregister(client.sock.fileno())
        del self.clients[client.sock.fileno()]
        client.sock.close()
        again = self.load.rate_per_s is None and not self.stopping and not self.load.once
        if again and not self.hopeless:
            self._send(self._connect(), time.perf_counter_ns())

    def _fail(self, why: str) -> None:
        self.errors += 1
        self.first_error = self.first_error or why
