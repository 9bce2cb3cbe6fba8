"""The official Python libraries, unmodified, through a sidecar: the stories of sdk_stories.py."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import openai
import pytest
from google import genai
from pydantic import BaseModel

from tests.e2e.sdk_stories import Cast, Library, Outcome, Play, SdkStories, stand_with_a_sidecar
from tests.e2e.stand import Stand

LEFT_AFTER_PIECES = 2
OUTPUT_TOKENS_DEFAULT = 1_000
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}

Order = dict[str, Any]
Said = dict[str, Any]
Ways = dict[str, Callable[[Any, Order], Said]]


class Lead(BaseModel):
    """What a structured answer holds."""

    name: str
    worth: int


def pieces(texts: Iterator[str], most: int) -> Said:
    """What a stream said until it ended, or its reader had enough."""
    found = []
    for text in texts:
        found.append(text)
        if len(found) >= most:
            break
    return {"text": "".join(found), "pieces": len(found)}


def most_of(order: Order) -> int:
    """After how many pieces a reader leaves."""
    return LEFT_AFTER_PIECES if order["do"] == "left" else 1_000


def chat(order: Order) -> dict[str, Any]:
    request = {
        "model": order["model"],
        "messages": [{"role": "user", "content": order["prompt"]}],
    }
    return request | ({"max_completion_tokens": order["limit"]} if "limit" in order else {})


def chat_streamed(client: openai.OpenAI, order: Order) -> Said:
    with client.chat.completions.create(stream=True, **chat(order)) as stream:
        return pieces((each.choices[0].delta.content or "" for each in stream), most_of(order))


def chat_tools(client: openai.OpenAI, order: Order) -> Said:
    tools: Any = [{"type": "function", "function": {"name": "weather", "parameters": CITY}}]
    answer = client.chat.completions.create(tools=tools, **chat(order))
    [call] = answer.choices[0].message.tool_calls
    return {"tool": call.function.name, "input": json.loads(call.function.arguments)}


def response(order: Order) -> dict[str, Any]:
    request = {"model": order["model"], "input": order["prompt"]}
    return request | ({"max_output_tokens": order["limit"]} if "limit" in order else {})


def response_streamed(client: openai.OpenAI, order: Order) -> Said:
    with client.responses.create(stream=True, **response(order)) as stream:
        texts = (each.delta for each in stream if each.type == "response.output_text.delta")
        return pieces(texts, most_of(order))


def response_tools(client: openai.OpenAI, order: Order) -> Said:
    tools: Any = [{"type": "function", "name": "weather", "parameters": CITY, "strict": False}]
    output = client.responses.create(tools=tools, **response(order)).output
    [call] = [item for item in output if item.type == "function_call"]
    return {"tool": call.name, "input": json.loads(call.arguments)}


def message(order: Order) -> dict[str, Any]:
    return {
        "model": order["model"],
        "messages": [{"role": "user", "content": order["prompt"]}],
        "max_tokens": order.get("limit", OUTPUT_TOKENS_DEFAULT),
    }


def message_streamed(client: anthropic.Anthropic, order: Order) -> Said:
    with client.messages.stream(**message(order)) as stream:
        return pieces(iter(stream.text_stream), most_of(order))


def message_tools(client: anthropic.Anthropic, order: Order) -> Said:
    tools: Any = [{"name": "weather", "input_schema": CITY}]
    content = client.messages.create(tools=tools, **message(order)).content
    [call] = [block for block in content if block.type == "tool_use"]
    return {"tool": call.name, "input": call.input}


def content(order: Order, **config: Any) -> dict[str, Any]:
    if "limit" in order:
        config["max_output_tokens"] = order["limit"]
    return {"model": order["model"], "contents": order["prompt"], "config": config}


def content_streamed(client: genai.Client, order: Order) -> Said:
    stream = client.models.generate_content_stream(**content(order))
    return pieces((each.text or "" for each in stream), most_of(order))


def content_tools(client: genai.Client, order: Order) -> Said:
    weather: Any = {"name": "weather", "parameters": CITY}
    tools = [{"function_declarations": [weather]}]
    answer = client.models.generate_content(**content(order, tools=tools))
    [call] = answer.function_calls or []
    return {"tool": call.name, "input": call.args}


def content_structured(client: genai.Client, order: Order) -> Said:
    asked = content(order, response_mime_type="application/json", response_schema=Lead)
    parsed: Any = client.models.generate_content(**asked).parsed
    found: Said = parsed.model_dump()
    return found


CHAT: Ways = {
    "plain": lambda sdk, order: {
        "text": sdk.chat.completions.create(**chat(order)).choices[0].message.content
    },
    "streamed": chat_streamed,
    "left": chat_streamed,
    "tools": chat_tools,
    "structured": lambda sdk, order: (
        sdk.chat.completions.parse(response_format=Lead, **chat(order))
        .choices[0]
        .message.parsed.model_dump()
    ),
}
RESPONSES: Ways = {
    "plain": lambda sdk, order: {"text": sdk.responses.create(**response(order)).output_text},
    "streamed": response_streamed,
    "left": response_streamed,
    "tools": response_tools,
    "structured": lambda sdk, order: sdk.responses.parse(
        text_format=Lead, **response(order)
    ).output_parsed.model_dump(),
}
MESSAGES: Ways = {
    "plain": lambda sdk, order: {"text": sdk.messages.create(**message(order)).content[0].text},
    "streamed": message_streamed,
    "left": message_streamed,
    "tools": message_tools,
    "structured": lambda sdk, order: sdk.messages.parse(
        output_format=Lead, **message(order)
    ).parsed_output.model_dump(),
}

CONTENT: Ways = {
    "plain": lambda sdk, order: {"text": sdk.models.generate_content(**content(order)).text},
    "streamed": content_streamed,
    "left": content_streamed,
    "tools": content_tools,
    "structured": content_structured,
}


def play_of(module: Any, made: Callable[..., Any], path: str, ways: Ways) -> Play:
    """Play orders with a client of a library, whose requests are counted."""

    def play(order: Order) -> Outcome:
        sent: list[Any] = []
        options = {
            "max_retries": order.get("retries"),
            "timeout": order["timeout_ms"] / 1_000 if "timeout_ms" in order else None,
        }
        counted = module.DefaultHttpxClient(event_hooks={"request": [sent.append]})
        with made(
            base_url=order["url"] + path,
            api_key=order["key"],
            http_client=counted,
            **{name: value for name, value in options.items() if value is not None},
        ) as client:
            try:
                said = ways[order["do"]](client, order)
            except (openai.OpenAIError, anthropic.AnthropicError) as error:
                types = tuple(kind.__name__ for kind in type(error).__mro__)
                status = getattr(error, "status_code", None)
                return Outcome(len(sent), {}, types, status, str(error))
        return Outcome(len(sent), said)

    return play


def play_google(order: Order) -> Outcome:
    """Play an order with Google's library, which tries again only where it is told to."""
    sent: list[Any] = []
    options = genai.types.HttpOptions(
        base_url=order["url"],
        timeout=order.get("timeout_ms"),
        retry_options=genai.types.HttpRetryOptions(attempts=1 + order.get("retries", 5)),
        client_args={"event_hooks": {"request": [sent.append]}},
    )
    with genai.Client(api_key=order["key"], http_options=options) as client:
        try:
            said = CONTENT[order["do"]](client, order)
        except Exception as error:  # noqa: BLE001 - the story says which it must be
            types = tuple(kind.__name__ for kind in type(error).__mro__)
            return Outcome(len(sent), {}, types, getattr(error, "code", None), str(error))
    return Outcome(len(sent), said)


