"""Connections to providers: kept, verified, tunnelled, and never trusted when they may be stale."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
import trustme

from sidecar.core.calls import Outcome
from sidecar.core.policy import Policy
from tests.sidecar.runtime import wire
from tests.sidecar.runtime.wire import Rehearsal, chat, exchange, request, serving

pytestmark = pytest.mark.trio

CHAT = "/v1/chat/completions"
ELSEWHERE = "127.0.0.2"
"""An address that no rule about loopback exempts from the proxy."""


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory, authority: trustme.CA) -> Iterator[Rehearsal]:
    folder = tmp_path_factory.mktemp("secured")
    certificate = authority.issue_cert("127.0.0.1", ELSEWHERE)
    chain, key = folder / "chain.pem", folder / "key.pem"
    chain.write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    certificate.private_key_pem.write_to_path(key)
    with wire.rehearsing(folder, "--certificate", str(chain), "--key", str(key)) as rehearsal:
        yield rehearsal


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    with wire.rehearsing(tmp_path_factory.mktemp("plain")) as rehearsal:
        yield rehearsal


async def ask(sidecar: wire.Sidecar, **fields: Any) -> wire.Answer:
    return await exchange(sidecar.port, request(CHAT, chat(**fields), port=sidecar.port))


@pytest.mark.parametrize("stream", [False, True])
async def test_a_provider_is_spoken_to_over_verified_tls(
    tmp_path: Path, authority: trustme.CA, secured: Rehearsal, plain: Rehearsal, stream: bool
) -> None:
    roots = tmp_path / "roots.pem"
    authority.cert_pem.write_to_path(roots)
    policy = wire.policy_for(secured.url, wire.prices_of(plain))
    async with serving(tmp_path, policy, ca=str(roots)) as sidecar:
        for _ in range(2):
            assert (await ask(sidecar, stream=stream)).status == 200
        (upstream,) = sidecar.server._upstreams._by_url.values()
        assert upstream.open_connections == 1, "the second call reused the connection"
    assert not any(outcome.estimated for outcome in sidecar.booked.settled.values())


async def test_a_provider_whose_certificate_is_not_trusted_gets_nothing(
    tmp_path: Path, secured: Rehearsal, plain: Rehearsal
) -> None:
    policy = wire.policy_for(secured.url, wire.prices_of(plain))
    async with serving(tmp_path, policy) as sidecar:
        answer = await ask(sidecar)
    assert answer.status == 502
    assert "certificate" in answer.json()["error"]["message"]
    assert sidecar.booked.only().outcome is Outcome.NOT_SENT


async def test_connections_are_reused_and_no_more_are_opened_than_calls_are_in_flight(
    tmp_path: Path, plain: Rehearsal
) -> None:
    policy = wire.policy_for(plain.url, wire.prices_of(plain))
    async with serving(tmp_path, policy) as sidecar:
        for _ in range(5):
            assert (await ask(sidecar)).status == 200
        (upstream,) = sidecar.server._upstreams._by_url.values()
        assert upstream.open_connections == 1
        async with trio.open_nursery() as nursery:
            for _ in range(8):
                nursery.start_soon(ask, sidecar)
        assert 1 < upstream.open_connections <= 9
        sidecar.server._upstreams.close()
        assert upstream.open_connections == 0


OK = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 84\r\n\r\n"
    b'{"model":"gpt-4o-mini","choices":[],"usage":{"prompt_tokens":9,"total_tokens":9}}   '
)


@asynccontextmanager
async def provider(*answers: bytes | None) -> AsyncIterator[tuple[str, list[int]]]:
    """A provider that answers request after request; None closes the connection instead."""
    left = list(answers)
    seen: list[int] = []

    async def handle(stream: trio.SocketStream) -> None:
        connection = len(set(seen)) + 1
        async with stream:
            while await stream.receive_some():
                seen.append(connection)
                answer = left.pop(0)
                if answer is None:
                    return
                await stream.send_all(answer)

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, handle, 0, host="127.0.0.1"))
        yield f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}", seen
        nursery.cancel_scope.cancel()


@pytest.fixture
def prices(plain: Rehearsal) -> Policy:
    return wire.policy_for(plain.url, wire.prices_of(plain))


async def test_a_connection_that_a_provider_announced_to_close_is_not_used_again(
    tmp_path: Path, prices: Policy
) -> None:
    closing = OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1)
    async with provider(closing, OK) as (url, seen):
        policy = wire.policy_for(url, list(prices.prices))
        async with serving(tmp_path, policy) as sidecar:
            assert [(await ask(sidecar)).status for _ in range(2)] == [200, 200]
    assert seen == [1, 2]


async def test_a_connection_with_bytes_that_nobody_asked_for_is_not_used_again(
    tmp_path: Path, prices: Policy
) -> None:
    async with provider(OK + b"HTTP/1.1 200 OK\r\n", OK) as (url, seen):
        policy = wire.policy_for(url, list(prices.prices))
        async with serving(tmp_path, policy) as sidecar:
            assert [(await ask(sidecar)).status for _ in range(2)] == [200, 200]
    assert seen == [1, 2]


async def test_a_kept_connection_that_the_provider_closed_is_noticed_before_it_is_used(
    tmp_path: Path, prices: Policy
) -> None:
    async with provider(OK, OK) as (url, seen):
        policy = wire.policy_for(url, list(prices.prices))
        async with serving(tmp_path, policy) as sidecar:
            assert (await ask(sidecar)).status == 200
            (upstream,) = sidecar.server._upstreams._by_url.values()
            line = upstream._pool._idle[-1][0]
            line.stream.socket.shutdown(0)
            await wire.until(lambda: line.is_stale)
            assert (await ask(sidecar)).status == 200
    assert seen == [1, 2]


async def test_a_request_that_a_provider_has_whole_is_never_sent_twice(
    tmp_path: Path, prices: Policy
) -> None:
    async with provider(OK, None) as (url, seen):
        policy = wire.policy_for(url, list(prices.prices))
        async with serving(tmp_path, policy) as sidecar:
            assert (await ask(sidecar)).status == 200
            answer = await ask(sidecar)
    assert answer.status == 502
    assert seen == [1, 1]
    last = list(sidecar.booked.settled.values())[-1]
    assert (last.outcome, last.estimated) == (Outcome.BROKEN, True)


@asynccontextmanager
async def tunnelling(refuse: bool = False) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A proxy that opens tunnels by CONNECT, or refuses to."""
    heads: list[bytes] = []

    async def copy(source: trio.SocketStream, sink: trio.SocketStream) -> None:
        async for data in source:
            await sink.send_all(data)

    async def handle(stream: trio.SocketStream) -> None:
        async with stream:
            heads.append(bytes(await stream.receive_some()))
            if refuse:
                await stream.send_all(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
                return
            port = int(heads[-1].split()[1].rpartition(b":")[2])
            async with await trio.open_tcp_stream("127.0.0.1", port) as far:
                await stream.send_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(copy, stream, far)
                    await copy(far, stream)
                    nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, handle, 0, host="127.0.0.1"))
        yield f"http://user:word@127.0.0.1:{listeners[0].socket.getsockname()[1]}", heads
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("refuse", [False, True])
async def test_https_proxy_is_honoured(
    tmp_path: Path,
    authority: trustme.CA,
    secured: Rehearsal,
    plain: Rehearsal,
    refuse: bool,
) -> None:
    roots = tmp_path / "roots.pem"
    authority.cert_pem.write_to_path(roots)
    port = secured.url.rpartition(":")[2]
    policy = wire.policy_for(f"https://{ELSEWHERE}:{port}", wire.prices_of(plain))
    async with tunnelling(refuse) as (proxy, heads):
        environment = {"HTTPS_PROXY": proxy}
        async with serving(tmp_path, policy, environment=environment, ca=str(roots)) as sidecar:
            answer = await ask(sidecar)
    assert heads[0].startswith(f"CONNECT {ELSEWHERE}:{port} HTTP/1.1\r\n".encode())
    assert b"Proxy-Authorization: Basic dXNlcjp3b3Jk\r\n" in heads[0]
    assert answer.status == (502 if refuse else 200), answer.body
    if refuse:
        assert "refused the tunnel (407)" in answer.json()["error"]["message"]


async def test_a_proxy_that_cannot_be_used_is_told_by_name(tmp_path: Path, prices: Policy) -> None:
    policy = wire.policy_for("https://api.example", list(prices.prices))
    async with serving(tmp_path, policy, environment={"HTTPS_PROXY": "socks5://p:1"}) as sidecar:
        answer = await ask(sidecar)
    assert answer.status == 403
    assert "socks5" in answer.json()["error"]["message"]
    assert not sidecar.booked.opened
