"""OpenAI's wire format, against hand-made expectations."""

import base64
import json
import struct
from collections.abc import Callable
from typing import Any

import pytest

from clients.rehearsal.incoming import Answer
from clients.rehearsal.plan import Plan
from clients.rehearsal.provider import Metered

Handle = Callable[..., Answer | Metered]
TOOL = {
    "type": "function",
    "function": {
        "name": "find_slot",
        "parameters": {
            "type": "object",
            "properties": {"day": {"type": "string"}},
            "required": ["day"],
        },
    },
}


def chat(text: str = "Hello", **fields: Any) -> dict[str, Any]:
    return {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": text}], **fields}


def plan_of(decided: Answer | Metered) -> Plan:
    assert isinstance(decided, Metered), decided
    return decided.plan


def body_of(decided: Answer | Metered) -> Any:
    return json.loads(plan_of(decided).body())


def events_of(decided: Answer | Metered) -> list[Any]:
    stream = plan_of(decided).stream
    assert stream is not None
    whole = b"".join((*stream.opening, *(chunk.data for chunk in stream.chunks()), *stream.closing))
    lines = whole.decode().split("\n\n")
    assert lines.pop() == ""
    assert lines.pop() == "data: [DONE]"
    return [json.loads(line.removeprefix("data: ")) for line in lines]


def error_of(decided: Answer | Metered, status: int) -> Any:
    assert isinstance(decided, Answer)
    assert decided.status == status
    error = json.loads(decided.body)["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    return error


def test_usage_counts_the_prompt_and_the_answer(handle: Handle) -> None:
    # 3 for the prompt, 3 for the message, ceil(38 / 4) = 10 for its text
    text = "Hello [rehearse reply_tokens=6] ......"
    assert len(text) == 38
    body = body_of(handle("chat", chat(text)))
    usage = body["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (
        16,
        6,
        22,
    )
    assert len(body["choices"][0]["message"]["content"]) == 24
    assert body["choices"][0]["finish_reason"] == "stop"


def test_the_same_request_gets_the_same_words_and_another_prompt_others(handle: Handle) -> None:
    texts = [
        body_of(handle("chat", chat(text)))["choices"][0]["message"]["content"]
        for text in ("a", "a", "b", "c", "d")
    ]
    assert texts[0] == texts[1]
    assert len(set(texts)) > 2


@pytest.mark.parametrize("limit", ["max_tokens", "max_completion_tokens"])
def test_a_limit_ends_the_answer_with_length(handle: Handle, limit: str) -> None:
    body = body_of(handle("chat", chat() | {limit: 5}, x_rehearsal="reply_tokens=50"))
    assert body["choices"][0]["finish_reason"] == "length"
    assert body["usage"]["completion_tokens"] == 5


def test_reasoning_is_hidden_billed_and_inside_the_limit(handle: Handle) -> None:
    knobs = "reasoning_tokens=30; reply_tokens=50"
    body = body_of(handle("chat", chat(max_completion_tokens=40), x_rehearsal=knobs))
    assert body["usage"]["completion_tokens"] == 40
    assert body["usage"]["completion_tokens_details"]["reasoning_tokens"] == 30
    assert len(body["choices"][0]["message"]["content"]) == 4 * 10


def test_every_choice_is_generated_and_billed(handle: Handle) -> None:
    decided = handle("chat", chat(n=3, max_tokens=9), x_rehearsal="reply_tokens=7")
    body = body_of(decided)
    assert [choice["index"] for choice in body["choices"]] == [0, 1, 2]
    assert body["usage"]["completion_tokens"] == 21
    # 6 + 2 prompt tokens at 150, 27 at 600 nano-USD
    assert isinstance(decided, Metered)
    assert decided.call.worst_nano_usd == 8 * 150 + 27 * 600
    assert decided.call.planned_nano_usd == 8 * 150 + 21 * 600


def test_the_knobs_split_the_prompt(handle: Handle) -> None:
    knobs = "prompt_tokens=1000; cached_tokens=600; cache_write_tokens=300; reply_tokens=1"
    decided = handle("chat", chat() | {"model": "gpt-5.6-luna"}, x_rehearsal=knobs)
    details = body_of(decided)["usage"]["prompt_tokens_details"]
    assert (details["cached_tokens"], details["cache_write_tokens"]) == (600, 300)
    assert isinstance(decided, Metered)
    assert decided.call.planned_nano_usd == 100 * 200 + 600 * 20 + 300 * 250 + 1_200


def test_a_stream_has_usage_only_on_demand(handle: Handle) -> None:
    plain = events_of(handle("chat", chat(stream=True)))
    assert all("usage" not in event for event in plain)
    asked = chat(stream=True, stream_options={"include_usage": True})
    *chunks, last = events_of(handle("chat", asked, x_rehearsal="reply_tokens=10"))
    assert all(event["usage"] is None and event["choices"] for event in chunks)
    assert last["choices"] == []
    assert last["usage"]["completion_tokens"] == 10
    left_out = events_of(handle("chat", asked, x_rehearsal="omit_usage"))
    assert all(event["usage"] is None for event in left_out)


def test_a_stream_brings_the_text_of_the_plain_answer(handle: Handle) -> None:
    said = 'Grüße, "Welt" 👋 \\ end'
    knobs = f"reply_text={json.dumps(said)}".replace('\\"', "").replace("\\\\", "")
    plain = body_of(handle("chat", chat(f"[rehearse {knobs}]", n=2)))
    events = events_of(handle("chat", chat(f"[rehearse {knobs} chunk_tokens=1]", n=2, stream=True)))
    for index, choice in enumerate(plain["choices"]):
        mine = [e["choices"][0] for e in events if e["choices"][0]["index"] == index]
        text = "".join(each["delta"].get("content") or "" for each in mine)
        assert text == choice["message"]["content"] != ""
        assert mine[0]["delta"]["role"] == "assistant"
        assert [each["finish_reason"] for each in mine] == [None] * (len(mine) - 1) + ["stop"]
    stream = plan_of(handle("chat", chat("[rehearse chunk_tokens=1]", n=2, stream=True))).stream
    assert stream is not None
    assert {chunk.tokens for chunk in stream.chunks()} == {1}


def test_a_tool_is_called_when_the_knob_says_so(handle: Handle) -> None:
    request = chat("[rehearse tool_call chunk_tokens=1] Hello", tools=[TOOL])
    body = body_of(handle("chat", request))
    choice = body["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    function = choice["message"]["tool_calls"][0]["function"]
    assert function == {"name": "find_slot", "arguments": '{"day":"rehearsal"}'}
    assert body["usage"]["completion_tokens"] == 5
    deltas = [
        event["choices"][0]["delta"]
        for event in events_of(handle("chat", request | {"stream": True}))
    ]
    calls = [delta["tool_calls"][0] for delta in deltas if "tool_calls" in delta]
    assert calls[0]["function"]["name"] == "find_slot"
    assert calls[0]["id"].startswith("call_")
    assert "".join(call["function"]["arguments"] for call in calls) == function["arguments"]
    assert body_of(handle("chat", chat("[rehearse tool_call]")))["choices"][0]["message"]["content"]


def test_the_tier_is_served_named_and_billed(handle: Handle) -> None:
    for asked, knob, named, nano_usd in (
        (None, "", "default", 4_200),
        ("auto", "", "default", 4_200),
        ("flex", "", "flex", 2_100),
        ("fast", "", "priority", 8_400),
        (None, "service_tier=priority", "priority", 8_400),
    ):
        knobs = f"reply_tokens=5;{knob}"
        decided = handle("chat", chat(service_tier=asked), x_rehearsal=knobs)
        assert body_of(decided)["service_tier"] == named
        assert isinstance(decided, Metered)
        # (6 + 2) x 150 + 5 x 600 nano-USD
        assert decided.call.planned_nano_usd == nano_usd


def test_events_may_end_in_cr_lf(handle: Handle) -> None:
    stream = plan_of(handle("chat", chat(stream=True), x_rehearsal="crlf")).stream
    assert stream is not None
    assert stream.closing[-1] == b"data: [DONE]\r\n\r\n"
    assert stream.opening[0].endswith(b"}\r\n\r\n")


@pytest.mark.parametrize(
    ("fields", "status", "param"),
    [
        ({"model": "gpt-nope"}, 404, None),
        ({"model": "claude-haiku-4-5"}, 404, None),
        ({"model": "text-embedding-3-small"}, 404, "model"),
        ({"model": None}, 400, "model"),
        ({"messages": []}, 400, "messages"),
        ({"messages": "Hello"}, 400, "messages"),
        ({"max_tokens": 0}, 400, "max_tokens"),
        ({"max_tokens": "5"}, 400, "max_tokens"),
        ({"max_completion_tokens": 16_385}, 400, "max_completion_tokens"),
        ({"n": 0}, 400, "n"),
        ({"stream": "yes"}, 400, "stream"),
        ({"stream_options": {"include_usage": True}}, 400, "stream_options"),
        ({"service_tier": "gold"}, 400, "service_tier"),
        ({"stop": 5}, 400, "stop"),
    ],
)
def test_wrong_requests_are_refused_in_the_envelope(
    handle: Handle, fields: dict[str, Any], status: int, param: str | None
) -> None:
    assert error_of(handle("chat", chat(**fields)), status)["param"] == param


def test_a_prompt_beyond_the_context_is_refused(handle: Handle) -> None:
    error = error_of(handle("chat", chat("x" * 4 * 128_000)), 400)
    assert error["code"] == "context_length_exceeded"


def test_embeddings_take_every_kind_of_input(handle: Handle) -> None:
    for given, tokens, count in (
        ("abcde", 2, 1),
        (["abcde", "x"], 3, 2),
        ([11, 12, 13], 3, 1),
        ([[11, 12], [13]], 3, 2),
    ):
        request = {"model": "text-embedding-3-small", "input": given, "dimensions": 8}
        decided = handle("embeddings", request)
        body = body_of(decided)
        assert body["usage"] == {"prompt_tokens": tokens, "total_tokens": tokens}
        assert [len(each["embedding"]) for each in body["data"]] == [8] * count
        assert isinstance(decided, Metered)
        assert decided.call.planned_nano_usd == decided.call.worst_nano_usd == tokens * 20


def test_embeddings_in_base64_are_the_same_numbers(handle: Handle) -> None:
    request = {"model": "text-embedding-3-small", "input": "abc", "dimensions": 16}
    plain = body_of(handle("embeddings", request))["data"][0]["embedding"]
    coded = body_of(handle("embeddings", request | {"encoding_format": "base64"}))
    raw = base64.b64decode(coded["data"][0]["embedding"])
    assert list(struct.unpack("<16f", raw)) == pytest.approx(plain)


@pytest.mark.parametrize("given", [None, "", [], [""], [[]], [1, "a"], {"a": 1}, ["a"] * 2_049])
def test_embeddings_refuse_inputs_that_are_none(handle: Handle, given: object) -> None:
    request = {"model": "text-embedding-3-small", "input": given}
    assert error_of(handle("embeddings", request), 400)["param"] == "input"
