"""Calls that go wrong: whoever breaks off, the hold ends once and never too low."""

import gzip
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
import trio

from sidecar.core.calls import Hold, NewCall, Outcome
from sidecar.core.policy import Policy
from sidecar.http import limits
from sidecar.runtime.caller import Why
from tests.sidecar.runtime import wire
from tests.sidecar.runtime.wire import (
    Rehearsal,
    chat,
    completion,
    exchange,
    message,
    request,
    response,
    serving,
)

pytestmark = pytest.mark.trio

CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"
STREAMS = [
    (CHAT, chat),
    (MESSAGES, message),
    ("/v1/responses", partial(response, max_output_tokens=1_000)),
    ("/v1/completions", partial(completion, max_tokens=1_000)),
]
LONG = "[rehearse reply_tokens=40 chunk_tokens=1]"


async def ended(sidecar: wire.Sidecar, calls: int = 1) -> None:
    """Wait until so many holds have ended."""
    booked = sidecar.booked
    await wire.until(lambda: len(booked.settled) + len(booked.voided) >= calls)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (CHAT, chat("[rehearse error_status=429 retry_after_s=7]")),
        (CHAT, chat("[rehearse error_status=500]", stream=True)),
        (MESSAGES, message("[rehearse error_status=529]")),
        (CHAT, chat("[rehearse error_status=402]")),
    ],
)
async def test_a_providers_error_is_passed_on_marked_and_costs_nothing(
    tmp_path: Path, policy: Policy, path: str, body: Any
) -> None:
    async with serving(tmp_path, policy) as sidecar:
        answer = await exchange(sidecar.port, request(path, body, port=sidecar.port))
    outcome = sidecar.booked.only()
    assert answer.status == outcome.status >= 400
    assert "error" in answer.json()
    assert answer.headers["x-bursar-upstream"] == "provider"
    assert answer.headers["x-bursar-cost-nano-usd"] == "0"
    if "retry_after" in str(body):
        assert answer.headers["retry-after"] == "7"
    assert outcome.outcome is Outcome.PROVIDER_ERROR
    assert outcome.error_kind
    assert sidecar.booked.voided


async def test_a_provider_that_refuses_the_agencys_secret_does_not_blame_the_callers_key(
    tmp_path: Path, policy: Policy
) -> None:
    async with serving(tmp_path, policy) as sidecar:
        body = chat("[rehearse error_status=401]")
        answer = await exchange(sidecar.port, request(CHAT, body, port=sidecar.port))
    assert answer.status == 403
    assert answer.json()["error"]["code"] == "provider_secret_refused"
    assert sidecar.booked.voided


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (CHAT, chat("[rehearse hangup_before_headers]")),
        (CHAT, chat("[rehearse hangup_before_headers]", stream=True)),
        (MESSAGES, message("[rehearse hangup_before_headers]")),
    ],
)
async def test_a_provider_that_hangs_up_before_it_answers_is_charged_at_the_worst_case(
    tmp_path: Path, policy: Policy, path: str, body: Any
) -> None:
    async with serving(tmp_path, policy) as sidecar:
        answer = await exchange(sidecar.port, request(path, body, port=sidecar.port))
    outcome = sidecar.booked.only()
    assert (answer.status, answer.headers["x-bursar-error"]) == (502, "upstream_broke_off")
    assert answer.headers["x-should-retry"] == "false"
    assert outcome.outcome is Outcome.BROKEN
    assert outcome.estimated
    assert outcome.cost_nano_usd == sidecar.booked.opened[0].worst_nano_usd


@pytest.mark.parametrize(("path", "make"), STREAMS)
@pytest.mark.parametrize("knob", ["hangup_after_chunks=10", "error_after_chunks=10"])
async def test_a_stream_that_the_provider_breaks_off_is_charged_by_what_was_seen(
    tmp_path: Path, rehearsal: Rehearsal, policy: Policy, path: str, make: Any, knob: str
) -> None:
    body = make(LONG + f"[rehearse {knob}]", stream=True)
    async with serving(tmp_path, policy) as sidecar:
        answer = await exchange(sidecar.port, request(path, body, port=sidecar.port))
        (billed,) = await rehearsal.ended(1)
    outcome = sidecar.booked.only()
    assert answer.status == 200
    assert b"error" in answer.body
    assert b"[DONE]" not in answer.body
    assert outcome.outcome is Outcome.BROKEN
    assert outcome.estimated
    assert outcome.error_kind
    held = sidecar.booked.opened[0].worst_nano_usd
    assert int(billed["cost_nano_usd"]) <= outcome.cost_nano_usd <= held


