"""OpenAI embeddings: input only, so the bound is the input's."""

from typing import Any

from sidecar.core.bounds import Asked
from sidecar.providers import known_fields, reading
from sidecar.providers.reading import BadRequestError, CallRequest

INPUTS_MAX = 2_048
"""Texts that may be embedded at once."""


def read(value: dict[str, Any], body: bytes, *, model: str, expands_text: bool) -> CallRequest:
    """What a request says and asks for. Raises BadRequestError.

    Only its input costs, so fields that are not known do no harm.
    """
    known_fields.refuse_unbounded(value)
    return CallRequest(
        model=model,
        streamed=False,
        usage_wanted=False,
        asked=Asked(
            text_bytes=len(body),
            expanded_bytes=reading.growth_of(value, body) if expands_text else 0,
            inputs=inputs_of(value.get("input")),
            output_limit=0,
        ),
    )


def inputs_of(given: Any, name: str = "input") -> int:
    """How many prompts the input holds: one text, texts, one list of tokens, or lists of tokens."""
    if type(given) is str:
        return 1
    if type(given) is not list or not given:
        raise BadRequestError(f"{name} must be a text, a list of texts, or tokens", name)
    if type(given[0]) is int:
        if any(type(token) is not int for token in given):
            raise BadRequestError("a list of tokens must hold whole numbers only", name)
        return 1
    if len(given) > INPUTS_MAX:
        raise BadRequestError(f"{name} holds more than {INPUTS_MAX} texts", name)
    if any(type(item) is not type(given[0]) or type(item) not in (str, list) for item in given):
        raise BadRequestError(f"{name} must hold only texts, or only lists of tokens", name)
    return len(given)
