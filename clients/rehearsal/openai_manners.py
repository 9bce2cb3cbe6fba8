"""How providers that speak OpenAI's API differ from it: the knob `speak_as` names one.

Rules:
- A plan is made as OpenAI's would be, with its usage in the stream, and then said otherwise.
- What is billed never changes, but that some bill abandoned streams to their end.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from clients.rehearsal.incoming import JsonObject, Refusal, encode
from clients.rehearsal.plan import Chunk, Plan, Stream

_TICKS_PER_NANO_USD = 10
_NANO_USD_PER_USD = 1_000_000_000
_DEPLOYMENT = "deployment-of-"


@dataclass(frozen=True, slots=True)
class Manner:
    """What one provider does otherwise."""

    always_tells: bool = False
    """Its streams tell usage, asked or not."""
    refuses_options: bool = False
    """It refuses `stream_options`."""
    thinks_outside: bool = False
    """Hidden output tokens are not among `completion_tokens`, only in the total."""
    runs_on: bool = False
    """It bills a stream whose client hangs up to its end."""
    comment: bytes = b""
    """What it says before its first event, and before a plain body."""
    filters: bool = False
    """Its first chunk has no choices and tells what was filtered."""
    tells_in_x_groq: bool = False
    """The usage stands in the chunk that ends the answer, under `x_groq`."""
    tells_each: bool = False
    """Every chunk tells the usage so far, if `continuous_usage_stats` asks for it."""
    money: str = ""
    """`ticks`, `credits` or `byok`: how it tells the cost in money."""
    cache_hits: bool = False
    """What was read from the cache is told by `prompt_cache_hit_tokens`."""


MANNERS = {
    "azure": Manner(filters=True),
    "deepseek": Manner(comment=b": keep-alive\n\n", cache_hits=True),
    "gemini": Manner(thinks_outside=True, runs_on=True),
    "groq": Manner(tells_in_x_groq=True, runs_on=True),
    "mistral": Manner(always_tells=True, refuses_options=True, runs_on=True),
    "openrouter": Manner(
        always_tells=True, comment=b": OPENROUTER PROCESSING\n\n", money="credits"
    ),
    "openrouter-byok": Manner(always_tells=True, money="byok"),
    "vllm": Manner(tells_each=True),
    "xai": Manner(always_tells=True, thinks_outside=True, money="ticks"),
}


def model_named(path: str, body: JsonObject) -> JsonObject:
    """Return the body with the model that a deployment in the path is, as at Azure."""
    if "/deployments/" not in path:
        return body
    deployment = path.partition("/deployments/")[2].partition("/")[0]
    return {**body, "model": deployment.removeprefix(_DEPLOYMENT)}


def plan_in_manner(plan_of: Callable[[JsonObject], Plan], body: JsonObject) -> Plan:
    """Decide a chat completion, and say it as the provider that the knob names would."""
    plan = plan_of(body)
    name = plan.knobs.speak_as
    if name is None:
        return plan
    if name not in MANNERS:
        raise Refusal(400, f"rehearsal knob: speak_as is one of {', '.join(MANNERS)}")
    manner = MANNERS[name]
    options = body.get("stream_options") or {}
    if options and manner.refuses_options:
        raise Refusal(422, "stream_options: Extra inputs are not permitted")
    if plan.stream is not None:
        plan = plan_of({**body, "stream_options": {"include_usage": True}})
    spoken = _Spoken(
        manner,
        plan,
        tells=manner.always_tells or options.get("include_usage") is True,
        tells_each=manner.tells_each and options.get("continuous_usage_stats") is True,
    )
    stream = None if plan.stream is None else spoken.stream(plan.stream)
    return replace(plan, body=spoken.body, stream=stream, bills_to_end=manner.runs_on)


@dataclass(frozen=True, slots=True)
class _Spoken:
    """A plan, said in a manner."""

    manner: Manner
    plan: Plan
    tells: bool
    """Whether a stream ends with its usage."""
    tells_each: bool
    """Whether each chunk tells the usage so far."""

    def body(self) -> bytes:
        said = json.loads(self.plan.body())
        if "usage" in said:
            said["usage"] = self._usage(said["usage"])
        # DeepSeek sends blank lines for as long as a plain answer takes.
        return (b"\n\n" if self.manner.comment else b"") + encode(said)

    def _usage(self, usage: JsonObject) -> JsonObject:
        manner = self.manner
        cost = self.plan.cost_nano_usd(self.plan.billed(self.plan.used))
        if manner.thinks_outside:
            hidden = usage["completion_tokens_details"]["reasoning_tokens"]
            usage = {**usage, "completion_tokens": usage["completion_tokens"] - hidden}
        if manner.cache_hits:
            cached = usage["prompt_tokens_details"]["cached_tokens"]
            usage = {
                **{name: told for name, told in usage.items() if name != "prompt_tokens_details"},
                "prompt_cache_hit_tokens": cached,
                "prompt_cache_miss_tokens": usage["prompt_tokens"] - cached,
            }
        if manner.money == "ticks":
            return {**usage, "cost_in_usd_ticks": cost * _TICKS_PER_NANO_USD}
        if manner.money:
            fee = cost if manner.money == "credits" else cost // 20
            details = {"upstream_inference_cost": (cost - fee) / _NANO_USD_PER_USD}
            usage = {**usage, "cost": fee / _NANO_USD_PER_USD, "is_byok": manner.money == "byok"}
            return {**usage, "cost_details": details}
        return usage

    def stream(self, stream: Stream) -> Stream:
        filtered = {"choices": [], "object": "", "prompt_filter_results": [{"prompt_index": 0}]}
        first = b"data: " + encode(filtered) + b"\n\n" if self.manner.filters else b""
        opening = (self.manner.comment + first, *(self._event(each, 0) for each in stream.opening))

        def chunks() -> Iterator[Chunk]:
            sent = 0
            for chunk in stream.chunks():
                sent += chunk.tokens
                yield Chunk(self._event(chunk.data, sent), chunk.tokens)

        whole = self.plan.used.output_tokens - self.plan.used.reasoning_tokens
        closing = tuple(self._event(each, whole) for each in stream.closing)
        return replace(
            stream,
            opening=tuple(filter(None, opening)),
            chunks=chunks,
            closing=tuple(filter(None, closing)),
        )

    def _event(self, event: bytes, visible_tokens: int) -> bytes:
        """One event, said in the manner; nothing if it is left out."""
        text = event.strip().removeprefix(b"data: ")
        if text == b"[DONE]":
            return event
        said = json.loads(text)
        usage = said.pop("usage", None)
        if not said["choices"]:
            if not self.tells:
                return b""
            said["usage"] = None if usage is None else self._usage(usage)
        elif self.tells_each and not self.plan.knobs.omit_usage:
            said["usage"] = self._so_far(visible_tokens)
        elif self.manner.tells_in_x_groq and said["choices"][0]["finish_reason"] is not None:
            said["x_groq"] = {"id": "req_rehearsal", "usage": self._so_far(visible_tokens)}
        return b"data: " + encode(said) + b"\n\n"

    def _so_far(self, visible_tokens: int) -> JsonObject:
        billed = self.plan.billed(self.plan.generated(visible_tokens))
        return {
            "prompt_tokens": billed.prompt_tokens,
            "completion_tokens": billed.output_tokens,
            "total_tokens": billed.prompt_tokens + billed.output_tokens,
        }
