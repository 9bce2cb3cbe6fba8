"""Both real cores in one event loop with a virtual clock: a control plane, sidecars, a bad network.

What is real: the control plane's store and use cases, the sidecar's admission, journal and control
link, and both sides' wire code. What is not: time, sockets, threads and the provider. Chance comes
from one seed, so a failing run is run again by its number.
"""

import io
import queue
import random
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import trio
import trio.testing

from control_plane.rpc import sidecar_wire
from control_plane.usecases.register import drain, register
from control_plane.usecases.sync import sync
from protos.bursar.sidecar import v1 as wire
from sidecar.clock import KeptClock
from sidecar.core.calls import Outcome, Settlement
from sidecar.core.instants import Now
from sidecar.core.leases import LeaseKey
from sidecar.core.refusals import Reason, Refused
from sidecar.runtime import identity, policy_file
from sidecar.runtime.admission import Admission
from sidecar.runtime.control import ControlLink, Surroundings
from sidecar.runtime.identity import Host
from sidecar.runtime.journal import Group, Journal
from sidecar.runtime.journal_file import JournalFile
from sidecar.runtime.policy_file import PolicyKeeper
from sidecar.runtime.recovery import recover
from sidecar.runtime.secrets import ProviderSecrets
from sidecar.telemetry import Log
from tests.control_plane.leasing_world import NOON, World
from tests.sidecar.builders import attributes, new_call
from tests.sidecar.control_plane_double import policy_message

CLIENTS = ("a", "b", "c")


class VirtualClock:
    """Both clocks, driven by the event loop's."""

    def now(self) -> Now:
        ms = round(trio.current_time() * 1_000)
        return Now(NOON + ms, 1_000_000 + ms)


class SeededEntropy:
    """Random bytes from the seed."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance

    def random_bytes(self, count: int) -> bytes:
        return self._chance.randbytes(count)


class InlineJournal(Journal):
    """Writes where others wake a thread: a virtual clock would run on while a thread works."""

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._linger)
            task_status.started()
            await trio.sleep_forever()

    async def durable(self, group: Group) -> None:
        self._wake()
        await super().durable(group)

    def _wake(self) -> None:
        group, self._filling = self._filling, Group()
        if not group.empty:
            self._write(group)
            self._written(group)


class InlineKeeper(PolicyKeeper):
    """Keeps policies where others use a thread."""

    async def _keep(self, message: wire.Policy) -> None:
        policy_file.save(self._folder, message)


class LostError(grpc.RpcError):
    """A request or an answer that never arrived."""

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.DEADLINE_EXCEEDED

    def details(self) -> str:
        return "lost"


class _Future:
    """What a stub's `.future()` gives, resolved by the simulated network."""

    def __init__(self) -> None:
        self._callbacks: list[Callable[[Any], None]] = []
        self._answer: Any = None
        self._error: BaseException | None = None
        self._done = False
        self._cancelled = False

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        self._callbacks.append(callback)
        if self._done:
            callback(self)

    def resolve(self, answer: Any = None, error: BaseException | None = None) -> None:
        if not self._done:
            self._answer, self._error, self._done = answer, error, True
            for callback in self._callbacks:
                callback(self)

    def cancel(self) -> None:
        self._cancelled = not self._done
        self.resolve()

    def cancelled(self) -> bool:
        return self._cancelled

    def exception(self) -> BaseException | None:
        return self._error

    def result(self) -> Any:
        return self._answer


class _SilentStream:
    """A Watch that brings nothing until it is cancelled; directives come by the simulation."""

    def __init__(self) -> None:
        self._ended: queue.Queue[None] = queue.Queue()

    def __iter__(self) -> Iterator[Any]:
        self._ended.get()
        return iter(())

    def cancel(self) -> None:
        self._ended.put(None)


@dataclass
class Weather:
    """How bad the network is."""

    loss: float = 0.0
    duplication: float = 0.0
    delay_s: float = 0.02
    cut: set[str] = field(default_factory=set)
    """Sidecars that reach nobody."""


