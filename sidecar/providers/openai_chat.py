"""OpenAI chat completions: where model, limits and usage stand, and what cannot be bounded."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from protos.values import quantities as kinds
from protos.values.rates import ModelPrice
from sidecar.core.bounds import Asked
from sidecar.core.metering import Seen, Usage
from sidecar.core.refusals import Reason
from sidecar.http import strict_json
from sidecar.providers import audio_duration, dialects, known_fields, openai_options, reading
from sidecar.providers.media import inline_payload_bytes, openai_image_tokens
from sidecar.providers.reading import BadRequestError, CallRequest, told_object, unbounded
from sidecar.providers.streams import StreamMeter

_NEW_LIMIT = "max_completion_tokens"
_OLD_LIMIT = "max_tokens"
_HEARERS = "gpt-"
"""How the names of models begin of which is known how many tokens they make of a second."""
_SEARCHERS = ("search-preview", "gpt-5-search-api", ":online")
"""Parts of the names of models that search without being asked to, as often as they like."""
_SEARCHERS_AT_A_RATE = ("sonar",)
"""The same of those whose searches their price may hold by the call, but not by the search."""

_USAGE_KEYS = frozenset(
    (
        *("prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details"),
        *("completion_tokens_details", "prompt_cache_hit_tokens", "prompt_cache_miss_tokens"),
        *("queue_time", "prompt_time", "completion_time", "total_time"),
        *reading.MONEY_KEYS,
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
    known_fields.refuse_unknown(value, known_fields.CHAT)
    _check_tools(value)
    media = _Media(model)
    media.look_at(messages)
    options = value.get("stream_options")
    if options is not None and type(options) is not dict:
        raise BadRequestError("stream_options must be an object", "stream_options")
    predicted = value.get("prediction")
    asked = Asked(
        text_bytes=len(body) - media.payload_bytes,
        expanded_bytes=reading.growth_of(value, body) if expands_text else 0,
        media_tokens=media.tokens,
        opaque=media.opaque,
        choices=max(
            reading.read_count(value, "n", 1, reading.CHOICES_MAX) or 1,
            reading.read_count(value, "best_of", 1, reading.CHOICES_MAX) or 1,
        ),
        output_limit=_output_limit(value),
        prediction_bytes=reading.text_bytes(predicted) if predicted is not None else 0,
        cache_write=openai_options.cache_write(value, body),
        variants=openai_options.variants_asked(value),
    )
    if media.heard or "modalities" in value or "audio" in value:
        asked = _with_sound(asked, value, heard=media.heard)
    return CallRequest(
        model=model,
        streamed=reading.read_flag(value, "stream"),
        usage_wanted=options is not None and reading.read_flag(options, "include_usage"),
        usage_each_wanted=options is not None
        and reading.read_flag(options, "continuous_usage_stats"),
        asked=asked,
    )


def _with_sound(asked: Asked, value: Mapping[str, Any], *, heard: bool) -> Asked:
    """What is asked for, where any of it may be sound: its rates must be its own."""
    modalities = reading.read_list(value, "modalities")
    if not all(modality in ("text", "audio") for modality in modalities):
        raise unbounded("modalities", "only text and audio have a known cost")
    speaks = "audio" in modalities or reading.is_given(value, "audio")
    return replace(
        asked,
        input_kinds=(kinds.INPUT, kinds.AUDIO_INPUT) if heard else (kinds.INPUT,),
        output_kinds=(kinds.OUTPUT, kinds.AUDIO_OUTPUT) if speaks else (kinds.OUTPUT,),
        own_rates=(
            *((kinds.AUDIO_INPUT,) if heard else ()),
            *((kinds.AUDIO_OUTPUT,) if speaks else ()),
        ),
    )


def check_model(model: str, price: ModelPrice) -> None:
    """Refuse models that search by themselves, for a fee by the search. Raises BadRequestError."""
    searchers: tuple[str, ...] = _SEARCHERS
    if any(tier.has_rate(kinds.WEB_SEARCH) for tier in price.tiers):
        searchers += _SEARCHERS_AT_A_RATE
    if any(part in model for part in searchers):
        raise BadRequestError(
            f"{model[:64]} is not let through: it searches the web by itself, for a fee each "
            "time, and nothing bounds how often. Name another model.",
            "model",
            Reason.UNBOUNDED_FEATURE,
        )


def _output_limit(value: Mapping[str, Any]) -> int | None:
    new = reading.read_count(value, _NEW_LIMIT, 1, reading.LIMIT_MAX_TOKENS)
    old = reading.read_count(value, _OLD_LIMIT, 1, reading.LIMIT_MAX_TOKENS)
    if new is None or old is None:
        return old if new is None else new
    return max(new, old)


def _check_tools(value: Mapping[str, Any]) -> None:
    if "tools" not in value:
        return
    for tool in reading.read_list(value, "tools"):
        kind = tool.get("type") if type(tool) is dict else None
        if type(kind) is not str:
            raise BadRequestError("each of tools must be an object with a type", "tools")
        if kind not in ("function", "custom"):
            raise unbounded(f"the tool {kind[:64]}", "it runs at the provider, without a bound")


class _Media:
    """What of a prompt is not text."""

    __slots__ = ("_model", "heard", "opaque", "payload_bytes", "tokens")

    def __init__(self, model: str) -> None:
        self._model = model
        self.payload_bytes = 0
        self.tokens = 0
        self.opaque = False
        self.heard = False
        """Whether any of it is sound."""

    def look_at(self, messages: list[Any]) -> None:
        """Count what stands in messages. Raises BadRequestError."""
        for message in messages:
            if type(message) is not dict:
                raise BadRequestError("each of messages must be an object", "messages")
            if message.get("audio") is not None:
                # An earlier spoken answer, named by its id.
                self.heard = self.opaque = True
            content = message.get("content")
            if type(content) is list:
                for part in content:
                    self._look_at_part(part)
            elif content is not None and type(content) is not str:
                raise BadRequestError("content must be a text or a list of parts", "messages")

    def _look_at_part(self, part: Any) -> None:
        kind = part.get("type") if type(part) is dict else None
        if kind in ("text", "refusal"):
            return
        if kind == "image_url":
            url, detail = _image_url(part)
            self.payload_bytes += inline_payload_bytes(url)
            self.tokens += openai_image_tokens(self._model, url, detail)
        elif kind == "input_audio":
            data = _audio_data(part)
            self.heard = True
            self.payload_bytes += len(data)
            if self._model.startswith(_HEARERS):
                self.tokens += audio_duration.max_tokens(audio_duration.of_base64(data))
            else:
                self.opaque = True
        elif type(kind) is str:
            self.opaque = True
        else:
            raise BadRequestError("each part of content must be an object with a type", "messages")


def _audio_data(part: Mapping[str, Any]) -> str:
    """A recording in base64."""
    data = reading.part_of(part, "input_audio").get("data")
    if type(data) is not str:
        raise BadRequestError("input_audio must be an object with data in base64", "messages")
    return data


def _image_url(part: Mapping[str, Any]) -> tuple[str, object]:
    """Where an image is, and in which detail it is to be looked at."""
    image = part.get("image_url")
    url, detail = (image.get("url"), image.get("detail")) if type(image) is dict else (image, None)
    if type(url) is not str:
        raise BadRequestError("image_url must be an object with a url", "messages")
    return url, detail


def rewrite(
    value: dict[str, Any],
    body: bytes,
    request: CallRequest,
    provider: str,
    output_limit: int | None,
) -> bytes:
    """The body as it goes to the provider."""
    members: dict[str, Any] = {}
    field = dialects.named(provider).output_field
    if output_limit is not None:
        members[field] = output_limit
    elif field == _OLD_LIMIT and reading.is_given(value, _NEW_LIMIT) and not value.get(_OLD_LIMIT):
        # It is known to read only the old field. Both at once are an error at some, so it moves.
        members[field] = request.asked.output_limit
        value = {name: member for name, member in value.items() if name != _NEW_LIMIT}
        body = strict_json.write(value)
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
        *reading.unread_money(usage),
        *reading.unknown_counts(prompt_parts, _PROMPT_KEYS, "prompt_tokens_details."),
        *reading.unknown_counts(output_parts, _COMPLETION_KEYS, "completion_tokens_details."),
        *(("prompt_tokens_details",) if rest < 0 else ()),
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
        own_rates=(kinds.AUDIO_INPUT, kinds.AUDIO_OUTPUT),
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


def stream_error_kind(data: bytes) -> str:
    """What an event within a stream says went wrong, in a word; "" when it is no error."""
    if data.startswith(b'{"error"') or b'"type":"error"' in data[:64]:
        return error_kind(told_object(data)) or "error"
    return ""


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
            self.error_kind = stream_error_kind(data)
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
            if self._one_choice or not self._told_each:
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
        if self._told_each and self._one_choice and self._so_far is not None:
            # Every chunk told how many tokens there were: no bytes need to be taken for tokens.
            # Of several answers each chunk tells its own only.
            return Seen(self._so_far.quantities.get(kinds.OUTPUT, 0), self.input_quantities)
        return super().seen()

    def seen_in(self, data: bytes) -> int:
        return seen_bytes(told_object(data))


def _ended(choices: Any) -> bool:
    return type(choices) is list and all(
        type(choice) is dict and choice.get("finish_reason") is not None for choice in choices
    )
