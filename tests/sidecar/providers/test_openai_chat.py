"""OpenAI chat completions: what is asked, what is refused, what goes on the wire, what was used."""

import json
from dataclasses import replace
from typing import Any

import pytest

from protos.values import quantities as kinds
from protos.values.rates import Tier
from sidecar.core.refusals import Reason
from sidecar.providers import openai_chat
from sidecar.providers.reading import BadRequestError, CallRequest, read_model
from tests.sidecar.builders import price

MESSAGES = [{"role": "user", "content": "hello"}]


def body_of(**fields: Any) -> tuple[dict[str, Any], bytes]:
    value = {"model": "gpt-4o", "messages": MESSAGES, **fields}
    return value, json.dumps(value).encode()


def read(**fields: Any) -> CallRequest:
    value, body = body_of(**fields)
    return openai_chat.read(value, body, model=read_model(value), expands_text=False)


def test_a_plain_request_is_bounded_by_its_bytes() -> None:
    value, body = body_of()
    asked = openai_chat.read(value, body, model=read_model(value), expands_text=False).asked
    assert asked.text_bytes == len(body)
    assert (asked.choices, asked.output_limit, asked.opaque, asked.media_tokens) == (
        1,
        None,
        False,
        0,
    )


@pytest.mark.parametrize(
    ("fields", "limit"),
    [
        ({}, None),
        ({"max_tokens": None}, None),
        ({"max_tokens": 5}, 5),
        ({"max_completion_tokens": 7}, 7),
        ({"max_tokens": 9, "max_completion_tokens": 7}, 9),
    ],
)
def test_the_limit_on_output_is_the_callers(fields: dict[str, Any], limit: int | None) -> None:
    assert read(**fields).asked.output_limit == limit


def test_choices_and_predictions_count() -> None:
    asked = read(n=3, prediction={"type": "content", "content": "12345"}).asked
    assert asked.choices == 3
    assert asked.prediction_bytes >= 5


HEARD = {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}


@pytest.mark.parametrize(
    ("fields", "kinds_needed", "opaque"),
    [
        ({}, (), False),
        ({"modalities": ["text"]}, (), False),
        ({"modalities": ["text", "audio"]}, (kinds.AUDIO_OUTPUT,), False),
        ({"audio": {"voice": "a"}}, (kinds.AUDIO_OUTPUT,), False),
        ({"messages": [{"role": "user", "content": [HEARD]}]}, (kinds.AUDIO_INPUT,), False),
        ({"messages": [{"role": "assistant", "audio": {"id": "a"}}]}, (kinds.AUDIO_INPUT,), True),
    ],
)
def test_sound_needs_rates_of_its_own(
    fields: dict[str, Any], kinds_needed: tuple[str, ...], opaque: bool
) -> None:
    asked = read(**fields).asked
    assert asked.own_rates == kinds_needed
    assert asked.opaque is opaque
    assert set(asked.own_rates) <= {*asked.input_kinds, *asked.output_kinds}


def test_sound_counts_by_its_length_and_not_by_its_bytes() -> None:
    part = {"type": "input_audio", "input_audio": {"data": "A" * 8_000, "format": "mp3"}}
    value, body = body_of(messages=[{"role": "user", "content": [part]}])
    asked = openai_chat.read(value, body, model="gpt-audio", expands_text=False).asked
    assert asked.text_bytes == len(body) - 8_000
    # 6,003 bytes at 4 kbit/s play 12.006 s.
    assert asked.media_tokens == 241


def test_a_recording_must_be_there() -> None:
    with pytest.raises(BadRequestError, match="data in base64"):
        read(messages=[{"role": "user", "content": [{"type": "input_audio"}]}])


@pytest.mark.parametrize(
    ("model", "tokens"), [("gpt-4o", 1_445), ("gpt-4o-mini", 48_169), ("nobody-knows", 48_169)]
)
def test_an_image_counts_as_the_largest_and_not_by_its_bytes(model: str, tokens: int) -> None:
    url = "data:image/png;base64," + "A" * 10_000
    parts = [{"type": "text", "text": "x"}, {"type": "image_url", "image_url": {"url": url}}]
    value, body = body_of(model=model, messages=[{"role": "user", "content": parts}])
    asked = openai_chat.read(value, body, model=read_model(value), expands_text=False).asked
    assert asked.text_bytes == len(body) - 10_000
    assert asked.media_tokens == tokens


def test_a_file_is_bounded_by_the_window_alone() -> None:
    part = {"type": "file", "file": {"file_id": "file-1"}}
    assert read(messages=[{"role": "user", "content": [part]}]).asked.opaque


