"""Our own books of an installation: whom it serves, what was asked, what was promised, and by whom.

Kept apart from what the control plane keeps: only ids and promises are taken from its answers.
"""

import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from typing import Any

import trio

from protos.bursar.admin import v1 as admin
from tests.chaos.caller import Answer, Asked
from tests.chaos.deck import WORKFLOWS, Plan
from tests.chaos.facts import Billed, Booked, Facts, Leased, Made, Promise, Span, Standing
from tests.chaos.installation import Installation
from tests.chaos.limits import OFFLINE_MS, PATIENCE_MS, UNTOLD_NS

PAGE_ROWS = 1_000
BILL_ROWS = 100_000
KEYS = 2
"""Keys of a client that work at the beginning of a round."""


@dataclass(frozen=True)
class Key:
    """A gateway key."""

    key_id: str
    secret: str
    account: "Account"


@dataclass(eq=False)
class Account:
    """A client: its project, its budgets, its keys."""

    project_id: str
    client_budget: str
    workflow_budget: str = ""
    """Counts calls of the first workflow; empty for none."""
    key_budget: str = ""
    """Counts calls of the first key; empty for none."""
    budget_key_id: str = ""
    keys: list[Key] = field(default_factory=list)

    @property
    def budgets(self) -> list[str]:
        """Its own budgets."""
        own = (self.client_budget, self.workflow_budget, self.key_budget)
        return [budget_id for budget_id in own if budget_id]

    def budgets_of(self, key_id: str, workflow: str) -> tuple[str, ...]:
        """Those of them that count a call."""
        counted = [self.client_budget]
        if self.workflow_budget and workflow == WORKFLOWS[0]:
            counted.append(self.workflow_budget)
        if self.key_budget and key_id == self.budget_key_id:
            counted.append(self.key_budget)
        return tuple(counted)


