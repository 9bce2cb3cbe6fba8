"""When the next Sync is due: a pure rule over what waits to be told or asked."""

from dataclasses import dataclass

from sidecar.limits import (
    RECORDS_WAIT_MS,
    STREAM_SILENT_MS,
    SYNC_DEADLINE_MS,
    SYNC_DEADLINE_QUIET_MS,
    SYNC_DEADLINE_WAITING_MS,
    SYNC_JITTER_PARTS,
    SYNC_MIN_MS,
    SYNC_MS,
    SYNC_REFILL_MS,
    SYNC_WHOLE_MS,
    WAITING_RECORDS_MAX,
)


@dataclass(slots=True)
class Cadence:
    """What is known about past and wanted Syncs."""

    sent_boot_ms: int = -SYNC_MS
    """When the latest was sent."""
    regular_boot_ms: int = 0
    """When the next is due though nothing happens."""
    urgent: bool = False
    """Something should be told or asked at once: money that is asked back, a new policy."""
    tell_by_boot_ms: int | None = None
    """When something should be told at the latest: a new demand, money that others wait for."""
    refill: bool = False
    """A lease runs low."""
    whole_boot_ms: int = -SYNC_MS
    """When the latest told of all leases, changed or not."""
    stream_boot_ms: int = -SYNC_MS
    """When the stream of directives brought anything last."""
    failures: int = 0
    """Syncs that were not answered since the last that was."""
    took_ms: int = 0
    """How long the latest answer took."""
    pause_boot_ms: int = 0
    """Not before this: the control plane is busy, or did not answer."""
    retry_boot_ms: int = 0
    """Not before this, though there is something to tell: nobody answers, and nobody waits."""

    def due_boot_ms(
        self,
        *,
        waiting: bool,
        records: int,
        records_since_boot_ms: int | None,
        asked: bool = False,
    ) -> int:
        """When the next Sync is due; `asked` while a call waits that a Sync told of."""
        due = self.regular_boot_ms
        if self.refill:
            due = min(due, self.sent_boot_ms + SYNC_REFILL_MS)
        if self.tell_by_boot_ms is not None:
            due = min(due, self.tell_by_boot_ms)
        if records and records_since_boot_ms is not None:
            due = min(due, records_since_boot_ms + RECORDS_WAIT_MS)
        if asked:
            # The stream brings what comes free for them, and beats: a silent one reaches nobody.
            due = min(due, max(self.sent_boot_ms, self.stream_boot_ms) + STREAM_SILENT_MS)
        if self.urgent or records >= WAITING_RECORDS_MAX:
            due = self.sent_boot_ms
        if self.failures and not waiting:
            due = max(due, self.retry_boot_ms)
        return max(due, self.sent_boot_ms + SYNC_MIN_MS, self.pause_boot_ms)

    def sent(self, boot_ms: int, jitter: int) -> None:
        """A Sync goes out; `jitter` is any number, from which the next distance is taken."""
        spread_ms = SYNC_MS // SYNC_JITTER_PARTS
        self.sent_boot_ms = boot_ms
        self.regular_boot_ms = boot_ms + SYNC_MS - spread_ms + jitter % (2 * spread_ms + 1)
        self.urgent = False
        self.tell_by_boot_ms = None
        self.refill = False

    def tell_by(self, boot_ms: int | None) -> bool:
        """Something should be told by then, if at all; whether that is sooner than known."""
        if boot_ms is None or self.urgent:
            return False
        if self.tell_by_boot_ms is not None and self.tell_by_boot_ms <= boot_ms:
            return False
        self.tell_by_boot_ms = boot_ms
        return True

    def tells_all(self, boot_ms: int) -> bool:
        """Whether a Sync that goes out now tells of all leases; then the next need not."""
        if boot_ms - self.whole_boot_ms < SYNC_WHOLE_MS:
            return False
        self.whole_boot_ms = boot_ms
        return True

    def tell_all(self) -> None:
        """Let the next Sync tell of all leases, as what was heard of them may not hold any more."""
        self.whole_boot_ms = -SYNC_MS

    def no_later_than(self, boot_ms: int) -> None:
        """The next is due at this time at the latest."""
        self.regular_boot_ms = min(self.regular_boot_ms, boot_ms)

    def answered(self, took_ms: int) -> None:
        """A Sync was answered, after so long."""
        self.failures = 0
        self.took_ms = took_ms

    def deadline_ms(self, *, waiting: bool) -> int:
        """How long the answer may take: short while someone waits, longer after each silence.

        Twice what the latest took is not too short: a control plane that is only slow must not be
        asked again and again for what it is about to answer. And two answers in a row may be lost
        before a call that came meanwhile is refused for want of a control plane.
        """
        first_ms = SYNC_DEADLINE_WAITING_MS if waiting else SYNC_DEADLINE_QUIET_MS
        short_ms = max(first_ms, 2 * self.took_ms)
        return min(SYNC_DEADLINE_MS, short_ms << min(self.failures, 8))
