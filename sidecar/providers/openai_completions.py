"""OpenAI's legacy completions: prompts of texts or of tokens, and several answers to each."""

from collections.abc import Mapping
from typing import Any

from sidecar.core.bounds import Asked
from sidecar.providers import known_fields, openai_chat, openai_embeddings, reading
from sidecar.providers.openai_chat import ChatStream
from sidecar.providers.reading import BadRequestError, CallRequest

DEFAULT_OUTPUT_TOKENS = 16
"""The limit on an answer when the request has none: OpenAI's, put on the wire for all others."""


def read(value: dict[str, Any], body: bytes, *, model: str, expands_text: bool) -> CallRequest:
    """What a request says and asks for. Raises BadRequestError."""
    known_fields.refuse_unknown(value, known_fields.COMPLETIONS)
    given = value.get("prompt")
    prompts = 1 if given is None else openai_embeddings.inputs_of(given, "prompt")
    shown = reading.read_count(value, "n", 1, reading.CHOICES_MAX) or 1
    best_of = reading.read_count(value, "best_of", 1, reading.CHOICES_MAX) or 1
    limit = reading.read_count(value, "max_tokens", 0, reading.LIMIT_MAX_TOKENS)
    options = value.get("stream_options")
    if options is not None and type(options) is not dict:
        raise BadRequestError("stream_options must be an object", "stream_options")
    return CallRequest(
        model=model,
        streamed=reading.read_flag(value, "stream"),
        usage_wanted=options is not None and reading.read_flag(options, "include_usage"),
        asked=Asked(
            text_bytes=len(body),
            expanded_bytes=reading.growth_of(value, body) if expands_text else 0,
            inputs=prompts,
            choices=prompts * max(shown, best_of),
            output_limit=DEFAULT_OUTPUT_TOKENS if limit is None else limit,
        ),
    )


def rewrite(
    value: dict[str, Any],
    body: bytes,
    request: CallRequest,
    provider: str,
    output_limit: int | None,
) -> bytes:
    """The body as it goes to the provider; it always has a limit.

    Servers with a default of their own write to the model's end where a request names none.
    """
    del output_limit
    members: dict[str, Any] = {**openai_chat.usage_asked(value, request, provider)}
    if value.get("max_tokens") is None:
        members["max_tokens"] = DEFAULT_OUTPUT_TOKENS
    return reading.with_members(value, body, members) if members else body


def seen_bytes(answer: Mapping[str, Any]) -> int:
    """Nothing can be told from a whole answer: of the best of several the others are not shown."""
    del answer
    return 0


class CompletionStream(ChatStream):
    """Meters a stream of chunks as those of chats."""

    __slots__ = ()

    def seen_in(self, data: bytes) -> int:
        choices = reading.told_object(data).get("choices")
        if type(choices) is not list:
            return 0
        return sum(
            reading.text_bytes(choice.get("text")) for choice in choices if type(choice) is dict
        )
