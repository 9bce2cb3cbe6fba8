"""Gemini's generateContent: where limits and usage stand, and what cannot be bounded.

Rules:
1. The model and whether the answer is streamed stand in the path, all else in the body.
2. `maxOutputTokens` bounds thoughts and answer together.
3. Every chunk of a stream tells the usage so far: the last one counts, and none is ever added up.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from protos.values import quantities as kinds
from protos.values.rates import STANDARD, variant_of
from sidecar.core.bounds import Asked
from sidecar.core.metering import Usage
from sidecar.providers import gemini_fields, reading
from sidecar.providers.reading import BadRequestError, CallRequest

CANDIDATES_MAX = 8
"""Answers that may be asked for at once."""
_KNOWN = frozenset(
    (
        *("contents", "systemInstruction", "tools", "toolConfig", "safetySettings", "labels"),
        *("generationConfig", "cachedContent", "serviceTier", "store", "model"),
    )
)
_REFUSED = {
    "continuationToken": "what it goes on from is not known here",
    "modelConfig": "which model answers, and at which price, is not known before",
}
_CONFIG_KNOWN = frozenset(
    (
        *("temperature", "topP", "topK", "candidateCount", "maxOutputTokens", "stopSequences"),
        *("responseLogprobs", "logprobs", "presencePenalty", "frequencyPenalty", "seed"),
        *("responseMimeType", "responseSchema", "responseJsonSchema", "responseModalities"),
        *("mediaResolution", "thinkingConfig", "audioTimestamp", "enableEnhancedCivicAnswers"),
        *("responseFormat", "speechConfig", "imageConfig", "translationConfig"),
        *("enableAffectiveDialog",),
    )
)
_CONFIG_REFUSED = {
    "routingConfig": "which model answers, and at which price, is not known before",
    "modelSelectionConfig": "which model answers, and at which price, is not known before",
    "modelConfig": "which model answers, and at which price, is not known before",
    "audioTranscriptionConfig": "what it adds to the answer is not known",
}
_STANDARD_TIERS = frozenset(("", "standard", "unspecified"))
_USAGE_KEYS = frozenset(
    (
        *("promptTokenCount", "cachedContentTokenCount", "candidatesTokenCount"),
        *("thoughtsTokenCount", "toolUsePromptTokenCount", "totalTokenCount"),
        *("promptTokensDetails", "cacheTokensDetails", "candidatesTokensDetails"),
        *("toolUsePromptTokensDetails", "trafficType", "serviceTier"),
    )
)
_COUNTS = (
    *("promptTokenCount", "cachedContentTokenCount", "candidatesTokenCount"),
    *("thoughtsTokenCount", "toolUsePromptTokenCount", "totalTokenCount"),
)
_INPUT_KINDS = {
    "AUDIO": (kinds.AUDIO_INPUT, kinds.CACHED_AUDIO),
    "IMAGE": (kinds.IMAGE_INPUT, kinds.CACHED_IMAGE),
    "VIDEO": (kinds.VIDEO_INPUT, kinds.CACHED),
}
"""Modalities of a prompt that may have rates of their own, and those of their cached part."""
_OUTPUT_KINDS = {"AUDIO": kinds.AUDIO_OUTPUT, "IMAGE": kinds.IMAGE_OUTPUT}
_KNOWN_INPUT = frozenset((*_INPUT_KINDS, "TEXT", "DOCUMENT", "MODALITY_UNSPECIFIED"))
_KNOWN_OUTPUT = frozenset((*_OUTPUT_KINDS, "TEXT", "MODALITY_UNSPECIFIED"))
_DETAILS_MAX = 32
"""Modalities that one usage may tell of."""
_TIER_MAX_CHARACTERS = 64
_WORD_MAX_CHARACTERS = 64


def read(value: dict[str, Any], body: bytes, *, model: str, expands_text: bool) -> CallRequest:
    """What a request says and asks for. Raises BadRequestError."""
    return _read(value, body, model, streamed=False, expands_text=expands_text)


def read_streamed(
    value: dict[str, Any], body: bytes, *, model: str, expands_text: bool
) -> CallRequest:
    """The same of a request whose answer is to be streamed. Raises BadRequestError."""
    return _read(value, body, model, streamed=True, expands_text=expands_text)


def _read(
    value: dict[str, Any], body: bytes, model: str, *, streamed: bool, expands_text: bool
) -> CallRequest:
    fields = gemini_fields.named(value, "")
    gemini_fields.refuse_unknown(fields, _KNOWN, _REFUSED)
    contents = fields.get("contents")
    if type(contents) not in (list, dict) or not contents:
        raise BadRequestError("contents must be a list with at least one content", "contents")
    media = gemini_fields.Media(model)
    for content in gemini_fields.list_of(fields, "contents"):
        media.look_at(content, "contents")
    if "systemInstruction" in fields:
        media.look_at(fields["systemInstruction"], "systemInstruction")
    config = gemini_fields.object_of(fields, "generationConfig")
    gemini_fields.refuse_unknown(config, _CONFIG_KNOWN, _CONFIG_REFUSED, "generationConfig.")
    return CallRequest(
        model=model,
        streamed=streamed,
        usage_wanted=True,
        asked=Asked(
            text_bytes=len(body) - media.payload_bytes,
            expanded_bytes=reading.growth_of(value, body) if expands_text else 0,
            media_tokens=media.tokens,
            preamble_tokens=gemini_fields.tools_preamble_tokens(fields),
            opaque=media.opaque or "cachedContent" in fields,
            variants=_variants(fields),
            input_kinds=media.kinds if "cachedContent" not in fields else gemini_fields.ALL_KINDS,
            output_kinds=_output_kinds(config),
            choices=reading.read_count(config, "candidateCount", 1, CANDIDATES_MAX) or 1,
            output_limit=reading.read_count(config, "maxOutputTokens", 1, reading.LIMIT_MAX_TOKENS),
        ),
    )


def _variants(fields: Mapping[str, Any]) -> tuple[str, ...]:
    """As what the call may be served; a tier that has no room falls back to the standard one."""
    tier = fields.get("serviceTier", "")
    if type(tier) is not str:
        raise BadRequestError("serviceTier must be a text", "serviceTier")
    tier = tier.lower()
    return (STANDARD,) if tier in _STANDARD_TIERS else (STANDARD, variant_of(tier))


def _output_kinds(config: Mapping[str, Any]) -> tuple[str, ...]:
    """What the answer may hold: all that a model can make, unless the request says less."""
    asked = reading.read_list(config, "responseModalities")
    if any(type(modality) is not str for modality in asked):
        raise BadRequestError("responseModalities must be texts", "responseModalities")
    wanted = {modality.upper() for modality in asked} or set(_OUTPUT_KINDS)
    if "VIDEO" in wanted:
        raise reading.unbounded("responseModalities", "the price book holds no rate for video")
    return (kinds.OUTPUT, *(kind for name, kind in _OUTPUT_KINDS.items() if name in wanted))


def rewrite(
    value: dict[str, Any],
    body: bytes,
    request: CallRequest,
    provider: str,
    output_limit: int | None,
) -> bytes:
    """The body as it goes to the provider: as it came, but for a limit that was put on it."""
    del request, provider
    if output_limit is None:
        return body
    name = gemini_fields.spelling_in(value, "generationConfig")
    config = {
        key: member
        for key, member in (value.get(name) or {}).items()
        if gemini_fields.first_spelling(key) != "maxOutputTokens"
    }
    return reading.with_members(value, body, {name: {**config, "maxOutputTokens": output_limit}})


def usage_of(answer: Mapping[str, Any]) -> Usage | None:
    """The usage of an answer or of a chunk; None when it tells none."""
    usage = answer.get("usageMetadata")
    if type(usage) is not dict:
        return None
    if type(usage.get("promptTokenCount")) is not int and not reading.count_of(
        usage, "totalTokenCount"
    ):
        return None
    prompt = reading.count_of(usage, "promptTokenCount")
    tools = reading.count_of(usage, "toolUsePromptTokenCount")
    cached = reading.count_of(usage, "cachedContentTokenCount")
    shown = reading.count_of(usage, "candidatesTokenCount")
    thoughts = reading.count_of(usage, "thoughtsTokenCount")
    total = reading.count_of(usage, "totalTokenCount")
    # candidatesTokenCount may or may not hold the thoughts; only the total tells.
    output = max(shown, total - prompt - tools) if total else shown + thoughts
    parts = _prompt_parts(usage, prompt + tools, cached)
    written = {
        kind: _of_modality(usage, "candidatesTokensDetails", modality)
        for modality, kind in _OUTPUT_KINDS.items()
    }
    plain = output - sum(written.values())
    tier = tier_of(usage.get("serviceTier"))
    counted = {**parts, kinds.OUTPUT: max(0, plain), **written, kinds.REASONING: thoughts}
    return Usage(
        quantities={kind: count for kind, count in counted.items() if count > 0},
        answered_model=reading.told_text(answer.get("modelVersion"), reading.MODEL_MAX_CHARACTERS),
        tier=tier,
        variant=variant_of_tier(tier),
        unpriced=(
            *reading.unbelieved_counts(usage, _COUNTS),
            *reading.unknown_counts(usage, _USAGE_KEYS),
            *_unknown_modalities(usage, "promptTokensDetails", _KNOWN_INPUT),
            *_unknown_modalities(usage, "toolUsePromptTokensDetails", _KNOWN_INPUT),
            *_unknown_modalities(usage, "candidatesTokensDetails", _KNOWN_OUTPUT),
            *(("promptTokensDetails",) if min(parts.values()) < 0 else ()),
            *(("candidatesTokensDetails",) if plain < 0 else ()),
        ),
    )


def _prompt_parts(usage: Mapping[str, Any], prompt: int, cached: int) -> dict[str, int]:
    """The prompt by kinds that do not overlap; below zero where the parts exceed the whole."""
    parts = {kinds.INPUT: prompt - cached, kinds.CACHED: cached}
    for modality, (kind, cached_kind) in _INPUT_KINDS.items():
        read_back = _of_modality(usage, "cacheTokensDetails", modality)
        fresh = _of_modality(usage, "promptTokensDetails", modality) - read_back
        parts[kind] = fresh
        parts[kinds.INPUT] -= fresh
        if cached_kind != kinds.CACHED:
            parts[cached_kind] = read_back
            parts[kinds.CACHED] -= read_back
    return parts


def tier_of(told: Any) -> str:
    """The service tier that a provider told, in small letters."""
    return reading.told_text(told, _TIER_MAX_CHARACTERS).lower()


def variant_of_tier(tier: str) -> str:
    """The variant of the price that a service tier is."""
    return STANDARD if tier in _STANDARD_TIERS else variant_of(tier)


def served_as(usage: Usage, tier: str) -> Usage:
    """A usage, with the tier that the answer's head names."""
    tier = tier_of(tier)
    return replace(usage, tier=tier, variant=variant_of_tier(tier)) if tier else usage


