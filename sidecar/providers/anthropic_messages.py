"""Anthropic messages: where model, limits and usage stand, and what cannot be bounded."""

from collections.abc import Mapping
from typing import Any

from protos.values import quantities as kinds
from protos.values.rates import variant_of
from sidecar.core.bounds import Asked
from sidecar.core.metering import Usage
from sidecar.providers import known_fields, reading
from sidecar.providers.media import ANTHROPIC_IMAGE_MAX_TOKENS, anthropic_image_tokens
from sidecar.providers.reading import BadRequestError, CallRequest, told_object, unbounded
from sidecar.providers.streams import StreamMeter

_TOOLS_PREAMBLE_TOKENS = 1_024
"""The hidden prompt that any tool brings."""
_CLIENT_TOOL_PREAMBLE_TOKENS = 4_096
"""The hidden prompt of one of Anthropic's own tools that the caller runs."""
_CLIENT_TOOLS = ("bash_", "text_editor_", "computer_", "memory_")
_STANDARD_TIERS = frozenset(("", "standard", "priority"))
"""Priority is paid for ahead, by the token at the standard rates."""
_REFUSED = {
    "mcp_servers": "its tools run at the provider, without a bound on what they read",
    "container": "the time of a container is billed by itself",
    "fallbacks": "which model answers, and at which price, is not known before",
}
_USAGE_KEYS = frozenset(
    (
        *("input_tokens", "output_tokens", "cache_creation_input_tokens"),
        *("cache_read_input_tokens", "cache_creation", "output_tokens_details"),
        *("server_tool_use", "service_tier", "speed", "inference_geo", "iterations"),
        *reading.MONEY_KEYS,
    )
)
_CREATION_KEYS = frozenset(("ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens"))
_OUTPUT_KEYS = frozenset(("thinking_tokens",))
_COUNTS = (
    *("input_tokens", "output_tokens"),
    *("cache_creation_input_tokens", "cache_read_input_tokens"),
)
_CREATION_COUNTS = ("ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens")
_OUTPUT_COUNTS = ("thinking_tokens",)
_TIER_MAX_CHARACTERS = 64
_WORD_MAX_CHARACTERS = 64
_HOME_GEO = (None, "", "global", "not_available")
_UNNAMED_GEO = (None, "", "not_available")
_DEARER_GEO = "us"
"""Where a workspace may be set to have its calls served, at a price of its own."""
_STANDARD_SPEEDS = (None, "", "standard")


def read(value: dict[str, Any], body: bytes, *, model: str, expands_text: bool) -> CallRequest:
    """What a request says and asks for. Raises BadRequestError."""
    messages = value.get("messages")
    if type(messages) is not list or not messages:
        raise BadRequestError("messages must be a list with at least one message", "messages")
    limit = reading.read_count(value, "max_tokens", 0, reading.LIMIT_MAX_TOKENS)
    if limit is None:
        raise BadRequestError("max_tokens is missing: the API requires it", "max_tokens")
    _refuse_unbounded(value)
    media = _Media()
    system = value.get("system")
    if type(system) is list:
        media.look_at(system)
    elif system is not None and type(system) is not str:
        raise BadRequestError("system must be a text or a list of blocks", "system")
    for message in messages:
        if type(message) is not dict:
            raise BadRequestError("each of messages must be an object", "messages")
        content = message.get("content")
        if type(content) is list:
            media.look_at(content)
        elif type(content) is not str:
            raise BadRequestError("content must be a text or a list of blocks", "messages")
    return CallRequest(
        model=model,
        streamed=reading.read_flag(value, "stream"),
        usage_wanted=True,
        asked=Asked(
            text_bytes=len(body) - media.payload_bytes,
            expanded_bytes=reading.growth_of(value, body) if expands_text else 0,
            media_tokens=media.image_tokens,
            preamble_tokens=_preamble_tokens(value),
            opaque=media.opaque or _goes_on(value),
            output_limit=limit,
            cache_write=reading.marked_caches(value, body),
            variants=_variants(value),
            variants_if_priced=_variants_by_default(value),
        ),
    )


def _refuse_unbounded(value: Mapping[str, Any]) -> None:
    known_fields.refuse_unknown(value, known_fields.MESSAGES)
    for name, why in _REFUSED.items():
        if name in value and reading.is_given(value, name):
            raise unbounded(name, why)
    if value.get("service_tier") not in (None, "auto", "standard_only"):
        raise unbounded("service_tier", "the price book holds the rates of the standard tier only")
    management = value.get("context_management")
    if management is None:
        return
    if type(management) is not dict:
        raise BadRequestError("context_management must be an object", "context_management")
    for edit in reading.read_list(management, "edits"):
        kind = edit.get("type") if type(edit) is dict else None
        if type(kind) is not str or not kind.startswith("clear_"):
            raise unbounded("context_management", "what it writes beside the answer has no limit")