async def test_a_whole_answer_that_breaks_off_is_never_charged_too_low(
    tmp_path: Path, rehearsal: Rehearsal, policy: Policy
) -> None:
    async with serving(tmp_path, policy) as sidecar:
        body = chat("[rehearse reply_tokens=30 hangup_after_chunks=3]")
        answer = await exchange(sidecar.port, request(CHAT, body, port=sidecar.port))
        (billed,) = await rehearsal.ended(1)
    assert answer.status == 502
    outcome = sidecar.booked.only()
    assert outcome.estimated
    assert int(billed["cost_nano_usd"]) <= outcome.cost_nano_usd


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_without_usage_is_estimated_and_never_too_low(
    tmp_path: Path, rehearsal: Rehearsal, policy: Policy, stream: bool
) -> None:
    async with serving(tmp_path, policy) as sidecar:
        body = chat(LONG + "[rehearse omit_usage]", stream=stream)
        assert (await exchange(sidecar.port, request(CHAT, body, port=sidecar.port))).status == 200
        (billed,) = await rehearsal.ended(1)
    outcome = sidecar.booked.only()
    assert outcome.estimated
    assert int(billed["cost_nano_usd"]) <= outcome.cost_nano_usd


async def test_a_provider_that_bills_more_than_was_held_is_charged_as_it_bills(
    tmp_path: Path, rehearsal: Rehearsal, policy: Policy
) -> None:
    async with serving(tmp_path, policy) as sidecar:
        body = chat("[rehearse reply_tokens=50 overbill_ppm=9000000]")
        assert (await exchange(sidecar.port, request(CHAT, body, port=sidecar.port))).status == 200
        (billed,) = await rehearsal.ended(1)
    outcome = sidecar.booked.only()
    assert outcome.cost_nano_usd == int(billed["cost_nano_usd"])
    assert outcome.cost_nano_usd > sidecar.booked.opened[0].worst_nano_usd
    assert "overrun" in sidecar.log.getvalue()


async def test_a_tier_that_was_not_asked_for_is_charged_at_the_worst_case_and_flagged(
    tmp_path: Path, rehearsal: Rehearsal, policy: Policy
) -> None:
    async with serving(tmp_path, policy) as sidecar:
        body = chat("[rehearse service_tier=priority reply_tokens=5]")
        assert (await exchange(sidecar.port, request(CHAT, body, port=sidecar.port))).status == 200
        (billed,) = await rehearsal.ended(1)
    outcome = sidecar.booked.only()
    assert (outcome.tier, outcome.error_kind, outcome.estimated) == (
        "priority",
        "unpriced_usage",
        True,
    )
    assert int(billed["cost_nano_usd"]) <= outcome.cost_nano_usd


