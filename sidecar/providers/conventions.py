"""What OpenTelemetry's GenAI conventions call our surfaces, providers and kinds of tokens.

The conventions are still in development and have moved between repositories, so every name of
theirs that is used stands in this room, and nowhere is one taken from a package that may rename it.
"""

from collections.abc import Mapping

from protos.values import quantities
from sidecar.http.surfaces import Surface

OPERATION = "gen_ai.operation.name"
PROVIDER = "gen_ai.provider.name"
REQUEST_MODEL = "gen_ai.request.model"
REQUEST_STREAM = "gen_ai.request.stream"
RESPONSE_MODEL = "gen_ai.response.model"
TOKEN_TYPE = "gen_ai.token.type"  # noqa: S105 - a name, not a secret
INPUT_TOKENS = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
CACHE_READ_TOKENS = "gen_ai.usage.cache_read.input_tokens"
CACHE_WRITE_TOKENS = "gen_ai.usage.cache_creation.input_tokens"
REASONING_TOKENS = "gen_ai.usage.reasoning.output_tokens"
WORKFLOW = "gen_ai.workflow.name"
ERROR = "error.type"

_OPERATIONS: Mapping[str, str] = {
    Surface.CHAT: "chat",
    Surface.RESPONSES: "chat",
    Surface.MESSAGES: "chat",
    Surface.AZURE_CHAT: "chat",
    Surface.COMPLETIONS: "text_completion",
    Surface.EMBEDDINGS: "embeddings",
    Surface.AZURE_EMBEDDINGS: "embeddings",
    Surface.GEMINI_EMBED: "embeddings",
    Surface.GEMINI_EMBED_BATCH: "embeddings",
    Surface.GEMINI_CONTENT: "generate_content",
    Surface.GEMINI_STREAM: "generate_content",
    # The conventions have no word for these yet, and let others be used.
    Surface.IMAGES: "image_generation",
    Surface.IMAGE_EDITS: "image_edit",
    Surface.SPEECH: "speech",
    Surface.TRANSCRIPTIONS: "transcription",
    Surface.TRANSLATIONS: "translation",
    Surface.MODERATIONS: "moderation",
    Surface.RESPONSES_COUNT: "count_tokens",
    Surface.MESSAGES_COUNT: "count_tokens",
    Surface.GEMINI_COUNT: "count_tokens",
}
_PROVIDERS: Mapping[str, str] = {
    "azure": "azure.ai.openai",
    "gemini": "gcp.gemini",
    "mistral": "mistral_ai",
    "xai": "x_ai",
}
INPUT = frozenset(
    (
        *(quantities.INPUT, quantities.CACHED, quantities.CACHE_WRITE),
        *(quantities.CACHE_WRITE_LONG, quantities.AUDIO_INPUT, quantities.CACHED_AUDIO),
        *(quantities.IMAGE_INPUT, quantities.CACHED_IMAGE, quantities.VIDEO_INPUT),
    )
)
"""Kinds of billed tokens of the request, read from a cache or not."""
OUTPUT = frozenset((quantities.OUTPUT, quantities.AUDIO_OUTPUT, quantities.IMAGE_OUTPUT))
"""Kinds of billed tokens of the answer; reasoning is part of `output`."""


def operation_of(surface: str) -> str:
    """What a call to a surface is called."""
    return _OPERATIONS.get(surface, "other")


def provider_of(name: str) -> str:
    """What a provider is called, by the name that it was set up with."""
    return _PROVIDERS.get(name, name)


def input_tokens(used: Mapping[str, int]) -> int:
    """Billed tokens of the request, read from a cache or not."""
    return sum(used[kind] for kind in used if kind in INPUT)


def output_tokens(used: Mapping[str, int]) -> int:
    """Billed tokens of the answer, reasoning included."""
    return sum(used[kind] for kind in used if kind in OUTPUT)
