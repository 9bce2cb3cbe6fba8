"""Forms on their way through: read here, and passed on byte for byte."""

import gzip
import socket
from pathlib import Path
from typing import Any

import pytest
import trio

from sidecar.core.calls import Outcome
from sidecar.core.policy import Policy
from sidecar.http import limits
from tests.sidecar.providers.sound_files import wav
from tests.sidecar.runtime import wire
from tests.sidecar.runtime.wire import Answer, Rehearsal, exchange, request, serving, until_closed

TRANSCRIPTIONS = "/v1/audio/transcriptions"
BOUNDARY = "----formdata-1234"
FORM = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}

pytestmark = pytest.mark.trio


def sound(seconds: int) -> bytes:
    return wav(seconds * 1_000)


def form(file: bytes | None = None, /, **texts: str) -> bytes:
    parts = [
        f'Content-Disposition: form-data; name="{name}"\r\n\r\n{text}'.encode()
        for name, text in texts.items()
    ]
    if file is not None:
        head = b'Content-Disposition: form-data; name="file"; filename="a.wav"\r\n'
        parts.append(head + b"Content-Type: audio/wav\r\n\r\n" + file)
    delimiter = f"--{BOUNDARY}".encode()
    return b"".join(delimiter + b"\r\n" + part + b"\r\n" for part in parts) + delimiter + b"--\r\n"


async def post(sidecar: wire.Sidecar, body: bytes, **options: Any) -> Answer:
    options.setdefault("lines", FORM)
    return await exchange(sidecar.port, request(TRANSCRIPTIONS, body, port=sidecar.port, **options))


async def test_a_form_is_booked_as_it_was_billed(
    tmp_path: Path, rehearsal: Rehearsal, policy: Policy
) -> None:
    async with serving(tmp_path, policy) as sidecar:
        answer = await post(sidecar, form(sound(12), model="whisper-1"))
        assert answer.status == 200
        assert answer.json()["usage"] == {"type": "duration", "seconds": 12}
        assert sidecar.booked.cost_nano_usd == rehearsal.billed_nano_usd == 12 * 100_000
        assert sidecar.booked.only().outcome is Outcome.OK
        assert answer.headers["x-bursar-cost-nano-usd"] == "1200000"


@pytest.mark.parametrize("piece_bytes", [1, 7, 1_000])
async def test_it_does_not_matter_how_a_form_was_cut_on_its_way(
    tmp_path: Path, rehearsal: Rehearsal, policy: Policy, piece_bytes: int
) -> None:
    body = form(sound(1), model="whisper-1", response_format="json")
    async with serving(tmp_path, policy) as sidecar:
        data = request(TRANSCRIPTIONS, body, port=sidecar.port, lines=FORM)
        async with await trio.open_tcp_stream("127.0.0.1", sidecar.port) as stream:
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for at in range(0, len(data), piece_bytes):
                await stream.send_all(data[at : at + piece_bytes])
            assert (await wire.read_answer(stream)).status == 200
    assert rehearsal.billed_nano_usd == sidecar.booked.cost_nano_usd == 100_000


async def test_a_form_goes_on_byte_for_byte_with_its_own_content_type(
    tmp_path: Path, rehearsal: Rehearsal
) -> None:
    seen = bytearray()

    async def provide(stream: trio.SocketStream) -> None:
        while b"--\r\n" not in seen[-4:]:
            seen.extend(await stream.receive_some())
        body = b'{"text":"x","usage":{"type":"duration","seconds":1}}'
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "
        await stream.send_all(head + b"%d\r\n\r\n" % len(body) + body)

    body = form(bytes(range(256)) * 9, model="whisper-1")
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, provide, listeners)
        url = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        async with serving(tmp_path, wire.policy_for(url, wire.prices_of(rehearsal))) as sidecar:
            packed = {**FORM, "Content-Encoding": "gzip"}
            assert (await post(sidecar, gzip.compress(body), lines=packed)).status == 200
        nursery.cancel_scope.cancel()
    head, _, passed_on = bytes(seen).partition(b"\r\n\r\n")
    assert passed_on == body
    lines = head.lower().split(b"\r\n")
    assert [line for line in lines if line.startswith(b"content-")] == [
        f"content-type: {FORM['Content-Type']}".lower().encode(),
        b"content-length: %d" % len(body),
    ]


