"""Stories of providers that speak OpenAI's API, each in its own way, held against the bill."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio

from protos.values.rates import Tier
from sidecar.core.calls import Outcome
from sidecar.core.policy import DatedPrice, Policy, Provider
from tests.sidecar.runtime import wire
from tests.sidecar.runtime.wire import Rehearsal, chat, exchange, request, serving

pytestmark = pytest.mark.trio

CHAT = "/v1/chat/completions"
DEPLOYMENT = "deployment-of-gpt-4o-mini"
AZURE = f"/openai/deployments/{DEPLOYMENT}/chat/completions?api-version=2024-10-21"
MANNERS = {
    "azure": "azure",
    "deepseek": "deepseek",
    "groq": "groq",
    "mistral": "mistral",
    "openrouter": "openrouter",
    "openrouter-byok": "openrouter",
    "vllm": "vllm",
    "xai": "xai",
}
"""By the rehearsal's manner, the name of the provider that has it."""
BILLS_IN_MONEY = ("openrouter", "openrouter-byok", "xai")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    with wire.rehearsing(tmp_path_factory.mktemp("rehearsal")) as rehearsal:
        yield rehearsal


@pytest.fixture
def rehearsal(running: Rehearsal) -> Rehearsal:
    running.reset()
    return running


def dearer(dated: DatedPrice) -> DatedPrice:
    """A price that is not the provider's: whoever bills by it is found out."""
    (tier,) = dated.price.tiers
    rates = {kind: 3 * rate for kind, rate in tier.rates_pico_usd.items()}
    return replace(dated, price=replace(dated.price, tiers=(Tier(0, rates),)))


def policy_of(rehearsal: Rehearsal, manner: str) -> Policy:
    """One provider of that manner, which serves what OpenAI does at the rehearsal."""
    name = MANNERS[manner]
    prices = [
        replace(dated, price=replace(dated.price, provider=name))
        for dated in wire.prices_of(rehearsal)
        if dated.price.provider == "openai"
    ]
    if manner in BILLS_IN_MONEY:
        prices = list(map(dearer, prices))
    policy = wire.policy_for(rehearsal.url, prices)
    (openai, *_) = policy.providers
    provider = Provider(
        name,
        "openai",
        rehearsal.url,
        openai.sealed_secret,
        1,
        deployments={DEPLOYMENT: "gpt-4o-mini"} if name == "azure" else {},
    )
    return Policy(
        version=1,
        projects=policy.projects,
        keys=policy.keys,
        budgets=policy.budgets,
        prices=prices,
        providers=[provider],
    )


@pytest.mark.parametrize(
    ("model", "name"),
    [("gpt-4o-search-preview", "search"), ("gpt-4o-mini", "gpt-4o-search-preview")],
)
async def test_a_model_that_searches_by_itself_is_refused_whatever_its_name(
    tmp_path: Path, rehearsal: Rehearsal, model: str, name: str
) -> None:
    (plain,) = [dated for dated in wire.prices_of(rehearsal) if dated.price.model == "gpt-4o-mini"]
    searching = replace(plain, price=replace(plain.price, model=model, aliases=(name,)))
    policy = wire.policy_for(rehearsal.url, [searching])
    async with serving(tmp_path, policy) as sidecar:
        data = request(CHAT, chat("Say it", model=name), port=sidecar.port)
        answer = await exchange(sidecar.port, data)
    assert answer.status == 403
    assert b"searches the web by itself" in answer.body
    assert rehearsal.bill()["calls"] == []


def chunks_of(body: bytes) -> list[Any]:
    events = [part for part in body.split(b"\n\n") if part.startswith(b"data: {")]
    return [json.loads(event.removeprefix(b"data: ")) for event in events]


@pytest.mark.parametrize("manner", MANNERS)
@pytest.mark.parametrize("way", ["plain", "streamed", "streamed with usage"])
async def test_what_is_settled_is_what_was_billed(
    tmp_path: Path, rehearsal: Rehearsal, manner: str, way: str
) -> None:
    rehearsal.knobs(speak_as=manner, reasoning_tokens=7, cached_tokens=2)
    wanted = way == "streamed with usage" and manner != "mistral"
    options = {"stream_options": {"include_usage": True}} if wanted else {}
    body = chat("Say it " + "again " * 30, stream=way != "plain", **options)
    async with serving(tmp_path, policy_of(rehearsal, manner)) as sidecar:
        answer = await exchange(sidecar.port, request(CHAT, body, port=sidecar.port))
        assert answer.status == 200, answer.body
        (billed,) = await rehearsal.ended(1)
    outcome = sidecar.booked.only()
    assert outcome.cost_nano_usd == int(billed["cost_nano_usd"]) > 0
    # Who bills in money here bills another sum than the price book makes of the same tokens.
    doubt = "price_drift" if manner in BILLS_IN_MONEY else ""
    assert (outcome.outcome, outcome.estimated, outcome.error_kind) == (Outcome.OK, False, doubt)
    assert outcome.cost_told is (manner in BILLS_IN_MONEY)
    if way == "plain":
        return
    chunks = chunks_of(answer.body)
    without_choices = [chunk for chunk in chunks if chunk["choices"] == []]
    filters = [chunk for chunk in without_choices if "prompt_filter_results" in chunk]
    usages = [chunk for chunk in without_choices if "prompt_filter_results" not in chunk]
    assert len(filters) == (manner == "azure")
    assert len(usages) == (1 if wanted else 0)
    assert not any(chunk.get("usage") for chunk in chunks if chunk["choices"])


