"""OpenAI's Responses API: whole answers, their events, and the count of a prompt's tokens.

The names and shapes are those of the official SDK's types. Usage stands in the response that the
last event carries, whichever of the three that is; what hosted tools did stands in `tool_usage`
or, for searches of files, only in the items of the output.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from clients.rehearsal import limits, replies
from clients.rehearsal.bill import Quantities
from clients.rehearsal.incoming import (
    JsonObject,
    Refusal,
    canonical,
    encode,
    flag,
    whole_number,
)
from clients.rehearsal.knobs import HEADER, Knobs, for_call
from clients.rehearsal.openai_responses_prompt import read_prompt
from clients.rehearsal.openai_wire import PROVIDER, model_of, tier_asked
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
from clients.rehearsal.prices import Model
from clients.rehearsal.stored import StoredResponses

RESPONSES_PATH = "/v1/responses"
COUNT_PATH = "/v1/responses/input_tokens"
_SEARCHES = {"web_search": "web_search_call", "file_search": "file_search_call"}
_ENDS = ("completed", "incomplete", "failed")


@dataclass(frozen=True, slots=True)
class _Response:
    """One response, as the plan's makers of bytes need it."""

    base: JsonObject
    """All that stays the same from the first event to the last."""
    item_id: str
    """The id of what it says, or of the call of a tool."""
    call_id: str
    """The id that the tool's output must name."""
    searched: tuple[JsonObject, ...]
    """The calls of hosted tools."""
    reply: replies.Reply
    """What it says."""
    tool: replies.ToolCall | None
    """The tool that it calls instead."""
    usage: JsonObject | None
    """The usage, or None if it is left out."""
    tool_usage: JsonObject | None
    """What hosted tools used; None if they were not asked for."""
    knobs: Knobs
    """The call's knobs."""

    @property
    def status(self) -> str:
        if self.knobs.response_status is not None:
            return self.knobs.response_status
        return "incomplete" if self.reply.finish == "length" else "completed"

    def _item(self, status: str, *, filled: bool) -> JsonObject:
        text = self.reply.text if filled else ""
        if self.tool is not None:
            return {
                "id": self.item_id,
                "type": "function_call",
                "status": status,
                "call_id": self.call_id,
                "name": self.tool.name,
                "arguments": text,
            }
        return {
            "id": self.item_id,
            "type": "message",
            "status": status,
            "role": "assistant",
            "content": [self._part(text)] if filled else [],
        }

    def _part(self, text: str) -> JsonObject:
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}

    def _finished(self) -> JsonObject:
        status = self.status
        ended = "completed" if status == "completed" else "incomplete"
        item = self._item(ended, filled=True)
        said: JsonObject = {
            **self.base,
            "status": status,
            "output": [*self.searched, *([item] if self.reply.pieces else [])],
        }
        if status == "incomplete":
            said["incomplete_details"] = {"reason": "max_output_tokens"}
        if status == "failed":
            said["error"] = {"code": "server_error", "message": "Rehearsed to fail."}
        if self.usage is not None:
            said["usage"] = self.usage
            if self.tool_usage is not None:
                said["tool_usage"] = self.tool_usage
        return said

    def body(self) -> bytes:
        return encode(self._finished())

    def _event(self, number: int, kind: str, **fields: object) -> bytes:
        return json_event({"type": kind, "sequence_number": number, **fields}, self.knobs, kind)

    def _before(self) -> list[tuple[str, JsonObject]]:
        started = {**self.base, "status": "in_progress", "output": []}
        events: list[tuple[str, JsonObject]] = [
            ("response.created", {"response": started}),
            ("response.in_progress", {"response": started}),
        ]
        for index, call in enumerate(self.searched):
            at: JsonObject = {"output_index": index, "item_id": call["id"]}
            begun = {**call, "status": "in_progress"}
            events += [
                ("response.output_item.added", {"output_index": index, "item": begun}),
                (f"response.{call['type']}.searching", at),
                (f"response.{call['type']}.completed", at),
                ("response.output_item.done", {"output_index": index, "item": call}),
            ]
        if self.reply.pieces:
            item = self._item("in_progress", filled=False)
            events.append(
                ("response.output_item.added", {"output_index": self._index, "item": item})
            )
            if self.tool is None:
                part = {**self._place, "part": self._part("")}
                events.append(("response.content_part.added", part))
        return events

    @property
    def _index(self) -> int:
        return len(self.searched)

    @property
    def _place(self) -> JsonObject:
        place: JsonObject = {"item_id": self.item_id, "output_index": self._index}
        if self.tool is None:
            place["content_index"] = 0
        return place

    def opening(self) -> tuple[bytes, ...]:
        return tuple(
            self._event(number, kind, **fields)
            for number, (kind, fields) in enumerate(self._before())
        )

    @property
    def _delta(self) -> str:
        if self.tool is None:
            return "response.output_text.delta"
        return "response.function_call_arguments.delta"

    def chunks(self) -> Iterator[Chunk]:
        first = len(self._before())
        pieces = batches(self.reply.pieces, self.knobs.chunk_tokens)
        for number, (text, tokens) in enumerate(pieces, first):
            yield Chunk(self._event(number, self._delta, **self._place, delta=text), tokens)

    @property
    def _chunk_count(self) -> int:
        return -(-len(self.reply.pieces) // self.knobs.chunk_tokens)

    def _after(self) -> list[tuple[str, JsonObject]]:
        events: list[tuple[str, JsonObject]] = []
        finished = self._finished()
        if self.reply.pieces:
            text, item = self.reply.text, finished["output"][-1]
            if self.tool is None:
                done = {**self._place, "text": text, "logprobs": []}
                events.append(("response.output_text.done", done))
                part = {**self._place, "part": self._part(text)}
                events.append(("response.content_part.done", part))
            else:
                done = {**self._place, "name": self.tool.name, "arguments": text}
                events.append(("response.function_call_arguments.done", done))
            events.append(
                ("response.output_item.done", {"output_index": self._index, "item": item})
            )
        return [*events, (f"response.{self.status}", {"response": finished})]

    def closing(self) -> tuple[bytes, ...]:
        first = len(self._before()) + self._chunk_count
        return tuple(
            self._event(number, kind, **fields)
            for number, (kind, fields) in enumerate(self._after(), first)
        )

    def stream(self) -> Stream:
        message = "The server had an error while processing your request."
        number = len(self._before()) + self._chunk_count
        broken = self._event(number, "error", code="server_error", message=message, param=None)
        return Stream(self.opening(), self.chunks, self.closing(), broken)


def response_usage(billed: Quantities) -> JsonObject:
    """Return what a response used, in OpenAI's words."""
    return {
        "input_tokens": billed.prompt_tokens,
        "input_tokens_details": {
            "cached_tokens": billed.cached_tokens,
            "cache_write_tokens": billed.cache_write_tokens,
            "cache_write_tokens_details": {
                "ttl_30m_tokens": billed.cache_write_tokens,
                "ttl_12h_tokens": 0,
            },
        },
        "output_tokens": billed.output_tokens,
        "output_tokens_details": {"reasoning_tokens": billed.reasoning_tokens},
        "total_tokens": billed.prompt_tokens + billed.output_tokens,
    }


def _called_tool(body: JsonObject, knobs: Knobs) -> replies.ToolCall | None:
    tools, choice = body.get("tools"), body.get("tool_choice")
    if not knobs.tool_call or not isinstance(tools, list) or choice == "none":
        return None
    wanted = choice.get("name") if isinstance(choice, dict) else None
    for tool in tools:
        if not isinstance(tool, dict) or tool.get("type") != "function":
            continue
        if isinstance(tool.get("name"), str) and wanted in (None, tool["name"]):
            return replies.ToolCall(tool["name"], replies.tool_arguments(tool.get("parameters")))
    return None


def _hosted_calls(body: JsonObject, knobs: Knobs, ids: Ids) -> tuple[JsonObject, ...]:
    """Return the calls of the first hosted tool that the request brings."""
    most = whole_number(body, "max_tool_calls", 1, limits.HOSTED_CALLS_MAX)
    count = knobs.hosted_calls if most is None else min(most, knobs.hosted_calls)
    for tool in body.get("tools") or []:
        name = tool.get("type") if isinstance(tool, dict) else None
        for search, kind in _SEARCHES.items():
            if isinstance(name, str) and name.startswith(search):
                return tuple(_search(kind, ids) for _ in range(count))
    return ()


def _search(kind: str, ids: Ids) -> JsonObject:
    call: JsonObject = {"id": ids.make(f"{kind[0]}s_", 48), "type": kind, "status": "completed"}
    if kind == "web_search_call":
        return call | {"action": {"type": "search", "query": "rehearsal"}}
    return call | {"queries": ["rehearsal"], "results": None}


def _output_limit(body: JsonObject, model: Model) -> int:
    asked = whole_number(body, "max_output_tokens", 1, model.max_output_tokens)
    return model.max_output_tokens if asked is None else asked


def _reply_of(
    body: JsonObject, model: Model, knobs: Knobs, tool: replies.ToolCall | None, room_tokens: int
) -> replies.Reply:
    if tool is not None:
        return replies.reply(tool.arguments, None, "", room_tokens)
    tokens = model.default_reply_tokens if knobs.reply_tokens is None else knobs.reply_tokens
    seed = canonical([body["model"], body["input"]])
    return replies.reply(knobs.reply_text, tokens, seed, room_tokens)


def _used(
    model: Model, prompt_tokens: int, knobs: Knobs, searched: tuple[JsonObject, ...]
) -> Quantities:
    """Return what the prompt used: each call of a hosted tool reads all of it once more."""
    once = split_prompt(model, prompt_tokens, knobs)
    again = once.prompt_tokens * len(searched)
    web = sum(call["type"] == "web_search_call" for call in searched)
    return replace(
        once,
        input_tokens=once.input_tokens + again,
        web_searches=web,
        file_searches=len(searched) - web,
    )


def _base(body: JsonObject, response_id: str, model: str, tier: str, unix_s: int) -> JsonObject:
    return {
        "id": response_id,
        "object": "response",
        "created_at": unix_s,
        "status": "in_progress",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": body.get("instructions"),
        "max_output_tokens": body.get("max_output_tokens"),
        "max_tool_calls": body.get("max_tool_calls"),
        "model": model,
        "output": [],
        "parallel_tool_calls": True,
        "previous_response_id": body.get("previous_response_id"),
        "reasoning": {"effort": None, "summary": None},
        "service_tier": tier,
        "store": body.get("store") is not False,
        "temperature": 1.0,
        "text": body.get("text") or {"format": {"type": "text"}},
        "tool_choice": body.get("tool_choice") or "auto",
        "tools": body.get("tools") or [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": None,
        "user": None,
        "metadata": body.get("metadata") or {},
    }


def plan_response(
    body: JsonObject,
    headers: Mapping[str, str],
    knobs: Knobs,
    ids: Ids,
    stored: StoredResponses,
    unix_s: int,
) -> Plan:
    """Decide a response."""
    asked, model = model_of(body)
    prompt = read_prompt(body, stored)
    knobs = for_call(knobs, headers.get(HEADER), prompt.texts)
    if knobs.response_status not in (None, *_ENDS):
        raise Refusal(400, f"rehearsal knob: response_status: one of {', '.join(_ENDS)}")
    tier, multiplier = tier_of(PROVIDER, tier_asked(body), knobs)
    limit = _output_limit(body, model)
    tool = _called_tool(body, knobs)
    searched = _hosted_calls(body, knobs, ids)
    reasoning = min(knobs.reasoning_tokens, limit)
    reply = _reply_of(body, model, knobs, tool, limit - reasoning)
    used = replace(
        _used(model, prompt.tokens, knobs, searched),
        output_tokens=reasoning + len(reply.pieces),
        reasoning_tokens=reasoning,
    )
    response_id = ids.make("resp_", 48)
    if body.get("store") is not False:
        stored.keep(response_id, prompt.tokens + len(reply.pieces))
    billed = used.overbilled(knobs.overbill_ppm)
    response = _Response(
        base=_base(body, response_id, knobs.answer_model or asked, tier, unix_s),
        item_id=ids.make("msg_" if tool is None else "fc_", 48),
        call_id=ids.make("call_", 24),
        searched=searched,
        reply=reply,
        tool=tool,
        usage=None if knobs.omit_usage else response_usage(billed),
        tool_usage={"web_search": {"num_requests": billed.web_searches}} if searched else None,
        knobs=knobs,
    )
    return Plan(
        model=model,
        asked_model=asked,
        tier=tier,
        multiplier=multiplier,
        knobs=knobs,
        used=used,
        worst=worst_case(model, used, limit, writes=True, writes_1h=False),
        prompt=prompt.head,
        body=response.body,
        stream=response.stream() if flag(body, "stream") else None,
    )


def count_tokens_json(
    body: JsonObject, headers: Mapping[str, str], knobs: Knobs, stored: StoredResponses
) -> JsonObject:
    """Return what a prompt would count, which costs nothing."""
    model_of(body)
    prompt = read_prompt(body, stored)
    knobs = for_call(knobs, headers.get(HEADER), prompt.texts)
    tokens = prompt.tokens if knobs.prompt_tokens is None else knobs.prompt_tokens
    return {"object": "response.input_tokens", "input_tokens": tokens}
