"""Counting the tokens of a prompt before it is sent: free at the providers, so only passed on."""

from collections.abc import Mapping
from typing import Any

from sidecar.core.bounds import Asked
from sidecar.core.metering import Usage
from sidecar.providers.reading import CallRequest


def read(value: dict[str, Any], body: bytes, *, model: str, expands_text: bool) -> CallRequest:
    """What a request says."""
    del value, body, expands_text
    asked = Asked(text_bytes=0, output_limit=0)
    return CallRequest(model, streamed=False, usage_wanted=False, asked=asked)


def usage_of(answer: Mapping[str, Any]) -> Usage | None:
    """It tells no usage: what is free is free by its surface, whatever its model's rates."""
    del answer
    return None


def seen_bytes(answer: Mapping[str, Any]) -> int:
    """Nothing of it is billed."""
    del answer
    return 0
