"""The control link: registers, syncs, watches, and says goodbye.

Rules:

1. At most one Sync is in flight. What it says are levels; whatever becomes of it, saying it again
   does no harm.
2. What is told is durable: returns are written before the levels are taken, and records are read
   back from the file.
3. An answer of an older generation is ignored. Authority counts from before the Sync was sent, and
   is prolonged only while the policy here, on the disk, is the one that the control plane has.
4. Nothing is given back while the last Sync failed.
5. Watch only makes things faster: all that it brings comes by Sync or Register too.
"""

from dataclasses import dataclass
from dataclasses import replace as with_changes
from pathlib import Path

import grpc
import trio

from protos.bursar.sidecar import v1 as wire
from sidecar.clock import KeptClock
from sidecar.core.instants import Now
from sidecar.entropy import Entropy
from sidecar.limits import (
    CLOCK_WRONG_MS,
    DRAIN_MS,
    POLICY_LATE_MS,
    PRUNED_RECORDS_MAX,
    RECONNECT_MAX_MS,
    RECONNECT_MIN_MS,
    REGISTER_DEADLINE_MS,
    SYNC_DEADLINE_MS,
    SYNC_MIN_MS,
    UNCAPPED_AUTHORITY_MS,
)
from sidecar.runtime import grpc_bridge, identity, offers, rate_shares, translate
from sidecar.runtime.admission import Admission
from sidecar.runtime.folder import FolderError
from sidecar.runtime.grpc_bridge import words_of
from sidecar.runtime.identity import Host, Identity
from sidecar.runtime.joining import Stub
from sidecar.runtime.journal import Journal, JournalFailedError
from sidecar.runtime.policy_file import PolicyKeeper
from sidecar.runtime.reach import Reach
from sidecar.runtime.registration import Process, registration
from sidecar.runtime.report import SyncHead, Told, tell
from sidecar.runtime.watcher import Asked, Watcher
from sidecar.telemetry import Log

