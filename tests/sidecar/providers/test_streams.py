"""Streams pass unchanged but for the chunk that nobody asked for, and are metered on their way."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protos.values import quantities as kinds
from sidecar.core.bounds import Asked
from sidecar.http import limits
from sidecar.http.sse import FrameTooLargeError
from sidecar.providers import dialects
from sidecar.providers.anthropic_messages import MessageStream
from sidecar.providers.openai_chat import ChatStream
from sidecar.providers.reading import CallRequest
from sidecar.providers.streams import StreamMeter

USAGE = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}


def chat(*, wanted: bool = False) -> ChatStream:
    return ChatStream(CallRequest("m", streamed=True, usage_wanted=wanted, asked=Asked(1)))


def messages() -> MessageStream:
    return MessageStream(CallRequest("m", streamed=True, usage_wanted=True, asked=Asked(1)))


def event(value: Any, end: bytes = b"\n", name: str = "") -> bytes:
    line = b"event: " + name.encode() + end if name else b""
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return line + b"data: " + data + end + end


def chunk(text: str = "", **fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": {"content": text}}], "usage": None, **fields}


USAGE_CHUNK = {"model": "m-1", "choices": [], "usage": USAGE}
DONE = b"[DONE]"


def passed(meter: StreamMeter, stream: bytes, step: int) -> bytes:
    out = b"".join(meter.take(stream[at : at + step]) for at in range(0, len(stream), step))
    return out + meter.rest()


@given(step=st.integers(1, 200), end=st.sampled_from([b"\n", b"\r\n"]), wanted=st.booleans())
def test_only_the_chunk_that_nobody_asked_for_is_taken_out(
    step: int, end: bytes, wanted: bool
) -> None:
    before = b": ping" + end + end + event(chunk("hel"), end) + event(chunk("lo"), end)
    hidden = event(USAGE_CHUNK, end)
    after = event(DONE, end)
    meter = chat(wanted=wanted)
    out = passed(meter, before + hidden + after, step)
    assert out == before + (hidden if wanted else b"") + after
    assert meter.usage is not None
    assert meter.usage.quantities == {kinds.INPUT: 9, kinds.OUTPUT: 4}
    assert meter.usage.answered_model == "m-1"
    assert meter.done


@pytest.mark.parametrize(
    "last",
    [
        {**chunk("x"), "usage": USAGE},
        {"choices": [], "prompt_filter_results": []},
        chunk('say "usage": {"prompt_tokens": 1}'),
    ],
)
def test_a_chunk_that_tells_more_than_usage_passes(last: dict[str, Any]) -> None:
    meter = chat()
    assert meter.take(event(last)) == event(last)


def test_usage_that_comes_with_every_chunk_is_for_good_at_the_end_only() -> None:
    meter = chat()
    meter.take(event(chunk("hel", usage={"prompt_tokens": 9, "completion_tokens": 1})))
    assert meter.usage is None
    assert meter.seen().output_bytes == 3
    assert meter.seen().input_quantities == {kinds.INPUT: 9}


def test_usage_that_comes_with_the_last_words_is_for_good() -> None:
    meter = chat()
    last = chunk("lo", usage=USAGE)
    last["choices"][0]["finish_reason"] = "stop"
    meter.take(event(last))
    assert meter.usage is not None
    assert meter.usage.quantities == {kinds.INPUT: 9, kinds.OUTPUT: 4}


def test_usage_so_far_is_for_good_when_the_stream_says_that_it_is_done() -> None:
    meter = chat()
    meter.take(event(chunk("hello", usage=USAGE)) + event(DONE))
    assert meter.usage is not None
    assert meter.usage.quantities == {kinds.INPUT: 9, kinds.OUTPUT: 4}


def test_the_end_of_one_of_several_answers_is_not_the_end() -> None:
    asked = Asked(1, choices=2)
    meter = ChatStream(CallRequest("m", streamed=True, usage_wanted=True, asked=asked))
    ended = chunk("lo", usage=USAGE)
    ended["choices"][0]["finish_reason"] = "stop"
    meter.take(event(ended))
    assert meter.usage is None


@pytest.mark.parametrize("end", [b"", event(DONE)])
def test_what_each_chunk_tells_of_one_of_several_answers_is_not_taken_for_all(end: bytes) -> None:
    """VLLM tells in a chunk what the answer in it has used, and not what the others have."""
    asked = Asked(1, choices=2)
    vllm = dialects.named("vllm")
    meter = ChatStream(
        CallRequest("m", streamed=True, usage_wanted=True, asked=asked, dialect=vllm)
    )
    meter.take(event(chunk("long " * 20, usage=USAGE)) + event(chunk("x", usage=USAGE)) + end)
    assert meter.usage is None
    assert meter.seen().output_bytes == 101


def test_a_caller_that_asked_gets_every_byte_at_once() -> None:
    meter = chat(wanted=True)
    assert meter.take(b"data: {") == b"data: {"


def test_at_most_one_incomplete_frame_is_held_back() -> None:
    meter = chat()
    whole = event(chunk("a"))
    assert meter.take(whole + b"data: {") == whole
    assert meter.rest() == b"data: {"


def test_what_was_seen_is_counted_in_bytes_of_all_that_was_generated() -> None:
    meter = chat()
    meter.take(event(chunk("h\u00e9")))
    call = {"index": 0, "function": {"name": "f", "arguments": '{"a":1}'}}
    meter.take(event({"choices": [{"delta": {"tool_calls": [call]}}]}))
    meter.take(event({"choices": [{"delta": {"reasoning_content": "abc"}}]}))
    assert meter.seen().output_bytes == 3 + 8 + 3


def test_a_long_stream_is_folded_and_still_counted() -> None:
    meter = chat()
    for _ in range(400):
        meter.take(event(chunk("x" * 100)))
        assert meter._unread_bytes <= limits.UNREAD_DELTAS_MAX_BYTES + 200
    assert meter.seen().output_bytes == 40_000


def test_an_event_that_broke_off_counts_with_all_its_bytes() -> None:
    meter = chat()
    meter.take(event(chunk("hel")) + b'data: {"choices":[{"delta":{"content":"' + b"x" * 900)
    assert meter.seen().output_bytes >= 903


def test_an_event_that_is_too_large_counts_with_all_its_bytes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "FRAME_MAX_BYTES", 1_000)
    meter = chat()
    with pytest.raises(FrameTooLargeError):
        meter.take(b"data: " + b"x" * 2_000)
    assert meter.seen().output_bytes >= 2_000


def test_an_error_within_a_stream_is_named() -> None:
    meter = chat()
    meter.take(event({"error": {"message": "x", "type": "server_error", "code": None}}))
    assert meter.error_kind == "server_error"


def anthropic_stream(**start: Any) -> list[tuple[str, dict[str, Any]]]:
    usage = {"input_tokens": 7, "cache_read_input_tokens": 2, "output_tokens": 1, **start}
    delta = {"type": "text_delta", "text": "h\u00e9llo"}
    return [
        ("message_start", {"type": "message_start", "message": {"model": "m-2", "usage": usage}}),
        (
            "content_block_start",
            {"type": "content_block_start", "content_block": {"type": "text", "text": ""}},
        ),
        ("ping", {"type": "ping"}),
        ("content_block_delta", {"type": "content_block_delta", "delta": delta}),
        (
            "message_delta",
            {
                "type": "message_delta",
                "delta": {"stop_reason": "end_turn"},
                "usage": {"output_tokens": 5},
            },
        ),
        ("message_stop", {"type": "message_stop"}),
    ]


def frames(events: list[tuple[str, dict[str, Any]]]) -> bytes:
    return b"".join(event(value, name=name) for name, value in events)


@given(step=st.integers(1, 300))
def test_anthropic_usage_is_cumulative_and_its_stream_passes_unchanged(step: int) -> None:
    stream = frames(anthropic_stream())
    meter = messages()
    out = b"".join(meter.take(stream[at : at + step]) for at in range(0, len(stream), step))
    assert out + meter.rest() == stream
    assert meter.usage is not None
    assert meter.usage.quantities == {kinds.INPUT: 7, kinds.CACHED: 2, kinds.OUTPUT: 5}
    assert meter.usage.answered_model == "m-2"
    assert meter.done


def test_before_its_end_anthropic_has_told_the_input_and_not_the_usage() -> None:
    meter = messages()
    meter.take(frames(anthropic_stream()[:4]))
    assert meter.usage is None
    seen = meter.seen()
    assert seen.input_quantities == {kinds.INPUT: 7, kinds.CACHED: 2}
    assert seen.output_bytes == len("h\u00e9llo".encode()) + len("text_delta") + len("text")


def test_a_text_that_looks_like_an_event_is_only_text() -> None:
    meter = messages()
    text = '"message_stop" {"usage": {"input_tokens": 0}}'
    delta = {"type": "content_block_delta", "delta": {"type": "text_delta", "text": text}}
    meter.take(frames(anthropic_stream()[:1]) + event(delta, name="content_block_delta"))
    assert meter.usage is None
    assert not meter.done


def test_an_anthropic_error_within_a_stream_is_named() -> None:
    meter = messages()
    meter.take(event({"type": "error", "error": {"type": "overloaded_error"}}, name="error"))
    assert meter.error_kind == "overloaded_error"
