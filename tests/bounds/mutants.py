"""Planted bugs of the bounds: one-line changes of the real code that generated requests must find.

They are planted as those of the lease protocol are (`tests.mutants.planting`): each in a copy of
the tree, run in a process of its own.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.mutants.planting import ROOT, SHORT_LIVED, Change

ROOMS = ("protos", "sidecar", "tests/bounds")
RUN_S = 300
BOUNDS = "sidecar/core/bounds.py"
MESSAGES = "sidecar/providers/anthropic_messages.py"
CHAT = "sidecar/providers/openai_chat.py"


@dataclass(frozen=True, slots=True)
class Mutant:
    """A bug that somebody could write."""

    name: str
    words: str
    change: Change
    within: int
    """Within how many requests it must be found."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a mutant."""

    mutant: Mutant
    at: int
    """Which request broke its bound; -1 for none."""

    @property
    def caught(self) -> bool:
        """Whether it was found in time."""
        return 0 < self.at <= self.mutant.within


MUTANTS = (
    Mutant(
        "cache write",
        "implicit cache writes are not counted",
        Change(
            BOUNDS,
            "    if asked.cache_write or price.cache_write_implicit:\n",
            "    if asked.cache_write:\n",
        ),
        1_000,
    ),
    Mutant(
        "long cache write",
        "a cache that is kept long costs as a short one",
        Change(
            BOUNDS,
            "    if asked.cache_write == kinds.CACHE_WRITE_LONG:\n",
            "    if asked.cache_write == kinds.CACHED_AUDIO:\n",
        ),
        1_000,
    ),
    Mutant(
        "cliff",
        "only the base tier counts",
        Change(
            BOUNDS,
            "        if not tier.above_input or tier.above_input < tokens\n",
            "        if not tier.above_input\n",
        ),
        1_000,
    ),
    Mutant(
        "below the cliff",
        "only the highest tier within reach counts",
        Change(
            BOUNDS,
            "        if not tier.above_input or tier.above_input < tokens\n",
            "        if tier == price.tier(tokens, variant)\n",
        ),
        1_000,
    ),
    Mutant(
        "choices",
        "several answers cost as one",
        Change(BOUNDS, "        choices=asked.choices,\n", "        choices=1,\n"),
        1_000,
    ),
    Mutant(
        "preamble",
        "the hidden prompt of tools is forgotten",
        Change(
            BOUNDS,
            "text + asked.media_tokens + asked.preamble_tokens + SLACK_TOKENS",
            "text + asked.media_tokens + SLACK_TOKENS",
        ),
        1_000,
    ),
    Mutant(
        "toolset",
        "a tool of the provider's own costs as any other",
        Change(
            MESSAGES, "        tokens += _CLIENT_TOOL_PREAMBLE_TOKENS\n", "        tokens += 0\n"
        ),
        2_000,
    ),
    Mutant(
        "media",
        "pictures and sound make no tokens",
        Change(
            BOUNDS,
            "text + asked.media_tokens + asked.preamble_tokens + SLACK_TOKENS",
            "text + asked.preamble_tokens + SLACK_TOKENS",
        ),
        1_000,
    ),
    Mutant(
        "picture",
        "a picture behind a URL makes no tokens at Anthropic",
        Change(
            MESSAGES,
            "anthropic_image_tokens(payload) if payload else ANTHROPIC_IMAGE_MAX_TOKENS",
            "anthropic_image_tokens(payload) if payload else 0",
        ),
        1_000,
    ),
    Mutant(
        "version",
        "a dearer price that comes while the call lasts is not looked at",
        Change(
            "sidecar/core/policy.py",
            "                found.append(dated.price)\n",
            "                pass\n",
        ),
        1_000,
    ),
    Mutant(
        "variant",
        "only the first variant counts",
        Change(
            BOUNDS,
            "        for variant in reachable_variants(asked, price)\n",
            "        for variant in reachable_variants(asked, price)[:1]\n",
        ),
        1_000,
    ),
    Mutant(
        "place",
        "a place that the workspace is set to is forgotten",
        Change(
            MESSAGES,
            "            variants_if_priced=_variants_by_default(value),\n",
            "",
        ),
        1_000,
    ),
    Mutant(
        "tier left open",
        "a call without a tier is left to the account's setting",
        Change(
            CHAT,
            "    members |= openai_options.default_tier(value, provider)\n",
            "",
        ),
        1_000,
    ),
    Mutant(
        "limit unwritten",
        "the limit of a clamped chat is not put on the wire",
        Change(
            CHAT,
            "        members[field] = output_limit\n",
            "        members.update({})\n",
        ),
        1_000,
    ),
    Mutant(
        "prompts",
        "several prompts share one window",
        Change(
            BOUNDS,
            "    window = price.input_max * asked.inputs\n",
            "    window = price.input_max\n",
        ),
        1_000,
    ),
    Mutant(
        "growth",
        "what normalising adds is forgotten",
        Change(
            BOUNDS,
            "asked.text_bytes + (asked.expanded_bytes if price.expands_text else 0)",
            "asked.text_bytes + 0",
        ),
        1_000,
    ),
    Mutant(
        "marks",
        "a mark that pushes a character apart is forgotten",
        Change(
            BOUNDS,
            "_growth_apart_bytes if any(map(_is_mark, characters)) else _growth_bytes",
            "_growth_bytes",
        ),
        4_000,
    ),
    Mutant(
        "prediction",
        "a rejected prediction is free",
        Change(
            BOUNDS,
            "tokens * input_rate + pieces_pico_usd + predicted)",
            "tokens * input_rate + pieces_pico_usd)",
        ),
        2_000,
    ),
    Mutant(
        "search",
        "fees of searches are forgotten",
        Change(
            "sidecar/providers/openai_responses.py",
            "            pieces=dict.fromkeys(tools.searches, calls),\n",
            "",
        ),
        2_000,
    ),
)


@contextmanager
def trees() -> Iterator[Path]:
    """A copy of what a run needs of the tree."""
    memory = Path("/dev/shm")  # noqa: S108 - a folder of our own is made in it
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        for room in ROOMS:
            shutil.copytree(ROOT / room, Path(folder, room), ignore=SHORT_LIVED)
        # The table of mutants itself leans on this room.
        mutants = Path(folder, "tests/mutants")
        shutil.copytree(ROOT / "tests/mutants", mutants, ignore=SHORT_LIVED)
        shutil.copy2(ROOT / "tests/__init__.py", Path(folder, "tests"))
        yield Path(folder)


def hunt(tree: Path, mutant: Mutant) -> Verdict:
    """Plant a mutant, run requests until one breaks its bound, and mend the tree again."""
    place = tree / mutant.change.path
    source = place.read_text(encoding="utf-8")
    place.write_text(mutant.change.applied_to(source), encoding="utf-8")
    command = [sys.executable, "-m", "tests.bounds", "--first", "--count", f"{mutant.within}"]
    # A module that was compiled from the same file within the same second would be taken for it.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": f"{tree}"}
    try:
        done = subprocess.run(
            command,
            cwd=tree,
            env=environment,
            capture_output=True,
            text=True,
            timeout=RUN_S,
            check=False,
        )
    finally:
        place.write_text(source, encoding="utf-8")
    if done.returncode not in (0, 1) or not done.stdout.strip():
        raise RuntimeError(f"{mutant.name} ran into something else:\n{done.stderr}")
    return Verdict(mutant, int(done.stdout.split()[-1]))
