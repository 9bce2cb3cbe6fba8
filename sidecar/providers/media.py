"""The most tokens that one image can make: by its size where a rule is known, else by its model.

A picture's size in bytes says nothing about its tokens, and one that is only named by a URL has no
size at all; such an image counts as the largest that the model takes. Where the header tells the
size, the providers' published rules give less. They shrink large pictures first and do not say how
they round, so a side that was shrunk counts as a little longer than it came out.
"""

from dataclasses import dataclass
from typing import Protocol

from sidecar.providers import image_size
from sidecar.providers.image_size import Size

_SHRUNK_SLACK_PIXELS = 4
"""What rounding twice while shrinking can add to a side."""


class ImageRule(Protocol):
    """How a model counts pictures."""

    @property
    def most_tokens(self) -> int:
        """The most that any picture makes."""
        ...

    def tokens(self, size: Size) -> int:
        """The most that a picture of this size makes."""
        ...


@dataclass(frozen=True, slots=True)
class Tiles:
    """Squares of 512 pixels, after shrinking into 2,048 by 2,048 and the short side to 768."""

    base: int
    each: int
    most_tokens: int

    def tokens(self, size: Size) -> int:
        """The tiles of the picture, and the base."""
        short, long = sorted(size)
        rounded = 0
        if long > 2_048:
            rounded = short * 2_048 % long
            short, long = -(-short * 2_048 // long), 2_048
        if short > 768:
            rounded = rounded or long * 768 % short
            short, long = 768, -(-long * 768 // short)
        slack = _SHRUNK_SLACK_PIXELS if rounded else 0
        tiles = -(-(short + slack) // 512) * -(-(long + slack) // 512)
        return min(self.most_tokens, self.base + self.each * tiles)


@dataclass(frozen=True, slots=True)
class Patches:
    """Squares of so many pixels, up to a number of them, each weighed."""

    side: int
    most: int
    hundredths: int
    """Tokens of a hundred patches."""
    most_tokens: int

    def tokens(self, size: Size) -> int:
        """The patches of the picture, weighed."""
        patches = min(self.most, -(-size.width // self.side) * -(-size.height // self.side))
        return min(self.most_tokens, -(-patches * self.hundredths // 100))


@dataclass(frozen=True, slots=True)
class Largest:
    """A model whose rule is not known."""

    most_tokens: int

    def tokens(self, size: Size) -> int:
        """As the largest picture."""
        del size
        return self.most_tokens


_OPENAI_RULES: tuple[tuple[str, ImageRule], ...] = (
    ("gpt-4o-mini", Tiles(2_833, 5_667, 48_169)),
    ("gpt-4.1-mini", Patches(32, 6_144, 162, 9_954)),
    ("gpt-4.1-nano", Largest(15_360)),
    ("gpt-4o", Tiles(85, 170, 1_445)),
    ("gpt-4.1", Tiles(85, 170, 1_445)),
    ("gpt-5.2", Patches(32, 6_144, 120, 7_373)),
    ("gpt-5.4", Patches(32, 10_000, 120, 12_000)),
    ("gpt-5.5", Patches(32, 10_000, 120, 12_000)),
    ("gpt-5.6", Patches(32, 30_000, 120, 36_000)),
    ("gpt-6-astra", Patches(32, 30_000, 120, 36_000)),
    ("gpt-5.1", Tiles(70, 140, 1_190)),
    ("gpt-5-mini", Patches(32, 6_144, 162, 9_954)),
    ("gpt-5-nano", Largest(15_360)),
    ("gpt-5-2025", Tiles(70, 140, 1_190)),
    ("o1", Tiles(75, 150, 1_275)),
    ("o3", Tiles(75, 150, 1_275)),
)
"""By the beginning of the model's id, the longer before the shorter."""
_OPENAI_EXACT: dict[str, ImageRule] = {"gpt-5": Tiles(70, 140, 1_190)}
"""Ids that are the beginning of others, which count otherwise."""
_OPENAI_UNKNOWN = Largest(48_169)
ANTHROPIC_IMAGE_MAX_TOKENS = 4_784
"""An image of 2,576 pixels on its long edge, in squares of 28."""
_ANTHROPIC_PIXELS_PER_TOKEN = 750
"""The rule of the models before squares."""
_ANTHROPIC_SIDE = 28


def openai_image_rule(model: str) -> ImageRule:
    """How an OpenAI model counts pictures."""
    exact = _OPENAI_EXACT.get(model)
    if exact is not None:
        return exact
    for beginning, rule in _OPENAI_RULES:
        if model.startswith(beginning):
            return rule
    return _OPENAI_UNKNOWN


def openai_image_max_tokens(model: str) -> int:
    """The most tokens that any image makes at an OpenAI model."""
    return openai_image_rule(model).most_tokens


def openai_image_tokens(model: str, url: str, detail: object = None) -> int:
    """The most tokens that an image makes at an OpenAI model, named by its URL or in it."""
    rule = openai_image_rule(model)
    if detail == "low" and isinstance(rule, Tiles):
        return rule.base
    payload_bytes = inline_payload_bytes(url)
    header, _, payload = url.partition(",")
    if not payload_bytes or not header.endswith(";base64"):
        return rule.most_tokens
    size = image_size.of_base64(payload)
    return rule.most_tokens if size is None else rule.tokens(size)


def anthropic_image_tokens(payload: str) -> int:
    """The most tokens that a picture in base64 makes at Anthropic."""
    size = image_size.of_base64(payload)
    if size is None:
        return ANTHROPIC_IMAGE_MAX_TOKENS
    squares = -(-size.width // _ANTHROPIC_SIDE) * -(-size.height // _ANTHROPIC_SIDE)
    older = -(-size.width * size.height // _ANTHROPIC_PIXELS_PER_TOKEN)
    return min(ANTHROPIC_IMAGE_MAX_TOKENS, max(squares, older))


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
