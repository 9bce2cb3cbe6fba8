"""Gemini's wire format: generated content, streamed as events or as one JSON array, and errors.

The names and shapes are those of the official SDK's types. Every chunk of a stream tells the usage
so far. Fields may be spelled in camelCase or with underscores. A stream whose client hangs up runs
on, and is billed, to its end.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from clients.rehearsal import limits, replies
from clients.rehearsal.bill import Quantities
from clients.rehearsal.gemini_prompt import field, read_prompt
from clients.rehearsal.incoming import (
    Answer,
    JsonObject,
    Refusal,
    canonical,
    encode,
    stop_texts,
    whole_number,
)
from clients.rehearsal.knobs import HEADER, Knobs, for_call
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
from clients.rehearsal.prices import Model, find, served_by

PROVIDER = "gemini"
MODELS_PATHS = ("/v1beta/models", "/v1/models")
GENERATE, STREAM, COUNT = "generateContent", "streamGenerateContent", "countTokens"

_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "UNIMPLEMENTED",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
_FINISHES = {"length": "MAX_TOKENS"}


def error_body(status: int, message: str | None, code: str | None = None) -> JsonObject:
    """Return an error in Google's envelope."""
    name = _STATUSES.get(status, "INTERNAL" if status >= 500 else "FAILED_PRECONDITION")
    error: JsonObject = {"code": status, "message": message or "Rehearsed.", "status": name}
    if code is not None:
        kind = "type.googleapis.com/google.rpc.ErrorInfo"
        error["details"] = [{"@type": kind, "reason": code, "domain": "googleapis.com"}]
    return {"error": error}


def refusal_answer(refusal: Refusal, headers: tuple[tuple[str, str], ...]) -> Answer:
    """Return a refusal as it goes out."""
    body = error_body(refusal.status, refusal.message, refusal.code)
    return Answer(refusal.status, encode(body), headers)


def model_of(path: str, *, embeds: bool) -> tuple[str, Model]:
    """Return the model that a path names."""
    name = path.partition("/models/")[2].rpartition(":")[0]
    model = find(name, PROVIDER)
    if model is None or model.embeds != embeds:
        raise Refusal(
            404,
            f"models/{name[:100]} is not found for API version v1beta, or is not supported for "
            "this method. Call ListModels to see the list of available models.",
        )
    return name, model


def _called_tool(body: JsonObject, knobs: Knobs) -> replies.ToolCall | None:
    tools = field(body, "tools")
    if not knobs.tool_call or not isinstance(tools, list):
        return None
    for tool in tools:
        declared = field(tool, "functionDeclarations") if isinstance(tool, dict) else None
        for function in declared if isinstance(declared, list) else []:
            if isinstance(function, dict) and isinstance(function.get("name"), str):
                schema = field(function, "parametersJsonSchema") or _lowered(
                    function.get("parameters")
                )
                return replies.ToolCall(function["name"], replies.tool_arguments(schema))
    return None


def _lowered(schema: Any) -> Any:
    """Return a schema whose types are in small letters, as JSON Schema has them."""
    if isinstance(schema, dict):
        return {
            name: member.lower() if name == "type" and isinstance(member, str) else _lowered(member)
            for name, member in schema.items()
        }
    return [_lowered(each) for each in schema] if isinstance(schema, list) else schema