async def test_the_model_that_answers_decides_the_price_when_it_has_one(
    tmp_path: Path, policy: Policy, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(tmp_path, policy) as sidecar:
        body = chat("[rehearse answer_model=gpt-5-nano reply_tokens=5 prompt_tokens=10]")
        assert (await exchange(sidecar.port, request(CHAT, body, port=sidecar.port))).status == 200
        body = chat("[rehearse answer_model=unheard-of reply_tokens=5 prompt_tokens=10]")
        for _ in range(2):
            data = request(CHAT, body, port=sidecar.port)
            assert (await exchange(sidecar.port, data)).status == 200
    first, second, _ = sidecar.booked.settled.values()
    assert (first.answered_model, first.cost_nano_usd) == ("gpt-5-nano", 10 * 50 + 5 * 400)
    assert (second.answered_model, second.cost_nano_usd) == ("unheard-of", 10 * 150 + 5 * 600)
    assert (first.error_kind, second.error_kind) == ("", "unpriced_model")
    told = [record.getMessage() for record in caplog.records if "unheard-of" in record.getMessage()]
    assert len(told) == 1
    assert "charged by that of gpt-4o-mini" in told[0]


@asynccontextmanager
async def started(sidecar: wire.Sidecar, path: str, body: Any) -> AsyncIterator[trio.SocketStream]:
    """A request that was sent, and its connection."""
    async with await trio.open_tcp_stream("127.0.0.1", sidecar.port) as stream:
        await stream.send_all(request(path, body, port=sidecar.port))
        yield stream


@pytest.mark.parametrize(("path", "make"), STREAMS)
async def test_a_caller_that_hangs_up_ends_its_stream_at_the_provider_and_is_settled(
    tmp_path: Path, rehearsal: Rehearsal, policy: Policy, path: str, make: Any
) -> None:
    body = make(LONG + "[rehearse chunk_ms=50]", stream=True)
    async with serving(tmp_path, policy) as sidecar:
        async with started(sidecar, path, body) as stream:
            received = b""
            while received.count(b"data: ") < 6:
                received += await stream.receive_some()
        await ended(sidecar)
        (billed,) = await rehearsal.ended(1)
    outcome = sidecar.booked.only()
    assert billed["outcome"] == "client_gone"
    assert outcome.outcome is Outcome.CLIENT_GONE
    assert outcome.estimated
    held = sidecar.booked.opened[0].worst_nano_usd
    assert int(billed["cost_nano_usd"]) <= outcome.cost_nano_usd <= held


async def test_a_caller_that_hangs_up_on_a_silent_stream_is_noticed(
    tmp_path: Path, rehearsal: Rehearsal, policy: Policy
) -> None:
    body = chat(LONG + "[rehearse stall_after_chunks=2]", stream=True)
    async with serving(tmp_path, policy) as sidecar:
        async with started(sidecar, CHAT, body) as stream:
            received = b""
            while received.count(b"data: ") < 2:
                received += await stream.receive_some()
        await ended(sidecar)
        (billed,) = await rehearsal.ended(1)
    assert sidecar.booked.only().outcome is Outcome.CLIENT_GONE
    assert int(billed["cost_nano_usd"]) <= sidecar.booked.only().cost_nano_usd


async def test_a_caller_that_hangs_up_on_a_whole_answer_is_settled_exactly(
    tmp_path: Path, rehearsal: Rehearsal, policy: Policy
) -> None:
    async with serving(tmp_path, policy) as sidecar:
        async with started(sidecar, CHAT, chat("[rehearse latency_ms=400]")):
            await rehearsal.in_flight(1)
        await ended(sidecar)
        (billed,) = await rehearsal.ended(1)
    outcome = sidecar.booked.only()
    assert outcome.cost_nano_usd == int(billed["cost_nano_usd"])
    assert not outcome.estimated


async def test_a_caller_found_gone_just_before_its_call_goes_out_costs_nothing(
    tmp_path: Path, rehearsal: Rehearsal, policy: Policy
) -> None:
    async with serving(tmp_path, policy) as sidecar:
        admit = sidecar.admission.open

        async def open_(call: NewCall, *, counts: bool = True) -> Hold:
            hold = await admit(call)
            (caller,) = sidecar.server._callers
            caller.cancel(Why.GONE)
            return hold

        sidecar.admission.open = open_  # type: ignore[method-assign]  # admission, at the seam
        await wire.until_closed(sidecar.port, request(CHAT, chat(), port=sidecar.port))
    assert sidecar.booked.only().outcome is Outcome.NOT_SENT
    assert sidecar.booked.voided
    assert rehearsal.bill()["calls_started"] == 0


async def test_a_caller_that_hangs_up_while_it_waits_for_money_leaves_nothing_held(
    tmp_path: Path, rehearsal: Rehearsal
) -> None:
    capped = wire.policy_for(rehearsal.url, wire.prices_of(rehearsal), capless=False)
    async with serving(tmp_path, capped) as sidecar:
        async with started(sidecar, CHAT, chat()):
            await wire.until(lambda: len(sidecar.admission.waiting))
        await wire.until(lambda: not len(sidecar.admission.waiting))
        await wire.until(lambda: sidecar.server.connections == 0)
    assert not sidecar.booked.opened
    assert rehearsal.bill()["calls_started"] == 0


@pytest.mark.parametrize(
    ("body", "cost"),
    [
        (chat("[rehearse latency_ms=60000]"), "worst"),
        (chat("[rehearse latency_ms=60000]", stream=True), "worst"),
        (chat(LONG + "[rehearse stall_after_chunks=3]", stream=True), "seen"),
    ],
)
async def test_a_call_that_takes_too_long_is_broken_off_told_and_charged(
    tmp_path: Path, policy: Policy, monkeypatch: pytest.MonkeyPatch, body: Any, cost: str
) -> None:
    monkeypatch.setattr(limits, "LONGEST_CALL_MS", 500)
    async with serving(tmp_path, policy) as sidecar:
        with trio.fail_after(10):
            answer = await exchange(sidecar.port, request(CHAT, body, port=sidecar.port))
    outcome = sidecar.booked.only()
    assert outcome.outcome is Outcome.TIMEOUT
    assert outcome.estimated
    held = sidecar.booked.opened[0].worst_nano_usd
    if cost == "worst":
        assert (answer.status, answer.headers["x-bursar-error"]) == (504, "upstream_timeout")
        assert answer.headers["x-should-retry"] == "false"
        assert outcome.cost_nano_usd == held
    else:
        assert b"upstream_timeout" in answer.body
        assert 0 < outcome.cost_nano_usd <= held


async def test_what_is_unreadable_is_passed_on_and_charged_at_the_worst_case(
    tmp_path: Path, policy: Policy
) -> None:
    reply = b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 3\r\n\r\nxyz"
    async with answering(reply) as url:
        there = wire.policy_for(url, list(policy.prices))
        async with serving(tmp_path, there) as sidecar:
            answer = await exchange(sidecar.port, request(CHAT, chat(), port=sidecar.port))
    assert answer.body == b"xyz"
    assert answer.headers["content-encoding"] == "br"
    outcome = sidecar.booked.only()
    assert outcome.estimated
    assert outcome.cost_nano_usd == sidecar.booked.opened[0].worst_nano_usd


USAGE = b'"usage":{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13}'
EVENTS = (
    b'data: {"choices":[{"index":0,"delta":{"content":"hi"}}]}\n\n'
    b'data: {"choices":[],%b}\n\ndata: [DONE]\n\n' % USAGE
)


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress], ids=["gzip", "deflate"])
@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_that_came_compressed_in_spite_of_all_is_opened_and_metered(
    tmp_path: Path, policy: Policy, stream: bool, pack: Callable[[bytes], bytes]
) -> None:
    plain = EVENTS if stream else b'{"choices":[],%b}' % USAGE
    packed = pack(plain)
    kind = b"text/event-stream" if stream else b"application/json"
    encoding = b"gzip" if pack is gzip.compress else b"deflate"
    reply = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Encoding: %b\r\n" % (kind, encoding)
    if stream:
        pieces = [packed[at : at + 9] for at in range(0, len(packed), 9)]
        chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
        reply += b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
    else:
        reply += b"Content-Length: %d\r\n\r\n" % len(packed) + packed
    async with answering(reply) as url:
        there = wire.policy_for(url, list(policy.prices))
        async with serving(tmp_path, there) as sidecar:
            data = request(CHAT, chat(stream=stream), port=sidecar.port)
            answer = await exchange(sidecar.port, data)
    assert "content-encoding" not in answer.headers
    assert answer.body == (plain.replace(b'data: {"choices":[],%b}\n\n' % USAGE, b""))
    outcome = sidecar.booked.only()
    assert (outcome.cost_nano_usd, outcome.estimated) == (9 * 150 + 4 * 600, False)


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nxyz",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nxyz",
        b"HTTP/1.1 200 OK\r\n" + b"x" * 100_000,
    ],
)
async def test_an_answer_that_is_none_is_charged_and_told(
    tmp_path: Path, policy: Policy, reply: bytes
) -> None:
    async with answering(reply) as url:
        there = wire.policy_for(url, list(policy.prices))
        async with serving(tmp_path, there) as sidecar:
            answer = await exchange(sidecar.port, request(CHAT, chat(), port=sidecar.port))
    assert (answer.status, answer.headers["x-bursar-error"]) == (502, "upstream_broke_off")
    outcome = sidecar.booked.only()
    assert (outcome.outcome, outcome.estimated) == (Outcome.BROKEN, True)
    assert outcome.cost_nano_usd > 0


