"""Posts JSON to an address that somebody typed in, without becoming a way into the network.

The name is resolved here, each of its addresses must be allowed, and the connection goes to the one
that was looked at: a name that means something else a moment later leads nowhere. The certificate
is checked against the name. Redirects are not followed, proxies of the environment not used, and
of the answer nothing is read but its head.
"""

import asyncio
import ipaddress
import json
import socket
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx

from control_plane import limits
from control_plane.core.channels import is_allowed
from control_plane.core.deliveries import Outcome
from control_plane.notify.attempts import Attempt, Doors, arrived, failed

_AFTER_CONNECTING = (
    httpx.WriteError,
    httpx.WriteTimeout,
    httpx.ReadError,
    httpx.ReadTimeout,
    httpx.RemoteProtocolError,
)
"""Errors after which nobody knows whether the receiver has the message."""
_TRY_AGAIN = frozenset({408, 425, 429})


class _NotAllowedError(Exception):
    """The name leads to an address that messages may not be sent to."""


async def post(url: str, body: bytes, headers: Mapping[str, str], doors: Doors) -> Attempt:
    """Post a body; what came of it."""
    try:
        async with asyncio.timeout(limits.DELIVERY_TIME_S):
            place, host = await _resolve(url, doors)
    except _NotAllowedError as error:
        return failed(Outcome.REFUSED, error)
    except (OSError, TimeoutError) as error:
        return failed(Outcome.NOT_SENT, error)
    named = {"Host": host, "Content-Type": "application/json", **headers}
    extensions = {"sni_hostname": urlsplit(url).hostname}
    try:
        async with (
            asyncio.timeout(limits.DELIVERY_TIME_S),
            httpx.AsyncClient(
                verify=doors.trust,
                trust_env=False,
                follow_redirects=False,
                timeout=limits.DELIVERY_TIME_S / 2,
            ) as client,
            client.stream(
                "POST", place, content=body, headers=named, extensions=extensions
            ) as answer,
        ):
            # The status says all. What follows it may be endless, packed, or cut off.
            return _judged(answer.status_code, answer.headers)
    except _AFTER_CONNECTING as error:
        return failed(Outcome.LOST_SIGHT, f"no answer: {type(error).__name__}")
    except TimeoutError:
        return failed(Outcome.LOST_SIGHT, "no answer in time")
    except httpx.HTTPError as error:
        return failed(Outcome.NOT_SENT, error)


async def post_json(url: str, body: Mapping[str, Any], doors: Doors) -> Attempt:
    """Post a value as JSON."""
    return await post(url, json.dumps(body, ensure_ascii=False).encode(), {}, doors)


async def _resolve(url: str, doors: Doors) -> tuple[str, str]:
    """The address with the name replaced by a number that is allowed, and what to call the host."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    port = parts.port or (443 if parts.scheme == "https" else 80)
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
    numbers = [ipaddress.ip_address(str(info[4][0]).partition("%")[0]) for info in found]
    for number in numbers:
        if not is_allowed(number, doors.networks):
            raise _NotAllowedError(
                f"{parts.hostname} leads to {number}, which is no address of the internet: allow "
                "its network at the start (--allow-receivers NETWORK) if the receiver is yours"
            )
        if parts.scheme == "http" and number.is_global:
            raise _NotAllowedError(f"{parts.hostname}: messages over the internet need https")
    first = numbers[0]
    shown = f"[{first}]" if first.version == 6 else str(first)
    place = urlunsplit((parts.scheme, f"{shown}:{port}", parts.path or "/", parts.query, ""))
    return place, parts.netloc


def _judged(status: int, headers: httpx.Headers) -> Attempt:
    if 200 <= status < 300:
        return arrived(headers.get("x-request-id", ""))
    if status >= 500 or status in _TRY_AGAIN:
        return failed(Outcome.NOT_SENT, f"HTTP {status}")
    if 300 <= status < 400:
        return failed(Outcome.REFUSED, f"HTTP {status}: redirects are not followed")
    return failed(Outcome.REFUSED, f"HTTP {status}")
