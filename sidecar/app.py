"""Puts a sidecar together, runs it, and ends it well.

The order of the start: lock the folder, take the port, read the journal and charge what was lost,
put the last known policy in force, then speak with the control plane. With a policy from the disk
calls are served from leases before the control plane was ever reached. The order of the end: take
no new calls, let open ones finish and settle, tell and give back everything, say goodbye.
"""

import gc
import importlib.metadata
import json
import os
import signal
import ssl
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import trio

from protos.bursar.sidecar.v1 import SidecarServiceStub
from protos.telemetry.crossing import on_the_loop
from protos.telemetry.instruments import Reading
from protos.telemetry.outlook import Outlook
from protos.values.listening import join_host_port
from sidecar.clock import KeptClock, SystemClock
from sidecar.config import JOIN_TOKEN_VARIABLE, Config
from sidecar.core.observer import Nobody
from sidecar.entropy import Entropy, SystemEntropy
from sidecar.http.hosts import allowed_hosts
from sidecar.limits import COLLECTED_OBJECTS, DRAIN_CALLS_MS
from sidecar.runtime import identity, policy_file, rate_wire
from sidecar.runtime.admission import Admission
from sidecar.runtime.channel import AddressError, open_channel, target_of
from sidecar.runtime.control import ControlLink, Surroundings
from sidecar.runtime.folder import FolderError, claim, write_durably
from sidecar.runtime.gauges import gauges
from sidecar.runtime.identity import Host, Identity, this_host
from sidecar.runtime.joining import JoinRefusedError, Stub, join
from sidecar.runtime.journal import Journal, open_journal
from sidecar.runtime.journal_file import (
    JournalFile,
    JournalLostError,
    JournalUnavailableError,
    Recovered,
)
from sidecar.runtime.recovery import recover
from sidecar.runtime.secrets import ProviderSecrets
from sidecar.runtime.server import Server, listen
from sidecar.runtime.traced_stub import TracedStub
from sidecar.runtime.upstream import Upstreams
from sidecar.runtime.watch import Watch
from sidecar.telemetry import Log, take_over_logging

_NS = 1_000_000


class StartError(Exception):
    """The sidecar cannot start; the message says what to do."""


@dataclass(frozen=True, slots=True)
class _Parts:
    """What is there before anything runs."""

    config: Config
    clock: KeptClock
    entropy: Entropy
    log: Log
    stub: Stub
    host: Host


@dataclass(frozen=True, slots=True)
class _Told:
    """Where it is found."""

    listeners: list[trio.SocketListener]
    metrics_url: str
    """Where scrapers find its metrics; "" for nowhere."""


async def run(config: Config) -> None:
    """Run a sidecar until it is asked to end. Raises StartError."""
    clock = KeptClock(SystemClock())
    log = Log(SystemClock())
    take_over_logging(log)
    try:
        lock = claim(config.data)
    except FolderError as error:
        raise StartError(str(error)) from None
    channel = None
    try:
        target = target_of(
            config.control_plane, ca=config.control_plane_ca, allow_plain=config.allow_plain
        )
        me = _who(config)
        tls = _tls(config)
        upstreams = _upstreams(config)
        listeners = await _listen(config)
        channel = open_channel(target)
        stub: Stub = SidecarServiceStub(channel)
        parts = _Parts(config, clock, SystemEntropy(), log, stub, this_host())
        await _live(parts, me, listeners, upstreams, tls)
    except (FolderError, AddressError) as error:
        raise StartError(str(error)) from None
    except JournalUnavailableError as error:
        raise StartError(
            f"the journal cannot be opened now: {error}. Nothing in it is lost. See to the disk "
            "or end the program that holds the file, then start again"
        ) from None
    finally:
        if channel is not None:
            channel.close()
        lock.release()


def _who(config: Config) -> Identity:
    """Who this sidecar is; a new identity is kept before it is used."""
    me = identity.load(config.data)
    if me is None:
        if not config.join_token:
            raise StartError(
                "this sidecar has not joined yet: give it a one-time join token "
                f"(--join-token-file FILE, or {JOIN_TOKEN_VARIABLE}), made with: bursar sidecars "
                "invite"
            )
        me = replace(identity.make(SystemEntropy()), display_name=config.name)
        identity.save(config.data, me)
    elif not me.joined and not config.join_token:
        raise StartError(
            "this sidecar began to join and was not answered: start it with its join token once "
            f"more (--join-token-file FILE, or {JOIN_TOKEN_VARIABLE})"
        )
    return me


def _tls(config: Config) -> ssl.SSLContext | None:
    if config.certificate is None or config.key is None:
        return None
    try:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(config.certificate, config.key)
    except (OSError, ssl.SSLError) as error:
        raise StartError(f"--certificate and --key cannot be used: {error}") from None
    return context


