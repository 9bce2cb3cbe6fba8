"""Runs the desk in the control plane's own loop, on an address of its own.

uvicorn is embedded: the process keeps its signal handlers, its log and its end. Paths may hold the
secret of a link, so no access log is written.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from control_plane import limits
from control_plane.web.application import application
from control_plane.web.deps import DeskDeps
from protos.values.listening import ListenError, join_host_port

_START_LOOKS = 500
_START_PAUSE_S = 0.01


@dataclass(frozen=True, slots=True)
class Tls:
    """The certificate that the desk shows."""

    certificate: Path
    private_key: Path


class _Embedded(uvicorn.Server):
    """A server that leaves signals to whoever runs it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@dataclass(slots=True)
class RunningDesk:
    """A desk that answers."""

    server: uvicorn.Server
    task: asyncio.Task[None]

    async def stop(self) -> None:
        """Take no more requests, end the streams, let the others finish within a bound."""
        self.server.should_exit = True
        with contextlib.suppress(asyncio.CancelledError):
            await self.task


def bind(host: str, port: int) -> socket.socket:
    """Take the desk's address, so that it is known before anything runs. Raises ListenError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise ListenError(
            f"{join_host_port(host, port)} cannot be listened on for the desk ({error.strerror}): "
            "stop what uses the port, or name another address with --web"
        ) from None
    return bound


async def start_desk(deps: DeskDeps, bound: socket.socket, tls: Tls | None) -> RunningDesk:
    """Serve the desk on an address that was taken."""
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    config = uvicorn.Config(
        application(deps),
        lifespan="off",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=limits.BROWSER_CONNECTIONS_MAX,
        timeout_graceful_shutdown=limits.DESK_DRAIN_S,
        ssl_certfile=str(tls.certificate) if tls is not None else None,
        ssl_keyfile=str(tls.private_key) if tls is not None else None,
    )
    server = _Embedded(config)
    task = asyncio.create_task(server.serve(sockets=[bound]))
    for _ in range(_START_LOOKS):
        if server.started or task.done():
            break
        await asyncio.sleep(_START_PAUSE_S)
    if not server.started:
        task.cancel()
        raise ListenError("the desk did not start: the log says why; --web off runs without it")
    return RunningDesk(server, task)
