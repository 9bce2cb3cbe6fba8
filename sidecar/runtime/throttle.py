"""The door before the money: a call waits here until the rate limits that count it have room.

Rules.

1. What a call takes of its limits it holds until it goes out, and then it counts from that instant.
   Whatever becomes of it, it is ended exactly once.
2. Waiting owns nothing, neither room nor money. Calls of one client that are counted by the same
   limits go in the order in which they came; those of other clients never wait behind them.
3. Who would have to wait longer than its patience is told so at once, and when to come back.
4. Nothing here asks the network. Where there is too little, the next Sync is hurried, and again
   the one after it, for as long as anybody waits while others have some of the limit.
5. Nobody waits for room who could not go with it: the first of a queue looks, whenever there is
   news, whether its call is stopped by something else.
"""

from collections import deque
from collections.abc import Callable, Iterable
from typing import NamedTuple

import trio

from protos.values.quantities import TOKEN_KINDS
from sidecar.clock import Clock
from sidecar.core.calls import Hold, NewCall, Outcome, Settlement
from sidecar.core.policy import Policy
from sidecar.core.rate_limits import CallKind, Meter, Rates, Taken, amounts_of
from sidecar.core.refusals import Reason, Refusal, Refused
from sidecar.limits import (
    RATE_HOPE_MS,
    RATE_QUEUE_CALLS_MAX,
    RATE_RETRY_MS,
    RATE_WAITING_CALLS_MAX,
)

_Limits = tuple[Meter, ...]


class _Queue(NamedTuple):
    client: str
    limits: _Limits


class _Waiter:
    """A task that waits for room."""

    __slots__ = ("tokens", "woken")

    def __init__(self, tokens: int) -> None:
        self.tokens = tokens
        self.woken = trio.Event()


