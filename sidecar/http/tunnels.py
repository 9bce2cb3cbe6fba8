"""Where a connection to a provider really goes: straight there, or through a proxy's tunnel.

HTTPS_PROXY is honoured with CONNECT, and NO_PROXY with it; anything that this program cannot do
is an error with its name, never a silent way around the proxy.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit


class BadAddressError(ValueError):
    """A base URL or proxy setting that cannot be used."""


@dataclass(frozen=True, slots=True)
class Tunnel:
    """A proxy that opens tunnels by CONNECT."""

    host: str
    port: int
    authorization: str = field(default="", repr=False)
    """The value of Proxy-Authorization; empty for none."""

    def connect_bytes(self, host: str, port: int) -> bytes:
        """The request for a tunnel to a host."""
        shown = f"[{host}]" if ":" in host else host
        lines = [f"CONNECT {shown}:{port} HTTP/1.1", f"Host: {shown}:{port}"]
        if self.authorization:
            lines.append(f"Proxy-Authorization: {self.authorization}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a provider is reached."""

    host: str
    port: int
    tls: bool
    path: str
    """What stands before the path of a call; usually empty."""

    @property
    def authority(self) -> str:
        """The value of Host."""
        shown = f"[{self.host}]" if ":" in self.host else self.host
        return shown if self.port == (443 if self.tls else 80) else f"{shown}:{self.port}"


def address_of(base_url: str) -> Address:
    """Take a provider's base URL apart. Raises BadAddressError."""
    try:
        parts = urlsplit(base_url)
        port = parts.port
    except ValueError:
        raise BadAddressError(f"{base_url!r} is not a URL") from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadAddressError(f"{base_url!r} must begin with https:// or http:// and name a host")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise BadAddressError("a base URL holds no user, password, query or fragment")
    path = parts.path.rstrip("/").removesuffix("/v1")
    if not base_url.isascii() or any(character <= " " for character in base_url):
        raise BadAddressError(f"{base_url!r} holds characters that are not taken in a URL")
    tls = parts.scheme == "https"
    return Address(parts.hostname, port or (443 if tls else 80), tls, path)


def tunnel_of(address: Address, environment: Mapping[str, str]) -> Tunnel | None:
    """The proxy that leads to an address; None for straight there. Raises BadAddressError."""
    if not address.tls:
        return None
    setting = environment.get("https_proxy") or environment.get("HTTPS_PROXY") or ""
    excluded = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    if not setting or _is_excluded(address, excluded):
        return None
    try:
        parts = urlsplit(setting if "://" in setting else f"http://{setting}")
        port = parts.port
    except ValueError:
        raise BadAddressError("HTTPS_PROXY is not a URL") from None
    if parts.scheme != "http":
        raise BadAddressError(
            f"HTTPS_PROXY begins with {parts.scheme}://, which is not supported: name a proxy "
            "that opens tunnels by CONNECT over http://, or put the provider into NO_PROXY"
        )
    if not parts.hostname:
        raise BadAddressError("HTTPS_PROXY names no host")
    authorization = ""
    if parts.username is not None:
        user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = "Basic " + base64.b64encode(user.encode()).decode("ascii")
    return Tunnel(parts.hostname, port or 80, authorization)


def _is_excluded(address: Address, excluded: str) -> bool:
    host = address.host.lower()
    if host in ("localhost", "127.0.0.1", "::1"):
        return True
    for entry in excluded.lower().replace(",", " ").split():
        name, _, port = entry.partition(":") if entry.count(":") == 1 else (entry, "", "")
        if port and port != str(address.port):
            continue
        name = name.strip("[]").removeprefix("*")
        if name == "" and entry.startswith("*"):
            return True
        if host == name.removeprefix(".") or host.endswith("." + name.removeprefix(".")):
            return True
    return False
