"""Calls that end at any moment of their admission: each OPEN has one end, nothing stays held."""

import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import trio

from sidecar.core.refusals import Refused
from tests.sidecar.builders import CENT, DOLLAR, new_call
from tests.sidecar.runtime.admission_world import OK, World, found, waiting, world

pytestmark = pytest.mark.trio

MOMENTS = range(12)
"""Turns of the event loop after which a call is cancelled; more than its admission takes."""


async def one_end_each(sidecar: World) -> int:
    """Check that nothing is held and no call has two ends; how many calls ended."""
    await sidecar.journal.flush()
    assert sidecar.admission.open_calls == 0
    assert sidecar.lease().held_nano_usd == sidecar.lease().open_calls == 0
    ends: Counter[str] = Counter()
    for record in await sidecar.records():
        kind = record.WhichOneof("kind")
        if kind in ("settle", "void"):
            ends[getattr(record, str(kind)).call.call_id] += 1
    assert set(ends.values()) <= {1}
    return len(ends)


async def let(sidecar: World, turns: int, *, name_it: bool = False) -> None:
    """Ask for a call, and cancel it after so many turns; it is settled if it was let out."""
    async with trio.open_nursery() as nursery:

        async def ask() -> None:
            hold = await sidecar.admission.open(new_call())
            sidecar.admission.settle(hold, OK)

        nursery.start_soon(ask)
        if name_it:
            await waiting(sidecar)
            [case] = sidecar.admission.waiting.cases()
            sidecar.admission.try_waiting([case.call_id])
        for _ in range(turns):
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()


async def test_a_call_that_is_cancelled_at_any_moment_has_at_most_one_end(tmp_path: Path) -> None:
    async with world(tmp_path) as sidecar:
        sidecar.told()
        for turns in MOMENTS:
            await let(sidecar, turns)
            await one_end_each(sidecar)
        spent = sidecar.lease().spent_nano_usd
        assert await one_end_each(sidecar) * CENT >= spent
    assert found(tmp_path).open_calls == ()


async def test_a_call_that_is_cancelled_just_when_it_is_named_has_one_end(tmp_path: Path) -> None:
    async with world(tmp_path) as sidecar:
        sidecar.told(keep=0)
        for turns in MOMENTS:
            await let(sidecar, turns, name_it=True)
        assert await one_end_each(sidecar) == len(MOMENTS)
    assert found(tmp_path).open_calls == ()


async def test_a_call_that_is_cancelled_while_the_journal_fails_is_charged_or_never_was(
    tmp_path: Path,
) -> None:
    """Memory frees it either way; what the disk says of it decides the next start."""
    sick: list[bool] = []

    class Sick(sqlite3.Connection):
        def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
            if sql == "COMMIT" and sick:
                super().execute(sql)  # on the disk after all, though nobody is told so
                raise sqlite3.OperationalError("disk I/O error")
            return super().execute(sql, *parameters)

    def connect(path: Path) -> sqlite3.Connection:
        return sqlite3.connect(path, isolation_level=None, check_same_thread=False, factory=Sick)

    async with world(tmp_path, connect=connect) as sidecar:
        sidecar.told()
        await sidecar.journal.flush()
        sick.append(True)
        with pytest.raises(Refused):
            await sidecar.admission.open(new_call(3 * CENT))
        await let_refused(sidecar)
        assert sidecar.lease().held_nano_usd == 0
    async with world(tmp_path) as sidecar:
        assert await one_end_each(sidecar) == 1
        assert sidecar.lease().spent_nano_usd == 3 * CENT
        assert sidecar.lease().available_nano_usd == DOLLAR - 3 * CENT


async def let_refused(sidecar: World) -> None:
    """A call that comes later is refused and leaves nothing."""
    with pytest.raises(Refused):
        await sidecar.admission.open(new_call())
