"""Where a server of ours may listen, and what it must be told first.

Rules, from the safest to what is refused:

1. On loopback plain text is fine, and the names of this machine are the only hosts.
2. On a private address (a container bridge, a home network) plain text would show keys to that
   network, so it takes an explicit word, `--allow-plain`, and the list of hosts that callers may
   name, `--allow-host`; or TLS.
3. Anywhere else, and on "all addresses", only with TLS and the public URL that callers use.

A loopback address is no boundary against a browser: a page can be made to call it under a name of
its own. Therefore every server compares the host that a caller names with `Listening.hosts`.
"""

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

_NEAR_NETWORKS = tuple(
    ipaddress.ip_network(text)
    for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
)
_HOST_NAME = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.[a-z0-9-]{1,63})*\Z"
)
LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
"""What callers on this machine may name."""
HOSTS_MAX = 64
"""Most hosts that may be allowed."""


class ListenError(ValueError):
    """The address must not be listened on like this; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Listening:
    """An address that may be listened on, and how."""

    host: str
    """The address, without brackets."""
    port: int
    """0 for any free one."""
    tls: bool
    """Whether the server must speak TLS."""
    hosts: frozenset[str]
    """The hosts, without port, that a caller may name; others are refused."""
    public_url: str
    """What callers elsewhere use; empty on loopback."""

    @property
    def address(self) -> str:
        """Host and port in one, with brackets where they are needed."""
        return join_host_port(self.host, self.port)


def listening(
    listen: str,
    *,
    allow_plain: bool = False,
    allow_hosts: Iterable[str] = (),
    certificate: bool = False,
    key: bool = False,
    public_url: str = "",
) -> Listening:
    """Decide from the options whether and how to listen. Raises ListenError."""
    host, port = split_host_port(listen)
    if certificate != key:
        missing = "--key" if certificate else "--certificate"
        raise ListenError(f"{missing} is missing: TLS needs the certificate and its key")
    public_host = _public_host(public_url, tls=certificate)
    hosts = {_checked_host(name) for name in allow_hosts}
    if len(hosts) > HOSTS_MAX:
        raise ListenError(f"--allow-host: at most {HOSTS_MAX} hosts")
    if public_host:
        hosts.add(public_host)
    if not certificate and not is_loopback(host):
        _check_plain(host, allow_plain=allow_plain, hosts=hosts)
    if certificate and not is_loopback(host) and not public_host:
        raise ListenError(
            f"listening on {host} needs --public-url https://the-name-in-the-certificate, so that "
            "callers can be told where to go and other names can be refused"
        )
    if is_loopback(host):
        hosts |= LOOPBACK_HOSTS
    if not _is_unspecified(host):
        hosts.add(host)
    return Listening(host, port, certificate, frozenset(hosts), public_url.rstrip("/"))


def _check_plain(host: str, *, allow_plain: bool, hosts: set[str]) -> None:
    if not is_private(host):
        raise ListenError(
            f"{host} can be reached from anywhere: plain text would show every key. Give "
            "--certificate, --key and --public-url, or listen on 127.0.0.1 or on the address of a "
            "private bridge"
        )
    if not allow_plain:
        raise ListenError(
            f"{host} is on a private network, and plain text shows keys to it. Give --allow-plain "
            "and --allow-host NAME if only your containers are there; else --certificate, --key "
            "and --public-url"
        )
    if not hosts:
        raise ListenError(
            "--allow-plain needs --allow-host: the name or address under which callers reach this "
            f"server, such as --allow-host {host} or --allow-host host.docker.internal"
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the host."""
    if host == "localhost":
        return True
    address = _address(host)
    return address is not None and address.is_loopback


def is_private(host: str) -> bool:
    """Whether the host is an address of a private network; never "all addresses"."""
    address = _address(host)
    if address is None:
        return False
    return any(
        address.version == network.version and address in network for network in _NEAR_NETWORKS
    )


def split_host_port(text: str) -> tuple[str, int]:
    """Read "127.0.0.1:7240", "[::1]:7240" or "localhost:0". Raises ListenError."""
    host, colon, port_text = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        bare = _address(host) is not None and ":" in host
    else:
        bare = _address(host) is not None or host == "localhost"
        bare = bare and ":" not in host
    if not colon or not bare or not (port_text.isascii() and port_text.isdigit()):
        raise ListenError(
            f"{text!r} is no address to listen on: give one such as 127.0.0.1:7240 or [::1]:7240"
        )
    port = int(port_text[:6])
    if port > 65_535:
        raise ListenError(f"{port_text} is no port: 0 to 65535")
    return host, port


def join_host_port(host: str, port: int) -> str:
    """Host and port in one, with brackets where they are needed."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def host_of_authority(authority: str) -> str:
    """The host in what a caller named, such as "localhost:7250"; "" when there is none."""
    text = authority.strip().lower()
    if text.startswith("["):
        host, closed, rest = text[1:].partition("]")
        good = bool(closed) and (not rest or _is_port(rest))
    else:
        host, colon, rest = text.partition(":")
        good = not colon or _is_port(f":{rest}")
    if not good:
        return ""
    known = _address(host)
    return str(known) if known is not None else host.removesuffix(".")


def _is_port(text: str) -> bool:
    digits = text[1:]
    return text[:1] == ":" and len(digits) <= 5 and digits.isascii() and digits.isdigit()


def _checked_host(name: str) -> str:
    address = _address(name)
    if address is not None:
        return str(address)
    lowered = name.lower().removesuffix(".")
    if _HOST_NAME.match(lowered) is None:
        raise ListenError(f"--allow-host {name!r}: a name or an address, without a port")
    return lowered


def _public_host(url: str, *, tls: bool) -> str:
    if not url:
        return ""
    wanted = "https" if tls else "http"
    try:
        parts = urlsplit(url)
        host, good = parts.hostname or "", parts.port != 0
    except ValueError:
        host, good = "", False
    if not good or not host or parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise ListenError(f"--public-url {url!r}: an address such as https://ai.example.com")
    if parts.scheme not in {"https", wanted} or parts.username is not None:
        raise ListenError(f"--public-url {url!r}: must begin with https://")
    return _checked_host(host)


def _is_unspecified(host: str) -> bool:
    address = _address(host)
    return address is not None and address.is_unspecified


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
