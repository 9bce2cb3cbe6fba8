"""OpenAI's speech, transcriptions and translations.

Speech at a model priced by the character bills the characters of its input; at one priced by the
token two tokens for each, which only a stream of events tells. A recording counts ten tokens a
second, or its seconds, rounded up; its length is exact for WAV and else what 32 kbit/s make of it.
"""

import base64
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import ceil

from clients.rehearsal import limits, recordings, replies
from clients.rehearsal.bill import Quantities
from clients.rehearsal.forms import uploads
from clients.rehearsal.incoming import (
    JsonObject,
    Refusal,
    canonical,
    encode,
    flag,
    required_text,
)
from clients.rehearsal.knobs import HEADER, Knobs, for_call, without_directives
from clients.rehearsal.openai_wire import PROVIDER, error_body, model_of
from clients.rehearsal.plan import Chunk, Plan, Stream, batches, json_event, tier_of
from clients.rehearsal.prices import SPEECH, TRANSCRIPTS, Model

SPEECH_PATH = "/v1/audio/speech"
TRANSCRIPTIONS_PATH = "/v1/audio/transcriptions"
TRANSLATIONS_PATH = "/v1/audio/translations"

_SPOKEN_TOKENS_PER_CHARACTER = 2
_KINDS = {
    "mp3": "audio/mpeg",
    "opus": "audio/opus",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}
_FORMATS = ("json", "verbose_json", "text", "srt", "vtt")


