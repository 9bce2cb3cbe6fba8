"""The most tokens that one image can make, by model; without a rule the largest known.

A picture's size in bytes says nothing about its tokens, and one that is only named by a URL has no
size at all; so each image counts as the largest that the model takes.
"""

_OPENAI_IMAGE_MAX_TOKENS = (
    ("gpt-4o-mini", 48_169),
    ("gpt-4.1-mini", 9_954),
    ("gpt-4.1-nano", 9_954),
    ("gpt-4o", 1_445),
    ("gpt-4.1", 1_445),
    ("gpt-5.2", 7_373),
    ("gpt-5.4", 12_000),
    ("gpt-5.5", 12_000),
    ("gpt-5.6", 36_000),
    ("gpt-5.1", 1_190),
    ("gpt-5-mini", 9_954),
    ("gpt-5-nano", 15_360),
    ("o1", 1_275),
    ("o3", 1_275),
)
"""By the beginning of the model's id, the longer before the shorter."""
_OPENAI_UNKNOWN_MAX_TOKENS = 48_169
ANTHROPIC_IMAGE_MAX_TOKENS = 4_784
"""An image of 2,576 pixels on its long edge, in squares of 28."""


def openai_image_max_tokens(model: str) -> int:
    """The most tokens that one image makes at an OpenAI model."""
    for beginning, tokens in _OPENAI_IMAGE_MAX_TOKENS:
        if model.startswith(beginning):
            return tokens
    return _OPENAI_UNKNOWN_MAX_TOKENS


def inline_payload_bytes(url: str) -> int:
    """How much of a data URL is payload; 0 for a URL that names the image elsewhere."""
    if not url.startswith("data:"):
        return 0
    return len(url) - url.find(",") - 1 if "," in url else 0


_GEMINI_IMAGE_MAX_TOKENS = (("gemini-2", 64 * 258), ("gemini-1", 64 * 258), ("gemini-3", 2_240))
"""Gemini 2.5 cuts an image into tiles of 258 tokens; from 3 on its resolution decides."""
_GEMINI_UNKNOWN_MAX_TOKENS = 64 * 258
_AUDIO_TOKENS_PER_S = 32
_AUDIO_LEAST_BYTES_PER_S = 500
"""Speech is never packed tighter than 4 kbit/s."""


def gemini_image_max_tokens(model: str) -> int:
    """The most tokens that one image makes at a Gemini model."""
    for beginning, tokens in _GEMINI_IMAGE_MAX_TOKENS:
        if model.startswith(beginning):
            return tokens
    return _GEMINI_UNKNOWN_MAX_TOKENS


def audio_max_tokens(payload_bytes: int) -> int:
    """The most tokens that so many bytes of sound make at a Gemini model."""
    return _AUDIO_TOKENS_PER_S * (1 - (-payload_bytes // _AUDIO_LEAST_BYTES_PER_S))
