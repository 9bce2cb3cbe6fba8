"""The APIs that are forwarded, each as the functions that the proxy asks; one table, by surface."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from protos.values.rates import ModelPrice
from sidecar.core.metering import Usage
from sidecar.http.routes import Route
from sidecar.http.surfaces import Surface
from sidecar.providers import (
    anthropic_messages,
    gemini_content,
    gemini_embeddings,
    gemini_fields,
    gemini_streams,
    openai_chat,
    openai_completions,
    openai_embeddings,
    openai_images,
    openai_moderations,
    openai_responses,
    openai_speech,
    openai_transcriptions,
    reading,
    token_counts,
)
from sidecar.providers.reading import CallRequest
from sidecar.providers.streams import StreamMeter


class Read(Protocol):
    """Reads a request; raises BadRequestError."""

    def __call__(
        self, value: dict[str, Any], body: bytes, *, model: str, expands_text: bool
    ) -> CallRequest:
        """Say what the request asks for.

        `model` is the price's: what is billed goes by that, whatever the deployment or the alias
        that was written is called.
        """
        ...


Rewrite = Callable[[dict[str, Any], bytes, CallRequest, str, int | None], bytes]


def _named_model(value: Mapping[str, Any], route: Route) -> str:
    """The model in the body, where most APIs have it."""
    del route
    return reading.read_model(value)


def _path_model(value: Mapping[str, Any], route: Route) -> str:
    """The model in the path."""
    del value
    return route.model


def _as_told(usage: Usage, tier: str) -> Usage:
    """The usage as it was told, where no header says more."""
    del tier
    return usage


@dataclass(frozen=True, slots=True)
class Api:
    """One API that is forwarded."""

    writes_text: bool | None
    """Whether its models write an answer, and not only take input; None where it is the price that
    says how it is bounded."""
    read: Read
    """Says what a request asks for."""
    rewrite: Rewrite
    """Makes the body that goes to the provider."""
    usage_of: Callable[[Mapping[str, Any]], Usage | None]
    """Reads the usage of a whole answer."""
    seen_bytes: Callable[[Mapping[str, Any]], int]
    """Counts the output in a whole answer."""
    error_kind: Callable[[Any], str]
    """Reads what an error's body says went wrong."""
    meter: Callable[[CallRequest], StreamMeter] | None
    """Makes the meter of a stream; None where nothing is streamed."""
    model_of: Callable[[Mapping[str, Any], Route], str] = _named_model
    """Finds the model that a request names; raises BadRequestError."""
    check_model: Callable[[str, ModelPrice], None] | None = None
    """Refuses models that cannot be bounded here, by name and price; raises BadRequestError."""
    array_meter: Callable[[CallRequest], StreamMeter] | None = None
    """Makes the meter of a stream that is one JSON array; None where there is none."""
    tier_header: bytes = b""
    """The header of an answer that tells the tier which served it; empty where none does."""
    served_as: Callable[[Usage, str], Usage] = _as_told
    """Adds what the tier's header tells to a usage."""
    answers_bytes: bool = False
    """Its answers are bytes that pass as they come, unless they are events."""


