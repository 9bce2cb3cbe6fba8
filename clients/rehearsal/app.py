"""The rehearsal provider as a process: arguments, listener, signals."""

import argparse
import json
import os
import resource
import signal
import ssl
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import trio

from clients.rehearsal import clock, limits
from clients.rehearsal.knobs import KnobError, Knobs, changed, knob_fields
from clients.rehearsal.provider import Provider
from clients.rehearsal.server import Server

_BACKLOG = 4_096
_NONCE_BYTES = 16


class StartError(Exception):
    """Why the provider cannot start, and what to do."""


@dataclass(frozen=True, slots=True)
class Config:
    """Everything the process is told when it starts."""

    host: str
    """The address to listen on."""
    port: int
    """The port to listen on; 0: any free one."""
    port_file: Path | None
    """Where to write the port once it is known."""
    ready_file: Path | None
    """Where to write the address and the process id once it listens, as JSON."""
    tls: ssl.SSLContext | None
    """How to speak TLS; None: plain HTTP."""
    accepted_keys: tuple[str, ...]
    """The only keys to accept; none: any key will do."""
    rows_max: int
    """Ended calls to keep."""
    knobs: Knobs
    """How the knobs stand at first."""


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM; return the exit code."""
    try:
        config = _config_of(_parser().parse_args(argv))
        trio.run(_serve, config)
    except StartError as error:
        sys.stderr.write(f"rehearsal provider: {error}\n")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m clients.rehearsal",
        description="Serves the OpenAI and Anthropic wire formats offline, and tells what it billed"
        " at /rehearsal/bill.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=0, help="port to listen on; 0: any free one")
    parser.add_argument("--port-file", type=Path, help="write the port here once it is known")
    parser.add_argument(
        "--ready-file", type=Path, help='write {"url": ..., "pid": ...} here once it listens'
    )
    parser.add_argument("--certificate", type=Path, help="speak TLS with this PEM chain")
    parser.add_argument("--key", type=Path, help="the certificate's private key")
    parser.add_argument(
        "--require-key",
        action="append",
        default=[],
        metavar="KEY",
        help="accept only this API key (may be repeated); without it any key will do",
    )
    parser.add_argument(
        "--keep-calls",
        type=int,
        default=limits.ROWS_DEFAULT,
        help="ended calls to keep for /rehearsal/bill (default: %(default)s)",
    )
    group = parser.add_argument_group("knobs", "how calls are answered unless they say otherwise")
    for knob in knob_fields():
        option = "--" + knob.name.replace("_", "-")
        does = knob.metadata["does"]
        if knob.metadata["kind"] == "switch":
            group.add_argument(
                option, action=argparse.BooleanOptionalAction, default=None, help=does
            )
        else:
            group.add_argument(option, metavar="N", help=does)
    return parser


def _config_of(given: argparse.Namespace) -> Config:
    settings = {knob.name: getattr(given, knob.name) for knob in knob_fields()}
    try:
        knobs = changed(Knobs(), {k: v for k, v in settings.items() if v is not None})
    except KnobError as error:
        raise StartError(str(error)) from None
    if not 0 <= given.port <= 65_535:
        raise StartError(f"--port takes a number from 0 to 65535, not {given.port}")
    if not 1 <= given.keep_calls <= limits.ROWS_MAX:
        raise StartError(f"--keep-calls takes a number from 1 to {limits.ROWS_MAX}")
    return Config(
        host=given.host,
        port=given.port,
        port_file=given.port_file,
        ready_file=given.ready_file,
        tls=_tls_of(given.certificate, given.key),
        accepted_keys=tuple(given.require_key),
        rows_max=given.keep_calls,
        knobs=knobs,
    )


def _tls_of(certificate: Path | None, key: Path | None) -> ssl.SSLContext | None:
    if certificate is None and key is None:
        return None
    if certificate is None:
        raise StartError("--key needs --certificate")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise StartError(f"cannot use the certificate {certificate}: {error}") from None
    return context


async def _listen(config: Config) -> list[trio.SocketListener]:
    try:
        return await trio.open_tcp_listeners(config.port, host=config.host, backlog=_BACKLOG)
    except OSError as error:
        raise StartError(
            f"cannot listen on {config.host}:{config.port}: {error.strerror or error};"
            " choose another --port (0: any free one) or end what holds it"
        ) from None


async def _serve(config: Config) -> None:
    _raise_file_limit()
    provider = Provider(
        config.knobs,
        nonce=os.urandom(_NONCE_BYTES),
        now_ns=clock.monotonic_ns(),
        accepted_keys=config.accepted_keys,
        rows_max=config.rows_max,
    )
    listeners = await _listen(config)
    _announce(config, listeners[0].socket.getsockname()[1])
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve, provider, listeners, config.tls)
            async for _ in signals:
                nursery.cancel_scope.cancel()
                break
    _say(_closing_words(provider))


async def serve(
    provider: Provider,
    listeners: Sequence[trio.SocketListener],
    tls: ssl.SSLContext | None = None,
) -> None:
    """Serve a provider on listeners that are open already, until cancelled."""
    server = Server(provider)
    if tls is None:
        await trio.serve_listeners(server.serve_connection, list(listeners))
    secured = [trio.SSLListener(each, tls, https_compatible=True) for each in listeners]
    await trio.serve_listeners(server.serve_connection, secured)


def _announce(config: Config, port: int) -> None:
    scheme = "http" if config.tls is None else "https"
    host = f"[{config.host}]" if ":" in config.host else config.host
    url = f"{scheme}://{host}:{port}"
    if config.port_file is not None:
        _write_whole(config.port_file, f"{port}\n")
    if config.ready_file is not None:
        _write_whole(config.ready_file, json.dumps({"url": url, "pid": os.getpid()}) + "\n")
    _say(f"rehearsal provider on {url}")


def _write_whole(path: Path, text: str) -> None:
    """Write aside and move, so that whoever waits for the file never reads half of it."""
    aside = path.with_name(path.name + ".new")
    try:
        aside.write_text(text, encoding="ascii")
        aside.replace(path)
    except OSError as error:
        raise StartError(f"cannot write {path}: {error.strerror or error}") from None


def _closing_words(provider: Provider) -> str:
    summary = provider.bill.summary()
    usd, nano_usd = divmod(int(summary["total_nano_usd"]), 1_000_000_000)
    return f"rehearsal provider ended: {summary['calls_ended']} calls, {usd}.{nano_usd:09d} USD"


def _say(line: str) -> None:
    try:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever started this has gone; there is nobody left to tell.
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 - kept open to the end


def _raise_file_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = limits.CONNECTIONS_MAX + 256
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))
