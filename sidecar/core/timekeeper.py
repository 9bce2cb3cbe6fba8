"""The time that a sidecar goes by, out of two clocks that are wrong in different ways.

The boot clock never jumps, but a virtual machine that was paused or restored may not see the time
that went by. The wall clock sees that time, but somebody may set it. So:

1. Where the wall clock runs ahead of the boot clock by more than `PAUSE_MS`, that time counts as
   gone by: authority ends no later than either clock says. It may have been no pause, but a wall
   clock that was set forward: then authority ends too early, which is the safe side.
2. A wall clock that was set back is no pause: what is compared is the least that both were apart.
   A pause behind which the wall clock goes back by as much is not seen by anybody.
3. After a pause a Sync goes out before the next call opens: the machine may be a copy, and what was
   decided meanwhile is not known here. If nobody answers, calls go on while authority lasts.
4. Which period an instant lies in, which price holds and when a key ends is said by the control
   plane's clock, as far as it is known: what it told, and the time that has gone by here since. A
   sidecar whose own wall clock is wrong by hours works as any other. Before the first answer the
   own wall clock has to do. No cap rests on either: they only choose the period.
"""

from typing import NamedTuple

from sidecar.core.instants import Now
from sidecar.limits import PAUSE_MS, SYNC_DEADLINE_MS


class Kept(NamedTuple):
    """What the next process of the same boot goes on from."""

    apart_ms: int
    """The least that the wall clock was seen ahead of the boot clock."""
    lost_ms: int
    """Pauses that the boot clock did not see."""
    offset_ms: int | None
    """The control plane's clock less the time kept here; None when it never told."""


class Timekeeper:
    """Turns readings of both clocks into the time that all here is measured by."""

    __slots__ = ("_apart_ms", "_lost_ms", "_offset_ms", "_paused_boot_ms")

    def __init__(self) -> None:
        """Begin with the first reading."""
        self._apart_ms: int | None = None
        self._lost_ms = 0
        self._offset_ms: int | None = None
        self._paused_boot_ms: int | None = None

    def read(self, clocks: Now) -> Now:
        """The time kept, from a reading of the machine's clocks."""
        unix_ms, boot_ms = clocks
        apart_ms = unix_ms - boot_ms
        least_ms = self._apart_ms
        if least_ms is None or apart_ms < least_ms:
            self._apart_ms = apart_ms
        elif apart_ms - least_ms > PAUSE_MS:
            self._apart_ms = apart_ms
            self._lost_ms += apart_ms - least_ms
            self._paused_boot_ms = boot_ms + self._lost_ms
        boot_ms += self._lost_ms
        offset_ms = self._offset_ms
        return Now(unix_ms if offset_ms is None else boot_ms + offset_ms, boot_ms)

    @property
    def paused(self) -> bool:
        """A pause was seen, and no Sync went out since."""
        return self._paused_boot_ms is not None

    def asked(self, sent_boot_ms: int) -> None:
        """A Sync that went out at this time came to its end, answered or not."""
        if self._paused_boot_ms is not None and sent_boot_ms >= self._paused_boot_ms:
            self._paused_boot_ms = None

    def told(self, unix_ms: int, sent_boot_ms: int, received_boot_ms: int) -> None:
        """The control plane said what time it was, between these two times kept here.

        What is thought so far stays while it fits, so that time does not tremble.
        """
        took_ms = received_boot_ms - sent_boot_ms
        if self._offset_ms is None:
            self._offset_ms = unix_ms + took_ms // 2 - received_boot_ms
        elif took_ms <= SYNC_DEADLINE_MS:
            thought_ms = received_boot_ms + self._offset_ms
            fitting_ms = min(max(thought_ms, unix_ms), unix_ms + took_ms)
            self._offset_ms += fitting_ms - thought_ms

    @property
    def kept(self) -> Kept | None:
        """What to go on from; None before the first reading."""
        if self._apart_ms is None:
            return None
        return Kept(self._apart_ms, self._lost_ms, self._offset_ms)

    def go_on(self, kept: Kept) -> None:
        """Go on from what an earlier process of the same boot kept, pauses since then included."""
        self._apart_ms, self._lost_ms, self._offset_ms = kept
