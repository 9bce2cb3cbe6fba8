"""Anthropic's prompt cache: what a prompt with `cache_control` reads, writes and pays in full.

Rules:
- A prompt is a row of segments: tools, then system, then messages. A breakpoint ends a prefix.
- The longest prefix that an earlier call wrote is read; what lies between it and the last
  breakpoint is written, each stretch for the time its breakpoint asks; the rest is paid in full.
- A prefix is remembered from the moment a call that writes it is accepted, per key and model,
  until a reset or until it is the longest unused of too many. No clock and no minimum length:
  the same calls in the same order always cost the same.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from clients.rehearsal.bill import Quantities

MINUTES_5 = "5m"
HOUR_1 = "1h"


@dataclass(frozen=True, slots=True)
class Segment:
    """One block of a prompt."""

    content: str
    """What it holds, the same for the same block however it was spaced."""
    tokens: int
    """What it counts."""
    keep: str | None
    """`5m` or `1h` if a breakpoint ends here."""


class PromptCache:
    """The prefixes that earlier calls wrote."""

    def __init__(self, entries_max: int) -> None:
        self._entries_max = entries_max
        self._prefixes: OrderedDict[bytes, None] = OrderedDict()

    def clear(self) -> None:
        """Forget every prefix."""
        self._prefixes.clear()

    def use(self, owner: str, segments: Sequence[Segment], *, remember: bool) -> Quantities:
        """Split a prompt into what is read, written and paid in full."""
        running = hashlib.blake2b(owner.encode("utf-8", "surrogatepass"), digest_size=16)
        total = read = written_5m = written_1h = 0
        covered = 0
        for segment in segments:
            content = segment.content.encode("utf-8", "surrogatepass")
            running.update(len(content).to_bytes(8, "big") + content)
            total += segment.tokens
            if segment.keep is None:
                continue
            prefix = running.copy().digest()
            if prefix in self._prefixes:
                read, covered = total, total
                written_5m = written_1h = 0
                self._prefixes.move_to_end(prefix)
                continue
            if segment.keep == HOUR_1:
                written_1h += total - covered
            else:
                written_5m += total - covered
            covered = total
            if remember:
                self._remember(prefix)
        return Quantities(total - covered, read, written_5m, written_1h)

    def _remember(self, prefix: bytes) -> None:
        self._prefixes[prefix] = None
        if len(self._prefixes) > self._entries_max:
            self._prefixes.popitem(last=False)
