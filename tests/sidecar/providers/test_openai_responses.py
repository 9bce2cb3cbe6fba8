"""What a request to the Responses API may cost, and what its answers say it cost."""

import json
from typing import Any

import pytest

from protos.values import quantities as kinds
from sidecar.core.refusals import Reason
from sidecar.providers import openai_responses
from sidecar.providers.openai_responses import ResponseStream
from sidecar.providers.reading import BadRequestError, CallRequest

MODEL = "gpt-4o"
IMAGE = {"type": "input_image", "image_url": "data:image/png;base64," + "A" * 400}


def read(**fields: Any) -> CallRequest:
    value = {"model": MODEL, "input": "Hello.", **fields}
    body = json.dumps(value).encode()
    return openai_responses.read(value, body, model=MODEL, expands_text=False)


def said(*parts: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"role": "user", "content": list(parts)}]


def test_a_plain_request_is_bounded_by_its_bytes_and_its_limit() -> None:
    asked = read(max_output_tokens=99, instructions="Be brief.").asked
    assert asked.text_bytes > len("Hello.Be brief.")
    assert (asked.output_limit, asked.inputs, asked.choices) == (99, 1, 1)
    assert (asked.opaque, asked.media_tokens, asked.preamble_tokens) == (False, 0, 0)
    assert not asked.pieces
    assert read().asked.output_limit is None


def test_an_image_counts_as_the_largest_and_its_payload_as_nothing() -> None:
    with_image, without = read(input=said(IMAGE)).asked, read(input=said()).asked
    assert with_image.media_tokens == 1_445
    assert with_image.text_bytes < without.text_bytes + 100
    by_id = read(input=said({"type": "input_image", "file_id": "file_1"})).asked
    assert (by_id.media_tokens, by_id.opaque) == (1_445, False)
    output = {"type": "function_call_output", "call_id": "c", "output": [IMAGE, IMAGE]}
    assert read(input=[output]).asked.media_tokens == 2 * 1_445


@pytest.mark.parametrize(
    "fields",
    [
        {"previous_response_id": "resp_1"},
        {"conversation": "conv_1"},
        {"conversation": {"id": "conv_1"}},
        {"prompt": {"id": "pmpt_1"}, "tool_choice": "none"},
        {"input": said({"type": "input_file", "file_id": "file_1"})},
        {"input": said({"type": "input_file", "file_url": "https://x/y.pdf"})},
        {"input": said({"type": "input_file", "file_data": "JVBERi0x"})},
        {"input": [{"type": "item_reference", "id": "msg_1"}]},
        {"input": [{"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x"}]},
        {"input": [{"type": "compaction", "encrypted_content": "x"}]},
        {"input": [{"type": "web_search_call", "id": "ws_1"}]},
        {"input": said({"type": "a_new_part"})},
    ],
)
def test_what_is_only_named_or_packed_is_bounded_by_the_window(fields: dict[str, Any]) -> None:
    assert read(**fields).asked.opaque


