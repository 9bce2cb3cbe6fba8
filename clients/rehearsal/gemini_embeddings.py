"""Gemini's embeddings: one content or many, and no usage unless a knob has it told."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from clients.rehearsal import limits, replies
from clients.rehearsal.gemini_prompt import field, read_content
from clients.rehearsal.gemini_wire import PROVIDER, model_of
from clients.rehearsal.incoming import JsonObject, Refusal, encode, whole_number
from clients.rehearsal.knobs import HEADER, Knobs, for_call, without_directives
from clients.rehearsal.plan import Plan, split_prompt, tier_of, worst_case

EMBED, EMBED_BATCH = "embedContent", "batchEmbedContents"


@dataclass(frozen=True, slots=True)
class _Embeddings:
    """The vectors of one call, as the plan's maker of bytes needs them."""

    texts: tuple[str, ...]
    dimensions: tuple[int, ...]
    batch: bool
    """Whether the answer is a list."""
    usage: JsonObject | None

    def body(self) -> bytes:
        vectors = [
            {"values": replies.embedding(text, size).tolist()}
            for text, size in zip(self.texts, self.dimensions, strict=True)
        ]
        said: JsonObject = {"embeddings": vectors} if self.batch else {"embedding": vectors[0]}
        if self.usage is not None:
            said["usageMetadata"] = self.usage
        return encode(said)


def plan_embeddings(path: str, body: JsonObject, headers: Mapping[str, str], knobs: Knobs) -> Plan:
    """Decide a call that embeds one content or many."""
    asked, model = model_of(path, embeds=True)
    batch = path.endswith(f":{EMBED_BATCH}")
    requests: Any = field(body, "requests") if batch else [body]
    if not isinstance(requests, list) or not 1 <= len(requests) <= limits.EMBEDDING_INPUTS_MAX:
        raise Refusal(400, "* BatchEmbedContentsRequest.requests: requests is not specified")
    texts: list[str] = []
    sizes: list[int] = []
    tokens = 0
    for request in requests:
        if not isinstance(request, dict) or request.get("model", f"models/{asked}") not in (
            asked,
            f"models/{asked}",
        ):
            raise Refusal(400, "The model of each request must be the model of the path")
        said, counted = read_content(field(request, "content"), "content")
        if counted > model.max_input_tokens:
            raise Refusal(400, f"at most {model.max_input_tokens} tokens in one content")
        texts.append(" ".join(said))
        sizes.append(
            whole_number(
                {"outputDimensionality": field(request, "outputDimensionality")},
                "outputDimensionality",
                1,
                model.dimensions,
            )
            or model.dimensions
        )
        tokens += counted
    knobs = for_call(knobs, headers.get(HEADER), texts)
    tier, multiplier = tier_of(PROVIDER, None, knobs)
    used = split_prompt(
        replace(model, max_input_tokens=model.max_input_tokens * len(texts)), tokens, knobs
    )
    billed = used.overbilled(knobs.overbill_ppm).prompt_tokens
    told = {"promptTokenCount": billed, "totalTokenCount": billed}
    embeddings = _Embeddings(
        texts=tuple(texts),
        dimensions=tuple(sizes),
        batch=batch,
        usage=told if knobs.embedding_usage else None,
    )
    return Plan(
        model=model,
        asked_model=asked,
        tier=tier,
        multiplier=multiplier,
        knobs=knobs,
        used=used,
        worst=worst_case(model, used, 0, writes=False, writes_1h=False),
        prompt=without_directives(texts[0])[: limits.PROMPT_HEAD_CHARS],
        body=embeddings.body,
        heavy=len(texts) > limits.EMBEDDING_INPUTS_INLINE_MAX,
    )
