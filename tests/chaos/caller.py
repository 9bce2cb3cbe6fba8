"""A workflow's call over a raw socket: sent once, never again, and what its caller saw of it.

The official SDKs speak the same bytes and cost ten times the CPU; tests/e2e uses them.
"""

import json
import time
from dataclasses import dataclass, field
from typing import Any

import h11
import trio

OPENAI, ANTHROPIC = "openai", "anthropic"
PATHS = {OPENAI: "/v1/chat/completions", ANTHROPIC: "/v1/messages"}
ENDS_OF_STREAM = {OPENAI: b"data: [DONE]", ANTHROPIC: b"event: message_stop"}
READ_BYTES = 65_536
PATIENCE_S = 40.0
"""A caller hangs up after this long, whatever the sidecar does."""
CONNECT_S = 2.0


@dataclass(frozen=True)
class Asked:
    """One call, as its caller makes it."""

    tag: str
    """Names the call in the prompt, which the bill repeats, and as the execution in the ledger."""
    family: str
    """`openai` or `anthropic`: the wire format."""
    model: str
    limit_tokens: int
    """Its limit on output."""
    workflow: str
    """The workflow in the header; may be empty."""
    knobs: str
    """Directives to the rehearsal provider, such as "reply_tokens=7 latency_ms=50"."""
    stream: bool = False
    hang_up_after_bytes: int | None = None
    """The caller hangs up after so many bytes of the answer; 0 as soon as it has asked."""

    def request(self, key: str) -> bytes:
        """The bytes of the request."""
        words = f"{self.tag} Say something. [rehearse {self.knobs}]"
        body: dict[str, Any] = {
            "model": self.model,
            "max_tokens": self.limit_tokens,
            "messages": [{"role": "user", "content": words}],
        }
        if self.stream:
            body["stream"] = True
        data = json.dumps(body).encode()
        head = [
            f"POST {PATHS[self.family]} HTTP/1.1",
            "host: 127.0.0.1",
            f"authorization: Bearer {key}",
            "anthropic-version: 2023-06-01",
            f"x-bursar-workflow: {self.workflow}:{self.tag}",
            "content-type: application/json",
            f"content-length: {len(data)}",
            "connection: close",
        ]
        return "\r\n".join([*head, "", ""]).encode() + data


@dataclass
class Answer:
    """What a caller saw."""

    started_ns: int
    """On the monotonic clock, which all processes of a machine share."""
    ended_ns: int = 2**63
    """Far in the future while it is open."""
    status: int = 0
    """The HTTP status; 0 when no answer began."""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    whole: bool = False
    """The answer came to its end."""
    hung_up: bool = False
    """The caller went away before it did."""
    connected: bool = False
    """Somebody took the connection."""

    @property
    def error(self) -> dict[str, Any]:
        """The error object of a refusal in either family's envelope; empty when there is none."""
        try:
            found = json.loads(self.body)["error"]
        except (ValueError, KeyError, TypeError):
            return {}
        return found if isinstance(found, dict) else {}


async def call(port: int, key: str, asked: Asked, answer: Answer) -> None:
    """Make one call and read its answer as far as its caller means to; fills `answer`."""
    with trio.move_on_after(PATIENCE_S) as patience:
        await _exchange(port, asked.request(key), asked, answer)
    answer.hung_up |= patience.cancelled_caught
    answer.ended_ns = time.monotonic_ns()
    if asked.stream and answer.status == 200:
        answer.whole &= ENDS_OF_STREAM[asked.family] in answer.body


async def _exchange(port: int, request: bytes, asked: Asked, answer: Answer) -> None:
    try:
        with trio.fail_after(CONNECT_S):
            stream = await trio.open_tcp_stream("127.0.0.1", port)
    except (OSError, trio.TooSlowError):
        return
    answer.connected = True
    async with stream:
        try:
            await stream.send_all(request)
            await _read(stream, asked, answer)
        except (trio.BrokenResourceError, h11.RemoteProtocolError):
            return


async def _read(stream: trio.SocketStream, asked: Asked, answer: Answer) -> None:
    wire = h11.Connection(h11.CLIENT)
    # What was sent by hand, so that the answer is read as one to it.
    wire.send(h11.Request(method="POST", target="/", headers=[("host", "127.0.0.1")]))
    wire.send(h11.EndOfMessage())
    read_bytes = 0
    parts: list[bytes] = []
    while True:
        event = wire.next_event()
        if event is h11.NEED_DATA:
            limit = asked.hang_up_after_bytes
            if limit is not None and read_bytes >= limit:
                answer.hung_up = True
                break
            data = await stream.receive_some(READ_BYTES)
            read_bytes += len(data)
            wire.receive_data(data)
        elif isinstance(event, h11.Response):
            answer.status = event.status_code
            answer.headers = {
                name.decode("ascii"): value.decode("latin-1") for name, value in event.headers
            }
        elif isinstance(event, h11.Data):
            parts.append(bytes(event.data))
            answer.body = b"".join(parts) if not asked.stream else answer.body + event.data
        elif isinstance(event, h11.EndOfMessage):
            answer.whole = True
            break
        else:
            break