async def test_what_a_usage_tells_and_nobody_can_price_is_named_in_an_alarm_once(
    tmp_path: Path, rehearsal: Rehearsal, caplog: pytest.LogCaptureFixture
) -> None:
    rehearsal.knobs(service_tier="priority")
    policy = wire.policy_for(rehearsal.url, wire.prices_of(rehearsal))
    body = chat(model="gpt-4.1-mini")
    async with serving(tmp_path, policy) as sidecar:
        for _ in range(2):
            await exchange(sidecar.port, request(CHAT, body, port=sidecar.port))
    settled = sidecar.booked.settled.values()
    assert {outcome.error_kind for outcome in settled} == {"unpriced_usage"}
    told = [record.getMessage() for record in caplog.records if "priority" in record.getMessage()]
    assert len(told) == 1
    assert "gpt-4.1-mini" in told[0]


async def test_a_caller_that_asks_for_usage_in_each_chunk_gets_it(
    tmp_path: Path, rehearsal: Rehearsal
) -> None:
    rehearsal.knobs(speak_as="vllm")
    options = {"include_usage": True, "continuous_usage_stats": True}
    body = chat(stream=True, stream_options=options)
    async with serving(tmp_path, policy_of(rehearsal, "vllm")) as sidecar:
        answer = await exchange(sidecar.port, request(CHAT, body, port=sidecar.port))
    assert all(chunk.get("usage") for chunk in chunks_of(answer.body))


@pytest.mark.parametrize(
    ("path", "lines"),
    [
        (AZURE, {"api-key": wire.KEY}),
        (CHAT, {"Authorization": f"Bearer {wire.KEY}"}),
        ("/openai/v1/chat/completions", {"api-key": wire.KEY}),
    ],
)
async def test_azure_is_called_by_deployment_and_charged_by_the_model_that_it_is(
    tmp_path: Path, rehearsal: Rehearsal, path: str, lines: dict[str, str]
) -> None:
    rehearsal.knobs(speak_as="azure")
    body = chat(stream=True, model=DEPLOYMENT if path == AZURE else "gpt-4o-mini")
    if path == AZURE:
        del body["model"]
    async with serving(tmp_path, policy_of(rehearsal, "azure")) as sidecar:
        data = request(path, body, port=sidecar.port, key=None, lines=lines)
        answer = await exchange(sidecar.port, data)
        assert answer.status == 200, answer.body
    (billed,) = rehearsal.bill()["calls"]
    hold = sidecar.booked.opened[0]
    assert billed["path"] == (path.partition("?")[0] if path == AZURE else f"/openai{CHAT}")
    assert billed["key_hint"] == f"...{wire.PROVIDER_SECRET[-4:]}"
    assert hold.call.attributes.model == "gpt-4o-mini"
    assert sidecar.booked.cost_nano_usd == int(billed["cost_nano_usd"]) > 0


@pytest.mark.parametrize("named_by", ["deployment", "alias"])
async def test_a_picture_is_bounded_by_the_model_that_looks_at_it_whatever_its_name(
    tmp_path: Path, rehearsal: Rehearsal, named_by: str
) -> None:
    """A picture makes 48,169 tokens at most at gpt-4o-mini, and 1,445 at gpt-4o."""
    found = policy_of(rehearsal, "azure")
    (mini,) = [dated for dated in found.prices if dated.price.model == "gpt-4o-mini"]
    (azure,) = found.providers
    if named_by == "alias":
        mini = replace(mini, price=replace(mini.price, aliases=("gpt-4o",)))
    else:
        azure = replace(azure, deployments={"gpt-4o": "gpt-4o-mini"})
    policy = Policy(
        version=1,
        projects=found.projects,
        keys=found.keys,
        budgets=found.budgets,
        prices=[mini],
        providers=[azure],
    )
    image = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    messages = [{"role": "user", "content": [image]}]
    body = chat(model="gpt-4o", max_tokens=1) | {"messages": messages}
    async with serving(tmp_path, policy) as sidecar:
        await exchange(sidecar.port, request(CHAT, body, port=sidecar.port))
    (hold,) = sidecar.booked.opened
    assert hold.call.attributes.model == "gpt-4o-mini"
    rate_pico_usd = mini.price.tiers[0].rates_pico_usd["input"]
    assert hold.worst_nano_usd * 1_000 >= 48_169 * rate_pico_usd