def test_growth_is_counted_only_where_the_tokenizer_normalises() -> None:
    value, body = body_of(messages=[{"role": "user", "content": "\ufdfa"}])
    assert (
        openai_chat.read(
            value, body, model=read_model(value), expands_text=False
        ).asked.expanded_bytes
        == 0
    )
    assert (
        openai_chat.read(
            value, body, model=read_model(value), expands_text=True
        ).asked.expanded_bytes
        == 30
    )


@pytest.mark.parametrize("retention", ["24h", "12h"])
def test_a_long_cache_is_held_at_the_dearest_rate(retention: str) -> None:
    assert read(prompt_cache_retention=retention).asked.cache_write == kinds.CACHE_WRITE_LONG
    assert read(prompt_cache_retention="in_memory").asked.cache_write == ""


@pytest.mark.parametrize(
    ("life", "kind"),
    [({}, kinds.CACHE_WRITE), ({"ttl": "1h"}, kinds.CACHE_WRITE_LONG)],
)
def test_a_mark_for_anthropics_cache_is_bounded_as_at_anthropic(
    life: dict[str, str], kind: str
) -> None:
    part = {"type": "text", "text": "hello", "cache_control": {"type": "ephemeral", **life}}
    assert read(messages=[{"role": "user", "content": [part]}]).asked.cache_write == kind
    # In a text it is no mark.
    said = [{"role": "user", "content": json.dumps(part)}]
    assert read(messages=said).asked.cache_write == ""


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": None}, "model"),
        ({"model": ""}, "model"),
        ({"model": 4}, "model"),
        ({"model": "x" * 300}, "model"),
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": ["hi"]}, "messages"),
        ({"messages": [{"role": "user", "content": 1}]}, "messages"),
        ({"messages": [{"role": "user", "content": [1]}]}, "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages"),
        ({"stream": "yes"}, "stream"),
        ({"stream": 1}, "stream"),
        ({"stream_options": []}, "stream_options"),
        ({"stream_options": {"include_usage": 1}}, "include_usage"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"max_tokens": "10"}, "max_tokens"),
        ({"max_completion_tokens": 1.5}, "max_completion_tokens"),
        ({"max_completion_tokens": -1}, "max_completion_tokens"),
        ({"max_completion_tokens": 2**40}, "max_completion_tokens"),
        ({"n": 0}, "n"),
        ({"n": 129}, "n"),
        ({"tools": {}}, "tools"),
        ({"tools": ["x"]}, "tools"),
        ({"tools": [{}]}, "tools"),
    ],
)
def test_a_malformed_field_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        read(**fields)
    assert (caught.value.reason, caught.value.param) == (Reason.INVALID_REQUEST, param)


@pytest.mark.parametrize(
    "fields",
    [
        {"web_search_options": {"search_context_size": "low"}},
        {"modalities": ["text", "video"]},
        {"prompt_cache_options": {"ttl": "12h"}},
        {"tools": [{"type": "web_search"}]},
        {"tools": [{"type": "mcp", "server_url": "https://x"}]},
        {"models": ["a", "b"]},
        {"plugins": [{"id": "web"}]},
    ],
)
def test_what_cannot_be_bounded_or_priced_is_refused_by_name(fields: dict[str, Any]) -> None:
    with pytest.raises(BadRequestError) as caught:
        read(**fields)
    assert caught.value.reason is Reason.UNBOUNDED_FEATURE
    assert caught.value.param in caught.value.message


@pytest.mark.parametrize(
    "model",
    [
        *("gpt-4o-search-preview", "gpt-4o-mini-search-preview-2025-03-11"),
        *("gpt-5-search-api", "openai/gpt-5-search-api-2025-10-14", "openai/gpt-4o:online"),
    ],
)
def test_a_model_that_searches_by_itself_is_refused_by_name(model: str) -> None:
    with pytest.raises(BadRequestError, match="searches the web") as caught:
        openai_chat.check_model(model, price(model).price)
    assert (caught.value.reason, caught.value.param) == (Reason.UNBOUNDED_FEATURE, "model")


def test_other_models_are_not_refused_by_name() -> None:
    for model in ("gpt-4o", "gpt-5", "o4-mini-deep-research", "search", "sonar-pro"):
        openai_chat.check_model(model, price(model).price)


@pytest.mark.parametrize("model", ["sonar-pro", "perplexity/sonar"])
def test_a_model_that_searches_unasked_is_refused_where_searches_have_a_rate(model: str) -> None:
    plain = price(model).price
    rates = {**plain.tiers[0].rates_pico_usd, kinds.WEB_SEARCH: 5_000_000_000}
    with pytest.raises(BadRequestError, match="searches the web"):
        openai_chat.check_model(model, replace(plain, tiers=(Tier(0, rates),)))
    openai_chat.check_model("gpt-4o", replace(plain, tiers=(Tier(0, rates),)))


