"""OpenAI's wire format: chat completions and their chunks, embeddings, models, errors.

The names and shapes are those of the official SDK's types. Usage rides on a stream only when
`stream_options.include_usage` asks for it, and then every other chunk says `"usage": null`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from clients.rehearsal import limits, pictures, recordings, replies
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
from clients.rehearsal.knobs import HEADER, Knobs, for_call, without_directives
from clients.rehearsal.plan import (
    Chunk,
    Ids,
    Plan,
    Stream,
    batches,
    event,
    json_event,
    split_prompt,
    tier_of,
    worst_case,
)
from clients.rehearsal.prices import TEXT, Model, find

PROVIDER = "openai"
CHAT_PATH = "/v1/chat/completions"

MESSAGE_TOKENS = 3
PRIMER_TOKENS = 3
IMAGE_TOKENS = 85
_FINGERPRINT = "fp_rehearsal01"
_ERRORS: dict[int, tuple[str, str | None, str]] = {
    400: ("invalid_request_error", None, "The request was rehearsed to be wrong."),
    401: ("invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
    403: ("permission_error", "model_not_allowed", "You have no access to this model."),
    404: ("invalid_request_error", "model_not_found", "The model does not exist."),
    413: ("invalid_request_error", "request_too_large", "The request is too large."),
    429: ("requests", "rate_limit_exceeded", "Rate limit reached. Please try again in 1s."),
    500: ("server_error", None, "The server had an error while processing your request."),
    503: ("server_error", "overloaded", "The engine is currently overloaded."),
}
"""Type, code and a default message of the errors that have their own."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a request's messages say."""

    texts: tuple[str, ...]
    """Every text, in order."""
    head: str
    """The first user message, for the bill."""
    tokens: int
    """What it all counts, but for what is heard."""
    heard_tokens: int = 0
    """What its recordings count."""


def error_body(status: int, message: str | None, code: str | None, param: str | None) -> JsonObject:
    """Return an error in OpenAI's envelope."""
    kind, usual_code, usual = _ERRORS.get(
        status, ("server_error" if status >= 500 else "invalid_request_error", None, "Rehearsed.")
    )
    return {
        "error": {
            "message": message or usual,
            "type": kind,
            "param": param,
            "code": code or usual_code,
        }
    }


def refusal_answer(refusal: Refusal, headers: tuple[tuple[str, str], ...]) -> Answer:
    """Return a refusal as it goes out."""
    body = error_body(refusal.status, refusal.message, refusal.code, refusal.param)
    return Answer(refusal.status, encode(body), headers)


def answer_headers(request_id: str, latency_ms: int, prompt_tokens: int) -> list[tuple[str, str]]:
    """Return the headers of every answer of the API."""
    return [
        ("x-request-id", request_id),
        ("openai-organization", "rehearsal"),
        ("openai-processing-ms", str(latency_ms)),
        ("openai-version", "2020-10-01"),
        ("x-ratelimit-limit-requests", "10000"),
        ("x-ratelimit-remaining-requests", "9999"),
        ("x-ratelimit-reset-requests", "6ms"),
        ("x-ratelimit-limit-tokens", "2000000"),
        ("x-ratelimit-remaining-tokens", str(max(0, 2_000_000 - prompt_tokens))),
        ("x-ratelimit-reset-tokens", "0s"),
    ]


def model_of(body: JsonObject, serves: str = TEXT) -> tuple[str, Model]:
    """Return a model as the request names it; unless something else is said, one of text."""
    name = required_text(body, "model")
    # Gemini's models can be called in OpenAI's format as well.
    model = find(name, PROVIDER) or find(name, "gemini")
    if model is None:
        raise Refusal(
            404,
            f"The model `{name[:100]}` does not exist or you do not have access to it.",
            code="model_not_found",
        )
    if model.embeds or model.moderates or model.serves != serves:
        raise Refusal(404, f"`{name}` is not a model for this endpoint.", param="model")
    return name, model