@pytest.mark.parametrize(
    "fields",
    [
        {"input": [{"type": "message", "role": "user", "content": "Hi."}]},
        {"input": [{"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}]},
        {"input": [{"type": "function_call_output", "call_id": "c", "output": "ok"}]},
        {"tools": [{"type": "function", "name": "f", "parameters": {}}], "max_tool_calls": 3},
        {"tools": [{"type": "namespace", "name": "n", "tools": [{"type": "custom"}]}]},
        {"tools": [{"type": "tool_search", "execution": "client"}]},
        {"tools": [{"type": "shell", "environment": {"type": "local"}}]},
        {"reasoning": {"effort": "high", "mode": "standard"}, "store": False, "background": False},
    ],
)
def test_what_stands_in_the_request_is_not_opaque(fields: dict[str, Any]) -> None:
    asked = read(**fields).asked
    assert not asked.opaque
    assert asked.inputs == 1


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"background": True}, "background"),
        ({"context_management": [{"type": "compaction"}]}, "context_management"),
        ({"multi_agent": {"enabled": True}}, "multi_agent"),
        ({"reasoning": {"mode": "pro"}}, "reasoning.mode"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"prompt_cache_options": {"ttl": "12h"}}, "prompt_cache_options"),
        ({"tools": [{"type": "web_search"}]}, "max_tool_calls"),
        ({"tools": [{"type": "file_search", "vector_store_ids": ["v"]}]}, "max_tool_calls"),
        ({"tools": [{"type": "mcp", "server_url": "https://x"}]}, "the tool mcp"),
        (
            {"tools": [{"type": "code_interpreter"}], "max_tool_calls": 1},
            "the tool code_interpreter",
        ),
        ({"tools": [{"type": "image_generation"}]}, "the tool image_generation"),
        ({"tools": [{"type": "computer_use_preview"}]}, "the tool computer_use_preview"),
        ({"tools": [{"type": "shell"}]}, "the tool shell"),
        ({"tools": [{"type": "tool_search"}]}, "the tool tool_search"),
        ({"tools": [{"type": "namespace", "tools": [{"type": "mcp"}]}]}, "the tool mcp"),
        ({"input": [{"type": "additional_tools", "tools": [{"type": "mcp"}]}]}, "the tool mcp"),
        (
            {"input": [{"type": "x", "tools": [{"type": "web_search"}]}], "max_tool_calls": 1},
            "tools in input",
        ),
        ({"input": [{"type": "compaction_trigger"}]}, "compaction_trigger"),
        ({"input": said({"type": "input_audio"})}, "input_audio"),
    ],
)
def test_what_cannot_be_bounded_or_priced_is_refused_by_name(
    fields: dict[str, Any], named: str
) -> None:
    with pytest.raises(BadRequestError) as caught:
        read(**fields)
    assert caught.value.reason is Reason.UNBOUNDED_FEATURE
    assert caught.value.param == named


@pytest.mark.parametrize(
    "fields",
    [
        {"input": 3},
        {"input": ["Hi."]},
        {"input": [{"role": "user", "content": 3}]},
        {"input": said({"no": "type"})},
        {"input": said({"type": ["input_text"]})},
        {"input": [{"type": []}]},
        {"input": [{"type": {}}]},
        {"tools": [{}]},
        {"tools": "all"},
        {"max_output_tokens": 0},
        {"max_output_tokens": "9"},
        {"stream": "yes"},
        {"reasoning": "high"},
        {"tools": [{"type": "web_search"}], "max_tool_calls": 0},
    ],
)
def test_what_cannot_be_read_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(BadRequestError) as caught:
        read(**fields)
    assert caught.value.reason is Reason.INVALID_REQUEST


def test_a_tool_whose_schema_the_provider_knows_brings_a_preamble_wherever_it_stands() -> None:
    tools = [{"type": "local_shell"}, {"type": "apply_patch"}]
    assert read(tools=tools).asked.preamble_tokens == 2_048
    item = {"type": "additional_tools", "tools": tools}
    assert read(input=[item]).asked.preamble_tokens == 2_048


def test_searches_read_the_window_once_more_each_and_have_a_fee() -> None:
    tools = [{"type": "web_search"}, {"type": "file_search", "vector_store_ids": ["v"]}]
    asked = read(tools=tools, max_tool_calls=4).asked
    assert (asked.opaque, asked.inputs) == (True, 5)
    assert asked.pieces == {kinds.WEB_SEARCH: 4, kinds.FILE_SEARCH: 4}


def rewritten(output_limit: int | None = None, provider: str = "openai", **fields: Any) -> Any:
    value = {"model": MODEL, "input": "Hello.", **fields}
    body = json.dumps(value).encode()
    request = openai_responses.read(value, body, model=MODEL, expands_text=False)
    return json.loads(openai_responses.rewrite(value, body, request, provider, output_limit))


def test_a_request_goes_on_with_the_usual_tier_and_the_limit_that_was_chosen() -> None:
    plain = {"model": MODEL, "input": "Hello."}
    assert rewritten() == plain | {"service_tier": "default"}
    assert rewritten(7) == plain | {"service_tier": "default", "max_output_tokens": 7}
    assert rewritten(service_tier="flex") == plain | {"service_tier": "flex"}
    assert rewritten(provider="elsewhere") == plain


def answer(usage: dict[str, Any] | None, **fields: Any) -> dict[str, Any]:
    return {"object": "response", "model": MODEL, "usage": usage, **fields}


def test_a_response_without_usage_tells_none() -> None:
    assert openai_responses.usage_of(answer(None)) is None
    assert openai_responses.usage_of({}) is None


