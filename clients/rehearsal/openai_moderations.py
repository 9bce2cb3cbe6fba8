"""OpenAI's moderations: free, and on the bill at nothing."""

from collections.abc import Mapping
from typing import Any

from clients.rehearsal import limits
from clients.rehearsal.bill import NOTHING
from clients.rehearsal.incoming import JsonObject, Refusal, encode
from clients.rehearsal.knobs import HEADER, Knobs, for_call, without_directives
from clients.rehearsal.plan import Ids, Plan, tier_of, worst_case
from clients.rehearsal.prices import find

MODERATIONS_PATH = "/v1/moderations"
PROVIDER = "openai"
_UNNAMED = "omni-moderation-latest"
_CATEGORIES = ("harassment", "hate", "illicit", "self-harm", "sexual", "violence")


def _inputs(body: JsonObject) -> list[Any]:
    given = body.get("input")
    inputs = [given] if isinstance(given, str) else given
    if not isinstance(inputs, list) or not inputs:
        raise Refusal(400, "input: expected a text or a list of them", param="input")
    if all(isinstance(each, str) for each in inputs):
        return inputs
    if not all(isinstance(each, dict) for each in inputs):
        raise Refusal(400, "input: expected only texts, or only objects", param="input")
    return [inputs]


def _texts(inputs: list[Any]) -> list[str]:
    parts = [part for each in inputs for part in (each if isinstance(each, list) else [each])]
    texts = [part.get("text") if isinstance(part, dict) else part for part in parts]
    return [text for text in texts if isinstance(text, str)]


def plan_moderation(body: JsonObject, headers: Mapping[str, str], knobs: Knobs, ids: Ids) -> Plan:
    """Decide a moderation: nothing is ever flagged."""
    name = body.get("model", _UNNAMED)
    model = find(name, PROVIDER) if isinstance(name, str) else None
    if model is None or not model.moderates:
        raise Refusal(400, f"model: {str(name)[:100]} moderates nothing", param="model")
    inputs = _inputs(body)
    texts = _texts(inputs)
    knobs = for_call(knobs, headers.get(HEADER), texts)
    tier, multiplier = tier_of(PROVIDER, None, knobs)
    verdict = {
        "flagged": False,
        "categories": dict.fromkeys(_CATEGORIES, False),
        "category_scores": dict.fromkeys(_CATEGORIES, 0.01),
        "category_applied_input_types": {name: ["text"] for name in _CATEGORIES},
    }
    said = {
        "id": ids.make("modr-", 24),
        "model": knobs.answer_model or name,
        "results": [verdict] * len(inputs),
    }
    return Plan(
        model=model,
        asked_model=name,
        tier=tier,
        multiplier=multiplier,
        knobs=knobs,
        used=NOTHING,
        worst=worst_case(model, NOTHING, 0, writes=False, writes_1h=False),
        prompt=without_directives(texts[0] if texts else "")[: limits.PROMPT_HEAD_CHARS],
        body=lambda: encode(said),
    )