def _upstreams(config: Config) -> Upstreams:
    certificates = None if config.upstream_ca is None else str(config.upstream_ca)
    try:
        return Upstreams(os.environ, certificates)
    except (OSError, ssl.SSLError) as error:
        raise StartError(f"--upstream-ca {config.upstream_ca} cannot be used: {error}") from None


async def _listen(config: Config) -> list[trio.SocketListener]:
    where = config.listening
    try:
        return await listen(where.host, where.port)
    except OSError as error:
        raise StartError(
            f"cannot listen on {where.address}: {error.strerror or error}. Give another address "
            "with --listen, such as 127.0.0.1:0 for any free port"
        ) from None


async def _live(
    parts: _Parts,
    me: Identity,
    listeners: list[trio.SocketListener],
    upstreams: Upstreams,
    tls: ssl.SSLContext | None,
) -> None:
    journal, recovered = _open_journal(parts, me)
    watch = _watch(parts)
    admission = _admission(parts, me, journal, recovered, watch)
    async with trio.open_nursery() as nursery:
        await nursery.start(journal.run)
        stopping = await nursery.start(_signals, parts.log)
        with trio.CancelScope() as living:
            nursery.start_soon(_cancel_when, stopping, living)
            if not me.joined:
                me = await _join(parts, me)
        if me.joined:
            around = Surroundings(
                stub=_traced(parts.stub, watch),
                admission=admission,
                journal=journal,
                folder=parts.config.data,
                host=parts.host,
                clock=parts.clock,
                entropy=parts.entropy,
                log=parts.log,
                software_version=_version(),
            )
            link = ControlLink(around, me, recovered.generation)
            nursery.start_soon(link.run)
            server = Server(admission, upstreams, parts.clock, _hosts(parts.config, listeners), tls)
            async with _seen(parts, watch, admission, journal) as metrics_url:
                told = _Told(listeners, metrics_url)
                await _serve(parts, link, server, admission, told, stopping)
        await journal.close()
        nursery.cancel_scope.cancel()


def _now_unix_ns() -> int:
    # Not the kept clock: it belongs to the event loop, and this is asked on another thread.
    return SystemClock().now().unix_ms * _NS


