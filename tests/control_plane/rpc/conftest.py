"""A control plane that answers over gRPC, in this process, on its own loop."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import grpc
import pytest

from control_plane.clock import SystemClock
from control_plane.config import Config
from control_plane.entropy import Entropy
from control_plane.rpc.deps import Deps
from control_plane.rpc.hub import Hub
from control_plane.rpc.server import start_server
from control_plane.secrets import open_vault
from control_plane.store.sqlite import open_store
from control_plane.usecases.installation import found
from control_plane.usecases.levels import Levels
from tests.control_plane import empty_database
from tests.control_plane.served import DEADLINE_S, Served


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    clock, entropy = SystemClock(), Entropy()
    store = open_store(empty_database.lay(tmp_path / "data"), clock)
    tokens: list[str] = []
    store.write(lambda tx: found(tx, entropy, clock.unix_ms(), keep_token=tokens.append)).result()
    deps = Deps(
        store=store,
        clock=clock,
        entropy=entropy,
        hub=Hub(),
        levels=Levels(started_unix_ms=clock.unix_ms()),
        vault=open_vault(tmp_path / "data", entropy.random_bytes, in_use=False),
        config=Config(data=tmp_path / "data", listen_port=0),
    )
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="control plane")
    thread.start()

    def on_loop(coroutine: Any) -> Any:
        future: Future[Any] = asyncio.run_coroutine_threadsafe(coroutine, loop)
        return future.result(DEADLINE_S)

    try:
        running = on_loop(start_server(deps))
        with grpc.insecure_channel(f"127.0.0.1:{running.port}") as channel:
            yield Served(store, deps, loop, running, tokens[0], tokens[0], channel)
        on_loop(running.drain())
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(DEADLINE_S)
        loop.close()
        store.close()
