"""The channel to the control plane: where it leads, and how soon it notices that it is dead."""

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path

import certifi
import grpc

from protos.values.listening import is_loopback
from sidecar.limits import POLICY_BYTES_MAX, RECONNECT_MAX_MS, RECONNECT_MIN_MS

_ADDRESS = re.compile(r"(?:(https?)://)?(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):(\d{1,5})/?\Z")
_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    # gRPC's core waits for this one, a minute by default, whatever keepalive_timeout says.
    ("grpc.http2.ping_timeout_ms", 5_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.initial_reconnect_backoff_ms", RECONNECT_MIN_MS),
    ("grpc.min_reconnect_backoff_ms", RECONNECT_MIN_MS),
    ("grpc.max_reconnect_backoff_ms", RECONNECT_MAX_MS),
    ("grpc.max_receive_message_length", POLICY_BYTES_MAX),
    # Repeating is the link's business, which knows what it says.
    ("grpc.enable_retries", 0),
    # Loopback and private addresses are never meant for a proxy.
    ("grpc.enable_http_proxy", 0),
)


class AddressError(ValueError):
    """The control plane's address cannot be used; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where the control plane is, and how to speak with it."""

    address: str
    """Host and port."""
    certificates: bytes | None
    """PEM certificates that its certificate must follow from; None for plain text."""


def target_of(text: str, *, ca: Path | None, allow_plain: bool) -> Target:
    """Read "127.0.0.1:7240" or "https://control.example.com:443". Raises AddressError."""
    match = _ADDRESS.match(text)
    if match is None or not 0 < int(match[3]) < 65_536:
        raise AddressError(
            f"--control-plane {text!r} is no address: give host and port, such as 127.0.0.1:7240, "
            "or https://control.example.com:443"
        )
    scheme, host = match[1], match[2]
    address = f"{host}:{int(match[3])}"
    if ca is not None and scheme == "http":
        raise AddressError("--control-plane-ca is for TLS, but the address begins with http://")
    if ca is not None or scheme == "https":
        return Target(address, _certificates(ca))
    bare = host.strip("[]")
    if not is_loopback(bare) and not allow_plain:
        raise AddressError(
            f"plain text to {bare} would show this sidecar's credential to the network. Give "
            "--control-plane-ca FILE or an https:// address; or --allow-plain, if only your own "
            "containers are on that network"
        )
    return Target(address, None)


def _certificates(ca: Path | None) -> bytes:
    path = Path(certifi.where()) if ca is None else ca
    try:
        content = path.read_bytes()
    except OSError as error:
        raise AddressError(f"--control-plane-ca {path}: {error.strerror}") from error
    if b"-----BEGIN CERTIFICATE-----" not in content:
        raise AddressError(f"--control-plane-ca {path}: no certificate in PEM form is in it")
    return content


def open_channel(target: Target) -> grpc.Channel:
    """A channel, which connects when it is first used."""
    options = list(_OPTIONS)
    address = target.address
    host = address.rpartition(":")[0].strip("[]")
    try:
        version = ipaddress.ip_address(host).version
        address = f"ipv{version}:{target.address}"
    except ValueError:
        address = f"dns:///{target.address}"
    if target.certificates is None:
        return grpc.insecure_channel(address, options)
    credentials = grpc.ssl_channel_credentials(target.certificates)
    return grpc.secure_channel(address, credentials, options)
