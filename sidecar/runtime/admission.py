"""Admission: the door that every call passes before it may cost money.

The shell around the pure decision: it holds, writes OPEN, waits until that is durable, looks once
more whether authority lasts, and only then lets the call go. What a call holds ends by `settle` or
`void`, exactly once, and by nothing else.
"""

from collections.abc import Iterable, Mapping
from functools import partial

import trio

from protos.telemetry.traces import Started
from protos.values.ids import CALL, RANDOM_BYTES, make_id
from protos.values.quantities import OUTPUT
from protos.values.selectors import Attributes
from sidecar.clock import KeptClock
from sidecar.core.admission import (
    NO_CLAIMS,
    Case,
    Circumstances,
    Open,
    Refuse,
    decide,
    give_up,
    left_nano_usd,
    levels_of,
    standing_refusal,
    workflow_key,
)
from sidecar.core.allowance import Allowance
from sidecar.core.cadence import Cadence
from sidecar.core.calls import Hold, NewCall, Outcome, Settlement
from sidecar.core.clamping import OutputLengths
from sidecar.core.instants import Now
from sidecar.core.leases import Account, Lease
from sidecar.core.observer import Nobody, Observer
from sidecar.core.policy import Policy
from sidecar.core.rate_limits import Taken
from sidecar.core.refusals import Reason, Refusal, Refused, plain_refusal
from sidecar.core.routing import is_above
from sidecar.core.tallies import Tallies
from sidecar.core.waiting import Waiting
from sidecar.entropy import Entropy
from sidecar.limits import (
    FREED_WAIT_MS,
    OPEN_CALLS_MAX,
    PATIENCE_MS,
    UNREACHABLE_PATIENCE_MS,
    WAITING_RECORDS_MAX,
)
from sidecar.runtime import translate
from sidecar.runtime.journal import Journal, JournalFailedError, journal_refusal
from sidecar.runtime.open_calls import OpenCall, OpenCalls, Waiter
from sidecar.runtime.route_table import RouteTable
from sidecar.runtime.secrets import ProviderSecrets
from sidecar.runtime.throttle import Throttle
from sidecar.telemetry import Log

_UNSENT = Settlement(outcome=Outcome.NOT_SENT)
_NOBODY = Nobody()


