"""Statements: what a client's closed month cost and brought, frozen once."""

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, Protocol

from clients.admin.instants import instant_from_wire, instant_or_none_from_wire
from clients.admin.limits import BACKUP_DEADLINE_MS, PAGE_ITEMS
from clients.admin.wire import Wire
from protos.bursar.admin import v1
from protos.values.errors import UnavailableError

StatementState = Literal["DRAFT", "APPROVED", "SENT", "SUPERSEDED", "UNKNOWN"]
StatementFormat = Literal["pdf", "html", "csv", "focus", "json"]

_STATES: Final[dict[int, StatementState]] = {
    v1.StatementState.STATEMENT_STATE_DRAFT: "DRAFT",
    v1.StatementState.STATEMENT_STATE_APPROVED: "APPROVED",
    v1.StatementState.STATEMENT_STATE_SENT: "SENT",
    v1.StatementState.STATEMENT_STATE_SUPERSEDED: "SUPERSEDED",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One version of a month's statement. What it says never changes once it was approved."""

    statement_id: str
    """Its id."""
    project_id: str
    """The client."""
    month: str
    """In the client's time zone, such as 2026-10."""
    version: int
    """1, and one more whenever late usage or a correction changed the month."""
    state: StatementState
    """How far it is; UNKNOWN is a state that this software is too old for."""
    sha256: str
    """Of all that it says, in hex; approving names it."""
    call_count: int
    """Calls of the month."""
    cost_nano_usd: int
    """What providers charged for them."""
    charge_nano_usd: int
    """What the client is charged for them."""
    create_time: datetime
    """When it was frozen."""
    approver_id: str
    """Who approved it; "" while nobody did."""
    send_time: datetime | None
    """When it goes out."""
    sent_time: datetime | None
    """When it went out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementSettings:
    """How a client's statements go out."""

    project_id: str
    """The client."""
    automatic: bool = False
    """Whether first versions go out without anybody's approval."""
    send_day: int = 3
    """The day of the month after, at nine in the morning where the client is."""
    recipients: tuple[str, ...] = ()
    """Mail addresses."""
    note: str = ""
    """Stands in the client's next statements."""


class _Piece(Protocol):
    """A piece of a file; the last tells the digest of the whole."""

    content: bytes
    sha256: bytes


class Statements:
    """Builds statements, reads them in all their forms, and lets them go out."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._stub = v1.StatementServiceStub(wire.channel)

    def build(self, project_id: str, month: str = "", *, request_id: str = "") -> Statement:
        """Freeze a closed month, or the last one; what did not change is not frozen anew."""
        request = v1.BuildStatementRequest(
            request_id=request_id or self._wire.request_id(), project_id=project_id, month=month
        )
        return statement_from_wire(self._wire.ask(self._stub.BuildStatement, request))

    def get(self, statement_id: str) -> Statement:
        """Read one version."""
        request = v1.GetStatementRequest(statement_id=statement_id)
        return statement_from_wire(self._wire.ask(self._stub.GetStatement, request))

    def list(self, *, project_id: str = "", month: str = "") -> Iterator[Statement]:
        """Yield versions, newest months first."""

        def fetch(token: str) -> v1.ListStatementsResponse:
            request = v1.ListStatementsRequest(
                page_size=PAGE_ITEMS, page_token=token, project_id=project_id, month=month
            )
            return self._wire.ask(self._stub.ListStatements, request)

        return self._wire.pages(fetch, lambda page: map(statement_from_wire, page.statements))

    def file(self, statement_id: str, form: StatementFormat) -> bytes:
        """A version as a file, rendered from what was frozen; its digest was checked."""
        request = v1.GetStatementFileRequest(statement_id=statement_id, format=form)
        pieces = self._wire.stream(
            self._stub.GetStatementFile, request, deadline_ms=BACKUP_DEADLINE_MS
        )
        with closing(pieces):
            return _whole(pieces)

    def focus(self, month: str, *, project_id: str = "", client_view: bool = False) -> bytes:
        """The usage of a month as FOCUS, live from the ledger, of one client or of all."""
        request = v1.GetFocusFileRequest(
            month=month, project_id=project_id, client_view=client_view
        )
        pieces = self._wire.stream(self._stub.GetFocusFile, request, deadline_ms=BACKUP_DEADLINE_MS)
        with closing(pieces):
            return _whole(pieces)

    def set_note(self, statement_id: str, note: str, *, request_id: str = "") -> Statement:
        """Write a note on a draft; its digest changes with it."""
        request = v1.SetStatementNoteRequest(
            request_id=request_id or self._wire.request_id(), statement_id=statement_id, note=note
        )
        return statement_from_wire(self._wire.ask(self._stub.SetStatementNote, request))

    def approve(self, statement: Statement, *, request_id: str = "") -> Statement:
        """Let a draft go out at its time. Raises EtagMismatchError when it has changed."""
        request = v1.ApproveStatementRequest(
            request_id=request_id or self._wire.request_id(),
            statement_id=statement.statement_id,
            sha256=statement.sha256,
        )
        return statement_from_wire(self._wire.ask(self._stub.ApproveStatement, request))

    def send(self, statement_id: str, *, request_id: str = "") -> Statement:
        """Let an approved version go out now."""
        request = v1.SendStatementRequest(
            request_id=request_id or self._wire.request_id(), statement_id=statement_id
        )
        return statement_from_wire(self._wire.ask(self._stub.SendStatement, request))

    def settings(self, project_id: str) -> StatementSettings:
        """How a client's statements go out."""
        request = v1.GetStatementSettingsRequest(project_id=project_id)
        return settings_from_wire(self._wire.ask(self._stub.GetStatementSettings, request))

    def set_settings(
        self, settings: StatementSettings, *, request_id: str = ""
    ) -> StatementSettings:
        """Replace how a client's statements go out."""
        request = v1.SetStatementSettingsRequest(
            request_id=request_id or self._wire.request_id(),
            settings=v1.StatementSettings(
                project_id=settings.project_id,
                automatic=settings.automatic,
                send_day=settings.send_day,
                recipients=settings.recipients,
                note=settings.note,
            ),
        )
        return settings_from_wire(self._wire.ask(self._stub.SetStatementSettings, request))


def _whole(pieces: Iterable[_Piece]) -> bytes:
    """Pieces put together. Raises UnavailableError when their digest is off."""
    content, told = [], b""
    for piece in pieces:
        content.append(piece.content)
        told = piece.sha256 or told
    whole = b"".join(content)
    if hashlib.sha256(whole).digest() != told:
        raise UnavailableError("the file did not arrive whole: try again")
    return whole


def statement_from_wire(wire: v1.Statement) -> Statement:
    """Read a version."""
    return Statement(
        statement_id=wire.statement_id,
        project_id=wire.project_id,
        month=wire.month,
        version=wire.version,
        state=_STATES.get(wire.state, "UNKNOWN"),
        sha256=wire.sha256,
        call_count=wire.call_count,
        cost_nano_usd=wire.cost_nano_usd,
        charge_nano_usd=wire.charge_nano_usd,
        create_time=instant_from_wire(wire.create_time),
        approver_id=wire.approver_id,
        send_time=instant_or_none_from_wire(wire.send_time),
        sent_time=instant_or_none_from_wire(wire.sent_time),
    )


def settings_from_wire(wire: v1.StatementSettings) -> StatementSettings:
    """Read how a client's statements go out."""
    return StatementSettings(
        project_id=wire.project_id,
        automatic=wire.automatic,
        send_day=wire.send_day,
        recipients=tuple(wire.recipients),
        note=wire.note,
    )
