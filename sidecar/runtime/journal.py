"""The journal: what must outlive the process, written in groups by one thread.

Rules:

1. A call's OPEN is durable before its first byte goes out; a RETURN and a SETTLE before they are
   told. Nothing is told from memory: records are read back from the file that they are in.
2. One thread writes. When a turn of the event loop has added its lines, it takes all that waits,
   writes it in one transaction, and wakes all who wait for it through the event loop at once. A
   line that nobody waits for lingers a moment for company.
3. Lines become durable in the order in which they were added, whole groups at a time.
4. An error while writing or reading poisons the journal: what is on the disk is not known any more,
   so nothing is tried on that file again, nothing more is told from it, and no call opens. What was
   open stays open on the disk, and is charged by the next process, which trusts nothing that it has
   not written anew.
5. A full disk is the exception: what could not be written is known. Ballast makes room for calls
   that are open to settle, and no new one opens. What finds no room even so waits, in order, until
   there is some; then the ballast is laid again, and calls open again.
"""

import queue
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

import trio

from sidecar.clock import Clock
from sidecar.core.instants import Now
from sidecar.core.leases import Lease, LeaseKey
from sidecar.core.refusals import Reason, Refusal, plain_refusal
from sidecar.core.timekeeper import Kept
from sidecar.limits import (
    DISK_FULL_RETRY_MS,
    JOURNAL_LINGER_MS,
    RECORDS_KEPT_BYTES,
    RECORDS_KEPT_MS,
    SYNC_RECORDS_BYTES,
    SYNC_RECORDS_MAX,
)
from sidecar.runtime.journal_file import Batch, DiskFullError, JournalFile, Recovered, lease_row

T = TypeVar("T")


DISK_FULL = "the disk is full"
"""Why no call may open until there is room again."""


class JournalFailedError(Exception):
    """The journal could not be written or read; the message says why."""


def journal_refusal(failure: str) -> Refusal:
    """What a journal's failure means for calls."""
    if failure == DISK_FULL:
        return plain_refusal(Reason.DISK_FULL)
    return plain_refusal(Reason.JOURNAL_FAILED, cause=failure)


