"""Drains, and what must never come of one: the end of the server, or a drain nobody can end."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from sidecar.runtime.drains import Drains

pytestmark = pytest.mark.trio


@asynccontextmanager
async def running(drains: Drains) -> AsyncIterator[None]:
    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            drains.begin(nursery)
            yield


async def test_a_mistake_in_a_drain_ends_that_drain_and_nothing_else(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ended = trio.Event()
    drains = Drains(ended.set)

    async def mistaken() -> None:
        raise ZeroDivisionError

    async with running(drains):
        assert drains.take(mistaken)
        await ended.wait()
    assert drains.running == 0
    assert "ended by a mistake" in caplog.text


async def test_a_drain_that_has_not_started_yet_is_broken_off_too() -> None:
    drains = Drains(lambda: None)

    async with running(drains):
        assert drains.take(trio.sleep_forever)
        drains.cancel()
        assert not drains.take(trio.sleep_forever)
    assert drains.running == 0
