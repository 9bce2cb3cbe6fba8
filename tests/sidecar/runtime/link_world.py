"""A sidecar with all but the proxy, beside a control plane that says what a story wants."""

import io
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from protos.bursar.sidecar import v1 as wire
from sidecar.clock import KeptClock, SystemClock
from sidecar.core.calls import Hold, Outcome, Settlement
from sidecar.core.instants import Now
from sidecar.core.leases import LeaseKey
from sidecar.entropy import SystemEntropy
from sidecar.runtime import identity, policy_file
from sidecar.runtime.admission import Admission
from sidecar.runtime.channel import Target, open_channel
from sidecar.runtime.control import ControlLink, Surroundings
from sidecar.runtime.identity import Host, Identity
from sidecar.runtime.journal import Journal
from sidecar.runtime.journal_file import JournalFile
from sidecar.runtime.recovery import recover
from sidecar.runtime.secrets import ProviderSecrets
from sidecar.telemetry import Log
from tests.sidecar.builders import CENT, MONTH, NOON, new_call
from tests.sidecar.control_plane_double import ControlPlaneDouble

KEY = LeaseKey("bgt_a", "", MONTH)
LEASE = ("bgt_a", "", MONTH)
OK = Settlement(outcome=Outcome.OK, cost_nano_usd=CENT)
HOST = Host("machine", "boot")


class NoonClock:
    """The real passing of time, but always about the same noon."""

    wrong_ms = 0

    def __init__(self) -> None:
        self._real = SystemClock()
        self._begun = self._real.now()

    def now(self) -> Now:
        real = self._real.now()
        return Now(NOON + self.wrong_ms + real.boot_ms - self._begun.boot_ms, real.boot_ms)


class Sidecar:
    """Everything but the proxy."""

    def __init__(self, folder: Path, stub: Any, me: Identity, connect: Any = None) -> None:
        options = {} if connect is None else {"connect": connect}
        file, recovered = JournalFile.open(folder, **options)
        clock = KeptClock(NoonClock())
        self.clock = clock
        self.text = io.StringIO()
        log = Log(clock, self.text)
        self.journal = Journal(file, recovered, clock)
        self.admission = Admission(
            journal=self.journal,
            clock=clock,
            entropy=SystemEntropy(),
            secrets=ProviderSecrets(me.sealing_key),
            log=log,
        )
        recover(
            recovered,
            admission=self.admission,
            journal=self.journal,
            clock=clock,
            log=log,
            host=HOST,
        )
        known = policy_file.load(folder, me.region)
        if known is not None:
            self.admission.take_policy(known)
        around = Surroundings(
            stub=stub,
            admission=self.admission,
            journal=self.journal,
            folder=folder,
            host=HOST,
            clock=clock,
            entropy=SystemEntropy(),
            log=log,
            software_version="test",
        )
        self.link = ControlLink(around, me, recovered.generation)

    async def call(self, worst: int = CENT) -> Hold:
        await self.link.has_policy.wait()
        return await self.admission.open(new_call(worst))

    async def paid(self, worst: int = CENT) -> None:
        self.admission.settle(await self.call(worst), OK)

    @property
    def lease(self) -> Any:
        return self.admission.allowance.lease(KEY)


def member(folder: Path) -> Identity:
    """A sidecar that has joined."""
    known = identity.load(folder)
    if known is None:
        known = identity.named(identity.make(SystemEntropy()), "sdc_1", "one", "eu")
        identity.save(folder, known)
    return known


@asynccontextmanager
async def running(
    folder: Path, cp: ControlPlaneDouble, connect: Any = None
) -> AsyncIterator[Sidecar]:
    """A sidecar that runs until the block ends; then as if it had been killed."""
    channel = open_channel(Target(cp.address, None))
    stub = wire.SidecarServiceStub(channel)
    sidecar = Sidecar(folder, stub, member(folder), connect)
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            await nursery.start(sidecar.journal.run)
            nursery.start_soon(sidecar.link.run)
            yield sidecar
            await sidecar.journal.close()
            nursery.cancel_scope.cancel()
    channel.close()


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something that the tasks here bring about."""
    while not condition():  # noqa: ASYNC110 - many conditions, none with an event of its own
        await trio.sleep(0.005)


async def asked(cp: ControlPlaneDouble, condition: Callable[[], bool]) -> None:
    """Wait for something that the control plane is asked."""
    await trio.to_thread.run_sync(cp.until, condition)


async def synced(sidecar: Sidecar, cp: ControlPlaneDouble) -> None:
    """Let a Sync go out and be answered."""
    count = len(cp.syncs)
    await until(lambda: sidecar.link._registered)
    sidecar.admission.hurry()
    await asked(cp, lambda: len(cp.syncs) > count)
    number = cp.syncs[-1].sync_no
    await until(lambda: sidecar.link.answered_sync_no >= number)
