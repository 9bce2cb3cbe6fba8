"""OpenAI moderations: free by rates of 0 in the price book, or charged by what a provider tells."""

from collections.abc import Mapping
from typing import Any

from sidecar.core.bounds import Asked
from sidecar.http.routes import Route
from sidecar.providers import reading
from sidecar.providers.reading import CallRequest

_UNNAMED = "omni-moderation-latest"
"""What the provider takes when a request names no model."""


def model_of(value: Mapping[str, Any], route: Route) -> str:
    """The model that is asked. Raises BadRequestError."""
    del route
    return _UNNAMED if value.get("model") is None else reading.read_model(value)


def read(value: dict[str, Any], body: bytes, *, model: str, expands_text: bool) -> CallRequest:
    """What a request says."""
    del value, expands_text
    asked = Asked(text_bytes=len(body), opaque=True, output_limit=0)
    return CallRequest(model, streamed=False, usage_wanted=False, asked=asked)


def seen_bytes(answer: Mapping[str, Any]) -> int:
    """Nothing of it is billed."""
    del answer
    return 0
