"""Starts the control plane: python -m control_plane --data FOLDER."""

import argparse
import asyncio
import ipaddress
import os
import sys
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

from control_plane.app import ReadyFileError, serve
from control_plane.config import DEFAULT_LISTEN, Config
from control_plane.core.channels import IpNetwork
from control_plane.listen import check_listen, check_web
from control_plane.secrets import VaultError
from control_plane.store import StoreOpenError
from control_plane.telemetry import start_logging
from protos.telemetry.settings import ENDPOINT_VARIABLE, SettingsError, read_settings
from protos.values.errors import BursarError
from protos.values.listening import ListenError, Listening, is_loopback, listening

USAGE_STATUS = 2
_PORT_MAX = 65_535
_BY_TLS_OR_HERE = {("https", True), ("https", False), ("http", True)}
WATERMARK_VARIABLE = "BURSAR_WATERMARK"
START_STATUS = 1


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(USAGE_STATUS, f"control plane: {message}; see --help\n")


def parser() -> argparse.ArgumentParser:
    """What may be said on the command line."""
    made = _Parser(prog="python -m control_plane", description=__doc__, allow_abbrev=False)
    made.add_argument(
        "--data", type=Path, required=True, metavar="FOLDER", help="where all data lies"
    )
    made.add_argument(
        "--listen",
        default=DEFAULT_LISTEN,
        metavar="HOST:PORT",
        help=f"where to listen; port 0 takes a free one (default {DEFAULT_LISTEN})",
    )
    add_watermark(made)
    made.add_argument(
        "--time-zone", default="", metavar="ZONE", help="IANA zone of new projects (default UTC)"
    )
    made.add_argument("--certificate", type=Path, metavar="FILE", help="PEM certificate chain")
    made.add_argument("--key", type=Path, metavar="FILE", help="PEM key of the certificate")
    made.add_argument(
        "--allow-plain",
        action="store_true",
        help="speak plain text on a private address that is not loopback",
    )
    made.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="a name by which callers may address this server; may be repeated",
    )
    made.add_argument("--public-url", default="", metavar="URL", help="where others reach it")
    made.add_argument(
        "--web",
        default="",
        metavar="HOST:PORT",
        help="where the desk listens, for browsers; off for no desk (default: the port after that "
        "of --listen)",
    )
    made.add_argument(
        "--web-url", default="", metavar="URL", help="how browsers reach the desk, behind a proxy"
    )
    made.add_argument(
        "--metrics-listen",
        default="",
        metavar="HOST:PORT",
        help="where Prometheus finds GET /metrics (default: nowhere)",
    )
    made.add_argument(
        "--otlp-endpoint",
        default="",
        metavar="URL",
        help=f"where traces and metrics are sent by OTLP over HTTP; else {ENDPOINT_VARIABLE} "
        "and the other OTEL_* variables are read (default: nowhere)",
    )
    _add_messages(made)
    made.add_argument(
        "--ready-file", type=Path, metavar="PATH", help="written when the server answers"
    )
    return made


def _add_messages(made: argparse.ArgumentParser) -> None:
    """Where messages may go."""
    made.add_argument(
        "--allow-receivers",
        action="append",
        default=[],
        metavar="NETWORK",
        help="a private network that messages may be sent to, such as 10.1.0.0/16; may be repeated",
    )
    made.add_argument(
        "--pagerduty-url",
        default="",
        metavar="URL",
        help="where PagerDuty takes events, for its European service or a proxy",
    )


def add_watermark(made: argparse.ArgumentParser) -> None:
    """Where the watermark is; the same for the server and for what restores a backup."""
    told = os.environ.get(WATERMARK_VARIABLE, "")
    made.add_argument(
        "--watermark",
        type=Path,
        metavar="FOLDER",
        default=Path(told) if told else None,
        help="where the watermark lies, best on another disk than the data "
        f"(default: the data folder; env {WATERMARK_VARIABLE})",
    )


def config_from(arguments: list[str]) -> Config:
    """Read the command line. Exits with status 2 when it cannot be understood."""
    asked = parser().parse_args(arguments)
    host, port = _address("--listen", asked.listen)
    web_host, web_port = _web(asked.web, host, port)
    if (asked.certificate is None) != (asked.key is None):
        parser().error("--certificate and --key come together")
    try:
        metrics = _metrics(asked.metrics_listen, asked.allow_plain, asked.allow_host)
        telemetry = read_settings(
            os.environ, endpoint=asked.otlp_endpoint, service="bursar-control-plane", instance=""
        )
    except (ListenError, SettingsError) as error:
        parser().error(str(error))
    return Config(
        data=asked.data,
        listen_host=host,
        listen_port=port,
        time_zone=asked.time_zone,
        certificate=asked.certificate,
        private_key=asked.key,
        allow_plain=asked.allow_plain,
        allowed_hosts=tuple(asked.allow_host),
        public_url=asked.public_url,
        web_host=web_host,
        web_port=web_port,
        web_url=asked.web_url,
        receivers=tuple(map(_network, asked.allow_receivers)),
        pagerduty_url=_pagerduty_url(asked.pagerduty_url),
        watermark=asked.watermark,
        metrics=metrics,
        telemetry=telemetry,
        ready_file=asked.ready_file,
    )


def _metrics(address: str, allow_plain: bool, hosts: list[str]) -> Listening | None:  # noqa: FBT001 - as it was given
    if not address:
        return None
    try:
        return listening(address, allow_plain=allow_plain, allow_hosts=hosts)
    except ListenError as error:
        raise ListenError(f"--metrics-listen: {error}") from None


def _web(text: str, host: str, port: int) -> tuple[str, int]:
    """Where the desk listens; no host for none."""
    if text == "off":
        return "", 0
    if text:
        return _address("--web", text)
    return host, min(port + 1, _PORT_MAX) if port else 0


def _pagerduty_url(text: str) -> str:
    """An address that routing keys may be sent to: by TLS, or to this machine."""
    try:
        parts = urlsplit(text)
        host = parts.hostname or ""
    except ValueError:
        parser().error(f"--pagerduty-url {text!r} is not an address")
    if text and (not host or (parts.scheme, is_loopback(host)) not in _BY_TLS_OR_HERE):
        parser().error(f"--pagerduty-url {text!r} must begin with https://, unless it is loopback")
    return text


def _network(text: str) -> IpNetwork:
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        parser().error(f"--allow-receivers {error}, such as 10.1.0.0/16")


def _address(option: str, text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    numeric = port.isascii() and port.isdigit() and len(port) <= 5
    if not colon or not host or not numeric or int(port) > _PORT_MAX:
        parser().error(f"{option} {text!r} is not HOST:PORT, such as {DEFAULT_LISTEN}")
    return host, int(port)


def main() -> int:
    """Run; the exit status."""
    if not __debug__:
        sys.stderr.write(
            "control plane: python -O strips the checks that guard money: start without it\n"
        )
        return START_STATUS
    config = config_from(sys.argv[1:])
    start_logging()
    # The C core writes lines of its own to stderr; what it has to say comes as errors too.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        check_listen(config)
        if config.web_host:
            check_web(config)
        return asyncio.run(serve(config))
    except (ReadyFileError, StoreOpenError, ListenError, VaultError, BursarError) as error:
        sys.stderr.write(f"control plane: {error}\n")
        return START_STATUS


if __name__ == "__main__":
    sys.exit(main())
