"""Answers that nobody reads to their end: what is not known is never charged too low."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from sidecar.core.calls import Outcome
from sidecar.core.policy import DatedPrice, Policy
from sidecar.http import limits
from sidecar.runtime.server import listen
from tests.sidecar.builders import price
from tests.sidecar.providers.sound_files import wav
from tests.sidecar.runtime import wire
from tests.sidecar.runtime.wire import Rehearsal, exchange, renamed, request, serving

pytestmark = pytest.mark.trio

CHAT = "/v1/chat/completions"
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
LIMIT = 8_000


def policy_at(url: str) -> Policy:
    prices: list[DatedPrice] = [price("gpt-4o-mini")]
    return wire.policy_for(url, prices)


def chat(**fields: Any) -> dict[str, Any]:
    return wire.chat(max_tokens=LIMIT, **fields)


@asynccontextmanager
async def answering(
    reply: bytes, *, forever: bytes = b"", sent: trio.Event | None = None
) -> AsyncIterator[str]:
    """A provider that answers with these bytes; then it goes on forever, falls silent, or ends."""

    async def handle(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.receive_some()
            with suppress(trio.BrokenResourceError):
                await stream.send_all(reply)
                while forever:
                    await stream.send_all(forever)
                if sent is not None:
                    sent.set()
                    await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, handle, 0, host="127.0.0.1"))
        yield f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        nursery.cancel_scope.cancel()


async def ended(sidecar: wire.Sidecar) -> None:
    await wire.until(lambda: sidecar.booked.settled)


@pytest.mark.parametrize(
    "reply",
    [
        b'HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n{"choices":[{"message":{"content":"a',
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n \r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n<html>Welcome</html>",
        b'HTTP/1.1 200 OK\r\nContent-Length: 14\r\n\r\n{"choices":[]}',
    ],
)
async def test_a_whole_answer_that_tells_nothing_is_charged_at_the_worst_case(
    tmp_path: Path, reply: bytes
) -> None:
    async with answering(reply) as url, serving(tmp_path, policy_at(url)) as sidecar:
        await exchange(sidecar.port, request(CHAT, chat(), port=sidecar.port))
    outcome = sidecar.booked.only()
    assert outcome.estimated
    assert outcome.cost_nano_usd == sidecar.booked.opened[0].worst_nano_usd


async def test_a_caller_that_stops_reading_and_hangs_up_is_charged_for_all_that_was_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies between a fast provider and a slow caller was billed, though nobody read it."""

    async def narrow(host: str, port: int) -> list[trio.SocketListener]:
        listeners = await listen(host, port)
        for listener in listeners:
            listener.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4_096)
        return listeners

    monkeypatch.setattr(wire, "listen", narrow)
    tokens = 3_000
    event = b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
    sent = trio.Event()
    async with (
        answering(STREAM + event * tokens, sent=sent) as url,
        serving(tmp_path, policy_at(url)) as sidecar,
    ):
        with trio.socket.socket() as caller:
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_048)
            await caller.connect(("127.0.0.1", sidecar.port))
            await caller.send(request(CHAT, chat(stream=True), port=sidecar.port))
            await sent.wait()
        await ended(sidecar)
    outcome = sidecar.booked.only()
    assert (outcome.outcome, outcome.estimated) == (Outcome.CLIENT_GONE, True)
    assert tokens <= outcome.quantities["output"] < LIMIT


async def test_a_stream_that_is_too_far_ahead_is_charged_at_the_worst_case(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "CATCH_UP_MAX_MS", 0)
    event = b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'
    async with (
        answering(STREAM, forever=event) as url,
        serving(tmp_path, policy_at(url)) as sidecar,
    ):
        async with await trio.open_tcp_stream("127.0.0.1", sidecar.port) as stream:
            await stream.send_all(request(CHAT, chat(stream=True), port=sidecar.port))
            await stream.receive_some(1_000)
        await ended(sidecar)
    outcome = sidecar.booked.only()
    assert outcome.estimated
    assert outcome.cost_nano_usd == sidecar.booked.opened[0].worst_nano_usd


