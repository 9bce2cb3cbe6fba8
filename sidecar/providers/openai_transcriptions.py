"""OpenAI transcriptions and translations: billed by the length of a recording, or by its tokens."""

from collections.abc import Mapping
from decimal import ROUND_CEILING, Decimal
from typing import Any

from protos.values import quantities as kinds
from sidecar.core.bounds import Asked
from sidecar.core.metering import Usage
from sidecar.http.multipart import File
from sidecar.providers import audio_duration, forms, openai_chat, reading
from sidecar.providers.reading import BadRequestError, CallRequest, told_object
from sidecar.providers.streams import StreamMeter

_LEAST_BILLED_MS = 10_000
"""Some providers bill no recording as shorter."""
_CHUNK_LEAST_MS = 30_000
"""Models that cut recordings into pieces leave pieces of so much whole."""
_USAGE_KEYS = frozenset(
    ("type", "input_tokens", "output_tokens", "total_tokens", "input_token_details", "seconds")
)
_COUNTS = ("input_tokens", "output_tokens", "total_tokens")
_DETAIL_KEYS = frozenset(("audio_tokens", "text_tokens"))
_DETAIL_COUNTS = ("audio_tokens", "text_tokens")
_SECONDS_MAX = 10**6


def read(value: dict[str, Any], body: bytes, *, model: str, expands_text: bool) -> CallRequest:
    """What a request to write down a recording asks for. Raises BadRequestError."""
    recordings = value.get("file")
    if type(recordings) is not list or len(recordings) != 1 or type(recordings[0]) is not File:
        raise BadRequestError("file must be one recording, sent as a file", "file")
    recording = recordings[0]
    head_end = min(recording.end, recording.start + audio_duration.HEADER_MAX_BYTES)
    head = body[recording.start : head_end]
    longest_ms = audio_duration.max_ms(head, recording.size_bytes)
    cut = "diarize" in model or reading.is_given(value, "chunking_strategy")
    pieces = 1 + longest_ms // _CHUNK_LEAST_MS if cut else 1
    return CallRequest(
        model=model,
        streamed=reading.read_flag(value, "stream"),
        usage_wanted=True,
        asked=Asked(
            text_bytes=len(body) - sum(file.size_bytes for file in forms.files_of(value)),
            expanded_bytes=reading.growth_of(forms.texts_of(value), b"\\u") if expands_text else 0,
            media_tokens=audio_duration.max_tokens(longest_ms),
            inputs=pieces,
            choices=pieces,
            output_limit=reading.LIMIT_MAX_TOKENS,
            input_kinds=(kinds.INPUT, kinds.AUDIO_INPUT),
            pieces={kinds.MILLISECONDS: max(_LEAST_BILLED_MS, -(-longest_ms // 1_000) * 1_000)},
        ),
    )


def usage_of(answer: Mapping[str, Any]) -> Usage | None:
    """The usage of an answer, or of the event that ends a stream; None when it tells none."""
    usage = answer.get("usage")
    if type(usage) is not dict:
        return None
    if usage.get("type") == "duration":
        return _by_duration(usage)
    if type(usage.get("input_tokens")) is not int:
        return None
    details = reading.part_of(usage, "input_token_details")
    given = reading.count_of(usage, "input_tokens")
    # Without the details all of it counts as sound, which is never the cheaper.
    text = min(given, reading.count_of(details, "text_tokens"))
    counted = (
        (kinds.INPUT, text),
        (kinds.AUDIO_INPUT, given - text),
        (kinds.OUTPUT, reading.count_of(usage, "output_tokens")),
    )
    return Usage(
        quantities={kind: count for kind, count in counted if count},
        unpriced=(
            *reading.unbelieved_counts(usage, _COUNTS),
            *reading.unbelieved_counts(details, _DETAIL_COUNTS, "input_token_details."),
            *reading.unknown_counts(usage, _USAGE_KEYS),
            *reading.unknown_counts(details, _DETAIL_KEYS, "input_token_details."),
        ),
    )


def _by_duration(usage: Mapping[str, Any]) -> Usage | None:
    """Seconds as they were written, in milliseconds, rounded up."""
    seconds = usage.get("seconds")
    # A truth value is a whole number to isinstance.
    if not isinstance(seconds, int | Decimal) or isinstance(seconds, bool):
        return None
    if not 0 <= seconds <= _SECONDS_MAX:
        return None
    exact = Decimal(seconds) * 1_000
    return Usage(
        quantities={kinds.MILLISECONDS: int(exact.to_integral_value(ROUND_CEILING))},
        unpriced=reading.unknown_counts(usage, _USAGE_KEYS),
    )


def seen_bytes(answer: Mapping[str, Any]) -> int:
    """Bytes of output in an answer."""
    return reading.text_bytes(answer.get("text"))


class TranscriptStream(StreamMeter):
    """Meters a stream of text, whose last event tells the usage."""

    def __init__(self, request: CallRequest) -> None:
        """Begin with no usage told."""
        super().__init__(frames_matter=False)
        del request

    def read_frame(self, data: bytes) -> bool:
        """Look for the usage, past the pieces of text."""
        if b'"transcript.text.done"' in data:
            self.usage = usage_of(told_object(data))
            self.done = True
        else:
            self.error_kind = openai_chat.stream_error_kind(data) or self.error_kind
        return True

    def seen_in(self, data: bytes) -> int:
        """The text of a piece; the last event repeats all of it, and counts for nothing."""
        event = told_object(data)
        if event.get("type") == "transcript.text.done":
            return 0
        return reading.text_bytes(event.get("delta") or event.get("text"))