def _goes_on(value: Mapping[str, Any]) -> bool:
    """Whether it goes on from messages that the provider keeps, which nobody sees here."""
    thread = value.get("thread")
    return thread is not None and not (type(thread) is dict and thread.get("type") == "create")


def _variants(value: Mapping[str, Any]) -> tuple[str, ...]:
    """What the request may be served as: at its speed or at the standard one, at its place."""
    place = _word(value, "inference_geo", _HOME_GEO)
    speed = _word(value, "speed", _STANDARD_SPEEDS)
    return (variant_of(place), variant_of(place, speed)) if speed else (variant_of(place),)


def _variants_by_default(value: Mapping[str, Any]) -> tuple[str, ...]:
    """What it may be served as besides, where it names no place: the workspace's default decides.

    Source: Anthropic's documentation of data residency, `default_inference_geo` (2026-11).
    """
    if value.get("inference_geo") not in _UNNAMED_GEO:
        return ()
    return tuple(variant_of(_DEARER_GEO, variant) for variant in _variants(value))


def _word(value: Mapping[str, Any], name: str, usual: tuple[str | None, ...]) -> str:
    """A choice that has a price of its own; "" for the usual one."""
    word = value.get(name)
    if word in usual:
        return ""
    if type(word) is not str or len(word) > _WORD_MAX_CHARACTERS:
        raise BadRequestError(f"{name} must be a short text", name)
    return word


def _preamble_tokens(value: Mapping[str, Any]) -> int:
    tools = reading.read_list(value, "tools") if "tools" in value else []
    if not tools:
        return 0
    tokens = _TOOLS_PREAMBLE_TOKENS
    for tool in tools:
        if type(tool) is not dict:
            raise BadRequestError("each of tools must be an object", "tools")
        kind = tool.get("type")
        if kind in (None, "custom"):
            continue
        if type(kind) is not str:
            raise BadRequestError("a tool's type must be a text", "tools")
        if not kind.startswith(_CLIENT_TOOLS):
            raise unbounded(f"the tool {kind[:64]}", "it runs at the provider, without a bound")
        tokens += _CLIENT_TOOL_PREAMBLE_TOKENS
    return tokens


class _Media:
    """What of a prompt is not text."""

    __slots__ = ("image_tokens", "opaque", "payload_bytes")

    def __init__(self) -> None:
        self.image_tokens = 0
        self.payload_bytes = 0
        self.opaque = False

    def look_at(self, blocks: list[Any]) -> None:
        """Count the blocks of a message, and of the tool results in it."""
        for block in blocks:
            kind = block.get("type") if type(block) is dict else None
            if kind in ("text", "tool_use", "thinking", "redacted_thinking", "search_result"):
                continue
            if kind == "image":
                payload = _payload(block)
                self.payload_bytes += len(payload)
                self.image_tokens += (
                    anthropic_image_tokens(payload) if payload else ANTHROPIC_IMAGE_MAX_TOKENS
                )
            elif kind == "tool_result":
                content = block.get("content")
                if type(content) is list:
                    self.look_at(content)
            elif kind == "container_upload":
                raise unbounded(kind, _REFUSED["container"])
            elif type(kind) is str:
                self.opaque = self.opaque or not _is_plain_document(block)
            else:
                raise BadRequestError(
                    "each block of content must be an object with a type", "messages"
                )


def _source(block: Mapping[str, Any]) -> Mapping[str, Any]:
    source = block.get("source")
    if type(source) is not dict:
        raise BadRequestError(f"{block['type']} must have a source", "messages")
    return source


def _payload(block: Mapping[str, Any]) -> str:
    """The picture in base64; "" for one that is named by an address."""
    source = _source(block)
    data = source.get("data")
    return data if source.get("type") == "base64" and type(data) is str else ""


def _is_plain_document(block: Mapping[str, Any]) -> bool:
    return block["type"] == "document" and _source(block).get("type") == "text"


def rewrite(
    value: dict[str, Any],
    body: bytes,
    request: CallRequest,
    provider: str,
    output_limit: int | None,
) -> bytes:
    """The body as it goes to the provider: as it came, since it always has a limit of its own."""
    del request, provider
    if output_limit is None:
        return body
    return reading.with_members(value, body, {"max_tokens": output_limit})


def usage_of(answer: Mapping[str, Any]) -> Usage | None:
    """The usage of a whole answer; None when it tells none."""
    usage = answer.get("usage")
    if type(usage) is not dict or type(usage.get("input_tokens")) is not int:
        return None
    return usage_from(usage, answer.get("model"))


