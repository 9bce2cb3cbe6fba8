"""Gemini's requests and usages, in both spellings, and what bounds them."""

import json
from typing import Any

import pytest

from protos.values import quantities as kinds
from sidecar.core.refusals import Reason
from sidecar.http.routes import Route
from sidecar.http.surfaces import Surface
from sidecar.providers import gemini_content, gemini_embeddings, gemini_fields
from sidecar.providers.gemini_streams import ArrayStream, ContentStream
from sidecar.providers.reading import BadRequestError, CallRequest

MODEL = "gemini-2.5-flash"
HELLO = [{"role": "user", "parts": [{"text": "Hello"}]}]


def read(of: str = MODEL, **fields: Any) -> CallRequest:
    value = {"contents": HELLO, **fields}
    body = json.dumps(value).encode()
    return gemini_content.read(value, body, model=of, expands_text=False)


def part(**held: Any) -> list[Any]:
    return [{"parts": [held]}]


def test_limits_are_read_in_both_spellings() -> None:
    for config in (
        {"maxOutputTokens": 7, "candidateCount": 2},
        {"max_output_tokens": 7, "candidate_count": 2},
    ):
        for name in ("generationConfig", "generation_config"):
            fields: dict[str, Any] = {name: config}
            asked = read(**fields).asked
            assert (asked.output_limit, asked.choices) == (7, 2)


def test_a_limit_that_was_put_on_takes_the_place_of_either_spelling() -> None:
    for name, config in (
        ("generationConfig", {"temperature": 0.5}),
        ("generation_config", {"max_output_tokens": None, "seed": 3}),
        ("generationConfig", None),
    ):
        value = {"contents": HELLO, name: config}
        body = json.dumps(value).encode()
        request = gemini_content.read(value, body, model=MODEL, expands_text=False)
        assert request.asked.output_limit is None
        sent = json.loads(gemini_content.rewrite(value, body, request, "", 99))
        kept = {k: v for k, v in (config or {}).items() if v is not None}
        assert sent[name] == {**kept, "maxOutputTokens": 99}
        assert sent["contents"] == HELLO
    assert gemini_content.rewrite(value, body, request, "", None) is body


@pytest.mark.parametrize(
    ("contents", "tokens", "held"),
    [
        (part(text="x"), 0, {kinds.INPUT}),
        (part(inlineData={"mimeType": "image/png", "data": "A" * 4_000}), 64 * 258, {"image"}),
        (part(inline_data={"mime_type": "IMAGE/PNG", "data": "A" * 4_000}), 64 * 258, {"image"}),
        (part(inlineData={"mimeType": "audio/mp3", "data": "A" * 4_000}), 32 * 7, {"audio"}),
        (
            part(
                functionResponse={
                    "name": "f",
                    "response": {},
                    "parts": [{"inlineData": {"mimeType": "image/png", "data": "A" * 4_000}}],
                }
            ),
            64 * 258,
            {"image"},
        ),
    ],
)
def test_media_count_by_their_largest_and_not_by_their_bytes(
    contents: list[Any], tokens: int, held: set[str]
) -> None:
    asked = read(contents=contents).asked
    assert asked.media_tokens == tokens
    assert not asked.opaque
    found = {kind.removesuffix("_input") for kind in asked.input_kinds}
    assert found == {kinds.INPUT} | held
    if tokens:
        assert asked.text_bytes < 500


@pytest.mark.parametrize(
    "fields",
    [
        {"contents": part(fileData={"fileUri": "files/x"})},
        {"contents": part(file_data={"file_uri": "files/x"})},
        {"contents": part(inlineData={"mimeType": "application/pdf", "data": "AA"})},
        {"contents": part(inlineData={"mimeType": "video/mp4", "data": "AA"})},
        {"contents": part(somethingNew={"of": "which nothing is known"})},
        {"cachedContent": "cachedContents/x"},
        {"cached_content": "cachedContents/x"},
    ],
)
def test_what_is_packed_or_only_named_is_bounded_by_the_window_at_the_dearest_rate(
    fields: dict[str, Any],
) -> None:
    asked = read(**fields).asked
    assert asked.opaque
    assert kinds.AUDIO_INPUT in asked.input_kinds
    assert kinds.VIDEO_INPUT in asked.input_kinds


