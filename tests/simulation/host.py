"""A sidecar's host: its clocks and its disk, and the processes that live there one after another.

A process is the real journal, admission and control link, put together in the order in which the
sidecar's own start does it. Killing it cancels all its tasks at once, after its disk was taken away
from it: whatever a task still does on its way out reaches nobody.
"""

import io
import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import trio

from protos.bursar.sidecar import v1 as wire
from sidecar.clock import KeptClock
from sidecar.core.allowance import Allowance
from sidecar.core.instants import Now
from sidecar.core.leases import Lease, LeaseKey
from sidecar.runtime import identity, policy_file
from sidecar.runtime.admission import Admission
from sidecar.runtime.control import ControlLink, Surroundings
from sidecar.runtime.identity import Host as HostIdentity
from sidecar.runtime.identity import Identity
from sidecar.runtime.journal_file import JournalFile, JournalLostError, Recovered
from sidecar.runtime.policy_file import PolicyKeeper
from sidecar.runtime.recovery import recover
from sidecar.runtime.report import Told
from sidecar.runtime.secrets import ProviderSecrets
from sidecar.runtime.watcher import Watcher
from sidecar.telemetry import Log
from tests.simulation import authority
from tests.simulation.clocks import HostClock, true_ms
from tests.simulation.disk import Disk, SimulatedJournal
from tests.simulation.invariants import ViolationError
from tests.simulation.network import Stream

if TYPE_CHECKING:
    from tests.simulation.simulation import Simulation

_SECRETS = ProviderSecrets(bytes(range(32)))
"""No call of a simulation needs a provider's secret."""


