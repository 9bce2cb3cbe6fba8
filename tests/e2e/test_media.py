"""Pictures and sound, in every form that the official SDKs know: the ledger says what was billed.

Where a provider tells no usage the ledger says at least as much, and that it is an estimate.
"""

import asyncio
import base64
import warnings
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import openai
import pytest

from tests.e2e.media_ways import recording
from tests.e2e.stand import Client, Stand
from tests.e2e.traffic import Caller
from tests.e2e.ways import Sdks
from tests.sidecar.providers.picture_files import base64_of, data_url, jpeg, png

DOLLAR = 1_000_000_000
LARGE_BYTES = 6_000_000
Ask = Callable[[Sdks], Awaitable[object]]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    with Stand(tmp_path_factory.mktemp("stand")) as stand:
        stand.start_sidecar("one")
        yield stand


@pytest.fixture
def stand(running: Stand) -> Stand:
    running.provider("/rehearsal/reset", {})
    return running


def ask(stand: Stand, client: Client, what: Ask) -> Any:
    async def make() -> object:
        async with Caller(
            stand.url("one"), client.key, timeout=60, default_headers={"x-request-tag": "one"}
        ) as caller:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                return await what(caller.sdks)

    stand.until(lambda: is_known(stand, client))
    return asyncio.run(make())


def is_known(stand: Stand, client: Client) -> bool:
    """Whether the sidecar has heard of a key that was made just now."""
    with openai.OpenAI(base_url=f"{stand.url('one')}/v1", api_key=client.key) as sdk:
        try:
            sdk.models.list()
        except openai.AuthenticationError:
            return False
    return True


def booked(stand: Stand, client: Client) -> Any:
    """The one call that the ledger has."""
    stand.until(lambda: len(stand.ledger(client.project_id)) == 1)
    [call] = stand.ledger(client.project_id)
    return call


async def read_all(stream: Any) -> list[Any]:
    async with stream:
        return [event async for event in stream]


async def picture_of_any_size(sdks: Sdks) -> None:
    answer = await sdks.openai.images.generate(
        model="rehearsal-picture", prompt="A lighthouse.", n=3, size="2048x1152", quality="medium"
    )
    assert len(answer.data or []) == 3


async def large_pictures_on_the_way(sdks: Sdks) -> None:
    events = await read_all(
        await sdks.openai.images.generate(
            model="gpt-image-1-mini",
            prompt=f"[rehearse media_bytes={LARGE_BYTES}] A lighthouse.",
            stream=True,
            partial_images=1,
        )
    )
    assert [len(base64.b64decode(event.b64_json)) for event in events] == [LARGE_BYTES] * 2


async def two_streamed_pictures(sdks: Sdks) -> None:
    events = await read_all(
        await sdks.openai.images.generate(
            model="gpt-image-1-mini", prompt="Two of them.", n=2, quality="low", stream=True
        )
    )
    assert [event.type for event in events] == ["image_generation.completed"] * 2


async def faithful_edit(sdks: Sdks) -> None:
    answer = await sdks.openai.images.edit(
        model="gpt-image-1-mini",
        image=[("a.png", png(900, 700)), ("b.jpg", jpeg(3_000, 200))],
        prompt="Make it blue.",
        input_fidelity="high",
    )
    assert answer.usage is not None


async def speech_as_events(sdks: Sdks) -> None:
    async with sdks.openai.audio.speech.with_streaming_response.create(
        model="gpt-4o-mini-tts",
        voice="alloy",
        input="[rehearse split_bytes=7] Good morning.",
        stream_format="sse",
    ) as answer:
        text = "".join([piece async for piece in answer.iter_text()])
    assert text.count("speech.audio.done") == 1


async def transcript_as_events(sdks: Sdks) -> None:
    events = await read_all(
        await sdks.openai.audio.transcriptions.create(
            model="gpt-4o-transcribe", file=recording(7), stream=True
        )
    )
    assert events[-1].type == "transcript.text.done"
    assert "".join(event.delta for event in events[:-1]) == events[-1].text


async def transcript_by_the_minute(sdks: Sdks) -> None:
    answer = await sdks.openai.audio.transcriptions.create(
        model="whisper-1", file=recording(61), response_format="verbose_json"
    )
    assert answer.duration == 61


async def chat_that_sees(sdks: Sdks) -> None:
    parts: list[Any] = [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": data_url(png(4_000, 300))}},
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png", "detail": "low"}},
    ]
    await sdks.openai.chat.completions.create(
        model="gpt-4o", messages=[{"role": "user", "content": parts}], max_tokens=50
    )


async def chat_that_hears_and_speaks(sdks: Sdks) -> None:
    sound = base64_of(recording(5)[1])
    part: Any = {"type": "input_audio", "input_audio": {"data": sound, "format": "wav"}}
    answer = await sdks.openai.chat.completions.create(
        model="gpt-audio",
        messages=[{"role": "user", "content": [part]}],
        modalities=["text", "audio"],
        audio={"voice": "alloy", "format": "wav"},
        max_completion_tokens=400,
    )
    assert answer.choices[0].message.audio is not None
    assert answer.usage is not None
    assert answer.usage.completion_tokens_details is not None
    assert answer.usage.completion_tokens_details.audio_tokens


