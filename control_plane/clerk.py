"""Builds statements when their months are over, and lets them go out when they are due.

A statement is built of many short reads and one write, rendered in a thread, and becomes mails of
the outbox in the transaction that marks it as sent: no crash sends it twice or forgets it.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from control_plane import limits
from control_plane.clock import Clock
from control_plane.core.deliveries import Delivery, Part, Purpose
from control_plane.core.principals import Principal, Role
from control_plane.core.statements import State, Statement, delivery_seed, read
from control_plane.entropy import Entropy
from control_plane.notify.courier import Courier
from control_plane.statements.letter import attachment_of, letter_of
from control_plane.store import channels, outbox, projects
from control_plane.store import statements as store
from control_plane.store.engine import Store, Tx
from control_plane.store.statements import Kept
from control_plane.telemetry import event
from control_plane.usecases import cost_lines, statements
from control_plane.usecases.acts import Act
from control_plane.usecases.statements import Plan
from protos.values import ids
from protos.values.errors import UnavailableError

T = TypeVar("T")
ITSELF = Principal("bursar", "the control plane", Role.OWNER, 0)
"""Who stands in the audit log for what nobody asked for."""


class Clerk:
    """Does what statements need that nobody asks for."""

    def __init__(self, store_: Store, clock: Clock, entropy: Entropy) -> None:
        self._store = store_
        self._clock = clock
        self._entropy = entropy

    async def run(self, courier: Courier) -> None:
        """Look every STATEMENT_LOOK_S, for ever."""
        built_unix_ms = 0
        while True:
            await asyncio.sleep(limits.STATEMENT_LOOK_S)
            now = self._clock.unix_ms()
            try:
                if now - built_unix_ms >= limits.STATEMENT_BUILD_LOOK_MS:
                    built_unix_ms = now
                    await self.build()
                if await self.send():
                    courier.wake()
            except Exception as error:  # noqa: BLE001 - the next look tries again
                event("looking for statements failed", level=30, error=repr(error))

    async def build(self) -> int:
        """Build what is due; how many there were."""
        now = self._clock.unix_ms()
        plans: list[Plan] = []
        for project in await self._read(projects.everything):
            due = partial(statements.due_builds, project=project, now_unix_ms=now)
            try:
                plans += await self._read(due)
            except Exception as error:  # noqa: BLE001 - one client's never holds up the others'
                _tell("statement not looked for", project.project_id, error)
        for plan in plans:
            try:
                kept = await self._build(plan)
            except UnavailableError as error:
                event("statement not built", level=30, month=plan.month.name, error=error.message)
                continue
            except Exception as error:  # noqa: BLE001 - one client's never holds up the others'
                _tell("statement not built", plan.project.project_id, error)
                continue
            event("statement built", statement=kept.statement_id, version=kept.version)
        return len(plans)

    async def _build(self, plan: Plan) -> Kept:
        lines = await self._read(lambda tx: cost_lines.begin(tx, plan.project.project_id))
        piece = partial(cost_lines.add_piece, lines=lines, stretch=plan.stretch)
        after = await self._read(partial(piece, after=None))
        while after is not None:
            after = await self._read(partial(piece, after=after))
        act = self._act("BuildStatement", f"{plan.project.project_id}/{plan.month.name}")
        return await self._write(lambda tx: statements.build_statement(tx, plan, lines, act))

    async def send(self) -> int:
        """Let go out what is due; how many statements became mails."""
        now = self._clock.unix_ms()
        sent = 0
        for kept in await self._read(lambda tx: _waiting(tx, now)):
            try:
                sent += await self._send(kept)
            except Exception as error:  # noqa: BLE001 - one client's never holds up the others'
                _tell("statement not sent", kept.statement_id, error)
        return sent

    async def _send(self, kept: Kept) -> bool:
        statement = read(kept.value)
        part = await asyncio.to_thread(attachment_of, statement)
        act = self._act("SendStatement", kept.statement_id)
        return await self._write(partial(_put, kept=kept, statement=statement, part=part, act=act))

    async def _read(self, fn: Callable[[Tx], T]) -> T:
        return await asyncio.wrap_future(self._store.read(fn))

    async def _write(self, fn: Callable[[Tx], T]) -> T:
        return await asyncio.wrap_future(self._store.write(fn))

    def _act(self, method: str, what: str) -> Act:
        request_id = what[: limits.REQUEST_ID_CHARACTERS_MAX]
        return Act(ITSELF, method, request_id, self._clock.unix_ms(), self._entropy)


def _tell(what: str, of: str, error: Exception) -> None:
    # The text of an error may hold a client's words; what kind it is says enough.
    event(what, level=40, of=of, error=type(error).__name__)


def _waiting(tx: Tx, now_unix_ms: int) -> list[Kept]:
    """What is due and can go: somebody is named, there is a server to send it by, and room."""
    if channels.mail_server(tx) is None or outbox.room(tx) == 0:
        return []
    return store.due(tx, now_unix_ms, limits.STATEMENT_SENDS_MAX)


def _put(tx: Tx, kept: Kept, statement: Statement, part: Part, act: Act) -> bool:
    """Make the mails of a statement that is still to go; False when it is not any more."""
    now = act.now_unix_ms
    current = store.get(tx, kept.statement_id)
    if current is None or current.state is not State.APPROVED or current.sha256 != kept.sha256:
        return False
    recipients = store.settings(tx, kept.project_id).recipients
    if outbox.room(tx) < len(recipients):
        return False  # It stays approved, and goes when there is room.
    letter = letter_of(statement)
    for address in recipients:
        seed = delivery_seed(statement, address)
        delivery = Delivery(
            delivery_id=ids.make_id(ids.DELIVERY, kept.created_unix_ms, seed[: ids.RANDOM_BYTES]),
            purpose=Purpose.STATEMENT,
            message=letter,
            created_unix_ms=now,
            address=address,
            project_id=kept.project_id,
            once=f"statement/{seed.hex()}",
            repeats=False,
            next_unix_ms=now,
        )
        outbox.put(tx, delivery, [part])
    statements.mark_sent(tx, current, act)
    return True
