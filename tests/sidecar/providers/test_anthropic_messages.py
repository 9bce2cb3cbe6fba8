"""Anthropic messages: what is asked, what is refused, and what was used."""

import json
from typing import Any

import pytest

from protos.values import quantities as kinds
from sidecar.core.refusals import Reason
from sidecar.providers import anthropic_messages
from sidecar.providers.reading import BadRequestError, CallRequest, read_model

MESSAGES = [{"role": "user", "content": "hello"}]


def read(**fields: Any) -> CallRequest:
    value = {"model": "claude-x", "max_tokens": 10, "messages": MESSAGES, **fields}
    return anthropic_messages.read(
        value, json.dumps(value).encode(), model=read_model(value), expands_text=False
    )


def content(*blocks: dict[str, Any]) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(blocks)}]}


IMAGE = {
    "type": "image",
    "source": {"type": "base64", "media_type": "image/png", "data": "A" * 999},
}
PDF = {"type": "document", "source": {"type": "base64", "data": "A"}}
NOTE = {"type": "document", "source": {"type": "text", "data": "A"}}
REMOTE = {"type": "image", "source": {"type": "url", "url": "https://x/y.png"}}


def test_a_plain_request_is_bounded_by_its_bytes_and_its_own_limit() -> None:
    asked = read().asked
    assert asked.output_limit == 10
    assert (asked.preamble_tokens, asked.media_tokens, asked.opaque) == (0, 0, False)
    assert read(max_tokens=0).asked.output_limit == 0


@pytest.mark.parametrize(
    ("fields", "images", "opaque"),
    [
        (content(IMAGE), 1, False),
        (content(IMAGE, REMOTE), 2, False),
        (content({"type": "tool_result", "tool_use_id": "t", "content": [IMAGE]}), 1, False),
        (content({"type": "tool_result", "tool_use_id": "t", "content": [PDF]}), 0, True),
        (content(PDF), 0, True),
        (content(NOTE), 0, False),
        (content({"type": "document", "source": {"type": "url", "url": "https://x"}}), 0, True),
        (content({"type": "something_new"}), 0, True),
        ({"system": [{"type": "text", "text": "x"}]}, 0, False),
    ],
)
def test_media_count_as_their_largest_and_packed_text_as_the_window(
    fields: dict[str, Any], images: int, opaque: bool
) -> None:
    asked = read(**fields).asked
    assert asked.media_tokens == images * 4_784
    assert asked.opaque is opaque


@pytest.mark.parametrize(
    ("tools", "tokens"),
    [
        ([{"name": "f", "input_schema": {}}], 1_024),
        ([{"type": "custom", "name": "f"}, {"name": "g"}], 1_024),
        ([{"type": "bash_20250124", "name": "bash"}], 5_120),
        ([{"type": "computer_20250124"}, {"type": "text_editor_20250728"}], 9_216),
    ],
)
def test_tools_bring_a_hidden_prompt(tools: list[Any], tokens: int) -> None:
    assert read(tools=tools).asked.preamble_tokens == tokens


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({}, ""),
        ({"cache_control": {"type": "ephemeral"}}, kinds.CACHE_WRITE),
        (
            content(
                {"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "ttl": "5m"}}
            ),
            kinds.CACHE_WRITE,
        ),
        (
            content(
                {"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "ttl": "1h"}}
            ),
            kinds.CACHE_WRITE_LONG,
        ),
    ],
)
def test_a_cache_write_is_held_for_where_one_is_asked_for(
    fields: dict[str, Any], kind: str
) -> None:
    assert read(**fields).asked.cache_write == kind


def test_a_cache_control_written_in_escapes_is_found() -> None:
    body = json.dumps({"model": "m", "max_tokens": 1, "messages": MESSAGES}).encode()
    body = body[:-1] + b', "\\u0063ache_control": {"type": "ephemeral"}}'
    request = anthropic_messages.read(json.loads(body), body, model="m", expands_text=False)
    assert request.asked.cache_write == kinds.CACHE_WRITE


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": None}, "model"),
        ({"max_tokens": None}, "max_tokens"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"messages": []}, "messages"),
        ({"messages": [1]}, "messages"),
        ({"messages": [{"role": "user"}]}, "messages"),
        ({"messages": [{"role": "user", "content": [{}]}]}, "messages"),
        (content({"type": "image"}), "messages"),
        ({"system": 1}, "system"),
        ({"stream": "true"}, "stream"),
        ({"tools": {}}, "tools"),
        ({"tools": [1]}, "tools"),
        ({"context_management": 1}, "context_management"),
    ],
)
def test_a_malformed_field_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        read(**fields)
    assert (caught.value.reason, caught.value.param) == (Reason.INVALID_REQUEST, param)


@pytest.mark.parametrize(
    "fields",
    [
        {"tools": [{"type": "web_search_20250305", "name": "web_search", "max_uses": 1}]},
        {"tools": [{"type": "code_execution_20250825"}]},
        {"mcp_servers": [{"type": "url", "url": "https://x"}]},
        {"container": "c"},
        {"service_tier": "batch"},
        {"context_management": {"edits": [{"type": "compact_20260112"}]}},
        content({"type": "container_upload", "file_id": "f"}),
    ],
)
def test_what_cannot_be_bounded_or_priced_is_refused_by_name(fields: dict[str, Any]) -> None:
    with pytest.raises(BadRequestError) as caught:
        read(**fields)
    assert caught.value.reason is Reason.UNBOUNDED_FEATURE


