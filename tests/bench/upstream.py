"""A replay provider, fast enough never to be what is measured.

`python -m tests.bench.upstream [--cert FILE]` listens on an ephemeral port of
127.0.0.1, prints `bench upstream on 127.0.0.1:PORT` and answers until it is killed:

* `POST /v1/chat/completions`: a fixed completion, or server-sent events when the body says
  `"stream": true`, shaped by the body's `metadata` (see `workload`). The usage chunk is sent when
  `stream_options.include_usage` asks for it, as the real provider does.
* `GET /counts`: how many calls, streams and usage chunks it has answered; the outside truth that
  the ledger is compared with.

One thread, one epoll. Streams without a gap are served round robin, one event each per turn, so
that many streams arrive interleaved as they do from a real provider, and no event is glued to
the next by the sender. A socket that will not take more bytes waits for EPOLLOUT and gets no
further events.
"""

from __future__ import annotations

import argparse
import heapq
import json
import select
import socket
import ssl
import time
from typing import Any

from tests.bench import wire, workload

WOULD_BLOCK = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
READ_BYTES = 65_536
HEADS_REMEMBERED = 1_024

_HEADERS = (
    b"HTTP/1.1 200 OK\r\n"
    b"date: Sun, 23 Nov 2025 10:00:00 GMT\r\n"
    b"content-type: %b\r\n"
    b"openai-version: 2020-10-01\r\n"
    b"openai-processing-ms: 310\r\n"
    b"x-request-id: req_5d1f0f2b7c8e4a6b9d3c2e1f0a9b8c7d\r\n"
)
_BODY = workload.response_body()
PLAIN_ANSWER = _HEADERS % b"application/json" + b"content-length: %d\r\n\r\n" % len(_BODY) + _BODY
STREAM_HEAD = _HEADERS % b"text/event-stream" + b"transfer-encoding: chunked\r\n\r\n"


class Connection:
    """One accepted socket and what is still to be read from it and sent to it."""

    __slots__ = ("events", "gap_ns", "handshaking", "next_event", "received", "sock", "unsent")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.handshaking = isinstance(sock, ssl.SSLSocket)
        self.received = b""
        self.unsent = b""
        self.events: list[bytes] = []
        self.next_event = 0
        self.gap_ns = 0