_PRUNE_MS = 600_000


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the link works with."""

    stub: Stub
    """The control plane."""
    admission: Admission
    """What it keeps in agreement."""
    journal: Journal
    """What must be told."""
    folder: Path
    """Where identity and policy are kept."""
    host: Host
    """The machine, and the boot of it."""
    clock: KeptClock
    """The one that all parts go by."""
    entropy: Entropy
    log: Log
    software_version: str


class ControlLink:
    """Keeps a sidecar and its control plane in agreement."""

    def __init__(self, around: Surroundings, me: Identity, generation: int) -> None:
        """Take the parts and the last generation that was told all; nothing is sent yet."""
        self._stub = around.stub
        self._admission = admission = around.admission
        self._journal = around.journal
        self._folder = around.folder
        self._clock = clock = around.clock
        self._entropy = entropy = around.entropy
        self._log = around.log
        self._me = self._kept = me
        self._unkept = False
        self._generation = self._generation_told = generation
        incarnation = entropy.random_bytes(16).hex()
        self._process = Process(around.host, incarnation, around.software_version)
        self._sync_no = 0
        self.answered_sync_no = 0
        """The latest Sync that was answered with a decision."""
        self._registered = False
        self._policy = PolicyKeeper(around.folder, admission, around.log)
        self._policy_late_since: int | None = None
        self._stable_seq = 0
        self._reach = Reach(admission, around.journal, around.clock, around.log)
        self._pruned_boot_ms = clock.now().boot_ms
        self._one_at_a_time = trio.Lock()
        self._watcher = Watcher(
            around.stub,
            around.log,
            request=self._watch_request,
            follow=self._follow,
            silent=lambda: self._reach.failing,
        )

    @property
    def has_policy(self) -> trio.Event:
        """Set once there is a policy to serve by."""
        return self._policy.taken

    # --- Life --------------------------------------------------------------------------------

    async def run(self) -> None:
        """Register, then sync and watch until cancelled."""
        assert self._me.joined
        self._policy.generation = self._generation
        async with trio.open_nursery() as nursery:
            await self._register_until_answered()
            nursery.start_soon(self._watcher.run)
            await self._sync_forever()

    async def drain(self) -> None:
        """At the end: tell everything, give everything back, say goodbye; within a time.

        Without a control plane the leases stay, for the next process on this folder.
        """
        with trio.move_on_after(DRAIN_MS / 1_000) as scope:
            if self._registered and await self._sync() and not self._admission.fenced:
                self._admission.give_back(self._admission.allowance.take_all())
                await self._tell_all()
                answer = await self._say_goodbye()
                self._log.info("drained", stranded_nano_usd=answer)
                return
        if scope.cancelled_caught:
            self._log.warning("drain_cut_short", after_ms=DRAIN_MS)
        else:
            self._log.warning("drain_without_control_plane")

    async def _tell_all(self) -> None:
        while self._journal.acked_seq < self._journal.last_seq:
            if not await self._sync():
                await trio.sleep(SYNC_MIN_MS / 1_000)

    async def _say_goodbye(self) -> int | None:
        request = wire.DrainRequest(
            epoch=self._journal.epoch,
            incarnation=self._process.incarnation,
            last_seq=self._journal.acked_seq,
        )
        try:
            answer = await grpc_bridge.unary(
                self._stub.Drain, request, timeout_s=DRAIN_MS / 1_000, metadata=self._credential
            )
        except grpc.RpcError as error:
            self._log.warning("drain_unanswered", cause=words_of(error))
            return None
        return answer.stranded_nano_usd

    @property
    def _credential(self) -> grpc_bridge.Metadata:
        return (("authorization", f"Bearer {self._me.credential}"),)

    def _keep(self, me: Identity) -> None:
        """Keep what the control plane calls this sidecar; if it cannot be now, then later."""
        self._me = me
        if me == self._kept:
            return
        try:
            identity.save(self._folder, me)
        except FolderError as error:
            if not self._unkept:
                self._log.alarm("identity_not_kept", cause=str(error))
            self._unkept = True
        else:
            self._kept = me
            self._unkept = False

    # --- Register ----------------------------------------------------------------------------

    async def _register_until_answered(self) -> None:
        pause_ms = RECONNECT_MIN_MS
        while not await self._register():
            with trio.move_on_after(pause_ms / 1_000):
                await self._admission.poked.wait()
            if self._admission.poked.is_set():
                # Someone waits: ask at once, but not in a loop without pause.
                self._admission.poked = trio.Event()
                await trio.sleep(SYNC_MIN_MS / 1_000)
            pause_ms = min(2 * pause_ms, RECONNECT_MAX_MS)

    async def _register(self) -> bool:
        """Present this process and its journal; whether it has an epoch to tell of now."""
        sent = self._clock.now()
        try:
            request = registration(
                self._process,
                epoch=self._journal.epoch,
                lost_epoch=self._me.epoch,
                tip=await self._journal.tip(),
                policy_version=self._policy.known_version,
            )
            answer = await grpc_bridge.unary(
                self._stub.Register,
                request,
                timeout_s=REGISTER_DEADLINE_MS / 1_000,
                metadata=self._credential,
            )
        except grpc.RpcError as error:
            self._reach.failed(sent, error)
            return False
        except JournalFailedError as error:
            self._reach.journal_failed(error)
            return False
        if answer.generation < self._generation:
            self._log.warning("older_generation_ignored", generation=answer.generation)
            return False
        await self._take_registration(answer, sent)
        # Revoked, a new journal is given no epoch: it has nothing to tell, and asks again.
        return self._journal.epoch > 0

    async def _take_registration(self, answer: wire.RegisterResponse, sent: Now) -> None:
        status = translate.status_from_wire(answer.status)
        if status == "fenced" or (self._journal.epoch and answer.epoch != self._journal.epoch):
            known = "its credential was revoked" if answer.revoked else ""
            self._reach.fence(known or "the journal does not continue what the ledger knows")
            return
        if self._journal.epoch and answer.last_seq > self._journal.last_seq:
            self._reach.fence("the ledger has records that this journal does not")
            return
        if not self._journal.epoch:
            self._journal.begin_epoch(answer.epoch)
        ahead_ms = self._clock.now().unix_ms - (answer.now_unix_ms or sent.unix_ms)
        if abs(ahead_ms) > CLOCK_WRONG_MS:
            self._log.warning("clock_wrong", ahead_ms=ahead_ms)
        self._hear_time(answer.now_unix_ms, sent)
        self._see_generation(answer.generation)
        self._keep(
            with_changes(
                self._me,
                epoch=answer.epoch,
                display_name=answer.display_name or self._me.display_name,
                region=answer.region or self._me.region,
            )
        )
        self._journal.note(sidecar_id=self._me.sidecar_id)
        # Never upwards: that these are the records of this journal shows when they are told again.
        self._journal.acknowledge(min(answer.last_seq, self._journal.acked_seq))
        self._sync_no = max(self._sync_no, answer.last_sync_no)
        self._registered = True
        if answer.HasField("policy"):
            await self._policy.take(answer.policy, self._me.region)
        self._admission.fenced = False
        self._admission.hurry()
        self._log.info("registered", epoch=answer.epoch, generation=answer.generation)

    # --- Sync --------------------------------------------------------------------------------

    async def _sync_forever(self) -> None:
        admission = self._admission
        while True:
            admission.poked = trio.Event()
            now = self._clock.now()
            due_boot_ms = admission.cadence.due_boot_ms(
                waiting=len(admission.waiting) > 0,
                asked=admission.waiting.asked,
                records=self._journal.last_seq - self._journal.acked_seq,
                records_since_boot_ms=self._journal.first_unacked_boot_ms,
            )
            if due_boot_ms > now.boot_ms:
                with trio.move_on_after((due_boot_ms - now.boot_ms) / 1_000):
                    await admission.poked.wait()
                continue
            await self._sync()
            await self._keep_house()

    async def _sync(self) -> bool:
        """Send one Sync and take its answer; whether there was one."""
        async with self._one_at_a_time:
            waiting = len(self._admission.waiting) > 0
            now = self._clock.now()
            self._admission.cadence.sent(now.boot_ms, int.from_bytes(self._entropy.random_bytes(4)))
            told: Told | None = None
            deadline_ms = self._admission.cadence.deadline_ms(waiting=waiting)
            try:
                told = await self._tell(now)
                sent = self._clock.now()
                answer = await grpc_bridge.unary(
                    self._stub.Sync,
                    told.request,
                    timeout_s=deadline_ms / 1_000,
                    metadata=self._credential,
                )
            except grpc.RpcError as error:
                self._reach.failed(now, error, hasty=deadline_ms < SYNC_DEADLINE_MS)
                return False
            except JournalFailedError as error:
                self._reach.journal_failed(error)
                return False
            else:
                if self._take(answer, told, sent):
                    told = None
                    return True
                return False
            finally:
                # It may have been heard all the same; saying it again does no harm.
                if told is not None:
                    told.take_back()

    async def _tell(self, now: Now) -> Told:
        self._sync_no += 1
        head = SyncHead(
            epoch=self._journal.epoch,
            incarnation=self._process.incarnation,
            sync_no=self._sync_no,
            generation_seen=self._generation,
            generation_told=self._generation_told,
            policy_acked=self._policy.known_version,
            policy_refused=self._policy.refused,
            stopped=self._admission.fenced,
        )
        return await tell(head, self._admission, self._journal, now)

    def _take(self, answer: wire.SyncResponse, told: Told, sent: Now) -> bool:
        """Take an answer; whether it counts as one."""
        if answer.generation < self._generation:
            self._log.warning("older_generation_ignored", generation=answer.generation)
            self._reach.vain(sent)
            return False
        status = translate.status_from_wire(answer.status)
        admission = self._admission
        renewed = answer.generation > self._generation
        self._see_generation(answer.generation)
        if answer.acked_seq > self._journal.last_seq:
            self._reach.fence("the ledger has records that this journal does not")
            return False
        if status == "gap":
            self._log.warning("gap", need_seq=answer.need_seq)
            self._journal.acknowledge(answer.need_seq - 1)
            admission.hurry()
            return False
        # Answers may overtake each other, so this only grows; but a restored database may have
        # forgotten records that an older one had, and they are told again.
        known_seq = 0 if renewed else self._journal.acked_seq
        self._journal.acknowledge(max(answer.acked_seq, known_seq))
        admission.allowance.acknowledged(answer.acked_seq)
        if status == "fenced":
            if answer.revoked:
                self._reach.revoked()
            else:
                self._reach.fence("another journal or process goes under this sidecar's name")
            return False
        if status in ("stale", "busy"):
            self._turned_away(status, answer)
            return False
        admission.tallies.told(told.refusals, told.uses, sent.unix_ms)
        self._told_all(told.request.generation_seen)
        self._take_decision(answer, told, sent)
        return True

    def _turned_away(self, status: str, answer: wire.SyncResponse) -> None:
        """Another Sync was later, or there is too much to do: come again."""
        self._log.warning("sync_turned_away", status=status)
        if status == "stale":
            self._registered = False
            self._admission.hurry()
            return
        pause_ms = max(SYNC_MIN_MS, answer.next_sync_ms)
        self._admission.cadence.pause_boot_ms = self._clock.now().boot_ms + pause_ms

    def _take_decision(self, answer: wire.SyncResponse, told: Told, sent: Now) -> None:
        admission = self._admission
        renews = answer.policy_version == self._policy.known_version
        leases = [
            admission.allowance.merge(grant, sent.boot_ms, renews=renews)
            for grant in map(translate.grant_from_wire, answer.leases)
            if admission.allowance.takes(grant)
        ]
        if renews:
            admission.heard_until_boot_ms = sent.boot_ms + UNCAPPED_AUTHORITY_MS
            self._policy_late_since = None
            self._journal.note(heard_until_boot_ms=admission.heard_until_boot_ms)
            self._journal.note_time(self._clock.keeper.kept)
        elif self._policy_late_since is None and (
            answer.policy_version > self._policy.known_version
        ):
            self._policy_late_since = sent.boot_ms
            self._watcher.begin_anew()
        forgotten = admission.allowance.set_ended_aside(self._clock.now())
        self._journal.note_leases(leases, forgotten)
        if forgotten:
            until_unix_ms = admission.allowance.forgotten_until_unix_ms
            self._journal.note(forgotten_until_unix_ms=until_unix_ms)
        self._hear_time(answer.now_unix_ms, sent)
        self._reach.answered(sent)
        self.answered_sync_no = told.request.sync_no
        admission.answered(sent)
        cadence = admission.cadence
        if answer.next_sync_ms:
            cadence.no_later_than(sent.boot_ms + answer.next_sync_ms)
        if self._policy_late_since is not None:
            cadence.no_later_than(sent.boot_ms + POLICY_LATE_MS)
        rate_shares.take_shares(answer, admission, sent, self._clock.now())
        offers.spend(admission, leases, answer.named_call_ids, sent.boot_ms)
        admission.refuse_hopeless(answer.hopeless_call_ids)
        self._stable_seq = max(self._stable_seq, answer.stable_seq)

    async def _keep_house(self) -> None:
        """What is not for every Sync: a policy that is late, a new registration, old records."""
        self._keep(self._me)
        now = self._clock.now()
        late_since = self._policy_late_since
        late = late_since is not None and now.boot_ms - late_since >= POLICY_LATE_MS
        if late or not self._registered:
            self._policy_late_since = None
            await self._register()
        if self._stable_seq and now.boot_ms - self._pruned_boot_ms >= _PRUNE_MS:
            self._pruned_boot_ms = now.boot_ms
            try:
                while await self._journal.prune(self._stable_seq) == PRUNED_RECORDS_MAX:
                    pass
            except JournalFailedError as error:
                self._reach.journal_failed(error)

    # --- Watch -------------------------------------------------------------------------------

    def _watch_request(self) -> Asked:
        request = wire.WatchRequest(
            epoch=self._journal.epoch,
            incarnation=self._process.incarnation,
            policy_version=self._policy.known_version,
        )
        return request, self._credential

    async def _follow(self, directive: wire.WatchResponse) -> None:
        self._admission.cadence.stream_boot_ms = self._clock.now().boot_ms
        kind = directive.WhichOneof("directive")
        if kind == "policy":
            await self._policy.take(directive.policy, self._me.region)
        elif kind == "recall":
            key, keep_nano_usd = translate.recall_from_wire(directive.recall)
            lease = self._admission.allowance.recall(key, keep_nano_usd)
            if lease is not None:
                self._admission.give_back([lease])
            # Told also when there is nothing to give: others wait for the answer.
            self._admission.hurry()
        elif kind == "nudge":
            # More may be left of any budget than was heard: see usecases/remainders.py over there.
            self._admission.cadence.tell_all()
            self._admission.hurry()
        elif kind == "left":
            offers.take_left(directive.left, self._admission, generation=self._generation)
        elif kind == "offer":
            offers.take_offer(
                directive.offer,
                self._admission,
                self._journal,
                generation=self._generation,
                answered_sync_no=self.answered_sync_no,
                boot_ms=self._clock.now().boot_ms,
            )

    # --- Time and generations -----------------------------------------------------------------

    def _hear_time(self, unix_ms: int, sent: Now) -> None:
        """The control plane said what time it is, in an answer to what was sent then."""
        if unix_ms:
            self._clock.keeper.told(unix_ms, sent.boot_ms, self._clock.now().boot_ms)

    def _see_generation(self, generation: int) -> None:
        if generation > self._generation:
            # A restored database may count its policies from further back, and may not know what
            # is held here: whoever shows that it has seen the generation has told it all leases.
            self._admission.allowance.say_again()
            self._admission.hurry()
            self._generation = self._policy.generation = generation
            self._stable_seq = 0

    def _told_all(self, generation: int) -> None:
        if generation > self._generation_told:
            # Not before: a process that begins in between has to tell all leases again.
            self._generation_told = generation
            self._journal.note(generation=generation)