@pytest.mark.parametrize("model", ["gemini-2.5-flash", "qwen-omni"])
def test_sound_at_a_model_of_another_house_is_bounded_by_the_window(model: str) -> None:
    asked = read(model=model, messages=[{"role": "user", "content": [HEARD]}]).asked
    assert asked.opaque


@pytest.mark.parametrize(
    "fields",
    [
        {"web_search_options": None},
        {"modalities": ["text"]},
        {"service_tier": "auto"},
        {"service_tier": "default"},
        {"tools": [{"type": "function", "function": {"name": "f"}}, {"type": "custom"}]},
        {"temperature": 0.5, "response_format": {"type": "json_object"}, "seed": 1},
        {"messages": [{"role": "assistant", "content": None, "tool_calls": []}]},
    ],
)
def test_what_can_be_bounded_passes(fields: dict[str, Any]) -> None:
    assert read(**fields).model == "gpt-4o"


def rewrite(provider: str = "openai", limit: int | None = None, **fields: Any) -> tuple[Any, bytes]:
    value, body = body_of(**fields)
    request = openai_chat.read(value, body, model=read_model(value), expands_text=False)
    out = openai_chat.rewrite(value, body, request, provider, limit)
    return json.loads(out), body


def test_the_default_tier_is_asked_for_where_the_account_could_choose_a_dearer_one() -> None:
    assert rewrite()[0]["service_tier"] == "default"
    assert rewrite(service_tier="auto")[0]["service_tier"] == "default"
    assert "service_tier" not in rewrite("groq")[0]


def test_a_request_that_needs_nothing_is_passed_on_byte_for_byte() -> None:
    value, body = body_of(service_tier="default", temperature=1.0, max_tokens=5)
    request = openai_chat.read(value, body, model=read_model(value), expands_text=False)
    assert openai_chat.rewrite(value, body, request, "openai", None) is body


def test_a_clamped_limit_goes_on_the_wire_under_the_name_that_the_provider_knows() -> None:
    assert rewrite(limit=100)[0]["max_completion_tokens"] == 100
    assert rewrite("vllm", limit=100)[0]["max_tokens"] == 100
    assert rewrite(limit=100, max_completion_tokens=None)[0]["max_completion_tokens"] == 100


@pytest.mark.parametrize("provider", ["deepseek", "together", "ollama", "vllm", ""])
def test_a_limit_moves_to_the_field_that_the_provider_reads(provider: str) -> None:
    assert read(max_completion_tokens=10).asked.output_limit == 10
    for old in ({}, {"max_tokens": None}):
        out, _ = rewrite(provider, max_completion_tokens=10, temperature=0.5, **old)
        assert out == body_of(temperature=0.5, max_tokens=10)[0]
    both, _ = rewrite(provider, max_completion_tokens=10, max_tokens=7)
    assert (both["max_completion_tokens"], both["max_tokens"]) == (10, 7)
    assert "max_tokens" not in rewrite(provider, max_completion_tokens=None)[0]


@pytest.mark.parametrize("provider", ["openai", "azure", "groq", "xai"])
@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_a_limit_stays_where_the_provider_reads_both_fields(provider: str, name: str) -> None:
    out, _ = rewrite(provider, service_tier="flex", **{name: 10})
    assert out == body_of(service_tier="flex", **{name: 10})[0]


@pytest.mark.parametrize(
    ("provider", "fields", "options"),
    [
        ("openai", {"stream": True}, {"include_usage": True}),
        (
            "openai",
            {"stream": True, "stream_options": {"include_obfuscation": False}},
            {"include_obfuscation": False, "include_usage": True},
        ),
        (
            "openai",
            {"stream": True, "stream_options": {"include_usage": False}},
            {"include_usage": True},
        ),
        (
            "openai",
            {"stream": True, "stream_options": {"include_usage": True}},
            {"include_usage": True},
        ),
        ("openai", {"stream": False}, None),
        ("mistral", {"stream": True}, None),
    ],
)
def test_usage_is_asked_for_in_streams_of_callers_that_did_not(
    provider: str, fields: dict[str, Any], options: dict[str, Any] | None
) -> None:
    assert rewrite(provider, **fields)[0].get("stream_options") == options


