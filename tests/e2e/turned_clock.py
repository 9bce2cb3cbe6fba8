"""A control plane in this process whose clock a story turns by hand; all around it is real time.

Sidecar, provider and receivers are real and live in the machine's own time. The control plane
begins some minutes late and is turned towards the present while calls are made, so that what the
sidecar says of its minutes is true when it is looked at. It looks and sends as it does by itself
every half minute, only when the story says so.
"""

import asyncio
import ipaddress
import threading
from collections.abc import Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from control_plane.clock import SystemClock
from control_plane.config import Config
from control_plane.entropy import Entropy
from control_plane.notify.attempts import doors_of
from control_plane.notify.courier import Courier
from control_plane.rpc.deps import Deps
from control_plane.rpc.hub import Hub
from control_plane.rpc.server import start_server
from control_plane.secrets import open_vault
from control_plane.store.sqlite import open_store
from control_plane.usecases.installation import found
from control_plane.usecases.levels import Levels
from control_plane.usecases.watching import Watch
from control_plane.watch import look_once
from protos.bursar.admin import v1 as admin
from tests.e2e.stand import Bursar, Stand

T = TypeVar("T")
MINUTE_MS = 60_000
LOOK_MS = MINUTE_MS // 2
DAY_MINUTES = 24 * 60
CALL_S = 30


class TurnedClock(SystemClock):
    """The machine's clock, behind or ahead of it."""

    def __init__(self, ahead_ms: int) -> None:
        self._ahead_ms = ahead_ms

    def unix_ms(self) -> int:
        return super().unix_ms() + self._ahead_ms

    def turn(self, by_ms: int) -> None:
        assert by_ms >= 0, "time only passes"
        self._ahead_ms += by_ms


class TurnedControlPlane:
    """The real parts of a control plane, put together as `control_plane.app` does."""

    def __init__(self, data: Path, clock: TurnedClock) -> None:
        """Start it, on a loop of its own."""
        self.clock = clock
        entropy, tokens = Entropy(), list[str]()
        self._store = open_store(data, clock)
        now = clock.unix_ms()
        self._store.write(lambda tx: found(tx, entropy, now, keep_token=tokens.append)).result()
        loopback = ipaddress.ip_network("127.0.0.0/8")
        self._deps = Deps(
            store=self._store,
            clock=clock,
            entropy=entropy,
            hub=Hub(),
            levels=Levels(started_unix_ms=now),
            vault=open_vault(data, entropy.random_bytes, in_use=False),
            config=Config(data=data, listen_port=0, receivers=(loopback,)),
            desk_url="http://127.0.0.1:1",
        )
        self._courier = Courier(self._store, clock, self._deps.vault, doors_of(self._deps.config))
        self._watch = Watch()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="control plane")
        self._thread.start()
        self._running = self._do(start_server(self._deps))
        self.token = tokens[0]
        self.ready = {"address": f"127.0.0.1:{self._running.port}"}

    def look(self) -> None:
        """Look at what alerts are about, and send what is due."""
        self._do(self._look())

    async def _look(self) -> None:
        await look_once(self._deps, self._watch, self._courier)
        while await self._courier.turn():
            pass

    def stop(self) -> int:
        """End it; the exit status."""
        self._do(self._running.drain())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CALL_S)
        self._loop.close()
        self._store.close()
        return 0

    def _do(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(CALL_S)


class TurnedStand(Stand):
    """An installation whose control plane's clock is turned."""

    def __init__(self, folder: Path, *, late_minutes: int) -> None:
        """Take a folder, and how late the control plane begins; nothing runs yet."""
        super().__init__(folder)
        self.clock = TurnedClock(-late_minutes * MINUTE_MS)

    def start_control_plane(self, address: str = "") -> None:
        """Start it; it is never started again, so no address is given."""
        assert not address
        self.inside = TurnedControlPlane(self.folder / "control-plane", self.clock)
        self.control_plane = self.inside  # type: ignore[assignment]  # ready and stopped as one
        self.bursar = Bursar(self.inside.ready["address"], self.inside.token)

    def pass_minutes(self, minutes: int) -> None:
        """Let minutes pass, as far as the control plane knows."""
        for _ in range(minutes * MINUTE_MS // LOOK_MS):
            self.clock.turn(LOOK_MS)
            self.inside.look()

    def anchor_day(self) -> int:
        """The day of a month that began ten days ago or a little more.

        So no window turns while a story plays, whatever the date.
        """
        today = datetime.fromtimestamp(self.clock.unix_ms() // 1_000, UTC).day
        return min(28, (today - 10) % 30 or 30)

    def working_hours(self) -> admin.Hours:
        """Hours of work that began an hour ago and last for half a day, on every day."""
        now = datetime.fromtimestamp(self.clock.unix_ms() // 1_000, UTC)
        opens = (now.hour * 60 + now.minute - 60) % DAY_MINUTES
        return admin.Hours(
            time_zone="UTC",
            opens_minute=opens,
            closes_minute=(opens + DAY_MINUTES // 2) % DAY_MINUTES,
            weekdays=range(1, 8),
        )
