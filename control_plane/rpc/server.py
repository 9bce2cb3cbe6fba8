"""Assembles the gRPC server: options, services, health, reflection, and the address it binds."""

import ssl
from dataclasses import dataclass
from pathlib import Path

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from control_plane import limits
from control_plane.config import Config
from control_plane.rpc.admin import ADMIN_SERVICES, add_admin_services
from control_plane.rpc.deps import Deps
from control_plane.rpc.interceptors import interceptors
from control_plane.rpc.sidecar_service import SidecarServicer
from protos.bursar.sidecar import v1 as sidecar
from protos.values.listening import ListenError

SIDECAR_SERVICE = "bursar.sidecar.v1.SidecarService"
_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING

OPTIONS = (
    # A second server on the same port must fail, not share it silently.
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", limits.MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", limits.SENT_MESSAGE_BYTES_MAX),
    ("grpc.max_metadata_size", limits.METADATA_BYTES_MAX),
    ("grpc.max_concurrent_streams", limits.CONNECTION_STREAMS_MAX),
    ("grpc.keepalive_time_ms", limits.KEEPALIVE_MS),
    # keepalive_timeout_ms has no effect in the C core; the ping's own time limit is what counts.
    ("grpc.http2.ping_timeout_ms", limits.PING_TIMEOUT_MS),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_recv_ping_interval_without_data_ms", limits.PING_INTERVAL_MIN_MS),
)


@dataclass(slots=True)
class RunningServer:
    """A server that answers."""

    server: grpc.aio.Server
    health: health.aio.HealthServicer
    port: int
    """The port that it listens on, chosen by the system when 0 was asked for."""
    deps: Deps

    async def drain(self) -> None:
        """Say that no new work is taken, end the streams, let running requests finish."""
        await self.health.enter_graceful_shutdown()
        self.deps.hub.close()
        await self.server.stop(limits.DRAIN_GRACE_S)


async def start_server(deps: Deps) -> RunningServer:
    """Bind, start and report healthy. Raises ListenError."""
    server = grpc.aio.server(
        interceptors=interceptors(deps),
        options=OPTIONS,
        maximum_concurrent_rpcs=limits.CONCURRENT_RPCS_MAX,
    )
    sidecar.add_SidecarServiceServicer_to_server(SidecarServicer(deps), server)
    add_admin_services(server, deps)
    checks = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    services = (SIDECAR_SERVICE, *ADMIN_SERVICES)
    reflection.enable_server_reflection(
        (*services, health.SERVICE_NAME, reflection.SERVICE_NAME), server
    )
    port = _bind(server, deps.config)
    await server.start()
    for service in ("", *services):
        await checks.set(service, _SERVING)
    return RunningServer(server, checks, port, deps)


def _bind(server: grpc.aio.Server, config: Config) -> int:
    host = f"[{config.listen_host}]" if ":" in config.listen_host else config.listen_host
    address = f"{host}:{config.listen_port}"
    try:
        if config.certificate is not None and config.private_key is not None:
            return server.add_secure_port(address, _credentials(config))
        return server.add_insecure_port(address)
    except RuntimeError:
        raise ListenError(
            f"{address} cannot be listened on: another process may use the port, or the address "
            "is not this machine's; stop the other one, or name another with --listen"
        ) from None


def _credentials(config: Config) -> grpc.ServerCredentials:
    assert config.certificate is not None
    assert config.private_key is not None
    chain = _read(config.certificate, "--certificate")
    key = _read(config.private_key, "--key")
    try:
        # gRPC does not say what is wrong with a pair; the standard library does.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
            config.certificate, config.private_key
        )
    except ssl.SSLError as error:
        raise ListenError(
            f"{config.certificate} and {config.private_key} are no certificate and its key: "
            f"{error.reason or error}"
        ) from None
    return grpc.ssl_server_credentials([(key, chain)])


def _read(path: Path, option: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ListenError(f"{option} {path} cannot be read: {error.strerror}") from None
