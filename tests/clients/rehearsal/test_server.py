"""The server on a real socket: hang-ups on both sides, split writes, wrong bytes."""

import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import trio
import trustme

from clients.rehearsal import limits
from clients.rehearsal.app import serve
from clients.rehearsal.provider import Provider

pytestmark = pytest.mark.trio
LATE_S = 20
Connect = Callable[[], Awaitable[trio.SocketStream]]


def request(prompt: str = "Hello", path: str = "/v1/chat/completions", **fields: Any) -> bytes:
    body = {
        "model": "gpt-4o-mini",
        "messages": [{"role": "user", "content": prompt}],
        "max_tokens": 1_000,
    } | fields
    data = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer sk-0123456789\r\n"
        f"content-length: {len(data)}\r\n\r\n"
    )
    return head.encode() + data


@pytest.fixture
async def connect(port: int) -> AsyncIterator[Connect]:
    """Open connections, and close them when the test is over."""
    streams = []

    async def open_one() -> trio.SocketStream:
        streams.append(await trio.open_tcp_stream("127.0.0.1", port))
        return streams[-1]

    yield open_one
    for stream in streams:
        await stream.aclose()


async def read_until(stream: trio.SocketStream, ending: bytes) -> bytes:
    data = b""
    with trio.fail_after(LATE_S):
        while not data.endswith(ending):
            more = await stream.receive_some()
            assert more, f"closed after {data!r}"
            data += more
    return data


async def read_to_end(stream: trio.SocketStream) -> bytes:
    data = b""
    with trio.fail_after(LATE_S):
        try:
            while more := await stream.receive_some():
                data += more
        except trio.BrokenResourceError:
            pass
    return data


async def until(holds: Callable[[], bool]) -> None:
    with trio.fail_after(LATE_S):
        while not holds():
            await trio.lowlevel.checkpoint()


def rows(provider: Provider) -> list[Any]:
    found: list[Any] = provider.bill.page(0, 1_000)["calls"]
    return found


async def one_row(provider: Provider) -> Any:
    await until(lambda: len(rows(provider)) == 1)
    return rows(provider)[0]


