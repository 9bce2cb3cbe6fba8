"""Puts the control plane together, runs it until it is told to stop, and takes it apart again."""

import asyncio
import contextlib
import gc
import json
import os
import signal
import socket
import sys
from functools import partial
from pathlib import Path

from control_plane import limits, seen
from control_plane.clerk import Clerk
from control_plane.clock import Clock, SystemClock
from control_plane.config import Config
from control_plane.core.observer import Nobody
from control_plane.entropy import Entropy
from control_plane.listen import check_web, desk_url
from control_plane.notify.attempts import doors_of
from control_plane.notify.courier import Courier
from control_plane.rpc.deps import Deps
from control_plane.rpc.hub import Hub
from control_plane.rpc.server import RunningServer, start_server
from control_plane.rpc.watch import Watch, WatchedStore
from control_plane.secrets import open_vault
from control_plane.store import Tx, channels, providers
from control_plane.store.sqlite import SqliteStore, database_name, open_store
from control_plane.telemetry import event
from control_plane.usecases import learning, sessions
from control_plane.usecases.housekeeping import keep_house
from control_plane.usecases.installation import found
from control_plane.usecases.levels import Levels
from control_plane.watch import finish_sending, keep_watch
from control_plane.web.deps import DeskDeps
from control_plane.web.server import RunningDesk, Tls, bind, start_desk
from protos.telemetry.outlook import Outlook

OWNER_TOKEN_FILE = "owner.token"  # noqa: S105 - a file's name
DATABASE_FAILED = 3
"""Exit status when the database became unusable while running."""


class ReadyFileError(Exception):
    """The file that tells of readiness cannot be written."""


