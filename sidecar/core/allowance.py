"""What a sidecar may spend: its leases, what calls hold of them, what goes back.

Rules:

1. A hold is taken from all leases of a call or from none, and no lease ever has less than nothing.
2. Money goes back by evidence only: `take_returns` lowers what is available at once; its records
   must be durable before anybody is told.
3. While the last Sync failed nothing is given back: what is here must last until the control plane
   answers again. DIRECT mode does not bind then either, as nobody is there to name a call.
4. An answer is merged by maximum, so a lost, repeated or late one does nothing.
5. Authority only ever grows, and counts from before the Sync was sent.
6. What a lease gave back and spent is never forgotten because a clock says that its period is over:
   clocks differ, and whoever granted it may go on doing so. With its numbers gone, the next answer
   would bring back all that it ever was. Where there are too many, the oldest go, and from then on
   no answer is taken about any lease of so old a period that is not known.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from weakref import WeakValueDictionary

from protos.values.quick import quick
from sidecar.core.instants import Now
from sidecar.core.leases import Account, AccountKey, Grant, Lease, LeaseKey
from sidecar.limits import (
    ENDED_LEASES_MAX,
    FLOOR_MS,
    IDLE_RETURN_LOW_MS,
    IDLE_RETURN_MS,
    LEFT_ENDED_LEASES,
    REPORTED_LEASES_MAX,
    RETURN_HYSTERESIS_PARTS,
    STARTER_LEAD_MS,
)


@quick
@dataclass(frozen=True, slots=True)
class LeaseLevels:
    """What a sidecar says of one lease; it replaces what it said before."""

    key: LeaseKey
    granted_seen_nano_usd: int
    returned_nano_usd: int
    spent_nano_usd: int
    held_nano_usd: int
    available_nano_usd: int
    open_calls: int
    burn_nano_usd_per_second: int
    want_nano_usd: int
    median_worst_nano_usd: int
    smallest_worst_nano_usd: int
    idle_ms: int
    serial_seen: int


@dataclass(frozen=True, slots=True)
class StoredLease:
    """What the journal knows of a lease."""

    key: LeaseKey
    period_start_unix_ms: int
    period_end_unix_ms: int | None
    granted_nano_usd: int
    returned_nano_usd: int
    spent_nano_usd: int
    authority_boot_ms: int
    """By the clock of the boot in which it was written."""
    median_worst_nano_usd: int
    frozen: bool


class Allowance:
    """All accounts and leases of one epoch."""

    def __init__(self) -> None:
        """Begin with nothing."""
        # Partitions are made by labels that callers choose: those that nobody has any more go.
        self._accounts: WeakValueDictionary[AccountKey, Account] = WeakValueDictionary()
        self._leases: dict[LeaseKey, Lease] = {}
        self._aside: dict[LeaseKey, Lease] = {}
        self._ending = False
        self.forgotten_until_unix_ms = 0
        """Leases of periods that ended until then may have been forgotten."""

    def __iter__(self) -> Iterator[Lease]:
        return iter(self._leases.values())

    def restore(self, stored: StoredLease, boot_ms: int, *, same_boot: bool) -> Lease:
        """Take a lease as the journal knows it; authority of another boot is void."""
        lease = self._lease(stored.key, stored.period_start_unix_ms, stored.period_end_unix_ms)
        lease.granted_nano_usd = stored.granted_nano_usd
        lease.returned_nano_usd = stored.returned_nano_usd
        lease.spent_nano_usd = stored.spent_nano_usd
        lease.authority_boot_ms = stored.authority_boot_ms if same_boot else 0
        lease.frozen = stored.frozen
        assert lease.available_nano_usd >= 0
        lease.changed = lease.available_nano_usd > 0
        if stored.median_worst_nano_usd:
            lease.account.worsts_nano_usd.append(stored.median_worst_nano_usd)
            lease.account.typical_worst_nano_usd = stored.median_worst_nano_usd
            lease.account.opened_boot_ms = boot_ms
        return lease

    def account(self, key: AccountKey) -> Account:
        """The account of a budget; it lives while a lease, a route or a waiting call has it."""
        account = self._accounts.get(key)
        if account is None:
            account = self._accounts[key] = Account(key)
        return account

    def lease(self, key: LeaseKey) -> Lease | None:
        """The lease of this name."""
        return self._leases.get(key)

    def _lease(self, key: LeaseKey, start_unix_ms: int, end_unix_ms: int | None) -> Lease:
        lease = self._leases.get(key)
        if lease is None:
            account = self.account(AccountKey(key.budget_id, key.partition))
            lease = self._aside.pop(key, None) or Lease(account, key, start_unix_ms, end_unix_ms)
            lease.account = account
            self._leases[key] = lease
            account.leases.append(lease)
            account.leases.sort(key=lambda each: each.period_start_unix_ms)
        return lease

    def merge(self, grant: Grant, sent_boot_ms: int, *, renews: bool) -> Lease:
        """Take an answer that may be taken; `renews` tells whether it may prolong authority."""
        assert self.takes(grant)
        lease = self._lease(grant.key, grant.period_start_unix_ms, grant.period_end_unix_ms)
        if lease.latest is not None and sent_boot_ms < lease.heard_boot_ms:
            return lease
        _take(lease, grant)
        lease.heard_boot_ms = sent_boot_ms
        lease.counted_nano_usd = lease.told_nano_usd
        lease.patient_until_boot_ms = sent_boot_ms + grant.patient_ms
        lease.recalled = False
        if renews:
            lease.authority_boot_ms = max(
                lease.authority_boot_ms, sent_boot_ms + grant.authority_ms
            )
        return lease

    def merge_offer(self, grant: Grant, boot_ms: int) -> Lease:
        """Take what came unasked, and may be taken: money and what is left, but no authority."""
        assert self.takes(grant)
        lease = self._lease(grant.key, grant.period_start_unix_ms, grant.period_end_unix_ms)
        _take(lease, grant)
        lease.patient_until_boot_ms = boot_ms + grant.patient_ms
        return lease

    def lower(self, key: LeaseKey, cap_version: int, unspent_nano_usd: int) -> bool:
        """Take that no more than this is left of a period under this cap; whether it is news.

        It only lowers what was heard, until the next answer; when that was stays as it is.
        """
        lease = self._leases.get(key)
        known = lease.latest if lease is not None else None
        if lease is None or known is None or lease.outdated or known.cap_version != cap_version:
            return False
        if known.unspent_nano_usd <= unspent_nano_usd:
            return False
        reachable_nano_usd = min(known.reachable_nano_usd, unspent_nano_usd)
        lease.latest = replace(
            known, unspent_nano_usd=unspent_nano_usd, reachable_nano_usd=reachable_nano_usd
        )
        return True

    def hold(self, leases: Sequence[Lease], worst_nano_usd: int, boot_ms: int) -> None:
        """Set a call's worst case aside, from all its leases at once."""
        assert worst_nano_usd >= 0
        for lease in leases:
            assert lease.available_nano_usd >= worst_nano_usd
        for lease in leases:
            lease.held_nano_usd += worst_nano_usd
            lease.open_calls += 1
            lease.changed = True
            lease.account.note_opened(worst_nano_usd, boot_ms)

    def settle(self, leases: Iterable[Lease], worst_nano_usd: int, amount_nano_usd: int) -> None:
        """Turn a hold into what was spent and free the rest."""
        assert 0 <= amount_nano_usd <= worst_nano_usd
        for lease in leases:
            assert lease.held_nano_usd >= worst_nano_usd
            assert lease.open_calls > 0
            lease.held_nano_usd -= worst_nano_usd
            lease.spent_nano_usd += amount_nano_usd
            lease.open_calls -= 1
            lease.changed = True

    def charge_lost(self, leases: Iterable[Lease], worst_nano_usd: int) -> None:
        """A call of an earlier life has no end: it is charged at its worst case."""
        for lease in leases:
            assert lease.available_nano_usd >= worst_nano_usd
            lease.spent_nano_usd += worst_nano_usd
            lease.changed = True

    def overrun(self, leases: Iterable[Lease], seq: int) -> None:
        """A bill passed its worst case: no new call here until the ledger has the record."""
        for lease in leases:
            lease.overrun_seq = seq

    def acknowledged(self, acked_seq: int) -> None:
        """The ledger has all records up to this one."""
        for lease in self._leases.values():
            if lease.overrun_seq and lease.overrun_seq <= acked_seq:
                lease.overrun_seq = 0

    def take_returns(self, now: Now) -> list[Lease]:
        """Give back what is not needed; the caller writes down and tells the new levels.

        Only to be called while the control plane answers.
        """
        given = []
        for lease in self._leases.values():
            amount_nano_usd = _surplus_nano_usd(lease, now)
            if amount_nano_usd > 0:
                _give_back(lease, amount_nano_usd)
                given.append(lease)
        return given

    def recall(self, key: LeaseKey, keep_nano_usd: int) -> Lease | None:
        """Give back what is above the level that a directive names; None when there is nothing."""
        lease = self._leases.get(key)
        if lease is None:
            return None
        lease.recalled = True
        if lease.available_nano_usd <= keep_nano_usd:
            return None
        _give_back(lease, lease.available_nano_usd - keep_nano_usd)
        return lease

    def take_all(self) -> list[Lease]:
        """Give back everything that no open call holds, and want nothing more; for the end."""
        self._ending = True
        given = [lease for lease in self._leases.values() if lease.available_nano_usd > 0]
        for lease in given:
            _give_back(lease, lease.available_nano_usd)
        return given

    def say_again(self) -> None:
        """Tell all leases again: whoever asks for them has forgotten what was told before.

        It may have forgotten changes of caps too, whose versions it counts once more. So what was
        heard before refuses no call any more. It may not know what came back of windows that are
        over either.
        """
        for lease in list(self._aside.values()):
            self._lease(lease.key, lease.period_start_unix_ms, lease.period_end_unix_ms)
        for lease in self._leases.values():
            lease.changed = lease.outdated = True

    @property
    def all_told(self) -> bool:
        """Whether there is nothing new to tell of any lease."""
        return not any(lease.changed for lease in self._leases.values())

    def changed(self) -> list[Lease]:
        """The leases of which there is something new to tell."""
        told = [lease for lease in self._leases.values() if lease.changed]
        return told[:REPORTED_LEASES_MAX]

    def reportable(self, now: Now) -> list[Lease]:
        """All leases that a whole report tells of, those that changed first."""
        told = [
            lease
            for lease in self._leases.values()
            if lease.changed or lease.available_nano_usd or lease.held_nano_usd
        ]
        told.sort(key=lambda lease: (not lease.changed, lease.heard_boot_ms))
        # A lease of the current period that is empty is told too while its budget is in use:
        # only a lease that is told is filled up. So is one whose budget is as good as used up: only
        # the answer can say that there is more again. Before a window turns all that were used in
        # it are told, however long ago: who is not gets nothing for the first call of the next.
        known = {id(lease) for lease in told}
        for account in self._accounts.values():
            lease = account.lease_at(now.unix_ms)
            if lease is None or id(lease) in known:
                continue
            if lease.low or _in_use(lease, now) or _turns_soon(lease, now):
                told.append(lease)
        return told[:REPORTED_LEASES_MAX]

    def levels(self, lease: Lease, now: Now) -> LeaseLevels:
        """What is said of a lease."""
        lease.told_nano_usd = lease.spent_nano_usd + lease.held_nano_usd
        account = lease.account
        account.decay(now.boot_ms)
        idle_ms = account.idle_ms(now.boot_ms)
        account.typical_worst_nano_usd = account.median_worst_nano_usd
        # Whoever tells of calls gets money for more of them.
        median_worst_nano_usd = 0 if self._ending else account.typical_worst_nano_usd
        return LeaseLevels(
            key=lease.key,
            granted_seen_nano_usd=lease.granted_nano_usd,
            returned_nano_usd=lease.returned_nano_usd,
            spent_nano_usd=lease.spent_nano_usd,
            held_nano_usd=lease.held_nano_usd,
            available_nano_usd=lease.available_nano_usd,
            open_calls=lease.open_calls,
            burn_nano_usd_per_second=account.burn_nano_usd_per_second,
            want_nano_usd=0 if self._ending else _want_nano_usd(lease, now),
            median_worst_nano_usd=median_worst_nano_usd,
            smallest_worst_nano_usd=account.smallest_worst_nano_usd,
            idle_ms=FLOOR_MS if idle_ms is None else idle_ms,
            serial_seen=lease.latest.serial if lease.latest else 0,
        )

    def set_ended_aside(self, now: Now) -> list[LeaseKey]:
        """Put away leases of past periods of which nothing is left to hold, return or tell.

        Their numbers stay, within a bound; returns those that are forgotten for good: the oldest.
        """
        gone = [
            lease
            for lease in self._leases.values()
            if lease.ended(now.unix_ms)
            and not (lease.changed or lease.open_calls or lease.available_nano_usd)
            and not lease.overrun_seq
        ]
        for lease in gone:
            del self._leases[lease.key]
            lease.account.leases.remove(lease)
            lease.latest = None
            self._aside[lease.key] = lease
        if len(self._aside) <= ENDED_LEASES_MAX:
            return []
        ends = sorted((lease.period_end_unix_ms or 0, key) for key, lease in self._aside.items())
        dropped = ends[: len(ends) - LEFT_ENDED_LEASES]
        for end_unix_ms, key in dropped:
            del self._aside[key]
            self.forgotten_until_unix_ms = max(self.forgotten_until_unix_ms, end_unix_ms)
        return [key for _, key in dropped]

    def takes(self, grant: Grant) -> bool:
        """Whether an answer may be merged: not one about a lease that may have been forgotten.

        Taken for new, it would bring back all that the lease ever was.
        """
        end_unix_ms = grant.period_end_unix_ms
        if end_unix_ms is None or end_unix_ms > self.forgotten_until_unix_ms:
            return True
        return grant.key in self._leases or grant.key in self._aside


