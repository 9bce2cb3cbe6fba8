"""Lets scrapers and collectors see a control plane; nothing of it runs unless somebody asks."""

import asyncio
import importlib.metadata
import logging

from control_plane.clock import Clock
from control_plane.config import Config
from control_plane.entropy import Entropy
from control_plane.rpc.deps import Deps
from control_plane.rpc.watch import Watch, read_standing
from control_plane.telemetry import event
from protos.telemetry.crossing import on_the_loop
from protos.telemetry.instruments import Reading
from protos.telemetry.outlook import Outlook
from protos.values.listening import ListenError

_NS = 1_000_000


def watch_for(config: Config, clock: Clock) -> Watch | None:
    """What watches the work; None when nobody asked, so that it costs nothing."""
    if config.metrics is None and config.telemetry is None:
        return None
    entropy = Entropy()
    return Watch(clock, lambda bits: int.from_bytes(entropy.random_bytes(bits // 8)))


def show(outlook: Outlook, watch: Watch, deps: Deps, loop: asyncio.AbstractEventLoop) -> None:
    """Open it to scrapers and collectors. Raises ListenError."""
    counted = on_the_loop(loop.call_soon_threadsafe, watch.read)

    def read() -> list[Reading]:
        return [*counted(), *read_standing(deps.store, deps.clock.unix_ms())]

    def say(sent: bool, signal: str) -> None:  # noqa: FBT001 - as it is told
        event("telemetry", logging.INFO if sent else logging.WARNING, signal=signal, sent=sent)

    try:
        outlook.open(read, lambda: deps.clock.unix_ms() * _NS, say)
    except OSError as error:
        raise ListenError(f"--metrics-listen: {error.strerror or error}") from None
    if deps.config.telemetry is not None:
        watch.record(deps.config.telemetry.sampler, outlook.offer)


def version() -> str:
    """The version of this program, as it was installed."""
    try:
        return importlib.metadata.version("bursar")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