async def serve(config: Config) -> int:
    """Run until SIGTERM or SIGINT; the exit status."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    failed = False

    def on_poison(error: BaseException) -> None:
        nonlocal failed
        failed = True
        event("database failed", level=40, error=error)
        loop.call_soon_threadsafe(stop.set)

    clock = SystemClock()
    bound = bind(config.web_host, config.web_port) if config.web_host else None
    watch = seen.watch_for(config, clock)
    store = open_store(
        config.data,
        clock,
        second_place=config.watermark,
        on_poison=on_poison,
        around=watch.commit if watch is not None else None,
    )
    outlook = Outlook(config.metrics, config.telemetry, seen.version())
    try:
        deps, link = _assemble(config, store, clock, bound, watch)
        running = await start_server(deps)
        desk = await _start_desk(deps, bound) if bound is not None else None
        house = asyncio.create_task(_keep_house(deps))
        courier = Courier(deps.store, deps.clock, deps.vault, doors_of(config))
        watching = asyncio.create_task(keep_watch(deps, courier))
        sending = asyncio.create_task(courier.run())
        clerk = Clerk(deps.store, deps.clock, deps.entropy)
        writing = asyncio.create_task(clerk.run(courier))
        try:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, stop.set)
            if watch is not None:
                seen.show(outlook, watch, deps, loop)
            _keep_what_is_loaded()
            _tell_ready(deps, running, link, outlook.metrics_url)
            await stop.wait()
            event("stopping")
        finally:
            for task in (house, watching, writing):
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
            await finish_sending(courier, sending)
            if desk is not None:
                deps.hub.close()
                await desk.stop()
            await running.drain()
    finally:
        await asyncio.to_thread(outlook.close)
        await asyncio.to_thread(store.close)
    event("stopped")
    return DATABASE_FAILED if failed else 0


def _keep_what_is_loaded() -> None:
    """Never look again for garbage among modules and templates: it takes tens of milliseconds."""
    gc.collect()
    gc.freeze()


async def _start_desk(deps: Deps, bound: socket.socket) -> RunningDesk:
    config = deps.config
    tls = None
    if config.certificate is not None and config.private_key is not None:
        tls = Tls(config.certificate, config.private_key)
    desk = DeskDeps(
        store=deps.store,
        clock=deps.clock,
        entropy=deps.entropy,
        levels=deps.levels,
        changed=deps.hub.policy_changed,
        wait_change=deps.hub.wait_ledger,
        is_closing=lambda: deps.hub.closed,
        secure=deps.desk_url.startswith("https://"),
        hosts=check_web(config).hosts,
        url=deps.desk_url,
    )
    return await start_desk(desk, bound, tls)


def _assemble(
    config: Config,
    store: SqliteStore,
    clock: Clock,
    bound: socket.socket | None,
    watch: Watch | None,
) -> tuple[Deps, str]:
    """The parts, and the link that signs the first owner in; "" when there was one before."""
    entropy = Entropy()
    in_use = bool(store.read(_key_ids).result())
    vault = open_vault(config.data, entropy.random_bytes, in_use=in_use)
    now = clock.unix_ms()

    def first(tx: Tx) -> bool:
        return found(
            tx,
            entropy,
            now,
            time_zone=config.time_zone,
            keep_token=lambda text: _keep_secret(config.data / OWNER_TOKEN_FILE, text),
        )

    link = ""
    if store.write(first).result():
        event("founded", owner_token_file=config.data / OWNER_TOKEN_FILE)
        link = store.write(lambda tx: sessions.first_link(tx, entropy, now)).result()
    _look_at_the_database(store, now)
    deps = Deps(
        store=store if watch is None else WatchedStore(store, watch),
        observer=watch or Nobody(),
        clock=clock,
        entropy=entropy,
        hub=Hub(),
        levels=Levels(started_unix_ms=now),
        vault=vault,
        config=config,
        desk_url=desk_url(config, bound.getsockname()[1]) if bound is not None else "",
    )
    return deps, link


def _key_ids(tx: Tx) -> frozenset[str]:
    return providers.encryption_key_ids(tx) | channels.encryption_key_ids(tx)


def _look_at_the_database(store: SqliteStore, now_unix_ms: int) -> None:
    """See by its watermark whether the database is an old copy; say what a person must do."""
    if store.write(lambda tx: learning.notice_old_database(tx, now_unix_ms)).result():
        event("database is old", level=40, see="bursar learning")
    found = store.read(learning.state).result()
    if found.watermark_trouble:
        event(
            "watermark not trusted",
            level=40,
            cause=found.watermark_trouble,
            effect="nothing is granted",
            see="bursar learning",
        )
    if found.in_progress:
        missing = ", ".join(found.missing)
        event("learning", level=30, waits_for=missing, unknown_nano_usd=found.unknown_nano_usd)


def _keep_secret(path: Path, text: str) -> None:
    """Write a secret where only this user can read it, durably, whole or not at all."""
    _write_whole(path, text + "\n", mode=0o600)


def _tell_ready(deps: Deps, running: RunningServer, link: str, metrics_url: str) -> None:
    config = deps.config
    host = f"[{config.listen_host}]" if ":" in config.listen_host else config.listen_host
    address = f"{host}:{running.port}"
    if config.ready_file is not None:
        told = {"address": address, "pid": os.getpid(), "desk": deps.desk_url}
        if metrics_url:
            told["metrics"] = metrics_url
        try:
            _write_whole(config.ready_file, json.dumps(told) + "\n", mode=0o644)
        except OSError as error:
            raise ReadyFileError(
                f"--ready-file {config.ready_file} cannot be written: {error.strerror}"
            ) from None
    event("started", address=address, database=database_name(), data=config.data)
    sys.stdout.write(f"control plane on {address}\n")
    if deps.desk_url:
        sys.stdout.write(_desk_lines(deps.desk_url, link))
    sys.stdout.flush()


def _desk_lines(url: str, link: str) -> str:
    """Where the desk is. The first link is shown to a person alone, never to a log."""
    if link and sys.stdout.isatty():
        return f"desk on {url}; sign in once by {url}/sign-in/{link}\n"
    return f"desk on {url}; `bursar desk` makes a link that signs in\n"


async def _keep_house(deps: Deps) -> None:
    """Close what is over and drop what is old, for ever."""
    while True:
        await asyncio.sleep(limits.HOUSEKEEPING_INTERVAL_S)
        now = deps.clock.unix_ms()
        try:
            await asyncio.wrap_future(deps.store.write(partial(_house, deps.levels, now)))
        except Exception as error:  # noqa: BLE001 - the next round tries again
            event("housekeeping failed", level=30, error=repr(error))


def _house(levels: Levels, now_unix_ms: int, tx: Tx) -> None:
    keep_house(tx, levels, now_unix_ms)


def _write_whole(path: Path, text: str, *, mode: int) -> None:
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)
