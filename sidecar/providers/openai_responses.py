"""OpenAI responses: where model, limits and usage stand, and what cannot be bounded.

What a request only names (an earlier response, a conversation, a file) is bounded by the model's
window. Each call of a hosted tool reads the whole window once more.
"""

from collections.abc import Mapping
from typing import Any

from protos.values import quantities as kinds
from sidecar.core.bounds import Asked
from sidecar.core.metering import Usage
from sidecar.providers import known_fields, openai_options, reading
from sidecar.providers.media import inline_payload_bytes, openai_image_max_tokens
from sidecar.providers.openai_tools import hosted_calls, read_tools
from sidecar.providers.reading import BadRequestError, CallRequest, told_object, unbounded
from sidecar.providers.streams import StreamMeter

_OPAQUE = ("previous_response_id", "conversation", "prompt")
_REFUSED = {
    "background": "its answer is billed after this call has ended",
    "background_options": "its answer is billed after this call has ended",
    "context_management": "what it writes beside the answer has no limit",
    "multi_agent": "how many agents answer has no limit",
}
_TEXT_ITEMS = frozenset(
    (
        *("function_call", "custom_tool_call", "local_shell_call", "local_shell_call_output"),
        *("apply_patch_call", "apply_patch_call_output", "shell_call", "shell_call_output"),
    )
)
"""Items of the input that are nothing but the text that stands in them."""
_OUTPUT_ITEMS = frozenset(("function_call_output", "custom_tool_call_output"))
_TEXT_PARTS = frozenset(("input_text", "output_text", "text", "refusal", "summary_text"))
_USAGE_KEYS = frozenset(
    (
        *("input_tokens", "output_tokens", "total_tokens"),
        *("input_tokens_details", "output_tokens_details"),
        *reading.MONEY_KEYS,
    )
)
_INPUT_KEYS = frozenset(("cached_tokens", "cache_write_tokens", "cache_write_tokens_details"))
_WRITE_KEYS = frozenset(("ttl_30m_tokens",))
_OUTPUT_KEYS = frozenset(("reasoning_tokens",))
_COUNTS = ("input_tokens", "output_tokens", "total_tokens")
_INPUT_COUNTS = ("cached_tokens", "cache_write_tokens")
_SEARCH_ITEMS = {"web_search_call": kinds.WEB_SEARCH, "file_search_call": kinds.FILE_SEARCH}
_BILLED_ITEMS = frozenset(("code_interpreter_call", "image_generation_call"))
"""Items of the output that are billed by something that this program has no kind for."""


def read(value: dict[str, Any], body: bytes, *, model: str, expands_text: bool) -> CallRequest:
    """What a request says and asks for. Raises BadRequestError."""
    _refuse_unbounded(value)
    contents = _Contents()
    contents.look_at(value.get("input"))
    tools = read_tools(value)
    calls = hosted_calls(value, tools)
    named = any(reading.is_given(value, name) for name in _OPAQUE)
    return CallRequest(
        model=model,
        streamed=reading.read_flag(value, "stream"),
        usage_wanted=True,
        asked=Asked(
            text_bytes=len(body) - contents.payload_bytes,
            expanded_bytes=reading.growth_of(value, body) if expands_text else 0,
            media_tokens=contents.images * openai_image_max_tokens(model) if contents.images else 0,
            preamble_tokens=tools.preamble_tokens + contents.preamble_tokens,
            opaque=named or contents.opaque or calls > 0,
            inputs=1 + calls,
            output_limit=reading.read_count(
                value, "max_output_tokens", 1, reading.LIMIT_MAX_TOKENS
            ),
            cache_write=openai_options.cache_write(value, body),
            variants=openai_options.variants_asked(value),
            pieces=dict.fromkeys(tools.searches, calls),
        ),
    )


def _refuse_unbounded(value: Mapping[str, Any]) -> None:
    known_fields.refuse_unknown(value, known_fields.RESPONSES)
    for name, why in _REFUSED.items():
        if name in value and reading.is_given(value, name):
            raise unbounded(name, why)
    reasoning = value.get("reasoning")
    if reasoning is not None and type(reasoning) is not dict:
        raise BadRequestError("reasoning must be an object", "reasoning")
    if reasoning and reasoning.get("mode") not in (None, "standard"):
        raise unbounded("reasoning.mode", "what it reasons beside the answer has no limit")
    if reading.is_given(value, "prompt") and value.get("tool_choice") != "none":
        raise unbounded(
            "prompt", 'it may bring tools that nobody sees here; send "tool_choice": "none" with it'
        )


