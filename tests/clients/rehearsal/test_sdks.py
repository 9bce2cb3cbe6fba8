"""The official SDKs against a real socket, and the bill against what they were told."""

from collections.abc import Callable
from fractions import Fraction
from math import ceil
from typing import Any

import anthropic
import openai
import pytest
import trio

from clients.rehearsal.provider import Provider

pytestmark = pytest.mark.trio
KEY = "sk-rehearsal-0123456789"
HELLO: Any = [{"role": "user", "content": "Hello there"}]


async def with_openai(port: int, use: Callable[[openai.OpenAI], Any]) -> Any:
    with openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key=KEY, max_retries=0) as sdk:
        return await trio.to_thread.run_sync(use, sdk)


async def with_anthropic(port: int, use: Callable[[anthropic.Anthropic], Any]) -> Any:
    with anthropic.Anthropic(
        base_url=f"http://127.0.0.1:{port}", api_key=KEY, max_retries=0
    ) as sdk:
        return await trio.to_thread.run_sync(use, sdk)


def total_nano_usd(provider: Provider) -> int:
    return int(provider.bill.summary()["total_nano_usd"])


async def test_openai_plain(port: int, provider: Provider) -> None:
    answer = await with_openai(
        port, lambda sdk: sdk.chat.completions.create(model="gpt-5-mini", messages=HELLO)
    )
    assert answer.choices[0].message.content
    assert answer.model == "gpt-5-mini"
    usage = answer.usage
    exact = usage.prompt_tokens * Fraction("0.25") + usage.completion_tokens * Fraction("2")
    assert total_nano_usd(provider) == ceil(exact * 1_000)


async def test_openai_streamed(port: int, provider: Provider) -> None:
    def use(sdk: openai.OpenAI) -> tuple[str, Any]:
        text, usage = "", None
        stream = sdk.chat.completions.create(
            model="gpt-5-mini",
            messages=HELLO,
            stream=True,
            stream_options={"include_usage": True},
            extra_headers={"x-rehearsal": "reply_tokens=33; chunk_tokens=5; cached_tokens=2"},
        )
        for chunk in stream:
            usage = chunk.usage or usage
            text += (chunk.choices[0].delta.content or "") if chunk.choices else ""
        return text, usage

    text, usage = await with_openai(port, use)
    assert len(text) == 33 * 4
    assert usage.completion_tokens == 33
    uncached = usage.prompt_tokens - 2
    exact = uncached * Fraction("0.25") + 2 * Fraction("0.025") + 33 * Fraction("2")
    assert total_nano_usd(provider) == ceil(exact * 1_000)


async def test_openai_embeddings_and_models(port: int, provider: Provider) -> None:
    answer = await with_openai(
        port,
        lambda sdk: sdk.embeddings.create(model="text-embedding-3-large", input=["a" * 9] * 40),
    )
    assert len(answer.data) == 40
    assert len(answer.data[0].embedding) == 3_072
    assert answer.usage.prompt_tokens == 120
    assert total_nano_usd(provider) == 120 * 130
    models = await with_openai(port, lambda sdk: [model.id for model in sdk.models.list()])
    assert "gpt-5.6-luna" in models


async def test_openai_errors_are_the_sdk_s_own(port: int) -> None:
    with pytest.raises(openai.RateLimitError):
        await with_openai(
            port,
            lambda sdk: sdk.chat.completions.create(
                model="gpt-5-mini", messages=HELLO, extra_headers={"x-rehearsal": "error=429"}
            ),
        )
    with pytest.raises(openai.NotFoundError, match="gpt-nope"):
        await with_openai(
            port, lambda sdk: sdk.chat.completions.create(model="gpt-nope", messages=HELLO)
        )

    def broken(sdk: openai.OpenAI) -> None:
        for _ in sdk.chat.completions.create(
            model="gpt-5-mini",
            messages=HELLO,
            stream=True,
            extra_headers={"x-rehearsal": "error_after_chunks=2; reply_tokens=40"},
        ):
            pass

    with pytest.raises(openai.APIError, match="had an error"):
        await with_openai(port, broken)


async def test_anthropic_plain(port: int, provider: Provider) -> None:
    message = await with_anthropic(
        port,
        lambda sdk: sdk.messages.create(model="claude-opus-5-5", max_tokens=500, messages=HELLO),
    )
    assert message.content[0].text
    assert message.stop_reason == "end_turn"
    usage = message.usage
    assert total_nano_usd(provider) == usage.input_tokens * 4_000 + usage.output_tokens * 20_000