class Books:
    """Everything that is known about an installation from outside of it."""

    def __init__(self, installation: Installation) -> None:
        """Begin with nothing."""
        self.installation = installation
        self.agency_budget = ""
        self.account: Account | None = None
        self.accounts: list[Account] = []
        self.revoked_keys: list[Key] = []
        self.made: dict[str, Made] = {}
        self.billed: list[Billed] = []
        self.ceilings: dict[str, int] = {}
        self.bills: dict[str, int] = {}
        self.overruns: dict[str, int] = {}
        self.promises: list[Promise] = []
        self.silenced: dict[str, list[Span]] = defaultdict(list)
        self.bad_lines: list[Span] = []
        """When connections to the provider were cut, over all rounds."""
        self.expected_alarms: set[str] = set()
        """Those of the last round."""
        self._bill_seen = 0

    # --- Setting a round up --------------------------------------------------------------------

    async def prepare(self, plan: Plan) -> Account:
        """Make or fill up the budgets of a round; returns when every sidecar knows of them."""
        if not self.agency_budget:
            self.agency_budget = await self._new_budget("agency", plan.agency_nano_usd)
        else:
            await self.fill_up(self.agency_budget, plan.agency_nano_usd)
        if plan.fresh or self.account is None:
            self.account = await self._new_account(plan)
            self.accounts.append(self.account)
        else:
            await self.fill_up(self.account.client_budget, plan.cap_nano_usd)
            for budget_id, cap in (
                (self.account.workflow_budget, plan.workflow_nano_usd),
                (self.account.key_budget, plan.key_nano_usd),
            ):
                if budget_id:
                    await self.fill_up(budget_id, cap or plan.cap_nano_usd)
        while len(self.account.keys) < KEYS:
            await self._new_key(self.account)
        described = await self.installation.act(
            "installation", "GetInstallation", admin.GetInstallationRequest()
        )
        await self.installation.policy_everywhere(described.policy_version)
        return self.account

    async def _new_account(self, plan: Plan) -> Account:
        made = await self.installation.act(
            "projects",
            "CreateProject",
            admin.CreateProjectRequest(
                request_id=self.installation.request_id(),
                project=admin.Project(display_name=f"Round {plan.seed}", patience_ms=PATIENCE_MS),
                budget=admin.Budget(
                    display_name="client",
                    cap_nano_usd=plan.cap_nano_usd,
                    window=admin.Window.WINDOW_ONCE,
                    max_offline_ms=OFFLINE_MS,
                ),
            ),
        )
        project_id = made.project.project_id
        account = Account(project_id, made.budget.budget_id)
        self.ceilings[account.client_budget] = plan.cap_nano_usd
        await self._new_key(account)
        if plan.workflow_nano_usd is not None:
            account.workflow_budget = await self._new_budget(
                "workflow", plan.workflow_nano_usd, project_id=project_id, workflow=WORKFLOWS[0]
            )
        if plan.key_nano_usd is not None:
            account.budget_key_id = account.keys[0].key_id
            account.key_budget = await self._new_budget(
                "key", plan.key_nano_usd, project_id=project_id, key_id=account.budget_key_id
            )
        return account

    async def _new_key(self, account: Account) -> None:
        made = await self.installation.act(
            "keys",
            "CreateKey",
            admin.CreateKeyRequest(
                request_id=self.installation.request_id(),
                key=admin.Key(project_id=account.project_id, display_name="chaos"),
            ),
        )
        account.keys.append(Key(made.key.key_id, made.secret, account))

    async def _new_budget(self, name: str, cap_nano_usd: int, **selector: Any) -> str:
        made = await self.installation.act(
            "budgets",
            "CreateBudget",
            admin.CreateBudgetRequest(
                request_id=self.installation.request_id(),
                budget=admin.Budget(
                    display_name=name,
                    cap_nano_usd=cap_nano_usd,
                    window=admin.Window.WINDOW_ONCE,
                    max_offline_ms=OFFLINE_MS,
                    **selector,
                ),
                reason="chaos",
            ),
        )
        budget_id: str = made.budget_id
        self.ceilings[budget_id] = cap_nano_usd
        return budget_id

    # --- Changes -------------------------------------------------------------------------------

    async def fill_up(self, budget_id: str, by_nano_usd: int) -> None:
        """Set a cap so far above what is allocated already."""
        budget = await self._budget(budget_id)
        await self.set_cap(budget_id, _allocated(budget.current_period) + by_nano_usd)

    async def set_cap(self, budget_id: str, cap_nano_usd: int) -> Promise | None:
        """Set a cap; the promise, when it was lowered."""
        budget = await self._budget(budget_id)
        before_ns = time.monotonic_ns()
        answer = await self.installation.act(
            "budgets",
            "SetCap",
            admin.SetCapRequest(
                request_id=self.installation.request_id(),
                budget_id=budget_id,
                cap_nano_usd=cap_nano_usd,
                reason="chaos",
                etag=budget.etag,
            ),
        )
        self.promises = [
            replace(promise, until_ns=min(promise.until_ns, before_ns))
            if promise.budget_id == budget_id
            else promise
            for promise in self.promises
        ]
        ceiling = self.ceilings[budget_id]
        if cap_nano_usd >= ceiling:
            self.ceilings[budget_id] = cap_nano_usd
            return None
        allocated = _allocated(answer.budget.current_period)
        self.ceilings[budget_id] = max(cap_nano_usd, min(ceiling, allocated))
        promise = Promise(
            f"a cap of {cap_nano_usd} on {budget_id}",
            _monotonic_ns(answer.reach.guaranteed_time),
            budget_id=budget_id,
            cap_nano_usd=cap_nano_usd,
        )
        self.promises.append(promise)
        return promise

    async def revoke_key(self, account: Account) -> Promise:
        """Revoke a client's oldest key; the promise."""
        key = account.keys.pop(0)
        answer = await self.installation.act(
            "keys",
            "RevokeKey",
            admin.RevokeKeyRequest(
                request_id=self.installation.request_id(), key_id=key.key_id, reason="chaos"
            ),
        )
        self.revoked_keys.append(key)
        guaranteed_ns = _monotonic_ns(answer.reach.guaranteed_time)
        promise = Promise(f"the end of {key.key_id}", guaranteed_ns, key_id=key.key_id)
        self.promises.append(promise)
        return promise

    async def revoke_sidecar(self, name: str) -> Promise:
        """Revoke a sidecar by its name; the promise."""
        view = (await self.installation.sidecar_views())[name]
        answer = await self.installation.act(
            "sidecars",
            "RevokeSidecar",
            admin.RevokeSidecarRequest(
                request_id=self.installation.request_id(),
                sidecar_id=view.sidecar_id,
                reason="chaos",
            ),
        )
        guaranteed_ns = _monotonic_ns(answer.reach.guaranteed_time)
        promise = Promise(f"the revocation of {name}", guaranteed_ns, sidecar=name)
        self.promises.append(promise)
        return promise

    async def charge_orphans(self) -> None:
        """Charge what lost journals and revoked sidecars left behind, as an administrator would."""
        act = self.installation.act
        found = await act("leases", "ListOrphans", admin.ListOrphansRequest(page_size=PAGE_ROWS))
        held_back: Counter[str] = Counter()
        for orphan in found.orphans:
            held_back[orphan.lease.sidecar_id] += orphan.held_back_nano_usd
        for sidecar_id, held_back_nano_usd in held_back.items():
            if held_back_nano_usd:
                await act(
                    "leases",
                    "ChargeOrphans",
                    admin.ChargeOrphansRequest(
                        request_id=self.installation.request_id(),
                        sidecar_id=sidecar_id,
                        expected_nano_usd=held_back_nano_usd,
                        reason="chaos",
                    ),
                )

    def silence(self, name: str, until_ns: int) -> None:
        """A sidecar may tell nothing of calls until then that it has not told yet."""
        from_ns = time.monotonic_ns() - UNTOLD_NS
        self.silenced[name].append(Span(from_ns, until_ns))

    async def budget_now(self, budget_id: str) -> tuple[int, int]:
        """A budget's cap and what it has spent."""
        budget = await self._budget(budget_id)
        return budget.cap_nano_usd, budget.current_period.spent_nano_usd

    async def _budget(self, budget_id: str) -> Any:
        return await self.installation.act(
            "budgets", "GetBudget", admin.GetBudgetRequest(budget_id=budget_id)
        )

    def enter(
        self, asked: Asked, key: Key, sidecar: str, answer: Answer, *, overbilled: bool = False
    ) -> None:
        """Write down a call before it is made; its answer fills up as it comes."""
        own = key.account.budgets_of(key.key_id, asked.workflow)
        self.made[asked.tag] = Made(
            asked=asked,
            sidecar=sidecar,
            project_id=key.account.project_id,
            key_id=key.key_id,
            budgets=(self.agency_budget, *own),
            answer=answer,
            overbilled=overbilled,
        )

    # --- Gathering -----------------------------------------------------------------------------

    async def gather(self, prefix: str = "") -> Facts:
        """The facts of the calls whose tags begin so; with no prefix, of everything."""
        in_flight = await self._read_bill()
        accounts = self.accounts if not prefix else [self.account]
        budgets = [self.agency_budget, *(b for a in accounts if a for b in a.budgets)]
        made = {tag: call for tag, call in self.made.items() if tag.startswith(prefix)}
        booked = [
            call
            for project_id in sorted({call.project_id for call in made.values()})
            for call in await self._ledger(project_id)
            if call.tag.startswith(prefix)
        ]
        touched = {
            budget_id
            for call in self.made.values()
            if call.sidecar in self.silenced
            for budget_id in call.budgets
        }
        described = await self.installation.act(
            "installation", "GetInstallation", admin.GetInstallationRequest()
        )
        return Facts(
            mode=described.mode,
            made=made,
            billed=[row for row in self.billed if row.tag.startswith(prefix)],
            booked=booked,
            in_flight=in_flight,
            ceilings={budget_id: self.ceilings[budget_id] for budget_id in budgets},
            budget_bills=dict(self.bills),
            budget_overruns=dict(self.overruns),
            standings={budget_id: await self._standing(budget_id) for budget_id in budgets},
            leases=[lease for budget_id in budgets for lease in await self._leases(budget_id)],
            deaths={name: list(spans) for name, spans in self.installation.deaths.items()},
            stops={name: list(spans) for name, spans in self.installation.stops.items()},
            silenced=dict(self.silenced),
            silenced_budgets=frozenset(touched),
            bad_lines=list(self.bad_lines),
            promises=list(self.promises),
            whole=not prefix,
        )

    async def _read_bill(self) -> int:
        path = f"/rehearsal/bill?since={self._bill_seen}&limit={BILL_ROWS}"
        page = await trio.to_thread.run_sync(self.installation.provider, path)
        origin_ns = int(page["origin_monotonic_ns"])
        for row in page["calls"]:
            billed = _billed(row, origin_ns)
            self.billed.append(billed)
            made = self.made.get(billed.tag)
            for budget_id in made.budgets if made is not None else ():
                self.bills[budget_id] = self.bills.get(budget_id, 0) + billed.cost_nano_usd
                if made is not None and made.overbilled:
                    over = self.overruns.get(budget_id, 0) + billed.overrun_nano_usd
                    self.overruns[budget_id] = over
        self._bill_seen = int(page["next_since"])
        return int(page["in_flight"])

    async def _ledger(self, project_id: str) -> list[Booked]:
        calls: list[Booked] = []
        token = ""
        while True:
            page = await self.installation.act(
                "calls",
                "ListCalls",
                admin.ListCallsRequest(
                    project_id=project_id, page_size=PAGE_ROWS, page_token=token
                ),
            )
            calls += map(_booked, page.calls)
            token = page.next_page_token
            if not token:
                return calls

    async def _standing(self, budget_id: str) -> Standing:
        period = (await self._budget(budget_id)).current_period
        return Standing(
            spent_nano_usd=period.spent_nano_usd,
            leased_nano_usd=period.leased_nano_usd,
            held_nano_usd=period.held_nano_usd,
            overrun_nano_usd=period.overrun_nano_usd,
            orphaned_nano_usd=period.orphaned_nano_usd,
            lump_nano_usd=period.lump_nano_usd,
        )

    async def _leases(self, budget_id: str) -> list[Leased]:
        page = await self.installation.act(
            "leases",
            "ListLeases",
            admin.ListLeasesRequest(budget_id=budget_id, page_size=PAGE_ROWS),
        )
        return [
            Leased(
                budget_id=lease.budget_id,
                sidecar_id=lease.sidecar_id,
                outstanding_nano_usd=lease.granted_nano_usd
                - lease.returned_nano_usd
                - lease.spent_nano_usd,
                held_nano_usd=lease.held_nano_usd,
                state=lease.state,
            )
            for lease in page.leases
        ]


def _allocated(period: Any) -> int:
    return int(period.spent_nano_usd + period.leased_nano_usd + period.orphaned_nano_usd)


def _monotonic_ns(instant: Any) -> int:
    """An instant of the wall clock on the clock that all processes of a machine share."""
    return int(instant.ToNanoseconds()) - time.time_ns() + time.monotonic_ns()


def _billed(row: dict[str, Any], origin_ns: int) -> Billed:
    return Billed(
        tag=str(row["prompt"]).partition(" ")[0],
        request_id=row["request_id"],
        started_ns=origin_ns + int(row["started_ms"]) * 1_000_000,
        ended_ns=origin_ns + int(row["ended_ms"]) * 1_000_000,
        outcome=row["outcome"],
        status=int(row["status"]),
        streamed=bool(row["streamed"]),
        cost_nano_usd=int(row["cost_nano_usd"]),
        worst_nano_usd=int(row["worst_nano_usd"]),
    )


def _booked(call: Any) -> Booked:
    return Booked(
        call_id=call.call_id,
        tag=call.execution,
        cost_nano_usd=call.cost_nano_usd,
        estimated=call.estimated,
        outcome=call.outcome,
        request_id=call.provider_request_id,
    )
