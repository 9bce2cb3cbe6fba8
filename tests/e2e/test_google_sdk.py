"""Google's own SDK, unmodified, through a sidecar: all that it offers works."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from google import genai
from google.genai import errors, types
from pydantic import BaseModel

from tests.e2e.stand import Client, Stand

DOLLAR = 1_000_000_000
MODEL = "gemini-2.5-flash"


class Lead(BaseModel):
    """What a structured answer holds."""

    name: str
    worth: int


def weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"sunny in {city}"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    with Stand(tmp_path_factory.mktemp("stand")) as stand:
        stand.start_sidecar("one")
        yield stand


@pytest.fixture
def stand(running: Stand) -> Stand:
    running.provider("/rehearsal/reset", {})
    return running


@pytest.fixture
def client(stand: Stand, request: pytest.FixtureRequest) -> Client:
    return known(stand, stand.add_client(request.node.name[:60], DOLLAR))


def known(stand: Stand, client: Client) -> Client:
    stand.until_known("one", client)
    return client


def sdk(stand: Stand, key: str, **options: Any) -> genai.Client:
    return genai.Client(
        api_key=key, http_options=types.HttpOptions(base_url=stand.url("one"), **options)
    )


def booked_exactly(stand: Stand, client: Client, calls: int) -> None:
    """The ledger has so many calls, and of all what the provider billed."""
    bill = stand.bill_nano_usd()
    stand.until(lambda: len(stand.ledger(client.project_id)) == calls)
    ledger = stand.ledger(client.project_id)
    assert sum(call.cost_nano_usd for call in ledger) == bill > 0
    assert not any(call.estimated for call in ledger)


@pytest.mark.parametrize("version", ["v1", "v1beta"])
def test_plain_streamed_and_chats(stand: Stand, client: Client, version: str) -> None:
    with sdk(stand, client.key, api_version=version) as google:
        answer = google.models.generate_content(model=MODEL, contents="Hello there")
        assert answer.text
        assert answer.usage_metadata is not None
        assert answer.usage_metadata.total_token_count
        pieces = list(
            google.models.generate_content_stream(
                model=MODEL, contents="[rehearse reply_tokens=20 chunk_tokens=5] Again"
            )
        )
        assert len("".join(piece.text or "" for piece in pieces)) == 80
        chat = google.chats.create(model=MODEL)
        assert chat.send_message("One").text
        assert chat.send_message("Two").text
    booked_exactly(stand, client, 4)


def test_tools_are_called_by_the_sdk_itself(stand: Stand, client: Client) -> None:
    config = types.GenerateContentConfig(
        tools=[weather],
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
        thinking_config=types.ThinkingConfig(thinking_budget=50),
    )
    with sdk(stand, client.key) as google:
        answer = google.models.generate_content(
            model=MODEL,
            contents="[rehearse tool_call reasoning_tokens=11] How is it in Rome?",
            config=config,
        )
    assert answer.function_calls is not None
    assert answer.function_calls[0].name == "weather"
    assert answer.function_calls[0].args == {"city": "rehearsal"}
    booked_exactly(stand, client, 1)


def test_structured_output(stand: Stand, client: Client) -> None:
    stand.provider("/rehearsal/knobs", {"reply_text": '{"name": "Acme", "worth": 7}'})
    config = types.GenerateContentConfig(
        response_mime_type="application/json",
        response_schema=Lead,
        system_instruction="Answer with a lead.",
        temperature=0.2,
    )
    with sdk(stand, client.key) as google:
        answer = google.models.generate_content(model=MODEL, contents="Who?", config=config)
    assert answer.parsed == Lead(name="Acme", worth=7)
    booked_exactly(stand, client, 1)


def test_embeddings_counts_and_models(stand: Stand, client: Client) -> None:
    """Embeddings tell no usage: they are charged their bound, which is never below the bill."""
    texts: Any = ["one text", "another text"]
    with sdk(stand, client.key) as google:
        made = google.models.embed_content(model="gemini-embedding-001", contents=texts)
        assert made.embeddings is not None
        assert len(made.embeddings) == 2
        counted = google.models.count_tokens(model=MODEL, contents="How many are these?")
        assert counted.total_tokens
        names = [model.name for model in google.models.list()]
    assert f"models/{MODEL}" in names
    stand.until(lambda: len(stand.ledger(client.project_id)) == 2)
    count, embedding = stand.ledger(client.project_id)
    assert (count.cost_nano_usd, count.estimated) == (0, False)
    assert embedding.estimated
    assert embedding.cost_nano_usd >= stand.bill_nano_usd() > 0


@pytest.mark.parametrize("stream", [False, True])
def test_a_refusal_raises_the_sdks_typed_error_at_once_even_where_it_may_retry(
    stand: Stand, *, stream: bool
) -> None:
    client = known(stand, stand.add_client(f"Broke {stream}", 1_000))
    seen: list[Any] = []
    options = types.HttpOptions(
        base_url=stand.url("one"),
        retry_options=types.HttpRetryOptions(attempts=4, initial_delay=0.01),
        client_args={"event_hooks": {"request": [seen.append]}},
    )

    def call(google: genai.Client) -> None:
        if stream:
            list(google.models.generate_content_stream(model=MODEL, contents="Hello"))
        else:
            google.models.generate_content(model=MODEL, contents="Hello")

    google = genai.Client(api_key=client.key, http_options=options)
    with google, pytest.raises(errors.ClientError) as caught:
        call(google)
    assert caught.value.code == 402
    assert caught.value.status == "FAILED_PRECONDITION"
    assert "is left in the budget" in str(caught.value.message)
    assert caught.value.details["error"]["details"][0]["reason"] == "REQUEST_EXCEEDS_BUDGET"
    assert len(seen) == 1


def test_other_refusals_and_the_providers_own_errors(stand: Stand, client: Client) -> None:
    search = types.GenerateContentConfig(tools=[types.Tool(google_search=types.GoogleSearch())])
    with sdk(stand, client.key) as google:
        with pytest.raises(errors.ClientError) as refused:
            google.models.generate_content(model=MODEL, contents="Hello", config=search)
        assert (refused.value.code, refused.value.status) == (403, "PERMISSION_DENIED")
        with pytest.raises(errors.ServerError) as broken:
            google.models.generate_content(model=MODEL, contents="[rehearse error=503] Hello")
        assert broken.value.status == "UNAVAILABLE"
        with pytest.raises(errors.ServerError):
            list(
                google.models.generate_content_stream(
                    model=MODEL, contents="[rehearse error=500] Hello"
                )
            )
    with sdk(stand, "bursar_pk_" + "x" * 32) as stranger, pytest.raises(errors.ClientError) as who:
        stranger.models.generate_content(model=MODEL, contents="Hello")
    assert (who.value.code, who.value.status) == (401, "UNAUTHENTICATED")


def test_many_streams_at_once_in_asyncio(stand: Stand, client: Client) -> None:
    async def one(google: genai.Client, number: int) -> int:
        stream = await google.aio.models.generate_content_stream(
            model=MODEL, contents=f"[rehearse reply_tokens={number}] Count"
        )
        return sum([len(chunk.text or "") async for chunk in stream])

    async def all_of_them() -> list[int]:
        google = sdk(stand, client.key)
        lengths = await asyncio.gather(*(one(google, number) for number in range(1, 13)))
        await google.aio.aclose()
        return lengths

    assert asyncio.run(all_of_them()) == [4 * number for number in range(1, 13)]
    booked_exactly(stand, client, 12)
