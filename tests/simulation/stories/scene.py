"""A stage on which stories are told: the whole simulation, with faults by a script and no dice.

Both real sides live in virtual time, and after every step all is held against what the provider
truly billed (invariants.py). A story says who does what; what it does not say goes well.
"""

from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trio

from control_plane.core.budgets import NewBudget, Reach, SetCap
from control_plane.core.keys import NewKey
from control_plane.core.projects import NewProject
from control_plane.core.windows import Window
from control_plane.store.engine import Row, Value
from control_plane.usecases import budgets, keys, projects
from protos.values.selectors import Selector, SplitBy
from sidecar.core.leases import Lease
from sidecar.core.refusals import Reason, Refusal, Refused
from tests.simulation import calls, invariants
from tests.simulation.calls import Order
from tests.simulation.engine import play
from tests.simulation.host import Life, SimulatedHost
from tests.simulation.network import Conditions
from tests.simulation.resting import check_rest
from tests.simulation.simulation import Simulation

CENT = 10_000_000
DOLLAR = 100 * CENT
NOON = 1_795_435_200_000
"""2026-11-23T12:00:00Z, a Monday."""
HOUR_MS = 3_600_000
MIDNIGHT = NOON + 12 * HOUR_MS
"""Where a day turns."""
SEED = 7


@dataclass(frozen=True, slots=True)
class Client:
    """A client of the agency: its project, its own budget, and a key."""

    project_id: str
    budget_id: str
    key_id: str
    secret_id: str


@dataclass(slots=True)
class Attempt:
    """What became of a call."""

    came_ms: int
    ended_ms: int = 0
    """When it was let out or refused."""
    call_id: str = ""
    """Its id, once it was let out; "" when it never was."""
    refusal: Refusal | None = None

    @property
    def passed(self) -> bool:
        return bool(self.call_id)

    @property
    def reason(self) -> Reason | None:
        """Why it was refused; None when it passed, or its process died."""
        return self.refusal.reason if self.refusal is not None else None

    @property
    def waited_ms(self) -> int:
        return self.ended_ms - self.came_ms