class Upstream:
    """The event loop and everything it knows."""

    def __init__(self, listener: socket.socket, tls: ssl.SSLContext | None) -> None:
        self.listener = listener
        self.tls = tls
        self.poll = select.epoll()
        self.poll.register(listener.fileno(), select.EPOLLIN)
        self.connections: dict[int, Connection] = {}
        self.rushing: dict[Connection, None] = {}
        self.paced: list[tuple[int, int, Connection]] = []
        self.pushed = 0
        self.lengths: dict[bytes, int] = {}
        self.scripts: dict[tuple[int, bool], list[bytes]] = {}
        self.counts = {"calls": 0, "streams": 0, "usage_chunks": 0, "hang_ups": 0}

    def run(self) -> None:
        """Serve until the process is killed."""
        listening = self.listener.fileno()
        while True:
            for fd, mask in self.poll.poll(self._wait_s()):
                if fd == listening:
                    self._accept()
                    continue
                connection = self.connections[fd]
                if mask & select.EPOLLOUT and not connection.handshaking:
                    self._send(connection, b"")
                if mask & ~select.EPOLLOUT or connection.handshaking:
                    self._read(fd, connection)
            for connection in list(self.rushing):
                self._next_event(connection)
            now_ns = time.monotonic_ns()
            while self.paced and self.paced[0][0] <= now_ns:
                due_ns, _, connection = heapq.heappop(self.paced)
                if self._next_event(connection):
                    self._pace(connection, due_ns + connection.gap_ns)

    def _wait_s(self) -> float:
        if self.rushing:
            return 0
        if self.paced:
            return max(0, self.paced[0][0] - time.monotonic_ns()) / 1e9
        return -1

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self.listener.accept()
            except BlockingIOError:
                return
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.tls is not None:
                sock = self.tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
            self.connections[sock.fileno()] = Connection(sock)
            self.poll.register(sock.fileno(), select.EPOLLIN)

    def _close(self, fd: int, connection: Connection) -> None:
        if connection.events:
            self.counts["hang_ups"] += 1
            connection.events = []
            self.rushing.pop(connection, None)
        self.poll.unregister(fd)
        del self.connections[fd]
        connection.sock.close()

    def _read(self, fd: int, connection: Connection) -> None:
        data = self._received(connection)
        if data is None:
            self._close(fd, connection)
            return
        connection.received += data
        end = wire.head_end(connection.received)
        if end < 0:
            return
        try:
            self._answer(connection, end)
        except (wire.WireError, ValueError) as error:
            body = f"the bench upstream does not understand: {error}\n".encode()
            head = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"
            self._send(connection, head % len(body) + body)
            self._close(fd, connection)

    def _received(self, connection: Connection) -> bytes | None:
        """What has arrived, perhaps nothing yet; None when the peer is gone."""
        parts = []
        try:
            if connection.handshaking:
                assert isinstance(connection.sock, ssl.SSLSocket)
                connection.sock.do_handshake()
                connection.handshaking = False
            while True:
                data = connection.sock.recv(READ_BYTES)
                if not data:
                    return None
                parts.append(data)
                # Decrypted bytes wait inside the TLS object, where epoll does not see them.
                if self.tls is None:
                    break
        except WOULD_BLOCK:
            pass
        except OSError:
            return None
        return b"".join(parts)

    def _answer(self, connection: Connection, end: int) -> None:
        """Answer the request whose head ends at `end`, once its body is there."""
        data = connection.received
        head = data[:end]
        if head.startswith(b"GET /counts "):
            body = json.dumps(self.counts).encode()
            connection.received = data[end:]
            self._send(
                connection, b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body
            )
            return
        length_bytes = self._body_length_bytes(head)
        if len(data) < end + length_bytes:
            return
        body = data[end : end + length_bytes]
        connection.received = data[end + length_bytes :]
        self.counts["calls"] += 1
        # Parsing is for streams alone: a plain call must cost next to nothing here.
        if b'"stream"' in body:
            asked = json.loads(body)
            if asked.get("stream"):
                self._start_stream(connection, asked)
                return
        self._send(connection, PLAIN_ANSWER)

    def _body_length_bytes(self, head: bytes) -> int:
        length_bytes = self.lengths.get(head)
        if length_bytes is None:
            if not head.startswith(b"POST " + workload.PATH.encode() + b" "):
                raise wire.WireError(f"unexpected request: {head[:80]!r}")
            length_bytes = wire.content_length_bytes(head)
            if length_bytes is None:
                raise wire.WireError("this upstream takes no chunked requests")
            if len(self.lengths) < HEADS_REMEMBERED:
                self.lengths[head] = length_bytes
        return length_bytes

    def _start_stream(self, connection: Connection, asked: dict[str, Any]) -> None:
        options = asked.get("stream_options") or {}
        shape = asked.get("metadata") or {}
        script = (
            int(shape.get("events", workload.STREAM_EVENTS)),
            options.get("include_usage") is True,
        )
        if script not in self.scripts:
            events = workload.stream_events(script[0], include_usage=script[1])
            framed = [wire.chunk(event) for event in events]
            self.scripts[script] = [STREAM_HEAD + framed[0], *framed[1:]]
        self.counts["streams"] += 1
        self.counts["usage_chunks"] += script[1]
        connection.events = self.scripts[script]
        connection.next_event = 0
        connection.gap_ns = int(shape.get("gap_ms", 0)) * 1_000_000
        if connection.gap_ns:
            if self._next_event(connection):
                self._pace(connection, time.monotonic_ns() + connection.gap_ns)
        else:
            self.rushing[connection] = None

    def _pace(self, connection: Connection, due_ns: int) -> None:
        self.pushed += 1
        heapq.heappush(self.paced, (due_ns, self.pushed, connection))

    def _next_event(self, connection: Connection) -> bool:
        """Send the next event if the socket keeps up; say whether more are to come."""
        if not connection.events:
            return False
        if connection.unsent:
            return True
        payload = connection.events[connection.next_event]
        connection.next_event += 1
        more = connection.next_event < len(connection.events)
        if not more:
            payload += wire.LAST_CHUNK
            connection.events = []
            self.rushing.pop(connection, None)
        self._send(connection, payload)
        return more

    def _send(self, connection: Connection, payload: bytes) -> None:
        waiting = connection.unsent
        payload = waiting + payload
        try:
            sent = connection.sock.send(payload) if payload else 0
        except WOULD_BLOCK:
            sent = 0
        except OSError:
            # The read side sees the same broken socket and closes it.
            sent = len(payload)
        connection.unsent = payload[sent:]
        if connection.unsent and not waiting:
            self.poll.modify(connection.sock.fileno(), select.EPOLLIN | select.EPOLLOUT)
            self.rushing.pop(connection, None)
        elif waiting and not connection.unsent:
            self.poll.modify(connection.sock.fileno(), select.EPOLLIN)
            if connection.events and not connection.gap_ns:
                self.rushing[connection] = None


def main() -> None:
    """Parse the command line, listen, say where, serve."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.upstream")
    parser.add_argument(
        "--cert", help="PEM file with key and chain; with it the upstream speaks TLS"
    )
    arguments = parser.parse_args()
    tls = None
    if arguments.cert:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(arguments.cert)
    listener = socket.create_server(("127.0.0.1", 0), backlog=4_096)
    listener.setblocking(False)
    print(f"bench upstream on 127.0.0.1:{listener.getsockname()[1]}", flush=True)
    Upstream(listener, tls).run()


if __name__ == "__main__":
    main()
