"""Gemini's embeddings: input only, and hardly ever a usage; without one the bound is the charge."""

from typing import Any

from sidecar.core.bounds import Asked
from sidecar.providers import gemini_fields, reading
from sidecar.providers.reading import BadRequestError, CallRequest

INPUTS_MAX = 2_048
"""Contents that may be embedded at once."""
_KNOWN = frozenset(
    ("model", "content", "taskType", "title", "outputDimensionality", "embedContentConfig")
)


def read(value: dict[str, Any], body: bytes, *, model: str, expands_text: bool) -> CallRequest:
    """What a request for one embedding says. Raises BadRequestError."""
    media = gemini_fields.Media(model)
    _look_at(value, media)
    return _request(value, body, model, media, 1, expands_text=expands_text)


def read_batch(
    value: dict[str, Any], body: bytes, *, model: str, expands_text: bool
) -> CallRequest:
    """What a request for many embeddings says. Raises BadRequestError."""
    fields = gemini_fields.named(value, "")
    gemini_fields.refuse_unknown(fields, frozenset(("requests", "model")), {})
    requests = reading.read_list(fields, "requests")
    if not 1 <= len(requests) <= INPUTS_MAX:
        raise BadRequestError(f"requests must be a list of 1 to {INPUTS_MAX}", "requests")
    media = gemini_fields.Media(model)
    for request in requests:
        _look_at(request, media)
    return _request(value, body, model, media, len(requests), expands_text=expands_text)


def _look_at(value: Any, media: gemini_fields.Media) -> None:
    fields = gemini_fields.named(value, "requests")
    gemini_fields.refuse_unknown(fields, _KNOWN, {})
    if "content" not in fields:
        raise BadRequestError("content is missing", "content")
    media.look_at(fields["content"], "content")


def _request(
    value: dict[str, Any],
    body: bytes,
    model: str,
    media: gemini_fields.Media,
    inputs: int,
    *,
    expands_text: bool,
) -> CallRequest:
    return CallRequest(
        model=model,
        streamed=False,
        usage_wanted=False,
        asked=Asked(
            text_bytes=len(body) - media.payload_bytes,
            expanded_bytes=reading.growth_of(value, body) if expands_text else 0,
            media_tokens=media.tokens,
            opaque=media.opaque,
            inputs=inputs,
            output_limit=0,
            input_kinds=media.kinds,
        ),
    )
