"""Anthropic's wire format, against hand-made expectations."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from clients.rehearsal.incoming import Answer
from clients.rehearsal.plan import Plan
from clients.rehearsal.provider import Metered

Handle = Callable[..., Answer | Metered]
TOOL = {"name": "find_slot", "input_schema": {"type": "object", "required": ["day"]}}
EPHEMERAL = {"type": "ephemeral"}


def ask(text: str = "Hello", **fields: Any) -> dict[str, Any]:
    return {
        "model": "claude-haiku-4-5",
        "max_tokens": 1_000,
        "messages": [{"role": "user", "content": text}],
        **fields,
    }


def plan_of(decided: Answer | Metered) -> Plan:
    assert isinstance(decided, Metered), decided
    return decided.plan


def body_of(decided: Answer | Metered) -> Any:
    return json.loads(plan_of(decided).body())


def events_of(decided: Answer | Metered) -> list[Any]:
    stream = plan_of(decided).stream
    assert stream is not None
    whole = b"".join((*stream.opening, *(chunk.data for chunk in stream.chunks()), *stream.closing))
    events = []
    for block in whole.decode().removesuffix("\n\n").split("\n\n"):
        name, data = block.split("\n")
        events.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {events[-1]['type']}"
    return events


def error_of(decided: Answer | Metered, status: int) -> Any:
    assert isinstance(decided, Answer)
    assert decided.status == status
    body = json.loads(decided.body)
    assert body["type"] == "error"
    assert body["request_id"] == dict(decided.headers)["request-id"]
    return body["error"]


def test_usage_counts_the_prompt_and_the_answer(handle: Handle) -> None:
    # 3 for the message, ceil(5 / 4) for the text; system 1; $1 and $5 a million
    decided = handle("messages", ask(system="Be."), x_rehearsal="reply_tokens=6")
    body = body_of(decided)
    assert (body["usage"]["input_tokens"], body["usage"]["output_tokens"]) == (6, 6)
    assert (body["stop_reason"], len(body["content"][0]["text"])) == ("end_turn", 24)
    assert isinstance(decided, Metered)
    assert decided.call.planned_nano_usd == 6 * 1_000 + 6 * 5_000
    assert decided.call.worst_nano_usd == 6 * 1_000 + 1_000 * 5_000


def test_a_stream_has_every_event_in_its_order(handle: Handle) -> None:
    decided = handle("messages", ask(stream=True), x_rehearsal="reply_tokens=9; chunk_tokens=4")
    events = events_of(decided)
    assert [event["type"] for event in events] == [
        "message_start",
        "content_block_start",
        "ping",
        *["content_block_delta"] * 3,
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    start, delta = events[0]["message"], events[-2]
    assert (start["usage"]["input_tokens"], start["usage"]["output_tokens"]) == (5, 1)
    assert (delta["usage"]["input_tokens"], delta["usage"]["output_tokens"]) == (5, 9)
    assert delta["delta"] == {"stop_reason": "end_turn", "stop_sequence": None}
    text = "".join(event["delta"]["text"] for event in events[3:6])
    assert text == body_of(decided)["content"][0]["text"]


def test_the_limit_is_required_and_honoured(handle: Handle) -> None:
    request = ask()
    del request["max_tokens"]
    assert error_of(handle("messages", request), 400)["type"] == "invalid_request_error"
    body = body_of(handle("messages", ask(max_tokens=3), x_rehearsal="reply_tokens=50"))
    assert (body["stop_reason"], body["usage"]["output_tokens"]) == ("max_tokens", 3)
    warmed = body_of(handle("messages", ask(max_tokens=0)))
    assert (warmed["content"], warmed["usage"]["output_tokens"]) == ([], 0)
    kinds = [
        event["type"] for event in events_of(handle("messages", ask(max_tokens=0, stream=True)))
    ]
    assert kinds == ["message_start", "ping", "message_delta", "message_stop"]


def test_marked_blocks_are_written_once_and_read_from_then_on(handle: Handle) -> None:
    system = [
        {"type": "text", "text": "a" * 400, "cache_control": EPHEMERAL | {"ttl": "1h"}},
        {"type": "text", "text": "b" * 80, "cache_control": EPHEMERAL},
    ]
    request = ask(system=system)
    first = handle("messages", request, x_rehearsal="reply_tokens=1")
    usage = body_of(first)["usage"]
    assert usage["cache_creation"] == {
        "ephemeral_5m_input_tokens": 20,
        "ephemeral_1h_input_tokens": 100,
    }
    assert (usage["cache_creation_input_tokens"], usage["cache_read_input_tokens"]) == (120, 0)
    assert usage["input_tokens"] == 5
    assert isinstance(first, Metered)
    assert first.call.planned_nano_usd == 5 * 1_000 + 20 * 1_250 + 100 * 2_000 + 5_000
    assert first.call.worst_nano_usd == 125 * 2_000 + 1_000 * 5_000
    second = handle("messages", request, x_rehearsal="reply_tokens=1")
    usage = body_of(second)["usage"]
    assert (usage["cache_creation_input_tokens"], usage["cache_read_input_tokens"]) == (0, 120)
    assert isinstance(second, Metered)
    assert second.call.planned_nano_usd == 5 * 1_000 + 120 * 100 + 5_000


def test_a_mark_on_the_request_is_one_on_its_last_block(handle: Handle) -> None:
    usage = body_of(handle("messages", ask(cache_control=EPHEMERAL)))["usage"]
    assert (usage["input_tokens"], usage["cache_creation_input_tokens"]) == (0, 5)


def test_a_tool_is_called_when_the_knob_says_so(handle: Handle) -> None:
    request = ask("[rehearse tool_call]", tools=[TOOL])
    body = body_of(handle("messages", request))
    (block,) = body["content"]
    assert body["stop_reason"] == "tool_use"
    assert (block["type"], block["name"]) == ("tool_use", "find_slot")
    events = events_of(handle("messages", request | {"stream": True}))
    assert events[1]["content_block"]["input"] == {}
    said = "".join(
        event["delta"]["partial_json"] for event in events if "index" in event and "delta" in event
    )
    assert json.loads(said) == block["input"]


def test_stop_sequences_end_the_answer(handle: Handle) -> None:
    request = ask('[rehearse reply_text="one two three"]', stop_sequences=["three", "two"])
    body = body_of(handle("messages", request))
    assert body["content"][0]["text"] == "one "
    assert (body["stop_reason"], body["stop_sequence"]) == ("stop_sequence", "two")


def test_speed_and_geography_are_named_and_billed(handle: Handle) -> None:
    request = ask(speed="fast", inference_geo="us")
    decided = handle("messages", request, x_rehearsal="reply_tokens=1")
    usage = body_of(decided)["usage"]
    assert (usage["speed"], usage["inference_geo"]) == ("fast", "us")
    assert isinstance(decided, Metered)
    assert decided.call.planned_nano_usd == (5 * 1_000 + 5_000) * 2 * 11 // 10


def test_usage_can_be_left_out(handle: Handle) -> None:
    assert "usage" not in body_of(handle("messages", ask(), x_rehearsal="omit_usage"))
    events = events_of(handle("messages", ask(stream=True), x_rehearsal="omit_usage"))
    assert "usage" not in events[0]["message"]
    assert all("usage" not in event for event in events)


def test_counting_is_free_and_equals_what_is_billed(handle: Handle) -> None:
    request = ask("Some prompt", system="Be brief.", tools=[TOOL])
    counted = handle("/v1/messages/count_tokens", request)
    assert isinstance(counted, Answer)
    billed = body_of(handle("messages", request))["usage"]["input_tokens"]
    assert json.loads(counted.body) == {"input_tokens": billed}


@pytest.mark.parametrize(
    ("fields", "status", "kind"),
    [
        ({"model": "claude-nope"}, 404, "not_found_error"),
        ({"model": "gpt-4o-mini"}, 404, "not_found_error"),
        ({"max_tokens": 64_001}, 400, "invalid_request_error"),
        ({"max_tokens": -1}, 400, "invalid_request_error"),
        ({"messages": []}, 400, "invalid_request_error"),
        ({"messages": [{"role": "robot", "content": "x"}]}, 400, "invalid_request_error"),
        (
            {"messages": [{"role": "user", "content": [{"text": "x"}]}]},
            400,
            "invalid_request_error",
        ),
        ({"system": 5}, 400, "invalid_request_error"),
        ({"tools": "none"}, 400, "invalid_request_error"),
        ({"cache_control": {"type": "forever"}}, 400, "invalid_request_error"),
        (
            {"system": [{"type": "text", "text": "x", "cache_control": EPHEMERAL}] * 5},
            400,
            "invalid_request_error",
        ),
    ],
)
def test_wrong_requests_are_refused_in_the_envelope(
    handle: Handle, fields: dict[str, Any], status: int, kind: str
) -> None:
    assert error_of(handle("messages", ask(**fields)), status)["type"] == kind
