"""The world of one run: a control plane, sidecars on their hosts, a network, a provider.

What is real: the control plane's database, use cases and servicer, the sidecar's admission, journal
and control link, and both sides' wire code. What is not: time, sockets, threads and the provider.
All chance comes from the seed, so a failing run is run again by its number.
"""

import hashlib
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trio

from control_plane.core.joining import NewJoinToken
from control_plane.store import installation
from control_plane.usecases.join import Join, join
from control_plane.usecases.sidecars import create_join_token
from protos.bursar.sidecar import v1 as wire
from protos.values.errors import UnauthenticatedError
from sidecar.core.refusals import Refusal
from sidecar.runtime import identity
from sidecar.runtime.journal_file import JournalUnavailableError
from tests.simulation import invariants
from tests.simulation.clocks import HostClock, TrueClock, sleep, true_ms
from tests.simulation.disk import Disk
from tests.simulation.headquarters import Headquarters
from tests.simulation.host import Life, SeededEntropy, SimulatedHost
from tests.simulation.invariants import Books, ViolationError
from tests.simulation.naming import check_named
from tests.simulation.network import Conditions, LostError, Network, Stream
from tests.simulation.provider import Provider

RESTART_S = 0.5
"""How long a killed process is away, when nothing else is said."""
REST_S = 24
"""Longer than two quiet Syncs lie apart."""
POISONED_S = 6
"""After so long somebody restarts a sidecar whose journal failed."""


@dataclass(frozen=True, slots=True)
class Promise:
    """What an administrator was told: after an instant a change binds everywhere."""

    what: str
    """"key", "cap" or "sidecar"."""
    name: str
    """The key, budget or sidecar."""
    policy_version: int
    guaranteed_unix_ms: int
    generation: int
    """The database that counts this version."""


@dataclass(slots=True)
class Message:
    """One message of the history, as it can be sent again."""

    life: Life
    method: str
    request: Any
    answer: Any
    sent_ms: int


@dataclass(slots=True)
class Tally:
    """What happened in a run, in numbers."""

    steps: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    happened: Counter[str] = field(default_factory=Counter)