def _details(usage: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    details = usage.get(name)
    if type(details) is not list:
        return []
    return [detail for detail in details[:_DETAILS_MAX] if type(detail) is dict]


def _of_modality(usage: Mapping[str, Any], name: str, modality: str) -> int:
    return sum(
        reading.count_of(detail, "tokenCount")
        for detail in _details(usage, name)
        if detail.get("modality") == modality
    )


def _unknown_modalities(
    usage: Mapping[str, Any], name: str, known: frozenset[str]
) -> tuple[str, ...]:
    """Modalities that were used and that nobody here knows the rate of."""
    return tuple(
        f"{name}.{modality}"
        for detail in _details(usage, name)
        if reading.count_of(detail, "tokenCount")
        and (modality := _modality_of(detail)) not in known
    )


def _modality_of(detail: Mapping[str, Any]) -> str:
    """What a part was made of; what is no text is no modality that anybody knows."""
    told = detail.get("modality", "MODALITY_UNSPECIFIED")
    return reading.told_text(told, 32) or "unreadable"


def seen_bytes(answer: Mapping[str, Any]) -> int:
    """Bytes of output in an answer, or in a chunk of one."""
    candidates = answer.get("candidates")
    if type(candidates) is not list:
        return 0
    return sum(
        reading.text_bytes(candidate.get("content"))
        for candidate in candidates
        if type(candidate) is dict
    )


def error_kind(answer: Any) -> str:
    """What an error's body says went wrong, in a word; "" when it says nothing."""
    error = answer.get("error") if type(answer) is dict else None
    word = error.get("status") if type(error) is dict else None
    return reading.told_text(word, _WORD_MAX_CHARACTERS)


def ended_candidates(answer: Mapping[str, Any]) -> set[int]:
    """The candidates that a chunk brings to their end, by index."""
    candidates = answer.get("candidates")
    return {
        reading.count_of(candidate, "index")
        for candidate in (candidates if type(candidates) is list else [])
        if type(candidate) is dict and candidate.get("finishReason") is not None
    }


def is_blocked(answer: Mapping[str, Any]) -> bool:
    """Whether the prompt was refused, so that no candidate follows."""
    return reading.part_of(answer, "promptFeedback").get("blockReason") is not None
