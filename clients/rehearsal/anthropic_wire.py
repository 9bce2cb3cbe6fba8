"""Anthropic's wire format: messages and their events, errors, token counts, models.

The names and shapes are those of the official SDK's types. `input_tokens` counts only what was
neither read from nor written to the cache; usage in a stream is cumulative.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from clients.rehearsal import replies
from clients.rehearsal.anthropic_prompt import Prompt, read_prompt
from clients.rehearsal.bill import Quantities
from clients.rehearsal.incoming import (
    Answer,
    JsonObject,
    Refusal,
    canonical,
    encode,
    flag,
    required_text,
    stop_texts,
    whole_number,
)
from clients.rehearsal.knobs import HEADER, Knobs, fails, for_call
from clients.rehearsal.plan import (
    Chunk,
    Ids,
    Plan,
    Stream,
    batches,
    json_event,
    split_prompt,
    tier_of,
    worst_case,
)
from clients.rehearsal.prices import FAST_SPEED, US_INFERENCE, Model, find, served_by
from clients.rehearsal.prompt_cache import PromptCache

PROVIDER = "anthropic"
MESSAGES_PATH = "/v1/messages"
COUNT_PATH = "/v1/messages/count_tokens"

_KINDS = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_CREATED_AT = "2025-01-01T00:00:00Z"


def error_body(status: int, message: str | None, request_id: str | None) -> JsonObject:
    """Return an error in Anthropic's envelope."""
    kind = _KINDS.get(status, "api_error" if status >= 500 else "invalid_request_error")
    error = {"type": kind, "message": message or kind.replace("_", " ").capitalize()}
    said: JsonObject = {"type": "error", "error": error}
    if request_id is not None:
        said["request_id"] = request_id
    return said


def refusal_answer(
    refusal: Refusal, request_id: str, headers: tuple[tuple[str, str], ...]
) -> Answer:
    """Return a refusal as it goes out."""
    return Answer(
        refusal.status, encode(error_body(refusal.status, refusal.message, request_id)), headers
    )


def answer_headers(request_id: str, prompt_tokens: int) -> list[tuple[str, str]]:
    """Return the headers of every answer of the API."""
    return [
        ("request-id", request_id),
        ("anthropic-organization-id", "00000000-0000-4000-8000-000000000000"),
        ("anthropic-ratelimit-requests-limit", "4000"),
        ("anthropic-ratelimit-requests-remaining", "3999"),
        ("anthropic-ratelimit-input-tokens-limit", "2000000"),
        ("anthropic-ratelimit-input-tokens-remaining", str(max(0, 2_000_000 - prompt_tokens))),
    ]


def _model_of(body: JsonObject) -> tuple[str, Model]:
    name = required_text(body, "model")
    model = find(name, PROVIDER)
    if model is None:
        raise Refusal(404, f"model: {name[:100]}")
    return name, model


def _called_tool(body: JsonObject, knobs: Knobs) -> replies.ToolCall | None:
    tools, choice = body.get("tools"), body.get("tool_choice")
    choice = choice if isinstance(choice, dict) else {}
    if not knobs.tool_call or not isinstance(tools, list) or choice.get("type") == "none":
        return None
    for tool in tools:
        if not isinstance(tool, dict) or not isinstance(tool.get("name"), str):
            continue
        if "input_schema" in tool and choice.get("name") in (None, tool["name"]):
            arguments = replies.tool_arguments(tool["input_schema"])
            return replies.ToolCall(tool["name"], arguments)
    return None


def _as_object(arguments: str) -> JsonObject:
    """Return a tool's arguments, or none of them if they were cut short."""
    try:
        value = json.loads(arguments)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


