"""OpenAI speech: billed by the characters of the request, or by tokens that only a stream tells."""

from collections.abc import Mapping
from typing import Any

from protos.values import quantities as kinds
from sidecar.core.bounds import Asked
from sidecar.core.metering import Seen, Usage
from sidecar.providers import openai_chat, reading
from sidecar.providers.reading import BadRequestError, CallRequest, told_object
from sidecar.providers.streams import EVERYTHING, StreamMeter

_USAGE_KEYS = frozenset(("input_tokens", "output_tokens", "total_tokens", "type"))
_COUNTS = ("input_tokens", "output_tokens", "total_tokens")


def read(value: dict[str, Any], body: bytes, *, model: str, expands_text: bool) -> CallRequest:
    """What a request to speak asks for. Raises BadRequestError."""
    text = value.get("input")
    if type(text) is not str:
        raise BadRequestError("input must be the text to speak", "input")
    if value.get("stream_format") not in (None, "audio", "sse"):
        raise BadRequestError("stream_format must be audio or sse", "stream_format")
    return CallRequest(
        model=model,
        streamed=True,
        usage_wanted=True,
        asked=Asked(
            text_bytes=len(body),
            expanded_bytes=reading.growth_of(value, body) if expands_text else 0,
            output_limit=reading.LIMIT_MAX_TOKENS,
            output_kinds=(kinds.AUDIO_OUTPUT,),
            pieces={kinds.CHARACTERS: len(text)},
            pieces_exact=True,
        ),
    )


def usage_of(answer: Mapping[str, Any]) -> Usage | None:
    """The usage in the event that ends a stream; None when it tells none."""
    usage = answer.get("usage")
    if type(usage) is not dict or type(usage.get("input_tokens")) is not int:
        return None
    counted = (
        (kinds.INPUT, reading.count_of(usage, "input_tokens")),
        (kinds.AUDIO_OUTPUT, reading.count_of(usage, "output_tokens")),
    )
    return Usage(
        quantities={kind: count for kind, count in counted if count},
        unpriced=(
            *reading.unbelieved_counts(usage, _COUNTS),
            *reading.unknown_counts(usage, _USAGE_KEYS),
        ),
    )


def seen_bytes(answer: Mapping[str, Any]) -> int:
    """Sound says nothing of tokens."""
    del answer
    return 0


class SpeechStream(StreamMeter):
    """Meters a stream of sound, whose last event tells the usage."""

    def __init__(self, request: CallRequest) -> None:
        """Begin with no usage told."""
        super().__init__(frames_matter=False)
        del request

    def read_frame(self, data: bytes) -> bool:
        """Look for the usage, past the pieces of sound."""
        if b'"speech.audio.done"' in data:
            self.usage = usage_of(told_object(data))
            self.done = True
        else:
            self.error_kind = openai_chat.stream_error_kind(data) or self.error_kind
        return True

    def seen_in(self, data: bytes) -> int:
        """Sound says nothing of tokens."""
        del data
        return 0

    def seen(self) -> Seen:
        """Nothing that was heard bounds what was made."""
        return EVERYTHING
