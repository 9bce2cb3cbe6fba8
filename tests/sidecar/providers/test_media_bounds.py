"""No call for pictures or sound is billed more than its bound, by another's own count of it."""

import json
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clients.rehearsal.incoming import Answer, Request
from clients.rehearsal.knobs import Knobs
from clients.rehearsal.provider import Provider
from control_plane.core.built_in_prices import BOOK
from protos.values import quantities as kinds
from protos.values.rates import ModelPrice, Tier, UnpriceableError
from sidecar.core import metering
from sidecar.core.bounds import bound_of
from sidecar.http import multipart
from sidecar.http.surfaces import Surface
from sidecar.providers import forms
from sidecar.providers.apis import APIS
from sidecar.providers.reading import BadRequestError, CallRequest
from tests.sidecar.providers.picture_files import DRAWN, base64_of, data_url
from tests.sidecar.providers.sound_files import wav

PRICES = {price.model: price for price in BOOK} | {
    "rehearsal-picture": ModelPrice(
        provider="openai",
        model="rehearsal-picture",
        aliases=(),
        input_max=100_000,
        output_max=40_000,
        tiers=(Tier(0, {kinds.INPUT: 5_000_000, kinds.IMAGE_OUTPUT: 30_000_000}),),
        version="1",
    )
}
SIDES = st.integers(1, 8_000)
PICTURES = st.builds(
    lambda kind, width, height: DRAWN[kind](width, height),
    st.sampled_from(sorted(DRAWN)),
    SIDES,
    SIDES,
)
TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=200).filter(str.strip)


def read(surface: Surface, body: bytes, content_type: str = "") -> CallRequest:
    if content_type:
        boundary = multipart.boundary_of(content_type.encode())
        value = forms.object_of(multipart.read(body, boundary))
    else:
        value = json.loads(body)
    price = PRICES[value["model"]]
    return APIS[surface].read(value, body, model=price.model, expands_text=price.expands_text)


def check(surface: Surface, body: bytes, content_type: str = "") -> None:
    """Hold the bound against the bill of a provider that shares no line with it."""
    request = read(surface, body, content_type)
    price = PRICES[request.model]
    headers = {"authorization": "Bearer sk-1", "content-type": content_type}
    headers |= {"anthropic-version": "2026-10-21"}
    provider = Provider(Knobs(), nonce=b"1", now_ns=0)
    decided = provider.handle(Request("POST", surface.value, {}, headers, body), 0, 1)
    if isinstance(decided, Answer):
        assert b"context_length_exceeded" in decided.body
        return
    bound = bound_of(request.asked, [price])
    limit = bound.output_max if bound.output_limit is None else bound.output_limit
    assert decided.plan.cost_nano_usd(decided.plan.worst) <= bound.worst_nano_usd(limit)
    exact = metering.usage_by_request(request.asked, price)
    if exact is not None:
        charge = metering.charge_of(exact, price, 0)
        assert charge.cost_nano_usd == decided.plan.planned_nano_usd


def sent(surface: Surface, fields: dict[str, Any], files: list[tuple[str, Any]]) -> None:
    made = httpx.Request("POST", f"http://127.0.0.1{surface.value}", data=fields, files=files)
    check(surface, made.read(), made.headers["content-type"])


@given(
    model=st.sampled_from(["gpt-image-1-mini", "rehearsal-picture"]),
    prompt=TEXTS,
    fields=st.fixed_dictionaries(
        {},
        optional={
            "n": st.integers(1, 10),
            "size": st.sampled_from(["auto", "1024x1024", "1024x1536", "1536x1024"]),
            "quality": st.sampled_from(["auto", "low", "medium", "high"]),
            "stream": st.booleans(),
            "partial_images": st.integers(0, 3),
        },
    ),
)
def test_pictures(model: str, prompt: str, fields: dict[str, Any]) -> None:
    body = json.dumps({"model": model, "prompt": prompt, **fields}, ensure_ascii=False)
    check(Surface.IMAGES, body.encode())


@settings(deadline=None)
@given(
    model=st.sampled_from(["gpt-image-1-mini", "rehearsal-picture"]),
    prompt=TEXTS,
    pictures=st.lists(PICTURES, min_size=1, max_size=5),
    mask=st.none() | PICTURES,
    fidelity=st.sampled_from([None, "low", "high"]),
    stream=st.booleans(),
)
def test_edited_pictures(
    model: str,
    prompt: str,
    pictures: list[bytes],
    mask: bytes | None,
    fidelity: str | None,
    *,
    stream: bool,
) -> None:
    fields = {"model": model, "prompt": prompt, "stream": str(stream).lower()}
    if fidelity is not None:
        fields["input_fidelity"] = fidelity
    files = [("image[]", ("a.png", picture)) for picture in pictures]
    if mask is not None:
        files.append(("mask", ("m.png", mask)))
    sent(Surface.IMAGE_EDITS, fields, files)


@given(
    model=st.sampled_from(["tts-1", "tts-1-hd", "gpt-4o-mini-tts"]),
    text=TEXTS,
    instructions=st.text(st.characters(codec="utf-8"), max_size=50),
)
def test_speech(model: str, text: str, instructions: str) -> None:
    fields = {"model": model, "input": text, "voice": "alloy", "instructions": instructions}
    check(Surface.SPEECH, json.dumps(fields).encode())


