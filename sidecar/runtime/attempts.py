"""The attempts that one request makes, one after the other, until one has an answer for its caller.

Rules:
1. Each attempt holds for itself before it goes out, and has ended before the next one begins.
2. Another attempt follows only one that ended as VOID: nothing can have been billed for it, and its
   caller has not seen a byte.
3. Where nothing follows, or what follows cannot be paid, the caller gets the error that the last
   attempt met, as its provider told it.
4. A route with a cheaper model is not refused for want of money before that does not fit either.
   Where a budget came above the route's part of its cap while a call waited its turn, the turn is
   given up, and the call goes to the cheaper model.
"""

from sidecar.clock import Clock
from sidecar.core.calls import Hold, Outcome, Settlement
from sidecar.core.refusals import SHORT_OF_MONEY, Refused
from sidecar.http.codec import RequestHead
from sidecar.providers.envelopes import fault_of
from sidecar.runtime import counting
from sidecar.runtime.admission_port import AdmissionPort
from sidecar.runtime.caller import ENDING, Caller, FaultError
from sidecar.runtime.course import Course
from sidecar.runtime.drains import Drains
from sidecar.runtime.forwarding import Forwarding


class Attempts:
    """Makes the attempts of requests."""

    def __init__(self, admission: AdmissionPort, clock: Clock, drains: Drains) -> None:
        """Take what every attempt needs."""
        self._admission = admission
        self._clock = clock
        self._drains = drains

    async def make(self, course: Course, caller: Caller, head: RequestHead) -> None:
        """Answer a request. Raises FaultError, CallerGoneError."""
        hold = await self._first(course, caller)
        while True:
            attempt = Forwarding(hold, course.prepared, caller, head, self._admission, self._clock)
            if not await attempt.run(self._drains):
                return
            following = await self._following(attempt, hold, course, caller)
            if following is None:
                await attempt.tell()
                return
            hold = following

    async def _first(self, course: Course, caller: Caller) -> Hold:
        """The hold of the first attempt. Raises FaultError, CallerGoneError."""
        try:
            if course.may_be_cheaper:
                return await self._dear_or_cheaper(course, caller)
            return await self._opened(course, caller)
        except Refused as refused:
            raise FaultError(fault_of(refused.refusal)) from None

    async def _dear_or_cheaper(self, course: Course, caller: Caller) -> Hold:
        """The hold of a call that may go to a cheaper model if it does not fit. Raises Refused."""
        dear = course.prepared.call
        try:
            hold = await self._opened(course, caller, counts=False)
        except Refused as refused:
            short = refused.refusal.reason in SHORT_OF_MONEY
            if not short or not await course.goes_cheaper():
                self._admission.refused(refused.refusal, dear.attributes)
                raise
        else:
            if not course.is_late(hold, self._admission.is_above):
                return hold
            # Nothing was sent, and nothing stands between the hold and its end.
            self._admission.void(hold, Settlement(outcome=Outcome.NOT_SENT))
            await course.goes_cheaper(hold.call_id)
        return await self._opened(course, caller)

    async def _opened(self, course: Course, caller: Caller, *, counts: bool = True) -> Hold:
        """The hold of the attempt that comes next. Raises Refused, CallerGoneError."""
        caller.never_expires()
        caller.watched = True
        caller.ending = ENDING
        hold, course.prepared = await counting.opened(
            course.prepared, self._admission, self._clock, counts=counts
        )
        return hold

    async def _following(
        self, attempt: Forwarding, hold: Hold, course: Course, caller: Caller
    ) -> Hold | None:
        """The hold of an attempt that follows one which cost nothing; None when none does."""
        if not await course.goes_on(hold.call_id, attempt.failure, attempt.retry_after_ms):
            return None
        try:
            return await self._opened(course, caller, counts=False)
        except Refused:
            return None
