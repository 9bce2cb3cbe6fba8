"""Runs functions of a transaction, many to one COMMIT.

Rules. One session writes, and only from one thread. Each function has a savepoint of its own: when
it fails, it fails alone. No future resolves before the COMMIT that holds its work is durable; when
the COMMIT fails, every function of the batch has failed. After an I/O error nobody knows what the
disk holds, so the writer is poisoned and takes nothing more: a restart reads what is really there.
"""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from typing import Any, Protocol

from control_plane import limits
from control_plane.store.engine import StoreBusyError, StoreClosedError, Tx


class Session(Protocol):
    """One connection that writes; what the database calls these five things."""

    @property
    def tx(self) -> Tx:
        """The functions' view of the open transaction."""
        ...

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        ...

    def begin(self) -> None:
        """Open a transaction that excludes other writers."""
        ...

    def commit(self) -> None:
        """Make the transaction durable."""
        ...

    def rollback(self) -> None:
        """Undo the transaction, if one is open."""
        ...

    def is_fatal(self, error: BaseException) -> bool:
        """Whether the error says that the disk or the file cannot be trusted any more."""
        ...

    def for_caller(self, error: BaseException) -> BaseException:
        """The error as those who waited should hear it."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...


@dataclass(slots=True)
class Work:
    """One function that waits for its turn."""

    fn: Callable[[Tx], Any]
    future: Future[Any]


POISONED = (
    "the control plane's database had an I/O error and takes no more writes: "
    "see its log, mend the disk, then start it again"
)


class GroupCommit:
    """Runs batches on a session; knows whether it is poisoned. Not safe to use from two threads."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.poison: BaseException | None = None

    def run(self, batch: list[Work]) -> None:
        """Run a batch in one transaction and resolve its futures."""
        alive = [work for work in batch if work.future.set_running_or_notify_cancel()]
        if not alive:
            return
        if self.poison is not None:
            self._fail(alive, StoreClosedError(POISONED))
            return
        try:
            self._session.begin()
            answers = [self._attempt(work) for work in alive]
            self._session.commit()
        except BaseException as error:  # noqa: BLE001 - every waiting future must hear of it
            self._undo(error)
            self._fail(alive, self._for_caller(error))
            return
        for work, (value, error_of_one) in zip(alive, answers, strict=True):
            if error_of_one is None:
                work.future.set_result(value)
            else:
                work.future.set_exception(error_of_one)

    def _attempt(self, work: Work) -> tuple[Any, BaseException | None]:
        try:
            with self._session.tx.savepoint():
                return work.fn(self._session.tx), None
        except Exception as error:
            if self._session.is_fatal(error) or not self._session.in_transaction:
                raise
            return None, self._session.for_caller(error)

    def _undo(self, error: BaseException) -> None:
        if self._session.is_fatal(error):
            self.poison = error
        try:
            self._session.rollback()
        except Exception as second:  # noqa: BLE001 - a rollback that fails leaves nothing to trust
            self.poison = self.poison or second

    def _for_caller(self, error: BaseException) -> BaseException:
        if self.poison is None:
            return self._session.for_caller(error)
        closed = StoreClosedError(POISONED)
        closed.__cause__ = error
        return closed

    @staticmethod
    def _fail(batch: list[Work], error: BaseException) -> None:
        for work in batch:
            work.future.set_exception(error)


Around = Callable[[int], AbstractContextManager[None]]
"""What surrounds each group, on the writer's thread; it is told how much work the group has."""


def _nothing(_: int) -> AbstractContextManager[None]:
    return nullcontext()


class WriterThread:
    """The thread that owns the writing session: takes all that waits, commits once, wakes all."""

    def __init__(
        self,
        session: Session,
        on_poison: Callable[[BaseException], None] | None = None,
        around: Around = _nothing,
    ) -> None:
        self._session = session
        self._around = around
        self._group = GroupCommit(session)
        self._queue: queue.Queue[Work | None] = queue.Queue(limits.QUEUED_WRITES_MAX)
        self._lock = threading.Lock()
        self._closed = False
        self._on_poison = on_poison
        self._thread = threading.Thread(target=self._loop, name="store-writer", daemon=True)
        self._thread.start()

    def submit(self, fn: Callable[[Tx], Any]) -> Future[Any]:
        """Queue a function. Raises StoreBusyError or StoreClosedError instead of waiting."""
        future: Future[Any] = Future()
        with self._lock:
            if self._closed:
                raise StoreClosedError("the control plane is stopping: try again in a moment")
            if self._group.poison is not None:
                raise StoreClosedError(POISONED)
            try:
                self._queue.put_nowait(Work(fn, future))
            except queue.Full:
                raise StoreBusyError(
                    "too much waits for the database: try again in a moment"
                ) from None
        return future

    def close(self) -> None:
        """Finish what was accepted, then end the thread and close the session."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._queue.put(None)
        self._thread.join()

    def _loop(self) -> None:
        ended = False
        while not ended:
            batch: list[Work] = []
            item = self._queue.get()
            with suppress(queue.Empty):
                while item is not None:
                    batch.append(item)
                    if len(batch) == limits.BATCHED_WRITES_MAX:
                        break
                    item = self._queue.get_nowait()
            ended = item is None
            was_sound = self._group.poison is None
            with self._around(len(batch)):
                self._group.run(batch)
            poison = self._group.poison
            if was_sound and poison is not None and self._on_poison is not None:
                self._on_poison(poison)
        self._session.close()
