"""Carries directives from decisions to the Watch streams of sidecars.

Rules. Everything is a level, never a queue: a newer recall replaces the older one of its lease, two
nudges are one, and a changed policy is only a flag. So a slow stream costs no memory and misses
nothing that still holds. All of it runs on the event loop; whoever is on another thread uses
`loop.call_soon_threadsafe`. Directives for a sidecar that does not watch are dropped: Watch only
makes things faster.
"""

import asyncio
import contextlib
from collections.abc import Iterable
from dataclasses import dataclass

from control_plane import limits
from control_plane.core.leases import LeaseKey
from control_plane.core.reports import Left, Offer


@dataclass(frozen=True, slots=True)
class Directives:
    """What one stream has to say now."""

    recalls: tuple[tuple[LeaseKey, int], ...]
    """Leases with what may stay available, in nano-dollars."""
    nudge: bool
    """The sidecar shall sync now."""
    offer: Offer | None
    """What its waiting calls may have."""
    lefts: tuple[Left, ...]
    """What is left of periods."""
    policy: bool
    """The policy may have changed."""


class Subscription:
    """One Watch stream."""

    def __init__(self, sidecar_id: str, incarnation: str) -> None:
        self.sidecar_id = sidecar_id
        self.incarnation = incarnation
        self.ended = False
        self._recalls: dict[LeaseKey, int] = {}
        # What was said to an earlier stream, or to none, may have been heard by nobody.
        self._nudge = True
        self._offer: Offer | None = None
        self._lefts: dict[LeaseKey, Left] = {}
        self._policy = True
        self._wake = asyncio.Event()
        # What changed between Register and Watch was told to nobody: look at once.
        self._wake.set()

    async def wait(self, timeout_ms: int) -> Directives | None:
        """What there is to say, as soon as there is something or the time is over.

        None when the stream has ended.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_ms / 1000):
                await self._wake.wait()
        if self.ended:
            return None
        self._wake.clear()
        recalls = tuple(self._recalls.items())
        lefts = tuple(self._lefts.values())
        directives = Directives(recalls, self._nudge, self._offer, lefts, self._policy)
        self._recalls, self._nudge, self._offer, self._policy = {}, False, None, False
        self._lefts = {}
        return directives

    def recall(self, lease: LeaseKey, keep_nano_usd: int) -> None:
        if lease not in self._recalls and len(self._recalls) >= limits.WATCH_RECALLS_MAX:
            return
        self._recalls[lease] = keep_nano_usd
        self._wake.set()

    def nudge(self) -> None:
        self._nudge = True
        self._wake.set()

    def offer(self, offer: Offer) -> None:
        # It was decided later, from the same demands: all that still holds is in it.
        self._offer = offer
        self._wake.set()

    def left(self, left: Left) -> None:
        if left.lease in self._lefts or len(self._lefts) < limits.WATCH_RECALLS_MAX:
            self._lefts[left.lease] = left
            self._wake.set()

    def policy_changed(self) -> None:
        self._policy = True
        self._wake.set()

    def beat(self) -> None:
        self._wake.set()

    def end(self) -> None:
        self.ended = True
        self._wake.set()


class Hub:
    """Every Watch stream of this server, one for each sidecar."""

    def __init__(self) -> None:
        self._streams: dict[str, Subscription] = {}
        self._closed = False
        self._ledger_moved = asyncio.Event()

    def subscribe(self, sidecar_id: str, incarnation: str) -> Subscription:
        """Begin a stream; an earlier one of the same sidecar ends."""
        earlier = self._streams.get(sidecar_id)
        if earlier is not None:
            earlier.end()
        stream = Subscription(sidecar_id, incarnation)
        if self._closed:
            stream.end()
        self._streams[sidecar_id] = stream
        return stream

    def unsubscribe(self, stream: Subscription) -> None:
        """End a stream."""
        stream.end()
        if self._streams.get(stream.sidecar_id) is stream:
            del self._streams[stream.sidecar_id]

    def policy_changed(self) -> None:
        """Let every stream look whether its snapshot changed; call it after the commit.

        Whoever follows the ledger looks too: what people see may have changed.
        """
        self.ledger_moved()
        for stream in self._streams.values():
            stream.policy_changed()

    def recall(self, sidecar_id: str, lease: LeaseKey, keep_nano_usd: int) -> None:
        """Ask a sidecar to give back what a lease has available above an amount."""
        stream = self._streams.get(sidecar_id)
        if stream is not None:
            stream.recall(lease, keep_nano_usd)

    def offer(self, offer: Offer) -> None:
        """Tell a sidecar what its waiting calls may have; call it after the commit."""
        stream = self._streams.get(offer.sidecar_id)
        if stream is not None:
            stream.offer(offer)

    def left(self, left: Left) -> None:
        """Tell sidecars what is left of a period; call it after the commit."""
        for sidecar_id in left.sidecar_ids:
            stream = self._streams.get(sidecar_id)
            if stream is not None:
                stream.left(left)

    def nudge(self, sidecar_ids: Iterable[str]) -> None:
        """Ask sidecars to sync now."""
        for sidecar_id in sidecar_ids:
            stream = self._streams.get(sidecar_id)
            if stream is not None:
                stream.nudge()

    def nudge_all(self) -> None:
        """Ask every sidecar to sync now: what it heard of its budgets may be too little."""
        self.nudge(tuple(self._streams))

    def beat(self, sidecar_id: str) -> None:
        """Show a sidecar that its stream reaches it."""
        stream = self._streams.get(sidecar_id)
        if stream is not None:
            stream.beat()

    def end(self, sidecar_id: str) -> None:
        """End a sidecar's stream, such as when its credential was revoked."""
        stream = self._streams.get(sidecar_id)
        if stream is not None:
            stream.end()

    def watching(self, sidecar_id: str, incarnation: str) -> bool:
        """Whether this process of a sidecar has a stream open; may be asked from any thread."""
        stream = self._streams.get(sidecar_id)
        return stream is not None and stream.incarnation == incarnation

    def ledger_moved(self) -> None:
        """Let everyone who follows the ledger read on; call it after the commit."""
        self._ledger_moved.set()
        self._ledger_moved = asyncio.Event()

    async def wait_ledger(self, timeout_ms: int) -> None:
        """Return when the ledger moved, the hub closed, or the time is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_ms / 1000):
                await self._ledger_moved.wait()

    @property
    def closed(self) -> bool:
        """Whether streams shall end."""
        return self._closed

    def close(self) -> None:
        """End every stream; later ones end at once."""
        self._closed = True
        self.ledger_moved()
        for stream in self._streams.values():
            stream.end()
