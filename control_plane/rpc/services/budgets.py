"""Serves budgets."""

import grpc.aio

from control_plane.core.budgets import CapChange, Reach
from control_plane.rpc.transactions import Transactions
from control_plane.rpc.wire import budgets as wire
from control_plane.rpc.wire.paging import asked_from_wire
from control_plane.usecases import budgets
from protos.bursar.admin import v1

Context = grpc.aio.ServicerContext[object, object]


class BudgetServicer(v1.BudgetServiceServicer):
    """Makes budgets and changes their caps."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions
        self._levels = transactions.deps.levels

    async def CreateBudget(self, request: v1.CreateBudgetRequest, context: Context) -> v1.Budget:
        asked = wire.new_budget_from_wire(request.budget)
        return await self._transactions.change(
            request,
            request.request_id,
            v1.Budget,
            lambda tx, act: wire.budget_to_wire(
                budgets.create_budget(tx, asked, request.reason, act)
            ),
        )

    async def GetBudget(self, request: v1.GetBudgetRequest, context: Context) -> v1.Budget:
        now = self._transactions.now_unix_ms()
        found = await self._transactions.read(
            request, lambda tx: budgets.get_budget(tx, request.budget_id, now, self._levels)
        )
        return wire.budget_to_wire(found)

    async def ListBudgets(
        self, request: v1.ListBudgetsRequest, context: Context
    ) -> v1.ListBudgetsResponse:
        asked, now = asked_from_wire(request), self._transactions.now_unix_ms()
        page = await self._transactions.read(
            request,
            lambda tx: budgets.list_budgets(
                tx,
                asked,
                project_id=request.project_id,
                show_archived=request.show_archived,
                now_unix_ms=now,
                levels=self._levels,
            ),
        )
        return v1.ListBudgetsResponse(
            budgets=map(wire.budget_to_wire, page.items), next_page_token=page.next_token
        )

    async def UpdateBudget(self, request: v1.UpdateBudgetRequest, context: Context) -> v1.Budget:
        change = wire.budget_change_from_wire(request)
        wanted = request.budget
        return await self._transactions.change(
            request,
            request.request_id,
            v1.Budget,
            lambda tx, act: wire.budget_to_wire(
                budgets.update_budget(tx, wanted.budget_id, wanted.etag, change, act)
            ),
        )

    async def SetCap(self, request: v1.SetCapRequest, context: Context) -> v1.SetCapResponse:
        wish = wire.set_cap_from_wire(request)
        return await self._transactions.change(
            request,
            request.request_id,
            v1.SetCapResponse,
            lambda tx, act: self._decided(*budgets.set_cap(tx, wish, act)),
        )

    async def UndoCap(self, request: v1.UndoCapRequest, context: Context) -> v1.SetCapResponse:
        return await self._transactions.change(
            request,
            request.request_id,
            v1.SetCapResponse,
            lambda tx, act: self._decided(
                *budgets.undo_cap(tx, request.budget_id, request.cap_version, request.reason, act)
            ),
        )

    def _decided(
        self, shown: budgets.ShownBudget, change: CapChange, reach: Reach
    ) -> v1.SetCapResponse:
        return v1.SetCapResponse(
            budget=wire.budget_to_wire(budgets.with_held(shown, self._levels)),
            change=wire.cap_change_to_wire(change),
            reach=wire.reach_to_wire(reach),
        )

    async def ArchiveBudget(self, request: v1.ArchiveBudgetRequest, context: Context) -> v1.Budget:
        return await self._transactions.change(
            request,
            request.request_id,
            v1.Budget,
            lambda tx, act: wire.budget_to_wire(
                budgets.archive_budget(tx, request.budget_id, request.reason, act)
            ),
        )

    async def ListPeriods(
        self, request: v1.ListPeriodsRequest, context: Context
    ) -> v1.ListPeriodsResponse:
        asked = asked_from_wire(request)
        page = await self._transactions.read(
            request,
            lambda tx: budgets.list_periods(
                tx, asked, request.budget_id, request.partition, self._levels
            ),
        )
        return v1.ListPeriodsResponse(
            periods=map(wire.period_to_wire, page.items), next_page_token=page.next_token
        )

    async def ListCapChanges(
        self, request: v1.ListCapChangesRequest, context: Context
    ) -> v1.ListCapChangesResponse:
        asked = asked_from_wire(request)
        page = await self._transactions.read(
            request, lambda tx: budgets.list_cap_changes(tx, asked, request.budget_id)
        )
        return v1.ListCapChangesResponse(
            changes=map(wire.cap_change_to_wire, page.items), next_page_token=page.next_token
        )