_GEMINI: dict[str, Any] = {
    "rewrite": gemini_content.rewrite,
    "usage_of": gemini_content.usage_of,
    "seen_bytes": gemini_content.seen_bytes,
    "error_kind": gemini_content.error_kind,
    "model_of": gemini_fields.path_model,
    "tier_header": b"x-gemini-service-tier",
    "served_as": gemini_content.served_as,
}
"""What all of Gemini's surfaces have in common."""
_PICTURES = Api(
    writes_text=None,
    read=openai_images.read,
    rewrite=reading.as_it_came,
    usage_of=openai_images.usage_of,
    seen_bytes=openai_images.seen_bytes,
    error_kind=openai_chat.error_kind,
    meter=openai_images.ImageStream,
)
_RECORDINGS = Api(
    writes_text=None,
    read=openai_transcriptions.read,
    rewrite=reading.as_it_came,
    usage_of=openai_transcriptions.usage_of,
    seen_bytes=openai_transcriptions.seen_bytes,
    error_kind=openai_chat.error_kind,
    meter=openai_transcriptions.TranscriptStream,
)
APIS: Mapping[Surface, Api] = {
    Surface.CHAT: Api(
        writes_text=True,
        read=openai_chat.read,
        rewrite=openai_chat.rewrite,
        usage_of=openai_chat.usage_of,
        seen_bytes=openai_chat.seen_bytes,
        error_kind=openai_chat.error_kind,
        meter=openai_chat.ChatStream,
        check_model=openai_chat.check_model,
    ),
    Surface.RESPONSES: Api(
        writes_text=True,
        read=openai_responses.read,
        rewrite=openai_responses.rewrite,
        usage_of=openai_responses.usage_of,
        seen_bytes=openai_responses.seen_bytes,
        error_kind=openai_chat.error_kind,
        meter=openai_responses.ResponseStream,
        check_model=openai_chat.check_model,
    ),
    Surface.COMPLETIONS: Api(
        writes_text=True,
        read=openai_completions.read,
        rewrite=openai_completions.rewrite,
        usage_of=openai_chat.usage_of,
        seen_bytes=openai_completions.seen_bytes,
        error_kind=openai_chat.error_kind,
        meter=openai_completions.CompletionStream,
        check_model=openai_chat.check_model,
    ),
    Surface.EMBEDDINGS: Api(
        writes_text=False,
        read=openai_embeddings.read,
        rewrite=reading.as_it_came,
        usage_of=openai_chat.usage_of,
        seen_bytes=openai_chat.seen_bytes,
        error_kind=openai_chat.error_kind,
        meter=None,
    ),
    Surface.IMAGES: _PICTURES,
    Surface.IMAGE_EDITS: _PICTURES,
    Surface.SPEECH: Api(
        writes_text=None,
        read=openai_speech.read,
        rewrite=reading.as_it_came,
        usage_of=openai_speech.usage_of,
        seen_bytes=openai_speech.seen_bytes,
        error_kind=openai_chat.error_kind,
        meter=openai_speech.SpeechStream,
        answers_bytes=True,
    ),
    Surface.TRANSCRIPTIONS: _RECORDINGS,
    Surface.TRANSLATIONS: _RECORDINGS,
    Surface.MODERATIONS: Api(
        writes_text=False,
        read=openai_moderations.read,
        rewrite=reading.as_it_came,
        usage_of=openai_chat.usage_of,
        seen_bytes=openai_moderations.seen_bytes,
        error_kind=openai_chat.error_kind,
        meter=None,
        model_of=openai_moderations.model_of,
    ),
    Surface.RESPONSES_COUNT: Api(
        writes_text=True,
        read=token_counts.read,
        rewrite=reading.as_it_came,
        usage_of=token_counts.usage_of,
        seen_bytes=token_counts.seen_bytes,
        error_kind=openai_chat.error_kind,
        meter=None,
    ),
    Surface.MESSAGES_COUNT: Api(
        writes_text=True,
        read=token_counts.read,
        rewrite=reading.as_it_came,
        usage_of=token_counts.usage_of,
        seen_bytes=token_counts.seen_bytes,
        error_kind=anthropic_messages.error_kind,
        meter=None,
    ),
    Surface.MESSAGES: Api(
        writes_text=True,
        read=anthropic_messages.read,
        rewrite=anthropic_messages.rewrite,
        usage_of=anthropic_messages.usage_of,
        seen_bytes=anthropic_messages.seen_bytes,
        error_kind=anthropic_messages.error_kind,
        meter=anthropic_messages.MessageStream,
    ),
    Surface.AZURE_CHAT: Api(
        writes_text=True,
        read=openai_chat.read,
        rewrite=openai_chat.rewrite,
        usage_of=openai_chat.usage_of,
        seen_bytes=openai_chat.seen_bytes,
        error_kind=openai_chat.error_kind,
        meter=openai_chat.ChatStream,
        check_model=openai_chat.check_model,
        model_of=_path_model,
    ),
    Surface.AZURE_EMBEDDINGS: Api(
        writes_text=False,
        read=openai_embeddings.read,
        rewrite=reading.as_it_came,
        usage_of=openai_chat.usage_of,
        seen_bytes=openai_chat.seen_bytes,
        error_kind=openai_chat.error_kind,
        meter=None,
        model_of=_path_model,
    ),
    Surface.GEMINI_CONTENT: Api(
        writes_text=True,
        read=gemini_content.read,
        meter=None,
        **_GEMINI,
    ),
    Surface.GEMINI_STREAM: Api(
        writes_text=True,
        read=gemini_content.read_streamed,
        meter=gemini_streams.ContentStream,
        array_meter=gemini_streams.ArrayStream,
        **_GEMINI,
    ),
    Surface.GEMINI_COUNT: Api(
        writes_text=True,
        read=token_counts.read,
        meter=None,
        **{
            **_GEMINI,
            "rewrite": reading.as_it_came,
            "usage_of": token_counts.usage_of,
            "seen_bytes": token_counts.seen_bytes,
            "model_of": _path_model,
        },
    ),
    Surface.GEMINI_EMBED: Api(
        writes_text=False, read=gemini_embeddings.read, meter=None, **_GEMINI
    ),
    Surface.GEMINI_EMBED_BATCH: Api(
        writes_text=False, read=gemini_embeddings.read_batch, meter=None, **_GEMINI
    ),
}
"""Every surface that is metered or free; a test holds it to the table of surfaces."""
