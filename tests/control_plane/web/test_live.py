"""How many tabs are kept up to date, whoever opens them."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import StreamingResponse

from control_plane import limits
from control_plane.core.principals import Role
from control_plane.web.deps import DeskDeps
from control_plane.web.live import Live
from protos.values.errors import LimitExceededError
from tests.control_plane.desk import Desk
from tests.control_plane.web.conftest import Browser, browser_of, nothing_changes


def live_of(desk: Desk) -> Live:
    """Streams that go on until they are closed."""
    return Live(
        DeskDeps(
            store=desk.store,
            clock=desk.clock,
            entropy=desk.entropy,
            levels=desk.levels,
            changed=lambda: None,
            wait_change=nothing_changes,
            is_closing=lambda: False,
            secure=False,
            hosts=frozenset({"desk.test"}),
        )
    )


def asked_by(browser: Browser) -> Request:
    cookie = ("cookie", f"bursar={browser.session}")
    headers = [tuple(part.encode() for part in cookie)]
    return Request({"type": "http", "method": "GET", "path": "/events", "headers": headers})


async def opened(live: Live, browser: Browser) -> AsyncIterator[Any]:
    answer = await live.stream(asked_by(browser))
    assert isinstance(answer, StreamingResponse)
    return aiter(answer.body_iterator)


def test_nobody_takes_the_streams_of_others_and_closed_tabs_make_room(
    desk: Desk, owner: Browser
) -> None:
    viewer, live, most = browser_of(desk, Role.VIEWER), live_of(desk), limits.PRINCIPAL_STREAMS_MAX

    async def story() -> None:
        begun = [await opened(live, viewer) for _ in range(most + 1)]
        for stream in begun[:most]:
            assert "event: moved" in await anext(stream)
        assert await anext(begun[most], "ended") == "ended", "it began with the others"
        with pytest.raises(LimitExceededError, match=f"{most} of your tabs"):
            await opened(live, viewer)
        assert "event: moved" in await anext(await opened(live, owner))
        await begun[0].aclose()  # type: ignore[attr-defined]  # it is a generator
        assert "event: moved" in await anext(await opened(live, viewer))

    asyncio.run(story())
