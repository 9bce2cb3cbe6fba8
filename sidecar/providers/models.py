"""The list of models that a key may use, in each family's shape; answered here, at no cost."""

from collections.abc import Sequence
from typing import Any

from protos.values.rates import ModelPrice
from sidecar.http.surfaces import ANTHROPIC, GEMINI

_UNKNOWN_TIME = "1970-01-01T00:00:00Z"


def listing(prices: Sequence[ModelPrice], family: str) -> dict[str, Any]:
    """All models, as the family lists them; on one page."""
    if family == GEMINI:
        return {"models": [gemini_model(price) for price in prices]}
    if family != ANTHROPIC:
        return {"object": "list", "data": [openai_model(price) for price in prices]}
    return {
        "data": [anthropic_model(price) for price in prices],
        "has_more": False,
        "first_id": prices[0].model if prices else None,
        "last_id": prices[-1].model if prices else None,
    }


def one(price: ModelPrice, family: str) -> dict[str, Any]:
    """One model, as the family shows it."""
    if family == GEMINI:
        return gemini_model(price)
    return anthropic_model(price) if family == ANTHROPIC else openai_model(price)


def is_named(price: ModelPrice, name: str) -> bool:
    """Whether a model goes by a name."""
    return name == price.model or name in price.aliases


def openai_model(price: ModelPrice) -> dict[str, Any]:
    """A model in OpenAI's shape."""
    return {"id": price.model, "object": "model", "created": 0, "owned_by": price.provider}


def anthropic_model(price: ModelPrice) -> dict[str, Any]:
    """A model in Anthropic's shape."""
    return {
        "type": "model",
        "id": price.model,
        "display_name": price.model,
        "created_at": _UNKNOWN_TIME,
        "max_input_tokens": price.input_max,
        "max_tokens": price.output_max,
    }


def gemini_model(price: ModelPrice) -> dict[str, Any]:
    """A model in Gemini's shape."""
    writes = ["generateContent", "countTokens"] if price.output_max else ["embedContent"]
    return {
        "name": f"models/{price.model}",
        "baseModelId": price.model,
        "version": "001",
        "displayName": price.model,
        "inputTokenLimit": price.input_max,
        "outputTokenLimit": price.output_max,
        "supportedGenerationMethods": writes,
    }