def usage_from(usage: Mapping[str, Any], model: Any) -> Usage:
    """What a usage object tells; the counts do not overlap."""
    creation = reading.part_of(usage, "cache_creation")
    output_parts = reading.part_of(usage, "output_tokens_details")
    tools = reading.part_of(usage, "server_tool_use")
    written = reading.count_of(usage, "cache_creation_input_tokens")
    short = reading.count_of(creation, "ephemeral_5m_input_tokens")
    long = reading.count_of(creation, "ephemeral_1h_input_tokens")
    if written and not creation:
        short = written
    tier = reading.told_text(usage.get("service_tier"), _TIER_MAX_CHARACTERS)
    counted = (
        (kinds.INPUT, reading.count_of(usage, "input_tokens")),
        (kinds.CACHED, reading.count_of(usage, "cache_read_input_tokens")),
        (kinds.CACHE_WRITE, short),
        (kinds.CACHE_WRITE_LONG, long + max(0, written - short - long)),
        (kinds.OUTPUT, reading.count_of(usage, "output_tokens")),
        (kinds.REASONING, reading.count_of(output_parts, "thinking_tokens")),
    )
    return Usage(
        quantities={kind: count for kind, count in counted if count},
        answered_model=reading.told_text(model, reading.MODEL_MAX_CHARACTERS),
        tier=tier,
        variant=variant_of(
            tier if tier not in _STANDARD_TIERS else "",
            _told_word(usage.get("speed"), _STANDARD_SPEEDS),
            _told_word(usage.get("inference_geo"), _HOME_GEO),
        ),
        unpriced=(
            *reading.unbelieved_counts(usage, _COUNTS),
            *reading.unbelieved_counts(creation, _CREATION_COUNTS, "cache_creation."),
            *reading.unbelieved_counts(output_parts, _OUTPUT_COUNTS, "output_tokens_details."),
            *reading.unknown_counts(usage, _USAGE_KEYS),
            *reading.unread_money(usage),
            *reading.unknown_counts(creation, _CREATION_KEYS, "cache_creation."),
            *reading.unknown_counts(output_parts, _OUTPUT_KEYS, "output_tokens_details."),
            *reading.unknown_counts(tools, frozenset(), "server_tool_use."),
            *_iterations(usage),
        ),
        told_nano_usd=reading.told_money(usage),
    )


def _told_word(word: Any, usual: tuple[str | None, ...]) -> str:
    """A way of serving that has a price of its own; "" for the usual one."""
    if word in usual:
        return ""
    return reading.told_text(word, _WORD_MAX_CHARACTERS) or "unreadable"


def _iterations(usage: Mapping[str, Any]) -> tuple[str, ...]:
    """Work beside the message itself, which the usage does not hold."""
    iterations = usage.get("iterations") or []
    if type(iterations) is not list or any(
        type(entry) is not dict or entry.get("type") != "message" for entry in iterations
    ):
        return ("iterations",)
    return ()


def seen_bytes(answer: Mapping[str, Any]) -> int:
    """Bytes of output in a whole answer."""
    return reading.text_bytes(answer.get("content"))


def error_kind(answer: Any) -> str:
    """What an error's body says went wrong, in a word; "" when it says nothing."""
    error = answer.get("error") if type(answer) is dict else None
    word = error.get("type") if type(error) is dict else None
    return reading.told_text(word, _WORD_MAX_CHARACTERS)


class MessageStream(StreamMeter):
    """Meters a stream of events; none is ever taken out."""

    __slots__ = ("_model", "_usage")

    def __init__(self, request: CallRequest) -> None:
        """Begin with no usage told."""
        super().__init__(frames_matter=False)
        self._usage: dict[str, Any] = {}
        self._model = request.model

    def read_frame(self, data: bytes) -> bool:
        if b'"content_block_delta"' in data:
            return True
        if b'"message_start"' in data:
            message = told_object(data).get("message")
            if type(message) is dict:
                self._model = message.get("model") or self._model
                self._merge(message.get("usage"))
                told = usage_from(self._usage, self._model).quantities
                self.input_quantities = {
                    kind: count for kind, count in told.items() if kind in kinds.INPUT_KINDS
                }
        elif b'"message_delta"' in data:
            event = told_object(data)
            self._merge(event.get("usage"))
            delta = event.get("delta")
            if type(delta) is dict and delta.get("stop_reason") is not None:
                self._settle()
        elif b'"message_stop"' in data:
            self._settle()
            self.done = True
        elif b'"error"' in data:
            self.error_kind = error_kind(told_object(data)) or "error"
        return True

    def _merge(self, usage: Any) -> None:
        """Later values replace earlier ones; they are cumulative."""
        if type(usage) is dict:
            self._usage.update((name, told) for name, told in usage.items() if told is not None)

    def _settle(self) -> None:
        if type(self._usage.get("input_tokens")) is int:
            self.usage = usage_from(self._usage, self._model)

    def seen_in(self, data: bytes) -> int:
        event = told_object(data)
        delta = event.get("delta")
        if event.get("type") == "content_block_delta" and type(delta) is dict:
            # A signature proves that thinking was not tampered with; nobody is billed for it.
            return 0 if delta.get("type") == "signature_delta" else reading.text_bytes(delta)
        return reading.text_bytes(event.get("content_block"))