def _take(lease: Lease, grant: Grant) -> None:
    lease.granted_nano_usd = max(lease.granted_nano_usd, grant.granted_nano_usd)
    lease.latest = grant
    lease.frozen = grant.frozen
    # Only answers and offers of the database that serves now come here.
    lease.outdated = False


def _in_use(lease: Lease, now: Now) -> bool:
    """Whether it was used lately, or its window has just begun for one who used the last."""
    idle_ms = lease.account.idle_ms(now.boot_ms)
    if idle_ms is not None and idle_ms < FLOOR_MS:
        return True
    return lease.granted_nano_usd > 0 and now.unix_ms - lease.period_start_unix_ms < FLOOR_MS


def _turns_soon(lease: Lease, now: Now) -> bool:
    """Whether first money of the next window is due, and calls were paid from this one."""
    end_unix_ms = lease.period_end_unix_ms
    due = end_unix_ms is not None and end_unix_ms - now.unix_ms <= STARTER_LEAD_MS
    return due and lease.spent_nano_usd > 0


def _idle(lease: Lease, now: Now) -> bool:
    """Nothing was opened for so long that the money may be of more use elsewhere."""
    idle_ms = lease.account.idle_ms(now.boot_ms)
    return idle_ms is None or idle_ms >= (IDLE_RETURN_LOW_MS if lease.low else IDLE_RETURN_MS)


