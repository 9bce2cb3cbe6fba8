"""Takes evidence about the leases of one holder: what was spent, given back, and once granted."""

from control_plane.core import evidence
from control_plane.core.alarms import Alarm
from control_plane.core.leases import Holder, Lease, PeriodKey
from control_plane.store import leases, ledger, sidecars
from control_plane.store.engine import Tx
from control_plane.usecases import orphans, unknown
from control_plane.usecases.moves import carry_out

_CONTESTED = (
    "since the database was restored sidecars showed more grants of this budget than ever were, so "
    "one of them is wrong or forged: all of it is held and nobody is stopped; look who holds what, "
    "revoke the credential that may be stolen, and release what it never had"
)


class Books:
    """Takes evidence about the leases of one holder."""

    def __init__(self, tx: Tx, holder: Holder, now_unix_ms: int, *, forked: bool = False) -> None:
        """Work within a transaction."""
        self._tx = tx
        self._holder = holder
        self._now_unix_ms = now_unix_ms
        self._forked = forked
        self.database_is_old = False
        """Whether it was proven that more was granted than is known here."""
        self.impossible = False
        """Whether more was claimed than was ever granted."""
        self.moved: set[PeriodKey] = set()
        """The periods of the leases that changed."""
        self._fallen_nano_usd: int | None = None
        """By how much known holdings of a lease fell, when what is held beside it has to follow."""
        self._spoke: bool | None = None

    def lease(self, key: PeriodKey) -> Lease:
        """A lease, or the beginning of one that this database does not know.

        Of an epoch that is over, or of a sidecar that is not trusted any more, it is an orphan
        from the start: only a living epoch has active leases.
        """
        return self._in_use(leases.get(self._tx, self._holder, key), key)

    def _in_use(self, known: Lease | None, key: PeriodKey) -> Lease:
        if known is not None and known.state != "CLOSED":
            return known
        cause = orphans.cause_of(self._tx, self._holder)
        if known is None:
            made = Lease(self._holder, key)
            return evidence.orphaned(made, cause, self._now_unix_ms).lease if cause else made
        move = evidence.reopened(known, cause, self._now_unix_ms)
        carry_out(self._tx, move, self._now_unix_ms)
        return move.lease

    def take_spent(self, key: PeriodKey, more_nano_usd: int) -> None:
        """So much more was spent of a lease; less when it is negative."""
        if more_nano_usd > 0:
            lease = self.lease(key)
            self._carry_out(evidence.spent(lease, more_nano_usd, forked=self._forked))
        elif more_nano_usd < 0:
            lease = self.lease(key)
            less_nano_usd = min(-more_nano_usd, lease.spent_nano_usd)
            self._carry_out(evidence.corrected(lease, less_nano_usd))
        self._set_right(key)

    def take_levels(
        self, key: PeriodKey, *, granted_nano_usd: int = 0, returned_nano_usd: int = 0
    ) -> bool:
        """At least so much of a lease was granted, as a sidecar says, and given back in all.

        What was given back is free for others from now on. What the watermark rules out is not
        believed. Whether more was granted than this database knew.
        """
        known = leases.get(self._tx, self._holder, key)
        if (
            known is not None
            and granted_nano_usd <= known.granted_nano_usd
            and returned_nano_usd <= known.returned_nano_usd
        ):
            return False
        lease = self._in_use(known, key)
        known_nano_usd = lease.granted_nano_usd
        needed_nano_usd = lease.spent_nano_usd + returned_nano_usd
        for claimed_nano_usd in (granted_nano_usd, needed_nano_usd):
            lease = self._take_claim(lease, claimed_nano_usd)
        if needed_nano_usd <= lease.granted_nano_usd:
            self._give_back(evidence.returned(lease, returned_nano_usd))
        self._set_right(key)
        return lease.granted_nano_usd > known_nano_usd

    def take_returned(self, key: PeriodKey, returned_nano_usd: int) -> None:
        """So much of a lease was given back in all, as a record says."""
        if returned_nano_usd > 0:
            lease = self.lease(key)
            needed_nano_usd = lease.spent_nano_usd + returned_nano_usd
            if needed_nano_usd > lease.granted_nano_usd:
                lease = self._carry_out(evidence.grown(lease, needed_nano_usd))
            self._give_back(evidence.returned(lease, returned_nano_usd))
            self._set_right(key)

    def _take_claim(self, lease: Lease, granted_nano_usd: int) -> Lease:
        """The lease with what is said to have been granted, unless that can never have been."""
        more = granted_nano_usd - lease.granted_nano_usd
        if more <= 0:
            return lease
        claim = unknown.judge(self._tx, lease.key, more, granted_nano_usd, self._now_unix_ms)
        if claim.impossible:
            self.impossible = True
            return lease
        return self._carry_out(evidence.grown(lease, granted_nano_usd))

    def _carry_out(self, move: evidence.Move) -> Lease:
        key, more = move.lease.key, move.unknown_nano_usd
        if more > 0 and not self._forked:
            total = move.lease.granted_nano_usd
            claim = unknown.judge(self._tx, key, more, total, self._now_unix_ms)
            self.database_is_old |= claim.database_is_old
            self.impossible |= claim.impossible
            if claim.contested:
                alarm = Alarm("OLD_DATABASE", self._holder, _CONTESTED, key, amount_nano_usd=more)
                ledger.raise_alarm(self._tx, alarm, self._now_unix_ms)
            covered = unknown.take(self._tx, key, more, claim, self._now_unix_ms)
            self._fallen_nano_usd = (self._fallen_nano_usd or 0) - covered
        self.moved.add(key)
        carry_out(self._tx, move, self._now_unix_ms)
        return move.lease

    def _give_back(self, move: evidence.Move) -> None:
        """Take a return; one that has not spoken since a restore may have made it long ago."""
        self._carry_out(move)
        if move.allocated_nano_usd and not self._has_spoken():
            self._fallen_nano_usd = (self._fallen_nano_usd or 0) - move.allocated_nano_usd

    def _has_spoken(self) -> bool:
        if self._spoke is None:
            self._spoke = sidecars.has_spoken(self._tx, self._holder)
        return self._spoke

    def _set_right(self, key: PeriodKey) -> None:
        """Let what is held for grants that nobody showed follow what one message said, as one."""
        if self._fallen_nano_usd is not None:
            unknown.follow(self._tx, key, self._fallen_nano_usd, self._now_unix_ms)
            self._fallen_nano_usd = None
