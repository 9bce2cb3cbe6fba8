"""Responses, legacy completions and moderations: what the official SDK is told, and the bill."""

from collections.abc import Callable
from fractions import Fraction
from math import ceil
from typing import Any

import openai
import pytest
import trio

from clients.rehearsal.incoming import Answer
from clients.rehearsal.provider import Metered, Provider

pytestmark = pytest.mark.trio
KEY = "sk-rehearsal-0123456789"
SEARCH: Any = [{"type": "web_search"}]


async def ask(port: int, use: Callable[[openai.OpenAI], Any]) -> Any:
    with openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key=KEY, max_retries=0) as sdk:
        return await trio.to_thread.run_sync(use, sdk)


def total_nano_usd(provider: Provider) -> int:
    return int(provider.bill.summary()["total_nano_usd"])


def exact_nano_usd(prompt: int, output: int, fees_usd: Fraction = Fraction(0)) -> int:
    """A call to gpt-5-mini: $0.25 and $2 per million tokens, and fees."""
    tokens = prompt * Fraction("0.25") + output * Fraction("2")
    return ceil(tokens * 1_000 + fees_usd * 1_000_000_000)


async def test_a_response_plain(port: int, provider: Provider) -> None:
    answer = await ask(port, lambda sdk: sdk.responses.create(model="gpt-5-mini", input="Hello"))
    assert answer.output_text
    assert (answer.status, answer.object, answer.service_tier) == (
        "completed",
        "response",
        "default",
    )
    usage = answer.usage
    assert usage.total_tokens == usage.input_tokens + usage.output_tokens
    assert total_nano_usd(provider) == exact_nano_usd(usage.input_tokens, usage.output_tokens)


async def test_a_response_streamed(port: int, provider: Provider) -> None:
    def use(sdk: openai.OpenAI) -> list[Any]:
        stream = sdk.responses.create(
            model="gpt-5-mini",
            input="[rehearse reply_tokens=33 chunk_tokens=5 reasoning_tokens=7]",
            stream=True,
        )
        return list(stream)

    events = await ask(port, use)
    assert [event.sequence_number for event in events] == list(range(len(events)))
    kinds = [event.type for event in events]
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert kinds.count("response.output_text.delta") == 7
    assert kinds[-1] == "response.completed"
    text = "".join(e.delta for e in events if e.type == "response.output_text.delta")
    final = events[-1].response
    assert final.output_text == text
    assert (final.usage.output_tokens, final.usage.output_tokens_details.reasoning_tokens) == (
        40,
        7,
    )
    assert total_nano_usd(provider) == exact_nano_usd(final.usage.input_tokens, 40)


async def test_a_response_that_reaches_its_limit_is_incomplete(port: int) -> None:
    answer = await ask(
        port,
        lambda sdk: sdk.responses.create(
            model="gpt-5-mini", input="[rehearse reply_tokens=33]", max_output_tokens=16
        ),
    )
    assert answer.status == "incomplete"
    assert answer.incomplete_details.reason == "max_output_tokens"
    assert answer.usage.output_tokens == 16


async def test_a_response_calls_a_function(port: int) -> None:
    tools: Any = [
        {
            "type": "function",
            "name": "weather",
            "parameters": {
                "type": "object",
                "properties": {"town": {"type": "string"}},
                "required": ["town"],
            },
            "strict": False,
        }
    ]

    def use(sdk: openai.OpenAI) -> tuple[Any, list[Any]]:
        options: Any = {"model": "gpt-5-mini", "input": "[rehearse tool_call]", "tools": tools}
        whole = sdk.responses.create(**options)
        return whole, list(sdk.responses.create(stream=True, **options))

    whole, events = await ask(port, use)
    [call] = whole.output
    assert (call.type, call.name) == ("function_call", "weather")
    deltas = [e.delta for e in events if e.type == "response.function_call_arguments.delta"]
    assert "".join(deltas) == call.arguments