def _read_messages(body: JsonObject, model: Model) -> Prompt:
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise Refusal(400, "messages: expected a list with one message at least", param="messages")
    texts: list[str] = []
    head = ""
    tokens, heard = PRIMER_TOKENS, 0
    for index, message in enumerate(messages):
        if not isinstance(message, dict) or not isinstance(message.get("role"), str):
            raise Refusal(400, f"messages[{index}]: expected an object with a role")
        where = f"messages[{index}].content"
        said, weighed, sound = _read_content(message.get("content"), where, model)
        heard += sound
        calls = message.get("tool_calls")
        tokens += MESSAGE_TOKENS + weighed + sum(map(replies.count_tokens, said))
        tokens += replies.count_tokens(canonical(calls)) if calls else 0
        texts += said
        if not head and message["role"] == "user":
            head = without_directives(" ".join(said))
    for name in ("tools", "functions", "response_format"):
        if body.get(name):
            tokens += replies.count_tokens(canonical(body[name]))
    return Prompt(tuple(texts), head[: limits.PROMPT_HEAD_CHARS], tokens, heard)


def _read_content(content: object, where: str, model: Model) -> tuple[list[str], int, int]:
    """Return the texts of a message, the tokens of what is not text, and of what is heard."""
    if content is None:
        return [], 0, 0
    if isinstance(content, str):
        return [content], 0, 0
    if not isinstance(content, list):
        raise Refusal(400, f"{where}: expected a text or a list of parts", param=where)
    texts: list[str] = []
    weighed = heard = 0
    for part in content:
        if not isinstance(part, dict):
            raise Refusal(400, f"{where}: expected a list of objects", param=where)
        text = part.get("text", part.get("refusal"))
        if isinstance(text, str):
            texts.append(text)
        elif part.get("type") == "image_url":
            weighed += _picture_tokens(part.get("image_url"), model)
        elif part.get("type") == "input_audio":
            if model.media.audio_input is None:
                raise Refusal(400, f"{where}: {model.name} does not hear", param=where)
            heard += recordings.heard_in_part(part.get("input_audio"))
        else:
            weighed += min(IMAGE_TOKENS, replies.count_tokens(canonical(part)))
    return texts, weighed, heard


def _picture_tokens(image: object, model: Model) -> int:
    given = image if isinstance(image, dict) else {"url": image}
    url = given.get("url")
    size = pictures.of_data_url(url) if isinstance(url, str) else pictures.ASSUMED
    return pictures.openai_tokens(model.name, size, given.get("detail"))