@pytest.mark.parametrize(
    "fields",
    [
        {"service_tier": "auto"},
        {"speed": "standard"},
        {"mcp_servers": []},
        {"thinking": {"type": "enabled", "budget_tokens": 5}},
        {"context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]}},
    ],
)
def test_what_can_be_bounded_passes(fields: dict[str, Any]) -> None:
    assert read(**fields).model == "claude-x"


@pytest.mark.parametrize(
    ("usage", "wanted"),
    [
        ({"input_tokens": 3, "output_tokens": 4}, {kinds.INPUT: 3, kinds.OUTPUT: 4}),
        (
            {
                "input_tokens": 1,
                "cache_read_input_tokens": 2,
                "cache_creation_input_tokens": 7,
                "cache_creation": {
                    "ephemeral_5m_input_tokens": 3,
                    "ephemeral_1h_input_tokens": 4,
                },
                "output_tokens": 9,
                "output_tokens_details": {"thinking_tokens": 5},
                "service_tier": "standard",
                "inference_geo": "global",
                "server_tool_use": {"web_search_requests": 0, "web_fetch_requests": 0},
            },
            {
                kinds.INPUT: 1,
                kinds.CACHED: 2,
                kinds.CACHE_WRITE: 3,
                kinds.CACHE_WRITE_LONG: 4,
                kinds.OUTPUT: 9,
                kinds.REASONING: 5,
            },
        ),
        (
            {"input_tokens": 1, "cache_creation_input_tokens": 7, "output_tokens": 0},
            {kinds.INPUT: 1, kinds.CACHE_WRITE: 7},
        ),
        (
            {
                "input_tokens": 1,
                "cache_creation_input_tokens": 7,
                "cache_creation": {"ephemeral_5m_input_tokens": 3},
            },
            {kinds.INPUT: 1, kinds.CACHE_WRITE: 3, kinds.CACHE_WRITE_LONG: 4},
        ),
    ],
)
def test_usage_is_taken_apart_without_overlap(
    usage: dict[str, Any], wanted: dict[str, int]
) -> None:
    found = anthropic_messages.usage_of({"usage": usage, "model": "claude-x"})
    assert found is not None
    assert found.quantities == wanted
    assert found.unpriced == ()


@pytest.mark.parametrize(
    ("usage", "unpriced"),
    [
        ({"server_tool_use": {"web_search_requests": 2}}, "server_tool_use.web_search_requests"),
        ({"iterations": [{"type": "message"}, {"type": "compaction"}]}, "iterations"),
        ({"audio_tokens": 3}, "audio_tokens"),
    ],
)
def test_what_the_price_book_does_not_cover_is_named(usage: dict[str, Any], unpriced: str) -> None:
    found = anthropic_messages.usage_of({"usage": {"input_tokens": 1, **usage}})
    assert found is not None
    assert found.unpriced == (unpriced,)


@pytest.mark.parametrize(
    ("fields", "variants"),
    [
        ({}, ("",)),
        ({"speed": "standard", "inference_geo": "global"}, ("",)),
        ({"speed": "fast"}, ("", "fast")),
        ({"inference_geo": "us"}, ("us",)),
        ({"inference_geo": "us", "speed": "fast"}, ("us", "fast+us")),
    ],
)
def test_a_request_says_by_which_rates_it_may_be_served(
    fields: dict[str, Any], variants: tuple[str, ...]
) -> None:
    assert read(**fields).asked.variants == variants


@pytest.mark.parametrize(
    ("fields", "variants"),
    [
        ({}, ("us",)),
        ({"inference_geo": None}, ("us",)),
        ({"speed": "fast"}, ("us", "fast+us")),
        ({"inference_geo": "global"}, ()),
        ({"inference_geo": "us"}, ()),
    ],
)
def test_a_request_without_a_place_may_be_served_at_the_workspaces(
    fields: dict[str, Any], variants: tuple[str, ...]
) -> None:
    assert read(**fields).asked.variants_if_priced == variants


@pytest.mark.parametrize("fields", [{"speed": 7}, {"inference_geo": "u" * 65}])
def test_a_way_of_serving_is_a_short_text(fields: dict[str, Any]) -> None:
    with pytest.raises(BadRequestError, match="short text"):
        read(**fields)


@pytest.mark.parametrize(
    ("usage", "variant"),
    [
        ({"service_tier": "priority", "speed": "standard", "inference_geo": "global"}, ""),
        ({"service_tier": "batch"}, "batch"),
        ({"speed": "fast", "inference_geo": "us"}, "fast+us"),
        ({"speed": 5}, "unreadable"),
    ],
)
def test_the_usage_says_by_which_rates_it_was_served(usage: dict[str, Any], variant: str) -> None:
    found = anthropic_messages.usage_of({"usage": {"input_tokens": 1, **usage}})
    assert found is not None
    assert (found.variant, found.unpriced) == (variant, ())
