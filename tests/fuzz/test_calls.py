"""Whole calls before a provider that says anything: each is booked once, and no hold is left."""

import json
import random
import re
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import trio

from sidecar.core.policy import DatedPrice
from tests.fuzz.mangled import answers, mangled
from tests.fuzz.targets import PRICE
from tests.sidecar.runtime import wire
from tests.sidecar.runtime.wire import chat, message, request, response, serving

CALLS = 240
PARALLEL = 8
CALL_S = 20
BODIES = (
    ("/v1/chat/completions", chat),
    ("/v1/messages", message),
    ("/v1/responses", response),
)
_NUMBER = re.compile(rb"call ([0-9]+)\.")


def _prices() -> list[DatedPrice]:
    return [
        DatedPrice(replace(PRICE, provider=provider, model=model), 0)
        for provider, model in (("openai", "gpt-4o-mini"), ("anthropic", "claude-haiku-4-5"))
    ]


def _said(rng: random.Random) -> bytes:
    """An answer: its head is mostly right, its framing not always, and it may end anywhere."""
    body = mangled(rng, rng.choice(answers()))
    streamed = b"data:" in body
    kind = b"text/event-stream" if streamed or rng.random() < 0.1 else b"application/json"
    status = rng.choice((200, 200, 200, 200, 200, 201, 204, 400, 429, 500))
    length = len(body) + rng.choice((0, 0, 0, 0, 1, -1))
    framed = rng.choice((b"Content-Length: %d\r\n" % max(0, length), b"Connection: close\r\n"))
    said = b"HTTP/1.1 %d X\r\nContent-Type: %b\r\n%b\r\n%b" % (status, kind, framed, body)
    if rng.random() < 0.1:
        said = mangled(rng, said)
    return said[: rng.randint(0, len(said))] if rng.random() < 0.2 else said


async def _provide(stream: trio.SocketStream) -> None:
    """Say anything, in two pieces, and hang up; what it says follows from the call's number."""
    async with stream:
        asked = b""
        while (number := _NUMBER.search(asked)) is None:
            more = await stream.receive_some()
            if not more:
                return
            asked += more
        rng = random.Random(f"answer {int(number[1])}")
        said = _said(rng)
        at = rng.randint(0, len(said))
        for piece in (said[:at], said[at:]):
            if piece:
                await stream.send_all(piece)


async def _call(number: int, port: int) -> bytes:
    """Make one call, and sometimes hang up on it."""
    rng = random.Random(f"call {number}")
    path, make = rng.choice(BODIES)
    body = make(f"call {number}.", stream=rng.random() < 0.5)
    lines = {"Connection": "close"}
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(request(path, json.dumps(body).encode(), port=port, lines=lines))
        received = b""
        while more := await stream.receive_some():
            received += more
            if rng.random() < 0.05:
                break
        return received


@pytest.mark.slow
@pytest.mark.trio
async def test_each_call_is_booked_once_whatever_its_provider_says(tmp_path: Path) -> None:
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, _provide, 0, host="127.0.0.1"))
        url = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        policy = wire.policy_for(url, _prices())
        async with serving(tmp_path, policy) as sidecar:
            for first in range(0, CALLS, PARALLEL):
                async with trio.open_nursery() as callers:
                    for number in range(first, first + PARALLEL):
                        callers.start_soon(_call, number, sidecar.port)
            with trio.fail_after(CALL_S):
                await wire.until(lambda: sidecar.admission.open_calls == 0)
            booked = sidecar.booked
            opened = {hold.call_id for hold in booked.opened}
            assert len(opened) == CALLS
            assert booked.settled.keys() | booked.voided.keys() == opened
            assert not booked.settled.keys() & booked.voided.keys()
        nursery.cancel_scope.cancel()
