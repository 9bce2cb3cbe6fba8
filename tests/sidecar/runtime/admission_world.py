"""A sidecar without a network: admission over a real journal."""

import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from protos.bursar.sidecar.v1 import Record
from sidecar.clock import KeptClock
from sidecar.core.calls import Outcome, Settlement
from sidecar.core.leases import LeaseKey
from sidecar.core.policy import Policy
from sidecar.core.refusals import Reason, Refused
from sidecar.runtime.admission import Admission
from sidecar.runtime.identity import Host
from sidecar.runtime.journal import Journal
from sidecar.runtime.journal_file import JournalFile, Recovered
from sidecar.runtime.recovery import recover
from sidecar.runtime.secrets import ProviderSecrets
from sidecar.telemetry import Log
from tests.sidecar.builders import (
    CENT,
    MONTH,
    CountedEntropy,
    HandClock,
    grant,
    new_call,
    policy,
)

SEALING_KEY = bytes(range(32))
HERE = Host("machine", "boot")
OK = Settlement(outcome=Outcome.OK, cost_nano_usd=CENT, quantities={"input": 5, "output": 7})


class World:
    """A sidecar without a network."""

    def __init__(self, folder: Path, clock: HandClock, connect: Any = None) -> None:
        options = {} if connect is None else {"connect": connect}
        file, self.recovered = JournalFile.open(folder, **options)
        self.clock = clock
        self.kept = KeptClock(clock)
        self.journal = Journal(file, self.recovered, self.kept)
        self.log = io.StringIO()
        self.admission = Admission(
            journal=self.journal,
            clock=self.kept,
            entropy=CountedEntropy(),
            secrets=ProviderSecrets(SEALING_KEY),
            log=Log(clock, self.log),
        )

    def told(self, budget_id: str = "bgt_a", **answer: Any) -> None:
        """An answer came, as the control link would take it."""
        admission = self.admission
        admission.allowance.merge(grant(budget_id, **answer), self.clock.boot_ms, renews=True)
        self.journal.note_leases(admission.allowance)
        admission.answered(self.clock.now())

    async def records(self) -> list[Record]:
        bodies, _ = await self.journal.records(1)
        return [Record.FromString(body) for body in bodies]

    def lease(self, budget_id: str = "bgt_a", period: str = MONTH) -> Any:
        return self.admission.allowance.lease(LeaseKey(budget_id, "", period))


@asynccontextmanager
async def world(
    folder: Path, known: Policy | None = None, clock: HandClock | None = None, connect: Any = None
) -> AsyncIterator[World]:
    made = World(folder, clock or HandClock(), connect)
    recover(
        made.recovered,
        admission=made.admission,
        journal=made.journal,
        clock=made.kept,
        log=Log(made.clock, made.log),
        host=HERE,
    )
    made.admission.take_policy(known or policy())
    async with trio.open_nursery() as nursery:
        await nursery.start(made.journal.run)
        yield made
        await made.journal.close()
        nursery.cancel_scope.cancel()


def found(folder: Path) -> Recovered:
    file, recovered = JournalFile.open(folder)
    file.close()
    return recovered


async def refusal_of(admission: Admission, **call: Any) -> Reason:
    with pytest.raises(Refused) as caught:
        await admission.open(new_call(**call))
    return caught.value.refusal.reason


async def waiting(sidecar: World, count: int = 1) -> None:
    while len(sidecar.admission.waiting) < count:
        await trio.lowlevel.checkpoint()
