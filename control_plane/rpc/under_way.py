"""Work that goes on when its caller goes away: who commits must also tell of it.

A caller that hangs up, or whose deadline passes, cancels its RPC wherever that waits. The commit it
waits for happens all the same, and others wait to hear of it.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class UnderWay:
    """What was begun and is not finished; a task that nobody refers to could vanish."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    async def finish(self, work: Coroutine[Any, Any, T]) -> T:
        """Carry work to its end, whether or not the caller waits for it."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return await asyncio.shield(task)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            # Whoever waits for it hears of the error; when nobody does, that is no news.
            task.exception()