class Throttle:
    """Lets calls pass as their rate limits have room."""

    def __init__(self, clock: Clock, ask_for_more: Callable[[], None]) -> None:
        """Begin without limits; `ask_for_more` hurries the next Sync."""
        self._clock = clock
        self._ask_for_more = ask_for_more
        self._queues: dict[_Queue, deque[_Waiter]] = {}
        self._waiting = 0
        self._out: dict[str, Taken] = {}
        self.rates = Rates()

    def take_policy(self, policy: Policy) -> None:
        """Put a newer policy's limits in force."""
        self.rates.take_limits(policy.rate_limits)
        self.wake()

    def counting(self, call: NewCall) -> _Limits:
        """The limits that count a call; most often none, which costs nothing."""
        if not self.rates:
            return ()
        attributes = call.attributes
        return self.rates.counting(
            CallKind(attributes.project_id, attributes.key_id, call.provider, attributes.model)
        )

    async def enter(
        self, limits: _Limits, call: NewCall, patience_ms: int, check: Callable[[], None]
    ) -> Taken:
        """Wait for room and take it. Raises Refused; cancelled, it leaves nothing taken.

        `check` raises Refused for what stops the call however much room there is.
        """
        queue = _Queue(call.attributes.project_id, limits)
        boot_ms = self._clock.now().boot_ms
        tokens = call.bound.tokens
        if queue not in self._queues and self._fits(queue, tokens, boot_ms):
            return Taken(limits, queue.client, tokens, boot_ms)
        check()
        self._ask_for_more()
        amounts = amounts_of(limits, queue.client, tokens, boot_ms)
        waiters = self._queues.get(queue, ())
        wait_ms = self._wait_ms(queue, tokens, waiters, boot_ms, due=True)
        crowded = len(waiters) >= RATE_QUEUE_CALLS_MAX or self._waiting >= RATE_WAITING_CALLS_MAX
        if wait_ms is not None and wait_ms > patience_ms:
            hopeful = any(meter.may_grow(queue.client, boot_ms) for meter in limits)
            patience_ms = min(patience_ms, RATE_HOPE_MS) if hopeful else 0
        for meter, amount in zip(limits, amounts, strict=True):
            meter.waits(queue.client, amount, boot_ms)
        try:
            if crowded or not patience_ms:
                raise Refused(self._refusal(queue, tokens, waiters, boot_ms))
            return await self._wait(queue, tokens, boot_ms + patience_ms, check)
        except Refused as refused:
            if refused.refusal.reason is not Reason.RATE_LIMITED:
                raise  # It would not go with all the room there is: nothing is wanted for it.
            for meter, amount in zip(limits, amounts, strict=True):
                meter.missed(queue.client, amount, self._clock.now().boot_ms)
            raise
        finally:
            for meter, amount in zip(limits, amounts, strict=True):
                meter.waits(queue.client, -amount, boot_ms)

    async def _wait(
        self, queue: _Queue, tokens: int, until_boot_ms: int, check: Callable[[], None]
    ) -> Taken:
        waiters = self._queues.setdefault(queue, deque())
        waiter = _Waiter(tokens)
        waiters.append(waiter)
        self._waiting += 1
        try:
            while True:
                boot_ms = self._clock.now().boot_ms
                left_ms = until_boot_ms - boot_ms
                if waiters[0] is waiter:
                    check()
                    if self._fits(queue, tokens, boot_ms):
                        return Taken(queue.limits, queue.client, tokens, boot_ms)
                    wait_ms = self._wait_ms(queue, tokens, (), boot_ms)
                    pause_ms = left_ms if wait_ms is None else min(wait_ms, left_ms)
                else:
                    pause_ms = left_ms
                if left_ms <= 0:
                    raise Refused(self._refusal(queue, tokens, (), boot_ms))
                with trio.move_on_after(pause_ms / 1_000):
                    await waiter.woken.wait()
                waiter.woken = trio.Event()
        finally:
            self._waiting -= 1
            waiters.remove(waiter)
            if waiters:
                waiters[0].woken.set()
            else:
                del self._queues[queue]

    def goes_out(self, taken: Taken, hold: Hold) -> None:
        """A call may be sent from now on."""
        taken.goes_out(self._clock.now().boot_ms)
        self._out[hold.call_id] = taken
        # What it held has a time now when it is past: who waits for that can tell how long.
        self.wake()

    def leave(self, taken: Taken) -> None:
        """A call is done with its door: what did not go out gives back what it took."""
        if not taken.is_out:
            taken.ended(sent=False, tokens=None)
            self.wake()

    def ended(self, hold: Hold, outcome: Settlement) -> None:
        """A call that went out is over; others may have what it held."""
        taken = self._out.pop(hold.call_id, None)
        if taken is None:
            return
        tokens = None
        if not outcome.estimated:
            tokens = sum(outcome.quantities.get(kind, 0) for kind in TOKEN_KINDS)
        taken.ended(sent=outcome.outcome is not Outcome.NOT_SENT, tokens=tokens)
        self.wake()

    def shares_came(self) -> None:
        """The control plane was heard: there may be room, or it must be asked again for more."""
        self.wake()
        boot_ms = self._clock.now().boot_ms
        if any(
            meter.may_get_more(queue.client, boot_ms)
            for queue in self._queues
            for meter in queue.limits
        ):
            self._ask_for_more()

    def wake(self) -> None:
        """There may be room: let the first of every queue look."""
        for waiters in self._queues.values():
            waiters[0].woken.set()

    @staticmethod
    def _fits(queue: _Queue, tokens: int, boot_ms: int) -> bool:
        amounts = amounts_of(queue.limits, queue.client, tokens, boot_ms)
        return all(
            meter.fits(queue.client, amount, boot_ms)
            for meter, amount in zip(queue.limits, amounts, strict=True)
        )

    @staticmethod
    def _wait_ms(
        queue: _Queue,
        tokens: int,
        ahead: Iterable[_Waiter],
        boot_ms: int,
        *,
        due: bool = False,
    ) -> int | None:
        """How long a call would wait behind others; None where no time tells.

        Nor does time tell where there is room in what is `due`, if that is to count.
        """
        waits_ms = _waits_ms(queue, tokens, ahead, boot_ms, due=due)
        told = [wait_ms for wait_ms in waits_ms if wait_ms is not None]
        return max(told) if len(told) == len(waits_ms) else None

    def _refusal(
        self, queue: _Queue, tokens: int, ahead: Iterable[_Waiter], boot_ms: int
    ) -> Refusal:
        waits_ms = _waits_ms(queue, tokens, ahead, boot_ms)
        shown_ms = [RATE_RETRY_MS if wait_ms is None else wait_ms for wait_ms in waits_ms]
        after_ms = max(shown_ms)
        limit = queue.limits[shown_ms.index(after_ms)].limit
        window = {0: "at once", 1_000: "a second", 60_000: "a minute"}[limit.window_ms]
        whose = _whose(limit.project_id, limit.key_id, limit.provider, limit.model)
        return Refusal(
            Reason.RATE_LIMITED,
            f"The rate limit of {limit.amount} {limit.measure} {window} {whose} is reached "
            f"({limit.rate_limit_id}). Try again in {-(-after_ms // 1_000)} s; the call was not "
            "sent and cost nothing.",
            retry_after_ms=after_ms,
            fields={
                "rate_limit_id": limit.rate_limit_id,
                "measure": limit.measure,
                "amount": str(limit.amount),
                "window_ms": str(limit.window_ms),
            },
        )


def _waits_ms(
    queue: _Queue, tokens: int, ahead: Iterable[_Waiter], boot_ms: int, *, due: bool = False
) -> list[int | None]:
    """How long a call would wait for each of its limits."""
    counts = [waiter.tokens for waiter in ahead]
    waits_ms: list[int | None] = []
    amounts = amounts_of(queue.limits, queue.client, tokens, boot_ms)
    for meter, amount in zip(queue.limits, amounts, strict=True):
        before = len(counts)
        if meter.limit.measure == "tokens":
            before = sum(meter.taken_for(queue.client, count, boot_ms) for count in counts)
        if due and meter.will_fit(queue.client, amount, boot_ms, before):
            waits_ms.append(None)
        else:
            waits_ms.append(meter.wait_ms(queue.client, amount, boot_ms, before))
    return waits_ms


def _whose(project_id: str, key_id: str, provider: str, model: str) -> str:
    parts = []
    if key_id:
        parts.append("of this key")
    elif project_id:
        parts.append("of this client")
    if model:
        parts.append(f"for {model}")
    if provider:
        parts.append(f"at {provider}")
    return " ".join(parts)
