"""Who may speak to a sidecar on localhost: no web page, by whatever name it was led here.

Loopback is no boundary: a page in a browser on the same host can send requests to it, under its own
origin or, by rebinding a name, under ours. So the Host must be one that this sidecar is known by,
exactly, and nothing that a browser marks as coming from another site passes.
"""

from collections.abc import Iterable

_LOCAL = (b"127.0.0.1", b"localhost", b"[::1]")
_SAME_SITE = (b"same-origin", b"none")


def allowed_hosts(port: int, extra: Iterable[str] = ()) -> frozenset[bytes]:
    """Every Host that this sidecar answers to: loopback's names and the operator's, with the port.

    An extra host given with a port stands for itself; without one it is taken with the port that
    the sidecar listens on and, for a proxy in front, bare.
    """
    allowed = {b"%b:%d" % (name, port) for name in _LOCAL}
    if port == 80:
        allowed.update(_LOCAL)
    for host in extra:
        name = host.strip().lower().encode("idna" if not host.isascii() else "ascii")
        allowed.add(name)
        if not _has_port(name):
            allowed.add(b"%b:%d" % (name, port))
    return frozenset(allowed)


def _has_port(name: bytes) -> bool:
    tail = name.rpartition(b":")[2]
    return b":" in name and tail.isdigit() and not name.endswith(b"]")


def host_fault(values: dict[bytes, bytes], allowed: frozenset[bytes]) -> str:
    """What is wrong with the Host of a request; "" when nothing is."""
    host = values.get(b"host", b"").lower()
    if host in allowed:
        return ""
    return (
        f"This sidecar does not go by the name {host.decode('latin-1')!r}. Use its own address, or "
        "start it with --allow-host NAME"
    )


def browser_fault(values: dict[bytes, bytes]) -> str:
    """Why a request that a browser sent for another site is refused; "" for any other request."""
    if b"origin" in values:
        return "Requests of web pages are refused: this one carries the header Origin"
    if b"sec-fetch-site" in values and values[b"sec-fetch-site"].lower() not in _SAME_SITE:
        return "Requests of web pages are refused: the header Sec-Fetch-Site tells of another site"
    return ""
