"""Virtual time: a heap of things to do, and a network that delays and loses messages.

Nothing here sleeps and nothing reads a clock. Chance comes from one seed.
"""

import heapq
import random
from collections.abc import Callable
from typing import Any

from sidecar.core.instants import Now
from tests.control_plane.leasing_world import NOON

BOOT_MS = 1_000_000
"""What the boot clock shows at the start."""
DELAY_US = (5_000, 20_000)
"""How long a message is on its way, at least and at most."""


class Loop:
    """What is to be done, by virtual time in whole microseconds."""

    def __init__(self, seed: int, start_unix_ms: int = NOON) -> None:
        self.start_unix_ms = start_unix_ms
        self.chance = random.Random(seed)
        self.now_us = 0
        self.due: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._count = 0

    def now(self) -> Now:
        """Both clocks, as a sidecar reads them."""
        ms = self.now_us // 1_000
        return Now(self.start_unix_ms + ms, BOOT_MS + ms)

    def unix_ms(self) -> int:
        """The control plane's clock."""
        return self.start_unix_ms + self.now_us // 1_000

    def at(self, us: int, act: Callable[..., None], *arguments: Any) -> None:
        """Do something at a time; things of the same time in the order in which they came."""
        self._count += 1
        heapq.heappush(self.due, (max(us, self.now_us), self._count, act, arguments))

    def after(self, us: int, act: Callable[..., None], *arguments: Any) -> None:
        """Do something so much later."""
        self.at(self.now_us + us, act, *arguments)

    def run(self, until_us: int) -> None:
        """Do all that is due until a time."""
        while self.due and self.due[0][0] <= until_us:
            self.now_us, _, act, arguments = heapq.heappop(self.due)
            act(*arguments)


class Network:
    """Carries messages between sidecars and the control plane, slowly, and loses some."""

    def __init__(self, loop: Loop, loss_percent: int) -> None:
        self._loop = loop
        self._loss_percent = loss_percent
        self._chance = random.Random(loop.chance.random())

    def send(self, arrive: Callable[..., None], *arguments: Any) -> None:
        """Send one message: it arrives later, or never."""
        delay_us = self._chance.randint(*DELAY_US)
        if self._chance.random() * 100 >= self._loss_percent:
            self._loop.after(delay_us, arrive, *arguments)