async def test_searches_have_a_fee_and_read_the_prompt_again(port: int, provider: Provider) -> None:
    answer = await ask(
        port,
        lambda sdk: sdk.responses.create(
            model="gpt-5-mini",
            input="[rehearse hosted_calls=5 reply_tokens=4 prompt_tokens=100]",
            tools=SEARCH,
            max_tool_calls=2,
        ),
    )
    assert [item.type for item in answer.output] == ["web_search_call"] * 2 + ["message"]
    assert answer.usage.input_tokens == 300
    assert answer.tool_usage.web_search.num_requests == 2
    assert total_nano_usd(provider) == exact_nano_usd(300, 4, 2 * Fraction(10, 1_000))


async def test_a_response_goes_on_from_one_that_was_kept(port: int) -> None:
    def use(sdk: openai.OpenAI) -> tuple[Any, Any, Any]:
        first = sdk.responses.create(model="gpt-5-mini", input="Hello")
        second = sdk.responses.create(
            model="gpt-5-mini", input="Go on", previous_response_id=first.id
        )
        unkept = sdk.responses.create(model="gpt-5-mini", input="Hello", store=False)
        with pytest.raises(openai.BadRequestError, match="not found"):
            sdk.responses.create(model="gpt-5-mini", input="Go on", previous_response_id=unkept.id)
        count = sdk.responses.input_tokens.count(
            model="gpt-5-mini", input="Go on", previous_response_id=first.id
        )
        return first, second, count

    first, second, count = await ask(port, use)
    assert second.usage.input_tokens > first.usage.input_tokens + first.usage.output_tokens
    assert count.input_tokens == second.usage.input_tokens


async def test_all_of_the_best_are_billed_and_the_first_are_shown(
    port: int, provider: Provider
) -> None:
    answer = await ask(
        port,
        lambda sdk: sdk.completions.create(
            model="gpt-5-mini",
            prompt=["[rehearse reply_tokens=10]", "Once"],
            n=2,
            best_of=3,
            max_tokens=5,
            echo=True,
        ),
    )
    assert len(answer.choices) == 4
    assert answer.choices[2].text.startswith("Once")
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens == 2 * 3 * 5
    assert total_nano_usd(provider) == exact_nano_usd(answer.usage.prompt_tokens, 30)


async def test_a_completion_has_sixteen_tokens_unless_it_says_more(port: int) -> None:
    def use(sdk: openai.OpenAI) -> list[Any]:
        return list(
            sdk.completions.create(
                model="gpt-5-mini",
                prompt="[rehearse reply_tokens=90]",
                stream=True,
                stream_options={"include_usage": True},
            )
        )

    chunks = await ask(port, use)
    assert chunks[-1].usage.completion_tokens == 16
    assert chunks[-1].choices == []


async def test_a_moderation_is_on_the_bill_at_nothing(port: int, provider: Provider) -> None:
    answer = await ask(port, lambda sdk: sdk.moderations.create(input=["a", "b"]))
    assert [result.flagged for result in answer.results] == [False, False]
    [row] = provider.bill.page(0, 10)["calls"]
    assert (row["path"], row["cost_nano_usd"]) == ("/v1/moderations", "0")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/responses", {"model": "gpt-5-mini"}),
        ("/v1/responses", {"model": "text-embedding-3-small", "input": "a"}),
        ("/v1/responses", {"model": "gpt-5-mini", "input": [3]}),
        ("/v1/responses", {"model": "gpt-5-mini", "input": "a", "max_output_tokens": 0}),
        ("/v1/completions", {"model": "gpt-5-mini", "prompt": []}),
        ("/v1/completions", {"model": "gpt-5-mini", "prompt": "a", "n": 3, "best_of": 2}),
        ("/v1/completions", {"model": "gpt-5-mini", "prompt": "a", "stream_options": {}}),
        ("/v1/moderations", {"input": []}),
        ("/v1/moderations", {"model": "gpt-5-mini", "input": "a"}),
    ],
)
async def test_what_is_wrong_is_refused_and_not_billed(
    handle: Callable[..., Answer | Metered], provider: Provider, path: str, body: Any
) -> None:
    refused = handle(path, body)
    assert isinstance(refused, Answer)
    assert 400 <= refused.status < 500
    assert total_nano_usd(provider) == 0
