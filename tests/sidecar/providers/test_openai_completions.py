"""What a legacy completion may cost: every prompt, every answer, the best of several."""

import json
from typing import Any

import pytest

from sidecar.providers import openai_completions
from sidecar.providers.openai_completions import CompletionStream
from sidecar.providers.reading import BadRequestError, CallRequest


def read(**fields: Any) -> CallRequest:
    value = {"model": "gpt-3.5-turbo-instruct", **fields}
    body = json.dumps(value).encode()
    return openai_completions.read(value, body, model=value["model"], expands_text=False)


@pytest.mark.parametrize(
    ("fields", "inputs", "choices", "limit"),
    [
        ({}, 1, 1, 16),
        ({"prompt": "Hello."}, 1, 1, 16),
        ({"prompt": "Hello.", "max_tokens": 0, "echo": True}, 1, 1, 0),
        ({"prompt": "Hello.", "n": 3, "max_tokens": 9}, 1, 3, 9),
        ({"prompt": "Hello.", "n": 2, "best_of": 5}, 1, 5, 16),
        ({"prompt": ["a", "b"], "n": 2, "best_of": 3}, 2, 6, 16),
        ({"prompt": [1, 2, 3]}, 1, 1, 16),
        ({"prompt": [[1, 2], [3]], "n": 2}, 2, 4, 16),
    ],
)
def test_every_prompt_and_every_answer_counts(
    fields: dict[str, Any], inputs: int, choices: int, limit: int
) -> None:
    asked = read(**fields).asked
    assert (asked.inputs, asked.choices, asked.output_limit) == (inputs, choices, limit)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": 3}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": ["a", [1]]}, "prompt"),
        ({"prompt": [1, "a"]}, "prompt"),
        ({"n": 0}, "n"),
        ({"best_of": 129}, "best_of"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"stream_options": "all"}, "stream_options"),
    ],
)
def test_what_cannot_be_read_is_refused(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequestError) as caught:
        read(**fields)
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("fields", "limit"),
    [({}, 16), ({"max_tokens": None}, 16), ({"max_tokens": 0}, 0), ({"max_tokens": 9}, 9)],
)
@pytest.mark.parametrize("provider", ["openai", "ollama", "llamacpp", "openrouter", "vllm", ""])
def test_the_limit_that_is_held_is_the_limit_that_is_sent(
    provider: str, fields: dict[str, Any], limit: int
) -> None:
    value = {"model": "m", "prompt": "Hello.", **fields}
    request = read(prompt="Hello.", **fields)
    body = json.dumps(value).encode()
    sent = json.loads(openai_completions.rewrite(value, body, request, provider, None))
    assert sent == value | {"max_tokens": limit}
    assert request.asked.output_limit == limit


def test_usage_is_asked_for_and_hidden_and_what_was_seen_is_counted() -> None:
    request = read(prompt="Hello.", stream=True)
    value = {"model": "m", "prompt": "Hello.", "stream": True}
    body = json.dumps(value).encode()
    sent = json.loads(openai_completions.rewrite(value, body, request, "openai", None))
    assert sent == value | {"stream_options": {"include_usage": True}, "max_tokens": 16}
    meter = CompletionStream(request)
    chunk = b'data: {"choices":[{"index":0,"text":"abcd","finish_reason":null}]}\n\n'
    told = b'data: {"choices":[],"usage":{"prompt_tokens":2,"completion_tokens":1}}\n\n'
    assert meter.take(chunk) == chunk
    assert meter.seen().output_bytes == 4
    assert meter.take(told) == b""
    assert meter.usage is not None


def test_a_whole_answer_without_usage_shows_nothing_of_what_was_not_the_best() -> None:
    assert openai_completions.seen_bytes({"choices": [{"text": "abcd"}]}) == 0