async def test_an_answer_larger_than_its_bound_is_cut_off_and_charged(
    tmp_path: Path, policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "ANSWER_BODY_MAX_BYTES", 1_000)
    reply = b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + b"x" * 5_000
    async with answering(reply) as url:
        there = wire.policy_for(url, list(policy.prices))
        async with serving(tmp_path, there) as sidecar:
            answer = await exchange(sidecar.port, request(CHAT, chat(), port=sidecar.port))
    assert answer.status == 502
    assert "1000 bytes" in answer.json()["error"]["message"]
    assert sidecar.booked.only().estimated


@asynccontextmanager
async def answering(reply: bytes) -> AsyncIterator[str]:
    """A provider that reads one request a connection and answers with these bytes."""

    async def handle(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.receive_some()
            with suppress(trio.BrokenResourceError):
                await stream.send_all(reply)

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, handle, 0, host="127.0.0.1"))
        port = listeners[0].socket.getsockname()[1]
        yield f"http://127.0.0.1:{port}"
        nursery.cancel_scope.cancel()


async def test_a_provider_that_cannot_be_reached_costs_nothing(
    tmp_path: Path, policy: Policy
) -> None:
    nowhere = wire.policy_for("http://127.0.0.1:1", list(policy.prices))
    async with serving(tmp_path, nowhere) as sidecar:
        answer = await exchange(sidecar.port, request(CHAT, chat(), port=sidecar.port))
    assert (answer.status, answer.headers["x-bursar-error"]) == (502, "upstream_unreachable")
    assert answer.headers["x-should-retry"] == "true"
    assert sidecar.booked.only().outcome is Outcome.NOT_SENT
    assert sidecar.booked.voided