@dataclass(frozen=True, slots=True)
class _Message:
    """One message, as the plan's makers of bytes need it."""

    message_id: str
    """The message's id."""
    tool_id: str
    """The id of its tool call."""
    model: str
    """The model as the answer names it."""
    reply: replies.Reply
    """What it says."""
    tool: replies.ToolCall | None
    """The tool it calls instead."""
    usage: JsonObject | None
    """The usage, or None if it is left out."""
    knobs: Knobs
    """The call's knobs."""

    @property
    def stop_reason(self) -> str:
        if self.reply.finish == "length":
            return "max_tokens"
        if self.tool is not None:
            return "tool_use"
        return "end_turn" if self.reply.finish == "stop" else "stop_sequence"

    def _block(self, *, filled: bool) -> JsonObject:
        text = self.reply.text if filled else ""
        if self.tool is None:
            return {"type": "text", "text": text, "citations": None}
        arguments = _as_object(text)
        return {"type": "tool_use", "id": self.tool_id, "name": self.tool.name, "input": arguments}

    def _envelope(self) -> JsonObject:
        return {
            "id": self.message_id,
            "type": "message",
            "role": "assistant",
            "model": self.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
        }

    def body(self) -> bytes:
        said = self._envelope() | {
            "content": [self._block(filled=True)] if self.reply.pieces else [],
            "stop_reason": self.stop_reason,
            "stop_sequence": self.reply.stopped_by,
        }
        if self.usage is not None:
            said["usage"] = self.usage
        return encode(said)

    def _event(self, kind: str, **fields: Any) -> bytes:
        return json_event({"type": kind, **fields}, self.knobs, kind)

    def opening(self) -> tuple[bytes, ...]:
        message = self._envelope()
        if self.usage is not None:
            first = min(1, self.usage["output_tokens"])
            details = {"thinking_tokens": 0}
            message["usage"] = self.usage | {
                "output_tokens": first,
                "output_tokens_details": details,
            }
        start = self._event("message_start", message=message)
        if not self.reply.pieces:
            return start, self._event("ping")
        block = self._block(filled=False)
        return (
            start,
            self._event("content_block_start", index=0, content_block=block),
            self._event("ping"),
        )

    def chunks(self) -> Iterator[Chunk]:
        # Only the text differs from chunk to chunk, so the rest is encoded once.
        mark = "\x00"
        delta = {"type": "text_delta", "text": mark}
        if self.tool is not None:
            delta = {"type": "input_json_delta", "partial_json": mark}
        whole = self._event("content_block_delta", index=0, delta=delta)
        before, _, after = whole.rpartition(encode(mark))
        for text, tokens in batches(self.reply.pieces, self.knobs.chunk_tokens):
            yield Chunk(before + encode(text) + after, tokens)

    def closing(self) -> tuple[bytes, ...]:
        delta = {"stop_reason": self.stop_reason, "stop_sequence": self.reply.stopped_by}
        fields: JsonObject = {"delta": delta}
        if self.usage is not None:
            names = (
                "input_tokens",
                "cache_creation_input_tokens",
                "cache_read_input_tokens",
                "output_tokens",
                "output_tokens_details",
                "server_tool_use",
            )
            fields["usage"] = {name: self.usage[name] for name in names}
        stopped = (self._event("content_block_stop", index=0),) if self.reply.pieces else ()
        return (
            *stopped,
            self._event("message_delta", **fields),
            self._event("message_stop"),
        )

    def stream(self) -> Stream:
        broken = json_event(error_body(529, "Overloaded", None), self.knobs, "error")
        return Stream(self.opening(), self.chunks, self.closing(), broken)


def message_usage(billed: Quantities, tier: str, speed: str, geo: str) -> JsonObject:
    """Return what a message used, in Anthropic's words."""
    return {
        "input_tokens": billed.input_tokens,
        "cache_creation_input_tokens": billed.cache_write_tokens + billed.cache_write_1h_tokens,
        "cache_creation": {
            "ephemeral_5m_input_tokens": billed.cache_write_tokens,
            "ephemeral_1h_input_tokens": billed.cache_write_1h_tokens,
        },
        "cache_read_input_tokens": billed.cached_tokens,
        "output_tokens": billed.output_tokens,
        "output_tokens_details": {"thinking_tokens": billed.reasoning_tokens},
        "server_tool_use": None,
        "service_tier": tier,
        "speed": speed,
        "inference_geo": geo,
    }


def _speed_and_geo(body: JsonObject) -> tuple[str, str, Fraction]:
    speed, geo = body.get("speed") or "standard", body.get("inference_geo") or "global"
    if speed not in ("standard", "fast"):
        raise Refusal(400, "speed: expected standard or fast")
    if geo not in ("global", "us"):
        raise Refusal(400, "inference_geo: expected global or us")
    multiplier = FAST_SPEED if speed == "fast" else Fraction(1)
    return speed, geo, multiplier * (US_INFERENCE if geo == "us" else 1)