async def test_anthropic_streamed(port: int, provider: Provider) -> None:
    def use(sdk: anthropic.Anthropic) -> Any:
        with sdk.messages.stream(
            model="claude-opus-5-5",
            max_tokens=500,
            messages=HELLO,
            extra_headers={"x-rehearsal": "reply_tokens=21; chunk_tokens=2; split_bytes=7"},
        ) as stream:
            text = "".join(stream.text_stream)
            return text, stream.get_final_message()

    text, message = await with_anthropic(port, use)
    assert text == message.content[0].text
    assert (len(text), message.usage.output_tokens) == (84, 21)
    assert total_nano_usd(provider) == message.usage.input_tokens * 4_000 + 21 * 20_000


async def test_anthropic_caches_what_is_marked(port: int, provider: Provider) -> None:
    system: Any = [{"type": "text", "text": "a" * 4_000, "cache_control": {"type": "ephemeral"}}]

    def use(sdk: anthropic.Anthropic) -> Any:
        return sdk.messages.create(
            model="claude-opus-5-5",
            max_tokens=9,
            system=system,
            messages=HELLO,
            extra_headers={"x-rehearsal": "reply_tokens=0"},
        ).usage

    first, second = await with_anthropic(port, use), await with_anthropic(port, use)
    assert first.cache_creation_input_tokens == second.cache_read_input_tokens == 1_000
    assert total_nano_usd(provider) == 2 * 6 * 4_000 + 1_000 * 5_000 + 1_000 * 200


async def test_anthropic_tools_counts_and_models(port: int) -> None:
    tools: Any = [{"name": "find_slot", "input_schema": {"type": "object"}}]

    def use(sdk: anthropic.Anthropic) -> Any:
        counted = sdk.messages.count_tokens(
            model="claude-haiku-4-5", messages=HELLO, tools=tools
        ).input_tokens
        with sdk.messages.stream(
            model="claude-haiku-4-5",
            max_tokens=100,
            messages=HELLO,
            tools=tools,
            extra_headers={"x-rehearsal": "tool_call"},
        ) as stream:
            message = stream.get_final_message()
        return counted, message, [model.id for model in sdk.models.list()]

    counted, message, models = await with_anthropic(port, use)
    assert message.usage.input_tokens == counted
    assert (message.content[0].type, message.content[0].name) == ("tool_use", "find_slot")
    assert "claude-sonnet-5-5" in models


@pytest.mark.parametrize("status", [401, 402, 403, 429, 500, 529])
async def test_anthropic_errors_are_the_sdk_s_own(port: int, status: int) -> None:
    def use(sdk: anthropic.Anthropic) -> Any:
        return sdk.messages.create(
            model="claude-haiku-4-5",
            max_tokens=5,
            messages=HELLO,
            extra_headers={"x-rehearsal": f"error={status}"},
        )

    with pytest.raises(anthropic.APIStatusError) as caught:
        await with_anthropic(port, use)
    assert caught.value.status_code == status
    assert isinstance(caught.value.body, dict)
    assert caught.value.request_id == caught.value.body["request_id"]


async def test_a_hang_up_reaches_the_sdk_as_a_lost_connection(port: int) -> None:
    with pytest.raises(openai.APIConnectionError):
        await with_openai(
            port,
            lambda sdk: sdk.chat.completions.create(
                model="gpt-5-mini",
                messages=HELLO,
                extra_headers={"x-rehearsal": "hangup_before_headers"},
            ),
        )


@pytest.mark.parametrize(("limit", "worst_nano_usd"), [(10, 10_000_000), (40, 40_000_000)])
async def test_a_call_can_cost_exactly_a_cent(
    port: int, provider: Provider, limit: int, worst_nano_usd: int
) -> None:
    def chat(sdk: openai.OpenAI) -> Any:
        return sdk.chat.completions.create(model="rehearsal-cent", messages=HELLO, max_tokens=limit)

    def message(sdk: anthropic.Anthropic) -> Any:
        return sdk.messages.create(model="claude-rehearsal-cent", messages=HELLO, max_tokens=limit)

    await with_openai(port, chat)
    await with_anthropic(port, message)
    rows = provider.bill.page(0, 10)["calls"]
    assert [row["cost_nano_usd"] for row in rows] == ["10000000"] * 2
    assert [row["worst_nano_usd"] for row in rows] == [str(worst_nano_usd)] * 2
    assert total_nano_usd(provider) == 20_000_000
