"""Calls that hold money: opened once, by one line of the journal, and ended once, by another.

What a call holds is set aside and written down in the same step, and so is what becomes of it: no
await lies between the two, so that nothing can come between what the allowance and the journal say.
"""

import trio

from protos.bursar.sidecar.v1 import Record
from sidecar.core.admission import Case, Open
from sidecar.core.allowance import Allowance
from sidecar.core.calls import Hold, Settlement
from sidecar.core.instants import Now
from sidecar.core.leases import Lease
from sidecar.core.refusals import Refusal
from sidecar.runtime import translate
from sidecar.runtime.journal import DISK_FULL, Group, Journal, journal_refusal
from sidecar.telemetry import Log


class OpenCall:
    """A call that holds money."""

    __slots__ = ("group", "hold", "leases", "number", "record")

    def __init__(
        self,
        *,
        hold: Hold,
        leases: tuple[Lease, ...],
        record: Record,
        number: int,
        group: Group,
    ) -> None:
        """Take what was set aside and written down; the call may go out when the group is safe."""
        self.hold = hold
        self.leases = leases
        self.record = record
        self.number = number
        self.group = group


class Waiter:
    """A task that waits until its call is opened or refused."""

    __slots__ = ("done", "opened", "refusal")

    def __init__(self) -> None:
        """Begin to wait."""
        self.done = trio.Event()
        self.opened: OpenCall | None = None
        self.refusal: Refusal | None = None


class OpenCalls:
    """All calls that hold money, by their ids."""

    def __init__(self, journal: Journal, allowance: Allowance, log: Log) -> None:
        """Begin with none."""
        self._journal = journal
        self._allowance = allowance
        self._log = log
        self._calls: dict[str, OpenCall] = {}

    def __len__(self) -> int:
        return len(self._calls)

    def begin(self, case: Case, plan: Open, region: str, now: Now) -> OpenCall:
        """Set a call's worst case aside and add its OPEN to the journal."""
        leases = plan.leases
        self._allowance.hold(leases, plan.limited.worst_nano_usd, now.boot_ms)
        hold = Hold(
            call_id=case.call_id,
            call=case.call,
            worst_nano_usd=plan.limited.worst_nano_usd,
            output_limit=plan.limited.output_limit,
            started_unix_ms=now.unix_ms,
            waited_ms=now.boot_ms - case.since_boot_ms,
        )
        record = translate.record_begun(
            hold, [lease.key for lease in leases], case.route.counted_beside(leases), region
        )
        number, group = self._journal.open_call(translate.open_to_wire(record))
        opened = OpenCall(hold=hold, leases=leases, record=record, number=number, group=group)
        self._calls[hold.call_id] = opened
        return opened

    def leases(self, hold: Hold) -> tuple[Lease, ...]:
        """The leases that a call holds money of."""
        return self._calls[hold.call_id].leases

    def settle(self, hold: Hold, outcome: Settlement, now: Now) -> tuple[Lease, ...]:
        """End a call by what it cost; returns the leases on which money came free.

        What a bill has above the worst case is an overrun: told beside it, and an alarm.
        """
        opened = self._calls.pop(hold.call_id)
        worst_nano_usd = hold.worst_nano_usd
        amount_nano_usd = min(outcome.cost_nano_usd, worst_nano_usd)
        self._allowance.settle(opened.leases, worst_nano_usd, amount_nano_usd)
        self._journal.record(
            lambda seq: translate.settle_to_wire(
                opened.record, seq, outcome, amount_nano_usd, now.unix_ms
            ),
            now,
            ends=opened.number,
            leases=opened.leases,
        )
        if outcome.cost_nano_usd > worst_nano_usd:
            self._overrun(opened, outcome.cost_nano_usd - worst_nano_usd, now)
        return opened.leases

    def void(self, hold: Hold, outcome: Settlement, now: Now) -> tuple[Lease, ...]:
        """End a call that cost nothing; returns the leases on which money came free."""
        assert outcome.cost_nano_usd == 0
        opened = self._calls.pop(hold.call_id)
        self._allowance.settle(opened.leases, hold.worst_nano_usd, 0)
        self._journal.record(
            lambda seq: translate.void_to_wire(opened.record, seq, outcome, now.unix_ms),
            now,
            ends=opened.number,
            leases=opened.leases,
        )
        return opened.leases

    def never_written(self, opened: OpenCall) -> None:
        """The journal could not take a call's OPEN: it did not go out, and nobody is told of it."""
        del self._calls[opened.hold.call_id]
        self._allowance.settle(opened.leases, opened.hold.worst_nano_usd, 0)

    def tell_of_journal(self) -> None:
        """Say in the log that the journal can be written no more, or again."""
        failure = self._journal.failure
        if failure is None:
            self._log.info("disk_has_room")
            return
        remedy = journal_refusal(failure).message
        if failure == DISK_FULL:
            self._log.alarm("disk_full", remedy=remedy)
        else:
            self._log.alarm("journal_failed", cause=failure, remedy=remedy, open_calls=len(self))

    def _overrun(self, opened: OpenCall, excess_nano_usd: int, now: Now) -> None:
        leases, call_id = opened.leases, opened.hold.call_id
        keys = [lease.key for lease in leases]
        self._allowance.overrun(leases, self._journal.last_seq + 1)
        self._journal.record(
            lambda seq: translate.overrun_to_wire(seq, call_id, excess_nano_usd, keys),
            now,
            leases=leases,
        )
        self._log.alarm(
            "overrun",
            call_id=call_id,
            provider=opened.hold.call.provider,
            model=opened.hold.call.attributes.model,
            worst_nano_usd=opened.hold.worst_nano_usd,
            excess_nano_usd=excess_nano_usd,
        )