def _output_limit(body: JsonObject, model: Model) -> int:
    if body.get("max_tokens") is None:
        raise Refusal(400, "max_tokens: Field required")
    asked = whole_number(body, "max_tokens", 0, model.max_output_tokens)
    assert asked is not None
    return asked


def _prompt_quantities(
    model: Model, prompt: Prompt, knobs: Knobs, cache: PromptCache, owner: str, *, remember: bool
) -> Quantities:
    """Return the prompt by kind: as the knobs have it, else as the cache does."""
    forced = (knobs.prompt_tokens, knobs.cached_tokens, knobs.cache_write_tokens)
    plain = split_prompt(model, prompt.tokens, knobs)
    if not prompt.marked or any(knob is not None for knob in forced):
        return plain
    return cache.use(owner, prompt.segments, remember=remember)


def plan_message(
    body: JsonObject,
    headers: Mapping[str, str],
    knobs: Knobs,
    ids: Ids,
    cache: PromptCache,
    call_number: int,
) -> Plan:
    """Decide a message."""
    asked, model = _model_of(body)
    limit = _output_limit(body, model)
    prompt = read_prompt(body, model.name)
    knobs = for_call(knobs, headers.get(HEADER), prompt.texts)
    tier, multiplier = tier_of(PROVIDER, None, knobs)
    speed, geo, dearer = _speed_and_geo(body)
    streamed = flag(body, "stream")
    tool = _called_tool(body, knobs)
    reasoning = min(knobs.reasoning_tokens, limit)
    if tool is not None:
        reply = replies.reply(tool.arguments, None, "", limit - reasoning)
    else:
        tokens = model.default_reply_tokens if knobs.reply_tokens is None else knobs.reply_tokens
        stops = stop_texts(body.get("stop_sequences"), "stop_sequences")
        seed = canonical([asked, body["messages"]])
        reply = replies.reply(knobs.reply_text, tokens, seed, limit - reasoning, stops)
    key = headers.get("x-api-key") or headers.get("authorization", "")
    owner = f"{headers.get('authorization')}\n{headers.get('x-api-key')}\n{model.name}"
    used = replace(
        _prompt_quantities(
            model, prompt, knobs, cache, owner, remember=not fails(knobs, call_number, asked, key)
        ),
        output_tokens=reasoning + len(reply.pieces),
        reasoning_tokens=reasoning,
    )
    billed = used.overbilled(knobs.overbill_ppm)
    message = _Message(
        message_id=ids.make("msg_01", 22),
        tool_id=ids.make("toolu_01", 22),
        model=knobs.answer_model or asked,
        reply=reply,
        tool=tool,
        usage=None if knobs.omit_usage else message_usage(billed, tier, speed, geo),
        knobs=knobs,
    )
    return Plan(
        model=model,
        asked_model=asked,
        tier=tier,
        multiplier=multiplier * dearer,
        knobs=knobs,
        used=used,
        worst=worst_case(
            model, used, limit, writes=prompt.marked, writes_1h=prompt.marked_for_an_hour
        ),
        prompt=prompt.head,
        body=message.body,
        stream=message.stream() if streamed else None,
    )


def count_tokens_json(body: JsonObject, headers: Mapping[str, str], knobs: Knobs) -> JsonObject:
    """Return what a prompt would count, which costs nothing."""
    _, model = _model_of(body)
    prompt = read_prompt(body, model.name)
    knobs = for_call(knobs, headers.get(HEADER), prompt.texts)
    return {"input_tokens": prompt.tokens if knobs.prompt_tokens is None else knobs.prompt_tokens}


def model_json(model: Model) -> JsonObject:
    """Return a model as Anthropic lists it."""
    return {
        "type": "model",
        "id": model.name,
        "display_name": model.name.replace("-", " ").title(),
        "created_at": _CREATED_AT,
        "lifecycle": "active",
        "deprecated_at": None,
        "retires_at": None,
        "line": None,
        "capabilities": None,
        "max_input_tokens": model.max_input_tokens,
        "max_tokens": model.max_output_tokens,
    }


def models_json() -> JsonObject:
    """Return Anthropic's list of models."""
    data = [model_json(model) for model in served_by(PROVIDER)]
    return {
        "data": data,
        "has_more": False,
        "first_id": data[0]["id"],
        "last_id": data[-1]["id"],
    }