class SeededEntropy:
    """Random bytes from the seed."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance

    def random_bytes(self, count: int) -> bytes:
        return self._chance.randbytes(count)


class _Keeper(PolicyKeeper):
    """Keeps policies in virtual time, where others use a thread."""

    life: "Life"

    async def _keep(self, message: wire.Policy) -> None:
        await self.life.disk.write()
        if not self.life.dead:
            policy_file.save(self._folder, message)
            self.life.policy_kept = (message.generation, message.version)


class _Watcher(Watcher):
    """Watches over the simulated network, where others use a thread that reads a stream."""

    life: "Life"

    async def _watch(self) -> bool:
        life = self.life
        await life.simulation.network.reachable(life.host.name)
        request, _ = self._request()
        stream = Stream()
        life.simulation.subscribe(life, stream, request.policy_version)
        async for directive in stream.receive:
            await life.host.awake()
            await self._follow(directive)
        return True


class _Allowance(Allowance):
    """What a process may spend; what it gives back unasked is held to what it heard."""

    life: "Life"

    def take_returns(self, now: Now) -> list[Lease]:
        given = super().take_returns(now)
        if given and not self.life.heard:
            words = f"{self.life.name} gave money back though its last Sync failed"
            self.life.simulation.fail(ViolationError("I3 offline", words))
        return given


class _Link(ControlLink):
    """The control link, whose answers are kept, to be taken once more at rest."""

    life: "Life"

    async def _register(self) -> bool:
        registered = await super()._register()
        self.life.asked_ms = self.life.left_ms
        return registered

    async def _sync(self) -> bool:
        life = self.life
        life.in_flight = False
        answered = await super()._sync()
        life.asked_ms = life.left_ms
        # One that an answer came to, of whatever kind, is none that is in flight any more.
        life.heard = answered or (life.heard and not life.in_flight)
        return answered

    def _take(self, answer: wire.SyncResponse, told: Told, sent: Now) -> bool:
        # Those of windows that are over come back when another database serves.
        allowance = self.life.allowance
        known = (*allowance, *allowance._aside.values())
        before = {lease.key: lease.authority_boot_ms for lease in known}
        self.life.in_flight = False
        taken = super()._take(answer, told, sent)
        self.life.check_authority(answer, told.request.sync_no, before, counts=taken)
        self.life.took(answer, told, sent, counts=taken)
        return taken


class Life:
    """One process, from its start to its end."""

    def __init__(self, host: "SimulatedHost", disk: Disk) -> None:
        """Begin on a disk that may be the host's own or a copy of it."""
        self.host = host
        self.disk = disk
        self.clock = KeptClock(host.clock)
        self.simulation = host.simulation
        self.log = io.StringIO()
        self.dead = False
        self.poisoned = False
        self.ready = trio.Event()
        self.scope = trio.CancelScope()
        self.stream: Stream | None = None
        self.admission: Admission
        self.journal: SimulatedJournal
        self.link: ControlLink
        self.calls: trio.Nursery
        self.answers: list[tuple[wire.SyncResponse, Told, Now]] = []
        self.boots = host.boots
        """Which boot of the host it lives in."""
        self.began_ms = self.left_ms = self.asked_ms = true_ms()
        """When it began, when it asked last, and when it sent what was answered or failed last."""
        self.syncs_left: dict[int, tuple[int, int]] = {}
        """When each Sync left: by the true time, and by the clock that the process keeps."""
        self.in_flight = False
        """A Sync left, and no answer came yet."""
        self.heard = False
        """The last Sync did not fail."""
        self.policy_kept = (0, 0)
        """Generation and version of the policy on the disk."""

    @property
    def name(self) -> str:
        return self.host.name

    @property
    def allowance(self) -> Allowance:
        return self.admission.allowance

    def happened(self, what: str) -> None:
        """A point at which the process may be made to end."""
        if what == "journal fails":
            self.simulation.poisoned(self)
        armed = self.host.armed
        if armed is not None and armed[0] == what and self is self.host.life:
            self.host.armed = None
            self.simulation.kill(self.host, power_loss=armed[1], kind=f"kill: {what}")

    def took(self, answer: wire.SyncResponse, told: Told, sent: Now, *, counts: bool) -> None:
        """An answer was taken."""
        if counts:
            self.answers.append((answer, told, sent))
        self.simulation.check_sidecars("answer taken", self.name, answer.acked_seq)
        self.happened("answer taken")

    def asks(self, _: Any) -> None:
        """A message leaves."""
        self.left_ms = true_ms()

    def sends(self, request: Any) -> None:
        """A Sync leaves."""
        self.asks(request)
        self.in_flight = True
        self.syncs_left[request.sync_no] = (self.left_ms, self.clock.now().boot_ms)

    def check_authority(
        self, answer: wire.SyncResponse, sync_no: int, before: dict[LeaseKey, int], *, counts: bool
    ) -> None:
        """What an answer gave ends so long after its Sync left, however late it came."""
        try:
            authority.check_taken(self, answer, sync_no, before, counts=counts)
        except ViolationError as violation:
            self.simulation.fail(violation)

    def _check_beginning(self) -> None:
        """What it found in its journal is no more than came there."""
        try:
            authority.check_beginning(self)
        except ViolationError as violation:
            self.simulation.fail(violation)

    def kill(self, *, power_loss: bool = False) -> None:
        """End at this instant."""
        if self.dead:
            return
        self.dead = True
        if hasattr(self, "journal"):
            self.journal.die(power_loss=power_loss)
        if self.stream is not None:
            self.simulation.unsubscribe(self)
        self.scope.cancel()

    async def live(self) -> None:
        """Run until killed."""
        with self.scope:
            await self._live()

    async def _live(self) -> None:
        me = self._load()
        recovered = self._open(me)
        around = self._put_together(recovered)
        self.link = self._link(around, me, recovered)
        async with trio.open_nursery() as nursery:
            await nursery.start(self.journal.run)
            self.calls = nursery
            self._check_beginning()
            self.ready.set()
            await self.link.run()

    def _link(self, around: Surroundings, me: Identity, recovered: Recovered) -> ControlLink:
        link = _Link(around, me, recovered.generation)
        keeper = _Keeper(self.disk.folder, self.admission, around.log)
        watcher = _Watcher(
            around.stub,
            around.log,
            request=link._watch_request,
            follow=link._follow,
            silent=lambda: True,
        )
        keeper.life = watcher.life = link.life = self
        link._policy, link._watcher = keeper, watcher
        return link

    def _load(self) -> Identity:
        me = identity.load(self.disk.folder)
        assert me is not None
        return me

    def _open(self, me: Identity) -> Recovered:
        """Open the journal; one that cannot be read is set aside, as the sidecar's start does."""
        folder, disk = self.disk.folder, self.disk
        clock = self.clock
        try:
            file, recovered = JournalFile.open(folder, connect=disk.connect)
        except JournalLostError:
            JournalFile.set_aside(folder, f"lost-{clock.now().unix_ms}")
            self.simulation.journal_lost(disk)
            file, recovered = JournalFile.open(folder, connect=disk.connect)
        assert me.epoch or not recovered.epoch
        disk.opened(file)
        self.journal = SimulatedJournal(file, recovered, clock, disk, self.happened)
        return recovered

    def _put_together(self, recovered: Recovered) -> Surroundings:
        host, clock = self.host, self.clock
        log = Log(clock, self.log)
        entropy = SeededEntropy(host.chance)
        self.admission = Admission(
            journal=self.journal, clock=clock, entropy=entropy, secrets=_SECRETS, log=log
        )
        self.admission.allowance.__class__ = _Allowance
        cast(_Allowance, self.admission.allowance).life = self
        recover(
            recovered,
            admission=self.admission,
            journal=self.journal,
            clock=clock,
            log=log,
            host=host.identity,
        )
        known = policy_file.load(self.disk.folder, "")
        if known is not None:
            self.admission.take_policy(known)
            self.policy_kept = (known.generation, known.version)
        return Surroundings(
            stub=cast(Any, _Stub(self)),
            admission=self.admission,
            journal=self.journal,
            folder=self.disk.folder,
            host=host.identity,
            clock=clock,
            entropy=entropy,
            log=log,
            software_version="",
        )

    def alarms(self) -> list[str]:
        """The alarms that it raised."""
        lines = (line.split(" ") for line in self.log.getvalue().splitlines())
        return [words[2] for words in lines if words[1] == "ALARM"]


