"""Serves statements: built in pieces of reads and one write, rendered in threads."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence

import grpc.aio
from google.protobuf.message import Message

from control_plane import limits
from control_plane.core.cost_lines import CostLines, Line, from_rows, rows_of
from control_plane.core.fields import invalid
from control_plane.core.pages import Page
from control_plane.rpc.transactions import Transactions
from control_plane.rpc.wire.paging import asked_from_wire
from control_plane.rpc.wire.statements import (
    settings_from_wire,
    settings_to_wire,
    statement_to_wire,
)
from control_plane.statements.files import FORMS, check_format
from control_plane.statements.focus import Names, Period, render_focus
from control_plane.store.engine import Tx
from control_plane.store.statements import Kept
from control_plane.usecases import branding, cost_lines, statements
from control_plane.usecases.acts import Act
from control_plane.usecases.statements import Plan
from protos.bursar.admin import v1

Context = grpc.aio.ServicerContext[object, object]


class StatementServicer(v1.StatementServiceServicer):
    """Builds, reads and moves statements."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions

    async def BuildStatement(
        self, request: v1.BuildStatementRequest, context: Context
    ) -> v1.Statement:
        now = self._transactions.now_unix_ms()
        plan = await self._transactions.read(
            request, lambda tx: statements.plan(tx, request.project_id, request.month, now)
        )
        lines = await self._lines(request, plan.stretch)
        return await self._moved(
            request,
            request.request_id,
            lambda tx, act: statements.build_statement(tx, plan, lines, act),
        )

    async def GetStatement(self, request: v1.GetStatementRequest, context: Context) -> v1.Statement:
        kept = await self._transactions.read(
            request, lambda tx: statements.get_statement(tx, request.statement_id)
        )
        return statement_to_wire(kept)

    async def ListStatements(
        self, request: v1.ListStatementsRequest, context: Context
    ) -> v1.ListStatementsResponse:
        asked = asked_from_wire(request)

        def page_of(tx: Tx) -> Page[Kept]:
            return statements.list_statements(tx, asked, request.project_id, request.month)

        page = await self._transactions.read(request, page_of)
        return v1.ListStatementsResponse(
            statements=map(statement_to_wire, page.items), next_page_token=page.next_token
        )

    async def GetStatementFile(
        self, request: v1.GetStatementFileRequest, context: Context
    ) -> AsyncIterator[v1.GetStatementFileResponse]:
        render = FORMS[check_format(request.format)]
        frozen = await self._transactions.read(
            request, lambda tx: statements.get_statement_file(tx, request.statement_id)
        )
        content = await asyncio.to_thread(render, frozen.statement, frozen.lines)
        for piece, digest in _pieces(content):
            yield v1.GetStatementFileResponse(content=piece, sha256=digest)

    async def SetStatementNote(
        self, request: v1.SetStatementNoteRequest, context: Context
    ) -> v1.Statement:
        return await self._moved(
            request,
            request.request_id,
            lambda tx, act: statements.set_statement_note(
                tx, request.statement_id, request.note, act
            ),
        )

    async def ApproveStatement(
        self, request: v1.ApproveStatementRequest, context: Context
    ) -> v1.Statement:
        return await self._moved(
            request,
            request.request_id,
            lambda tx, act: statements.approve_statement(
                tx, request.statement_id, request.sha256, act
            ),
        )

    async def SendStatement(
        self, request: v1.SendStatementRequest, context: Context
    ) -> v1.Statement:
        return await self._moved(
            request,
            request.request_id,
            lambda tx, act: statements.send_statement(tx, request.statement_id, act),
        )

    async def GetStatementSettings(
        self, request: v1.GetStatementSettingsRequest, context: Context
    ) -> v1.StatementSettings:
        found = await self._transactions.read(
            request, lambda tx: statements.get_statement_settings(tx, request.project_id)
        )
        return settings_to_wire(found)

    async def SetStatementSettings(
        self, request: v1.SetStatementSettingsRequest, context: Context
    ) -> v1.StatementSettings:
        wanted = settings_from_wire(request.settings)
        return await self._transactions.change(
            request,
            request.request_id,
            v1.StatementSettings,
            lambda tx, act: settings_to_wire(statements.set_statement_settings(tx, wanted, act)),
        )

    async def GetFocusFile(
        self, request: v1.GetFocusFileRequest, context: Context
    ) -> AsyncIterator[v1.GetFocusFileResponse]:
        if request.client_view and not request.project_id:
            raise invalid("client_view", "is of one client: name it")
        plans = await self._transactions.read(
            request, lambda tx: statements.get_focus_file(tx, request.project_id, request.month)
        )
        found: list[Line] = []
        for plan in plans:
            found += from_rows(rows_of(await self._lines(request, plan.stretch)))
        shown = await self._transactions.read(request, branding.get_branding)
        view = request.client_view
        content = await asyncio.to_thread(_focus, plans, found, shown.agency, view)
        for piece, digest in _pieces(content):
            yield v1.GetFocusFileResponse(content=piece, sha256=digest)

    async def _lines(self, request: Message, stretch: cost_lines.Stretch) -> CostLines:
        """Lines by kind, a piece of the ledger in each read."""
        lines = await self._transactions.read(
            request, lambda tx: cost_lines.begin(tx, stretch.project_id)
        )
        after = None
        while True:
            after = await self._transactions.read(
                request,
                lambda tx, after=after: cost_lines.add_piece(tx, lines, stretch, after),  # type: ignore[misc]  # one place to go on from
            )
            if after is None:
                return lines

    async def _moved(
        self, request: Message, request_id: str, fn: Callable[[Tx, Act], Kept]
    ) -> v1.Statement:
        return await self._transactions.change(
            request, request_id, v1.Statement, lambda tx, act: statement_to_wire(fn(tx, act))
        )


def _focus(plans: Sequence[Plan], lines: list[Line], agency: str, client: bool) -> bytes:  # noqa: FBT001 - one of two views
    clients = {plan.project.project_id: plan.project.display_name for plan in plans}
    if not plans:
        return render_focus([], Period(0, 0, "UTC"), Names(agency, {}), client=client).encode()
    month = plans[0].month
    period = Period(month.start_unix_ms, month.end_unix_ms, month.time_zone)
    return render_focus(lines, period, Names(agency, clients), client=client).encode()


def _pieces(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """A file in pieces; the last tells its digest."""
    size = limits.BACKUP_PIECE_BYTES
    starts = range(0, max(1, len(content)), size)
    for start in starts:
        last = start == starts[-1]
        digest = hashlib.sha256(content).digest() if last else b""
        yield content[start : start + size], digest
