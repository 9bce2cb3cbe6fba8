"""What is counted by its provider is exactly what is called, or it is not counted."""

import json
from typing import Any

import pytest

from sidecar.core.bounds import Asked
from sidecar.http.surfaces import Surface
from sidecar.providers import dialects, token_counters
from tests.sidecar.runtime.wire import response

OPENAI = dialects.named("openai")
TEXT = Asked(text_bytes=100)


def test_openai_s_responses_of_texts_are_counted() -> None:
    assert token_counters.why_not(Surface.RESPONSES, "openai", OPENAI, TEXT) == ""


@pytest.mark.parametrize(
    ("surface", "provider", "dialect", "asked", "words"),
    [
        (Surface.MESSAGES, "anthropic", "anthropic", TEXT, "an estimate"),
        (Surface.GEMINI_CONTENT, "gemini", "gemini", TEXT, "does not say"),
        (Surface.GEMINI_STREAM, "gemini", "gemini", TEXT, "does not say"),
        (Surface.CHAT, "openai", "openai", TEXT, "no token counter takes"),
        (Surface.RESPONSES, "xai", "xai", TEXT, "xai does not say"),
        (Surface.RESPONSES, "openai-gateway", "openai", TEXT, "openai-gateway does not say"),
        (Surface.RESPONSES, "openai", "openai", Asked(9, opaque=True), "may be others"),
        (Surface.RESPONSES, "openai", "openai", Asked(9, media_tokens=1), "may be others"),
        (Surface.RESPONSES, "openai", "openai", Asked(9, inputs=2), "may be others"),
        (Surface.RESPONSES, "openai", "openai", Asked(9, pieces={"web_search": 1}), "others"),
    ],
)
def test_what_no_counter_bounds_is_not_counted_and_the_reason_is_told(
    surface: Surface, provider: str, dialect: str, asked: Asked, words: str
) -> None:
    why = token_counters.why_not(surface, provider, dialects.named(dialect), asked)
    assert words in why


def test_the_counter_is_asked_for_the_prompt_and_nothing_else() -> None:
    tools = [{"type": "function", "name": "f", "parameters": {}}]
    asked = response("Hi.", stream=True, instructions="Be brief.", tools=tools, metadata={"a": "b"})
    body = token_counters.question({**asked, "temperature": None})
    assert body is not None
    assert json.loads(body) == {
        "model": "gpt-4o-mini",
        "input": "Hi.",
        "instructions": "Be brief.",
        "tools": tools,
    }


@pytest.mark.parametrize("field", ["prompt", "previous_response_id", "conversation", "something"])
def test_a_field_that_may_add_to_the_prompt_unseen_makes_it_uncountable(field: str) -> None:
    assert token_counters.question(response(**{field: "x"})) is None


@pytest.mark.parametrize(
    ("body", "tokens"),
    [
        (b'{"object": "response.input_tokens", "input_tokens": 17}', 17),
        (b'{"input_tokens": 0}', None),
        (b'{"input_tokens": -5}', None),
        (b'{"input_tokens": 1.5}', None),
        (b'{"input_tokens": "17"}', None),
        (b'{"input_tokens": 99999999999999}', None),
        (b"[17]", None),
        (b"17", None),
        (b"", None),
        (b"\xff", None),
    ],
)
def test_only_a_count_is_a_count(body: bytes, tokens: Any) -> None:
    assert token_counters.answer(body) == tokens