@settings(deadline=None)
@given(
    surface=st.sampled_from([Surface.TRANSCRIPTIONS, Surface.TRANSLATIONS]),
    model=st.sampled_from(["whisper-1", "gpt-4o-transcribe"]),
    file=st.builds(wav, st.integers(0, 30_000)) | st.binary(max_size=500),
    prompt=st.text(st.characters(codec="utf-8"), max_size=50),
)
def test_transcripts(surface: Surface, model: str, file: bytes, prompt: str) -> None:
    sent(surface, {"model": model, "prompt": prompt}, [("file", ("a", file))])


@given(
    model=st.sampled_from(["gpt-4o", "gpt-4o-mini", "gpt-4.1-mini", "gpt-5-nano", "gpt-5.6-luna"]),
    pictures=st.lists(PICTURES.map(data_url), max_size=6),
    detail=st.sampled_from(["auto", "low", "high"]),
    text=TEXTS,
)
def test_chats_that_see(model: str, pictures: list[str], detail: str, text: str) -> None:
    parts: list[Any] = [
        {"type": "image_url", "image_url": {"url": url, "detail": detail}} for url in pictures
    ]
    content = [*parts, {"type": "text", "text": text}]
    body = {"model": model, "messages": [{"role": "user", "content": content}], "max_tokens": 9}
    check(Surface.CHAT, json.dumps(body).encode())


@settings(deadline=None)
@given(lengths_ms=st.lists(st.integers(0, 60_000), max_size=3), speaks=st.booleans())
def test_chats_that_hear_and_speak(lengths_ms: list[int], *, speaks: bool) -> None:
    parts: list[Any] = [
        {"type": "input_audio", "input_audio": {"data": base64_of(wav(length))}}
        for length in lengths_ms
    ]
    content = [*parts, {"type": "text", "text": "Well?"}]
    body: dict[str, Any] = {
        "model": "gpt-audio",
        "messages": [{"role": "user", "content": content}],
        "max_completion_tokens": 300,
    }
    if speaks:
        body |= {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "wav"}}
    check(Surface.CHAT, json.dumps(body).encode())


@given(
    model=st.sampled_from(["claude-haiku-4-5", "claude-opus-5-5"]),
    pictures=st.lists(PICTURES.map(base64_of), max_size=6),
)
def test_messages_that_see(model: str, pictures: list[str]) -> None:
    blocks: list[Any] = [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}
        for data in pictures
    ]
    content = [*blocks, {"type": "text", "text": "Well?"}]
    body = {"model": model, "max_tokens": 9, "messages": [{"role": "user", "content": content}]}
    check(Surface.MESSAGES, json.dumps(body).encode())


@pytest.mark.parametrize(
    ("surface", "fields", "words"),
    [
        (Surface.IMAGES, {"n": 0}, "n must be"),
        (Surface.IMAGES, {"n": 11}, "n must be"),
        (Surface.IMAGES, {"partial_images": 4}, "partial_images"),
        (Surface.IMAGES, {"size": 3}, "size must be a text"),
        (Surface.IMAGES, {"svg": {"model": "x"}}, "svg is not let through"),
        (Surface.IMAGES, {"output_format": "gif"}, "output_format is not let through"),
        (Surface.IMAGES, {"frame_count": 4}, "frame_count is not let through"),
        (Surface.SPEECH, {"input": ["a"]}, "input must be the text"),
        (Surface.SPEECH, {"input": "a", "stream_format": "x"}, "stream_format must be"),
        (Surface.TRANSCRIPTIONS, {"file": "a"}, "file must be one recording"),
    ],
)
def test_what_cannot_be_read_or_bounded_is_refused_by_name(
    surface: Surface, fields: dict[str, Any], words: str
) -> None:
    value = {"model": "m", "prompt": "x", **fields}
    with pytest.raises(BadRequestError, match=words):
        APIS[surface].read(value, json.dumps(value).encode(), model="m", expands_text=False)


@pytest.mark.parametrize(
    ("surface", "rates", "output_max", "bounded"),
    [
        (Surface.IMAGES, {kinds.IMAGES: 1}, 0, True),
        (Surface.IMAGES, {kinds.INPUT: 1, kinds.IMAGES: 1}, 0, True),
        (Surface.IMAGES, {kinds.INPUT: 1, kinds.IMAGE_OUTPUT: 1}, 10, True),
        # The rate of a token says nothing while nobody says how many tokens a picture makes.
        (Surface.IMAGES, {kinds.INPUT: 1, kinds.IMAGE_OUTPUT: 1}, 0, False),
        (Surface.IMAGES, {kinds.CHARACTERS: 1}, 0, False),
        (Surface.SPEECH, {kinds.CHARACTERS: 1}, 0, True),
        (Surface.SPEECH, {kinds.INPUT: 1, kinds.AUDIO_OUTPUT: 1}, 10, True),
        (Surface.SPEECH, {kinds.INPUT: 1, kinds.AUDIO_OUTPUT: 1}, 0, False),
        (Surface.SPEECH, {kinds.INPUT: 1}, 0, False),
        (Surface.SPEECH, {kinds.MILLISECONDS: 1}, 0, False),
    ],
)
def test_a_price_that_leaves_the_answer_without_a_bound_is_no_price(
    surface: Surface, rates: dict[str, int], output_max: int, *, bounded: bool
) -> None:
    value = {"model": "m", "prompt": "x", "input": "x"}
    body = json.dumps(value).encode()
    asked = APIS[surface].read(value, body, model="m", expands_text=False).asked
    price = ModelPrice("openai", "m", (), 1_000, output_max, (Tier(0, rates),), "1")
    if bounded:
        assert bound_of(asked, [price]).worst_nano_usd(output_max) > 0
    else:
        with pytest.raises(UnpriceableError):
            bound_of(asked, [price])
