"""Reading on after a stream was abandoned: its provider bills what it sent, passed on or not."""

from collections.abc import Callable

import trio

from sidecar.http import limits
from sidecar.http.codec import ResponseReader
from sidecar.runtime.upstream import Line

_FULL_BYTES = 16 * limits.KIB
"""A read of so much leaves more behind: TLS gives no larger piece at once."""


async def catch_up(line: Line, reader: ResponseReader, take: Callable[[bytes], object]) -> bool:
    """Take what has come of an abandoned stream already; whether that was all.

    It ends when nothing more is there. A stream that goes on at its own pace is left after a short
    while: it never falls silent, and each token of it costs. Raises what reading a stream raises.
    """
    behind = True
    enough = trio.current_time() + limits.CATCH_UP_MS / 1000
    with trio.move_on_after(limits.CATCH_UP_MAX_MS / 1000, shield=True):
        while behind or trio.current_time() < enough:
            data = None
            with trio.move_on_after(limits.CATCH_UP_QUIET_MS / 1000):
                data = await line.receive()
            if data is None:
                return True
            behind = len(data) >= _FULL_BYTES
            reader.feed(data)
            parts: list[bytes] = []
            ended = reader.take_body(parts)
            take(b"".join(parts))
            if ended:
                return True
    return not behind