@dataclass(frozen=True, slots=True)
class _Content:
    """One generated content, as the plan's makers of bytes need it."""

    base: JsonObject
    """modelVersion and responseId."""
    candidates: tuple[replies.Reply, ...]
    """The answers."""
    tool: replies.ToolCall | None
    """The tool that is called instead."""
    usage: Callable[[int], JsonObject | None]
    """The usage once so many visible tokens were generated."""
    knobs: Knobs
    """The call's knobs."""

    def _part(self, text: str) -> JsonObject:
        if self.tool is None:
            return {"text": text}
        arguments = json.loads(text) if text == self.tool.arguments else {}
        return {"functionCall": {"name": self.tool.name, "args": arguments}}

    def _answer(self, candidates: list[JsonObject], visible_tokens: int) -> JsonObject:
        said: JsonObject = {"candidates": candidates}
        usage = self.usage(visible_tokens)
        if usage is not None:
            said["usageMetadata"] = usage
        return said | self.base

    def _candidate(self, index: int, text: str, finish: str | None) -> JsonObject:
        content = {"parts": [self._part(text)] if text else [], "role": "model"}
        said: JsonObject = {"content": content, "index": index}
        if finish is not None:
            said["finishReason"] = _FINISHES.get(finish, "STOP")
        return said

    def body(self) -> bytes:
        whole = [
            self._candidate(index, reply.text, reply.finish)
            for index, reply in enumerate(self.candidates)
        ]
        return encode(self._answer(whole, sum(len(reply.pieces) for reply in self.candidates)))

    def pieces(self) -> Iterator[tuple[bytes, int]]:
        """The chunks that bring text, each with the visible tokens that it brings."""
        sent = 0
        for index, reply in enumerate(self.candidates):
            step = len(reply.pieces) or 1 if self.tool is not None else self.knobs.chunk_tokens
            for text, tokens in batches(reply.pieces, step):
                sent += tokens
                yield encode(self._answer([self._candidate(index, text, None)], sent)), tokens

    def ends(self) -> list[bytes]:
        """The chunks that end the candidates."""
        whole = sum(len(reply.pieces) for reply in self.candidates)
        return [
            encode(self._answer([self._candidate(index, "", reply.finish)], whole))
            for index, reply in enumerate(self.candidates)
        ]

    def events(self) -> Stream:
        def chunks() -> Iterator[Chunk]:
            for data, tokens in self.pieces():
                yield Chunk(b"data: " + data + b"\r\n\r\n", tokens)

        closing = tuple(b"data: " + data + b"\r\n\r\n" for data in self.ends())
        broken = json_event(error_body(503, "The model is overloaded."), self.knobs)
        return Stream((), chunks, closing, broken)

    def array(self) -> Stream:
        def chunks() -> Iterator[Chunk]:
            for number, (data, tokens) in enumerate(self.pieces()):
                yield Chunk((b",\r\n" if number else b"") + data, tokens)

        told = any(reply.pieces for reply in self.candidates)
        closing = (b",\r\n" if told else b"") + b",\r\n".join(self.ends()) + b"]\n"
        broken = b",\r\n" + encode(error_body(503, "The model is overloaded.")) + b"]\n"
        return Stream((b"[",), chunks, (closing,), broken, content_type="application/json")


def content_usage(billed: Quantities, knobs: Knobs) -> JsonObject:
    """Return what generated content used, in Gemini's words."""
    shown = billed.output_tokens - billed.reasoning_tokens
    told = billed.output_tokens if knobs.thoughts_in_candidates else shown
    said: JsonObject = {
        "promptTokenCount": billed.prompt_tokens,
        "candidatesTokenCount": told,
        "totalTokenCount": billed.prompt_tokens + billed.output_tokens,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": billed.prompt_tokens}],
    }
    if billed.reasoning_tokens:
        said["thoughtsTokenCount"] = billed.reasoning_tokens
    if billed.cached_tokens:
        said["cachedContentTokenCount"] = billed.cached_tokens
        said["cacheTokensDetails"] = [{"modality": "TEXT", "tokenCount": billed.cached_tokens}]
    return said


def _config_of(body: JsonObject) -> JsonObject:
    config = field(body, "generationConfig") or {}
    if not isinstance(config, dict):
        raise Refusal(400, "Invalid value at 'generation_config': expected an object")
    names = (
        *("maxOutputTokens", "candidateCount", "stopSequences"),
        *("responseMimeType", "responseSchema", "thinkingConfig"),
    )
    return {name: field(config, name) for name in names}


