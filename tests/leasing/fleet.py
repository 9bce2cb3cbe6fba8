"""A sidecar in virtual time: the real allowance, queues, cadence and admission decision.

It does what the sidecar's runtime does around them, step by step, without its journal, its event
loop and its proxy: an OPEN is durable at once, and a record when it is made.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from control_plane.core.leases import BudgetRef, PeriodKey
from control_plane.core.reports import GrantAnswer, LeaseReport, Left, Offer, WaitingCall
from control_plane.limits import SYNC_INTERVAL_MS
from protos.values.selectors import Attributes
from sidecar.core.admission import Case, Circumstances, Open, Refuse, Route, decide, route_of
from sidecar.core.allowance import Allowance, LeaseLevels
from sidecar.core.cadence import Cadence
from sidecar.core.clamping import OutputLengths
from sidecar.core.leases import Account, Grant, Lease, LeaseKey
from sidecar.core.policy import Policy
from sidecar.core.refusals import Reason
from sidecar.core.waiting import DemandLevel, Waiting
from sidecar.limits import (
    FREED_WAIT_MS,
    PATIENCE_MS,
    RECONNECT_MAX_MS,
    RECONNECT_MIN_MS,
    RECORDS_WAIT_MS,
    UNREACHABLE_PATIENCE_MS,
    WAITING_RECORDS_MAX,
)
from tests.leasing.ledger import Decided, Told
from tests.leasing.loop import Loop, Network
from tests.leasing.truth import Planned, Truth
from tests.sidecar.builders import new_call

_MS = 1_000


@dataclass(slots=True)
class Opened:
    """A call that is at its provider."""

    planned: Planned
    leases: tuple[Lease, ...]


@dataclass(slots=True)
class _Sent:
    """A Sync that is not answered yet."""

    sync_no: int
    boot_ms: int
    records: int
    leases: list[Lease]


class Sidecar:
    """One sidecar of the fleet."""

    def __init__(
        self,
        name: str,
        around: tuple[Loop, Network, Truth],
        policy: Policy,
        ask: Callable[[str, Told], None],
    ) -> None:
        """Take its name, the world, its policy, and how a Sync is handed in."""
        self.name = name
        self._loop, self._network, self._truth = around
        self._policy = policy
        self._ask = ask
        self._routes: dict[Attributes, Route] = {}
        self._lengths = OutputLengths()
        self.allowance = Allowance()
        self.waiting = Waiting()
        self.cadence = Cadence()
        self.planned: dict[str, Planned] = {}
        """The calls that wait, by id."""
        self.away = True
        self.sent_syncs = 0
        self.money_syncs = 0
        """Those that money made go out when they did: they would not have been due yet."""
        self.need_syncs = 0
        """Those that went out while a call waited, or for money, whether they were due or not."""
        self._unmoved = Cadence()
        """When Syncs would be due if money moved none: by their interval, and with records."""
        self._sync_no = self._answered_sync_no = 0
        self._in_flight: _Sent | None = None
        self._timer = 0
        self._records: deque[int] = deque()
        self._answered_boot_ms = -UNREACHABLE_PATIENCE_MS
        self._failing_since: int | None = None

    # --- Calls -------------------------------------------------------------------------------

    def arrive(self, planned: Planned) -> None:
        """Somebody makes a call."""
        now = self._loop.now()
        planned.came_us = self._loop.now_us
        case = Case(
            call_id=f"call_{planned.number:07}",
            call=new_call(
                planned.worst,
                of=Attributes(planned.project, "key", planned.workflow, "model"),
            ),
            since_boot_ms=now.boot_ms,
            patience_ms=PATIENCE_MS,
            route=self._route(planned),
        )
        claims = self.waiting.claims(case.route.accounts, now, away=self.away)
        plan = decide(case, self._circumstances(), claims=claims)
        if isinstance(plan, Open):
            self._hold(planned, plan)
            return
        if isinstance(plan, Refuse):
            self._refuse(planned, plan.refusal.reason)
            return
        case.asked, case.hopeful = plan
        if not self.waiting.add(case):
            self._refuse(planned, Reason.BUSY)
            return
        self.planned[case.call_id] = planned
        self._loop.after(UNREACHABLE_PATIENCE_MS * _MS, self._impatient, case, False)
        self._loop.after(PATIENCE_MS * _MS, self._impatient, case, True)
        self._tell_by(self.waiting.tell_by_boot_ms(self.cadence.sent_boot_ms))

    def _route(self, planned: Planned) -> Route:
        attributes = Attributes(planned.project, "key", planned.workflow, "model")
        route = self._routes.get(attributes)
        if route is None:
            route = self._routes[attributes] = route_of(self._policy, attributes, self.allowance)
        return route

    def _circumstances(self) -> Circumstances:
        return Circumstances(
            now=self._loop.now(), away=self.away, heard=True, paused=False, lengths=self._lengths
        )

    def _hold(self, planned: Planned, plan: Open) -> None:
        now = self._loop.now()
        self.allowance.hold(plan.leases, plan.limited.worst_nano_usd, now.boot_ms)
        self._truth.opened(planned, self._loop.now_us)
        self._loop.after(planned.lasts_us, self._settle, Opened(planned, plan.leases))
        if not self.cadence.refill and any(lease.runs_low for lease in plan.leases):
            self.cadence.refill = True
            self._poke()

    def _settle(self, opened: Opened) -> None:
        planned, now = opened.planned, self._loop.now()
        self.allowance.settle(opened.leases, planned.worst, planned.cost)
        self._truth.ended(planned)
        self._record()
        if len(self.waiting):
            self._try_waiting()
        if self.waiting.fits(opened.leases, now) or any(
            lease.hurries(now) for lease in opened.leases
        ):
            self._tell_by(now.boot_ms + FREED_WAIT_MS)
        elif len(self._records) in (1, WAITING_RECORDS_MAX):
            self._poke()

    def _try_waiting(self, named: frozenset[str] = frozenset(), *, every: bool = False) -> None:
        if len(self.waiting):
            self.waiting.scan(self._attempt, self._loop.now(), named, away=self.away, every=every)

    def _attempt(self, case: Case, named: bool, claims: Mapping[Account, int]) -> bool:
        plan = decide(case, self._circumstances(), named=named, claims=claims)
        if isinstance(plan, Open):
            self._hold(self.planned.pop(case.call_id), plan)
            return True
        if isinstance(plan, Refuse):
            self._refuse(self.planned.pop(case.call_id), plan.refusal.reason)
            return True
        case.asked, case.hopeful = plan
        return False

    def _impatient(self, case: Case, last: bool) -> None:
        """A waiting call has waited long enough for a silent control plane, or for anything."""
        if case.call_id not in self.planned:
            return
        silent_ms = self._loop.now().boot_ms - self._answered_boot_ms
        long_silent = self.away and silent_ms >= UNREACHABLE_PATIENCE_MS
        if not last and not long_silent:
            return
        self.waiting.remove(case)
        planned = self.planned.pop(case.call_id)
        self._tell_by(self.waiting.tell_by_boot_ms(self.cadence.sent_boot_ms))
        self._try_waiting()
        if self.away:
            # Cut off, those it left room for are served by nobody either.
            plan = decide(case, self._circumstances())
            if isinstance(plan, Open):
                self._hold(planned, plan)
                return
        self._refuse(planned, Reason.UNREACHABLE if self.away else Reason.BUSY)

    def _refuse(self, planned: Planned, reason: Reason) -> None:
        self._truth.was_refused(planned, self._loop.now_us, reason.value)

    # --- Syncs -------------------------------------------------------------------------------

    def hurry(self) -> None:
        """Let the next Sync go out as soon as it may."""
        self.cadence.urgent = True
        self._poke()

    def _tell_by(self, boot_ms: int | None) -> None:
        if self.cadence.tell_by(boot_ms):
            self._poke()

    def begin(self) -> None:
        """Register: the first Sync goes out."""
        self.hurry()

    def _record(self) -> None:
        self._records.append(self._loop.now().boot_ms)

    def _poke(self) -> None:
        if self._in_flight is None:
            self._timer += 1
            self._loop.at(
                (self._due_boot_ms(self.cadence) - self._loop.now().boot_ms) * _MS
                + self._loop.now_us,
                self._wake,
                self._timer,
            )

    def _due_boot_ms(self, cadence: Cadence) -> int:
        return cadence.due_boot_ms(
            waiting=len(self.waiting) > 0,
            asked=cadence is self.cadence and self.waiting.asked,
            records=len(self._records),
            records_since_boot_ms=self._records[0] if self._records else None,
        )

    def _wake(self, timer: int) -> None:
        if timer != self._timer or self._in_flight is not None:
            return
        if self._due_boot_ms(self.cadence) > self._loop.now().boot_ms:
            self._poke()
        else:
            self._sync()

    def _sync(self) -> None:
        now = self._loop.now()
        waiting = len(self.waiting) > 0
        cadence = self.cadence
        in_need = cadence.tell_by_boot_ms is not None or waiting
        self.need_syncs += cadence.urgent or cadence.refill or in_need
        self.money_syncs += self._due_boot_ms(self._unmoved) > now.boot_ms
        jitter = self._loop.chance.getrandbits(32)
        cadence.sent(now.boot_ms, jitter)
        self._unmoved.sent(now.boot_ms, jitter)
        if not self.away:
            self._give_back(self.allowance.take_returns(now))
        whole = self.cadence.tells_all(now.boot_ms)
        leases = self.allowance.reportable(now) if whole else self.allowance.changed()
        reports = tuple(report_of(self.allowance.levels(lease, now)) for lease in leases)
        for lease in leases:
            lease.changed = False
        self._sync_no += 1
        self.sent_syncs += 1
        told = Told(
            sync_no=self._sync_no,
            evidence={
                period_of(lease.key): (lease.returned_nano_usd, lease.spent_nano_usd)
                for lease in leases
            },
            leases=reports,
            demands=tuple(demand_of(each) for each in self.waiting.demands(now)),
        )
        self._in_flight = _Sent(self._sync_no, now.boot_ms, len(self._records), leases)
        self._network.send(self._ask, self.name, told)
        deadline_ms = self.cadence.deadline_ms(waiting=waiting)
        self._loop.after(deadline_ms * _MS, self._unanswered, self._sync_no)

    def _unanswered(self, sync_no: int) -> None:
        sent = self._in_flight
        if sent is None or sent.sync_no != sync_no:
            return
        for lease in sent.leases:
            lease.changed = True
        self._in_flight = None
        sent_boot_ms = sent.boot_ms
        cadence, now = self.cadence, self._loop.now()
        if self._failing_since is None:
            self._failing_since = sent_boot_ms
        cadence.failures += 1
        pause_ms = min(RECONNECT_MIN_MS << min(cadence.failures - 1, 8), RECONNECT_MAX_MS)
        cadence.no_later_than(now.boot_ms + pause_ms)
        cadence.pause_boot_ms = now.boot_ms + min(pause_ms, RECONNECT_MIN_MS)
        self.away = True
        self._try_waiting(every=True)
        down_ms = now.boot_ms - self._failing_since
        if down_ms >= UNREACHABLE_PATIENCE_MS:
            for case in self.waiting.cases():
                if case.since_boot_ms <= sent_boot_ms:
                    self.waiting.remove(case)
                    self._refuse(self.planned.pop(case.call_id), Reason.UNREACHABLE)
        self._poke()

    def answered(self, answer: Decided) -> None:
        """The answer to a Sync arrives."""
        sent = self._in_flight
        if sent is None or sent.sync_no != answer.sync_no:
            return
        self._in_flight = None
        self._answered_sync_no = answer.sync_no
        for _ in range(sent.records):
            self._records.popleft()
        now, sent_boot_ms = self._loop.now(), sent.boot_ms
        leases = [
            self.allowance.merge(grant_of(told), sent_boot_ms, renews=True)
            for told in answer.leases
        ]
        self._failing_since = None
        self.cadence.answered(now.boot_ms - sent_boot_ms)
        self.away = False
        self._answered_boot_ms = sent_boot_ms
        self.cadence.no_later_than(sent_boot_ms + answer.next_sync_ms)
        self._unmoved.no_later_than(sent_boot_ms + SYNC_INTERVAL_MS)
        self._try_waiting(frozenset(answer.named), every=True)
        assert not answer.hopeless, "no window turns here"
        self._tell_of_the_rest(leases, sent_boot_ms)
        self._poke()

    def _tell_of_the_rest(self, leases: list[Lease], boot_ms: int) -> None:
        """Money that came for nobody, and calls that nobody was told of."""
        self.cadence.tell_by(self.waiting.tell_by_boot_ms(self.cadence.sent_boot_ms))
        idle = [lease for lease in leases if lease.direct and lease.available_nano_usd > 0]
        if any(lease.wanted_at(boot_ms) for lease in idle):
            self.cadence.tell_by(boot_ms + FREED_WAIT_MS)
        elif idle:
            self.cadence.no_later_than(boot_ms + RECORDS_WAIT_MS)

    # --- Watch -------------------------------------------------------------------------------

    def beat(self) -> None:
        """The stream shows that it reaches us, by a heartbeat or anything else."""
        self.cadence.stream_boot_ms = self._loop.now().boot_ms

    def recalled(self, key: PeriodKey, keep_nano_usd: int) -> None:
        """Others need money that is here."""
        self.beat()
        lease = self.allowance.recall(
            LeaseKey(key.budget_id, key.partition, key.period_id), keep_nano_usd
        )
        if lease is not None:
            self._give_back([lease])
        self.hurry()

    def offered(self, offer: Offer) -> None:
        """Waiting calls of ours may have money, or can have none."""
        self.beat()
        if offer.sync_no < self._answered_sync_no:
            return
        boot_ms = self._loop.now().boot_ms
        leases = [self.allowance.merge_offer(grant_of(told), boot_ms) for told in offer.leases]
        self._try_waiting(frozenset(offer.named), every=True)
        self._tell_of_the_rest(leases, boot_ms)
        self._poke()

    def left(self, left: Left) -> None:
        """So much is left of a period."""
        self.beat()
        key = LeaseKey(left.lease.budget_id, left.lease.partition, left.lease.period_id)
        if self.allowance.lower(key, left.cap_version, left.unspent_nano_usd):
            self._try_waiting(every=True)

    def nudged(self) -> None:
        """A call of ours could be named."""
        self.beat()
        self.hurry()

    def _give_back(self, leases: list[Lease]) -> None:
        for _ in leases:
            self._record()


def period_of(key: LeaseKey) -> PeriodKey:
    """A lease's name in the control plane's words."""
    return PeriodKey(key.budget_id, key.partition, key.period_id)


def report_of(told: LeaseLevels) -> LeaseReport:
    """What crosses the wire about a lease."""
    return LeaseReport(
        lease=period_of(told.key),
        granted_seen_nano_usd=told.granted_seen_nano_usd,
        returned_nano_usd=told.returned_nano_usd,
        held_nano_usd=told.held_nano_usd,
        available_nano_usd=told.available_nano_usd,
        open_calls=told.open_calls,
        want_nano_usd=told.want_nano_usd,
        median_worst_nano_usd=told.median_worst_nano_usd,
        smallest_worst_nano_usd=told.smallest_worst_nano_usd,
        idle_ms=told.idle_ms,
        serial_seen=told.serial_seen,
    )


def demand_of(told: DemandLevel) -> WaitingCall:
    """What crosses the wire about a waiting call."""
    return WaitingCall(
        call_id=told.call_id,
        age_ms=told.age_ms,
        worst_nano_usd=told.worst_nano_usd,
        budgets=tuple(sorted(BudgetRef(ref.budget_id, ref.partition) for ref in told.budgets)),
        patience_ms=told.patience_ms,
    )


def grant_of(told: GrantAnswer) -> Grant:
    """What crosses the wire about a lease's grant."""
    return Grant(
        key=LeaseKey(told.lease.budget_id, told.lease.partition, told.lease.period_id),
        period_start_unix_ms=told.period_start_unix_ms,
        period_end_unix_ms=told.period_end_unix_ms,
        granted_nano_usd=told.granted_nano_usd,
        serial=told.serial,
        authority_ms=told.authority_ms,
        keep_nano_usd=told.keep_nano_usd,
        unspent_nano_usd=told.unspent_nano_usd,
        reachable_nano_usd=told.reachable_nano_usd,
        cap_version=told.cap_version,
        cap_nano_usd=told.cap_nano_usd,
        spent_nano_usd=told.spent_nano_usd,
        held_nano_usd=told.held_nano_usd,
        silent_sidecar=told.silent_sidecar,
        smallest_worst_nano_usd=told.smallest_worst_nano_usd,
        frozen=told.frozen,
        short=told.short,
        free_nano_usd=told.free_nano_usd,
        patient_ms=told.patient_ms,
    )