def test_an_image_of_a_newer_model_is_smaller() -> None:
    image = part(inlineData={"mimeType": "image/png", "data": ""})
    assert read("gemini-3.5-flash", contents=image).asked.media_tokens == 2_240


def test_tools_may_be_shown_with_more_white_space_than_they_came_with() -> None:
    tool = {"functionDeclarations": [{"name": "f", "description": "d" * 1_000}]}
    assert 500 < read(tools=[tool]).asked.preamble_tokens < 600
    assert read(tools=tool).asked.preamble_tokens == read(tools=[tool]).asked.preamble_tokens


@pytest.mark.parametrize(
    ("fields", "reason", "words"),
    [
        ({"tools": [{"googleSearch": {}}]}, Reason.UNBOUNDED_FEATURE, "search"),
        ({"tools": [{"google_search_retrieval": {}}]}, Reason.UNBOUNDED_FEATURE, "search"),
        ({"tools": [{"codeExecution": {}}]}, Reason.UNBOUNDED_FEATURE, "runs"),
        ({"tools": [{"googleMaps": {}, "functionDeclarations": []}]}, Reason.UNBOUNDED_FEATURE, ""),
        ({"contents": []}, Reason.INVALID_REQUEST, "contents"),
        ({"contents": "Hello"}, Reason.INVALID_REQUEST, "contents"),
        ({"contents": [{"parts": [7]}]}, Reason.INVALID_REQUEST, "parts"),
        ({"generationConfig": {"maxOutputTokens": "9"}}, Reason.INVALID_REQUEST, "whole number"),
        ({"generationConfig": {"candidateCount": 9}}, Reason.INVALID_REQUEST, "1 to 8"),
        ({"generationConfig": {"newThing": 1}}, Reason.UNBOUNDED_FEATURE, "newThing"),
        ({"generationConfig": {"responseModalities": ["VIDEO"]}}, Reason.UNBOUNDED_FEATURE, ""),
        ({"generationConfig": {"routingConfig": {}}}, Reason.UNBOUNDED_FEATURE, "which model"),
        ({"maxOutputTokens": 9}, Reason.UNBOUNDED_FEATURE, "maxOutputTokens"),
    ],
)
def test_what_cannot_be_bounded_is_refused_by_name(
    fields: dict[str, Any], reason: Reason, words: str
) -> None:
    with pytest.raises(BadRequestError) as caught:
        read(**fields)
    assert caught.value.reason is reason
    assert words in caught.value.message


def test_a_tier_may_be_served_as_the_standard_one() -> None:
    assert read().asked.variants == ("",)
    assert read(serviceTier="STANDARD").asked.variants == ("",)
    assert read(service_tier="priority").asked.variants == ("", "priority")


def test_an_answer_of_text_alone_has_no_other_rates() -> None:
    text = {"responseModalities": ["Text"]}
    assert read(generationConfig=text).asked.output_kinds == (kinds.OUTPUT,)
    assert kinds.IMAGE_OUTPUT in read().asked.output_kinds


def details(**tokens: int) -> list[dict[str, Any]]:
    return [{"modality": name.upper(), "tokenCount": count} for name, count in tokens.items()]


