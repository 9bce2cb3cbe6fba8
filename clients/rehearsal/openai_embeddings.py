"""OpenAI's embeddings and its list of models."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from clients.rehearsal import limits, replies
from clients.rehearsal.incoming import JsonObject, Refusal, encode, required_text, whole_number
from clients.rehearsal.knobs import HEADER, Knobs, for_call, without_directives
from clients.rehearsal.plan import Plan, split_prompt, tier_of, worst_case
from clients.rehearsal.prices import Model, find, served_by

EMBEDDINGS_PATH = "/v1/embeddings"
PROVIDER = "openai"
_CREATED = 1_735_689_600
"""When the models of the list say they were made."""


def _token_array(value: object) -> bool:
    return (
        isinstance(value, list)
        and len(value) > 0
        and all(isinstance(token, int) and not isinstance(token, bool) for token in value)
    )


def _read_inputs(body: JsonObject) -> list[str | list[int]]:
    given: Any = body.get("input")
    inputs = [given] if isinstance(given, str) or _token_array(given) else given
    if not isinstance(inputs, list) or not inputs:
        raise Refusal(
            400, "input: expected a text, token numbers, or a list of either", param="input"
        )
    if len(inputs) > limits.EMBEDDING_INPUTS_MAX:
        raise Refusal(
            400, f"input: at most {limits.EMBEDDING_INPUTS_MAX} inputs at once", param="input"
        )
    for index, each in enumerate(inputs):
        if not ((isinstance(each, str) and each) or _token_array(each)):
            raise Refusal(400, f"input[{index}]: expected a text that is not empty", param="input")
    return inputs


@dataclass(frozen=True, slots=True)
class _Embeddings:
    """One embeddings answer, as the plan's maker of bytes needs it."""

    inputs: tuple[str, ...]
    """What is embedded, token numbers written out."""
    model: str
    """The model as the answer names it."""
    dimensions: int
    """The length of each vector."""
    as_base64: bool
    """Whether vectors go out as base64."""
    usage: JsonObject | None
    """The usage, or None if it is left out."""

    def body(self) -> bytes:
        data = []
        for index, text in enumerate(self.inputs):
            vector = replies.embedding(text, self.dimensions)
            shown = replies.embedding_base64(vector) if self.as_base64 else vector.tolist()
            data.append({"object": "embedding", "index": index, "embedding": shown})
        said: JsonObject = {"object": "list", "data": data, "model": self.model}
        if self.usage is not None:
            said["usage"] = self.usage
        return encode(said)


def _model_of(body: JsonObject) -> tuple[str, Model]:
    name = required_text(body, "model")
    model = find(name, PROVIDER)
    if model is None or not model.embeds:
        raise Refusal(
            404,
            f"The model `{name[:100]}` does not exist or makes no embeddings.",
            code="model_not_found",
        )
    return name, model


def plan_embeddings(body: JsonObject, headers: Mapping[str, str], knobs: Knobs) -> Plan:
    """Decide an embeddings call."""
    asked, model = _model_of(body)
    inputs = _read_inputs(body)
    texts = [each for each in inputs if isinstance(each, str)]
    knobs = for_call(knobs, headers.get(HEADER), texts)
    tier, multiplier = tier_of(PROVIDER, None, knobs)
    encoding = body.get("encoding_format", "float")
    if encoding not in ("float", "base64"):
        raise Refusal(400, "encoding_format: expected float or base64", param="encoding_format")
    dimensions = whole_number(body, "dimensions", 1, model.dimensions) or model.dimensions
    counts = [replies.count_tokens(each) if isinstance(each, str) else len(each) for each in inputs]
    if max(counts) > limits.EMBEDDING_INPUT_TOKENS_MAX:
        most = limits.EMBEDDING_INPUT_TOKENS_MAX
        raise Refusal(400, f"input: at most {most} tokens in one input", param="input")
    used = split_prompt(model, sum(counts), knobs)
    billed = used.overbilled(knobs.overbill_ppm).prompt_tokens
    embeddings = _Embeddings(
        inputs=tuple(each if isinstance(each, str) else repr(each) for each in inputs),
        model=knobs.answer_model or asked,
        dimensions=dimensions,
        as_base64=encoding == "base64",
        usage=None if knobs.omit_usage else {"prompt_tokens": billed, "total_tokens": billed},
    )
    return Plan(
        model=model,
        asked_model=asked,
        tier=tier,
        multiplier=multiplier,
        knobs=knobs,
        used=used,
        worst=worst_case(model, used, 0, writes=False, writes_1h=False),
        prompt=without_directives(embeddings.inputs[0])[: limits.PROMPT_HEAD_CHARS],
        body=embeddings.body,
        heavy=len(inputs) > limits.EMBEDDING_INPUTS_INLINE_MAX,
    )


def model_json(model: Model) -> JsonObject:
    """Return a model as OpenAI lists it."""
    return {"id": model.name, "object": "model", "created": _CREATED, "owned_by": "rehearsal"}


def models_json() -> JsonObject:
    """Return OpenAI's list of models."""
    return {"object": "list", "data": [model_json(model) for model in served_by(PROVIDER)]}
