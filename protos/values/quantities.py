"""What a call used, counted by kind.

A quantity is a whole number of billable units of one kind. Kinds never overlap: `input` is the
text of a prompt that was neither read from nor written to a cache, and sound, images and video in
it have kinds of their own; `output` is all output but sound and images, of which `reasoning` only
tells a part and is never charged by itself. Those are tokens. `images`, `milliseconds` and
`characters` count what calls that are not billed by tokens are billed by.
"""

from collections.abc import Mapping
from typing import Final

Quantities = Mapping[str, int]
"""Units by kind; a kind that is missing counts as none."""

INPUT: Final = "input"
CACHED: Final = "cached"
CACHE_WRITE: Final = "cache_write"
CACHE_WRITE_LONG: Final = "cache_write_long"
OUTPUT: Final = "output"
REASONING: Final = "reasoning"
AUDIO_INPUT: Final = "audio_input"
CACHED_AUDIO: Final = "cached_audio"
AUDIO_OUTPUT: Final = "audio_output"
IMAGE_INPUT: Final = "image_input"
CACHED_IMAGE: Final = "cached_image"
IMAGE_OUTPUT: Final = "image_output"
VIDEO_INPUT: Final = "video_input"
IMAGES: Final = "images"
TOOL_CALLS: Final = "tool_calls"
WEB_SEARCH: Final = "web_search"
"""Searches of the web that the provider ran."""
FILE_SEARCH: Final = "file_search"
"""Searches of stored files that the provider ran."""
CONTAINER: Final = "container"
"""Sessions of containers in which the provider ran code."""
GROUNDING: Final = "grounding"
"""Queries, or prompts, that the provider grounded in a search or a map."""
MILLISECONDS: Final = "milliseconds"
CHARACTERS: Final = "characters"
CALLS: Final = "calls"

KINDS: Final = (
    INPUT,
    CACHED,
    CACHE_WRITE,
    CACHE_WRITE_LONG,
    OUTPUT,
    REASONING,
    AUDIO_INPUT,
    CACHED_AUDIO,
    AUDIO_OUTPUT,
    IMAGE_INPUT,
    CACHED_IMAGE,
    IMAGE_OUTPUT,
    VIDEO_INPUT,
    IMAGES,
    TOOL_CALLS,
    WEB_SEARCH,
    FILE_SEARCH,
    CONTAINER,
    GROUNDING,
    MILLISECONDS,
    CHARACTERS,
    CALLS,
)
"""Every kind that exists. A reader refuses any other."""
INFORMATIVE: Final = frozenset({REASONING})
"""Kinds that are part of another kind: recorded, never priced."""
INPUT_KINDS: Final = frozenset(
    {
        *(INPUT, CACHED, CACHE_WRITE, CACHE_WRITE_LONG),
        *(AUDIO_INPUT, CACHED_AUDIO, IMAGE_INPUT, CACHED_IMAGE, VIDEO_INPUT),
    }
)
"""The kinds that together are the prompt; price tiers are chosen by their sum."""
OUTPUT_KINDS: Final = frozenset({OUTPUT, AUDIO_OUTPUT, IMAGE_OUTPUT})
"""The kinds that together are what a model wrote, in tokens."""
TOKEN_KINDS: Final = INPUT_KINDS | OUTPUT_KINDS
"""The kinds that are tokens and that no other kind holds."""
PIECE_KINDS: Final = frozenset({IMAGES, MILLISECONDS, CHARACTERS, CALLS})
"""The kinds by which a call can be billed instead of by the tokens of its prompt."""
QUANTITY_MAX: Final = 2**40
"""No count of one call is larger; a provider that says so is not believed."""


def input_total(quantities: Quantities) -> int:
    """All tokens of the prompt, cached or not."""
    return sum(quantities.get(kind, 0) for kind in INPUT_KINDS)