def prompt_nano_usd(prompt: str) -> int:
    return (6 + -(-len(prompt) // 4)) * 150


async def test_a_client_that_leaves_a_stream_pays_one_chunk_more_than_was_generated(
    connect: Connect, provider: Provider
) -> None:
    prompt = "[rehearse reply_tokens=400 chunk_tokens=10 stall_after_chunks=3]"
    stream = await connect()
    await stream.send_all(request(prompt, stream=True))
    await until(lambda: provider.bill.summary()["in_flight"] == 1)
    seen = b""
    while seen.count(b"data: ") < 1 + 3:
        seen += await stream.receive_some()
    await stream.aclose()
    row = await one_row(provider)
    assert (row["outcome"], row["status"], row["streamed"]) == ("client_gone", 200, True)
    assert row["quantities"]["output_tokens"] == 3 * 10 + 10
    assert row["cost_nano_usd"] == str(prompt_nano_usd(prompt) + 40 * 600)


async def test_a_client_that_leaves_before_the_first_byte_is_noticed_at_once(
    connect: Connect, provider: Provider
) -> None:
    prompt = "[rehearse reply_tokens=50 latency_ms=3600000]"
    for streamed in (True, False):
        stream = await connect()
        await stream.send_all(request(prompt, stream=streamed))
        await until(lambda: provider.bill.summary()["in_flight"] == 1)
        await stream.aclose()
        await until(lambda: provider.bill.summary()["in_flight"] == 0)
    gone_from_stream, gone_from_plain = rows(provider)
    assert gone_from_stream["quantities"]["output_tokens"] == 4
    assert gone_from_plain["quantities"]["output_tokens"] == 50
    assert {row["outcome"] for row in rows(provider)} == {"client_gone"}
    assert {row["status"] for row in rows(provider)} == {0}


async def test_a_stream_that_the_provider_leaves_is_billed_for_what_it_brought(
    connect: Connect, provider: Provider
) -> None:
    prompt = "[rehearse reply_tokens=400 chunk_tokens=10 hangup_after_chunks=3]"
    stream = await connect()
    await stream.send_all(request(prompt, stream=True))
    data = await read_to_end(stream)
    assert data.count(b"data: ") == 1 + 3
    assert b"[DONE]" not in data
    row = await one_row(provider)
    assert row["outcome"] == "hung_up"
    assert row["cost_nano_usd"] == str(prompt_nano_usd(prompt) + 30 * 600)


async def test_a_late_hang_up_comes_before_the_usage(connect: Connect, provider: Provider) -> None:
    prompt = "[rehearse reply_tokens=8 hangup_after_chunks=99]"
    stream = await connect()
    asked = request(prompt, stream=True, stream_options={"include_usage": True})
    await stream.send_all(asked)
    data = await read_to_end(stream)
    assert data.count(b"data: ") == 1 + 2
    assert b'"prompt_tokens"' not in data
    assert (await one_row(provider))["quantities"]["output_tokens"] == 8


@pytest.mark.parametrize(
    ("knobs", "cost_tokens", "received"),
    [
        ("hangup_before_headers", 5, False),
        ("hangup_before_headers bill_hangup=false", None, False),
        ("hangup_after_chunks=0", 5, True),
        ("hangup_after_chunks=0 bill_hangup=false", None, True),
    ],
)
async def test_a_plain_answer_can_be_lost_billed_or_not(
    connect: Connect, provider: Provider, knobs: str, cost_tokens: int | None, received: bool
) -> None:
    prompt = f"[rehearse reply_tokens=5 {knobs}]"
    stream = await connect()
    await stream.send_all(request(prompt))
    data = await read_to_end(stream)
    assert data.startswith(b"HTTP/1.1 200") == received
    assert b"prompt_tokens" not in data
    row = await one_row(provider)
    billed = 0 if cost_tokens is None else prompt_nano_usd(prompt) + cost_tokens * 600
    assert (row["outcome"], row["cost_nano_usd"]) == ("hung_up", str(billed))


async def test_a_broken_stream_ends_politely_and_is_billed_so_far(
    connect: Connect, provider: Provider
) -> None:
    prompt = "[rehearse reply_tokens=40 error_after_chunks=2]"
    stream = await connect()
    await stream.send_all(request(prompt, stream=True))
    data = await read_until(stream, b"0\r\n\r\n")
    assert b'data: {"error":' in data
    assert b"[DONE]" not in data
    row = await one_row(provider)
    assert (row["outcome"], row["quantities"]["output_tokens"]) == ("error", 8)


async def test_overbilling_shows_in_the_usage_and_on_the_bill(
    connect: Connect, provider: Provider
) -> None:
    prompt = "[rehearse reply_tokens=10 prompt_tokens=100 overbill_ppm=250000]"
    stream = await connect()
    await stream.send_all(request(prompt))
    data = await read_until(stream, b"}")
    usage = json.loads(data.partition(b"\r\n\r\n")[2])["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (125, 13)
    row = await one_row(provider)
    assert row["cost_nano_usd"] == str(125 * 150 + 13 * 600)
    assert int(row["worst_nano_usd"]) == 100 * 150 + 1_000 * 600


@pytest.mark.parametrize("split_bytes", [1, 7, 4_096])
async def test_answers_arrive_in_pieces_of_the_size_asked_for(
    connect: Connect, split_bytes: int
) -> None:
    stream = await connect()
    knobs = f"[rehearse reply_tokens=5 split_bytes={split_bytes}]"
    await stream.send_all(request(knobs, stream=True))
    _, _, body = (await read_until(stream, b"0\r\n\r\n")).partition(b"\r\n\r\n")
    whole, sizes = b"", set()
    while body:
        size, _, body = body.partition(b"\r\n")
        length = int(size, 16)
        whole, body = whole + body[:length], body[length + 2 :]
        sizes.add(length)
    assert max(sizes) <= split_bytes
    assert whole.endswith(b"data: [DONE]\n\n")


async def test_one_connection_serves_call_after_call(connect: Connect, provider: Provider) -> None:
    stream = await connect()
    for _ in range(3):
        await stream.send_all(request())
        await read_until(stream, b"}")
    await stream.send_all(request(stream=True) + request())
    await read_until(stream, b"}")
    await until(lambda: len(rows(provider)) == 5)
    assert {row["outcome"] for row in rows(provider)} == {"done"}


async def test_a_whole_answer_is_on_the_bill_before_it_can_be_read(
    connect: Connect, provider: Provider
) -> None:
    for streamed, ending in ((False, b"}"), (True, b"0\r\n\r\n")):
        stream = await connect()
        await stream.send_all(request(stream=streamed))
        await read_until(stream, ending)
        assert provider.bill.summary()["in_flight"] == 0


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", 400),
        (b"GET //[ HTTP/1.1\r\nhost: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nhost: x\r\nx: " + b"y" * limits.HEAD_BYTES_MAX, 431),
    ],
)
async def test_bytes_that_are_no_request_are_answered_and_cut_off(
    connect: Connect, provider: Provider, raw: bytes, status: int
) -> None:
    stream = await connect()
    await stream.send_all(raw)
    data = await read_to_end(stream)
    assert data.startswith(f"HTTP/1.1 {status} ".encode())
    assert b'"error"' in data
    assert rows(provider) == []


async def test_a_body_beyond_the_limit_is_refused_while_it_comes(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "BODY_BYTES_MAX", 1_000_000)
    stream = await connect()
    answer = b""
    async with trio.open_nursery() as nursery:

        async def read() -> None:
            nonlocal answer
            answer = await read_to_end(stream)
            nursery.cancel_scope.cancel()

        nursery.start_soon(read)
        head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 9000000\r\n\r\n"
        with contextlib.suppress(trio.BrokenResourceError):
            await stream.send_all(head + b" " * 9_000_000)
    assert answer.startswith(b"HTTP/1.1 413 ")


async def test_a_client_that_waits_for_100_continue_is_told_to_go_on(connect: Connect) -> None:
    head, _, body = request().partition(b"\r\n\r\n")
    stream = await connect()
    await stream.send_all(head + b"\r\nexpect: 100-continue\r\n\r\n")
    assert (await read_until(stream, b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
    await stream.send_all(body)
    assert (await read_until(stream, b"}")).startswith(b"HTTP/1.1 200 ")


async def test_head_gets_no_body(connect: Connect) -> None:
    stream = await connect()
    await stream.send_all(b"HEAD /v1/models HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    assert (await read_to_end(stream)).endswith(b"\r\n\r\n")


async def test_many_streams_stay_open_at_once(connect: Connect, provider: Provider) -> None:
    many = 200
    prompt = "[rehearse reply_tokens=3 chunk_tokens=1 stall_after_chunks=1]"
    streams = [await connect() for _ in range(many)]
    for stream in streams:
        await stream.send_all(request(prompt, stream=True))
    await until(lambda: provider.bill.summary()["in_flight"] == many)
    for stream in streams:
        await stream.aclose()
    await until(lambda: provider.bill.summary()["in_flight"] == 0)
    summary = provider.bill.summary()
    assert (summary["in_flight_peak"], summary["by_outcome"]["client_gone"]) == (many, many)


async def test_a_client_that_leaves_is_noticed_through_tls_too(
    nursery: trio.Nursery, provider: Provider
) -> None:
    authority = trustme.CA()
    theirs = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(theirs)
    ours = ssl.create_default_context()
    authority.configure_trust(ours)
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    nursery.start_soon(serve, provider, listeners, theirs)
    port = listeners[0].socket.getsockname()[1]
    for close in (trio.aclose_forcefully, trio.SSLStream.aclose):
        plain = await trio.open_tcp_stream("127.0.0.1", port)
        stream = trio.SSLStream(plain, ours, server_hostname="localhost", https_compatible=True)
        knobs = "[rehearse reply_tokens=50 stall_after_chunks=2]"
        await stream.send_all(request(knobs, stream=True))
        seen = b""
        while seen.count(b"data: ") < 1 + 2:
            seen += await stream.receive_some()
        await close(stream)
        await until(lambda: provider.bill.summary()["in_flight"] == 0)
    assert [row["outcome"] for row in rows(provider)] == ["client_gone"] * 2
    assert [row["quantities"]["output_tokens"] for row in rows(provider)] == [12, 12]
