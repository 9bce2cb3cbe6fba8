"""Time: the true one, which the world runs by, and what each host takes it for."""

from dataclasses import dataclass

import trio

from sidecar.core.instants import Now

FIRST_BOOT_MS = 1_000_000
"""What a host's boot clock shows when a run begins."""


def true_ms() -> int:
    """Milliseconds since the run began."""
    return round(trio.current_time() * 1_000)


@dataclass(slots=True)
class TrueClock:
    """The control plane's clock, which is right."""

    start_unix_ms: int

    def unix_ms(self) -> int:
        return self.start_unix_ms + true_ms()

    def monotonic_ns(self) -> int:
        return self.unix_ms() * 1_000_000


@dataclass(slots=True)
class HostClock:
    """Both clocks of one host. One oscillator drives them, so they are wrong by the same rate."""

    start_unix_ms: int
    rate_permille: int = 1_000
    wall_offset_ms: int = 0
    """By how much its wall clock was stepped."""
    booted_ms: int = 0
    """When it booted, by its oscillator."""
    boot_base_ms: int = FIRST_BOOT_MS
    unseen_ms: int = 0
    """Pauses of the virtual machine that the boot clock knows nothing of."""
    paused_since_ms: int | None = None

    def now(self) -> Now:
        ran_ms = self._ran_ms
        seen_ms = ran_ms if self.paused_since_ms is None else self.paused_since_ms
        return Now(
            self.start_unix_ms + ran_ms + self.wall_offset_ms,
            self.boot_base_ms + seen_ms - self.booted_ms - self.unseen_ms,
        )

    @property
    def _ran_ms(self) -> int:
        return true_ms() * self.rate_permille // 1_000

    def step(self, by_ms: int) -> None:
        """Somebody sets the wall clock."""
        self.wall_offset_ms += by_ms

    def correct(self) -> None:
        """The wall clock is set right."""
        self.wall_offset_ms = true_ms() - self._ran_ms

    def pause(self) -> None:
        """The virtual machine stops, and its boot clock with it."""
        if self.paused_since_ms is None:
            self.paused_since_ms = self._ran_ms

    def resume(self) -> None:
        """It goes on."""
        if self.paused_since_ms is not None:
            self.unseen_ms += self._ran_ms - self.paused_since_ms
            self.paused_since_ms = None

    def reboot(self) -> None:
        """The host boots: its boot clock begins anew."""
        self.resume()
        self.booted_ms = self._ran_ms
        self.boot_base_ms = 5_000
        self.unseen_ms = 0
