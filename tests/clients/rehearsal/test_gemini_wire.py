"""Google's SDK against a real socket, and the bill against what it was told."""

import json
from collections.abc import Callable
from fractions import Fraction
from math import ceil
from typing import Any

import pytest
import trio
from google import genai
from google.genai import errors, types

from clients.rehearsal.provider import Provider

pytestmark = pytest.mark.trio
KEY = "sk-rehearsal-0123456789"
MODEL = "gemini-2.5-flash"


async def with_google(port: int, use: Callable[[genai.Client], Any]) -> Any:
    options = types.HttpOptions(base_url=f"http://127.0.0.1:{port}")
    with genai.Client(api_key=KEY, http_options=options) as sdk:
        return await trio.to_thread.run_sync(use, sdk)


def total_nano_usd(provider: Provider) -> int:
    return int(provider.bill.summary()["total_nano_usd"])


async def test_plain_with_thoughts(port: int, provider: Provider) -> None:
    answer = await with_google(
        port,
        lambda sdk: sdk.models.generate_content(
            model=MODEL, contents="[rehearse reasoning_tokens=9 cached_tokens=2] Hello there"
        ),
    )
    assert answer.text
    usage = answer.usage_metadata
    assert usage.thoughts_token_count == 9
    output = usage.candidates_token_count + 9
    assert usage.total_token_count == usage.prompt_token_count + output
    uncached = usage.prompt_token_count - 2
    exact = uncached * Fraction("0.3") + 2 * Fraction("0.03") + output * Fraction("2.5")
    assert total_nano_usd(provider) == ceil(exact * 1_000)


async def test_every_chunk_tells_the_usage_so_far(port: int, provider: Provider) -> None:
    def use(sdk: genai.Client) -> list[Any]:
        return list(
            sdk.models.generate_content_stream(
                model=MODEL, contents="[rehearse reply_tokens=30 chunk_tokens=7] Hello"
            )
        )

    chunks = await with_google(port, use)
    told = [chunk.usage_metadata.candidates_token_count for chunk in chunks]
    assert told == [7, 14, 21, 28, 30, 30]
    assert chunks[-1].candidates[0].finish_reason is types.FinishReason.STOP
    assert "".join(chunk.text or "" for chunk in chunks)


async def test_a_stream_without_events_is_one_json_array(port: int) -> None:
    body = json.dumps({"contents": [{"parts": [{"text": "Hello"}]}]}).encode()
    head = (
        f"POST /v1beta/models/{MODEL}:streamGenerateContent?key={KEY} HTTP/1.1\r\n"
        f"Host: localhost\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    received = b""
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(head.encode() + body)
        while more := await stream.receive_some():
            received += more
    pieces = [line for line in received.split(b"\r\n") if line[:1] in {b"[", b"{"}]
    text = b"".join(pieces).replace(b"}{", b"},{")
    assert b"content-type: application/json" in received.lower()
    assert text.startswith(b"[{")
    assert b"finishReason" in text


async def test_errors_counts_models_and_embeddings(port: int, provider: Provider) -> None:
    def use(sdk: genai.Client) -> None:
        assert sdk.models.count_tokens(model=MODEL, contents="How many?").total_tokens
        assert MODEL in {(model.name or "")[7:] for model in sdk.models.list()}
        made = sdk.models.embed_content(model="gemini-embedding-001", contents="a" * 40)
        assert made.embeddings is not None
        assert len(made.embeddings[0].values or []) == 3_072
        with pytest.raises(errors.ClientError) as caught:
            sdk.models.generate_content(model="gemini-0", contents="Hello")
        assert (caught.value.code, caught.value.status) == (404, "NOT_FOUND")
        with pytest.raises(errors.ServerError):
            sdk.models.generate_content(model=MODEL, contents="[rehearse error=503] Hello")

    await with_google(port, use)
    assert total_nano_usd(provider) == 10 * 150


async def test_a_stream_that_is_left_is_billed_to_its_end(port: int, provider: Provider) -> None:
    text = "[rehearse reply_tokens=500 chunk_tokens=1 chunk_ms=5] Hello"
    body = json.dumps({"contents": [{"parts": [{"text": text}]}]}).encode()
    head = (
        f"POST /v1beta/models/{MODEL}:streamGenerateContent?alt=sse HTTP/1.1\r\n"
        f"Host: localhost\r\nx-goog-api-key: {KEY}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(head.encode() + body)
        while b"candidates" not in await stream.receive_some():
            pass
    with trio.fail_after(10):
        while True:
            if provider.bill.summary()["calls_ended"]:
                break
            await trio.sleep(0.01)
    (row,) = provider.bill.page(0, 10)["calls"]
    assert row["outcome"] == "client_gone"
    assert row["quantities"]["output_tokens"] == 500
