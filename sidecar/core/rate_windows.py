"""What was taken of a rate limit lately, by everybody or by one client.

Time is cut into slices, and one that is partly out of the window still counts as a whole.
"""

from sidecar.limits import RATE_BURST_SLICES, RATE_SLICES, RATE_UNTIMED_WINDOW_MS


class Window:
    """What was taken within the last window, in slices of it."""

    __slots__ = ("_slice_ms", "_slices", "_total")

    def __init__(self, window_ms: int) -> None:
        """Begin with nothing."""
        assert window_ms % RATE_SLICES == 0
        self._slice_ms = window_ms // RATE_SLICES
        self._slices: dict[int, int] = {}
        """By number of the slice, rising; nothing older than the window."""
        self._total = 0

    def used(self, boot_ms: int) -> int:
        """All that was taken within it."""
        oldest = boot_ms // self._slice_ms - RATE_SLICES
        slices = self._slices
        while slices and (number := next(iter(slices))) < oldest:
            self._total -= slices.pop(number)
        return self._total

    def add(self, boot_ms: int, amount: int) -> None:
        """Take at an instant that is not before the latest; time that goes back stands still."""
        number = boot_ms // self._slice_ms
        if self._slices:
            number = max(number, next(reversed(self._slices)))
        self._slices[number] = self._slices.get(number, 0) + amount
        self._total += amount

    def correct(self, boot_ms: int, delta: int) -> None:
        """Put right what was taken at an instant, unless that is past."""
        number = boot_ms // self._slice_ms
        if number in self._slices:
            delta = max(delta, -self._slices[number])
            self._slices[number] += delta
            self._total += delta

    def lately(self, boot_ms: int) -> int:
        """What was taken in the last part of the window, which is as long as a burst."""
        oldest = boot_ms // self._slice_ms - RATE_BURST_SLICES
        total = 0
        for number in reversed(self._slices):
            if number < oldest:
                break
            total += self._slices[number]
        return total

    def wait_ms(self, boot_ms: int, amount: int) -> int:
        """How long until so much of it is past; never more than the window."""
        return self._wait_ms(boot_ms, amount, RATE_SLICES)

    def burst_wait_ms(self, boot_ms: int, amount: int) -> int:
        """How long until so much of what was taken lately is past."""
        return self._wait_ms(boot_ms, amount, RATE_BURST_SLICES)

    def _wait_ms(self, boot_ms: int, amount: int, length: int) -> int:
        oldest = boot_ms // self._slice_ms - length
        for number, taken in self._slices.items():
            if number >= oldest:
                amount -= taken
                if amount <= 0:
                    return max(1, (number + length + 1) * self._slice_ms - boot_ms)
        return self._slice_ms * (length + 1)


class Usage:
    """What was used, by everybody or by one client."""

    __slots__ = ("asked", "pinned", "since_boot_ms", "waiting", "window")

    def __init__(self, window_ms: int, since_boot_ms: int) -> None:
        """Begin with nothing; a limit on calls in flight has no window, which is 0."""
        self.since_boot_ms = since_boot_ms
        """When it was first asked for something; forgotten when nothing of that counts any more."""
        self.pinned = 0
        """What calls hold that did not go out yet; of calls in flight, all of them."""
        self.window = Window(window_ms) if window_ms else None
        self.asked = Window(window_ms or RATE_UNTIMED_WINDOW_MS)
        """What was refused, which is wanted all the same."""
        self.waiting = 0
        """What calls want that wait for room."""

    def used(self, boot_ms: int) -> int:
        """What counts now."""
        return self.pinned + (self.window.used(boot_ms) if self.window else 0)

    def wants(self, boot_ms: int) -> int:
        """What was asked for within the window, whether it passed or not."""
        return self.used(boot_ms) + self.waiting + self.asked.used(boot_ms)

    def is_idle(self, boot_ms: int) -> bool:
        """Whether nothing would be forgotten with it."""
        return not self.wants(boot_ms)
