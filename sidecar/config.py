"""What a sidecar is told when it is started: one frozen value, read from the command line."""

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from protos.telemetry.settings import ENDPOINT_VARIABLE, Settings, SettingsError, read_settings
from protos.values.keys import JOIN_TOKEN, is_key
from protos.values.listening import ListenError, Listening, listening

JOIN_TOKEN_VARIABLE = "BURSAR_JOIN_TOKEN"  # noqa: S105 - a name, not a secret
_LISTEN = "127.0.0.1:7250"
_CONTROL_PLANE = "127.0.0.1:7240"
_NAME_CHARACTERS_MAX = 64
_TOKEN_BYTES_MAX = 4_096


class ConfigError(ValueError):
    """The sidecar cannot be started like this; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Config:
    """How one sidecar runs."""

    data: Path
    """Its folder: journal, policy, identity."""
    control_plane: str
    """The control plane's address."""
    control_plane_ca: Path | None
    """Certificates that the control plane's must follow from; None for plain text on loopback."""
    listening: Listening
    """Where it listens."""
    certificate: Path | None
    """Its own certificate, where it listens with TLS."""
    key: Path | None
    """The certificate's key."""
    join_token: str = field(repr=False)
    """The one-time token; empty once it has joined."""
    name: str
    """What people call it."""
    synchronous: str
    """"full" lives through a power loss, "normal" through a killed process only."""
    allow_plain: bool
    """Plain text on private networks was explicitly allowed."""
    upstream_ca: Path | None
    """The operator's own roots for providers' certificates."""
    ready_file: Path | None
    """Written when the sidecar serves."""
    metrics: Listening | None = None
    """Where scrapers find its metrics; None for nowhere."""
    telemetry: Settings | None = None
    """Where it sends traces and metrics; None for nowhere."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sidecar",
        description="Decides on localhost, from leased money, whether an AI call may be made.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("--data", type=Path, required=True, metavar="FOLDER", help="its folder")
    add(
        "--control-plane",
        default=_CONTROL_PLANE,
        metavar="HOST:PORT",
        help=f"the control plane's address (default {_CONTROL_PLANE})",
    )
    add("--control-plane-ca", type=Path, metavar="FILE", help="PEM roots for its TLS")
    add(
        "--listen",
        default=_LISTEN,
        metavar="HOST:PORT",
        help=f"where workflows call it; port 0 takes a free one (default {_LISTEN})",
    )
    add(
        "--join-token-file",
        type=Path,
        metavar="FILE",
        help=f"holds the one-time join token; else {JOIN_TOKEN_VARIABLE} is read",
    )
    add("--name", default="", metavar="NAME", help="what people call it (default: the host's name)")
    add(
        "--synchronous",
        choices=("full", "normal"),
        default="full",
        help="full lives through a power loss; normal only through a killed process",
    )
    add("--allow-plain", action="store_true", help="plain text on a private network")
    add("--allow-host", action="append", default=[], metavar="NAME", help="a host to answer to")
    add("--certificate", type=Path, metavar="FILE", help="PEM certificate to listen with TLS")
    add("--key", type=Path, metavar="FILE", help="the certificate's key")
    add("--public-url", default="", metavar="URL", help="the address that callers elsewhere use")
    add("--upstream-ca", type=Path, metavar="FILE", help="own PEM roots for providers")
    add("--ready-file", type=Path, metavar="PATH", help="written when it serves")
    add(
        "--metrics-listen",
        default="",
        metavar="HOST:PORT",
        help="where Prometheus finds GET /metrics; they name clients (default: nowhere)",
    )
    add(
        "--otlp-endpoint",
        default="",
        metavar="URL",
        help=f"where traces and metrics are sent by OTLP over HTTP; else {ENDPOINT_VARIABLE} "
        "and the other OTEL_* variables are read (default: nowhere)",
    )
    return parser


def parse(arguments: Sequence[str], environment: Mapping[str, str], host_name: str) -> Config:
    """Read the command line. Raises ConfigError; exits by itself for --help and bad options."""
    given = _parser().parse_args(arguments)
    try:
        where = listening(
            given.listen,
            allow_plain=given.allow_plain,
            allow_hosts=given.allow_host,
            certificate=given.certificate is not None,
            key=given.key is not None,
            public_url=given.public_url,
        )
        metrics = _metrics(given.metrics_listen, allow_plain=given.allow_plain, where=where)
        telemetry = read_settings(
            environment,
            endpoint=given.otlp_endpoint,
            service="bursar-sidecar",
            instance=given.name or host_name,
        )
    except (ListenError, SettingsError) as error:
        raise ConfigError(str(error)) from None
    return Config(
        data=given.data,
        control_plane=given.control_plane,
        control_plane_ca=given.control_plane_ca,
        listening=where,
        certificate=given.certificate,
        key=given.key,
        join_token=_join_token(given.join_token_file, environment),
        name=(given.name or host_name)[:_NAME_CHARACTERS_MAX],
        synchronous=given.synchronous,
        allow_plain=given.allow_plain,
        upstream_ca=given.upstream_ca,
        ready_file=given.ready_file,
        metrics=metrics,
        telemetry=telemetry,
    )


def _metrics(address: str, *, allow_plain: bool, where: Listening) -> Listening | None:
    """Where metrics are shown. Raises ListenError."""
    if not address:
        return None
    try:
        return listening(address, allow_plain=allow_plain, allow_hosts=where.hosts)
    except ListenError as error:
        raise ListenError(f"--metrics-listen: {error}") from None


def _join_token(file: Path | None, environment: Mapping[str, str]) -> str:
    source = JOIN_TOKEN_VARIABLE
    token = environment.get(JOIN_TOKEN_VARIABLE, "").strip()
    if file is not None:
        source = f"--join-token-file {file}"
        token = _read_token(file)
    if token and not is_key(token, JOIN_TOKEN):
        raise ConfigError(
            f"{source}: this is no join token, or part of it is missing; a join token begins with "
            f"{JOIN_TOKEN}"
        )
    return token


def _read_token(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return opened.read(_TOKEN_BYTES_MAX).decode("ascii").strip()
    except OSError as error:
        reason = error.strerror or os.strerror(error.errno or 0)
        raise ConfigError(f"--join-token-file {file} cannot be read: {reason}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"--join-token-file {file}: this is no join token") from None