def _untold(_: Any) -> None:
    """Nobody needs to know when it left."""


class _Stub:
    """The methods of the control plane, as one process reaches them."""

    def __init__(self, life: Life) -> None:
        simulation, host = life.simulation, life.host
        self._life = life

        def method(name: str, *, repeats: bool, sends: Callable[[Any], None] = _untold) -> Any:
            return simulation.network.method(
                host.name,
                lambda request: simulation.serve(life, name, request),
                host.awake,
                sends,
                repeats=repeats,
            )

        self.Register = method("Register", repeats=False, sends=life.asks)
        self.Sync = method("Sync", repeats=True, sends=life.sends)
        self.Drain = method("Drain", repeats=True)


class SimulatedHost:
    """One machine with a sidecar."""

    def __init__(
        self, simulation: "Simulation", name: str, clock: HostClock, disk: Disk, me: Identity
    ) -> None:
        """Take a machine that is running; no process lives there yet."""
        self.simulation = simulation
        self.name = name
        self.clock = clock
        self.disk = disk
        self.me = me
        self.sidecar_id = me.sidecar_id
        self.chance = random.Random(f"{simulation.seed}:{name}")
        self.boots = 1
        self.life: Life | None = None
        self.lives: list[Life] = []
        self.armed: tuple[str, bool] | None = None
        """The point at which the next process end comes, and whether with the power."""
        self.frozen = 0
        self.slept = False
        """It stood still, at least once."""
        self._thawed = trio.Event()
        self.revoked = False
        self.old_disk_returned = False

    @property
    def identity(self) -> HostIdentity:
        return HostIdentity(f"machine-{self.name}", f"boot-{self.name}-{self.boots}")

    @property
    def alive(self) -> bool:
        return self.life is not None and not self.life.dead

    def begin(self, disk: Disk | None = None) -> Life:
        """Start a process; on another disk it is a second one of the same name."""
        life = Life(self, disk or self.disk)
        self.lives.append(life)
        if disk is None:
            assert not self.alive
            self.life = life
        return life

    def freeze(self) -> None:
        self.frozen += 1
        self.slept = True

    def thaw(self) -> None:
        self.frozen -= 1
        if not self.frozen:
            self._thawed.set()
            self._thawed = trio.Event()

    async def awake(self) -> None:
        """Wait while the machine sleeps."""
        while self.frozen:
            await self._thawed.wait()