@dataclass(slots=True)
class Scene:
    """Who is there, and what happens to them."""

    simulation: Simulation
    attempts: list[Attempt] = field(default_factory=list)

    # --- Who is there ------------------------------------------------------------------------

    def client(
        self, name: str, cap: int, *, window: Window = "month", offline_ms: int = 300_000
    ) -> Client:
        """A client with a budget and a key."""
        act = self.simulation.headquarters.act
        first = NewBudget(cap_nano_usd=cap, window=window, max_offline_ms=offline_ms)
        project, budget = act(
            lambda tx, by: projects.create_project(tx, NewProject(name), first, by)
        )
        key, _ = act(lambda tx, by: keys.create_key(tx, NewKey(project.project_id), by))
        self.simulation.policy_changed()
        return Client(project.project_id, budget.budget_id, key.key_id, key.secrets[0].secret_id)

    def budget(
        self,
        cap: int | None,
        *,
        of: Client | None = None,
        workflow: str = "",
        window: Window = "month",
        split_by: SplitBy = "",
        offline_ms: int = 300_000,
    ) -> str:
        """One more budget: of a client, of one of its workflows, or of the whole agency."""
        asked = NewBudget(
            selector=Selector(project_id=of.project_id if of else "", workflow=workflow),
            split_by=split_by,
            window=window,
            cap_nano_usd=cap,
            max_offline_ms=offline_ms,
        )
        made = self.simulation.headquarters.act(
            lambda tx, by: budgets.create_budget(tx, asked, "test", by)
        )
        self.simulation.policy_changed()
        return made.budget.budget_id

    async def sidecars(self, *names: str) -> list[SimulatedHost]:
        """Sidecars that have registered and know the policy."""
        hosts = [self.simulation.add_sidecar(name) for name in names]
        for host in hosts:
            await self.ready(host)
        await trio.sleep(0.5)
        return hosts

    async def ready(self, host: SimulatedHost) -> Life:
        """The process that lives at a host, once it knows a policy."""
        await self.until(lambda: host.alive)
        await self.life(host).ready.wait()
        await self.life(host).link.has_policy.wait()
        return self.life(host)

    async def asleep_for(self, seconds: float, *hosts: SimulatedHost) -> None:
        """The processes of these are killed, and started again only after so long."""
        for host in hosts:
            self.life(host).kill()
        await trio.sleep(seconds)
        for host in hosts:
            self.simulation.revive(host)
            await self.ready(host)

    def life(self, host: SimulatedHost) -> Life:
        assert host.life is not None
        return host.life

    # --- What happens ------------------------------------------------------------------------

    async def call(
        self,
        host: SimulatedHost,
        client: Client,
        worst: int = CENT,
        *,
        cost: int | None = None,
        lasts_ms: int = 200,
        ends: str = "",
        workflow: str = "",
    ) -> Attempt:
        """One call, to its end: it costs its worst case unless said otherwise."""
        cost = worst if cost is None else cost
        order = _Costing(
            project_id=client.project_id,
            key_id=client.key_id,
            secret_id=client.secret_id,
            workflow=workflow,
            worst_nano_usd=worst,
            ends=ends or "less",
            lasts_ms=lasts_ms,
            costs_nano_usd=cost,
        )
        attempt = Attempt(self.now_ms)
        self.attempts.append(attempt)
        life = self.life(host)
        over = trio.Event()
        life.calls.start_soon(self._through, life, order, attempt, over)
        while not over.is_set() and not life.dead:
            with trio.move_on_after(1):
                await over.wait()
        return attempt

    async def _through(self, life: Life, order: Order, attempt: Attempt, over: trio.Event) -> None:
        simulation = self.simulation
        try:
            hold = await life.admission.open(order.asked())
            attempt.ended_ms = self.now_ms
            life.happened("call opened")
            at_once = not life.host.frozen
            await life.host.awake()
            if not life.dead:
                attempt.call_id = hold.call_id
                await calls._sent(simulation, life, order, hold, at_once=at_once)
        except Refused as refused:
            attempt.ended_ms = self.now_ms
            if not life.dead:
                attempt.refusal = refusal = refused.refusal
                worst = order.worst_nano_usd
                invariants.check_refusal(life, refusal, worst, order.attributes)
        finally:
            over.set()

    async def all_at_once(self, *begun: Coroutine[Any, Any, Attempt]) -> list[Attempt]:
        """Calls that come in the same instant, to the end of the last of them."""
        ended: dict[int, Attempt] = {}

        async def one(number: int, call: Coroutine[Any, Any, Attempt]) -> None:
            ended[number] = await call

        async with trio.open_nursery() as nursery:
            for number, call in enumerate(begun):
                nursery.start_soon(one, number, call)
        return [ended[number] for number in range(len(begun))]

    def begin(self, call: Coroutine[Any, Any, Attempt]) -> None:
        """Let a call begin, and go on."""
        self.simulation.nursery.start_soon(_run, call)

    async def until(self, holds: Callable[[], bool], within_s: float = 60) -> None:
        """Wait until something is so."""
        with trio.fail_after(within_s):
            while not holds():  # noqa: ASYNC110 - what a story waits for tells nobody
                await trio.sleep(0.005)

    async def warm_up(self, host: SimulatedHost, *clients: Client, worst: int = 10 * CENT) -> None:
        """Three calls of each client, and time for their leases to be filled up again."""
        for client in clients:
            await self.calls(3, host, client, worst)
        await trio.sleep(2)

    async def calls(
        self, count: int, host: SimulatedHost, client: Client, worst: int = CENT
    ) -> list[Attempt]:
        """So many calls, one after the other."""
        return [await self.call(host, client, worst) for _ in range(count)]

    def cut(self, *hosts: SimulatedHost) -> None:
        """These reach nobody; all others do."""
        self.simulation.network.become(Conditions(cut={host.name for host in hosts}))

    def deafen(self, *hosts: SimulatedHost) -> None:
        """What these say arrives, and no answer comes back."""
        self.simulation.network.become(Conditions(deaf={host.name for host in hosts}))

    def mend(self) -> None:
        """Everybody reaches everybody."""
        self.simulation.network.become(Conditions())

    def set_cap(self, budget_id: str, cap: int) -> Reach:
        """An administrator sets a cap, and is told by when it binds."""
        simulation = self.simulation
        wish = SetCap(budget_id, cap, this_period_only=False, reason="test")
        _, _, reach = simulation.headquarters.act(lambda tx, by: budgets.set_cap(tx, wish, by))
        self._promised("cap", budget_id, reach)
        return reach

    def revoke(self, client: Client) -> Reach:
        """An administrator revokes a key, and is told by when it binds."""
        _, reach = self.simulation.headquarters.act(
            lambda tx, by: keys.revoke_key(tx, client.key_id, "", "test", by)
        )
        self._promised("key", client.key_id, reach)
        return reach

    def _promised(self, what: str, name: str, reach: Reach) -> None:
        simulation = self.simulation
        simulation.promised(what, name, reach.policy_version, reach.guaranteed_unix_ms)
        simulation.check_books(f"{what} changed", name)
        simulation.policy_changed()

    def headquarters_away(self) -> None:
        """The control plane's process ends, and no other begins."""
        self.simulation.headquarters.end()
        for stream in self.simulation.streams.values():
            stream.end()
        self.simulation.streams.clear()

    def headquarters_back(self) -> None:
        """The next process of the control plane begins."""
        self.simulation.headquarters.begin()

    # --- What is seen ------------------------------------------------------------------------

    @property
    def now_ms(self) -> int:
        return round(trio.current_time() * 1_000)

    @property
    def now_unix_ms(self) -> int:
        return self.simulation.clock.unix_ms()

    def billed(self, budget_id: str, period_id: str = "") -> int:
        """What the provider charged for a budget, so far."""
        return sum(
            call.billed_nano_usd or 0
            for call in self.simulation.provider.calls.values()
            if any(
                key.budget_id == budget_id and period_id in ("", key.period_id)
                for key in call.vector
            )
        )

    def sent(self, host: SimulatedHost) -> list[int]:
        """When calls of a host reached the provider, in milliseconds of the story."""
        return [
            call.sent_ms
            for call in self.simulation.provider.calls.values()
            if call.life.host is host
        ]

    def lease(self, host: SimulatedHost, budget_id: str) -> Lease:
        """The lease of a budget's running period at a sidecar."""
        now = host.clock.now().unix_ms
        [found] = [
            lease
            for lease in self.life(host).allowance
            if lease.key.budget_id == budget_id and lease.covers(now)
        ]
        return found

    def syncs(self, host: SimulatedHost) -> int:
        """How many Syncs of a host were served so far."""
        return sum(
            message.method == "Sync" and message.life.host is host
            for message in self.simulation.history
        )

    def period(self, budget_id: str, period_id: str = "") -> Row:
        """A budget's period as the control plane has it; the newest, unless named."""
        found = self.rows(
            "SELECT * FROM period WHERE budget_id = :budget ORDER BY start_unix_ms DESC",
            budget=budget_id,
        )
        return next(row for row in found if period_id in ("", row["period_id"]))

    def rows(self, sql: str, **params: Value) -> list[Row]:
        """What the database says."""
        return list(self.simulation.headquarters.read(lambda tx: tx.rows(sql, params)))

    def books(self) -> list[tuple[str, int]]:
        """Every number of every period and lease, with its name."""
        found = [*self.rows("SELECT * FROM period"), *self.rows("SELECT * FROM lease")]
        return [(name, row[name]) for row in found for name in sorted(row.keys())]

    def alarms(self) -> list[str]:
        """The alarms that the control plane raised, in their order."""
        return [row["kind"] for row in self.rows("SELECT kind FROM alarm ORDER BY position")]

    def ledger(self) -> dict[str, Row]:
        """Every call in the ledger, by its id."""
        rows = self.rows("SELECT * FROM call")
        assert len({row["call_id"] for row in rows}) == len(rows)
        return {row["call_id"]: row for row in rows}

    async def at_rest(self, seconds: float = 25) -> None:
        """All is mended and told: the ledger is the bill, and every cap was kept."""
        await self.simulation.rest(seconds)
        check_rest(self.simulation)


async def _run(call: Coroutine[Any, Any, Attempt]) -> None:
    await call


@dataclass(frozen=True, slots=True)
class _Costing(Order):
    """An order that says what it costs."""

    costs_nano_usd: int = 0

    @property
    def bill_nano_usd(self) -> int:
        return 0 if self.ends in calls.UNBILLED else self.costs_nano_usd


Story = Callable[[Scene], Awaitable[None]]


def tell(folder: Path, story: Story, *, start_unix_ms: int = NOON) -> None:
    """Tell a story in virtual time, and hold it to all that must be so."""

    async def main() -> None:
        simulation = Simulation(folder / "world", SEED, start_unix_ms=start_unix_ms)
        try:
            async with trio.open_nursery() as nursery:
                simulation.nursery = simulation.network.nursery = nursery
                await story(Scene(simulation))
                for host in simulation.hosts.values():
                    for life in host.lives:
                        life.kill()
                nursery.cancel_scope.cancel()
        finally:
            simulation.headquarters.close()
            if simulation.violation is not None:
                raise simulation.violation

    play(main, SEED)
