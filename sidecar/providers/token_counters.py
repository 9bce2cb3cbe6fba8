"""Providers' own token counters, where what they say bounds what is billed.

Rules:
1. A counter is believed only where its provider says that it counts exactly what the model will
   receive. OpenAI says so of responses. Anthropic calls what its counter says an estimate that may
   differ from what is billed, and Google promises nothing of its own: their calls stay bounded by
   their bytes.
2. What is counted must be what is called: a request of texts alone. What is only named or fetched
   (a picture's address, a conversation, a file) may be another when it is called; a stored prompt
   brings what the counter is not shown; and a search reads more than the request.
3. A request with a field that the counter does not take, and that may add to the prompt, is not
   counted.
"""

from collections.abc import Mapping
from typing import Any, Final

from sidecar.core.bounds import Asked
from sidecar.http import strict_json
from sidecar.http.surfaces import OPENAI, Surface
from sidecar.providers import reading
from sidecar.providers.dialects import Dialect

COUNTED_BY: Final[Mapping[Surface, Surface]] = {Surface.RESPONSES: Surface.RESPONSES_COUNT}
"""Surfaces whose requests can be counted, and what counts them."""
_ESTIMATES: Final[Mapping[Surface, str]] = {
    Surface.MESSAGES: "Anthropic calls what its token counter says an estimate",
    Surface.GEMINI_CONTENT: "Google does not say that its token counter counts what is billed",
    Surface.GEMINI_STREAM: "Google does not say that its token counter counts what is billed",
}
_COUNTED: Final = frozenset(
    (
        *("model", "input", "instructions", "tools", "tool_choice", "parallel_tool_calls"),
        *("reasoning", "text", "truncation"),
    )
)
"""Fields that the counter takes."""
_BESIDE: Final = frozenset(
    (
        *("stream", "stream_options", "max_output_tokens", "max_tool_calls", "metadata", "store"),
        *("user", "safety_identifier", "temperature", "top_p", "top_logprobs", "service_tier"),
        *("prompt_cache_key", "prompt_cache_retention", "include", "background"),
    )
)
"""Fields that add nothing to the prompt."""


def why_not(surface: Surface, provider: str, dialect: Dialect, asked: Asked) -> str:
    """Why a request is not counted, in words that follow "because"; "" where it can be."""
    if surface in _ESTIMATES:
        return _ESTIMATES[surface]
    if surface not in COUNTED_BY:
        return f"no token counter takes requests to {surface.value}"
    if provider != OPENAI or dialect.name != OPENAI:
        return f"{provider} does not say that it counts exactly"
    if asked.opaque or asked.media_tokens or asked.inputs > 1 or asked.pieces:
        return "pictures, files, conversations and searches may be others when the call is made"
    return ""


def question(value: Mapping[str, Any]) -> bytes | None:
    """What the counter is asked; None where a field is not known to add nothing to the prompt."""
    given = {name: field for name, field in value.items() if field is not None}
    if not given.keys() <= _COUNTED | _BESIDE:
        return None
    return strict_json.write({name: given[name] for name in given if name in _COUNTED})


def answer(body: bytes) -> int | None:
    """The tokens that a counter told; None when it told none that can be believed."""
    told = reading.told_object(body)
    return reading.count_of(told, "input_tokens") or None