GOOD = form(sound(1), model="whisper-1")


@pytest.mark.parametrize(
    ("body", "content_type", "status", "words"),
    [
        (b'{"model":"whisper-1"}', "application/json", 415, "multipart/form-data"),
        (GOOD, "multipart/form-data", 400, "one plain boundary"),
        (GOOD, "multipart/form-data; boundary=other", 400, "begin with its boundary"),
        (GOOD[:-20], FORM["Content-Type"], 400, "last boundary is missing"),
        (form(sound(1)), FORM["Content-Type"], 400, "must name a model"),
        (form(model="whisper-1"), FORM["Content-Type"], 400, "file must be one recording"),
        (form(model="whisper-1", file="x"), FORM["Content-Type"], 400, "file must be one"),
        (form(sound(1), model="whisper-1", Stream="true"), FORM["Content-Type"], 400, "small"),
        (form(sound(1), model="whisper-1", stream="1"), FORM["Content-Type"], 400, "stream must"),
        (form(sound(1), model="gpt-nobody"), FORM["Content-Type"], 403, "no price for gpt-nobody"),
        (form(sound(1), model="tts-1"), FORM["Content-Type"], 403, "no rate for input"),
    ],
)
async def test_a_form_that_could_not_be_metered_is_refused(
    tmp_path: Path,
    rehearsal: Rehearsal,
    policy: Policy,
    *,
    body: bytes,
    content_type: str,
    status: int,
    words: str,
) -> None:
    async with serving(tmp_path, policy) as sidecar:
        answer = await post(sidecar, body, lines={"Content-Type": content_type})
        assert (answer.status, answer.headers["x-should-retry"]) == (status, "false")
        assert words in answer.json()["error"]["message"]
    assert rehearsal.bill()["calls"] == []


@pytest.mark.parametrize(
    ("lines", "key", "status"),
    [
        ({}, wire.UNKNOWN, b" 401 "),
        ({"Content-Type": "application/json"}, wire.KEY, b" 415 "),
        ({"Content-Type": "multipart/form-data"}, wire.KEY, b" 400 "),
        ({"Content-Length": str(limits.REQUEST_BODY_MAX_BYTES + 1)}, wire.KEY, b" 413 "),
    ],
)
async def test_a_caller_that_expects_100_need_not_upload_what_would_be_refused(
    tmp_path: Path, policy: Policy, lines: dict[str, str], key: str, status: bytes
) -> None:
    async with serving(tmp_path, policy) as sidecar:
        told = {**FORM, "Expect": "100-continue", **lines}
        data = request(TRANSCRIPTIONS, GOOD, port=sidecar.port, key=key, lines=told)
        with trio.fail_after(5):
            answer = await until_closed(sidecar.port, data.partition(b"\r\n\r\n")[0] + b"\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1" + status)


async def test_large_forms_together_take_no_more_memory_than_is_named(
    tmp_path: Path, policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "BUFFERED_MAX_BYTES", 300_000)
    async with serving(tmp_path, policy) as sidecar:
        large = form(b"\x00" * 1_000_000, model="whisper-1")
        answer = await post(sidecar, large)
        assert (answer.status, answer.headers["x-bursar-error"]) == (503, "overloaded")
        assert (await post(sidecar, GOOD)).status == 200, "the room was given back"


async def test_pictures_on_their_way_count_as_memory_too(
    tmp_path: Path, policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "BUFFERED_MAX_BYTES", 2_000_000)
    async with serving(tmp_path, policy) as sidecar:
        body = {
            "model": "gpt-image-1-mini",
            "prompt": "[rehearse media_bytes=9000000] A lighthouse.",
            "stream": True,
        }
        data = request("/v1/images/generations", body, port=sidecar.port)
        await until_closed(sidecar.port, data)
        settled = sidecar.booked.only()
        assert (settled.outcome, settled.error_kind) == (Outcome.BROKEN, "no_room")
        # What was on its way is read for its usage all the same; without it the worst case counts.
        worst_nano_usd = sidecar.booked.opened[0].worst_nano_usd
        assert settled.cost_nano_usd == worst_nano_usd if settled.estimated else settled.quantities