async def chat_that_speaks_as_it_goes(sdks: Sdks) -> None:
    chunks = await read_all(
        await sdks.openai.chat.completions.create(
            model="gpt-audio",
            messages=[{"role": "user", "content": "Say good morning."}],
            modalities=["text", "audio"],
            audio={"voice": "alloy", "format": "pcm16"},
            stream=True,
        )
    )
    assert all(chunk.choices for chunk in chunks)


async def message_that_sees(sdks: Sdks) -> None:
    source: Any = {"type": "base64", "media_type": "image/jpeg", "data": base64_of(jpeg(640, 480))}
    await sdks.anthropic.messages.create(
        model="claude-haiku-5-5",
        max_tokens=50,
        messages=[{"role": "user", "content": [{"type": "image", "source": source}]}],
        extra_headers={"x-request-tag": "one"},
    )


@pytest.mark.parametrize(
    "what",
    [
        *(picture_of_any_size, large_pictures_on_the_way, two_streamed_pictures, faithful_edit),
        *(speech_as_events, transcript_as_events, transcript_by_the_minute, chat_that_sees),
        *(chat_that_hears_and_speaks, chat_that_speaks_as_it_goes, message_that_sees),
    ],
)
def test_what_was_told_is_booked_to_the_nano_dollar(stand: Stand, what: Ask) -> None:
    client = stand.add_client(f"Told {what}", 10 * DOLLAR)
    ask(stand, client, what)
    call = booked(stand, client)
    assert call.cost_nano_usd == stand.bill_nano_usd() > 0
    assert not call.estimated
    assert call.cost_nano_usd <= call.worst_nano_usd


async def sound_alone(sdks: Sdks) -> None:
    answer = await sdks.openai.audio.speech.create(
        model="gpt-4o-mini-tts", voice="alloy", input="Good morning.", response_format="wav"
    )
    assert len(answer.content) == 2_000


async def plain_text(sdks: Sdks) -> None:
    text = await sdks.openai.audio.transcriptions.create(
        model="gpt-4o-transcribe", file=recording(7), response_format="text"
    )
    assert text


async def subtitles(sdks: Sdks) -> None:
    text = await sdks.openai.audio.transcriptions.create(
        model="whisper-1", file=recording(7), response_format="vtt"
    )
    assert str(text).startswith("WEBVTT")


async def picture_without_usage(sdks: Sdks) -> None:
    await sdks.openai.images.generate(
        model="gpt-image-1-mini", prompt="[rehearse omit_usage] A lighthouse.", quality="low"
    )


async def speech_that_nobody_waits_for(sdks: Sdks) -> None:
    async with sdks.openai.audio.speech.with_streaming_response.create(
        model="tts-1",
        voice="alloy",
        input="[rehearse media_bytes=9000000 chunk_ms=1] Good morning.",
    ) as answer:
        async for _ in answer.iter_bytes():
            break


@pytest.mark.parametrize(
    "what",
    [sound_alone, plain_text, subtitles, picture_without_usage, speech_that_nobody_waits_for],
)
def test_what_was_not_told_is_booked_as_an_estimate_that_is_not_too_low(
    stand: Stand, what: Ask
) -> None:
    client = stand.add_client(f"Untold {what}", DOLLAR)
    ask(stand, client, what)
    call = booked(stand, client)
    assert call.worst_nano_usd >= call.cost_nano_usd >= stand.bill_nano_usd() > 0
    assert call.estimated


async def variations(sdks: Sdks) -> None:
    await sdks.openai.images.create_variation(image=png(1, 1), model="dall-e-2")


async def unpriced_picture(sdks: Sdks) -> None:
    await sdks.openai.images.generate(model="gpt-image-2", prompt="x")


async def drawing(sdks: Sdks) -> None:
    await sdks.openai.images.generate(
        model="rehearsal-picture",
        prompt="x",
        output_format="svg",
        extra_body={"svg": {"model": "a"}},
    )


async def deaf_chat(sdks: Sdks) -> None:
    part: Any = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "mp3"}}
    await sdks.openai.chat.completions.create(
        model="gpt-4o", messages=[{"role": "user", "content": [part]}]
    )


async def model_that_only_reads(sdks: Sdks) -> None:
    await sdks.openai.audio.speech.create(
        model="text-embedding-3-small", voice="alloy", input="Good morning."
    )


@pytest.mark.parametrize(
    ("what", "words"),
    [
        (variations, "only model that made variations is retired"),
        (unpriced_picture, "no price for gpt-image-2"),
        (drawing, "svg is not let through"),
        (deaf_chat, "no rate for audio_input"),
        (model_that_only_reads, "no rate for audio_output"),
    ],
)
def test_what_has_no_bound_or_price_is_refused_at_once(stand: Stand, what: Ask, words: str) -> None:
    client = stand.add_client(f"Refused {what}", DOLLAR)
    with pytest.raises(openai.PermissionDeniedError, match=words) as caught:
        ask(stand, client, what)
    assert caught.value.response.headers["x-should-retry"] == "false"
    assert stand.bill_nano_usd() == 0


@pytest.mark.parametrize("what", [picture_of_any_size, sound_alone, transcript_by_the_minute])
def test_a_budget_that_a_call_could_pass_refuses_it_with_a_typed_error(
    stand: Stand, what: Ask
) -> None:
    client = stand.add_client(f"Poor {what}", 100_000)
    with pytest.raises(openai.APIStatusError) as caught:
        ask(stand, client, what)
    assert caught.value.status_code == 402
    assert caught.value.response.headers["x-should-retry"] == "false"
    assert stand.bill_nano_usd() == 0