@dataclass(frozen=True, slots=True)
class _Speech:
    """One spoken answer, as the plan's makers of bytes need it."""

    seed: str
    """What the sound is made from."""
    usage: JsonObject | None
    """The usage, or None if it is left out."""
    events: bool
    """Whether it goes out as events."""
    content_type: str
    knobs: Knobs

    def _pieces(self) -> Iterator[bytes]:
        grain = hashlib.blake2b(self.seed.encode("utf-8", "surrogatepass")).digest()
        left = self.knobs.media_bytes
        while left > 0:
            piece = (grain * (limits.SOUND_CHUNK_BYTES // len(grain)))[:left]
            left -= len(piece)
            yield piece

    def chunks(self) -> Iterator[Chunk]:
        for piece in self._pieces():
            if not self.events:
                yield Chunk(piece, 0)
                continue
            told = {"type": "speech.audio.delta", "audio": base64.b64encode(piece).decode("ascii")}
            yield Chunk(json_event(told, self.knobs), 0)

    def stream(self) -> Stream:
        if not self.events:
            return Stream((), self.chunks, (), b"", self.content_type)
        done: JsonObject = {"type": "speech.audio.done"}
        if self.usage is not None:
            done["usage"] = self.usage
        broken = json_event({"type": "error", **error_body(500, None, None, None)}, self.knobs)
        return Stream((), self.chunks, (json_event(done, self.knobs),), broken)


def plan_speech(body: JsonObject, headers: Mapping[str, str], knobs: Knobs) -> Plan:
    """Decide a call for speech."""
    asked, model = model_of(body, SPEECH)
    text = required_text(body, "input")
    required_text(body, "voice")
    if len(text) > limits.SPOKEN_CHARS_MAX:
        raise Refusal(400, f"input: at most {limits.SPOKEN_CHARS_MAX} characters", param="input")
    knobs = for_call(knobs, headers.get(HEADER), [text])
    events = body.get("stream_format") == "sse"
    kind = _KINDS.get(str(body.get("response_format", "mp3")))
    if kind is None:
        raise Refusal(400, f"response_format: expected one of {', '.join(_KINDS)}")
    if model.media.per_million_characters is not None:
        if events:
            raise Refusal(400, f"stream_format: {model.name} streams no events")
        used = Quantities(characters=len(text))
    else:
        spoken = len(text) * _SPOKEN_TOKENS_PER_CHARACTER
        spoken = spoken if knobs.reply_tokens is None else knobs.reply_tokens
        used = Quantities(
            input_tokens=replies.count_tokens(text)
            + replies.count_tokens(str(body.get("instructions") or "")),
            audio_output_tokens=min(spoken, model.max_output_tokens),
        )
    billed = used.overbilled(knobs.overbill_ppm)
    usage: JsonObject = {
        "input_tokens": billed.input_tokens,
        "output_tokens": billed.audio_output_tokens,
        "total_tokens": billed.input_tokens + billed.audio_output_tokens,
    }
    tier, multiplier = tier_of(PROVIDER, None, knobs)
    speech = _Speech(
        seed=canonical([asked, text, body["voice"]]),
        usage=None if knobs.omit_usage else usage,
        events=events,
        content_type=kind,
        knobs=knobs,
    )
    return Plan(
        model=model,
        asked_model=asked,
        tier=tier,
        multiplier=multiplier,
        knobs=knobs,
        used=used,
        worst=used,
        prompt=without_directives(text)[: limits.PROMPT_HEAD_CHARS],
        body=lambda: b"",
        stream=speech.stream(),
        billed_whole=True,
    )


@dataclass(frozen=True, slots=True)
class _Transcript:
    """One transcript, as the plan's makers of bytes need it."""

    reply: replies.Reply
    shape: str
    """The response_format."""
    seconds: Fraction
    usage: JsonObject | None
    knobs: Knobs

    @property
    def content_type(self) -> str:
        return "application/json" if "json" in self.shape else "text/plain; charset=utf-8"

    def body(self) -> bytes:
        text = self.reply.text
        if self.shape == "text":
            return text.encode() + b"\n"
        if self.shape == "srt":
            return f"1\n00:00:00,000 --> 00:00:01,000\n{text}\n\n".encode()
        if self.shape == "vtt":
            return f"WEBVTT\n\n00:00:00.000 --> 00:00:01.000\n{text}\n\n".encode()
        said: JsonObject = {"text": text}
        if self.shape == "verbose_json":
            said |= {"language": "english", "duration": float(self.seconds), "segments": []}
        if self.usage is not None:
            said["usage"] = self.usage
        return encode(said)

    def chunks(self) -> Iterator[Chunk]:
        for text, tokens in batches(self.reply.pieces, self.knobs.chunk_tokens):
            told = {"type": "transcript.text.delta", "delta": text}
            yield Chunk(json_event(told, self.knobs), tokens)

    def stream(self) -> Stream:
        done: JsonObject = {"type": "transcript.text.done", "text": self.reply.text}
        if self.usage is not None:
            done["usage"] = self.usage
        broken = json_event({"type": "error", **error_body(500, None, None, None)}, self.knobs)
        return Stream((), self.chunks, (json_event(done, self.knobs),), broken)


def _heard(
    model: Model, recording: bytes, prompt: str, output: int, ppm: int
) -> tuple[Quantities, JsonObject]:
    """Return what a recording used, and how that is told."""
    seconds = recordings.seconds_of(recording)
    if model.media.per_minute is not None:
        used = Quantities(milliseconds=ceil(seconds) * 1_000)
        billed = used.overbilled(ppm).milliseconds
        told = billed // 1_000 if billed % 1_000 == 0 else billed / 1_000
        return used, {"type": "duration", "seconds": told}
    used = Quantities(
        input_tokens=replies.count_tokens(prompt),
        audio_input_tokens=recordings.heard_tokens(recording),
        output_tokens=output,
    )
    billed_tokens = used.overbilled(ppm)
    read = billed_tokens.input_tokens + billed_tokens.audio_input_tokens
    return used, {
        "type": "tokens",
        "input_tokens": read,
        "input_token_details": {
            "text_tokens": billed_tokens.input_tokens,
            "audio_tokens": billed_tokens.audio_input_tokens,
        },
        "output_tokens": billed_tokens.output_tokens,
        "total_tokens": read + billed_tokens.output_tokens,
    }


def plan_transcript(body: JsonObject, headers: Mapping[str, str], knobs: Knobs) -> Plan:
    """Decide a call for a transcript or a translation."""
    asked, model = model_of(body, TRANSCRIPTS)
    sent = uploads(body, "file")
    if len(sent) != 1:
        raise Refusal(400, "file: expected one file", param="file")
    prompt = str(body.get("prompt") or "")
    knobs = for_call(knobs, headers.get(HEADER), [prompt])
    shape = body.get("response_format") or "json"
    if shape not in _FORMATS:
        raise Refusal(400, f"response_format: expected one of {', '.join(_FORMATS)}")
    recording = sent[0].content
    seed = hashlib.blake2b(recording).hexdigest()
    room = model.max_output_tokens or limits.TOKENS_MAX
    said = replies.reply(knobs.reply_text, knobs.reply_tokens, seed, room)
    used, usage = _heard(model, recording, prompt, len(said.pieces), knobs.overbill_ppm)
    # whisper-1 does not stream: it ignores the wish.
    streamed = flag(body, "stream") and model.media.per_minute is None
    tier, multiplier = tier_of(PROVIDER, None, knobs)
    transcript = _Transcript(
        reply=said,
        shape=str(shape),
        seconds=recordings.seconds_of(recording),
        usage=None if knobs.omit_usage else usage,
        knobs=knobs,
    )
    return Plan(
        model=model,
        asked_model=asked,
        tier=tier,
        multiplier=multiplier,
        knobs=knobs,
        used=used,
        worst=used,
        prompt=without_directives(prompt)[: limits.PROMPT_HEAD_CHARS],
        body=transcript.body,
        content_type=transcript.content_type,
        stream=transcript.stream() if streamed else None,
    )