class _Method:
    """One RPC over the simulated network."""

    def __init__(
        self,
        simulation: "Simulation",
        name: str,
        serve: Callable[[Any], Any],
        *,
        repeats: bool,
    ) -> None:
        self._simulation = simulation
        self._name = name
        self._serve = serve
        self._repeats = repeats
        """Whether the network may repeat it; no process sends an old registration again."""

    def future(self, request: Any, timeout: float | None = None, **_: Any) -> _Future:
        found = _Future()
        self._simulation.nursery.start_soon(self._carry, request, found, timeout or 10.0)
        return found

    async def _carry(self, request: Any, found: _Future, timeout_s: float) -> None:
        """Carry a request and its answer, or lose either; a repeated request comes later."""
        simulation, chance = self._simulation, self._simulation.chance
        weather = simulation.weather
        answer = None
        with trio.move_on_after(timeout_s):
            await trio.sleep(chance.uniform(0, weather.delay_s))
            if self._name not in weather.cut and chance.random() >= weather.loss:
                answer = simulation.served(self._serve, request)
                await trio.sleep(chance.uniform(0, weather.delay_s))
            if self._name in weather.cut or chance.random() < weather.loss:
                answer = None
            if answer is None:
                await trio.sleep_forever()
        if answer is None:
            found.resolve(error=LostError())
        else:
            found.resolve(answer)
        if self._repeats and chance.random() < weather.duplication:
            await trio.sleep(chance.uniform(0, 3))
            simulation.served(self._serve, request)


class SimulatedSidecar:
    """One sidecar's process, as often as it is started."""

    def __init__(self, simulation: "Simulation", name: str, folder: Path) -> None:
        self.simulation = simulation
        self.name = name
        self.folder = folder
        self.scope = trio.CancelScope()
        self.log = io.StringIO()
        self.admission: Admission
        self.link: ControlLink
        folder.mkdir()
        entropy = SeededEntropy(simulation.chance)
        identity.save(folder, identity.named(identity.make(entropy), name, name, ""))

    def __getattr__(self, rpc: str) -> Any:
        """The stub's methods."""
        if rpc == "Watch":
            return lambda *_, **__: _SilentStream()
        served: dict[str, Callable[[Any], Any]] = {
            "Register": self._register,
            "Sync": self._sync,
            "Drain": self._drain,
        }
        if rpc in served:
            return _Method(self.simulation, self.name, served[rpc], repeats=rpc == "Sync")
        raise AttributeError(rpc)

    def _register(self, request: wire.RegisterRequest) -> wire.RegisterResponse:
        world = self.simulation.world
        asked = sidecar_wire.registration_from_wire(request)
        answer = world.do(lambda tx: register(tx, self.name, asked, world.levels, world.now))
        response = sidecar_wire.registered_to_wire(answer, world.now)
        policy = self.simulation.policy()
        if policy.version > request.policy_version:
            response.policy.CopyFrom(policy)
        return response

    def _sync(self, request: wire.SyncRequest) -> wire.SyncResponse:
        world = self.simulation.world
        report = sidecar_wire.report_from_wire(request)
        names = self.simulation.sidecars
        answer = world.do(
            lambda tx: sync(
                tx, self.name, report, world.levels, world.now, lambda name, _: name in names
            )
        )
        world.check()
        for recall in answer.recalls:
            lease = sidecar_wire.lease_key_to_wire(recall.key)
            message = wire.Recall(lease=lease, keep_nano_usd=recall.keep_nano_usd)
            self.simulation.push(recall.sidecar_id, wire.WatchResponse(recall=message))
        for name in sorted(answer.nudges):
            self.simulation.push(name, wire.WatchResponse(nudge=wire.Nudge()))
        for offer in answer.offers:
            told = sidecar_wire.offer_to_wire(offer)
            self.simulation.push(offer.sidecar_id, wire.WatchResponse(offer=told))
        return sidecar_wire.answer_to_wire(answer)

    def _drain(self, request: wire.DrainRequest) -> wire.DrainResponse:
        world = self.simulation.world
        stranded = world.do(
            lambda tx: drain(
                tx, self.name, request.epoch, request.incarnation, world.levels, world.now
            )
        )
        return wire.DrainResponse(stranded_nano_usd=stranded)

    async def live(self) -> None:
        """Run one process until it is killed."""
        with trio.CancelScope() as self.scope:
            await self._live()

    async def _live(self) -> None:
        file, recovered = JournalFile.open(self.folder, synchronous="normal")
        clock, entropy = KeptClock(VirtualClock()), SeededEntropy(self.simulation.chance)
        me = identity.load(self.folder)
        assert me is not None
        log = Log(clock, self.log)
        host = Host("machine", "boot")
        journal = InlineJournal(file, recovered, clock)
        self.admission = Admission(
            journal=journal,
            clock=clock,
            entropy=entropy,
            secrets=ProviderSecrets(me.sealing_key),
            log=log,
        )
        recover(
            recovered, admission=self.admission, journal=journal, clock=clock, log=log, host=host
        )
        known = policy_file.load(self.folder, "")
        if known is not None:
            self.admission.take_policy(known)
        around = Surroundings(
            stub=self,
            admission=self.admission,
            journal=journal,
            folder=self.folder,
            host=host,
            clock=clock,
            entropy=entropy,
            log=log,
            software_version="",
        )
        self.link = ControlLink(around, me, recovered.generation)
        self.link._policy = InlineKeeper(self.folder, self.admission, log)
        try:
            async with trio.open_nursery() as nursery:
                await nursery.start(journal.run)
                nursery.start_soon(self.link.run)
        finally:
            file.close()