async def test_no_deployment_of_azures_is_looked_for_at_another_provider(
    tmp_path: Path, rehearsal: Rehearsal
) -> None:
    policy = wire.policy_for(rehearsal.url, wire.prices_of(rehearsal))
    path = AZURE.replace(DEPLOYMENT, "gpt-4o-mini")
    async with serving(tmp_path, policy) as sidecar:
        answer = await exchange(sidecar.port, request(path, chat(), port=sidecar.port))
    assert answer.status == 403
    assert rehearsal.bill()["calls"] == []


@pytest.mark.parametrize("path", [CHAT, "/v1beta/openai/chat/completions"])
@pytest.mark.parametrize("stream", [False, True])
async def test_geminis_models_are_served_in_openais_format_too(
    tmp_path: Path, rehearsal: Rehearsal, path: str, stream: bool
) -> None:
    """Their thoughts are not among completion_tokens; only the total tells."""
    rehearsal.knobs(speak_as="gemini", reasoning_tokens=9)
    policy = wire.policy_for(rehearsal.url, wire.prices_of(rehearsal))
    body = chat(model="gemini-2.5-flash", stream=stream)
    async with serving(tmp_path, policy) as sidecar:
        answer = await exchange(sidecar.port, request(path, body, port=sidecar.port))
        assert answer.status == 200, answer.body
    (billed,) = rehearsal.bill()["calls"]
    outcome = sidecar.booked.only()
    assert billed["path"] == "/v1beta/openai/chat/completions"
    assert (outcome.cost_nano_usd, outcome.estimated) == (int(billed["cost_nano_usd"]), False)


@pytest.mark.parametrize(
    ("manner", "exact"),
    [("groq", True), ("mistral", True), ("vllm", False), ("xai", False), ("openrouter", True)],
)
async def test_a_stream_that_is_left_is_settled_as_its_provider_bills_it(
    tmp_path: Path, rehearsal: Rehearsal, manner: str, exact: bool
) -> None:
    """Read to its end where that is billed; else cut, and charged for what was seen and a bit."""
    rehearsal.knobs(speak_as=manner, reply_tokens=300, chunk_tokens=2, chunk_ms=4)
    body = chat(stream=True, max_tokens=2_000)
    async with serving(tmp_path, policy_of(rehearsal, manner)) as sidecar:
        async with await trio.open_tcp_stream("127.0.0.1", sidecar.port) as stream:
            await stream.send_all(request(CHAT, body, port=sidecar.port))
            while b"choices" not in await stream.receive_some():
                pass
        await wire.until(lambda: sidecar.booked.settled)
    (billed,) = await rehearsal.ended(1)
    outcome = sidecar.booked.only()
    assert outcome.outcome is Outcome.CLIENT_GONE
    assert outcome.estimated is not exact
    if exact:
        assert billed["outcome"] == "done"
        assert outcome.cost_nano_usd == int(billed["cost_nano_usd"])
    else:
        assert billed["outcome"] == "client_gone"
        assert int(billed["cost_nano_usd"]) <= outcome.cost_nano_usd
        assert outcome.cost_nano_usd < sidecar.booked.opened[0].worst_nano_usd


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (CHAT, chat(web_search_options={})),
        (CHAT, chat(extra_body={"google": {"cached_content": "x"}})),
        (CHAT, chat(models=["a", "b"])),
        (CHAT, chat(data_sources=[{"type": "azure_search"}])),
        ("/v1/responses", wire.response(models=["a", "b"], plugins=[{"id": "web"}])),
        ("/v1/completions", wire.completion(plugins=[{"id": "web"}])),
    ],
)
@pytest.mark.parametrize("free", [False, True])
async def test_what_has_no_bound_is_refused_also_when_it_says_nothing_more_or_is_free(
    tmp_path: Path, rehearsal: Rehearsal, path: str, body: dict[str, Any], free: bool
) -> None:
    prices = wire.prices_of(rehearsal)
    if free:
        nothing = (Tier(0, {"input": 0, "output": 0}),)
        prices = [replace(each, price=replace(each.price, tiers=nothing)) for each in prices]
    async with serving(tmp_path, wire.policy_for(rehearsal.url, prices)) as sidecar:
        answer = await exchange(sidecar.port, request(path, body, port=sidecar.port))
    assert answer.status == 403
    assert answer.json()["error"]["code"] == "unbounded_feature"
    assert rehearsal.bill()["calls"] == []