@pytest.mark.parametrize(
    ("told", "unpriced"),
    [
        (answer({"input_tokens": 1, "new_tokens": 3}), "new_tokens"),
        (answer({"input_tokens": 1, "output_tokens": -4}), "output_tokens"),
        (
            answer({"input_tokens": 1, "input_tokens_details": {"cached_tokens": 2}}),
            "input_tokens_details",
        ),
        (
            answer(
                {
                    "input_tokens": 9,
                    "input_tokens_details": {"cache_write_tokens_details": {"ttl_12h_tokens": 2}},
                }
            ),
            "cache_write_tokens_details.ttl_12h_tokens",
        ),
        (
            answer({"input_tokens": 1}, tool_usage={"image_gen": {"output_tokens": 5}}),
            "tool_usage.image_gen.output_tokens",
        ),
        (
            answer({"input_tokens": 1}, tool_usage={"web_search": {"num_requests": "2"}}),
            "tool_usage.web_search.num_requests",
        ),
        (
            answer({"input_tokens": 1}, output=[{"type": "code_interpreter_call"}]),
            "code_interpreter_call",
        ),
    ],
)
def test_what_the_price_book_does_not_cover_is_named(told: dict[str, Any], unpriced: str) -> None:
    found = openai_responses.usage_of(told)
    assert found is not None
    assert found.unpriced == (unpriced,)


def test_an_item_whose_type_is_no_text_is_no_search() -> None:
    items = [{"type": ["web_search_call"]}, {"type": {}}, 3]
    usage = openai_responses.usage_of(answer({"input_tokens": 1}, output=items))
    assert usage is not None
    assert not usage.unpriced


def test_searches_are_counted_by_what_is_told_else_by_their_items() -> None:
    items = [{"type": "web_search_call"}] * 3 + [{"type": "file_search_call"}] * 2
    counted = openai_responses.usage_of(answer({"input_tokens": 1}, output=items))
    assert counted is not None
    assert counted.quantities == {
        kinds.INPUT: 1,
        kinds.WEB_SEARCH: 3,
        kinds.FILE_SEARCH: 2,
    }
    told = openai_responses.usage_of(
        answer({"input_tokens": 1}, output=items, tool_usage={"web_search": {"num_requests": 2}})
    )
    assert told is not None
    assert told.quantities[kinds.WEB_SEARCH] == 2


def event(kind: str, **fields: Any) -> bytes:
    data = json.dumps({"type": kind, "sequence_number": 1, **fields})
    return f"event: {kind}\ndata: {data}\n\n".encode()


USAGE = {"input_tokens": 5, "output_tokens": 7, "total_tokens": 12}


@pytest.mark.parametrize(
    ("status", "error_kind"), [("completed", ""), ("incomplete", ""), ("failed", "server_error")]
)
def test_each_of_the_three_ends_tells_the_usage(status: str, error_kind: str) -> None:
    meter = ResponseStream(read(stream=True))
    error = {"code": "server_error", "message": "m"} if status == "failed" else None
    stream = event("response.created", response=answer(None, error=None))
    stream += event("response.output_text.delta", delta='of "response.completed" and "error"')
    stream += event(f"response.{status}", response=answer(USAGE, error=error))
    assert meter.take(stream) == stream
    assert meter.usage is not None
    assert meter.usage.quantities == {kinds.INPUT: 5, kinds.OUTPUT: 7}
    assert (meter.done, meter.error_kind) == (True, error_kind)


def test_an_error_event_is_named_and_ends_nothing() -> None:
    meter = ResponseStream(read(stream=True))
    meter.take(event("error", code="rate_limit_exceeded", message="m", param=None))
    assert (meter.done, meter.usage, meter.error_kind) == (False, None, "rate_limit_exceeded")


def test_what_was_seen_of_a_stream_that_broke_off_is_its_deltas_and_items() -> None:
    meter = ResponseStream(read(stream=True))
    meter.take(event("response.created", response=answer(None)))
    meter.take(event("response.output_item.added", item={"type": "function_call", "name": "abc"}))
    meter.take(event("response.function_call_arguments.delta", delta='{"a":1}', obfuscation="xyz"))
    meter.take(event("response.function_call_arguments.done", arguments='{"a":1}'))
    assert meter.seen().output_bytes == len("function_call" + "abc" + '{"a":1}')
