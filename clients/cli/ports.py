"""Ports: whether they are free before anything starts, and whether something answers on them."""

import errno
import http.client
import json
import socket
import ssl
from urllib.parse import urlsplit

from clients.cli.limits import HEALTH_MAX_BYTES, PROBE_MS
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


def sidecar_trouble(url: str) -> str:
    """Why a sidecar at a URL takes no calls, in its own words; "" when it takes them.

    A port that takes connections proves little: a sidecar that is fenced, or whose disk is full,
    answers every call with a refusal.
    """
    parts = urlsplit(url)
    asked = http.client.HTTPConnection(parts.netloc, timeout=PROBE_MS / 1000)
    if parts.scheme == "https":
        # Its certificate is for the name that clouds use. Nothing secret is sent there.
        trusting = ssl.create_default_context()
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
        asked = http.client.HTTPSConnection(parts.netloc, timeout=PROBE_MS / 1000, context=trusting)
    try:
        asked.request("GET", "/healthz")
        answer = asked.getresponse()
        told = json.loads(answer.read(HEALTH_MAX_BYTES))
    except (OSError, ValueError, http.client.HTTPException):
        return "it does not say whether it takes calls"
    finally:
        asked.close()
    if answer.status == http.client.OK:
        return ""
    message = told.get("message") if isinstance(told, dict) else None
    return message if isinstance(message, str) else f"it answers {answer.status}"
