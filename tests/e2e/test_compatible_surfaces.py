"""The cap holds where a call holds more than it costs: embeddings, Azure, and who speaks alike.

Each is called by an official SDK with its own address and key, through two sidecars.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any, NamedTuple

import openai
import pytest
from google import genai

from protos.bursar.admin import v1 as admin
from tests.e2e.stand import Client, Stand

DOLLAR = 1_000_000_000
CALLS = 40
WORST_CASES = 10
PROMPT = "[rehearse latency_ms=20 reply_tokens=17] Is this lead worth a call before noon?"
MINI = "gpt-4o-mini"
SMALL = "text-embedding-3-small"
DEPLOYED = "deployment-of-"
COMPATIBLE = ("deepseek", "groq", "mistral", "vllm")

Call = Callable[[Any], Awaitable[object]]


class Way(NamedTuple):
    """How one surface is called."""

    name: str
    open: Callable[[str, str], Any]
    """The SDK's client by the sidecar's URL and the key."""
    call: Call
    exact: bool = True
    """Whether the answer tells what it cost."""
    manner: str | None = None
    """How the rehearsal provider speaks; None for as OpenAI does."""


def openai_client(path: str) -> Callable[[str, str], Any]:
    return lambda url, key: openai.AsyncOpenAI(
        base_url=f"{url}{path}/v1", api_key=key, max_retries=0
    )


def azure_client(url: str, key: str) -> Any:
    return openai.AsyncAzureOpenAI(
        azure_endpoint=url, api_key=key, api_version="2024-10-21", max_retries=0
    )


def google_client(url: str, key: str) -> Any:
    return genai.Client(api_key=key, http_options=genai.types.HttpOptions(base_url=url)).aio


def chat(model: str, prompt: str = PROMPT) -> Call:
    messages = [{"role": "user", "content": prompt}]
    return lambda sdk: sdk.chat.completions.create(model=model, max_tokens=40, messages=messages)


def streamed(model: str) -> Call:
    async def call(sdk: Any) -> object:
        messages = [{"role": "user", "content": PROMPT}]
        stream = await sdk.chat.completions.create(
            model=model, max_tokens=40, messages=messages, stream=True
        )
        return [chunk async for chunk in stream]

    return call


def embedding(model: str) -> Call:
    return lambda sdk: sdk.embeddings.create(model=model, input=PROMPT)


WAYS = (
    Way("embeddings", openai_client(""), embedding(SMALL)),
    Way("azure chat", azure_client, chat(DEPLOYED + MINI)),
    Way("azure chat streamed", azure_client, streamed(DEPLOYED + MINI)),
    Way("azure embeddings", azure_client, embedding(DEPLOYED + SMALL)),
    Way(
        "gemini embeddings",
        google_client,
        lambda sdk: sdk.models.embed_content(model="gemini-embedding-001", contents=PROMPT),
        exact=False,
    ),
    *(
        Way(
            f"{name} {kind}",
            openai_client(f"/p/{name}"),
            make(MINI),
            manner=name,
        )
        for name in COMPATIBLE
        for kind, make in (("plain", chat), ("streamed", streamed))
    ),
)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    with Stand(tmp_path_factory.mktemp("stand")) as stand:
        set_up(stand, "azure", deployments={DEPLOYED + MINI: MINI, DEPLOYED + SMALL: SMALL})
        price(stand, "azure", SMALL, {"input": 20_000, "output": 0})
        for name in COMPATIBLE:
            set_up(stand, name)
        for name in ("azure", *COMPATIBLE):
            price(stand, name, MINI, {"input": 150_000, "cached": 75_000, "output": 600_000})
        for name in ("one", "two"):
            stand.start_sidecar(name)
        yield stand


@pytest.fixture
def stand(running: Stand) -> Stand:
    running.provider("/rehearsal/reset", {})
    return running


def set_up(stand: Stand, name: str, **options: Any) -> None:
    stand.bursar.ask(
        stand.bursar.providers.SetProvider,
        admin.SetProviderRequest(
            request_id=stand.request_id(),
            provider=admin.Provider(
                provider=name, family="openai", base_url=stand.provider_url(), **options
            ),
            secret=f"sk-rehearsal-{name}",
        ),
    )


def price(stand: Stand, provider: str, model: str, rates: dict[str, int]) -> None:
    """Price a model as the rehearsal provider bills it, in pico-dollars by kind."""
    stand.bursar.ask(
        stand.bursar.prices.SetPrice,
        admin.SetPriceRequest(
            request_id=stand.request_id(),
            price=admin.Price(
                provider=provider,
                model=model,
                input_max_count=128_000,
                output_max_count=16_384 if rates["output"] else 0,
                tiers=[
                    admin.PriceTier(
                        rates=[
                            admin.Rate(kind=kind, pico_usd=pico_usd)
                            for kind, pico_usd in rates.items()
                        ]
                    )
                ],
            ),
            reason="as the rehearsal provider bills it",
        ),
    )


def known(stand: Stand, name: str, cap_nano_usd: int) -> Client:
    """A new client, of whom both sidecars have heard."""
    client = stand.add_client(name, cap_nano_usd)
    for sidecar in ("one", "two"):
        stand.until_known(sidecar, client)
    return client


async def burst(stand: Stand, client: Client, way: Way, calls: int) -> list[int]:
    """Make so many calls at once, half of them through each sidecar; the status of each."""
    async with AsyncExitStack() as stack:
        sdks = [way.open(stand.url(name), client.key) for name in ("one", "two")]
        for sdk in sdks:
            await stack.enter_async_context(sdk)

        async def one(sdk: Any) -> int:
            try:
                await way.call(sdk)
            except openai.APIStatusError as refusal:
                return refusal.status_code
            except genai.errors.APIError as refusal:
                return int(refusal.code)
            return 200

        return await asyncio.gather(*(one(sdks[number % 2]) for number in range(calls)))


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_a_cap_of_ten_worst_cases_is_never_passed_and_spent_while_a_call_fits(
    stand: Stand, way: Way
) -> None:
    rich = known(stand, f"Rich {way.name}", DOLLAR)
    stand.provider("/rehearsal/knobs", {"speak_as": way.manner})
    assert asyncio.run(burst(stand, rich, way, 2)) == [200, 200]
    stand.until(lambda: len(stand.ledger(rich.project_id)) == 2)
    worst = max(call.worst_nano_usd for call in stand.ledger(rich.project_id))
    stand.provider("/rehearsal/reset", {})
    stand.provider("/rehearsal/knobs", {"speak_as": way.manner})

    client = known(stand, f"Capped {way.name}", WORST_CASES * worst)
    statuses = asyncio.run(burst(stand, client, way, CALLS))
    assert set(statuses) <= {200, 402}
    passed = statuses.count(200)
    assert passed >= WORST_CASES
    stand.until(lambda: len(stand.ledger(client.project_id)) == passed)
    spent = sum(call.cost_nano_usd for call in stand.ledger(client.project_id))
    assert spent == stand.budget(client.budget_id).current_period.spent_nano_usd
    assert stand.bill_nano_usd() <= spent <= WORST_CASES * worst
    if way.exact:
        assert spent == stand.bill_nano_usd()
    if passed < CALLS:
        assert WORST_CASES * worst - spent < worst, "a call was refused that could be paid"