async def test_a_stream_whose_end_had_come_already_is_charged_exactly(tmp_path: Path) -> None:
    """The caller was gone before the usage could be passed on, but the sidecar has it."""
    first = b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
    usage = b'data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":4}}\n\n'
    gone = trio.Event()

    async def handle(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.receive_some()
            await stream.send_all(STREAM + first)
            await gone.wait()
            await stream.send_all(usage + b"data: [DONE]\n\n")

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, handle, 0, host="127.0.0.1"))
        url = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        async with serving(tmp_path, policy_at(url)) as sidecar:
            async with await trio.open_tcp_stream("127.0.0.1", sidecar.port) as stream:
                await stream.send_all(request(CHAT, chat(stream=True), port=sidecar.port))
                await stream.receive_some()
            gone.set()
            await ended(sidecar)
        nursery.cancel_scope.cancel()
    outcome = sidecar.booked.only()
    assert not outcome.estimated
    assert outcome.quantities == {"input": 9, "output": 4}


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_that_finds_no_room_is_charged_and_not_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    monkeypatch.setattr(limits, "BUFFERED_MAX_BYTES", 10_000)
    monkeypatch.setattr(limits, "LARGE_BODY_BYTES", 10_000)
    if stream:
        reply = STREAM + b'data: {"choices":[{"index":0,"delta":{"content":"' + b"a" * 90_000
    else:
        reply = b"HTTP/1.1 200 OK\r\nContent-Length: 90001\r\n\r\n" + b" " * 90_000
    async with (
        answering(reply, sent=trio.Event()) as url,
        serving(tmp_path, policy_at(url)) as sidecar,
    ):
        if stream:
            data = request(CHAT, chat(stream=True), port=sidecar.port)
            told = await wire.until_closed(sidecar.port, data)
            assert b"upstream_broke_off" in told
        else:
            answer = await exchange(sidecar.port, request(CHAT, chat(), port=sidecar.port))
            assert (answer.status, answer.headers["x-should-retry"]) == (502, "false")
            assert answer.headers["x-bursar-error"] == "upstream_broke_off"
    outcome = sidecar.booked.only()
    worst_nano_usd = sidecar.booked.opened[0].worst_nano_usd
    assert (outcome.error_kind, outcome.estimated) == ("no_room", True)
    assert stream or outcome.cost_nano_usd == worst_nano_usd


PICTURE = b'data: {"type":"image_generation.partial_image","b64_json":"aaaa"}\n\n'
SOUND = b'data: {"type":"speech.audio.delta","audio":"aaaa"}\n\n'
WORDS = b'data: {"type":"transcript.text.delta","delta":"a"}\n\n'
PICTURES, SPEECH = "/v1/images/generations", "/v1/audio/speech"
DRAWN = {"model": "gpt-image-1-mini", "prompt": "A lighthouse.", "stream": True}
SPOKEN = {"model": "gpt-4o-mini-tts", "input": "Hi.", "voice": "alloy", "stream_format": "sse"}
EDGE = "edge"
FORM = {"Content-Type": f"multipart/form-data; boundary={EDGE}"}
RECORDED = (
    b"".join(
        b"--%b\r\nContent-Disposition: form-data; %b\r\n\r\n%b\r\n" % (EDGE.encode(), name, value)
        for name, value in (
            (b'name="model"', b"gpt-4o-transcribe"),
            (b'name="stream"', b"true"),
            (b'name="file"; filename="a.wav"', wav(1_000)),
        )
    )
    + b"--%b--\r\n" % EDGE.encode()
)


@pytest.mark.parametrize(
    ("path", "body", "lines", "piece"),
    [
        (PICTURES, DRAWN, {}, PICTURE),
        (SPEECH, SPOKEN, {}, SOUND),
        ("/v1/audio/transcriptions", RECORDED, FORM, WORDS),
    ],
)
async def test_pictures_speech_and_transcripts_are_not_read_on_but_charged_at_the_worst_case(
    tmp_path: Path, rehearsal: Rehearsal, path: str, body: Any, lines: dict[str, str], piece: bytes
) -> None:
    """Their provider may bill them to the end, which never comes here: no drain could settle it."""
    async with answering(STREAM + piece, sent=trio.Event()) as url:
        policy = renamed("mistral", wire.policy_for(url, wire.prices_of(rehearsal)))
        async with serving(tmp_path, policy) as sidecar:
            async with await trio.open_tcp_stream("127.0.0.1", sidecar.port) as stream:
                await stream.send_all(request(path, body, port=sidecar.port, lines=lines))
                told = await stream.receive_some()
                assert told.startswith(b"HTTP/1.1 200")
            await ended(sidecar)
    outcome = sidecar.booked.only()
    assert (outcome.outcome, outcome.estimated) == (Outcome.CLIENT_GONE, True)
    assert outcome.cost_nano_usd == sidecar.booked.opened[0].worst_nano_usd > 0
