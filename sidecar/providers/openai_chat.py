"""OpenAI chat completions: where model, limits and usage stand, and what cannot be bounded."""

import re
from collections.abc import Mapping
from typing import Any

from protos.values import quantities as kinds
from sidecar.core.bounds import Asked
from sidecar.core.metering import Seen, Usage
from sidecar.http import strict_json
from sidecar.providers import dialects, openai_options, reading
from sidecar.providers.media import inline_payload_bytes, openai_image_max_tokens
from sidecar.providers.reading import BadRequestError, CallRequest, told_object, unbounded
from sidecar.providers.streams import StreamMeter

_NEW_LIMIT = "max_completion_tokens"
_OLD_LIMIT = "max_tokens"
_GOOGLES = frozenset(("thinking_config", "thinkingConfig", "safety_settings", "safetySettings"))
"""What may be asked of Gemini beside OpenAI's own fields: it costs nothing that is not bounded."""

_REFUSED = {
    "web_search_options": "a search is billed by itself, and nothing bounds how many there are",
    "audio": "spoken output has rates of its own that the price book does not hold",
    "search_parameters": "a search is billed by itself, and nothing bounds how many there are",
    "plugins": "what a plugin costs is not metered",
    "models": "which of them answers, and at which price, is not known before",
}
_USAGE_KEYS = frozenset(
    (
        *("prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details"),
        *("completion_tokens_details", "prompt_cache_hit_tokens", "prompt_cache_miss_tokens"),
        *("queue_time", "prompt_time", "completion_time", "total_time"),
        *("cost", "cost_details", "is_byok", "cost_in_usd_ticks"),
    )
)
_PROMPT_KEYS = frozenset(
    ("cached_tokens", "cache_write_tokens", "audio_tokens", "image_tokens", "text_tokens")
)
_COMPLETION_KEYS = frozenset(
    (
        *("reasoning_tokens", "audio_tokens", "text_tokens"),
        *("accepted_prediction_tokens", "rejected_prediction_tokens"),
    )
)
_COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens")
_PROMPT_COUNTS = ("cached_tokens", "cache_write_tokens", "audio_tokens")
_OUTPUT_COUNTS = ("audio_tokens", "reasoning_tokens")
_WORD_MAX_CHARACTERS = 64
_USAGE_OBJECT = re.compile(rb'"usage"\s*:\s*\{')


def read(value: dict[str, Any], body: bytes, *, model: str, expands_text: bool) -> CallRequest:
    """What a request says and asks for. Raises BadRequestError."""
    messages = value.get("messages")
    if type(messages) is not list or not messages:
        raise BadRequestError("messages must be a list with at least one message", "messages")
    _refuse_unbounded(value)
    _check_tools(value)
    payload_bytes, images, opaque = _media_of(messages)
    options = value.get("stream_options")
    if options is not None and type(options) is not dict:
        raise BadRequestError("stream_options must be an object", "stream_options")
    predicted = value.get("prediction")
    return CallRequest(
        model=model,
        streamed=reading.read_flag(value, "stream"),
        usage_wanted=options is not None and reading.read_flag(options, "include_usage"),
        usage_each_wanted=options is not None
        and reading.read_flag(options, "continuous_usage_stats"),
        asked=Asked(
            text_bytes=len(body) - payload_bytes,
            expanded_bytes=reading.growth_of(value, body) if expands_text else 0,
            media_tokens=images * openai_image_max_tokens(model) if images else 0,
            opaque=opaque,
            choices=reading.read_count(value, "n", 1, reading.CHOICES_MAX) or 1,
            output_limit=_output_limit(value),
            prediction_bytes=reading.text_bytes(predicted) if predicted is not None else 0,
            cache_write=openai_options.cache_write(value),
            variants=openai_options.variants_asked(value),
        ),
    )


def _output_limit(value: Mapping[str, Any]) -> int | None:
    new = reading.read_count(value, _NEW_LIMIT, 1, reading.LIMIT_MAX_TOKENS)
    old = reading.read_count(value, _OLD_LIMIT, 1, reading.LIMIT_MAX_TOKENS)
    if new is None or old is None:
        return old if new is None else new
    return max(new, old)


def _refuse_unbounded(value: Mapping[str, Any]) -> None:
    for name, why in _REFUSED.items():
        if name in value and reading.is_given(value, name):
            raise unbounded(name, why)
    beside = value.get("extra_body")
    if beside is not None:
        google = beside.get("google") if type(beside) is dict and len(beside) == 1 else None
        if type(google) is not dict or not google.keys() <= _GOOGLES:
            raise unbounded("extra_body", "what it asks of the provider is not known here")
    if value.get("modalities") not in (None, ["text"], []):
        raise unbounded("modalities", "only text has a rate in the price book")


