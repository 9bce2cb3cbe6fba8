"""A lease as its holder sees it, and the account of a budget that a sidecar keeps its leases in.

A lease is three numbers that only grow: granted (written by the control plane), returned and spent
(written here). What new calls may hold is granted - returned - spent - held. Nothing here ends a
lease or frees a hold because time went by: time ends only the authority to start calls.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

from protos.values.quick import quick
from sidecar.core.instants import Now
from sidecar.limits import (
    BURN_FORGOTTEN_S,
    BURN_HALF_LIFE_S,
    LOW_WATER_PARTS,
    RECENT_WORSTS_MAX,
    RECORDS_WAIT_MS,
    WANT_HORIZON_S,
    WANT_MEDIANS,
)

_PPM = 1_000_000
_DECAY_PER_SECOND_PPM = 977_160
"""0.5 ** (1 / 30), in millionths: what is left of a burn after one second."""
_LN2_PPM = 693_147


def _decay_table() -> tuple[int, ...]:
    table = [_PPM]
    for _ in range(BURN_FORGOTTEN_S):
        table.append(table[-1] * _DECAY_PER_SECOND_PPM // _PPM)
    return tuple(table)


_DECAY_PPM = _decay_table()


class LeaseKey(NamedTuple):
    """Names a lease among those of one sidecar epoch."""

    budget_id: str
    partition: str
    period_id: str


class AccountKey(NamedTuple):
    """Names a budget, or one partition of a split one, without a period."""

    budget_id: str
    partition: str


@quick
@dataclass(frozen=True, slots=True)
class Grant:
    """What the control plane answered for one lease."""

    key: LeaseKey
    period_start_unix_ms: int
    period_end_unix_ms: int | None
    """None for a window without an end."""
    granted_nano_usd: int
    """All that was ever granted on this lease."""
    serial: int
    """Rises with every grant of the period."""
    authority_ms: int
    """For how long new calls may be started, counted from before the Sync was sent."""
    keep_nano_usd: int
    """What may stay available; 0 is DIRECT."""
    unspent_nano_usd: int
    """cap - spent - money of lost sidecars."""
    reachable_nano_usd: int
    """unspent less what silent sidecars hold."""
    cap_version: int
    cap_nano_usd: int
    spent_nano_usd: int
    """What the ledger holds as spent, over all sidecars."""
    held_nano_usd: int
    """What all sidecars hold for open calls."""
    silent_sidecar: str = ""
    smallest_worst_nano_usd: int = 0
    """The smallest worst case seen lately over all sidecars; 0 when none was."""
    frozen: bool = False
    short: bool = False
    """Calls wait for money of this period that is not there."""
    free_nano_usd: int = 0
    """What a call that the control plane does not know of yet could be granted."""
    patient_ms: int = 0
    """For so long no call that waits for its money uses up half of the patience it has left."""


@dataclass(slots=True, eq=False)
class Lease:
    """Money of one budget period, held by this sidecar."""

    account: "Account"
    key: LeaseKey
    period_start_unix_ms: int
    period_end_unix_ms: int | None
    granted_nano_usd: int = 0
    returned_nano_usd: int = 0
    spent_nano_usd: int = 0
    held_nano_usd: int = 0
    """The worst cases of open calls."""
    open_calls: int = 0
    authority_boot_ms: int = 0
    """Until when calls may be started, by the boot clock."""
    frozen: bool = False
    """The control plane says that a bill passed a limit: no new call."""
    overrun_seq: int = 0
    """The last record of an overrun here; no new call until the ledger has it."""
    latest: Grant | None = None
    """The newest answer about it; None when it was never heard of since the journal was read."""
    heard_boot_ms: int = 0
    """When the Sync of the newest answer was sent."""
    told_nano_usd: int = 0
    """What was spent and held here when it was last told."""
    counted_nano_usd: int = 0
    """The same as the newest answer counts it among what all sidecars spent and hold."""
    patient_until_boot_ms: int = 0
    """Until then no call that waits for its money used up half of that, as far as was told."""
    recalled: bool = False
    """Money of it was asked back since the newest answer."""
    outdated: bool = False
    """Another database serves since the newest answer: what that said of the cap may not be so."""
    changed: bool = True
    """Something that was not yet told to the control plane."""

    @property
    def available_nano_usd(self) -> int:
        """What new calls may hold."""
        return (
            self.granted_nano_usd
            - self.returned_nano_usd
            - self.spent_nano_usd
            - self.held_nano_usd
        )

    @property
    def used_nano_usd(self) -> int:
        """What all sidecars spent and hold, as last heard, with what happened here since."""
        assert self.latest is not None
        here_nano_usd = self.spent_nano_usd + self.held_nano_usd - self.counted_nano_usd
        return self.latest.spent_nano_usd + self.latest.held_nano_usd + here_nano_usd

    @property
    def direct(self) -> bool:
        """Near the cap: calls open only when they are named, and all that is free goes back."""
        return self.latest is not None and self.latest.keep_nano_usd == 0

    def wanted_at(self, boot_ms: int) -> bool:
        """Whether what comes free here must be told at once, as a call that waits gives up soon.

        Else it is told with the records, before any call has a second left in which this money,
        and what others were about to tell, could have paid for it.
        """
        if self.recalled:
            return True
        short = self.latest is not None and self.latest.short
        return short and boot_ms + 2 * RECORDS_WAIT_MS >= self.patient_until_boot_ms

    def covers(self, unix_ms: int) -> bool:
        """Whether an instant lies in its period."""
        end = self.period_end_unix_ms
        return self.period_start_unix_ms <= unix_ms and (end is None or unix_ms < end)

    def ended(self, unix_ms: int) -> bool:
        """Whether its period is over."""
        return self.period_end_unix_ms is not None and unix_ms >= self.period_end_unix_ms

    def hurries(self, now: Now) -> bool:
        """Whether what comes free here must be told at once: wanted, or its period is over."""
        return self.wanted_at(now.boot_ms) or self.ended(now.unix_ms)

    def usable(self, boot_ms: int) -> bool:
        """Whether calls may be started on it."""
        return boot_ms < self.authority_boot_ms and not self.frozen and not self.overrun_seq

    @property
    def runs_low(self) -> bool:
        """Less than a quarter of what may stay here is left for new calls."""
        return self.latest is not None and (
            self.available_nano_usd * LOW_WATER_PARTS < self.latest.keep_nano_usd
        )

    @property
    def low(self) -> bool:
        """Less than a tenth of the cap is left."""
        known = self.latest
        return known is not None and known.unspent_nano_usd * 10 < known.cap_nano_usd


@dataclass(slots=True, eq=False, weakref_slot=True)
class Account:
    """A budget, or one partition of a split one, as this sidecar sees it."""

    key: AccountKey
    leases: list[Lease] = field(default_factory=list)
    """By the start of their periods."""
    burn_nano_usd: int = 0
    """Worst cases opened, decayed by half in thirty seconds."""
    burn_boot_ms: int = 0
    worsts_nano_usd: deque[int] = field(default_factory=lambda: deque(maxlen=RECENT_WORSTS_MAX))
    """Worst cases of the latest calls."""
    typical_worst_nano_usd: int = 0
    """The median, as of the last report."""
    opened_boot_ms: int | None = None
    """When the latest call was opened; None when none was since the start."""

    def lease_at(self, unix_ms: int) -> Lease | None:
        """The lease of the period that an instant lies in."""
        for lease in reversed(self.leases):
            if lease.covers(unix_ms):
                return lease
        return None

    def note_opened(self, worst_nano_usd: int, boot_ms: int) -> None:
        """A call was opened: burn counts these only, so the tightest budget throttles the rest."""
        self.decay(boot_ms)
        self.burn_nano_usd += worst_nano_usd
        self.worsts_nano_usd.append(worst_nano_usd)
        self.opened_boot_ms = boot_ms

    def decay(self, boot_ms: int) -> None:
        """Forget part of the burn, by whole seconds; rounded down."""
        seconds = (boot_ms - self.burn_boot_ms) // 1_000
        if seconds <= 0:
            return
        self.burn_boot_ms += seconds * 1_000
        if seconds > BURN_FORGOTTEN_S:
            self.burn_nano_usd = 0
        else:
            self.burn_nano_usd = self.burn_nano_usd * _DECAY_PPM[seconds] // _PPM

    @property
    def burn_nano_usd_per_second(self) -> int:
        """Worst cases opened per second; rounded down."""
        return self.burn_nano_usd * _LN2_PPM // (_PPM * BURN_HALF_LIFE_S)

    @property
    def median_worst_nano_usd(self) -> int:
        """The (upper) median worst case of the latest calls; 0 when there were none."""
        worsts = sorted(self.worsts_nano_usd)
        return worsts[len(worsts) // 2] if worsts else 0

    @property
    def smallest_worst_nano_usd(self) -> int:
        """The smallest worst case of the latest calls; 0 when there were none."""
        return min(self.worsts_nano_usd, default=0)

    @property
    def floor_nano_usd(self) -> int:
        """What it would like to keep through a quiet time: some median calls."""
        return WANT_MEDIANS * self.median_worst_nano_usd

    @property
    def want_nano_usd(self) -> int:
        """What it would like to have available while in use: the floor, or a minute of its burn."""
        return max(self.floor_nano_usd, self.burn_nano_usd_per_second * WANT_HORIZON_S)

    def idle_ms(self, boot_ms: int) -> int | None:
        """How long no call was opened; None when none ever was since the start."""
        return None if self.opened_boot_ms is None else boot_ms - self.opened_boot_ms
