"""The hot row: how many Syncs one real control plane takes on one budget of the whole agency.

Real gRPC, real SQLite on a disk. Each of many callers stands for a sidecar: it syncs again as soon
as it is answered, and each Sync settles a call, gives back what was left of its hold, says what it
wants, and asks for the next two calls. So every Sync moves the same period's row.
"""

import asyncio
import secrets
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from control_plane.core.ledger import CHAIN_START, chain_after
from protos.bursar.admin import v1 as admin
from protos.bursar.sidecar import v1 as wire
from protos.values.keys import SECRET_BYTES, SIDECAR_CREDENTIAL, key_digest, make_key
from sidecar.core.calls import Hold, Outcome, Settlement
from sidecar.core.leases import LeaseKey
from sidecar.runtime import translate
from tests.bench import machine, processes
from tests.leasing.figures import percentile
from tests.sidecar.builders import attributes, new_call

USD = 1_000_000_000
WORST = USD // 20
COST = 1_000
WARM_S, WINDOW_S = 2.0, 7.0
RPC_S = 20
CALLERS = (50, 200)
_OWN = (("grpc.use_local_subchannel_pool", 1),)
"""A connection for each caller, as sidecars have."""


@dataclass
class Caller:
    """One sidecar, as far as the control plane can tell."""

    stub: Any
    """The asynchronous one: its types are those of the synchronous."""
    credential: str
    budget_id: str
    project_id: str
    period_id: str = ""
    epoch: int = 0
    sync_no: int = 0
    generation: int = 0
    seq: int = 0
    chain: bytes = CHAIN_START
    granted: int = 0
    returned: int = 0
    spent: int = 0
    calls: int = 0
    named: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)

    @property
    def _metadata(self) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {self.credential}"),)

    async def join(self, token: str, name: str) -> None:
        """Become a sidecar and begin a journal."""
        joining = wire.JoinRequest(
            join_token=token,
            credential_digest=key_digest(self.credential),
            sealing_public_key=secrets.token_bytes(32),
            display_name=name,
        )
        await self.stub.Join(joining, timeout=RPC_S)
        beginning = wire.RegisterRequest(protocol_version=1, incarnation=name)
        beginning.lost.epoch = 0
        answer = await self.stub.Register(beginning, metadata=self._metadata, timeout=RPC_S)
        self.epoch, self.generation, self._incarnation = answer.epoch, answer.generation, name

    async def sync(self) -> None:
        """Settle what was named, give the rest back, ask for more."""
        records = [self._settle(call_id) for call_id in self.named]
        self.waiting = [call_id for call_id in self.waiting if call_id not in self.named]
        self.named.clear()
        left = self.granted - self.returned - self.spent
        if left > 0:
            self.returned += left
            self.seq += 1
            records.append(translate.return_to_wire(self.seq, self._key, self.returned))
        while len(self.waiting) < 2:
            self.calls += 1
            self.waiting.append(f"{self._incarnation}-{self.calls}")
        self.sync_no += 1
        answer = await self.stub.Sync(
            self._request(records), metadata=self._metadata, timeout=RPC_S
        )
        assert answer.status == wire.SyncStatus.SYNC_STATUS_OK, answer
        for grant in answer.leases:
            self.period_id = grant.lease.period_id
            self.granted = max(self.granted, grant.granted_nano_usd)
        self.named = list(answer.named_call_ids)

    @property
    def _key(self) -> LeaseKey:
        return LeaseKey(self.budget_id, "", self.period_id)

    def _settle(self, call_id: str) -> bytes:
        self.seq += 1
        self.spent += COST
        call = new_call(WORST, of=attributes(self.project_id))
        hold = Hold(call_id, call, WORST, None, time.time_ns() // 1_000_000)
        record = translate.record_begun(hold, [self._key], (), "")
        ended = Settlement(Outcome.OK, cost_nano_usd=COST, quantities={"input": 10, "output": 20})
        return translate.settle_to_wire(record, self.seq, ended, COST, hold.started_unix_ms)

    def _request(self, records: Sequence[bytes]) -> wire.SyncRequest:
        request = wire.SyncRequest(
            epoch=self.epoch,
            incarnation=self._incarnation,
            sync_no=self.sync_no,
            generation_seen=self.generation,
            demands=[
                wire.Demand(
                    call_id=call_id,
                    age_ms=10 * (2 - place),
                    worst_nano_usd=WORST,
                    budgets=[wire.BudgetRef(budget_id=self.budget_id)],
                    patience_ms=20_000,
                )
                for place, call_id in enumerate(self.waiting)
            ],
        )
        if records:
            self.chain = chain_after(self.chain, list(records))
            request.from_seq = self.seq - len(records) + 1
            request.records.extend(records)
            request.chain = self.chain
        if self.period_id:
            request.leases.add(
                lease=wire.LeaseKey(budget_id=self.budget_id, period_id=self.period_id),
                granted_seen_nano_usd=self.granted,
                returned_nano_usd=self.returned,
                spent_nano_usd=self.spent,
                want_nano_usd=16 * WORST,
                median_worst_nano_usd=WORST,
                smallest_worst_nano_usd=WORST,
            )
        return request


@dataclass(frozen=True, slots=True)
class Sample:
    """What one number of callers reached."""

    callers: int
    tight: bool
    syncs_per_s: float
    named_per_sync: float
    cpu_us: float
    p50_ms: float
    p99_ms: float


def measure() -> list[str]:
    """Start a control plane and ask it as fast as it answers: a table, which judges no machine."""
    with tempfile.TemporaryDirectory(prefix="hot-row-", dir=_disk()) as made:
        folder = Path(made)
        with processes.Child(
            "control_plane",
            ["--data", str(folder / "data"), "--listen", "127.0.0.1:0"],
            core=None,
            log=folder / "log",
        ) as child:
            address = f"127.0.0.1:{child.port()}"
            token = (folder / "data" / "owner.token").read_text().strip()
            samples = [
                asyncio.run(_sample(address, token, child.pid, callers, tight=tight))
                for callers in CALLERS
                for tight in (False, True)
            ]
    lines = [
        "| callers | headroom | Syncs/s | of each | named a Sync | CPU us/Sync | p50 ms | p99 ms |",
        "|---:|---|---:|---:|---:|---:|---:|---:|",
    ]
    return lines + [
        f"| {each.callers} | {'short' if each.tight else 'plenty'} | {each.syncs_per_s:,.0f} "
        f"| {each.syncs_per_s / each.callers:.2f} | {each.named_per_sync:.2f} | {each.cpu_us:,.0f} "
        f"| {each.p50_ms:,.1f} | {each.p99_ms:,.1f} |"
        for each in samples
    ]


def _disk() -> Path:
    folder = processes.REPOSITORY / "build"
    folder.mkdir(exist_ok=True)
    return folder


async def _sample(address: str, token: str, pid: int, count: int, *, tight: bool) -> Sample:
    credentials = (("authorization", f"Bearer {token}"),)
    cap = count * WORST if tight else 1_000_000 * USD
    async with grpc.aio.insecure_channel(address) as channel:
        project_id, budget_id = await _provision(channel, credentials, cap)
        joiner = admin.SidecarAdminServiceStub(channel)
        channels = [grpc.aio.insecure_channel(address, options=_OWN) for _ in range(count)]
        callers = []
        for number, own in enumerate(channels):
            credential = make_key(SIDECAR_CREDENTIAL, secrets.token_bytes(SECRET_BYTES))
            one = Caller(wire.SidecarServiceStub(own), credential, budget_id, project_id)
            request = admin.CreateJoinTokenRequest(request_id=secrets.token_hex(16))
            made = await joiner.CreateJoinToken(request, metadata=credentials, timeout=RPC_S)
            await one.join(made.join_token, f"caller-{count}-{tight}-{number}")
            callers.append(one)
        sample = await _load(callers, pid, tight=tight)
        await asyncio.gather(*(own.close() for own in channels))
        stub = admin.BudgetServiceStub(channel)
        ending = admin.ArchiveBudgetRequest(
            request_id=secrets.token_hex(16), budget_id=budget_id, reason="measured"
        )
        await stub.ArchiveBudget(ending, metadata=credentials, timeout=RPC_S)
    return sample


async def _provision(
    channel: grpc.aio.Channel, credentials: tuple[tuple[str, str], ...], cap: int
) -> tuple[str, str]:
    made = await admin.ProjectServiceStub(channel).CreateProject(
        admin.CreateProjectRequest(
            request_id=secrets.token_hex(16),
            project=admin.Project(display_name=secrets.token_hex(4)),
            budget=admin.Budget(display_name="Client", cap_nano_usd=1_000_000 * USD),
        ),
        metadata=credentials,
        timeout=RPC_S,
    )
    agency = await admin.BudgetServiceStub(channel).CreateBudget(
        admin.CreateBudgetRequest(
            request_id=secrets.token_hex(16),
            budget=admin.Budget(display_name=secrets.token_hex(4), cap_nano_usd=cap),
            reason="hot row",
        ),
        metadata=credentials,
        timeout=RPC_S,
    )
    return made.project.project_id, agency.budget_id


async def _load(callers: Sequence[Caller], pid: int, *, tight: bool) -> Sample:
    took: list[float] = []
    named = 0
    running = True

    async def ask(caller: Caller) -> None:
        nonlocal named
        while running:
            begun = time.perf_counter()
            await caller.sync()
            took.append(1_000 * (time.perf_counter() - begun))
            named += len(caller.named)

    tasks = [asyncio.create_task(ask(caller)) for caller in callers]
    await asyncio.sleep(WARM_S)
    took.clear()
    named, cpu_us, begun = 0, machine.cpu_us(pid), time.perf_counter()
    await asyncio.sleep(WINDOW_S)
    count, seconds = len(took), time.perf_counter() - begun
    used_us, sent = machine.cpu_us(pid) - cpu_us, named
    ordered = sorted(took)
    running = False
    await asyncio.gather(*tasks)
    return Sample(
        callers=len(callers),
        tight=tight,
        syncs_per_s=count / seconds,
        named_per_sync=sent / max(1, count),
        cpu_us=used_us / max(1, count),
        p50_ms=percentile(ordered, 50),
        p99_ms=percentile(ordered, 99),
    )
