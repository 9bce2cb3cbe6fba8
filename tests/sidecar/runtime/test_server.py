"""The edge towards callers: slow, huge, smuggled and half-finished requests, and an orderly end."""

import json
import resource
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
import trustme

from sidecar.core.calls import Outcome
from sidecar.core.policy import Policy
from sidecar.http import limits
from sidecar.runtime.server import allow_connections
from tests.sidecar.runtime import wire
from tests.sidecar.runtime.wire import Rehearsal, chat, exchange, request, serving, until_closed

pytestmark = pytest.mark.trio

CHAT = "/v1/chat/completions"


@pytest.fixture(scope="module")
def rehearsal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    with wire.rehearsing(tmp_path_factory.mktemp("rehearsal")) as rehearsal:
        yield rehearsal


@pytest.fixture
def policy(rehearsal: Rehearsal) -> Policy:
    return wire.policy_for(rehearsal.url, wire.prices_of(rehearsal))


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


@pytest.mark.parametrize(
    ("limit", "data", "status"),
    [
        ("HEAD_DEADLINE_MS", b"POST /v1/chat/completions HTTP/1.1\r\nHo", 408),
        ("BODY_IDLE_MS", None, 408),
        ("CALLER_IDLE_MS", b"", 0),
    ],
)
async def test_a_slow_caller_is_told_and_let_go(
    tmp_path: Path,
    policy: Policy,
    monkeypatch: pytest.MonkeyPatch,
    limit: str,
    data: bytes | None,
    status: int,
) -> None:
    monkeypatch.setattr(limits, limit, 50)
    async with serving(tmp_path, policy) as sidecar:
        if data is None:
            data = request(CHAT, chat(), port=sidecar.port)[:-20]
        with trio.fail_after(5):
            answer = await until_closed(sidecar.port, data)
    assert (status_of(answer) if answer else 0) == status
    if answer:
        assert b"x-bursar-error: request_timeout\r\n" in answer
    assert not sidecar.booked.opened


