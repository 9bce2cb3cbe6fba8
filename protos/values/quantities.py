"""What a call used, counted by kind.

A quantity is a whole number of billable units of one kind. Kinds never overlap: `input` is what was
neither read from nor written to a cache; `output` is all output, of which `reasoning` only tells a
part and is never charged by itself.
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
AUDIO_OUTPUT: Final = "audio_output"
IMAGES: Final = "images"
TOOL_CALLS: Final = "tool_calls"
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
    AUDIO_OUTPUT,
    IMAGES,
    TOOL_CALLS,
    MILLISECONDS,
    CHARACTERS,
    CALLS,
)
"""Every kind that exists. A reader refuses any other."""
INFORMATIVE: Final = frozenset({REASONING})
"""Kinds that are part of another kind: recorded, never priced."""
INPUT_KINDS: Final = frozenset({INPUT, CACHED, CACHE_WRITE, CACHE_WRITE_LONG})
"""The kinds that together are the prompt; price tiers are chosen by their sum."""
QUANTITY_MAX: Final = 2**40
"""No count of one call is larger; a provider that says so is not believed."""


def input_total(quantities: Quantities) -> int:
    """All tokens of the prompt, cached or not."""
    return sum(quantities.get(kind, 0) for kind in INPUT_KINDS)