class Admission:
    """Holds money for calls, from leases, under a policy."""

    def __init__(
        self,
        *,
        journal: Journal,
        clock: KeptClock,
        entropy: Entropy,
        secrets: ProviderSecrets,
        log: Log,
        region: str = "",
        observer: Observer = _NOBODY,
    ) -> None:
        """Begin with no policy and no leases."""
        self._observer = observer
        self._journal = journal
        self._clock = clock
        self._entropy = entropy
        self.secrets = secrets
        """What calls are made with at providers."""
        self._log = log
        self._region = region
        self._waiters: dict[str, Waiter] = {}
        self._answered_boot_ms = -UNREACHABLE_PATIENCE_MS
        self._lengths = OutputLengths()
        self.allowance = Allowance()
        self._routes = RouteTable(self.allowance)
        self._open = OpenCalls(journal, self.allowance, log)
        self.waiting = Waiting()
        self.throttle = Throttle(clock, self._ask_for_more)
        self.tallies = Tallies()
        self.cadence = Cadence()
        self.poked = trio.Event()
        """Set when the cadence changed."""
        self.away = True
        """Nobody is there: calls go by what is here alone."""
        self.silent = True
        """The last Sync failed, or none was sent yet: nothing goes back."""
        self.heard_until_boot_ms = 0
        """Until when calls that no capped budget counts may open."""
        self.fenced = False
        """Another journal goes under this sidecar's name."""
        self.draining = False
        """The sidecar is about to end."""
        journal.noticed = self._journal_noticed

    # --- What the proxy asks -----------------------------------------------------------------

    @property
    def policy(self) -> Policy:
        """The snapshot in force."""
        return self._routes.policy

    def closed(self) -> Refusal | None:
        """What stops every call, whatever it asks for; None when nothing does."""
        if self.draining:
            return plain_refusal(Reason.SHUTTING_DOWN)
        if self.fenced:
            return plain_refusal(Reason.FENCED)
        failure = self._journal.failure
        return None if failure is None else journal_refusal(failure)

    @property
    def open_calls(self) -> int:
        """Calls that hold money."""
        return len(self._open)

    async def open(self, call: NewCall, *, counts: bool = True) -> Hold:
        """Wait for the call's turn and hold its worst case from every matching lease.

        Returns only after the hold is durable. Raises Refused, and counts that unless it is told
        not to. Cancelled, it leaves nothing held.
        """
        now = self._clock.now()
        since_boot_ms = now.boot_ms
        taken: Taken | None = None
        try:
            if limits := self.throttle.counting(call):
                self._check_standing(call, now)
                check = partial(self._check_payable, call, since_boot_ms)
                patience_ms = self._patience_ms(call)
                taken = await self.throttle.enter(limits, call, patience_ms, check)
                now = self._clock.now()
            while True:
                opened = await self._admit(call, since_boot_ms, now)
                refusal = await self._confirm(opened)
                if refusal is None:
                    if taken is not None:
                        self.throttle.goes_out(taken, opened.hold)
                    return opened.hold
                if refusal is not _AGAIN:
                    raise Refused(refusal)
                now = self._clock.now()
        except Refused as refused:
            if counts:
                self.refused(refused.refusal, call.attributes)
            if counts and call.trace is not None:
                now = self._clock.now()
                waited_ms = now.boot_ms - since_boot_ms
                self._observer.turned_away(call, refused.refusal, waited_ms, now)
            raise
        finally:
            if taken is not None:
                self.throttle.leave(taken)

    def left_nano_usd(self, call: NewCall) -> int | None:
        """The least that is left in the call's budgets, by what was heard last."""
        return left_nano_usd(
            self._routes.route(call.attributes), self._circumstances(self._clock.now())
        )

    def may_start(self, hold: Hold) -> bool:
        """Whether a call that was opened a while ago may still go out."""
        now = self._clock.now()
        allowed = standing_refusal(self.policy, hold.call, now.unix_ms) is None
        lasts = hold.call.bound.unbilled or self._lasts(self._open.leases(hold), now)
        return allowed and not self.fenced and lasts

    def settle(self, hold: Hold, outcome: Settlement) -> None:
        """Book what the call cost and free the rest of its hold. Once per hold."""
        now = self._clock.now()
        leases = self._open.settle(hold, outcome, now)
        if outcome.outcome is Outcome.OK and OUTPUT in outcome.quantities:
            self._lengths.note(
                workflow_key(hold.call), outcome.quantities[OUTPUT], hold.call.bound.choices
            )
        self.throttle.ended(hold, outcome)
        self._freed(leases, now, urgent=outcome.cost_nano_usd > hold.worst_nano_usd)
        self._observer.ended(hold, outcome, now)

    def void(self, hold: Hold, outcome: Settlement) -> None:
        """Free the hold of a call that cost nothing. Once per hold, instead of `settle`."""
        now = self._clock.now()
        leases = self._open.void(hold, outcome, now)
        self.throttle.ended(hold, outcome)
        self._freed(leases, now)
        self._observer.ended(hold, outcome, now)

    def refused(self, refusal: Refusal, attributes: Attributes) -> None:
        """Count a refusal; unknown attributes are empty."""
        self.tallies.refused(refusal, attributes, self._clock.now().unix_ms)
        self._observer.refused(refusal, attributes)

    def traced(self, values: Mapping[bytes, bytes]) -> Started | None:
        """The span to record of a call that came with these headers; None for most calls."""
        return self._observer.begin(values)

    def is_above(self, attributes: Attributes, percent: int, beside_nano_usd: int) -> bool:
        """Whether a budget of a project is used up above a part of its cap, beside an amount."""
        levels = levels_of(self._routes.route(attributes), attributes, self._clock.now().unix_ms)
        return is_above(levels, percent, beside_nano_usd)

    # --- What the control link does ----------------------------------------------------------

    def take_policy(self, policy: Policy) -> None:
        """Put a newer snapshot in force at once; whoever waits is judged by it anew."""
        self._routes.take_policy(policy)
        self._region = policy.region
        self.throttle.take_policy(policy)
        self.secrets.take(policy)
        for case in self.waiting.take_all():
            case.route = self._routes.route(case.call.attributes)
            case.told = False
            if not self.waiting.add(case):
                self._refuse_waiter(case, self._give_up(case, Reason.BUSY))
        self.try_waiting(every=True)
        self.hurry()

    def answered(self, sent: Now) -> None:
        """A Sync was answered: the control plane is there."""
        self.away = self.silent = False
        self._answered_boot_ms = sent.boot_ms
        self._clock.keeper.asked(sent.boot_ms)

    def missed(self, sent_boot_ms: int) -> None:
        """A Sync was not answered in the short time that it was given."""
        self.silent = True
        self._clock.keeper.asked(sent_boot_ms)
        self.try_waiting()

    def unanswered(self, sent_boot_ms: int, down_since_boot_ms: int) -> None:
        """A Sync failed. When none was answered for a while, calls from before it are refused."""
        self.away = self.silent = True
        self._clock.keeper.asked(sent_boot_ms)
        self.try_waiting(every=True)
        now = self._clock.now()
        if now.boot_ms - down_since_boot_ms < UNREACHABLE_PATIENCE_MS:
            return
        old = [case for case in self.waiting.cases() if case.since_boot_ms <= sent_boot_ms]
        at = self._circumstances(now)
        for case in old:
            if not isinstance(decide(case, at), Open):
                # Not even if it were alone: those behind it need not be refused with it.
                self._refuse_waiter(case, self._give_up(case, Reason.UNREACHABLE))
        self.try_waiting(every=True)
        # They all end now, so none leaves room for another: who comes first takes what fits.
        for case in sorted(old, key=lambda case: (case.since_boot_ms, case.call_id)):
            if case.call_id not in self.waiting:
                continue
            if self._attempt(case, False, NO_CLAIMS):
                self.waiting.remove(case)
            else:
                self._refuse_waiter(case, self._give_up(case, Reason.UNREACHABLE))
        self.try_waiting(every=True)

    def try_waiting(self, named: Iterable[str] = (), *, every: bool = False) -> None:
        """Open the waiting calls whose turn it is, and refuse those that cannot be paid."""
        if every:
            self.throttle.wake()  # There is news that may stop who waits there, too.
        if len(self.waiting):
            self.waiting.scan(
                self._attempt, self._clock.now(), frozenset(named), away=self.away, every=every
            )

    def refuse_hopeless(self, call_ids: Iterable[str]) -> None:
        """Refuse waiting calls that no budget period can take."""
        for call_id in call_ids:
            case = self.waiting.case(call_id)
            if case is not None:
                self._refuse_waiter(case, self._give_up(case, Reason.EXHAUSTED))

    def give_back(self, leases: Iterable[Lease]) -> None:
        """Write down what was given back; it is told once it is durable."""
        now = self._clock.now()
        for lease in leases:
            self._journal.record(partial(translate.returned_to_wire, lease), now, leases=(lease,))

    def hurry(self) -> None:
        """Let the next Sync go out as soon as it may."""
        self.cadence.urgent = True
        self.poked.set()

    def _ask_for_more(self) -> None:
        """Let a Sync go out soon that refills: leases, or shares of rate limits."""
        if not self.cadence.refill:
            self.cadence.refill = True
            self.poked.set()

    # --- Inside --------------------------------------------------------------------------------

    def _tell_by(self, boot_ms: int | None) -> None:
        """Let the next Sync go out by then."""
        if self.cadence.tell_by(boot_ms):
            self.poked.set()

    def _standing(self, call: NewCall, now: Now) -> Refusal | None:
        """What stops any call like this one, whatever its budgets say."""
        return self.closed() or standing_refusal(self.policy, call, now.unix_ms)

    def _journal_noticed(self) -> None:
        """The journal can be written no more, or again."""
        self._open.tell_of_journal()
        self.try_waiting(every=True)
        self.hurry()

    @property
    def paused(self) -> bool:
        """Whether the machine may have slept or been copied, and nobody was asked since."""
        return self._clock.keeper.paused

    def _circumstances(self, now: Now) -> Circumstances:
        paused = self.paused
        if paused:
            self.hurry()
        return Circumstances(
            now=now,
            away=self.away,
            heard=now.boot_ms < self.heard_until_boot_ms,
            paused=paused,
            lengths=self._lengths,
        )

    def _check_standing(self, call: NewCall, now: Now) -> None:
        """Raise Refused for what stops any call like this one."""
        refusal = self._standing(call, now)
        if refusal is None and len(self._open) >= OPEN_CALLS_MAX:
            refusal = plain_refusal(Reason.OVERLOADED)
        if refusal is not None:
            raise Refused(refusal)

    def _patience_ms(self, call: NewCall) -> int:
        project = self.policy.project(call.attributes.project_id)
        return project.patience_ms if project is not None else PATIENCE_MS

    def _case(self, call: NewCall, since_boot_ms: int, call_id: str) -> Case:
        route = self._routes.route(call.attributes)
        return Case(call_id, call, since_boot_ms, self._patience_ms(call), route)

    def _check_payable(self, call: NewCall, since_boot_ms: int) -> None:
        """Raise Refused for what no room in rate limits would help a call with."""
        now = self._clock.now()
        self._check_standing(call, now)
        plan = decide(self._case(call, since_boot_ms, ""), self._circumstances(now))
        if isinstance(plan, Refuse):
            raise Refused(plan.refusal)

    async def _admit(self, call: NewCall, since_boot_ms: int, now: Now) -> OpenCall:
        self._check_standing(call, now)
        call_id = make_id(CALL, now.unix_ms, self._entropy.random_bytes(RANDOM_BYTES))
        case = self._case(call, since_boot_ms, call_id)
        claims = self.waiting.claims(case.route.accounts, now, away=self.away)
        plan = decide(case, self._circumstances(now), claims=claims)
        if isinstance(plan, Open):
            return self._hold(case, plan, now)
        if isinstance(plan, Refuse):
            raise Refused(plan.refusal)
        case.asked, case.hopeful = plan
        return await self._wait(case, now)

    async def _wait(self, case: Case, now: Now) -> OpenCall:
        if not self.waiting.add(case):
            raise Refused(self._give_up(case, Reason.BUSY))
        waiter = self._waiters[case.call_id] = Waiter()
        self._tell_by(self.waiting.tell_by_boot_ms(self.cadence.sent_boot_ms))
        left_ms = max(0, case.patience_ms - (now.boot_ms - case.since_boot_ms))
        try:
            with trio.move_on_after(min(left_ms, UNREACHABLE_PATIENCE_MS) / 1_000):
                await waiter.done.wait()
            if left_ms > UNREACHABLE_PATIENCE_MS and not self._long_silent():
                with trio.move_on_after((left_ms - UNREACHABLE_PATIENCE_MS) / 1_000):
                    await waiter.done.wait()
        except BaseException:
            if waiter.opened is not None:
                self.void(waiter.opened.hold, _UNSENT)
            raise
        finally:
            self._waiters.pop(case.call_id, None)
            self.waiting.remove(case)
            self._tell_by(self.waiting.tell_by_boot_ms(self.cadence.sent_boot_ms))
        if waiter.opened is not None:
            return waiter.opened
        if waiter.refusal is not None:
            raise Refused(waiter.refusal)
        return self._last_chance(case)

    def _last_chance(self, case: Case) -> OpenCall:
        """Patience ended. Cut off, those it left room for are served by nobody either."""
        now = self._clock.now()
        refusal = self._standing(case.call, now)
        if self.away and refusal is None:
            plan = decide(case, self._circumstances(now))
            if isinstance(plan, Open):
                return self._hold(case, plan, now)
        self.try_waiting()
        if refusal is None:
            refusal = self._give_up(case, Reason.UNREACHABLE if self.away else Reason.BUSY)
        raise Refused(refusal)

    def _long_silent(self) -> bool:
        """Whether nothing was answered for so long that nobody need wait for it."""
        silent_ms = self._clock.now().boot_ms - self._answered_boot_ms
        return self.away and silent_ms >= UNREACHABLE_PATIENCE_MS

    def _attempt(self, case: Case, named: bool, claims: Mapping[Account, int]) -> bool:  # noqa: FBT001 - as Waiting calls it
        now = self._clock.now()
        waiter = self._waiters[case.call_id]
        refusal = self._standing(case.call, now)
        if refusal is None:
            plan = decide(case, self._circumstances(now), named=named, claims=claims)
            if isinstance(plan, Open):
                waiter.opened = self._hold(case, plan, now)
                waiter.done.set()
                return True
            if not isinstance(plan, Refuse):
                case.asked, case.hopeful = plan
                return False
            refusal = plan.refusal
        waiter.refusal = refusal
        waiter.done.set()
        return True

    def _refuse_waiter(self, case: Case, refusal: Refusal) -> None:
        self.waiting.remove(case)
        waiter = self._waiters[case.call_id]
        waiter.refusal = refusal
        waiter.done.set()

    def _give_up(self, case: Case, reason: Reason) -> Refusal:
        return give_up(case, self._circumstances(self._clock.now()), reason)

    def _hold(self, case: Case, plan: Open, now: Now) -> OpenCall:
        opened = self._open.begin(case, plan, self._region, now)
        self.tallies.used(case.call.secret_id, now.unix_ms)
        if not self.cadence.refill and any(lease.runs_low for lease in opened.leases):
            self._ask_for_more()
        return opened

    def _lasts(self, leases: tuple[Lease, ...], now: Now) -> bool:
        """Whether authority lasts for a call on these leases, or on none."""
        if leases:
            return all(lease.usable(now.boot_ms) for lease in leases)
        return now.boot_ms < self.heard_until_boot_ms

    async def _confirm(self, opened: OpenCall) -> Refusal | None:
        """Wait until OPEN is durable and look once more; what may not go out holds nothing.

        Returns None when it may go out, `_AGAIN` when it must ask anew.
        """
        try:
            await self._journal.durable(opened.group)
        except JournalFailedError as error:
            self._open.never_written(opened)
            return journal_refusal(str(error))
        except BaseException:
            self.void(opened.hold, _UNSENT)
            raise
        now = self._clock.now()
        refusal = self._standing(opened.hold.call, now)
        if refusal is None:
            if opened.hold.call.bound.unbilled:
                return None
            usable = self._lasts(opened.leases, now)
            if usable and not self.paused:
                return None
            refusal = _AGAIN
        self.void(opened.hold, _UNSENT)
        return refusal

    def _freed(self, leases: tuple[Lease, ...], now: Now, *, urgent: bool = False) -> None:
        """Money came free: whoever waits may go, and others may want it."""
        if len(self.waiting):
            self.try_waiting()
        if urgent:
            self.hurry()
        elif self.waiting.fits(leases, now) or any(lease.hurries(now) for lease in leases):
            self._tell_by(now.boot_ms + FREED_WAIT_MS)
        else:
            self._told_soon()

    def _told_soon(self) -> None:
        """Let the link look again when the first record, or the last that it waits for, is in."""
        if self._journal.last_seq - self._journal.acked_seq in (1, WAITING_RECORDS_MAX):
            self.poked.set()


_AGAIN = Refusal(Reason.BUSY, "Authority ended while the call's hold was written down.")