def _check_tools(value: Mapping[str, Any]) -> None:
    if "tools" not in value:
        return
    for tool in reading.read_list(value, "tools"):
        kind = tool.get("type") if type(tool) is dict else None
        if type(kind) is not str:
            raise BadRequestError("each of tools must be an object with a type", "tools")
        if kind not in ("function", "custom"):
            raise unbounded(f"the tool {kind[:64]}", "it runs at the provider, without a bound")


def _media_of(messages: list[Any]) -> tuple[int, int, bool]:
    """Bytes of inline images, the number of images, and whether anything else is not text."""
    payload_bytes = images = 0
    opaque = False
    for message in messages:
        if type(message) is not dict:
            raise BadRequestError("each of messages must be an object", "messages")
        if message.get("audio") is not None:
            raise unbounded("audio", _REFUSED["audio"])
        content = message.get("content")
        if type(content) is not list:
            if content is not None and type(content) is not str:
                raise BadRequestError("content must be a text or a list of parts", "messages")
            continue
        for part in content:
            kind = part.get("type") if type(part) is dict else None
            if kind in ("text", "refusal"):
                continue
            if kind == "image_url":
                images += 1
                payload_bytes += _image_payload_bytes(part)
            elif kind == "input_audio":
                raise unbounded("input_audio", "the price book holds no rate for spoken input")
            elif type(kind) is str:
                opaque = True
            else:
                raise BadRequestError(
                    "each part of content must be an object with a type", "messages"
                )
    return payload_bytes, images, opaque


def _image_payload_bytes(part: Mapping[str, Any]) -> int:
    image = part.get("image_url")
    url = image.get("url") if type(image) is dict else image
    if type(url) is not str:
        raise BadRequestError("image_url must be an object with a url", "messages")
    return inline_payload_bytes(url)


def rewrite(
    value: dict[str, Any],
    body: bytes,
    request: CallRequest,
    provider: str,
    output_limit: int | None,
) -> bytes:
    """The body as it goes to the provider."""
    members: dict[str, Any] = {}
    if output_limit is not None:
        members[dialects.named(provider).output_field] = output_limit
    members |= usage_asked(value, request, provider)
    members |= openai_options.default_tier(value, provider)
    return reading.with_members(value, body, members) if members else body


def usage_asked(
    value: Mapping[str, Any], request: CallRequest, provider: str
) -> dict[str, dict[str, Any]]:
    """What must be put into a request so that its stream tells usage."""
    dialect = dialects.named(provider)
    asked: dict[str, Any] = {}
    if dialect.asks_usage and not request.usage_wanted:
        asked["include_usage"] = True
    if dialect.tells_each_chunk and not request.usage_each_wanted:
        asked["continuous_usage_stats"] = True
    if not request.streamed or not asked:
        return {}
    return {"stream_options": {**(value.get("stream_options") or {}), **asked}}


