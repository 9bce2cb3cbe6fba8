"""What the desk is given; made once, by app.py."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from control_plane.clock import Clock
from control_plane.entropy import Entropy
from control_plane.store import Store
from control_plane.store.engine import Tx
from control_plane.usecases.levels import Levels

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class DeskDeps:
    """The parts that pages are made with."""

    store: Store
    """The data."""
    clock: Clock
    """The time."""
    entropy: Entropy
    """Ids and secrets."""
    levels: Levels
    """What sidecars said last."""
    changed: Callable[[], None]
    """Tells sidecars, and every open tab, that something changed; call it after the commit."""
    wait_change: Callable[[int], Awaitable[None]]
    """Returns when something changed, or after so many milliseconds."""
    is_closing: Callable[[], bool]
    """Whether streams shall end."""
    secure: bool
    """Whether browsers reach the desk by TLS."""
    hosts: frozenset[str]
    """The hosts, without port, that a browser may name."""
    url: str = ""
    """Where browsers find the desk; empty where nobody said."""

    async def read(self, fn: Callable[[Tx], T]) -> T:
        """Run a reading transaction."""
        return await asyncio.wrap_future(self.store.read(fn))

    async def write(self, fn: Callable[[Tx], T]) -> T:
        """Run a writing transaction, to its end even when the browser has gone."""
        return await asyncio.shield(asyncio.wrap_future(self.store.write(fn)))
