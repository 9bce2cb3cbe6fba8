"""LangChain's chat models, unmodified, through a sidecar: plain and streamed, exactly billed."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from langchain_anthropic import ChatAnthropic
from langchain_core.language_models import BaseChatModel
from langchain_google_genai import ChatGoogleGenerativeAI
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from tests.e2e.stand import Client, Stand

DOLLAR = 1_000_000_000
PROMPT = "[rehearse reply_tokens=25 chunk_tokens=5] Is this lead worth a call?"


def openai_model(url: str, key: str) -> BaseChatModel:
    return ChatOpenAI(
        model="gpt-5-mini", base_url=f"{url}/v1", api_key=SecretStr(key), max_completion_tokens=90
    )


def anthropic_model(url: str, key: str) -> BaseChatModel:
    made: Any = ChatAnthropic
    model: BaseChatModel = made(
        model="claude-haiku-4-5", base_url=url, api_key=SecretStr(key), max_tokens=90
    )
    return model


def google_model(url: str, key: str) -> BaseChatModel:
    return ChatGoogleGenerativeAI(
        model="gemini-2.5-flash", base_url=url, api_key=SecretStr(key), max_output_tokens=90
    )


MODELS = pytest.mark.parametrize("make", [openai_model, anthropic_model, google_model])
Make = Callable[[str, str], BaseChatModel]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    with Stand(tmp_path_factory.mktemp("stand")) as stand:
        stand.start_sidecar("one")
        yield stand


@pytest.fixture
def stand(running: Stand) -> Stand:
    running.provider("/rehearsal/reset", {})
    return running


def booked_exactly(stand: Stand, client: Client, calls: int) -> None:
    bill = stand.bill_nano_usd()
    stand.until(lambda: len(stand.ledger(client.project_id)) == calls)
    ledger = stand.ledger(client.project_id)
    assert sum(call.cost_nano_usd for call in ledger) == bill > 0
    assert not any(call.estimated for call in ledger)


@MODELS
def test_plain_and_streamed(stand: Stand, make: Make) -> None:
    client = stand.add_client(f"LangChain {make.__name__}", DOLLAR)
    stand.until_known("one", client)
    model = make(stand.url("one"), client.key)
    answer = model.invoke(PROMPT)
    assert len(answer.text) == 100
    pieces = list(model.stream(PROMPT))
    assert "".join(piece.text for piece in pieces) == answer.text
    assert len(pieces) > 2
    booked_exactly(stand, client, 2)


@MODELS
def test_a_refusal_is_raised_at_once(stand: Stand, make: Make) -> None:
    client = stand.add_client(f"LangChain broke {make.__name__}", 1_000)
    stand.until_known("one", client)
    model = make(stand.url("one"), client.key)
    with pytest.raises(Exception, match="is left in the budget"):
        model.invoke(PROMPT)
    assert stand.bill_nano_usd() == 0
