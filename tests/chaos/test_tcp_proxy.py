"""The bad network is bad as it says, and otherwise no worse than none."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair

from tests.chaos.tcp_proxy import Connection, TcpProxy, Way, relay

pytestmark = pytest.mark.trio


@asynccontextmanager
async def relayed(
    up: Way, down: Way
) -> AsyncIterator[tuple[trio.abc.HalfCloseableStream, trio.abc.HalfCloseableStream, Connection]]:
    """A caller's end, a server's end, and the connection between them."""
    caller, near = memory_stream_pair()
    far, server = memory_stream_pair()
    connection = Connection(near, far)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(relay, connection, up, down)
        yield caller, server, connection
        connection.cut(reset=False)


async def test_bytes_and_ends_come_through_in_order() -> None:
    up, down = Way(), Way()
    async with relayed(up, down) as (caller, server, _):
        await caller.send_all(b"one")
        assert await server.receive_some() == b"one"
        await caller.send_eof()
        assert await server.receive_some() == b""
        await server.send_all(b"two")
        assert await caller.receive_some() == b"two"
    assert (up.carried_bytes, down.carried_bytes) == (3, 3)


async def test_a_delay_is_of_one_direction(autojump_clock: MockClock) -> None:
    up, down = Way(), Way()
    up.delay_s = 2.0
    async with relayed(up, down) as (caller, server, _):
        began = trio.current_time()
        await server.send_all(b"at once")
        assert await caller.receive_some() == b"at once"
        assert trio.current_time() == began
        await caller.send_all(b"late")
        assert await server.receive_some() == b"late"
        assert trio.current_time() == began + 2.0


async def test_a_throttle_lets_so_many_bytes_through_a_second(autojump_clock: MockClock) -> None:
    up, down = Way(), Way()
    up.bytes_per_s = 100
    async with relayed(up, down) as (caller, server, _):
        began = trio.current_time()
        await caller.send_all(bytes(400))
        await server.receive_some()
        assert trio.current_time() == began + 4.0


async def test_what_is_frozen_waits_and_comes_whole_when_it_thaws(
    autojump_clock: MockClock,
) -> None:
    up, down = Way(), Way()
    up.freeze()
    async with relayed(up, down) as (caller, server, connection):
        await caller.send_all(b"patience")
        with trio.move_on_after(60) as waited:
            await server.receive_some()
        assert waited.cancelled_caught
        up.heal()
        assert await server.receive_some() == b"patience"
        assert not connection.spoiled


async def test_swallowed_bytes_never_come_and_spoil_their_connection(
    autojump_clock: MockClock,
) -> None:
    up, down = Way(), Way()
    up.swallows = True
    async with relayed(up, down) as (caller, server, connection):
        await caller.send_all(b"lost")
        await caller.send_eof()
        with trio.move_on_after(60) as waited:
            await server.receive_some()
        assert waited.cancelled_caught
        assert up.swallowed_bytes == 4
        assert connection.spoiled
        await server.send_all(b"the other way is fine")
        assert await caller.receive_some() == b"the other way is fine"


@asynccontextmanager
async def proxied() -> AsyncIterator[tuple[TcpProxy, trio.SocketStream, trio.SocketStream]]:
    """A proxy between two real sockets: the proxy, the caller's end, the server's end."""
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    proxy = TcpProxy(lambda: ("127.0.0.1", port))
    async with trio.open_nursery() as nursery:
        await nursery.start(proxy.serve)
        caller = await trio.open_tcp_stream("127.0.0.1", proxy.port)
        server = await listeners[0].accept()
        async with caller, server, listeners[0]:
            await caller.send_all(b"hello")
            assert await server.receive_some() == b"hello"
            yield proxy, caller, server
        nursery.cancel_scope.cancel()


async def test_a_reset_is_an_error_at_both_ends() -> None:
    async with proxied() as (proxy, caller, server):
        assert proxy.cut(reset=True) == 1
        for stream in (caller, server):
            with pytest.raises(trio.BrokenResourceError):
                await stream.receive_some()


async def test_a_fin_is_an_end_at_both_ends() -> None:
    async with proxied() as (proxy, caller, server):
        proxy.cut(reset=False)
        for stream in (caller, server):
            assert await stream.receive_some() == b""


async def test_healing_resets_what_lost_bytes_and_leaves_the_rest_alone() -> None:
    async with proxied() as (proxy, caller, _):
        other = await trio.open_tcp_stream("127.0.0.1", proxy.port)
        async with other:
            while len(proxy.connections) < 2:
                await trio.lowlevel.checkpoint()
            proxy.up.swallows = True
            await caller.send_all(b"lost")
            while not proxy.up.swallowed_bytes:
                await trio.lowlevel.checkpoint()
            proxy.heal()
            with pytest.raises(trio.BrokenResourceError):
                await caller.receive_some()
            await other.send_all(b"whole")
            assert len(proxy.connections) == 1


async def test_nobody_behind_it_is_refused_like_nobody_there() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        proxy = TcpProxy(lambda: ("127.0.0.1", taken.getsockname()[1]))
        async with trio.open_nursery() as nursery:
            await nursery.start(proxy.serve)
            caller = await trio.open_tcp_stream("127.0.0.1", proxy.port)
            with pytest.raises(trio.BrokenResourceError):
                await caller.receive_some()
            await caller.aclose()
            nursery.cancel_scope.cancel()
