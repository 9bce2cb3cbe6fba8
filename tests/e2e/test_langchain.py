"""LangChain's chat models, unmodified, through a sidecar: the stories of sdk_stories.py."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from langchain_anthropic import ChatAnthropic
from langchain_core.language_models import BaseChatModel
from langchain_google_genai import ChatGoogleGenerativeAI
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

from tests.e2e.sdk_stories import Cast, Library, Outcome, Play, SdkStories, stand_with_a_sidecar
from tests.e2e.stand import Stand

LEFT_AFTER_PIECES = 2
OUTPUT_TOKENS_DEFAULT = 1_000

Order = dict[str, Any]
Make = Callable[[Order, list[Any]], BaseChatModel]


class Lead(BaseModel):
    """What a structured answer holds."""

    name: str
    worth: int


def weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"sunny in {city}"


def given(order: Order, **names: str) -> dict[str, Any]:
    """The options of an order, by the names that a model has for them."""
    return {name: order[option] for name, option in names.items() if option in order}


def counted(model: Any, sent: list[Any]) -> BaseChatModel:
    """Count the requests of a model that lets no client be handed in."""
    model._client._client.event_hooks = {"request": [sent.append]}
    found: BaseChatModel = model
    return found


def openai_model(order: Order, sent: list[Any]) -> BaseChatModel:
    made: Any = ChatOpenAI
    model = made(
        model=order["model"],
        base_url=f"{order['url']}/v1",
        api_key=order["key"],
        timeout=seconds(order),
        **given(order, max_retries="retries", max_completion_tokens="limit"),
    )
    model.root_client._client.event_hooks = {"request": [sent.append]}
    found: BaseChatModel = model
    return found


def anthropic_model(order: Order, sent: list[Any]) -> BaseChatModel:
    made: Any = ChatAnthropic
    model = made(
        model=order["model"],
        base_url=order["url"],
        api_key=order["key"],
        timeout=seconds(order),
        max_tokens=order.get("limit", OUTPUT_TOKENS_DEFAULT),
        **given(order, max_retries="retries"),
    )
    return counted(model, sent)


def google_model(order: Order, sent: list[Any]) -> BaseChatModel:
    """Its library counts attempts, of which the first is one."""
    return ChatGoogleGenerativeAI(
        model=order["model"],
        base_url=order["url"],
        api_key=order["key"],
        timeout=seconds(order),
        max_retries=1 + order.get("retries", 5),
        client_args={"event_hooks": {"request": [sent.append]}},
        **given(order, max_output_tokens="limit"),
    )


def seconds(order: Order) -> float | None:
    return order["timeout_ms"] / 1_000 if "timeout_ms" in order else None


def streamed(model: BaseChatModel, order: Order) -> dict[str, Any]:
    found = []
    for piece in model.stream(order["prompt"]):
        if piece.text:
            found.append(piece.text)
        if order["do"] == "left" and len(found) >= LEFT_AFTER_PIECES:
            break
    return {"text": "".join(found), "pieces": len(found)}


def tools(model: BaseChatModel, order: Order) -> dict[str, Any]:
    answer: Any = model.bind_tools([weather]).invoke(order["prompt"])
    [call] = answer.tool_calls
    return {"tool": call["name"], "input": call["args"]}


def structured(model: BaseChatModel, order: Order) -> dict[str, Any]:
    lead: Any = model.with_structured_output(Lead, method="json_schema").invoke(order["prompt"])
    found: dict[str, Any] = lead.model_dump()
    return found


WAYS: dict[str, Callable[[BaseChatModel, Order], dict[str, Any]]] = {
    "plain": lambda model, order: {"text": model.invoke(order["prompt"]).text},
    "streamed": streamed,
    "left": streamed,
    "tools": tools,
    "structured": structured,
}


def play_of(make: Make) -> Play:
    """Play orders with a chat model, whose requests are counted."""

    def play(order: Order) -> Outcome:
        sent: list[Any] = []
        model = make(order, sent)
        try:
            said = WAYS[order["do"]](model, order)
        except Exception as error:  # noqa: BLE001 - the story says which it must be
            return failed(len(sent), error)
        return Outcome(len(sent), said)

    return play


def failed(requests: int, error: BaseException) -> Outcome:
    """An error, and that of the library below, which LangChain may have wrapped."""
    chain = [error, *([error.__cause__] if error.__cause__ is not None else [])]
    types = tuple(kind.__name__ for each in chain for kind in type(each).__mro__)
    found = [getattr(each, name, None) for each in chain for name in ("status_code", "code")]
    status = next((each for each in found if isinstance(each, int)), None)
    return Outcome(requests, {}, types, status, str(error))


def library(name: str, model: str, cent_model: str) -> Library:
    """OpenAI's and Anthropic's errors have the same names."""
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
        (library("langchain openai", "gpt-5-mini", "rehearsal-cent"), play_of(openai_model)),
        (
            library("langchain anthropic", "claude-haiku-4-5", "claude-rehearsal-cent"),
            play_of(anthropic_model),
        ),
        (
            Library(
                name="langchain google",
                model="gemini-2.5-flash",
                cent_model="gemini-rehearsal-cent",
                refused="ClientError",
                unknown_key="ClientError",
                broken="ServerError",
                timed_out="TimeoutException",
            ),
            play_of(google_model),
        ),
    )


class TestLangChain(SdkStories):
    """Every story, with all models at once."""