USAGES: list[tuple[dict[str, Any], dict[str, int]]] = [
    (
        {"promptTokenCount": 9, "candidatesTokenCount": 4, "totalTokenCount": 13},
        {"input": 9, "output": 4},
    ),
    (
        # Thoughts beside the candidates, and among them: the total says the same.
        {
            "promptTokenCount": 9,
            "candidatesTokenCount": 4,
            "thoughtsTokenCount": 6,
            "totalTokenCount": 19,
        },
        {"input": 9, "output": 10, "reasoning": 6},
    ),
    (
        {
            "promptTokenCount": 9,
            "candidatesTokenCount": 10,
            "thoughtsTokenCount": 6,
            "totalTokenCount": 19,
        },
        {"input": 9, "output": 10, "reasoning": 6},
    ),
    (
        {"promptTokenCount": 9, "candidatesTokenCount": 4, "thoughtsTokenCount": 6},
        {"input": 9, "output": 10, "reasoning": 6},
    ),
    (
        {
            "promptTokenCount": 9,
            "toolUsePromptTokenCount": 5,
            "cachedContentTokenCount": 3,
            "totalTokenCount": 14,
        },
        {"input": 11, "cached": 3},
    ),
    (
        {
            "promptTokenCount": 100,
            "cachedContentTokenCount": 30,
            "candidatesTokenCount": 50,
            "totalTokenCount": 150,
            "promptTokensDetails": details(text=40, audio=50, image=10),
            "cacheTokensDetails": details(text=10, audio=20),
            "candidatesTokensDetails": details(text=20, image=30),
        },
        {
            "input": 30,
            "cached": 10,
            "audio_input": 30,
            "cached_audio": 20,
            "image_input": 10,
            "output": 20,
            "image_output": 30,
        },
    ),
]


@pytest.mark.parametrize(("told", "quantities"), USAGES)
def test_usage_is_taken_apart_without_overlap(
    told: dict[str, Any], quantities: dict[str, int]
) -> None:
    usage = gemini_content.usage_of({"usageMetadata": told, "modelVersion": "gemini-x"})
    assert usage is not None
    assert dict(usage.quantities) == quantities
    assert (usage.answered_model, usage.unpriced) == ("gemini-x", ())


@pytest.mark.parametrize(
    ("told", "name"),
    [
        ({"newTokenCount": 3}, "newTokenCount"),
        ({"promptTokensDetails": details(smell=3)}, "promptTokensDetails.SMELL"),
        ({"candidatesTokensDetails": details(video=3)}, "candidatesTokensDetails.VIDEO"),
        ({"promptTokensDetails": details(audio=99)}, "promptTokensDetails"),
        ({"candidatesTokenCount": "4"}, "candidatesTokenCount"),
        ({"cachedContentTokenCount": 99}, "promptTokensDetails"),
    ],
)
def test_what_is_not_understood_in_a_usage_is_named(told: dict[str, Any], name: str) -> None:
    base = {"promptTokenCount": 9, "candidatesTokenCount": 4, "totalTokenCount": 13}
    usage = gemini_content.usage_of({"usageMetadata": {**base, **told}})
    assert usage is not None
    assert name in usage.unpriced


@pytest.mark.parametrize("told", [None, [], {}, {"totalTokenCount": 0}, {"promptTokenCount": "9"}])
def test_no_usage_is_none(told: Any) -> None:
    assert gemini_content.usage_of({"usageMetadata": told}) is None


def test_the_tier_of_the_head_decides_the_variant() -> None:
    usage = gemini_content.usage_of({"usageMetadata": {"promptTokenCount": 9}})
    assert usage is not None
    assert gemini_content.served_as(usage, "").variant == ""
    assert gemini_content.served_as(usage, "standard").variant == ""
    served = gemini_content.served_as(usage, "Flex")
    assert (served.tier, served.variant) == ("flex", "flex")


def chunk(text: str = "", total: int = 0, **candidate: Any) -> bytes:
    content = {"parts": [{"text": text}], "role": "model"}
    said: dict[str, Any] = {"candidates": [{"content": content, "index": 0, **candidate}]}
    if total:
        said["usageMetadata"] = {"promptTokenCount": 5, "totalTokenCount": total}
    return json.dumps(said).encode()


def told(meter: ContentStream) -> dict[str, int]:
    return dict(meter.usage.quantities) if meter.usage else {}


