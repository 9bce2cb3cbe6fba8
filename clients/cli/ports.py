"""Ports: whether they are free before anything starts, and whether something answers on them."""

import errno
import socket
from urllib.parse import urlsplit

from clients.cli.limits import PROBE_MS
from protos.values.errors import FailedPreconditionError, InvalidArgumentError


def check_free(host: str, port: int, what: str, flag: str) -> None:
    """Make sure that a port can be listened on. Raises BursarError naming the port and the flag."""
    if port == 0:
        return
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise FailedPreconditionError(
                    f"port {port} of {host}, meant for {what}, is taken by another program;"
                    f" end that, or choose another port with {flag}"
                ) from None
            raise InvalidArgumentError(
                f"{what} cannot listen on {host}:{port}: {error.strerror}; choose with {flag}"
            ) from None


def answers(url: str) -> bool:
    """Whether something takes connections at a URL."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname or "", port), PROBE_MS / 1000).close()
    except OSError:
        return False
    return True
