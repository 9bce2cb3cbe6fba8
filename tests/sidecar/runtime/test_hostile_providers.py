"""Providers whose answers are absurd or malicious: each call is booked once, and never too low."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from protos.values import quantities as kinds
from protos.values.rates import ModelPrice, Tier
from sidecar.core.calls import Outcome
from sidecar.core.policy import DatedPrice
from tests.sidecar.runtime import wire
from tests.sidecar.runtime.wire import chat, exchange, message, request, serving

pytestmark = pytest.mark.trio

CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"
LONE = "\ud800"
"""Half of a surrogate pair: JSON can say it, UTF-8 cannot."""
ABSURD = 10**30


def prices() -> list[DatedPrice]:
    rates = {kinds.INPUT: 1_000_000, kinds.OUTPUT: 2_000_000}
    return [
        DatedPrice(ModelPrice(provider, model, (), 9_000, 900, (Tier(0, rates),), "book-1"), 0)
        for provider, model in (("openai", "gpt-4o-mini"), ("anthropic", "claude-haiku-4-5"))
    ]


@asynccontextmanager
async def before(answer: bytes, folder: Path, name: str = "openai") -> AsyncIterator[wire.Sidecar]:
    """A sidecar before a provider that says the same to every request, and hangs up."""

    async def handle(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.receive_some()
            await stream.send_all(answer)

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, handle, 0, host="127.0.0.1"))
        url = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        policy = wire.policy_for(url, prices())
        policy = policy if name == "openai" else wire.renamed(name, policy)
        async with serving(folder, policy) as sidecar:
            yield sidecar
            assert "mistake" not in sidecar.log.getvalue()
        nursery.cancel_scope.cancel()


def said(value: Any, status: int = 200, lines: str = "") -> bytes:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return f"HTTP/1.1 {status} X\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body


def streamed(*events: Any) -> bytes:
    data = b"".join(
        b"data: " + (event if isinstance(event, bytes) else json.dumps(event).encode()) + b"\n\n"
        for event in events
    )
    return b"HTTP/1.1 200 X\r\nContent-Type: text/event-stream\r\n\r\n" + data


def used(**usage: Any) -> dict[str, Any]:
    return {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 9, **usage}}


def started(**usage: Any) -> dict[str, Any]:
    told = {"input_tokens": 9, "output_tokens": 1, **usage}
    return {"type": "message_start", "message": {"usage": told}}


def ended(**usage: Any) -> dict[str, Any]:
    return {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage}


WHOLE: list[tuple[str, Any]] = [
    *((CHAT, used(completion_tokens=count)) for count in (-9, 9.0, "9", True, ABSURD, 2**62)),
    *((CHAT, used(prompt_tokens=count)) for count in (-9, ABSURD, 2**63)),
    (CHAT, used(total_tokens=10**19)),
    (CHAT, used(prompt_tokens_details={"cached_tokens": ABSURD})),
    (CHAT, used(completion_tokens_details={"reasoning_tokens": ABSURD})),
    (CHAT, {"choices": 5}),
    (CHAT, {"choices": True}),
    (CHAT, b'{"usage":{"prompt_tokens":NaN,"completion_tokens":Infinity}}'),
    (CHAT, b"[" * 100_000),
    *((MESSAGES, {"usage": {"input_tokens": 9, "output_tokens": c}}) for c in (-9, 9.5, "9")),
    (MESSAGES, {"usage": {"input_tokens": ABSURD, "output_tokens": 9}}),
    (MESSAGES, {"usage": {"input_tokens": 9, "output_tokens": 9, "iterations": 5}}),
]


@pytest.mark.parametrize(("path", "answer"), WHOLE)
async def test_usage_that_cannot_be_believed_is_charged_at_the_worst_case(
    tmp_path: Path, path: str, answer: Any
) -> None:
    body = chat() if path == CHAT else message()
    async with before(said(answer), tmp_path) as sidecar:
        answered = await exchange(sidecar.port, request(path, body, port=sidecar.port))
    outcome = sidecar.booked.only()
    worst_nano_usd = sidecar.booked.opened[0].worst_nano_usd
    assert answered.status == 200
    assert (outcome.cost_nano_usd, outcome.estimated) == (worst_nano_usd, True)


ODD_COSTS = (b"1e99999999999999999999", b"1e-99999999999999999999", b"0." + b"1" * 500_000)
"""Numbers that JSON can say and exact arithmetic cannot, or not in time."""


@pytest.mark.parametrize("cost", ODD_COSTS)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_cost_that_is_no_amount_is_passed_over_for_the_tokens(
    tmp_path: Path, cost: bytes, stream: bool
) -> None:
    told = json.dumps(used()).encode()[:-2] + b',"cost":' + cost + b"}}"
    answer = streamed(told, b"[DONE]") if stream else said(told)
    body = chat(stream=stream)
    async with before(answer, tmp_path) as sidecar:
        answered = await exchange(sidecar.port, request(CHAT, body, port=sidecar.port))
    outcome = sidecar.booked.only()
    assert answered.status == 200
    assert (outcome.cost_nano_usd, outcome.estimated) == (9 * 1_000 + 9 * 2_000, False)


STREAMS: list[tuple[str, bytes]] = [
    (CHAT, streamed(used(completion_tokens=ABSURD), b"[DONE]")),
    (CHAT, streamed({"choices": 5}, {"choices": [{"delta": 5}]})),
    (CHAT, streamed(b"no JSON", b"{", b"[DONE]")),
    (CHAT, streamed({"error": {"code": LONE}})),
    (MESSAGES, streamed(started(), ended(output_tokens="5"))),
    (MESSAGES, streamed(started(input_tokens=ABSURD), ended(output_tokens=5))),
    (MESSAGES, streamed({"type": "message_start", "message": {"model": [1], "usage": [2]}})),
]


@pytest.mark.parametrize(("path", "answer"), STREAMS)
async def test_a_stream_that_makes_no_sense_is_booked_by_estimate(
    tmp_path: Path, path: str, answer: bytes
) -> None:
    body = (chat if path == CHAT else message)(stream=True)
    async with before(answer, tmp_path) as sidecar:
        answered = await exchange(sidecar.port, request(path, body, port=sidecar.port))
    assert answered.status == 200
    assert sidecar.booked.only().estimated


@pytest.mark.parametrize(
    "answer",
    [
        said({**used(), "model": LONE}),
        said({**used(), "model": "a\x1b[31m\x00b"}),
        said({**used(), "service_tier": LONE}),
        said({"error": {"code": LONE, "type": "\x1b]0;x\x07"}}, status=400),
    ],
)
async def test_texts_of_a_provider_are_booked_without_what_no_ledger_or_terminal_should_get(
    tmp_path: Path, answer: bytes
) -> None:
    async with before(answer, tmp_path) as sidecar:
        await exchange(sidecar.port, request(CHAT, chat(), port=sidecar.port))
    outcome = sidecar.booked.only()
    told = outcome.answered_model + outcome.tier + outcome.error_kind
    assert told
    assert told.isprintable()


@pytest.mark.parametrize("status", [400, 401, 403, 429, 500])
async def test_a_provider_that_repeats_the_secret_in_an_error_does_not_tell_it_to_the_caller(
    tmp_path: Path, status: int
) -> None:
    secret = wire.PROVIDER_SECRET
    words = {"error": {"message": f"bad key {secret}", "code": "bad"}}
    echo = said(words, status, f"X-Echo: Bearer {secret}\r\nX-Kept: 1\r\n")
    async with before(echo, tmp_path) as sidecar:
        answer = await exchange(sidecar.port, request(CHAT, chat(), port=sidecar.port))
        assert secret not in sidecar.log.getvalue()
    assert answer.status == (403 if status == 401 else status)
    assert secret not in f"{answer.body!r} {answer.headers}"
    assert ("x-kept" in answer.headers) is (status != 401)
    assert sidecar.booked.voided


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_never_followed(tmp_path: Path, status: int) -> None:
    async with before(said({}, status, "Location: http://127.0.0.1:1/\r\n"), tmp_path) as sidecar:
        answer = await exchange(sidecar.port, request(CHAT, chat(), port=sidecar.port))
    assert answer.status == status
    assert "location" not in answer.headers
    assert sidecar.booked.voided


async def test_headers_of_a_provider_can_neither_forge_ours_nor_steer_a_browser(
    tmp_path: Path,
) -> None:
    lines = (
        "X-Bursar-Cost-Nano-Usd: 0\r\nSet-Cookie: a=b\r\nAccess-Control-Allow-Origin: *\r\n"
        "Connection: x-private\r\nX-Private: 1\r\nOpenAI-Organization: agency\r\n"
    )
    async with before(said(used(), lines=lines), tmp_path) as sidecar:
        answer = await exchange(sidecar.port, request(CHAT, chat(), port=sidecar.port))
    assert answer.headers["x-bursar-cost-nano-usd"] == str(sidecar.booked.cost_nano_usd) != "0"
    forbidden = {"set-cookie", "access-control-allow-origin", "x-private", "openai-organization"}
    assert forbidden.isdisjoint(answer.headers)


async def test_an_error_that_tells_usage_is_charged_and_stays_an_error(tmp_path: Path) -> None:
    async with before(said(used(), status=500), tmp_path) as sidecar:
        answer = await exchange(sidecar.port, request(CHAT, chat(), port=sidecar.port))
    outcome = sidecar.booked.only()
    assert answer.status == 500
    assert outcome.outcome is Outcome.PROVIDER_ERROR
    assert (outcome.cost_nano_usd, outcome.estimated) == (9 * 1_000 + 9 * 2_000, False)


FILTERED = {"error": {"code": "content_filter", "type": None, "status": 400}}


@pytest.mark.parametrize(
    ("name", "answer", "billed"),
    [
        ("azure", said(FILTERED, 400), True),
        ("azure", said({"error": {"code": "context_length_exceeded"}}, 400), True),
        ("azure", said({"error": {"code": "Timeout"}}, 408), True),
        ("azure", said(b"no reason given", 400), True),
        ("azure", said(FILTERED, 400)[:-9], True),
        ("azure", said({"error": {"code": None, "type": "invalid_request_error"}}, 400), False),
        ("azure", said({"error": {"code": "429"}}, 429), False),
        ("openai", said(FILTERED, 400), False),
    ],
)
async def test_an_error_that_its_provider_may_bill_is_charged_at_the_worst_case(
    tmp_path: Path, name: str, answer: bytes, billed: bool
) -> None:
    async with before(answer, tmp_path, name) as sidecar:
        await exchange(sidecar.port, request(CHAT, chat(), port=sidecar.port))
    outcome = sidecar.booked.only()
    worst_nano_usd = sidecar.booked.opened[0].worst_nano_usd
    assert outcome.outcome is Outcome.PROVIDER_ERROR
    assert (outcome.cost_nano_usd, outcome.estimated) == (worst_nano_usd * billed, billed)
    assert bool(sidecar.booked.voided) is not billed