def test_of_a_stream_the_last_usage_counts_and_only_when_it_is_whole() -> None:
    meter = ContentStream(read())
    for data in (chunk("a", 6), chunk("b", 7)):
        assert meter.take(b"data: " + data + b"\r\n\r\n")
    assert told(meter) == {}
    seen = meter.seen()
    assert seen.input_quantities == {kinds.INPUT: 5}
    meter.take(b"data: " + chunk("", 9, finishReason="STOP") + b"\n\n")
    assert told(meter)[kinds.OUTPUT] == 4
    meter.take(b"data: " + chunk("", 10) + b"\n\n")
    assert told(meter)[kinds.OUTPUT] == 5


def test_candidates_end_one_by_one_and_a_missing_one_with_the_stream() -> None:
    meter = ContentStream(read(generationConfig={"candidateCount": 2}))
    meter.take(b"data: " + chunk("a", 9, finishReason="STOP") + b"\n\n")
    assert told(meter) == {}
    meter.rest()
    assert meter.done
    assert told(meter)


def test_a_stream_that_ends_in_the_middle_tells_no_usage() -> None:
    meter = ContentStream(read())
    meter.take(b"data: " + chunk("a", 9) + b"\n\n")
    meter.rest()
    assert (meter.done, meter.usage) == (False, None)


def test_a_blocked_prompt_ends_a_stream_and_an_error_is_named() -> None:
    meter = ContentStream(read())
    blocked = {"promptFeedback": {"blockReason": "SAFETY"}}
    usage = {"usageMetadata": {"promptTokenCount": 5, "totalTokenCount": 5}}
    meter.take(b"data: " + json.dumps(blocked | usage).encode() + b"\n\n")
    assert meter.usage is not None
    broken = ContentStream(read())
    broken.take(b'data: {"error": {"code": 503, "status": "UNAVAILABLE"}}\n\n')
    assert broken.error_kind == "UNAVAILABLE"


def test_an_array_is_metered_as_events_are() -> None:
    meter = ArrayStream(read())
    text = b"[" + chunk('quoted "finishReason"', 6) + b",\r\n" + chunk("", 9, finishReason="STOP")
    assert meter.take(text) == text
    assert meter.usage is not None
    assert meter.usage.quantities[kinds.OUTPUT] == 4


@pytest.mark.parametrize(
    "body",
    [
        {"model": "models/gemini-2.5-pro"},
        {"model": ["gemini-2.5-flash"]},
        {"requests": [{"model": f"models/{MODEL}"}, {"model": "models/other"}]},
    ],
)
def test_a_body_may_not_name_another_model_than_its_path(body: dict[str, Any]) -> None:
    route = Route(Surface.GEMINI_CONTENT, model=MODEL)
    with pytest.raises(BadRequestError, match="model of the path"):
        gemini_fields.path_model(body, route)
    same = {"model": MODEL, "requests": [{"model": f"models/{MODEL}"}, {}]}
    assert gemini_fields.path_model(same, route) == MODEL


def test_embeddings_are_bounded_each_by_a_window() -> None:
    one = {"content": {"parts": [{"text": "Hi"}]}, "taskType": "RETRIEVAL_QUERY"}
    value: dict[str, Any] = {"requests": [{"model": f"models/{MODEL}", **one}] * 3}
    body = json.dumps(value).encode()
    batch = gemini_embeddings.read_batch(value, body, model=MODEL, expands_text=False)
    assert (batch.asked.inputs, batch.asked.output_limit) == (3, 0)
    single = gemini_embeddings.read(one, b"{}", model=MODEL, expands_text=False)
    assert single.asked.inputs == 1
    refused: list[dict[str, Any]] = [
        {"requests": []},
        {"requests": [{"model": MODEL}]},
        {},
    ]
    for bad in refused:
        with pytest.raises(BadRequestError):
            gemini_embeddings.read_batch(bad, b"{}", model=MODEL, expands_text=False)
