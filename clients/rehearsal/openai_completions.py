"""OpenAI's legacy completions: prompts of texts or tokens, several answers each, best of several.

Of `best_of` answers all are billed and the first `n` are shown; `echo` repeats the prompt, which
counts as read and not as written.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from clients.rehearsal import limits, replies
from clients.rehearsal.bill import Quantities
from clients.rehearsal.incoming import (
    JsonObject,
    Refusal,
    canonical,
    encode,
    flag,
    stop_texts,
    whole_number,
)
from clients.rehearsal.knobs import HEADER, Knobs, for_call, without_directives
from clients.rehearsal.openai_wire import PROVIDER, chat_usage, error_body, model_of
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
from clients.rehearsal.prices import Model

COMPLETIONS_PATH = "/v1/completions"
_DEFAULT_MAX_TOKENS = 16


def _prompts(body: JsonObject) -> list[str | list[int]]:
    given = body.get("prompt")
    if given is None:
        return [""]
    if isinstance(given, str) or _are_tokens(given):
        return [given]
    if isinstance(given, list) and 0 < len(given) <= limits.PROMPTS_MAX:
        texts = all(isinstance(each, str) for each in given)
        if texts or all(map(_are_tokens, given)):
            return given
    raise Refusal(400, "prompt: expected a text, tokens, or a list of either", param="prompt")


def _are_tokens(value: object) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(token, int) and not isinstance(token, bool) for token in value)
    )


@dataclass(frozen=True, slots=True)
class _Completion:
    """One completion, as the plan's makers of bytes need it."""

    base: JsonObject
    """id, object, created and model."""
    echoes: tuple[str, ...]
    """What stands before each answer."""
    shown: tuple[replies.Reply, ...]
    """The answers that are shown, prompt by prompt."""
    usage: JsonObject | None
    """The usage, or None if it is left out."""
    usage_on_chunks: bool
    """Whether chunks say `"usage": null`."""
    knobs: Knobs
    """The call's knobs."""

    def _choice(self, index: int, text: str, finish: str | None) -> JsonObject:
        return {"text": text, "index": index, "logprobs": None, "finish_reason": finish}

    def body(self) -> bytes:
        choices = [
            self._choice(index, self.echoes[index] + reply.text, _finish(reply))
            for index, reply in enumerate(self.shown)
        ]
        said: JsonObject = {**self.base, "choices": choices}
        if self.usage is not None:
            said["usage"] = self.usage
        return encode(said)

    def _chunk(self, choice: JsonObject) -> bytes:
        chunk: JsonObject = {**self.base, "choices": [choice]}
        if self.usage_on_chunks:
            chunk["usage"] = None
        return json_event(chunk, self.knobs)

    def opening(self) -> tuple[bytes, ...]:
        return tuple(
            self._chunk(self._choice(index, echo, None))
            for index, echo in enumerate(self.echoes)
            if echo
        )

    def chunks(self) -> Iterator[Chunk]:
        for index, reply in enumerate(self.shown):
            for text, tokens in batches(reply.pieces, self.knobs.chunk_tokens):
                yield Chunk(self._chunk(self._choice(index, text, None)), tokens)

    def closing(self) -> tuple[bytes, ...]:
        events = [
            self._chunk(self._choice(index, "", _finish(reply)))
            for index, reply in enumerate(self.shown)
        ]
        if self.usage_on_chunks and self.usage is not None:
            last = {**self.base, "choices": [], "usage": self.usage}
            events.append(json_event(last, self.knobs))
        return (*events, event(b"[DONE]", self.knobs))

    def stream(self) -> Stream:
        message = "The server had an error while processing your request."
        broken = json_event(error_body(500, message, None, None), self.knobs)
        return Stream(self.opening(), self.chunks, self.closing(), broken)


def _finish(reply: replies.Reply) -> str:
    return "length" if reply.finish == "length" else "stop"


def _answers(
    body: JsonObject, model: Model, knobs: Knobs, count: int, limit: int
) -> list[tuple[replies.Reply, ...]]:
    """Return the answers to each prompt, all that are billed."""
    tokens = model.default_reply_tokens if knobs.reply_tokens is None else knobs.reply_tokens
    stops = stop_texts(body.get("stop"), "stop")
    return [
        tuple(
            replies.reply(
                knobs.reply_text,
                tokens,
                f"{index}{canonical([body['model'], prompt])}",
                limit,
                stops,
            )
            for index in range(count)
        )
        for prompt in _prompts(body)
    ]


def _tokens_of(prompt: str | list[int]) -> int:
    return replies.count_tokens(prompt) if isinstance(prompt, str) else len(prompt)


def _options(body: JsonObject, *, streamed: bool) -> JsonObject:
    options = body.get("stream_options")
    if options is None:
        return {}
    if not streamed or not isinstance(options, dict):
        words = "stream_options: only allowed as an object when stream is true"
        raise Refusal(400, words, param="stream_options")
    return options


def plan_completion(
    body: JsonObject, headers: Mapping[str, str], knobs: Knobs, ids: Ids, unix_s: int
) -> Plan:
    """Decide a completion."""
    asked, model = model_of(body)
    prompts = _prompts(body)
    texts = tuple(prompt for prompt in prompts if isinstance(prompt, str))
    knobs = for_call(knobs, headers.get(HEADER), texts)
    tier, multiplier = tier_of(PROVIDER, None, knobs)
    shown_count = whole_number(body, "n", 1, limits.CHOICES_MAX) or 1
    billed_count = whole_number(body, "best_of", 1, limits.CHOICES_MAX) or shown_count
    streamed = flag(body, "stream")
    if billed_count < shown_count or (streamed and billed_count > shown_count):
        raise Refusal(400, "best_of: less than n, or streamed", param="best_of")
    limit = whole_number(body, "max_tokens", 0, model.max_output_tokens)
    limit = _DEFAULT_MAX_TOKENS if limit is None else limit
    suffix = body.get("suffix")
    read = sum(map(_tokens_of, prompts))
    read += replies.count_tokens(suffix) if isinstance(suffix, str) else 0
    answers = _answers(body, model, knobs, billed_count, limit)
    once = split_prompt(model, read, knobs)
    used = Quantities(
        once.input_tokens,
        once.cached_tokens,
        once.cache_write_tokens,
        output_tokens=sum(len(reply.pieces) for replies_ in answers for reply in replies_),
    )
    echo = flag(body, "echo")
    shown = tuple(reply for replies_ in answers for reply in replies_[:shown_count])
    echoes = tuple(
        prompt if echo and isinstance(prompt, str) else ""
        for prompt in prompts
        for _ in range(shown_count)
    )
    completion = _Completion(
        base={
            "id": ids.make("cmpl-", 29),
            "object": "text_completion",
            "created": unix_s,
            "model": knobs.answer_model or asked,
        },
        echoes=echoes,
        shown=shown,
        usage=None if knobs.omit_usage else chat_usage(used.overbilled(knobs.overbill_ppm)),
        usage_on_chunks=flag(_options(body, streamed=streamed), "include_usage"),
        knobs=knobs,
    )
    most = limit * billed_count * len(prompts)
    return Plan(
        model=model,
        asked_model=asked,
        tier=tier,
        multiplier=multiplier,
        knobs=knobs,
        used=used,
        worst=worst_case(model, used, most, writes=True, writes_1h=False),
        prompt=without_directives(" ".join(texts))[: limits.PROMPT_HEAD_CHARS],
        body=completion.body,
        stream=completion.stream() if streamed else None,
    )