@dataclass
class Refusal:
    """A call that was refused, and what was truly left then."""

    reason: Reason
    worst_nano_usd: int
    left_nano_usd: int
    """Of the scarcest of its budgets: cap - billed - in flight."""


class Simulation:
    """The world and its chances."""

    def __init__(self, folder: Path, seed: int, caps_nano_usd: dict[str, int]) -> None:
        self.chance = random.Random(seed)
        self.world = World(folder / "control-plane")
        self.caps = caps_nano_usd
        for name, cap in caps_nano_usd.items():
            self.world.budget(name, cap)
        self.weather = Weather()
        self.folder = folder
        self.sidecars: dict[str, SimulatedSidecar] = {}
        self.nursery: trio.Nursery
        self.billed: dict[str, int] = dict.fromkeys(caps_nano_usd, 0)
        """What the provider truly charged, by budget."""
        self.in_flight: dict[str, int] = dict.fromkeys(caps_nano_usd, 0)
        self.calls: dict[str, int] = {}
        """What the provider charged, by call."""
        self.settled: set[str] = set()
        self.refusals: list[Refusal] = []

    def policy(self) -> wire.Policy:
        """A client for each letter, each with its own budget, and one budget for all."""
        return policy_message(
            1,
            projects=[
                wire.Project(project_id=f"prj_{name}", active=True, patience_ms=20_000)
                for name in CLIENTS
            ],
            keys=[
                wire.Key(
                    digest=name.encode().ljust(32, b"."),
                    key_id=f"key_{name}",
                    secret_id=f"sec_{name}",
                    project_id=f"prj_{name}",
                )
                for name in CLIENTS
            ],
            budgets=[
                wire.Budget(
                    budget_id=name,
                    display_name=name,
                    project_id="" if name == "agency" else f"prj_{name}",
                    capped=True,
                    cap_version=1,
                )
                for name in self.caps
            ],
        )

    def served(self, serve: Callable[[Any], Any], request: Any) -> Any:
        """Let the control plane serve a request, at this moment of the loop's clock."""
        self.world.clock.now_unix_ms = VirtualClock().now().unix_ms
        return serve(request)

    def push(self, name: str, directive: wire.WatchResponse) -> None:
        """A directive on its way; it may get lost."""
        if name in self.weather.cut or self.chance.random() < self.weather.loss:
            return
        self.nursery.start_soon(self._follow, self.sidecars[name], directive)

    async def _follow(self, sidecar: SimulatedSidecar, directive: wire.WatchResponse) -> None:
        await trio.sleep(self.chance.uniform(0, self.weather.delay_s))
        if not sidecar.scope.cancel_called:
            await sidecar.link._follow(directive)

    def add_sidecar(self, name: str) -> SimulatedSidecar:
        sidecar = SimulatedSidecar(self, name, self.folder / name)
        self.sidecars[name] = sidecar
        virtual = self.world.sidecar(name)
        del self.world.sidecars[virtual.name]
        self.nursery.start_soon(sidecar.live)
        return sidecar

    def restart(self, name: str) -> None:
        """Kill a sidecar's process at this instant, and start the next on the same folder."""
        sidecar = self.sidecars[name]
        if sidecar.scope.cancel_called:
            return  # the next one is on its way; a lock keeps a second away
        sidecar.scope.cancel()
        self.nursery.start_soon(self._again, sidecar)

    async def _again(self, sidecar: SimulatedSidecar) -> None:
        await trio.sleep(0.5)
        await sidecar.live()

    async def call(self, sidecar: SimulatedSidecar, client: str, worst: int, actual: int) -> None:
        """One call: admitted, billed by the provider after a while, settled if anybody lives."""
        await sidecar.link.has_policy.wait()
        budgets = [name for name in (client, "agency") if name in self.caps]
        asked = new_call(
            worst, of=attributes(f"prj_{client}", f"key_{client}"), secret=f"sec_{client}"
        )
        admission = sidecar.admission
        try:
            hold = await admission.open(asked)
        except Refused as refused:
            if sidecar.admission is not admission or sidecar.scope.cancel_called:
                return  # its process is dead: the caller saw the connection break
            left = min(
                self.caps[name] - self.billed[name] - self.in_flight[name] for name in budgets
            )
            self.refusals.append(Refusal(refused.refusal.reason, worst, left))
            return
        self.calls[hold.call_id] = actual
        for name in budgets:
            self.in_flight[name] += worst
        await trio.sleep(self.chance.uniform(0.05, 3))
        for name in budgets:
            self.in_flight[name] -= worst
            self.billed[name] += actual
            assert self.billed[name] <= self.caps[name], f"{name} leaked"
        if sidecar.admission is admission and not sidecar.scope.cancel_called:
            self.settled.add(hold.call_id)
            admission.settle(hold, Settlement(outcome=Outcome.OK, cost_nano_usd=actual))

    def ledger(self) -> dict[str, tuple[int, bool]]:
        """What the control plane booked: cost and whether it is an estimate, by call."""
        rows = self.world.store.read(
            lambda tx: tx.rows("SELECT call_id, cost_nano_usd, estimated FROM call")
        ).result()
        assert len({row["call_id"] for row in rows}) == len(rows)
        return {row["call_id"]: (row["cost_nano_usd"], bool(row["estimated"])) for row in rows}

    def booked_lease(self, sidecar: SimulatedSidecar, key: LeaseKey) -> tuple[int, int, int]:
        """Granted, returned and spent of a lease, as the control plane has it."""
        row = self.world.row(
            """SELECT * FROM lease WHERE sidecar_id = :sidecar AND epoch = :epoch
               AND budget_id = :budget AND partition = :partition AND period_id = :period""",
            sidecar=sidecar.name,
            epoch=sidecar.link._journal.epoch,
            budget=key.budget_id,
            partition=key.partition,
            period=key.period_id,
        )
        return row["granted_nano_usd"], row["returned_nano_usd"], row["spent_nano_usd"]

    async def rest(self) -> None:
        """Good weather, and time for everything to be told."""
        self.weather = Weather()
        await trio.sleep(40)


def play(story: Callable[[], Awaitable[None]], seed: int) -> None:
    """Run a story in virtual time, the same way each time."""
    scheduler: Any = trio._core._run
    scheduler._ALLOW_DETERMINISTIC_SCHEDULING = True
    scheduler._r.seed(seed)
    try:
        trio.run(story, clock=trio.testing.MockClock(autojump_threshold=0))
    finally:
        scheduler._ALLOW_DETERMINISTIC_SCHEDULING = False