class Simulation:
    """The world and its chances."""

    def __init__(self, folder: Path, seed: int, *, start_unix_ms: int) -> None:
        """Found the installation in a folder that is this run's own."""
        self.seed = seed
        self.folder = folder
        self.chance = random.Random(f"{seed}:world")
        self.clock = TrueClock(start_unix_ms)
        self.tally = Tally()
        self._digest = hashlib.sha256()
        self.network = Network(random.Random(f"{seed}:network"), self.count)
        self.provider = Provider()
        folder.mkdir(parents=True, exist_ok=True)
        self.streams: dict[str, Stream] = {}
        self.headquarters = Headquarters(
            folder / "control-plane",
            self.clock,
            random.Random(f"{seed}:headquarters"),
            self.push,
            self.streams.keys(),
        )
        self.books = Books()
        self.hosts: dict[str, SimulatedHost] = {}
        self.by_sidecar: dict[str, SimulatedHost] = {}
        self.history: list[Message] = []
        self.pushed: list[tuple[Life, wire.WatchResponse]] = []
        self.promises: list[Promise] = []
        self.refusals: list[Refusal] = []
        self.nursery: trio.Nursery
        self.violation: ViolationError | None = None
        self.end_ms = 0
        self.trace: Callable[[str], object] | None = None
        """Told of every step, for whoever looks for a cause."""
        self.forked: set[str] = set()
        """Sidecars of whose journals two copies are in use."""
        self.call_done = trio.Event()
        """Set when a call is sent or refused."""
        self.twin_next = False
        """The next Sync is answered by two instances."""
        self.twin_chance = random.Random(f"{seed}:stale")
        self.stale_next = False
        """The next Sync, or the next of somebody who waits, decides on old rows."""
        self.restores = 0
        self.faults_end_s = 0.0
        """No world comes to rest before this: an old database is yet to be put back."""

    # --- What is counted ---------------------------------------------------------------------

    def count(self, fault: str) -> None:
        """A fault truly happened."""
        self.tally.faults[fault] += 1
        self.step("fault:", fault)

    def step(self, what: str, *details: object) -> None:
        """One thing happened at a core: note it, and hold everything to what must be so."""
        self.tally.steps += 1
        self.tally.happened[what] += 1
        line = f"{true_ms()} {what} {' '.join(map(str, details))}\n"
        self._digest.update(line.encode())
        if self.trace is not None:
            self.trace(line)

    @property
    def digest(self) -> str:
        """Of all that happened, and when."""
        return self._digest.hexdigest()

    def fail(self, violation: ViolationError) -> None:
        """Something that must hold does not: the run ends here."""
        if self.violation is None:
            self.violation = violation
            self.nursery.cancel_scope.cancel()

    def fail_late(self, group: BaseExceptionGroup[Any]) -> None:
        """The same, found by a task that ended with it."""
        if self.violation is None:
            self.violation = invariants.first_of(group)

    def crashed(self, group: BaseExceptionGroup[Any]) -> None:
        """Something of either side failed where it never should."""
        if self.violation is None:
            self.violation = ViolationError("crash", invariants.words_of(group))

    def shut(self) -> None:
        """End every process, without a trace."""
        for host in self.hosts.values():
            for life in host.lives:
                life.kill()

    def close(self) -> None:
        """Let go of all files."""
        self.shut()
        self.headquarters.close()

    # --- Sidecars ----------------------------------------------------------------------------

    def add_sidecar(self, name: str, *, rate_permille: int = 1_000) -> SimulatedHost:
        """Let a sidecar join, and start it."""
        folder = self.folder / name
        folder.mkdir()
        disk = Disk(folder, random.Random(f"{self.seed}:{name}:disk"), self.count)
        clock = HostClock(self.clock.start_unix_ms, rate_permille)
        me = identity.make(SeededEntropy(random.Random(f"{self.seed}:{name}:identity")))
        _, token = self.headquarters.act(lambda tx, act: create_join_token(tx, NewJoinToken(), act))
        asked = Join(
            join_token=token,
            credential_digest=me.credential_digest,
            sealing_public_key=me.sealing_public_key,
            display_name=name,
        )
        entropy, now = self.headquarters.entropy, self.clock.unix_ms()
        joined = self.headquarters.do(lambda tx: join(tx, asked, entropy, now))
        me = identity.named(me, joined.sidecar_id, name, "")
        identity.save(folder, me)
        host = SimulatedHost(self, name, clock, disk, me)
        self.hosts[name] = self.by_sidecar[me.sidecar_id] = host
        self.nursery.start_soon(self.run_process, host.begin())
        return host

    async def run_process(self, life: Life) -> None:
        """Run a process to its end; one that fails by itself is a violation."""
        try:
            await life.live()
        except* JournalUnavailableError:
            # It may be whole: whoever runs the sidecar starts it once more.
            self.count("start that failed")
            life.dead = True
            self.nursery.start_soon(self._again, life.host)
        except* ViolationError as group:
            self.fail(invariants.first_of(group))
        except* Exception as group:  # noqa: BLE001 - whatever it is, the run ends with it
            self.fail(ViolationError("crash", f"{life.name}: {invariants.words_of(group)}"))
        if not life.dead:
            self.fail(ViolationError("crash", f"{life.name}: the process ended by itself"))

    def kill(self, host: SimulatedHost, *, power_loss: bool = False, kind: str = "kill") -> None:
        """End a process at this instant; the next starts a little later."""
        if not host.alive:
            return
        assert host.life is not None
        self.count("power loss" if power_loss else kind)
        host.life.kill(power_loss=power_loss)
        self.nursery.start_soon(self._again, host)

    async def _again(self, host: SimulatedHost) -> None:
        await sleep(RESTART_S)
        self.revive(host)

    def revive(self, host: SimulatedHost) -> None:
        """Start the next process, when none lives."""
        if not host.alive and not host.revoked:
            self.nursery.start_soon(self.run_process, host.begin())

    def poisoned(self, life: Life) -> None:
        """A journal cannot be written any more, until somebody starts the process anew."""
        if not life.poisoned:
            life.poisoned = True
            self.nursery.start_soon(self._start_anew, life)

    async def _start_anew(self, life: Life) -> None:
        await sleep(POISONED_S)
        life.host.disk.make_room()
        if life is life.host.life:
            self.kill(life.host, kind="restart of a poisoned journal")

    def journal_lost(self, disk: Disk) -> None:
        """A process could not read its journal, and went on with a new one."""
        if not disk.journal.rotten:
            words = f"{disk.folder.name}: no byte of it went bad, and it was taken for lost"
            self.fail(ViolationError("good journal", words))
        disk.lose()
        self.count("journal unreadable")

    # --- Messages ----------------------------------------------------------------------------

    def serve(self, life: Life, method: str, request: Any) -> Any:
        """Let the control plane serve a message at this moment. Raises LostError."""
        headquarters, credential = self.headquarters, life.host.me.credential
        if self.twin_next and method == "Sync" and headquarters.up:
            self.twin_next = False
            self.count("two instances")
            headquarters.serve(method, request, credential, instance=headquarters.twin)
            self.check_books("served by another instance", life.name)
        was_up = headquarters.up
        if self.stale_next and method == "Sync" and was_up and self._worth_it(request):
            self.stale_next = False
            headquarters.main.store.stale = self.twin_chance
            self.count("stale decision")
        try:
            answer = headquarters.serve(method, request, credential)
        except LostError:
            if was_up and not headquarters.up:
                self.control_plane_ended()
            self.check_books(f"{method} refused", life.name)
            raise
        self.history.append(Message(life, method, request, answer, true_ms()))
        self.check_books(f"{method} served", life.name)
        if method == "Sync":
            self._check_named(request, answer)
        self._spread_policy()
        return answer

    def check_books(self, what: str, *details: object) -> None:
        """The database changed, or may have: hold it to what must be so."""
        self.step(what, *details)
        try:
            self.books.look(self)
        except ViolationError as violation:
            self.fail(violation)

    def _check_named(self, request: wire.SyncRequest, answer: wire.SyncResponse) -> None:
        try:
            check_named(request, answer, self.clock.unix_ms())
        except ViolationError as violation:
            self.fail(violation)

    def check_sidecars(self, what: str, name: str, *details: object) -> None:
        """Something happened at a sidecar: hold its leases to what must be so."""
        self.step(what, name, *details)
        try:
            invariants.check_leases(self, name)
        except ViolationError as violation:
            self.fail(violation)

    def _worth_it(self, request: wire.SyncRequest) -> bool:
        """Most decisions on old rows are about calls that wait, where they may do harm."""
        return bool(request.demands) or self.twin_chance.random() < 0.1

    def subscribe(self, life: Life, stream: Stream, known_version: int) -> None:
        """A process watches; what changed since it registered is told at once."""
        earlier = self.streams.get(life.host.sidecar_id)
        if earlier is not None:
            earlier.end()
        life.stream = self.streams[life.host.sidecar_id] = stream
        if not self.headquarters.up:
            return
        try:
            snapshot = self.headquarters.snapshot(life.host.sidecar_id, known_version)
        except UnauthenticatedError:
            return
        if snapshot is not None:
            self.push(life.host.sidecar_id, wire.WatchResponse(policy=snapshot))

    def unsubscribe(self, life: Life) -> None:
        """A process ends, and its connections with it."""
        assert life.stream is not None
        life.stream.end()
        if self.streams.get(life.host.sidecar_id) is life.stream:
            del self.streams[life.host.sidecar_id]

    def push(self, sidecar_id: str, directive: wire.WatchResponse) -> None:
        """A directive on its way; it may get lost, or come twice."""
        host = self.by_sidecar[sidecar_id]
        stream = self.streams.get(sidecar_id)
        if stream is None or not self._hears(host):
            return
        if self.network.lose("push"):
            return
        times = 2 if self.network.repeat("push") else 1
        for _ in range(times):
            self.nursery.start_soon(self._bring, stream, directive)
        if directive.WhichOneof("directive") != "heartbeat":
            assert host.life is not None
            self.pushed.append((host.life, directive))

    def _hears(self, host: SimulatedHost) -> bool:
        """Whether a directive would set out to a host at all."""
        return host.sidecar_id in self.streams and self.network.reaches(host.name) and host.alive

    async def _bring(self, stream: Stream, directive: wire.WatchResponse) -> None:
        await sleep(self.network.delay_s())
        try:
            stream.send.send_nowait(directive)
        except (trio.WouldBlock, trio.ClosedResourceError, trio.BrokenResourceError):
            return
        if directive.WhichOneof("directive") != "heartbeat":
            self.step("push", directive.WhichOneof("directive"))

    def beat(self) -> None:
        """Let the streams of those beat whose calls wait, as far as the control plane knows."""
        headquarters = self.headquarters
        if headquarters.up:
            now = self.clock.unix_ms()
            for sidecar_id in sorted(self.streams):
                if headquarters.main.levels.waits(sidecar_id, now):
                    headquarters.directives.beat(sidecar_id)

    def promised(self, what: str, name: str, policy_version: int, guaranteed_unix_ms: int) -> None:
        """An administrator is told by when a change binds."""
        generation = self.headquarters.read(lambda tx: installation.get(tx).generation)
        self.promises.append(Promise(what, name, policy_version, guaranteed_unix_ms, generation))

    def policy_changed(self) -> None:
        """After a commit that raised the policy's version: tell all who watch."""
        self.headquarters.directives.policy_moved = True
        self._spread_policy()

    def _spread_policy(self) -> None:
        directives = self.headquarters.directives
        if not directives.policy_moved or not self.headquarters.up:
            return
        directives.policy_moved = False
        for host in self.hosts.values():
            if host.alive and not host.revoked and self._hears(host):
                snapshot = self.headquarters.snapshot(host.sidecar_id, 0)
                if snapshot is not None:
                    self.push(host.sidecar_id, wire.WatchResponse(policy=snapshot))

    # --- The control plane's process -----------------------------------------------------------

    def restore_database(self, copy: Path, promised: int) -> None:
        """An old copy is put in place: what came after it is forgotten, also what was promised."""
        headquarters = self.headquarters
        self.count("database restored")
        if headquarters.up:
            self.end_control_plane()
        headquarters.restore(copy)
        del self.promises[promised:]
        self.restores += 1
        for host in self.hosts.values():
            for life in host.lives:
                if life.disk is not host.disk and life.dead:
                    life.disk.journal.lost = True  # it is gone, and with it what it told since
        # What it forgot would be news to it, and no repetition.
        self.history.clear()
        self.books.forget()

    def end_control_plane(self) -> None:
        """Kill it at this instant."""
        if self.headquarters.up:
            self.headquarters.end()
            self.control_plane_ended()

    def control_plane_ended(self) -> None:
        """Its streams break off; the next process begins a little later."""
        self.count("control plane killed")
        for stream in self.streams.values():
            stream.end()
        self.streams.clear()
        self.nursery.start_soon(self._begin_control_plane, self.chance.choice((0.2, 1.0, 4.0)))

    async def _begin_control_plane(self, after_s: float) -> None:
        await sleep(after_s)
        self.control_plane_begins()

    def control_plane_begins(self) -> None:
        """The next process begins, if none is there."""
        if not self.headquarters.up:
            self.headquarters.begin()
            self.check_books("control plane began")

    def disarm(self) -> None:
        """What was to happen at a point that never came does not happen any more."""
        self.twin_next = False
        self.headquarters.main.store.kill = ""
        self.headquarters.main.store.stale = None
        for host in self.hosts.values():
            host.armed = None
            host.disk.fail_sync = False

    # --- Rest ----------------------------------------------------------------------------------

    async def rest(self, seconds: float = REST_S) -> None:
        """Good weather, everything up, and time for everything to be told."""
        self.network.become(Conditions())
        for host in self.hosts.values():
            host.disk.make_room()
            while host.frozen:
                host.thaw()
            host.clock.resume()
            self.revive(host)
        self.control_plane_begins()
        await sleep(seconds)
