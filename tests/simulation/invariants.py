"""What must always be so, each by its name, held against what the provider truly billed.

Checked after every step. Who may start calls is in authority.py; what must be so only at rest, in
resting.py.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from control_plane.store.engine import Row, Tx
from sidecar.core.leases import Lease, LeaseKey
from sidecar.core.refusals import Reason, Refusal

if TYPE_CHECKING:
    from tests.simulation.host import Life
    from tests.simulation.simulation import Simulation

Numbers = tuple[int, int, int]
"""Granted, returned and spent."""
Holding = tuple[str, int, LeaseKey]
"""A sidecar, its epoch, and the lease."""


class ViolationError(Exception):
    """Something that must hold does not."""

    def __init__(self, name: str, words: str) -> None:
        super().__init__(f"{name}: {words}")
        self.name = name
        """Which invariant."""
        self.words = words


def must(holds: bool, name: str, words: str) -> None:
    """Raise ViolationError when something does not hold."""
    if not holds:
        raise ViolationError(name, words)


def first_of(group: BaseExceptionGroup[Any]) -> ViolationError:
    """The first violation in a group."""
    for error in _flat(group):
        if isinstance(error, ViolationError):
            return error
    raise group


def words_of(group: BaseExceptionGroup[Any]) -> str:
    """What failed, and where, in a line."""
    found = []
    for error in _flat(group):
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        where = ""
        if trace is not None:
            code = trace.tb_frame.f_code
            where = f" in {code.co_name}"
        found.append(f"{type(error).__name__}: {error}{where}")
    return "; ".join(found)


def _flat(group: BaseExceptionGroup[Any]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _flat(error)
        else:
            yield error


@dataclass(slots=True)
class Books:
    """What the database said when it was last looked at."""

    periods: dict[LeaseKey, Row] = field(default_factory=dict)
    leases: dict[Holding, Numbers] = field(default_factory=dict)
    serials: dict[Holding, int] = field(default_factory=dict)
    generation: int = 0
    allowed: dict[LeaseKey, int] = field(default_factory=dict)
    """The cap in effect: it falls no faster than money comes back."""
    slack: dict[LeaseKey, int] = field(default_factory=dict)
    """By how much a fork may have spent a lease once more."""
    old: bool = False
    """The database was restored, and has not heard from every sidecar yet."""
    rows_written: int = -1
    """How many rows the control plane had ever written when they were last read."""
    read: tuple[object, ...] = ()
    """All that was last read."""
    settled: bool = False
    """It was read twice: a cap in effect follows what came back before the last look."""

    def look(self, simulation: "Simulation") -> None:
        """Read the books, and hold them to what must be so. Raises ViolationError.

        Where nothing was written since, they are as they were; what was billed may not be.
        """
        written = simulation.headquarters.rows_written
        if written == self.rows_written and not self.old:
            check_truth(simulation)
            return
        self.rows_written = written
        periods, leases, meta = simulation.headquarters.look(_read)
        read = ([*map(_values, periods)], [*map(_values, leases)], meta)
        same, self.read = read == self.read, read
        if same and self.settled and not self.old:
            check_truth(simulation)
            return
        self.settled = same
        found = {_key(row): row for row in periods}
        sums: dict[LeaseKey, list[int]] = {key: [0, 0, 0] for key in found}
        serials: dict[Holding, int] = {}
        numbers: dict[Holding, Numbers] = {}
        for row in leases:
            key = _key(row)
            granted, returned = row["granted_nano_usd"], row["returned_nano_usd"]
            spent = row["spent_nano_usd"]
            holding = (row["sidecar_id"], row["epoch"], key)
            numbers[holding] = (granted, returned, spent)
            serials[holding] = row["serial"]
            lump, released = row["lump_nano_usd"], row["released_nano_usd"]
            entry = sums[key]
            entry[0] += granted - returned - released
            entry[1] += spent + lump
            if row["state"] == "ORPHANED":
                entry[2] += granted - returned - spent - lump - released
        self._widen(simulation.forked, numbers)
        for key, row in found.items():
            _check_period(key, row, sums[key])
            self._check_cap(key, row)
        self._check_growth(numbers, serials, meta[0])
        self.periods, self.leases, self.serials = found, numbers, serials
        self.generation = meta[0]
        if self.old and simulation.headquarters.up and not meta[1]:
            self.old = False
        check_truth(simulation)

    def _widen(self, forked: set[str], numbers: dict[Holding, Numbers]) -> None:
        """What is granted to a forked journal before the fork is found may be spent twice too."""
        for holding, (granted, _, _) in numbers.items():
            if holding[0] in forked:
                before = self.leases.get(holding, (0, 0, 0))[0]
                self.slack[holding[2]] = self.slack.get(holding[2], 0) + max(0, granted - before)

    def forget(self) -> None:
        """The database is an older one from now on; the caps in effect stay what they were."""
        self.periods, self.leases, self.serials = {}, {}, {}
        self.generation = 0
        self.old = True
        self.rows_written = -1
        self.settled = False

    def _check_cap(self, key: LeaseKey, row: Row) -> None:
        """Money is only granted below the cap; a lower cap waits for what is out already."""
        cap, allocated = row["cap_nano_usd"], row["allocated_nano_usd"]
        overrun = row["overrun_nano_usd"] + row["overshoot_nano_usd"]
        if cap is None:
            self.allowed.pop(key, None)
            return
        before = self.allowed.get(key, cap)
        net = allocated - overrun
        was = self.periods.get(key)
        held = 0
        if was is not None:
            beyond = was["overrun_nano_usd"] + was["overshoot_nano_usd"]
            held = was["allocated_nano_usd"] - beyond
        self.allowed[key] = max(cap, min(before, max(net, held)))
        if self.old:
            self.allowed[key] = max(cap, before)
        elif net > max(cap, held):
            words = f"{name_of(key)}: {net} allocated above the cap of {cap}, {held} before"
            must(False, "I1 grant", words)

    def _check_growth(
        self, numbers: dict[Holding, Numbers], serials: dict[Holding, int], generation: int
    ) -> None:
        if self.old:
            return
        must(generation >= self.generation, "serials", "the generation fell")
        for holding, before in self.leases.items():
            now = numbers.get(holding, (0, 0, 0))
            if now == before:
                continue
            must(
                now[0] >= before[0] and now[1] >= before[1],
                "three numbers",
                f"{holding}: granted or returned fell from {before} to {now}",
            )
        for holding, serial in self.serials.items():
            if serials.get(holding, 0) < serial:
                must(False, "serials", f"{holding}: the serial fell")


def _read(tx: Tx) -> tuple[list[Row], list[Row], tuple[int, bool]]:
    periods = tx.rows("SELECT * FROM period")
    leases = tx.rows("SELECT * FROM lease")
    meta = tx.row("SELECT generation, mode FROM meta")
    assert meta is not None
    return list(periods), list(leases), (meta["generation"], meta["mode"] == "LEARNING")


_values: Callable[[Any], tuple[object, ...]] = tuple
"""All columns of a row, in their order."""


def _key(row: Row) -> LeaseKey:
    return LeaseKey(row["budget_id"], row["partition"], row["period_id"])


def name_of(key: LeaseKey) -> str:
    """A budget period in words."""
    return "/".join(part for part in key if part)


def _check_period(key: LeaseKey, row: Row, sums: list[int]) -> None:
    """Allocated is what leases have and what is booked beside them; spent never passes it."""
    beside = row["overrun_nano_usd"] + row["counted_nano_usd"] + row["corrected_nano_usd"]
    allocated, spent = row["allocated_nano_usd"], row["spent_nano_usd"]
    leased, spent_of_leases, orphaned = sums
    if (
        allocated == leased + beside
        and spent == spent_of_leases + beside
        and spent <= allocated
        and row["orphan_hold_nano_usd"] == orphaned
    ):
        return  # The words below cost more than all the rest, and nobody would read them.
    must(
        allocated == leased + beside,
        "allocated",
        f"{name_of(key)}: {allocated} allocated, but {leased} leased and {beside} beside",
    )
    must(
        spent == spent_of_leases + beside,
        "spent",
        f"{name_of(key)}: {spent} spent, but {spent_of_leases} of leases and {beside} beside",
    )
    must(spent <= allocated, "spent", f"{name_of(key)}: {spent} spent of {allocated} allocated")
    must(
        row["orphan_hold_nano_usd"] == orphaned,
        "orphans",
        f"{name_of(key)}: {row['orphan_hold_nano_usd']} held for orphans that have {orphaned}",
    )


def check_truth(simulation: "Simulation") -> None:
    """I1: what was billed, overruns taken off, stays below the cap, and below what was granted.

    A call that is under way counts with its worst case: that much may be billed for it yet.
    """
    books = simulation.books
    for key, truth in simulation.provider.truth.items():
        slack = books.slack.get(key, 0)
        allowed = books.allowed.get(key)
        if allowed is not None and truth > allowed + slack:
            must(False, "I1 cap", f"{name_of(key)}: {truth} billed or under way, {allowed} allowed")
        row = books.periods.get(key)
        if row is None or books.old:
            continue
        granted = row["allocated_nano_usd"] - row["overrun_nano_usd"] - row["counted_nano_usd"]
        if truth > granted + slack:
            must(
                False, "I1 proof", f"{name_of(key)}: {truth} billed or under way, {granted} granted"
            )


def check_leases(simulation: "Simulation", name: str) -> None:
    """The three numbers of every lease of a host's processes, against the control plane's."""
    books = simulation.books
    for life in simulation.hosts[name].lives:
        if not life.dead and life.ready.is_set():
            for lease in life.allowance:
                _check_lease(books, life, lease)


def _check_lease(books: Books, life: "Life", lease: Lease) -> None:
    if lease.available_nano_usd < 0:
        words = f"{life.name} {name_of(lease.key)}: {lease.available_nano_usd} available"
        must(False, "lease", words)
    if life.journal.epoch == 0 or books.old or life.disk.journal.forked:
        return
    if life.simulation.restores and life.disk is not life.host.disk:
        return  # An old disk may know of grants that a restored database holds for unknown ones.
    if life.simulation.restores and life.host.revoked:
        # Nobody waits for a revoked one: learning may end before it told what a restored database
        # forgot. The room for that is held for the unknown holder, which I1 proof counts.
        return
    known = books.leases.get((life.host.sidecar_id, life.journal.epoch, lease.key))
    if known is None and life.simulation.restores and life.host.old_disk_returned:
        # The old disk may have spoken for it, so that learning ended before it came itself.
        return
    granted, returned, _ = known or (0, 0, 0)
    if lease.granted_nano_usd <= granted and lease.returned_nano_usd >= returned:
        return
    where = f"{life.name} {name_of(lease.key)}"
    must(
        lease.granted_nano_usd <= granted,
        "g <= G",
        f"{where}: {lease.granted_nano_usd} here, {granted} there",
    )
    must(
        lease.returned_nano_usd >= returned,
        "r >= R",
        f"{where}: {lease.returned_nano_usd} here, {returned} there",
    )


def check_refusal(life: "Life", refusal: Refusal, worst_nano_usd: int, attributes: Any) -> None:
    """I3: cut off with money and authority, a call is not refused for want of a control plane."""
    admission = life.admission
    if refusal.reason is not Reason.UNREACHABLE or not admission.away or len(admission.waiting):
        return
    now = life.clock.now()
    if admission.paused or admission._journal.failure is not None:
        return
    route = admission._routes.route(attributes)
    leases = [account.lease_at(now.unix_ms) for account in route.accounts]
    enough = bool(leases) and all(
        lease is not None
        and lease.usable(now.boot_ms)
        and lease.available_nano_usd >= worst_nano_usd
        for lease in leases
    )
    must(
        not enough,
        "I3 offline",
        f"{life.name} refused a call of {worst_nano_usd} as unreachable that its leases cover: "
        + "; ".join(
            f"{name_of(lease.key)} has {lease.available_nano_usd}, told {lease.latest}"
            for lease in leases
            if lease is not None
        ),
    )