def _candidates(
    body: JsonObject, config: JsonObject, model: Model, knobs: Knobs, room_tokens: int
) -> tuple[tuple[replies.Reply, ...], replies.ToolCall | None]:
    count = whole_number(config, "candidateCount", 1, limits.CANDIDATES_MAX) or 1
    tool = _called_tool(body, knobs)
    if tool is not None:
        return (replies.reply(tool.arguments, None, "", room_tokens),) * count, tool
    tokens = model.default_reply_tokens if knobs.reply_tokens is None else knobs.reply_tokens
    stops = stop_texts(config["stopSequences"], "stop_sequences")
    seed = canonical([model.name, field(body, "contents")])
    return (
        tuple(
            replies.reply(knobs.reply_text, tokens, f"{index}{seed}", room_tokens, stops)
            for index in range(count)
        ),
        None,
    )


def plan_content(
    path: str,
    query: Mapping[str, str],
    body: JsonObject,
    headers: Mapping[str, str],
    knobs: Knobs,
    ids: Ids,
) -> Plan:
    """Decide a call that generates content."""
    asked, model = model_of(path, embeds=False)
    prompt = read_prompt(body)
    knobs = for_call(knobs, headers.get(HEADER), prompt.texts)
    wanted = field(body, "serviceTier")
    tier, multiplier = tier_of(PROVIDER, wanted.lower() if isinstance(wanted, str) else None, knobs)
    config = _config_of(body)
    limit = whole_number(config, "maxOutputTokens", 1, limits.TOKENS_MAX)
    limit = min(limit or model.max_output_tokens, model.max_output_tokens)
    reasoning = min(knobs.reasoning_tokens, limit)
    candidates, tool = _candidates(body, config, model, knobs, limit - reasoning)
    used = replace(
        split_prompt(model, prompt.tokens, knobs),
        output_tokens=sum(reasoning + len(reply.pieces) for reply in candidates),
        reasoning_tokens=reasoning * len(candidates),
    )

    def usage(visible_tokens: int) -> JsonObject | None:
        if knobs.omit_usage:
            return None
        so_far = replace(used, output_tokens=used.reasoning_tokens + visible_tokens)
        return content_usage(so_far.overbilled(knobs.overbill_ppm), knobs)

    content = _Content(
        base={
            "modelVersion": knobs.answer_model or asked,
            "responseId": ids.make("", 22),
        },
        candidates=candidates,
        tool=tool,
        usage=usage,
        knobs=knobs,
    )
    stream = None
    if path.endswith(f":{STREAM}"):
        stream = content.events() if query.get("alt") == "sse" else content.array()
    return Plan(
        model=model,
        asked_model=asked,
        tier=tier,
        multiplier=multiplier,
        knobs=knobs,
        used=used,
        worst=worst_case(model, used, limit * len(candidates), writes=False, writes_1h=False),
        prompt=prompt.head,
        body=content.body,
        stream=stream,
        headers=(("x-gemini-service-tier", tier),),
        bills_to_end=True,
    )


def count_tokens_json(
    path: str, body: JsonObject, headers: Mapping[str, str], knobs: Knobs
) -> JsonObject:
    """Return what a prompt would count, which costs nothing."""
    model_of(path, embeds=False)
    inner = field(body, "generateContentRequest")
    prompt = read_prompt(inner if isinstance(inner, dict) else body)
    knobs = for_call(knobs, headers.get(HEADER), prompt.texts)
    tokens = prompt.tokens if knobs.prompt_tokens is None else knobs.prompt_tokens
    return {"totalTokens": tokens}


def model_json(model: Model) -> JsonObject:
    """Return a model as Gemini lists it."""
    return {
        "name": f"models/{model.name}",
        "version": "001",
        "displayName": model.name.replace("-", " ").title(),
        "inputTokenLimit": model.max_input_tokens,
        "outputTokenLimit": model.max_output_tokens,
        "supportedGenerationMethods": ["embedContent"]
        if model.embeds
        else ["generateContent", "countTokens"],
    }


def models_json() -> JsonObject:
    """Return Gemini's list of models."""
    return {"models": [model_json(model) for model in served_by(PROVIDER)]}
