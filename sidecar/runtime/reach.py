"""Whether the control plane can be reached, and what follows from it: pauses, alarms, refusals."""

import grpc

from sidecar.clock import KeptClock
from sidecar.core.instants import Now
from sidecar.limits import RECONNECT_MAX_MS, RECONNECT_MIN_MS
from sidecar.runtime.admission import Admission
from sidecar.runtime.grpc_bridge import code_of, words_of
from sidecar.runtime.joining import REFUSED_CODES
from sidecar.runtime.journal import Journal, JournalFailedError
from sidecar.telemetry import Log


class Reach:
    """What came of the attempts to speak with the control plane."""

    def __init__(self, admission: Admission, journal: Journal, clock: KeptClock, log: Log) -> None:
        """Begin with no attempt made."""
        self._admission = admission
        self._journal = journal
        self._clock = clock
        self._log = log
        self._failing_since: int | None = None
        self._unreadable = False

    @property
    def failing(self) -> bool:
        """Nothing was answered since an attempt that brought nothing."""
        return self._failing_since is not None

    def answered(self, sent: Now) -> None:
        """What was sent then was answered."""
        if self.failing:
            self._log.info("control_plane_answers")
        self._failing_since = None
        self._unreadable = False
        self._admission.cadence.answered(self._clock.now().boot_ms - sent.boot_ms)
        self._admission.fenced = False

    def failed(self, sent: Now, error: grpc.RpcError, *, hasty: bool = False) -> None:
        """What was sent then ended in an error; `hasty` when it was given little time."""
        if code_of(error) in REFUSED_CODES:
            self.fence(f"the control plane refuses its credential: {words_of(error)}")
        elif not self.failing:
            self._log.warning("control_plane_silent", cause=words_of(error))
        self.vain(sent, hasty=hasty and code_of(error) is grpc.StatusCode.DEADLINE_EXCEEDED)

    def vain(self, sent: Now, *, hasty: bool = False) -> None:
        """What was sent then brought nothing: pause a little longer each time.

        One attempt that was given little time says only that nothing should go back now: the answer
        may have been on its way. The next one says that nobody is there.
        """
        cadence = self._admission.cadence
        if self._failing_since is None:
            self._failing_since = sent.boot_ms
        cadence.failures += 1
        pause_ms = min(RECONNECT_MIN_MS << min(cadence.failures - 1, 8), RECONNECT_MAX_MS)
        now = self._clock.now()
        cadence.no_later_than(now.boot_ms + pause_ms)
        cadence.retry_boot_ms = now.boot_ms + pause_ms
        cadence.pause_boot_ms = now.boot_ms + min(pause_ms, RECONNECT_MIN_MS)
        if hasty and cadence.failures == 1:
            self._admission.missed(sent.boot_ms)
        else:
            self._admission.unanswered(sent.boot_ms, self._failing_since)

    def fence(self, why: str) -> None:
        """Stop opening calls; evidence goes on being reported."""
        if not self._admission.fenced:
            self._log.alarm("fenced", cause=why)
        self._admission.fenced = True
        self._admission.try_waiting(every=True)
        self._rest()

    def revoked(self) -> None:
        """Its credential is good for evidence alone: what no call holds is free for others now.

        Nobody else spends from this journal, so nothing is given back that might be spent.
        """
        self.fence("its credential was revoked")
        given = self._admission.allowance.take_all()
        if given:
            self._admission.give_back(given)
            self._admission.cadence.pause_boot_ms = self._clock.now().boot_ms
            self._admission.hurry()

    def journal_failed(self, error: JournalFailedError) -> None:
        """What should be told is not known to be on the disk."""
        if self._journal.failure is None and not self._unreadable:
            # Nothing can be told any more, so that authority will end.
            self._log.alarm("records_not_readable", cause=str(error))
            self._unreadable = True
        self._rest()

    def _rest(self) -> None:
        self._admission.cadence.pause_boot_ms = self._clock.now().boot_ms + RECONNECT_MAX_MS