class _Contents:
    """What of an input is not text."""

    __slots__ = ("images", "opaque", "payload_bytes", "preamble_tokens")

    def __init__(self) -> None:
        self.images = 0
        self.payload_bytes = 0
        self.preamble_tokens = 0
        self.opaque = False

    def look_at(self, given: Any) -> None:
        """Go through the input of a request. Raises BadRequestError."""
        if given is None or type(given) is str:
            return
        if type(given) is not list:
            raise BadRequestError("input must be a text or a list of items", "input")
        for item in given:
            if type(item) is not dict:
                raise BadRequestError("each item of input must be an object", "input")
            self._look_at_item(item)

    def _look_at_item(self, item: Mapping[str, Any]) -> None:
        kind = item.get("type")
        if kind is not None and type(kind) is not str:
            raise BadRequestError("the type of an item of input must be a text", "input")
        if "tools" in item:
            tools = read_tools(item)
            self.preamble_tokens += tools.preamble_tokens
            if tools.searches:
                raise unbounded("tools in input", "name those that search in tools")
        if kind in (None, "message"):
            self._look_at_parts(item.get("content"))
        elif kind in _OUTPUT_ITEMS:
            self._look_at_parts(item.get("output"))
        elif kind == "compaction_trigger":
            raise unbounded(kind, _REFUSED["context_management"])
        elif kind == "image_generation_call":
            self._count_image(item.get("result"))
        elif kind not in _TEXT_ITEMS:
            # What was reasoned comes packed, and much else is only named.
            self.opaque = True

    def _look_at_parts(self, parts: Any) -> None:
        if parts is None or type(parts) is str:
            return
        if type(parts) is not list:
            raise BadRequestError("content must be a text or a list of parts", "input")
        for part in parts:
            kind = part.get("type") if type(part) is dict else None
            if type(kind) is not str:
                raise BadRequestError("each part of content must be an object with a type", "input")
            if kind in _TEXT_PARTS:
                continue
            if kind == "input_image":
                self._count_image(part.get("image_url"))
            elif kind == "input_audio":
                raise unbounded(kind, "the price book holds no rate for spoken input")
            else:
                self.opaque = True

    def _count_image(self, url: Any) -> None:
        """An image that stands here, behind a URL, or at the provider: each at its largest."""
        self.images += 1
        if type(url) is str:
            self.payload_bytes += inline_payload_bytes(url)


def rewrite(
    value: dict[str, Any],
    body: bytes,
    request: CallRequest,
    provider: str,
    output_limit: int | None,
) -> bytes:
    """The body as it goes to the provider."""
    del request
    members: dict[str, Any] = dict(openai_options.default_tier(value, provider))
    if output_limit is not None:
        members["max_output_tokens"] = output_limit
    return reading.with_members(value, body, members) if members else body


def usage_of(answer: Mapping[str, Any]) -> Usage | None:
    """The usage of a response; None when it tells none."""
    usage = answer.get("usage")
    if type(usage) is not dict or type(usage.get("input_tokens")) is not int:
        return None
    input_parts = reading.part_of(usage, "input_tokens_details")
    write_parts = reading.part_of(input_parts, "cache_write_tokens_details")
    output_parts = reading.part_of(usage, "output_tokens_details")
    prompt = reading.count_of(usage, "input_tokens")
    # Where reasoning stands outside of output_tokens, only the total tells of it.
    output = max(
        reading.count_of(usage, "output_tokens"), reading.count_of(usage, "total_tokens") - prompt
    )
    cached = reading.count_of(input_parts, "cached_tokens")
    long = reading.count_of(write_parts, "ttl_12h_tokens")
    written = max(reading.count_of(input_parts, "cache_write_tokens"), long)
    rest = prompt - cached - written
    tier = reading.told_text(answer.get("service_tier"), openai_options.TIER_MAX_CHARACTERS)
    searches, unpriced_items = _hosted(answer)
    counted = (
        (kinds.INPUT, max(0, rest)),
        (kinds.CACHED, cached),
        (kinds.CACHE_WRITE, written - long),
        (kinds.CACHE_WRITE_LONG, long),
        (kinds.OUTPUT, output),
        (kinds.REASONING, reading.count_of(output_parts, "reasoning_tokens")),
        *searches.items(),
    )
    return Usage(
        quantities={kind: count for kind, count in counted if count},
        answered_model=reading.told_text(answer.get("model"), reading.MODEL_MAX_CHARACTERS),
        tier=tier,
        variant=openai_options.variant_told(tier),
        unpriced=(
            *reading.unbelieved_counts(usage, _COUNTS),
            *reading.unbelieved_counts(input_parts, _INPUT_COUNTS, "input_tokens_details."),
            *reading.unbelieved_counts(
                output_parts, ("reasoning_tokens",), "output_tokens_details."
            ),
            *reading.unknown_counts(usage, _USAGE_KEYS),
            *reading.unread_money(usage),
            *reading.unknown_counts(input_parts, _INPUT_KEYS, "input_tokens_details."),
            *reading.unknown_counts(write_parts, _WRITE_KEYS, "cache_write_tokens_details."),
            *reading.unknown_counts(output_parts, _OUTPUT_KEYS, "output_tokens_details."),
            *(("input_tokens_details",) if rest < 0 else ()),
            *unpriced_items,
        ),
        told_nano_usd=reading.told_money(usage),
    )


