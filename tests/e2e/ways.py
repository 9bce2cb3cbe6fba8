"""How the official SDKs call each surface, plain and streamed: one row per surface.

Each makes one call, reads its answer to the end, and returns the text and the headers.
"""

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import anthropic
import openai
from google import genai


class Sdks(NamedTuple):
    """The official clients of one caller."""

    openai: openai.AsyncOpenAI
    anthropic: anthropic.AsyncAnthropic
    gemini: genai.Client


Told = tuple[str, dict[str, str]]
Call = Callable[[Sdks, dict[str, str], dict[str, Any]], Awaitable[Told]]


class Way(NamedTuple):
    """How one surface is called."""

    surface: str
    """The path, as the ledger has it."""
    plain: Call
    streamed: Call | None
    """None where nothing is streamed."""
    request: Callable[[str, int], dict[str, Any]]
    """A request by its prompt and its limit on output."""
    cent_model: str = "rehearsal-cent"
    """A model of which ten tokens of output cost a cent."""
    model: str = "gpt-5-mini"
    """A model with a list price."""
    streamed_surface: str = ""
    """The surface of its streams, where that is another."""

    def surface_of(self, *, stream: bool) -> str:
        """The surface as the ledger has it."""
        return (self.streamed_surface if stream else "") or self.surface


async def _chat(sdks: Sdks, headers: dict[str, str], request: dict[str, Any]) -> Told:
    raw = await sdks.openai.chat.completions.with_raw_response.create(
        extra_headers=headers, **request
    )
    return raw.parse().choices[0].message.content or "", dict(raw.headers)


async def _chat_streamed(sdks: Sdks, headers: dict[str, str], request: dict[str, Any]) -> Told:
    pieces = []
    stream = await sdks.openai.chat.completions.create(
        stream=True, extra_headers=headers, **request
    )
    async with stream:
        async for chunk in stream:
            assert chunk.choices, "a usage-only chunk reached a client that did not ask for it"
            pieces.append(chunk.choices[0].delta.content or "")
    return "".join(pieces), dict(stream.response.headers)


async def _response(sdks: Sdks, headers: dict[str, str], request: dict[str, Any]) -> Told:
    raw = await sdks.openai.responses.with_raw_response.create(extra_headers=headers, **request)
    answer = raw.parse()
    assert answer.usage is not None
    return answer.output_text, dict(raw.headers)


async def _response_streamed(sdks: Sdks, headers: dict[str, str], request: dict[str, Any]) -> Told:
    pieces = []
    last = ""
    stream = await sdks.openai.responses.create(stream=True, extra_headers=headers, **request)
    async with stream:
        async for event in stream:
            last = event.type
            if event.type == "response.output_text.delta":
                pieces.append(event.delta)
    assert last in {"response.completed", "response.incomplete"}
    return "".join(pieces), dict(stream.response.headers)


async def _completion(sdks: Sdks, headers: dict[str, str], request: dict[str, Any]) -> Told:
    raw = await sdks.openai.completions.with_raw_response.create(extra_headers=headers, **request)
    return raw.parse().choices[0].text, dict(raw.headers)


async def _completion_streamed(
    sdks: Sdks, headers: dict[str, str], request: dict[str, Any]
) -> Told:
    pieces = []
    stream = await sdks.openai.completions.create(stream=True, extra_headers=headers, **request)
    async with stream:
        async for chunk in stream:
            assert chunk.choices, "a usage-only chunk reached a client that did not ask for it"
            pieces.append(chunk.choices[0].text)
    return "".join(pieces), dict(stream.response.headers)


async def _message(sdks: Sdks, headers: dict[str, str], request: dict[str, Any]) -> Told:
    open_answer = sdks.anthropic.messages.with_streaming_response.create
    async with open_answer(extra_headers=headers, **request) as raw:
        [block] = (await raw.parse()).content
    assert block.type == "text"
    return block.text, dict(raw.headers)


async def _message_streamed(sdks: Sdks, headers: dict[str, str], request: dict[str, Any]) -> Told:
    async with sdks.anthropic.messages.stream(extra_headers=headers, **request) as stream:
        text = await stream.get_final_text()
    return text, dict(stream.response.headers)


async def _content(sdks: Sdks, headers: dict[str, str], request: dict[str, Any]) -> Told:
    config: Any = {**request.pop("config"), "http_options": {"headers": headers}}
    answer = await sdks.gemini.aio.models.generate_content(config=config, **request)
    assert answer.usage_metadata is not None
    assert answer.sdk_http_response is not None
    return answer.text or "", dict(answer.sdk_http_response.headers or {})


async def _content_streamed(sdks: Sdks, headers: dict[str, str], request: dict[str, Any]) -> Told:
    config: Any = {**request.pop("config"), "http_options": {"headers": headers}}
    pieces, finishes = [], []
    stream = await sdks.gemini.aio.models.generate_content_stream(config=config, **request)
    async for chunk in stream:
        pieces.append(chunk.text or "")
        finishes += [each.finish_reason for each in chunk.candidates or [] if each.finish_reason]
    assert finishes
    return "".join(pieces), {}


def _messages(prompt: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": prompt}]


CHAT = Way(
    "/v1/chat/completions",
    _chat,
    _chat_streamed,
    lambda prompt, limit: {"messages": _messages(prompt), "max_tokens": limit},
)
RESPONSES = Way(
    "/v1/responses",
    _response,
    _response_streamed,
    lambda prompt, limit: {"input": prompt, "max_output_tokens": limit},
)
COMPLETIONS = Way(
    "/v1/completions",
    _completion,
    _completion_streamed,
    lambda prompt, limit: {"prompt": prompt, "max_tokens": limit},
)
MESSAGES = Way(
    "/v1/messages",
    _message,
    _message_streamed,
    lambda prompt, limit: {"messages": _messages(prompt), "max_tokens": limit},
    cent_model="claude-rehearsal-cent",
    model="claude-haiku-4-5",
)
CONTENT = Way(
    "/v1beta/models/{model}:generateContent",
    _content,
    _content_streamed,
    lambda prompt, limit: {"contents": prompt, "config": {"max_output_tokens": limit}},
    cent_model="gemini-rehearsal-cent",
    model="gemini-2.5-flash",
    streamed_surface="/v1beta/models/{model}:streamGenerateContent",
)
WAYS = (CHAT, RESPONSES, COMPLETIONS, MESSAGES, CONTENT)
"""Every surface that writes text; a cap is spent to the cent at each."""