def _called_tool(body: JsonObject, knobs: Knobs) -> replies.ToolCall | None:
    tools = body.get("tools")
    if not knobs.tool_call or not isinstance(tools, list) or body.get("tool_choice") == "none":
        return None
    choice = body.get("tool_choice")
    named = choice.get("function") if isinstance(choice, dict) else None
    wanted = named.get("name") if isinstance(named, dict) else None
    for tool in tools:
        function = tool.get("function") if isinstance(tool, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            continue
        if wanted in (None, function["name"]):
            arguments = replies.tool_arguments(function.get("parameters"))
            return replies.ToolCall(function["name"], arguments)
    return None


@dataclass(frozen=True, slots=True)
class _Chat:
    """One chat completion, as the plan's makers of bytes need it."""

    base: JsonObject
    """id, created, model, service_tier and system_fingerprint."""
    choices: tuple[replies.Reply, ...]
    """The answers, one for each of `n`."""
    tool: replies.ToolCall | None
    """The tool that is called instead of an answer."""
    tool_ids: tuple[str, ...]
    """An id for each choice's tool call."""
    usage: JsonObject | None
    """The usage, or None if it is left out."""
    usage_on_chunks: bool
    """Whether chunks say `"usage": null`."""
    knobs: Knobs
    """The call's knobs."""
    speaks: bool = False
    """Whether the answer is spoken, and its text only a transcript."""

    def finish(self, choice: replies.Reply) -> str:
        if choice.finish == "length":
            return "length"
        return "stop" if self.tool is None else "tool_calls"

    def body(self) -> bytes:
        choices = []
        for index, choice in enumerate(self.choices):
            message: JsonObject = {"role": "assistant", "content": choice.text, "refusal": None}
            if self.tool is None:
                message["annotations"] = []
            else:
                function = {"name": self.tool.name, "arguments": choice.text}
                call = {"id": self.tool_ids[index], "type": "function", "function": function}
                message |= {"content": None, "tool_calls": [call]}
            if self.speaks:
                sound = {**self._sound(index), "transcript": choice.text}
                message |= {"content": None, "audio": sound}
            choices.append(
                {
                    "index": index,
                    "message": message,
                    "logprobs": None,
                    "finish_reason": self.finish(choice),
                }
            )
        said: JsonObject = {**self.base, "object": "chat.completion", "choices": choices}
        if self.usage is not None:
            said["usage"] = self.usage
        return encode(said)

    def _chunk(self, index: int, delta: JsonObject, finish: str | None) -> JsonObject:
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
        chunk = {**self.base, "object": "chat.completion.chunk", "choices": [choice]}
        if self.usage_on_chunks:
            chunk["usage"] = None
        return chunk

    def opening(self) -> tuple[bytes, ...]:
        events = []
        for index in range(len(self.choices)):
            delta: JsonObject = {"role": "assistant", "content": "", "refusal": None}
            if self.tool is not None:
                function = {"name": self.tool.name, "arguments": ""}
                call = {
                    "index": 0,
                    "id": self.tool_ids[index],
                    "type": "function",
                    "function": function,
                }
                delta |= {"content": None, "tool_calls": [call]}
            events.append(json_event(self._chunk(index, delta, None), self.knobs))
        return tuple(events)

    def chunks(self) -> Iterator[Chunk]:
        # Only the text differs from chunk to chunk, so the rest is encoded once per choice.
        mark = "\x00"
        frames = []
        for index in range(len(self.choices)):
            delta: JsonObject = {"content": mark}
            if self.speaks:
                delta = {"audio": {"id": f"audio_{index}", "transcript": mark}}
            if self.tool is not None:
                delta = {"tool_calls": [{"index": 0, "function": {"arguments": mark}}]}
            whole = json_event(self._chunk(index, delta, None), self.knobs)
            before, _, after = whole.rpartition(encode(mark))
            frames.append((before, after))
        running = [batches(choice.pieces, self.knobs.chunk_tokens) for choice in self.choices]
        left = set(range(len(running)))
        while left:
            for index in sorted(left):
                batch = next(running[index], None)
                if batch is None:
                    left.discard(index)
                    continue
                text, tokens = batch
                before, after = frames[index]
                yield Chunk(before + encode(text) + after, tokens)

    def _sound(self, index: int) -> JsonObject:
        data = pictures.made_up(f"{index}", self.knobs.media_bytes)
        return {"id": f"audio_{index}", "expires_at": self.base["created"], "data": data}

    def closing(self) -> tuple[bytes, ...]:
        events = [
            json_event(self._chunk(index, {"audio": self._sound(index)}, None), self.knobs)
            for index in range(len(self.choices) if self.speaks else 0)
        ]
        events += [
            json_event(self._chunk(index, {}, self.finish(choice)), self.knobs)
            for index, choice in enumerate(self.choices)
        ]
        if self.usage_on_chunks and self.usage is not None:
            last = {
                **self.base,
                "object": "chat.completion.chunk",
                "choices": [],
                "usage": self.usage,
            }
            events.append(json_event(last, self.knobs))
        return (*events, event(b"[DONE]", self.knobs))

    def stream(self) -> Stream:
        message = "The server had an error while processing your request."
        broken = json_event(error_body(500, message, None, None), self.knobs)
        return Stream(self.opening(), self.chunks, self.closing(), broken)


def chat_usage(billed: Quantities) -> JsonObject:
    """Return what a chat completion used, in OpenAI's words."""
    shown = billed.output_tokens - billed.reasoning_tokens
    made = billed.output_tokens + billed.audio_output_tokens
    return {
        "prompt_tokens": billed.prompt_tokens,
        "completion_tokens": made,
        "total_tokens": billed.prompt_tokens + made,
        "prompt_tokens_details": {
            "cached_tokens": billed.cached_tokens,
            "cache_write_tokens": billed.cache_write_tokens,
            "audio_tokens": billed.audio_input_tokens,
            "image_tokens": 0,
            "text_tokens": billed.prompt_tokens - billed.audio_input_tokens,
        },
        "completion_tokens_details": {
            "reasoning_tokens": billed.reasoning_tokens,
            "audio_tokens": billed.audio_output_tokens,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
            "text_tokens": shown,
        },
    }


def _output_limit(body: JsonObject, model: Model) -> int:
    given = None
    for name in ("max_tokens", "max_completion_tokens"):
        asked = whole_number(body, name, 1, limits.TOKENS_MAX)
        if asked is not None and asked > model.max_output_tokens:
            raise Refusal(
                400,
                f"{name} is too large: {asked}. This model supports at most "
                f"{model.max_output_tokens} completion tokens.",
                code="invalid_value",
                param=name,
            )
        given = asked if asked is not None else given
    return model.max_output_tokens if given is None else given


def _answers(
    body: JsonObject, model: Model, knobs: Knobs, tool: replies.ToolCall | None, room_tokens: int
) -> tuple[replies.Reply, ...]:
    count = whole_number(body, "n", 1, limits.CHOICES_MAX) or 1
    if tool is not None:
        return (replies.reply(tool.arguments, None, "", room_tokens),) * count
    tokens = model.default_reply_tokens if knobs.reply_tokens is None else knobs.reply_tokens
    stops = stop_texts(body.get("stop"), "stop")
    seed = canonical([body["model"], body["messages"]])
    return tuple(
        replies.reply(knobs.reply_text, tokens, f"{index}{seed}", room_tokens, stops)
        for index in range(count)
    )


def tier_asked(body: JsonObject) -> str | None:
    """Return the tier a request names; None if it names none."""
    asked = body.get("service_tier")
    if asked is not None and not isinstance(asked, str):
        raise Refusal(400, "service_tier: expected a text", param="service_tier")
    if asked == "fast":
        return "priority"
    return None if asked == "auto" else asked


def _speaks(body: JsonObject, model: Model) -> bool:
    """Return whether the answer is spoken."""
    wanted = body.get("modalities")
    if not isinstance(wanted, list) or "audio" not in wanted:
        return False
    if model.media.audio_output is None or not isinstance(body.get("audio"), dict):
        raise Refusal(400, "modalities: audio needs a model that speaks, and the field audio")
    return True


def plan_chat(
    body: JsonObject, headers: Mapping[str, str], knobs: Knobs, ids: Ids, unix_s: int
) -> Plan:
    """Decide a chat completion."""
    asked, model = model_of(body)
    prompt = _read_messages(body, model)
    knobs = for_call(knobs, headers.get(HEADER), prompt.texts)
    tier, multiplier = tier_of(PROVIDER, tier_asked(body), knobs)
    limit = _output_limit(body, model)
    tool = _called_tool(body, knobs)
    reasoning = min(knobs.reasoning_tokens, limit)
    choices = _answers(body, model, knobs, tool, limit - reasoning)
    speaks = _speaks(body, model)
    read = split_prompt(model, prompt.tokens, knobs)
    written = sum(reasoning + len(choice.pieces) for choice in choices)
    used = replace(
        read,
        output_tokens=written,
        reasoning_tokens=reasoning * len(choices),
        audio_input_tokens=prompt.heard_tokens,
        audio_output_tokens=min(limit * len(choices) - written, 4 * written) if speaks else 0,
    )
    streamed = flag(body, "stream")
    options = body.get("stream_options")
    if options is not None and not (streamed and isinstance(options, dict)):
        raise Refusal(
            400,
            "stream_options: only allowed as an object when stream is true",
            param="stream_options",
        )
    chat = _Chat(
        base={
            "id": ids.make("chatcmpl-", 29),
            "created": unix_s,
            "model": knobs.answer_model or asked,
            "service_tier": tier,
            "system_fingerprint": _FINGERPRINT,
        },
        choices=choices,
        tool=tool,
        tool_ids=tuple(ids.make("call_", 24) for _ in choices) if tool is not None else (),
        usage=None if knobs.omit_usage else chat_usage(used.overbilled(knobs.overbill_ppm)),
        usage_on_chunks=streamed and flag(options or {}, "include_usage"),
        knobs=knobs,
        speaks=speaks,
    )
    return Plan(
        model=model,
        asked_model=asked,
        tier=tier,
        multiplier=multiplier,
        knobs=knobs,
        used=used,
        worst=worst_case(model, used, limit * len(choices), writes=True, writes_1h=False),
        prompt=prompt.head,
        body=chat.body,
        stream=chat.stream() if streamed else None,
        billed_whole=speaks,
    )
