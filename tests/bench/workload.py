"""What is asked and what is answered: the same bytes for every system under test.

Rules:
1. The generator, the upstream and the check of the ledger read these values from here, so that
   they cannot disagree about how long a stream is or what a call costs.
2. A stream's shape travels in the request's own `metadata`, a field that OpenAI defines and that
   any gateway must forward untouched. No private header, no private path: what is in between
   needs to know nothing about the benchmark.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

MODEL = "gpt-4o-mini"
ANSWERED_MODEL = "gpt-4o-mini-2024-07-18"
PATH = "/v1/chat/completions"

REQUEST_BODY_BYTES = 470
RESPONSE_BODY_BYTES = 633

PROMPT_TOKENS = 81
COMPLETION_TOKENS = 63
MAX_COMPLETION_TOKENS = 256

# List price of MODEL, in pico-dollars per token: $0.15 and $0.60 per million.
INPUT_PICO_USD = 150_000
OUTPUT_PICO_USD = 600_000
COST_NANO_USD = -(-(PROMPT_TOKENS * INPUT_PICO_USD + COMPLETION_TOKENS * OUTPUT_PICO_USD) // 1_000)

# Role chunk, deltas, the finish chunk and [DONE]. The usage chunk comes on top, when asked for.
STREAM_EVENTS = 102


@dataclass(frozen=True, slots=True)
class StreamShape:
    """How the upstream should stream an answer."""

    events: int = STREAM_EVENTS
    """Events a client sees that did not ask for usage, `[DONE]` included."""
    gap_ms: int = 0
    """Time between two events; 0 sends as fast as the sockets take them."""


def _chat(stream: StreamShape | None) -> dict[str, object]:
    body: dict[str, object] = {
        "model": MODEL,
        "messages": [
            {"role": "system", "content": "You score inbound leads for a dental practice."},
            {"role": "user", "content": ""},
        ],
        "max_completion_tokens": MAX_COMPLETION_TOKENS,
        "temperature": 0.2,
    }
    if stream is not None:
        body["stream"] = True
        body["metadata"] = {"events": str(stream.events), "gap_ms": str(stream.gap_ms)}
    return body


def _padded(body: dict[str, object], size_bytes: int) -> bytes:
    """The body as JSON, its last message filled with words to exactly `size_bytes`."""
    words = "Score this lead from 0 to 100 and say why in one sentence. "
    missing_bytes = size_bytes - len(json.dumps(body))
    assert missing_bytes > 0, f"a request of {size_bytes} bytes is too small for this shape"
    messages = body["messages"]
    assert isinstance(messages, list)
    messages[-1]["content"] = (words * (missing_bytes // len(words) + 1))[:missing_bytes]
    encoded = json.dumps(body).encode()
    assert len(encoded) == size_bytes
    return encoded


def request_bytes(host: str, api_key: str, stream: StreamShape | None = None) -> bytes:
    """One whole HTTP/1.1 request, as an SDK would send it."""
    body = _padded(_chat(stream), REQUEST_BODY_BYTES)
    head = (
        f"POST {PATH} HTTP/1.1\r\n"
        f"Host: {host}\r\n"
        "Accept: application/json\r\n"
        "Content-Type: application/json\r\n"
        "User-Agent: OpenAI/Python 2.0.0\r\n"
        f"Authorization: Bearer {api_key}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def usage() -> dict[str, object]:
    """The `usage` object of every answer."""
    return {
        "prompt_tokens": PROMPT_TOKENS,
        "completion_tokens": COMPLETION_TOKENS,
        "total_tokens": PROMPT_TOKENS + COMPLETION_TOKENS,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }


def response_body() -> bytes:
    """A chat completion of exactly RESPONSE_BODY_BYTES."""
    text = "Score 82: asked for a price and a date, and left a phone number. "
    message = {"role": "assistant", "content": "", "refusal": None}
    body = {
        "id": "chatcmpl-C9a1bQf2Zt7Yw3Lx5Kd8Rn0Ms4Pj",
        "object": "chat.completion",
        "created": 1763856000,
        "model": ANSWERED_MODEL,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": usage(),
        "service_tier": "default",
        "system_fingerprint": "fp_560af6e559",
    }
    missing_bytes = RESPONSE_BODY_BYTES - len(json.dumps(body))
    assert missing_bytes > 0
    message["content"] = (text * (missing_bytes // len(text) + 1))[:missing_bytes]
    encoded = json.dumps(body).encode()
    assert len(encoded) == RESPONSE_BODY_BYTES
    return encoded


def stream_events(events: int, *, include_usage: bool) -> list[bytes]:
    """The server-sent events of one answer, in order, each with its blank line."""
    assert events >= 3, "a stream has at least a role, a finish and [DONE]"

    def chunk(delta: dict[str, object], finish: str | None) -> bytes:
        body: dict[str, object] = {
            "id": "chatcmpl-C9a1bQf2Zt7Yw3Lx5Kd8Rn0Ms4Pj",
            "object": "chat.completion.chunk",
            "created": 1763856000,
            "model": ANSWERED_MODEL,
            "system_fingerprint": "fp_560af6e559",
            "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}],
        }
        if include_usage:
            body["usage"] = None
        return _event(body)

    made = [chunk({"role": "assistant", "content": ""}, None)]
    made += [chunk({"content": f" word{number}"}, None) for number in range(events - 3)]
    made.append(chunk({}, "stop"))
    if include_usage:
        made.append(
            _event(
                {
                    "id": "chatcmpl-C9a1bQf2Zt7Yw3Lx5Kd8Rn0Ms4Pj",
                    "object": "chat.completion.chunk",
                    "created": 1763856000,
                    "model": ANSWERED_MODEL,
                    "system_fingerprint": "fp_560af6e559",
                    "choices": [],
                    "usage": usage(),
                }
            )
        )
    made.append(b"data: [DONE]\n\n")
    return made


def _event(body: dict[str, object]) -> bytes:
    return b"data: " + json.dumps(body, separators=(",", ":")).encode() + b"\n\n"