SMUGGLED = [
    (b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
    (b"Content-Length: 5\r\nContent-Length: 5\r\n", b"hello"),
    (b"Content-Length: 5\r\nContent-Length: 6\r\n", b"hello"),
    (b"Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n"),
    (b"Content-Length: 5\r\nX: a\r\n b\r\n", b"hello"),
    (b"Transfer-Encoding: chunked\r\n", b"zz\r\n"),
]


async def test_what_follows_a_refused_request_and_is_no_body_ends_its_connection_quietly(
    tmp_path: Path, policy: Policy
) -> None:
    lines = {"Transfer-Encoding": "chunked", "Content-Type": "application/json"}
    async with serving(tmp_path, policy) as sidecar:
        asked = request("/v1/nothing", port=sidecar.port, lines=lines)
        data = asked.replace(b"Content-Length: 0\r\n", b"") + b"zz\r\nno chunk"
        answer = await until_closed(sidecar.port, data)
        assert status_of(answer) == 403
        assert answer.count(b"HTTP/1.1") == 1
        assert not sidecar.log.getvalue()


@pytest.mark.parametrize(("lines", "body"), SMUGGLED)
async def test_a_smuggled_request_is_refused_and_its_connection_closed(
    tmp_path: Path, policy: Policy, lines: bytes, body: bytes
) -> None:
    async with serving(tmp_path, policy) as sidecar:
        head = b"POST %b HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n" % (CHAT.encode(), sidecar.port)
        key = b"Authorization: Bearer %b\r\n" % wire.KEY.encode()
        next_one = request(CHAT, chat(), port=sidecar.port)
        with trio.fail_after(5):
            answer = await until_closed(
                sidecar.port, head + key + lines + b"\r\n" + body + next_one
            )
    assert status_of(answer) in (400, 501)
    assert answer.count(b"HTTP/1.1 ") == 1, "nothing after it is served"
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == "invalid_request"
    assert not sidecar.booked.opened


async def test_a_body_announced_too_large_is_refused_before_it_is_sent(
    tmp_path: Path, policy: Policy
) -> None:
    async with serving(tmp_path, policy) as sidecar:
        lines = {"Content-Length": str(limits.REQUEST_BODY_MAX_BYTES + 1)}
        data = request(CHAT, b"", port=sidecar.port, lines=lines)
        answer = await exchange(sidecar.port, data)
    assert (answer.status, answer.json()["error"]["code"]) == (413, "request_too_large")


async def test_a_chunked_body_is_counted_while_it_comes(
    tmp_path: Path, policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "REQUEST_BODY_MAX_BYTES", 1000)
    async with serving(tmp_path, policy) as sidecar:
        head = request(CHAT, b"", port=sidecar.port)
        head = head.replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
        chunks = b"".join(b"64\r\n%b\r\n" % (b"x" * 100) for _ in range(2000))
        answer = await exchange(sidecar.port, head + chunks)
    assert answer.status == 413


async def test_bodies_together_are_bounded(
    tmp_path: Path, policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "BUFFERED_MAX_BYTES", 100_000)
    async with serving(tmp_path, policy) as sidecar:
        body = chat("x" * 200_000)
        answer = await exchange(sidecar.port, request(CHAT, body, port=sidecar.port))
        assert (answer.status, answer.headers["x-bursar-error"]) == (503, "overloaded")
        data = request(CHAT, chat(), port=sidecar.port)
        assert (await exchange(sidecar.port, data)).status == 200, "the room was given back"


async def test_a_caller_that_expects_100_gets_it_once_its_key_is_known(
    tmp_path: Path, policy: Policy
) -> None:
    async with serving(tmp_path, policy) as sidecar:
        data = request(CHAT, chat(), port=sidecar.port, lines={"Expect": "100-continue"})
        head, _, body = data.partition(b"\r\n\r\n")
        async with await trio.open_tcp_stream("127.0.0.1", sidecar.port) as stream:
            await stream.send_all(head + b"\r\n\r\n")
            assert await stream.receive_some() == b"HTTP/1.1 100 Continue\r\n\r\n"
            assert (await exchange(sidecar.port, body, keep=stream)).status == 200


async def test_a_caller_that_expects_100_with_a_bad_key_need_not_send_its_body(
    tmp_path: Path, policy: Policy
) -> None:
    async with serving(tmp_path, policy) as sidecar:
        lines = {"Expect": "100-continue"}
        data = request(CHAT, chat(), port=sidecar.port, key=wire.UNKNOWN, lines=lines)
        with trio.fail_after(5):
            answer = await until_closed(sidecar.port, data.partition(b"\r\n\r\n")[0] + b"\r\n\r\n")
    assert status_of(answer) == 401
    assert b"connection: close\r\n" in answer


async def test_more_connections_than_the_bound_are_told_so(
    tmp_path: Path, policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "CALLERS_MAX_CONNECTIONS", 1)
    async with serving(tmp_path, policy) as sidecar:
        data = request("/healthz", port=sidecar.port, method="GET")
        async with await trio.open_tcp_stream("127.0.0.1", sidecar.port) as stream:
            assert (await exchange(sidecar.port, data, keep=stream)).status == 200
            answer = await until_closed(sidecar.port, data)
        assert status_of(answer) == 503
        await wire.until(lambda: sidecar.server.connections == 0)
        assert (await exchange(sidecar.port, data)).status == 200


async def test_a_mistake_of_ours_is_answered_and_reaches_no_other_connection(
    tmp_path: Path, policy: Policy, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(tmp_path, policy) as sidecar:
        sidecar.admission.open = None  # type: ignore[method-assign, assignment]  # admission, at the seam
        data = request(CHAT, chat(), port=sidecar.port)
        answer = await until_closed(sidecar.port, data)
        assert status_of(answer) == 500
        del sidecar.admission.open
        assert (await exchange(sidecar.port, data)).status == 200
    assert "TypeError" in caplog.text
    assert wire.KEY not in caplog.text


async def test_callers_may_be_served_over_tls_also_a_stream_they_hang_up_on(
    tmp_path: Path, rehearsal: Rehearsal, policy: Policy
) -> None:
    authority = trustme.CA()
    ours, theirs = (
        ssl.SSLContext(kind) for kind in (ssl.PROTOCOL_TLS_SERVER, ssl.PROTOCOL_TLS_CLIENT)
    )
    authority.issue_cert("127.0.0.1").configure_cert(ours)
    authority.configure_trust(theirs)
    async with serving(tmp_path, policy, tls=ours) as sidecar:

        async def connect() -> trio.SSLStream[trio.SocketStream]:
            plain = await trio.open_tcp_stream("127.0.0.1", sidecar.port)
            return trio.SSLStream(plain, theirs, server_hostname="127.0.0.1", https_compatible=True)

        async with await connect() as stream:
            for _ in range(2):
                await stream.send_all(request(CHAT, chat(), port=sidecar.port))
                answer = b""
                while not answer.endswith(b"}"):
                    answer += await stream.receive_some()
                assert status_of(answer) == 200
        body = chat("[rehearse reply_tokens=9 chunk_tokens=1 stall_after_chunks=2]", stream=True)
        stream = await connect()
        await stream.send_all(request(CHAT, body, port=sidecar.port))
        assert status_of(bytes(await stream.receive_some())) == 200
        await trio.aclose_forcefully(stream)
        await wire.until(lambda: len(sidecar.booked.settled) == 3)
        answer = await until_closed(sidecar.port, request(CHAT, chat(), port=sidecar.port))
        assert not answer.startswith(b"HTTP"), "plain text is not answered"
    outcomes = [outcome.outcome for outcome in sidecar.booked.settled.values()]
    assert outcomes == [Outcome.OK, Outcome.OK, Outcome.CLIENT_GONE]


async def test_a_process_that_listens_may_hold_its_connections() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = limits.CALLERS_MAX_CONNECTIONS + limits.UPSTREAM_MAX_CONNECTIONS
    if before[1] != resource.RLIM_INFINITY and before[1] < wanted + 1_000:
        pytest.skip("this system allows too few open files")
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (512, before[1]))
        assert allow_connections() > wanted
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > wanted
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def test_an_end_lets_calls_finish_and_takes_no_new_ones(
    tmp_path: Path, policy: Policy
) -> None:
    async with serving(tmp_path, policy) as sidecar, trio.open_nursery() as nursery:
        answers: list[wire.Answer] = []

        async def call() -> None:
            body = chat("[rehearse latency_ms=400]")
            answers.append(await exchange(sidecar.port, request(CHAT, body, port=sidecar.port)))

        nursery.start_soon(call)
        await wire.until(lambda: sidecar.booked.opened)
        async with await trio.open_tcp_stream("127.0.0.1", sidecar.port) as idle:
            await wire.until(lambda: sidecar.server.connections == 2)
            with trio.fail_after(5):
                await sidecar.server.drain(5_000)
            assert await idle.receive_some() == b""
        with pytest.raises(OSError, match="connect"):
            await trio.open_tcp_stream("127.0.0.1", sidecar.port)
    assert [answer.status for answer in answers] == [200]
    assert sidecar.booked.only().outcome is Outcome.OK


async def test_an_end_answers_a_request_that_came_and_was_not_read_yet(
    tmp_path: Path, policy: Policy
) -> None:
    async with serving(tmp_path, policy) as sidecar:
        with socket.create_connection(("127.0.0.1", sidecar.port)) as caller:
            await wire.until(lambda: sidecar.server.connections == 1)
            caller.sendall(request(CHAT, chat("[rehearse]"), port=sidecar.port))
            sidecar.server.stop()
            with trio.fail_after(5):
                await sidecar.server.drain(5_000)
            assert status_of(caller.recv(65_536)) == 200


async def test_an_end_whose_time_is_up_breaks_calls_off_tells_and_settles_them(
    tmp_path: Path, rehearsal: Rehearsal, policy: Policy
) -> None:
    rehearsal.reset()
    async with serving(tmp_path, policy) as sidecar, trio.open_nursery() as nursery:
        answers: list[wire.Answer] = []

        async def call(body: dict[str, object]) -> None:
            answers.append(await exchange(sidecar.port, request(CHAT, body, port=sidecar.port)))

        nursery.start_soon(call, chat("[rehearse latency_ms=60000]"))
        stalled = chat(
            "[rehearse reply_tokens=20 chunk_tokens=1 stall_after_chunks=3]", stream=True
        )
        async with await trio.open_tcp_stream("127.0.0.1", sidecar.port) as stream:
            await stream.send_all(request(CHAT, stalled, port=sidecar.port))
            received = bytes(await stream.receive_some())
            await rehearsal.in_flight(2)
            with trio.fail_after(5):
                await sidecar.server.drain(50)
            while more := await stream.receive_some():
                received += more
    assert status_of(received) == 200
    assert b"upstream_broke_off" in received
    (whole,) = answers
    assert whole.status == 502
    assert b"upstream_broke_off" in whole.body
    assert whole.headers["x-should-retry"] == "false", "the call is charged: each try would be"
    assert {outcome.outcome for outcome in sidecar.booked.settled.values()} == {Outcome.CLIENT_GONE}
    assert all(outcome.estimated for outcome in sidecar.booked.settled.values())
