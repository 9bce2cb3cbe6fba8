"""A TCP proxy that is a bad network on demand: late, narrow, deaf in one direction, or cut.

Rules:
1. What is wrong is set per direction and holds for all connections, those to come included.
2. TCP never loses bytes in the middle, so neither does this: a connection of which bytes were
   swallowed is spoiled for good, and is reset when the fault ends.
3. Bytes are copied as they come, at most `PIECE_BYTES` in hand per direction; order is kept.
"""

import contextlib
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, field

import trio

PIECE_BYTES = 16_384
"""Bytes in hand per direction of a connection."""
BACKLOG = 64
_NO_LINGER = struct.pack("ii", 1, 0)
_ENDS = (trio.BrokenResourceError, trio.ClosedResourceError, OSError)


class Way:
    """How the bytes of one direction fare."""

    def __init__(self) -> None:
        """Begin as a good network."""
        self.delay_s = 0.0
        """Each piece comes so much later."""
        self.bytes_per_s = 0
        """No more than so many; 0 for no bound."""
        self.swallows = False
        """Pieces vanish, and the end of the stream too."""
        self.carried_bytes = 0
        self.swallowed_bytes = 0
        self._thawed = trio.Event()
        self._thawed.set()

    @property
    def frozen(self) -> bool:
        """Whether pieces wait until the fault ends."""
        return not self._thawed.is_set()

    def freeze(self) -> None:
        """Let pieces wait; none is lost."""
        if not self.frozen:
            self._thawed = trio.Event()

    def heal(self) -> None:
        """Be a good network again."""
        self.delay_s, self.bytes_per_s, self.swallows = 0.0, 0, False
        self._thawed.set()

    async def passed(self, size_bytes: int) -> bool:
        """Wait as long as a piece of this size does; whether it comes through."""
        await self._thawed.wait()
        if self.delay_s:
            await trio.sleep(self.delay_s)
        if self.bytes_per_s:
            await trio.sleep(size_bytes / self.bytes_per_s)
        await self._thawed.wait()
        if self.swallows:
            self.swallowed_bytes += size_bytes
            return False
        self.carried_bytes += size_bytes
        return True


@dataclass(eq=False)
class Connection:
    """One caller and the server that it speaks with."""

    caller: trio.abc.HalfCloseableStream
    server: trio.abc.HalfCloseableStream
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    spoiled: bool = False
    """Bytes of it were swallowed: what would follow makes no sense."""

    def cut(self, *, reset: bool) -> None:
        """End it on both sides: by RST, or by FIN."""
        for stream in (self.caller, self.server):
            if reset and isinstance(stream, trio.SocketStream):
                with contextlib.suppress(OSError):
                    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self.scope.cancel()


async def relay(connection: Connection, up: Way, down: Way) -> None:
    """Carry bytes in both directions until both have ended, or it is cut; both are closed then."""
    caller, server = connection.caller, connection.server
    try:
        with connection.scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_pump, connection, caller, server, up)
                nursery.start_soon(_pump, connection, server, caller, down)
    finally:
        for stream in (caller, server):
            with trio.CancelScope(shield=True), contextlib.suppress(*_ENDS):
                await _close(stream)


async def _close(stream: trio.abc.AsyncResource) -> None:
    """Close without waiting: what a socket still has to send, the system sends."""
    if isinstance(stream, trio.SocketStream):
        stream.socket.close()
    else:
        await stream.aclose()


async def _pump(
    connection: Connection,
    source: trio.abc.HalfCloseableStream,
    sink: trio.abc.HalfCloseableStream,
    way: Way,
) -> None:
    try:
        while data := await source.receive_some(PIECE_BYTES):
            if await way.passed(len(data)):
                await sink.send_all(data)
            else:
                connection.spoiled = True
        if await way.passed(0):
            await sink.send_eof()
        else:
            connection.spoiled = True
    except _ENDS:
        # The other end hears of it as it would without a proxy: at once, by RST.
        connection.cut(reset=True)


class TcpProxy:
    """Listens on 127.0.0.1 and carries each connection to wherever the target is at that time."""

    def __init__(self, target: Callable[[], tuple[str, int]]) -> None:
        """Take what tells the target's host and port."""
        self._target = target
        self.up = Way()
        """From callers to the target."""
        self.down = Way()
        """From the target to callers."""
        self.port = 0
        """Where it listens, once it serves."""
        self.connections: set[Connection] = set()

    @property
    def address(self) -> str:
        """Where callers find it."""
        return f"127.0.0.1:{self.port}"

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled."""
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1", backlog=BACKLOG)
        self.port = listeners[0].socket.getsockname()[1]
        try:
            async with trio.open_nursery() as nursery:
                task_status.started()
                await trio.serve_listeners(self._carry, listeners, handler_nursery=nursery)
        finally:
            for connection in self.connections:
                connection.cut(reset=True)

    def cut(self, *, reset: bool) -> int:
        """End every connection that there is; how many."""
        for connection in self.connections:
            connection.cut(reset=reset)
        return len(self.connections)

    def heal(self) -> None:
        """End every fault; connections that lost bytes are reset."""
        self.up.heal()
        self.down.heal()
        for connection in self.connections:
            if connection.spoiled:
                connection.cut(reset=True)

    async def _carry(self, caller: trio.SocketStream) -> None:
        host, port = self._target()
        try:
            server = await trio.open_tcp_stream(host, port)
        except OSError:
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
            caller.socket.close()
            return
        connection = Connection(caller, server)
        self.connections.add(connection)
        try:
            await relay(connection, self.up, self.down)
        finally:
            self.connections.discard(connection)