def library(name: str, model: str, cent_model: str) -> Library:
    """Both libraries name their errors alike."""
    return Library(
        name=name,
        model=model,
        cent_model=cent_model,
        refused="APIStatusError",
        unknown_key="AuthenticationError",
        broken="InternalServerError",
        timed_out="APITimeoutError",
    )


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    yield from stand_with_a_sidecar(tmp_path_factory.mktemp("stand"))


@pytest.fixture(scope="module")
def cast() -> Cast:
    return (
        (
            library("openai chat", "gpt-5-mini", "rehearsal-cent"),
            play_of(openai, openai.OpenAI, "/v1", CHAT),
        ),
        (
            library("openai responses", "gpt-4.1-mini", "rehearsal-cent"),
            play_of(openai, openai.OpenAI, "/v1", RESPONSES),
        ),
        (
            library("anthropic messages", "claude-haiku-4-5", "claude-rehearsal-cent"),
            play_of(anthropic, anthropic.Anthropic, "", MESSAGES),
        ),
        (
            Library(
                name="google content",
                model="gemini-2.5-flash",
                cent_model="gemini-rehearsal-cent",
                refused="ClientError",
                unknown_key="ClientError",
                broken="ServerError",
                timed_out="TimeoutException",
            ),
            play_google,
        ),
    )


class TestPython(SdkStories):
    """Every story, with all ways at once."""