def test_everything_else_of_a_rewritten_request_stays() -> None:
    out, body = rewrite(limit=9, stream=True, temperature=0.25, metadata={"a": "ü"})
    for name in ("max_completion_tokens", "service_tier", "stream_options"):
        del out[name]
    assert out == json.loads(body)


def usage(**fields: Any) -> dict[str, Any]:
    return {"usage": fields, "model": "gpt-4o-2024-08-06"}


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [
        (
            usage(prompt_tokens=10, completion_tokens=5, total_tokens=15),
            {kinds.INPUT: 10, kinds.OUTPUT: 5},
        ),
        (
            usage(
                prompt_tokens=100,
                completion_tokens=5,
                total_tokens=105,
                prompt_tokens_details={"cached_tokens": 60, "cache_write_tokens": 30},
                completion_tokens_details={"reasoning_tokens": 3, "rejected_prediction_tokens": 1},
            ),
            {
                kinds.INPUT: 10,
                kinds.CACHED: 60,
                kinds.CACHE_WRITE: 30,
                kinds.OUTPUT: 5,
                kinds.REASONING: 3,
            },
        ),
        (
            usage(prompt_tokens=10, completion_tokens=5, total_tokens=40),
            {kinds.INPUT: 10, kinds.OUTPUT: 30},
        ),
        (usage(prompt_tokens=8, total_tokens=8), {kinds.INPUT: 8}),
        (usage(prompt_tokens=8, completion_tokens=None, total_tokens=8), {kinds.INPUT: 8}),
    ],
)
def test_usage_is_taken_apart_without_overlap(
    answer: dict[str, Any], wanted: dict[str, int]
) -> None:
    found = openai_chat.usage_of(answer)
    assert found is not None
    assert found.quantities == wanted
    assert found.unpriced == ()
    assert found.answered_model == "gpt-4o-2024-08-06"


@pytest.mark.parametrize(
    ("answer", "unpriced"),
    [
        (usage(prompt_tokens=1, new_tokens=3), "new_tokens"),
        (usage(prompt_tokens=1, tool_usage={"web": {"requests": 2}}), "tool_usage.web.requests"),
        (
            usage(prompt_tokens=1, prompt_tokens_details={"video_tokens": 2}),
            "prompt_tokens_details.video_tokens",
        ),
        (
            usage(prompt_tokens=1, prompt_tokens_details={"cached_tokens": 2}),
            "prompt_tokens_details",
        ),
    ],
)
def test_what_the_price_book_does_not_cover_is_named(answer: dict[str, Any], unpriced: str) -> None:
    found = openai_chat.usage_of(answer)
    assert found is not None
    assert found.unpriced == (unpriced,)


def test_unknown_counts_of_zero_are_nothing() -> None:
    found = openai_chat.usage_of(usage(prompt_tokens=1, new_tokens=0, cost=0.0, note="x"))
    assert found is not None
    assert found.unpriced == ()


@pytest.mark.parametrize(
    "answer", [{}, {"usage": None}, {"usage": {}}, {"usage": {"prompt_tokens": "9"}}]
)
def test_an_answer_without_usage_tells_none(answer: dict[str, Any]) -> None:
    assert openai_chat.usage_of(answer) is None


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        ({"error": {"code": "rate_limit_exceeded", "type": "requests"}}, "rate_limit_exceeded"),
        ({"error": {"code": None, "type": "server_error"}}, "server_error"),
        ({"error": "x"}, ""),
        ([], ""),
    ],
)
def test_an_error_is_named_in_a_word(answer: Any, word: str) -> None:
    assert openai_chat.error_kind(answer) == word


@pytest.mark.parametrize(
    ("asked", "variants"),
    [
        (None, ("",)),
        ("auto", ("",)),
        ("default", ("",)),
        ("flex", ("", "flex")),
        ("fast", ("", "priority")),
        ("priority", ("", "priority")),
        ("on_demand", ("",)),
    ],
)
def test_a_tier_may_be_served_as_itself_or_as_usual(
    asked: str | None, variants: tuple[str, ...]
) -> None:
    assert read(service_tier=asked).asked.variants == variants


@pytest.mark.parametrize(
    ("told", "variant"),
    [("default", ""), ("on_demand", ""), ("priority", "priority"), ("flex", "flex")],
)
def test_the_tier_that_an_answer_tells_is_the_variant_of_its_price(told: str, variant: str) -> None:
    found = openai_chat.usage_of({**usage(prompt_tokens=1), "service_tier": told})
    assert found is not None
    assert (found.tier, found.variant) == (told, variant)


def test_a_tier_that_is_no_text_is_refused() -> None:
    with pytest.raises(BadRequestError, match="name of a tier"):
        read(service_tier=["flex"])