async def test_streams_that_break_raise_in_the_official_libraries(
    tmp_path: Path, policy: Policy
) -> None:
    def ask_openai(url: str) -> None:
        client = openai.OpenAI(base_url=f"{url}/v1", api_key=wire.KEY)
        text = LONG + "[rehearse hangup_after_chunks=5]"
        with client, pytest.raises(openai.APIError, match="broke off"):
            list(client.chat.completions.create(**chat(text, stream=True)))

    def ask_anthropic(url: str) -> None:
        client = anthropic.Anthropic(base_url=url, api_key=wire.KEY)
        text = LONG + "[rehearse hangup_after_chunks=5]"
        with client, pytest.raises(anthropic.APIError, match="broke off"):
            list(client.messages.create(**message(text, stream=True)))

    async with serving(tmp_path, policy) as sidecar:
        await trio.to_thread.run_sync(ask_openai, sidecar.url)
        await trio.to_thread.run_sync(ask_anthropic, sidecar.url)
    assert [outcome.outcome for outcome in sidecar.booked.settled.values()] == [Outcome.BROKEN] * 2


async def test_the_official_libraries_get_plain_and_streamed_answers(
    tmp_path: Path, rehearsal: Rehearsal, policy: Policy
) -> None:
    def ask_openai(url: str) -> None:
        with openai.OpenAI(base_url=f"{url}/v1", api_key=wire.KEY) as client:
            assert client.chat.completions.create(**chat()).choices[0].message.content
            chunks = list(client.chat.completions.create(**chat(stream=True)))
            assert all(chunk.choices for chunk in chunks)
            assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
            vectors = client.embeddings.create(model="text-embedding-3-small", input="x")
            assert len(vectors.data[0].embedding) == 1_536
            assert "gpt-4o" in [model.id for model in client.models.list()]

    def ask_anthropic(url: str) -> None:
        with anthropic.Anthropic(base_url=url, api_key=wire.KEY) as client:
            assert client.messages.create(**message()).content[0].text
            with client.messages.stream(**message()) as stream:
                assert stream.get_final_text()
            assert "claude-haiku-4-5" in [model.id for model in client.models.list()]

    async with serving(tmp_path, policy) as sidecar:
        await trio.to_thread.run_sync(ask_openai, sidecar.url)
        await trio.to_thread.run_sync(ask_anthropic, sidecar.url)
        await rehearsal.ended(5)
        assert sidecar.booked.cost_nano_usd == rehearsal.billed_nano_usd


async def test_a_call_whose_authority_ended_while_its_provider_was_being_reached_never_starts(
    tmp_path: Path, rehearsal: Rehearsal, policy: Policy
) -> None:
    async with serving(tmp_path, policy) as sidecar:
        admit = sidecar.admission.open

        async def open_(call: NewCall, *, counts: bool = True) -> Hold:
            hold = await admit(call)
            sidecar.admission.heard_until_boot_ms = 0
            return hold

        sidecar.admission.open = open_  # type: ignore[method-assign]  # admission, at the seam
        answer = await exchange(sidecar.port, request(CHAT, chat(), port=sidecar.port))
    assert answer.status == 502
    assert "no longer allowed to start" in answer.json()["error"]["message"]
    assert sidecar.booked.only().outcome is Outcome.NOT_SENT
    assert rehearsal.bill()["calls_started"] == 0