def _hosted(answer: Mapping[str, Any]) -> tuple[dict[str, int], tuple[str, ...]]:
    """The searches that the provider ran, by kind, and what it ran that has no kind."""
    found = dict.fromkeys(_SEARCH_ITEMS.values(), 0)
    unpriced: list[str] = []
    items = answer.get("output")
    for item in items if type(items) is list else ():
        kind = item.get("type") if type(item) is dict else None
        if type(kind) is not str:
            continue
        if kind in _SEARCH_ITEMS:
            found[_SEARCH_ITEMS[kind]] += 1
        elif kind in _BILLED_ITEMS:
            unpriced.append(kind)
    told = reading.part_of(answer, "tool_usage")
    web = reading.part_of(told, "web_search")
    if type(web.get("num_requests")) is int:
        found[kinds.WEB_SEARCH] = reading.count_of(web, "num_requests")
    unpriced.extend(reading.unbelieved_counts(web, ("num_requests",), "tool_usage.web_search."))
    unpriced.extend(
        reading.unknown_counts(web, frozenset(("num_requests",)), "tool_usage.web_search.")
    )
    unpriced.extend(reading.unknown_counts(told, frozenset(("web_search",)), "tool_usage."))
    return found, tuple(unpriced)


def seen_bytes(answer: Mapping[str, Any]) -> int:
    """Bytes of output in a whole response."""
    return reading.text_bytes(answer.get("output"))


class ResponseStream(StreamMeter):
    """Meters a stream of events; none is ever taken out.

    The usage stands in the response that the last event carries, be it completed, cut off or
    failed: all three are billed.
    """

    __slots__ = ()

    def __init__(self, request: CallRequest) -> None:
        """Begin with no usage told."""
        del request
        super().__init__(frames_matter=False)

    def read_frame(self, data: bytes) -> bool:
        if (
            b'"response.completed"' in data
            or b'"response.incomplete"' in data
            or b'"response.failed"' in data
        ):
            self._take(told_object(data))
        elif b'"error"' in data:
            event = told_object(data)
            if event.get("type") == "error" or ("type" not in event and event.get("error")):
                self.error_kind = _error_kind_of(event)
        return True

    def _take(self, event: Mapping[str, Any]) -> None:
        kind, response = event.get("type"), reading.part_of(event, "response")
        if kind not in ("response.completed", "response.incomplete", "response.failed"):
            return
        self.usage = usage_of(response)
        self.done = True
        if kind == "response.failed":
            self.error_kind = _error_kind_of(response)

    def seen_in(self, data: bytes) -> int:
        event = told_object(data)
        kind = event.get("type")
        if type(kind) is not str:
            return 0
        if kind.endswith(".delta"):
            return reading.text_bytes(event.get("delta"))
        return reading.text_bytes(event.get("item")) if kind.endswith("item.added") else 0


def _error_kind_of(told: Mapping[str, Any]) -> str:
    """What went wrong, in a word, as an error event or a failed response has it."""
    error = told.get("error")
    found = error if type(error) is dict else told
    return reading.told_text(found.get("code"), 64) or "error"