def _watch(parts: _Parts) -> Watch | None:
    """What watches the calls; None when nobody asked, so that it costs nothing."""
    if parts.config.metrics is None and parts.config.telemetry is None:
        return None
    entropy = parts.entropy
    return Watch(lambda bits: int.from_bytes(entropy.random_bytes(bits // 8)))


def _traced(stub: Stub, watch: Watch | None) -> Stub:
    if watch is None:
        return stub
    return TracedStub(stub, watch.begin_rpc, watch.offer, lambda: SystemClock().now().unix_ms)


@asynccontextmanager
async def _seen(
    parts: _Parts, watch: Watch | None, admission: Admission, journal: Journal
) -> AsyncGenerator[str, None]:
    """Let it be seen from outside meanwhile; gives the URL of its metrics. Raises StartError."""
    if watch is None:
        yield ""
        return
    asked, log = parts.config.telemetry, parts.log
    outlook = Outlook(parts.config.metrics, asked, _version())
    loop = trio.lowlevel.current_trio_token()

    def read() -> list[Reading]:
        return [*watch.read(), *gauges(admission, journal, parts.clock.now())]

    def address_of(provider: str) -> str:
        found = admission.policy.provider(provider)
        return found.base_url if found is not None else ""

    def say(sent: bool, signal: str) -> None:  # noqa: FBT001 - as it is told
        (log.info if sent else log.warning)("telemetry", signal=signal, sent=sent)

    try:
        outlook.open(on_the_loop(loop.run_sync_soon, read), _now_unix_ns, say)
    except OSError as error:
        raise StartError(f"--metrics-listen: {error.strerror or error}") from None
    if asked is not None:
        watch.record(asked.sampler, outlook.offer, address_of)
    try:
        yield outlook.metrics_url
    finally:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(outlook.close)


async def _join(parts: _Parts, me: Identity) -> Identity:
    try:
        joined = await join(parts.stub, me, parts.config.join_token, parts.log)
        identity.save(parts.config.data, joined)
    except (JoinRefusedError, FolderError) as error:
        # To be asked again with the same token is no harm: the credential was kept before.
        raise StartError(str(error)) from None
    return joined


async def _serve(
    parts: _Parts,
    link: ControlLink,
    server: Server,
    admission: Admission,
    told: _Told,
    stopping: trio.Event,
) -> None:
    """Serve from the first policy until it is time to end; then end in order."""
    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as waiting:
            nursery.start_soon(_cancel_when, stopping, waiting)
            await link.has_policy.wait()
        if not stopping.is_set():
            await nursery.start(server.serve, told.listeners)
            _spare_the_collector()
            _say_ready(parts, told)
            await stopping.wait()
            parts.log.info("ending", open_calls=admission.open_calls)
            admission.draining = True
            admission.try_waiting(every=True)
            await server.drain(DRAIN_CALLS_MS)
        admission.draining = True
        await link.drain()
        nursery.cancel_scope.cancel()


def _spare_the_collector() -> None:
    """Look at what lives as long as the process no more, and at young objects less often.

    Nearly all that a call makes is freed by reference counts. At 64 calls in flight a tenth of the
    CPU went to collections that found next to nothing.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECTED_OBJECTS)


async def _cancel_when(event: trio.Event, scope: trio.CancelScope) -> None:
    await event.wait()
    scope.cancel()


async def _signals(
    log: Log, *, task_status: trio.TaskStatus[trio.Event] = trio.TASK_STATUS_IGNORED
) -> None:
    """End in order at the first signal, at once at the second."""
    stopping = trio.Event()
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as received:
        task_status.started(stopping)
        async for number in received:
            if stopping.is_set():
                log.warning("ended_at_once", signal=int(number))
                # What is open stays open in the journal, and is charged at the next start.
                os._exit(1)
            stopping.set()


def _open_journal(parts: _Parts, me: Identity) -> tuple[Journal, Recovered]:
    folder, synchronous = parts.config.data, parts.config.synchronous
    try:
        journal, recovered = open_journal(folder, parts.clock, synchronous=synchronous)
    except JournalLostError as error:
        now = parts.clock.now()
        kept = JournalFile.set_aside(folder, f"lost-{now.unix_ms}")
        parts.log.alarm("journal_lost", cause=str(error), kept_as=str(kept))
        journal, recovered = open_journal(folder, parts.clock, synchronous=synchronous)
    if _of_another(recovered, me):
        # Its leases and its numbers belong to an identity that is no more: told under the new one,
        # they would look like money and calls that the control plane forgot.
        journal.abandon()
        kept = JournalFile.set_aside(folder, f"of-another-{parts.clock.now().unix_ms}")
        parts.log.alarm("journal_of_another_identity", epoch=recovered.epoch, kept_as=str(kept))
        journal, recovered = open_journal(folder, parts.clock, synchronous=synchronous)
    if recovered.epoch == 0 and me.epoch:
        parts.log.alarm("journal_missing", epoch=me.epoch)
    if synchronous != "full":
        parts.log.warning("journal_not_synchronous", survives="a killed process, no power loss")
    return journal, recovered


def _of_another(recovered: Recovered, me: Identity) -> bool:
    """Whether a journal was begun under another identity than the one in the folder.

    An epoch that the identity does not know of is no proof: it may have found no room to be kept.
    """
    if recovered.sidecar_id:
        return recovered.sidecar_id != me.sidecar_id
    return recovered.epoch > 0 and not me.epoch


def _admission(
    parts: _Parts, me: Identity, journal: Journal, recovered: Recovered, watch: Watch | None
) -> Admission:
    admission = Admission(
        journal=journal,
        clock=parts.clock,
        entropy=parts.entropy,
        secrets=ProviderSecrets(me.sealing_key),
        log=parts.log,
        region=me.region,
        observer=watch or Nobody(),
    )
    recover(
        recovered,
        admission=admission,
        journal=journal,
        clock=parts.clock,
        log=parts.log,
        host=parts.host,
    )
    policy = policy_file.load(parts.config.data, me.region)
    if policy is not None:
        admission.take_policy(policy)
    if admission.throttle.rates:
        admission.throttle.rates.remember(rate_wire.earlier_calls(recovered, parts.clock.now()))
    return admission


def _hosts(config: Config, listeners: list[trio.SocketListener]) -> frozenset[bytes]:
    return allowed_hosts(_port(listeners), config.listening.hosts)


def _port(listeners: list[trio.SocketListener]) -> int:
    port = listeners[0].socket.getsockname()[1]
    assert isinstance(port, int)
    return port


def _say_ready(parts: _Parts, told: _Told) -> None:
    where = parts.config.listening
    scheme = "https" if where.tls else "http"
    url = where.public_url or f"{scheme}://{join_host_port(where.host, _port(told.listeners))}"
    if parts.config.ready_file is not None:
        _write_ready(parts.config.ready_file, url, told.metrics_url)
    sys.stdout.write(f"sidecar on {url}\n")
    sys.stdout.flush()
    parts.log.info("ready", url=url)


def _write_ready(path: Path, url: str, metrics_url: str) -> None:
    said = {"url": url, "pid": os.getpid()}
    if metrics_url:
        said["metrics"] = metrics_url
    try:
        write_durably(path, json.dumps(said).encode())
    except OSError as error:
        raise StartError(f"--ready-file {path} cannot be written: {error.strerror}") from None


def _version() -> str:
    try:
        return importlib.metadata.version("bursar")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
