"""The yardstick: a bare h11-on-trio pass-through, as fast as a straightforward one can be.

`python -m tests.bench.passthrough --upstream URL` listens on an ephemeral port of 127.0.0.1,
prints `pass-through on 127.0.0.1:PORT` and forwards every call until it is killed. It is what a
gateway costs before it does any of a gateway's work: h11 reads and writes both sides, hop-by-hop
headers are dropped, upstream connections are kept in a last-in-first-out pool, nothing looks into
a body.

It is not handicapped to flatter what is compared with it:
* events that h11 has ready are joined and sent with one system call, head and body together, so a
  plain call costs two reads and two writes;
* an answer is passed on as it comes, never collected;
* TCP_NODELAY is set on both sides (trio's streams do that by themselves).

It leaves out what only a product needs: deadlines, limits, retries on a stale connection.
"""

from __future__ import annotations

import argparse
import ssl
from collections.abc import Iterable
from functools import partial
from urllib.parse import urlsplit

import h11
import trio

READ_BYTES = 65_536
MAX_HEAD_BYTES = 65_536

HOP_BY_HOP = frozenset(
    (
        b"connection",
        b"host",  # it names this hop; the next one gets its own
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    )
)

Stream = trio.abc.Stream


class Upstream:
    """Where calls go, and the connections that wait for the next one."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        assert parts.hostname is not None
        self.host = parts.hostname
        self.tls = ssl.create_default_context() if parts.scheme == "https" else None
        self.port = parts.port or (443 if self.tls else 80)
        self.authority = f"{self.host}:{self.port}".encode()
        self.idle: list[tuple[Stream, h11.Connection]] = []

    async def connection(self) -> tuple[Stream, h11.Connection]:
        """The connection used last, else a new one."""
        if self.idle:
            return self.idle.pop()
        stream: Stream = await trio.open_tcp_stream(self.host, self.port)
        if self.tls is not None:
            secured = trio.SSLStream(
                stream, self.tls, server_hostname=self.host, https_compatible=True
            )
            await secured.do_handshake()
            stream = secured
        return stream, h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD_BYTES)

    async def put_back(self, stream: Stream, state: h11.Connection) -> None:
        """Keep a connection whose call is over, unless either side wants it closed."""
        if state.our_state is h11.DONE and state.their_state is h11.DONE:
            state.start_next_cycle()
            self.idle.append((stream, state))
        else:
            await trio.aclose_forcefully(stream)


def passed_on(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The headers that travel on to the other side, chunked framing where the sender used it."""
    kept = []
    for header in headers:
        name = header[0]
        if name not in HOP_BY_HOP:
            kept.append(header)
        elif name == b"transfer-encoding":
            kept.append((name, b"chunked"))
    return kept


async def relay(
    source: Stream, reader: h11.Connection, sink: Stream, writer: h11.Connection, unsent: bytes
) -> None:
    """Pass one body on, after the bytes of its head, until its end."""
    while True:
        event = reader.next_event()
        if event is h11.NEED_DATA:
            if unsent:
                await sink.send_all(unsent)
                unsent = b""
            reader.receive_data(bytes(await source.receive_some(READ_BYTES)))
        elif type(event) is h11.Data:
            unsent += writer.send(event) or b""
        elif type(event) is h11.EndOfMessage:
            unsent += writer.send(h11.EndOfMessage()) or b""
            if unsent:
                await sink.send_all(unsent)
            return
        else:
            raise h11.RemoteProtocolError(f"unexpected {event!r} inside a body")


async def head_of(stream: Stream, reader: h11.Connection) -> h11.Request | h11.Response | None:
    """The next request or final response; None when the peer closed instead."""
    while True:
        event = reader.next_event()
        if event is h11.NEED_DATA:
            reader.receive_data(bytes(await stream.receive_some(READ_BYTES)))
        elif isinstance(event, h11.Request | h11.Response):
            return event
        elif not isinstance(event, h11.InformationalResponse):
            return None


async def forward(
    client: Stream, server: h11.Connection, request: h11.Request, upstream: Upstream
) -> None:
    """One call, there and back."""
    stream, state = await upstream.connection()
    try:
        headers = [(b"host", upstream.authority), *passed_on(request.headers)]
        head = state.send(
            h11.Request(method=request.method, target=request.target, headers=headers)
        )
        await relay(client, server, stream, state, head or b"")
        response = await head_of(stream, state)
        if not isinstance(response, h11.Response):
            raise h11.RemoteProtocolError("the upstream closed before it answered")
        answer = h11.Response(
            status_code=response.status_code,
            reason=response.reason,
            headers=passed_on(response.headers),
        )
        await relay(stream, state, client, server, server.send(answer) or b"")
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    await upstream.put_back(stream, state)


async def serve(upstream: Upstream, client: trio.SocketStream) -> None:
    """One client connection, call after call."""
    server = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)
    try:
        while True:
            request = await head_of(client, server)
            if not isinstance(request, h11.Request):
                return
            await forward(client, server, request, upstream)
            if server.our_state is not h11.DONE or server.their_state is not h11.DONE:
                return
            server.start_next_cycle()
    except (h11.ProtocolError, trio.BrokenResourceError):
        # The caller sees a closed connection, and the generator counts it as an error.
        return
    finally:
        await trio.aclose_forcefully(client)


async def run(url: str) -> None:
    """Listen, say where, serve."""
    upstream = Upstream(url)
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1", backlog=4_096)
        port = listeners[0].socket.getsockname()[1]
        print(f"pass-through on 127.0.0.1:{port}", flush=True)
        nursery.start_soon(partial(trio.serve_listeners, partial(serve, upstream), listeners))


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.passthrough")
    parser.add_argument("--upstream", required=True, help="http:// or https:// base URL")
    trio.run(run, parser.parse_args().upstream)


if __name__ == "__main__":
    main()
