"""How the official SDK calls the surfaces of pictures and sound: one row per surface.

Where a price is by the piece, the limit of a story says how many: characters to speak, seconds to
listen to.
"""

import warnings
from typing import Any

from tests.e2e.ways import Sdks, Told, Way
from tests.sidecar.providers.sound_files import wav

_PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x01\x00\x00\x00\x01\x00\x08\x02"


def recording(seconds: int) -> tuple[str, bytes]:
    """A silent WAV file of so many seconds."""
    return "call.wav", wav(seconds * 1_000)


async def _images(sdks: Sdks, headers: dict[str, str], request: dict[str, Any]) -> Told:
    raw = await sdks.openai.images.with_raw_response.generate(extra_headers=headers, **request)
    [picture] = raw.parse().data or []
    return picture.b64_json or "", dict(raw.headers)


async def _images_streamed(sdks: Sdks, headers: dict[str, str], request: dict[str, Any]) -> Told:
    events: list[Any] = []
    stream = await sdks.openai.images.generate(
        stream=True, partial_images=2, extra_headers=headers, **request
    )
    async with stream:
        events.extend([event async for event in stream])
    assert [event.type for event in events] == [
        *("image_generation.partial_image", "image_generation.partial_image"),
        "image_generation.completed",
    ]
    return events[-1].b64_json, dict(stream.response.headers)


async def _edits(sdks: Sdks, headers: dict[str, str], request: dict[str, Any]) -> Told:
    raw = await sdks.openai.images.with_raw_response.edit(
        image=[("a.png", _PNG), ("b.png", _PNG)],
        mask=("mask.png", _PNG),
        extra_headers=headers,
        **request,
    )
    [picture] = raw.parse().data or []
    return picture.b64_json or "", dict(raw.headers)


async def _edits_streamed(sdks: Sdks, headers: dict[str, str], request: dict[str, Any]) -> Told:
    last = None
    stream = await sdks.openai.images.edit(
        image=("a.png", _PNG), stream=True, extra_headers=headers, **request
    )
    async with stream:
        async for event in stream:
            last = event
    assert last is not None
    assert last.type == "image_edit.completed"
    return last.b64_json, dict(stream.response.headers)


async def _speech(sdks: Sdks, headers: dict[str, str], request: dict[str, Any]) -> Told:
    answer = await sdks.openai.audio.speech.with_raw_response.create(
        extra_headers=headers, **request
    )
    assert answer.headers["content-type"] == "audio/mpeg"
    return answer.content.hex(), dict(answer.headers)


async def _transcript(sdks: Sdks, headers: dict[str, str], request: dict[str, Any]) -> Told:
    raw = await sdks.openai.audio.transcriptions.with_raw_response.create(
        extra_headers=headers, **request
    )
    return raw.parse().text, dict(raw.headers)


async def _translation(sdks: Sdks, headers: dict[str, str], request: dict[str, Any]) -> Told:
    with warnings.catch_warnings():
        # Its only model is to be shut down; until then it is called.
        warnings.simplefilter("ignore", DeprecationWarning)
        raw = await sdks.openai.audio.translations.with_raw_response.create(
            extra_headers=headers, **request
        )
    return raw.parse().text, dict(raw.headers)


def _picture(prompt: str, limit: int) -> dict[str, Any]:
    del limit
    return {"prompt": prompt, "size": "1024x1024", "quality": "low"}


def _heard(prompt: str, limit: int) -> dict[str, Any]:
    return {"prompt": prompt, "file": recording(limit)}


MEDIA_WAYS = (
    Way(
        "/v1/images/generations",
        _images,
        _images_streamed,
        _picture,
        "rehearsal-cent-picture",
        "gpt-image-1-mini",
    ),
    Way(
        "/v1/images/edits",
        _edits,
        _edits_streamed,
        _picture,
        "rehearsal-cent-picture",
        "gpt-image-1-mini",
    ),
    Way(
        "/v1/audio/speech",
        _speech,
        None,
        lambda _, limit: {"input": "x" * limit, "voice": "alloy"},
        "rehearsal-cent-speech",
        "tts-1",
    ),
    Way(
        "/v1/audio/transcriptions",
        _transcript,
        None,
        _heard,
        "rehearsal-cent-transcript",
        "gpt-4o-transcribe",
    ),
    Way(
        "/v1/audio/translations",
        _translation,
        None,
        _heard,
        "rehearsal-cent-transcript",
        "whisper-1",
    ),
)
"""Every surface of pictures and sound; a cap is spent to the cent at each."""