def _want_nano_usd(lease: Lease, now: Now) -> int:
    """What it would like to have available; a quiet one only its floor, near the cap nothing."""
    account = lease.account
    if not _idle(lease, now):
        return account.want_nano_usd
    return account.floor_nano_usd if _in_use(lease, now) and not lease.low else 0


def _give_back(lease: Lease, amount_nano_usd: int) -> None:
    assert 0 < amount_nano_usd <= lease.available_nano_usd
    lease.returned_nano_usd += amount_nano_usd
    lease.changed = True


def _surplus_nano_usd(lease: Lease, now: Now) -> int:
    """How much of a lease is not needed here."""
    available_nano_usd = lease.available_nano_usd
    if available_nano_usd <= 0:
        return 0
    if lease.ended(now.unix_ms):
        return available_nano_usd
    if lease.latest is None or not lease.covers(now.unix_ms):
        return 0
    keep_nano_usd = lease.latest.keep_nano_usd
    if keep_nano_usd == 0:
        return available_nano_usd
    if _idle(lease, now):
        # Keep is bound by each sidecar's share of the headroom.
        return max(0, available_nano_usd - min(_want_nano_usd(lease, now), keep_nano_usd))
    if available_nano_usd > keep_nano_usd + keep_nano_usd // RETURN_HYSTERESIS_PARTS:
        return available_nano_usd - keep_nano_usd
    return 0