def usage_of(answer: Mapping[str, Any]) -> Usage | None:
    """The usage of an answer or of a chunk; None when it tells none."""
    usage = answer.get("usage")
    groq = reading.part_of(answer, "x_groq")
    if type(usage) is not dict:
        usage = groq.get("usage")
    if type(usage) is not dict or type(usage.get("prompt_tokens")) is not int:
        return None
    prompt_parts = reading.part_of(usage, "prompt_tokens_details")
    output_parts = reading.part_of(usage, "completion_tokens_details")
    prompt = reading.count_of(usage, "prompt_tokens")
    output = reading.count_of(usage, "completion_tokens")
    # Where reasoning stands outside of completion_tokens, only the total tells of it.
    output = max(output, reading.count_of(usage, "total_tokens") - prompt)
    cached = reading.count_of(prompt_parts, "cached_tokens")
    cached = cached or reading.count_of(usage, "prompt_cache_hit_tokens")
    written = reading.count_of(prompt_parts, "cache_write_tokens")
    heard = reading.count_of(prompt_parts, "audio_tokens")
    spoken = reading.count_of(output_parts, "audio_tokens")
    reasoning = reading.count_of(output_parts, "reasoning_tokens")
    rest = prompt - cached - written - heard
    tier = reading.told_text(answer.get("service_tier"), openai_options.TIER_MAX_CHARACTERS)
    unpriced = (
        *reading.unbelieved_counts(usage, _COUNTS),
        *reading.unbelieved_counts(prompt_parts, _PROMPT_COUNTS, "prompt_tokens_details."),
        *reading.unbelieved_counts(output_parts, _OUTPUT_COUNTS, "completion_tokens_details."),
        *reading.unknown_counts(usage, _USAGE_KEYS),
        *reading.unknown_counts(prompt_parts, _PROMPT_KEYS, "prompt_tokens_details."),
        *reading.unknown_counts(output_parts, _COMPLETION_KEYS, "completion_tokens_details."),
        *(("prompt_tokens_details",) if rest < 0 else ()),
        *(("audio_tokens",) if heard or spoken else ()),
        *(("x_groq.usage_breakdown",) if groq.get("usage_breakdown") else ()),
    )
    counted = (
        (kinds.INPUT, max(0, rest)),
        (kinds.CACHED, cached),
        (kinds.CACHE_WRITE, written),
        (kinds.AUDIO_INPUT, heard),
        (kinds.OUTPUT, output - min(spoken, output)),
        (kinds.AUDIO_OUTPUT, min(spoken, output)),
        (kinds.REASONING, reasoning),
    )
    return Usage(
        quantities={kind: count for kind, count in counted if count},
        answered_model=reading.told_text(answer.get("model"), reading.MODEL_MAX_CHARACTERS),
        tier=tier,
        variant=openai_options.variant_told(tier),
        unpriced=unpriced,
        told_nano_usd=reading.told_money(usage),
    )


def seen_bytes(answer: Mapping[str, Any]) -> int:
    """Bytes of output in an answer, or in a chunk of one."""
    choices = answer.get("choices")
    if type(choices) is not list:
        return 0
    total = 0
    for choice in choices:
        if type(choice) is dict:
            total += reading.text_bytes(choice.get("delta") or choice.get("message"))
    return total


def error_kind(answer: Any) -> str:
    """What an error's body says went wrong, in a word; "" when it says nothing."""
    error = answer.get("error") if type(answer) is dict else None
    if type(error) is not dict:
        return ""
    return reading.told_text(error.get("code") or error.get("type"), _WORD_MAX_CHARACTERS)


class ChatStream(StreamMeter):
    """Meters a stream of chunks, and takes out what tells usage that nobody asked for.

    Some providers tell the usage so far with every chunk: that is no usage for good, but tells the
    prompt's part of it.
    """

    __slots__ = ("_hides_each", "_hides_usage", "_one_choice", "_so_far", "_told_each")

    def __init__(self, request: CallRequest) -> None:
        """Hide usage from a caller that did not ask for it."""
        self._told_each = request.dialect.tells_each_chunk
        self._hides_each = self._told_each and not request.usage_each_wanted
        super().__init__(frames_matter=not request.usage_wanted or self._hides_each)
        self._hides_usage = not request.usage_wanted
        self._one_choice = request.asked.choices == 1
        self._so_far: Usage | None = None

    def read_frame(self, data: bytes) -> bool:
        if data.startswith(b'{"error"'):
            self.error_kind = error_kind(told_object(data)) or "error"
        elif b'"usage"' in data and _USAGE_OBJECT.search(data) is not None:
            chunk = told_object(data)
            usage = usage_of(chunk)
            if usage is not None:
                choices = chunk.get("choices")
                self._take(usage, for_good=not choices or (self._one_choice and _ended(choices)))
                if choices == []:
                    # Azure's chunk of what it filtered has no choices either, but no usage.
                    return not self._hides_usage
                if self._hides_each:
                    chunk.pop("usage")
                    self.replacement = b"data: %b\n\n" % strict_json.write(chunk)
        elif data == b"[DONE]":
            self.done = True
            self.usage = self.usage or self._so_far
        return True

    def _take(self, usage: Usage, *, for_good: bool) -> None:
        self._so_far = usage
        if for_good:
            self.usage = usage
        else:
            self.input_quantities = {
                kind: count for kind, count in usage.quantities.items() if kind in kinds.INPUT_KINDS
            }

    def seen(self) -> Seen:
        if self._told_each and self._so_far is not None:
            # Every chunk told how many tokens there were: no bytes need to be taken for tokens.
            return Seen(self._so_far.quantities.get(kinds.OUTPUT, 0), self.input_quantities)
        return super().seen()

    def seen_in(self, data: bytes) -> int:
        return seen_bytes(told_object(data))


def _ended(choices: Any) -> bool:
    return type(choices) is list and all(
        type(choice) is dict and choice.get("finish_reason") is not None for choice in choices
    )