class Group:
    """Lines that become durable together, and those who wait for that."""

    __slots__ = ("batch", "done", "durable", "errands", "failure")

    def __init__(self) -> None:
        """Begin an empty group."""
        self.batch = Batch()
        self.errands: list[_Errand[object]] = []
        self.done: trio.Event | None = None
        self.durable = False
        self.failure: str | None = None

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do for it."""
        return self.batch.empty and not self.errands


class _Read(NamedTuple):
    """Records that were read back, from a number on."""

    from_seq: int
    last_seq: int
    """The last record that there was then."""
    bodies: list[bytes]
    chain: bytes

    def has_all(self, from_seq: int, last_seq: int) -> bool:
        """Whether reading from this number on would bring the same."""
        same = self.last_seq == last_seq or len(self.bodies) == SYNC_RECORDS_MAX
        return self.from_seq == from_seq and same


class _Errand(Generic[T]):
    """Something that the writing thread does after a group, such as reading records."""

    __slots__ = ("error", "result", "run")

    def __init__(self, run: Callable[[JournalFile], T]) -> None:
        self.run = run
        self.result: T | None = None
        self.error: Exception | None = None


class Journal:
    """The journal of one epoch, for the tasks of one event loop."""

    def __init__(self, file: JournalFile, recovered: Recovered, clock: Clock) -> None:
        """Take over an open file and go on where it ends."""
        self._file = file
        self._clock = clock
        self._lock = threading.Lock()
        self._filling = Group()
        self._signals: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._awake = False
        self._stopping = False
        self._idle = trio.Event()
        self._token: trio.lowlevel.TrioToken | None = None
        self._wanted = trio.Event()
        self._lingering = trio.Event()
        self._read: _Read | None = None
        self._next_number = recovered.next_number
        self._failure: str | None = None
        self._disk_full = not file.roomy
        self._noticed: str | None = None
        self.noticed: Callable[[], None] = _nobody_cares
        """Called when `failure` has changed."""
        self.epoch = recovered.epoch
        self.last_seq = recovered.last_seq
        """The last record that was added."""
        self.acked_seq = recovered.acked_seq
        """The last record that the ledger has."""
        self.first_unacked_boot_ms: int | None = None
        """Since when records wait to be told; None when none does."""

    # --- Life --------------------------------------------------------------------------------

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Write until `close` is called."""
        self._token = trio.lowlevel.current_trio_token()
        writer = threading.Thread(target=self._write_groups, name="journal", daemon=True)
        writer.start()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._gather)
            nursery.start_soon(self._linger)
            task_status.started()
            self._notice()
            try:
                await self._idle.wait()
            finally:
                with trio.CancelScope(shield=True):
                    self._stop()
                    await self._idle.wait()
                    await trio.to_thread.run_sync(writer.join)
                self._file.close()
            nursery.cancel_scope.cancel()

    def _stop(self) -> None:
        with self._lock:
            self._stopping = True
        self._signals.put(None)

    async def close(self) -> None:
        """Write all that waits, then end `run`."""
        self._stop()
        await self._idle.wait()

    def abandon(self) -> None:
        """Close the file of a journal that never ran, and is not to."""
        assert self._token is None
        self._file.close()

    @property
    def failure(self) -> str | None:
        """Why no call may open; None while all is well."""
        if self._failure is not None:
            return self._failure
        return DISK_FULL if self._disk_full else None

    # --- Adding lines ------------------------------------------------------------------------

    def open_call(self, body: bytes) -> tuple[int, Group]:
        """Add a call's OPEN. It may go out once `durable(group)` returned."""
        number = self._next_number
        self._next_number += 1
        with self._lock:
            group = self._filling
            group.batch.opens.append((number, body))
        return number, group

    def record(
        self,
        serialize: Callable[[int], bytes],
        now: Now,
        *,
        ends: int | None = None,
        leases: Iterable[Lease] = (),
    ) -> int:
        """Add a record that the ledger must have, with the levels that it led to.

        `ends` is the number of the open call that it ends. Returns the record's number.
        """
        seq = self.last_seq + 1
        body = serialize(seq)
        self.last_seq = seq
        if self.first_unacked_boot_ms is None:
            self.first_unacked_boot_ms = now.boot_ms
        with self._lock:
            batch = self._filling.batch
            batch.records.append((seq, now.unix_ms, body))
            if ends is not None:
                batch.ends.append((ends,))
            for lease in leases:
                batch.leases[lease.key] = lease_row(lease)
        self._linger_soon()
        return seq

    def note_leases(self, leases: Iterable[Lease], forgotten: Iterable[LeaseKey] = ()) -> None:
        """Add the levels and authority of leases, such as after a grant."""
        with self._lock:
            batch = self._filling.batch
            for lease in leases:
                batch.leases[lease.key] = lease_row(lease)
            for key in forgotten:
                batch.leases.pop(key, None)
                batch.forgotten.append(key)
        self._linger_soon()

    def note(self, **meta: int | str | bytes) -> None:
        """Add facts about the journal itself."""
        with self._lock:
            self._filling.batch.meta.update(meta)
        self._linger_soon()

    def note_time(self, kept: Kept | None) -> None:
        """Add what the next process of this boot goes on from in telling the time."""
        if kept is None:
            return
        self.note(clock_apart_ms=kept.apart_ms, clock_lost_ms=kept.lost_ms)
        if kept.offset_ms is not None:
            self.note(clock_offset_ms=kept.offset_ms)

    def begin_epoch(self, epoch: int) -> None:
        """Give a new journal the epoch that the control plane began with it."""
        assert self.epoch == 0
        assert self.last_seq == 0
        self.epoch = epoch
        self.note(epoch=epoch)

    def acknowledge(self, acked_seq: int) -> None:
        """The ledger has all records up to this one; or, after a gap, only so many."""
        if acked_seq == self.acked_seq:
            return
        self._read = None
        self.acked_seq = min(acked_seq, self.last_seq)
        behind = self.acked_seq < self.last_seq
        self.first_unacked_boot_ms = self._clock.now().boot_ms if behind else None
        self.note(acked_seq=self.acked_seq)

    # --- Waiting -----------------------------------------------------------------------------

    async def durable(self, group: Group) -> None:
        """Wait until a group is on the disk. Raises JournalFailedError."""
        if not group.durable and group.failure is None:
            if group.done is None:
                group.done = trio.Event()
                self._wanted.set()
            await group.done.wait()
        if group.failure is not None:
            raise JournalFailedError(group.failure)

    async def flush(self) -> None:
        """Wait until everything added so far is on the disk. Raises JournalFailedError."""
        await self._errand(lambda _: None)

    async def records(self, from_seq: int) -> tuple[list[bytes], bytes]:
        """Durable records from a number on, and the chain after the last; as one Sync may tell."""
        known = self._read
        if known is not None and known.has_all(from_seq, self.last_seq):
            # They were read before, and nobody answered: they need not be read again.
            await self.flush()
            return known.bodies, known.chain
        last_seq = self.last_seq
        bodies, chain = await self._errand(
            lambda file: file.records(from_seq, SYNC_RECORDS_MAX, SYNC_RECORDS_BYTES)
        )
        self._read = _Read(from_seq, last_seq, bodies, chain)
        return bodies, chain

    async def tip(self) -> tuple[int, bytes]:
        """The last record that is on the disk, and the chain after it."""
        return await self._errand(lambda file: file.tip)

    async def prune(self, stable_seq: int) -> int:
        """Drop records that no fail-over can lose and nobody will ask for; returns how many."""
        before_unix_ms = self._clock.now().unix_ms - RECORDS_KEPT_MS
        return await self._errand(
            lambda file: file.prune(stable_seq, before_unix_ms, RECORDS_KEPT_BYTES)
        )

    async def _errand(self, run: Callable[[JournalFile], T]) -> T:
        errand = _Errand(run)
        with self._lock:
            group = self._filling
            group.errands.append(errand)  # type: ignore[arg-type]  # results are kept apart
        await self.durable(group)
        if errand.error is not None:
            raise JournalFailedError(str(errand.error)) from errand.error
        return errand.result  # type: ignore[return-value]  # None only where T is None

    def _wake(self) -> None:
        with self._lock:
            if self._awake:
                return
            self._awake = True
        self._signals.put(None)

    def _linger_soon(self) -> None:
        if not self._awake and not self._lingering.is_set():
            self._lingering.set()

    async def _gather(self) -> None:
        """Wake the writer when all tasks that are ready now have added their lines.

        So a group is what one turn of the loop brings, and not what one fsync lets through: with
        64 calls in flight a third less CPU a call, most of it for handing over the interpreter.
        """
        while True:
            await self._wanted.wait()
            self._wanted = trio.Event()
            await trio.lowlevel.cancel_shielded_checkpoint()
            self._wake()

    async def _linger(self) -> None:
        while True:
            await self._lingering.wait()
            await trio.sleep((DISK_FULL_RETRY_MS if self._disk_full else JOURNAL_LINGER_MS) / 1_000)
            self._lingering = trio.Event()
            if self._disk_full:
                with self._lock:
                    self._filling.errands.append(_Errand(JournalFile.make_room))
            self._wake()

    # --- On the writing thread ---------------------------------------------------------------

    def _write_groups(self) -> None:
        while True:
            self._signals.get()
            with self._lock:
                group = self._filling
                stopping = self._stopping
                self._filling = Group()
            self._write(group)
            self._tell(self._written, group)
            if stopping:
                with self._lock:
                    if self._filling.empty:
                        break
                self._signals.put(None)
        self._tell(self._idle.set)

    def _write(self, group: Group) -> None:
        if self._failure is None:
            try:
                if not group.batch.empty:
                    self._file.write(group.batch)
            except DiskFullError:
                group.failure = DISK_FULL
                self._put_back(group.batch)
            except Exception as error:  # noqa: BLE001 - whatever it is, the file is lost
                self._failure = _words(error)
        for errand in group.errands:
            if self._failure is None:
                self._do(errand)
        self._disk_full = not self._file.roomy
        group.failure = self._failure or group.failure

    def _do(self, errand: _Errand[object]) -> None:
        try:
            errand.result = errand.run(self._file)
        except LookupError as error:
            errand.error = error
        except Exception as error:  # noqa: BLE001 - a file that cannot be read is lost too
            self._failure = _words(error)

    def _put_back(self, batch: Batch) -> None:
        """Let the lines of a batch that found no room come before those that were added since.

        All but its OPENs: those who wait for them are told that they failed, and never go out.
        """
        batch.opens.clear()
        with self._lock:
            batch.add(self._filling.batch)
            self._filling.batch = batch

    def _tell(self, function: Callable[..., object], *arguments: object) -> None:
        assert self._token is not None
        try:
            self._token.run_sync_soon(function, *arguments)
        except trio.RunFinishedError:
            return

    # --- Back on the event loop --------------------------------------------------------------

    def _written(self, group: Group) -> None:
        group.durable = group.failure is None
        if group.done is not None:
            group.done.set()
        with self._lock:
            self._awake = False
        self._notice()
        if self._filling.done is not None:
            self._wanted.set()
        elif not self._filling.empty:
            self._linger_soon()

    def _notice(self) -> None:
        """Say what has changed, and come back while the disk is full."""
        if self._failure is None and self._disk_full:
            self._linger_soon()
        if self.failure != self._noticed:
            self._noticed = self.failure
            self.noticed()


def _nobody_cares() -> None:
    """What is called until somebody cares."""


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def open_journal(folder: Path, clock: Clock, *, synchronous: str) -> tuple[Journal, Recovered]:
    """Open the journal in a folder. Raises JournalLostError, JournalUnavailableError."""
    file, recovered = JournalFile.open(folder, synchronous=synchronous)
    return Journal(file, recovered, clock), recovered
