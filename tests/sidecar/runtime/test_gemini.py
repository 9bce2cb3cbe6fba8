"""Stories of Gemini's own API through a sidecar, held against the provider's own bill."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio

from protos.values.rates import Tier, Variant
from sidecar.core.calls import Outcome
from sidecar.core.policy import DatedPrice, Policy
from sidecar.http import limits
from tests.sidecar.runtime import wire
from tests.sidecar.runtime.wire import Rehearsal, content, exchange, request, serving

pytestmark = pytest.mark.trio

FLASH = "/v1beta/models/gemini-2.5-flash"
PLAIN, ARRAY = f"{FLASH}:generateContent", f"{FLASH}:streamGenerateContent"
SSE = f"{ARRAY}?alt=sse"
EMBED = "/v1beta/models/gemini-embedding-001:embedContent"
EMBEDS = "/v1beta/models/gemini-embedding-001:batchEmbedContents"
TOOL = {
    "functionDeclarations": [
        {
            "name": "weather",
            "parameters": {
                "type": "OBJECT",
                "properties": {"city": {"type": "STRING"}},
                "required": ["city"],
            },
        }
    ]
}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    with wire.rehearsing(tmp_path_factory.mktemp("rehearsal")) as rehearsal:
        yield rehearsal


@pytest.fixture
def rehearsal(running: Rehearsal) -> Rehearsal:
    running.reset()
    return running


def with_tiers(dated: DatedPrice) -> DatedPrice:
    """The price with the tiers that the rehearsal has: half for flex, nine fifths for priority."""
    (standard,) = dated.price.tiers

    def at(name: str, above: int, below: int) -> Variant:
        rates = {kind: rate * above // below for kind, rate in standard.rates_pico_usd.items()}
        return Variant(name, (Tier(0, rates),))

    variants = (at("flex", 1, 2), at("priority", 9, 5))
    return replace(dated, price=replace(dated.price, variants=variants, expands_text=True))


@pytest.fixture
def policy(rehearsal: Rehearsal) -> Policy:
    return wire.policy_for(rehearsal.url, list(map(with_tiers, wire.prices_of(rehearsal))))


CALLS = [
    (PLAIN, content()),
    (PLAIN, content("[rehearse split_bytes=5 cached_tokens=3] " + "x" * 99)),
    (PLAIN, content(config={"candidateCount": 3})),
    (PLAIN, content("[rehearse reasoning_tokens=9 reply_tokens=7]")),
    (PLAIN, content("[rehearse reasoning_tokens=9 thoughts_in_candidates]")),
    (PLAIN, content("[rehearse tool_call]", tools=[TOOL])),
    (PLAIN, {"contents": [{"parts": {"text": "Hi"}}], "generation_config": {"seed": 1}}),
    (PLAIN, content(systemInstruction={"parts": [{"text": "Be brief."}]}, serviceTier="flex")),
    (PLAIN, content("[rehearse service_tier=priority]", serviceTier="PRIORITY")),
    (PLAIN.replace("v1beta", "v1"), content()),
    (SSE.replace("v1beta", "v1"), content()),
    (SSE, content()),
    (SSE, content("[rehearse split_bytes=3]")),
    (SSE, content("[rehearse reasoning_tokens=9 chunk_tokens=1]", config={"candidateCount": 2})),
    (SSE, content("[rehearse tool_call]", tools=[TOOL])),
    (ARRAY, content()),
    (ARRAY, content("[rehearse split_bytes=7 chunk_tokens=2]", config={"candidateCount": 2})),
    (ARRAY, content('[rehearse reply_text="a {b, [c"]')),
    (EMBED, {"content": {"parts": [{"text": "[rehearse embedding_usage] Hi"}]}}),
    (
        EMBEDS,
        {
            "requests": [
                {
                    "model": "models/gemini-embedding-001",
                    "content": {"parts": [{"text": "[rehearse embedding_usage] Hi"}]},
                }
            ]
            * 3
        },
    ),
]


@pytest.mark.parametrize(("path", "body"), CALLS)
async def test_what_is_settled_is_what_was_billed(
    tmp_path: Path, rehearsal: Rehearsal, policy: Policy, path: str, body: dict[str, Any]
) -> None:
    async with serving(tmp_path, policy) as sidecar:
        answer = await exchange(sidecar.port, request(path, body, port=sidecar.port))
        assert answer.status == 200, answer.body
        (billed,) = await rehearsal.ended(1)
    outcome = sidecar.booked.only()
    assert outcome.outcome is Outcome.OK
    assert outcome.cost_nano_usd == int(billed["cost_nano_usd"]) > 0
    assert not outcome.estimated, outcome
    hold = sidecar.booked.opened[0]
    assert outcome.cost_nano_usd <= hold.worst_nano_usd
    assert int(billed["worst_nano_usd"]) <= hold.worst_nano_usd
    assert hold.call.streamed is ("stream" in path)
    if path == ARRAY:
        assert all("candidates" in chunk for chunk in answer.json())


async def test_an_answer_passes_through_byte_for_byte(
    tmp_path: Path, rehearsal: Rehearsal, policy: Policy
) -> None:
    """Both ways of streaming, and the request as it was written."""
    directive = "[rehearse seed=1] Say it twice."
    async with serving(tmp_path, policy) as sidecar:
        port = int(rehearsal.url.rpartition(":")[2])
        for path in (SSE, ARRAY):
            ours = await exchange(
                sidecar.port, request(path, content(directive), port=sidecar.port)
            )
            theirs = await exchange(port, request(path, content(directive), port=port))
            ids = [
                json.loads(part)["responseId"] if part.startswith(b"{") else ""
                for part in ours.body.replace(b"data: ", b"").split(b"\r\n\r\n")
            ]
            assert len(ours.body) == len(theirs.body)
            assert ours.headers["content-type"] == theirs.headers["content-type"]
            assert ids


async def test_embeddings_that_tell_no_usage_are_charged_their_bound(
    tmp_path: Path, rehearsal: Rehearsal, policy: Policy
) -> None:
    body = {"content": {"parts": [{"text": "How much is this?"}]}}
    async with serving(tmp_path, policy) as sidecar:
        answer = await exchange(sidecar.port, request(EMBED, body, port=sidecar.port))
    assert answer.status == 200
    outcome = sidecar.booked.only()
    assert outcome.estimated
    assert outcome.cost_nano_usd == sidecar.booked.opened[0].worst_nano_usd
    assert outcome.cost_nano_usd >= rehearsal.billed_nano_usd > 0


@pytest.mark.parametrize(
    "lines",
    [{"x-goog-api-key": wire.KEY}, {"Authorization": f"Bearer {wire.KEY}"}, {"query": wire.KEY}],
)
async def test_a_key_is_taken_wherever_the_api_takes_one_and_never_goes_on(
    tmp_path: Path, rehearsal: Rehearsal, policy: Policy, lines: dict[str, str]
) -> None:
    path = f"{SSE}&key={lines.pop('query')}" if "query" in lines else SSE
    async with serving(tmp_path, policy) as sidecar:
        data = request(path, content(), port=sidecar.port, key=None, lines=lines)
        answer = await exchange(sidecar.port, data)
    assert answer.status == 200
    (billed,) = rehearsal.bill()["calls"]
    assert billed["key_hint"] == f"...{wire.PROVIDER_SECRET[-4:]}"
    assert wire.KEY not in sidecar.log.getvalue()


REFUSED: list[Any] = [
    ("POST", PLAIN, content(tools=[{"googleSearch": {}}]), 403, "PERMISSION_DENIED", "search"),
    ("POST", PLAIN, content(tools=[{"google_search": {}}]), 403, "PERMISSION_DENIED", "search"),
    ("POST", PLAIN, content(tools=[{"urlContext": {}}]), 403, "PERMISSION_DENIED", "urlContext"),
    ("POST", PLAIN, content(tools=[{"newTool": {}}]), 403, "PERMISSION_DENIED", "newTool"),
    ("POST", PLAIN, content(new_field=1), 403, "PERMISSION_DENIED", "newField"),
    ("POST", PLAIN, content(serviceTier="lightning"), 403, "PERMISSION_DENIED", "lightning"),
    ("POST", PLAIN, content(generation_config={}), 400, "INVALID_ARGUMENT", "two spellings"),
    ("POST", PLAIN, content(config={"max_output_tokens": 9}), 400, "INVALID_ARGUMENT", "two"),
    ("POST", PLAIN, {}, 400, "INVALID_ARGUMENT", "contents"),
    ("POST", PLAIN, b"{", 400, "INVALID_ARGUMENT", "JSON"),
    ("POST", f"{SSE}&fields=candidates", content(), 400, "INVALID_ARGUMENT", "fields"),
    ("POST", f"{SSE}&alt=json", content(), 400, "INVALID_ARGUMENT", "twice"),
    ("POST", "/v1beta/models/x:generateContent", content(), 403, "PERMISSION_DENIED", "price"),
    ("POST", "/v1beta/cachedContents", {}, 403, "PERMISSION_DENIED", "hour"),
    ("POST", f"{FLASH}:batchGenerateContent", {}, 403, "PERMISSION_DENIED", "hours later"),
    ("GET", PLAIN, None, 405, "UNIMPLEMENTED", "POST"),
    ("GET", "/v1beta/models/gemini-9", None, 404, "NOT_FOUND", "gemini-9"),
]


@pytest.mark.parametrize("case", REFUSED)
async def test_refusals_stand_in_googles_own_envelope(
    tmp_path: Path, rehearsal: Rehearsal, policy: Policy, case: Any
) -> None:
    method, path, body, status, name, words = case
    async with serving(tmp_path, policy) as sidecar:
        data = request(path, body, port=sidecar.port, method=method)
        answer = await exchange(sidecar.port, data)
        nobody = await exchange(
            sidecar.port, request(PLAIN, content(), port=sidecar.port, key=None)
        )
    error = answer.json()["error"]
    assert (answer.status, error["code"], error["status"]) == (status, status, name)
    assert words in error["message"]
    assert error["details"][0]["@type"] == "type.googleapis.com/google.rpc.ErrorInfo"
    assert error["details"][0]["domain"] == "bursar"
    assert answer.headers["x-should-retry"] == "false"
    assert nobody.status == 401
    assert nobody.json()["error"]["status"] == "UNAUTHENTICATED"
    assert rehearsal.bill()["calls"] == []


async def test_a_secret_that_google_does_not_know_does_not_blame_the_callers_key(
    tmp_path: Path,
) -> None:
    with wire.rehearsing(tmp_path, "--require-key", "another") as strict:
        async with serving(
            tmp_path, wire.policy_for(strict.url, wire.prices_of(strict))
        ) as sidecar:
            answer = await exchange(sidecar.port, request(SSE, content(), port=sidecar.port))
    assert answer.status == 403
    assert answer.json()["error"]["details"][0]["reason"] == "PROVIDER_SECRET_REFUSED"


async def test_counting_is_free_and_models_are_listed_here(
    tmp_path: Path, rehearsal: Rehearsal, policy: Policy
) -> None:
    async with serving(tmp_path, policy) as sidecar:
        counted = await exchange(
            sidecar.port, request(f"{FLASH}:countTokens", content(), port=sidecar.port)
        )
        listed, one = [
            await exchange(sidecar.port, request(path, port=sidecar.port, method="GET"))
            for path in ("/v1beta/models?pageSize=50", FLASH)
        ]
    assert counted.json()["totalTokens"] > 0
    assert sidecar.booked.cost_nano_usd == rehearsal.billed_nano_usd == 0
    names = [model["name"] for model in listed.json()["models"]]
    assert "models/gemini-2.5-flash" in names
    assert not any("gpt" in name for name in names)
    assert one.json()["outputTokenLimit"] == 65_536


LONG = "[rehearse reply_tokens=400 chunk_tokens=4 chunk_ms=5]"


async def begin_and_hang_up(port: int, path: str, body: Any) -> None:
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(request(path, body, port=port))
        while b"candidates" not in await stream.receive_some():
            pass


@pytest.mark.parametrize("path", [SSE, ARRAY])
async def test_a_stream_whose_caller_hangs_up_is_read_on_and_settled_exactly(
    tmp_path: Path, rehearsal: Rehearsal, policy: Policy, path: str
) -> None:
    """Google bills it to its end, so nothing is won by cutting it, and all is known by reading."""
    body = content(LONG, config={"maxOutputTokens": 1_000})
    async with serving(tmp_path, policy) as sidecar:
        await begin_and_hang_up(sidecar.port, path, body)
        await wire.until(lambda: sidecar.booked.settled)
    (billed,) = await rehearsal.ended(1)
    outcome = sidecar.booked.only()
    assert billed["outcome"] == "done"
    assert (outcome.outcome, outcome.estimated) == (Outcome.CLIENT_GONE, False)
    assert outcome.quantities["output"] == 400
    assert outcome.cost_nano_usd == int(billed["cost_nano_usd"])


async def test_a_caller_that_leaves_before_the_first_byte_is_settled_exactly_too(
    tmp_path: Path, rehearsal: Rehearsal, policy: Policy
) -> None:
    body = content("[rehearse latency_ms=700 reply_tokens=9]")
    async with serving(tmp_path, policy) as sidecar:
        async with await trio.open_tcp_stream("127.0.0.1", sidecar.port) as stream:
            await stream.send_all(request(SSE, body, port=sidecar.port))
            await rehearsal.in_flight(1)
        await wire.until(lambda: sidecar.booked.settled)
    (billed,) = await rehearsal.ended(1)
    outcome = sidecar.booked.only()
    assert (outcome.outcome, outcome.estimated) == (Outcome.CLIENT_GONE, False)
    assert outcome.cost_nano_usd == int(billed["cost_nano_usd"])


@pytest.mark.parametrize("case", ["full", "ending"])
async def test_what_is_not_read_on_is_charged_at_the_worst_case(
    tmp_path: Path,
    rehearsal: Rehearsal,
    policy: Policy,
    monkeypatch: pytest.MonkeyPatch,
    case: str,
) -> None:
    """No room for another drain, or a sidecar that ends: the provider bills to the end anyway."""
    if case == "full":
        monkeypatch.setattr(limits, "DRAINS_MAX_CALLS", 0)
    body = content(LONG, config={"maxOutputTokens": 1_000})
    async with serving(tmp_path, policy) as sidecar:
        await begin_and_hang_up(sidecar.port, SSE, body)
        if case == "full":
            await wire.until(lambda: sidecar.booked.settled)
    outcome = sidecar.booked.only()
    assert (outcome.outcome, outcome.estimated) == (Outcome.CLIENT_GONE, True)
    assert outcome.cost_nano_usd == sidecar.booked.opened[0].worst_nano_usd
    (billed,) = await rehearsal.ended(1)
    assert billed["outcome"] == "client_gone"
    assert int(billed["cost_nano_usd"]) <= outcome.cost_nano_usd


@pytest.mark.parametrize(
    ("path", "directive"),
    [
        (SSE, "[rehearse error_after_chunks=2]"),
        (ARRAY, "[rehearse error_after_chunks=2]"),
        (SSE, "[rehearse hangup_after_chunks=2]"),
        (ARRAY, "[rehearse hangup_after_chunks=2]"),
        (SSE, "[rehearse omit_usage]"),
        (PLAIN, "[rehearse omit_usage]"),
        (PLAIN, "[rehearse hangup_after_chunks=1]"),
    ],
)
async def test_what_breaks_off_is_never_charged_too_low(
    tmp_path: Path, rehearsal: Rehearsal, policy: Policy, path: str, directive: str
) -> None:
    async with serving(tmp_path, policy) as sidecar:
        data = request(path, content(directive), port=sidecar.port, lines={"Connection": "close"})
        await wire.until_closed(sidecar.port, data)
        await wire.until(lambda: sidecar.booked.settled)
    outcome = sidecar.booked.only()
    assert outcome.estimated
    assert rehearsal.billed_nano_usd <= outcome.cost_nano_usd
    assert outcome.cost_nano_usd <= sidecar.booked.opened[0].worst_nano_usd


@pytest.mark.parametrize("in_query", [False, True])
async def test_behind_a_key_stands_the_workflow_and_the_provider_never_sees_it(
    tmp_path: Path, rehearsal: Rehearsal, policy: Policy, in_query: bool
) -> None:
    key = f"{wire.KEY}~lead-scoring~17"
    async with serving(tmp_path, policy) as sidecar:
        path, lines = (f"{PLAIN}?key={key}", {}) if in_query else (PLAIN, {"x-goog-api-key": key})
        data = request(path, content(), port=sidecar.port, key=None, lines=lines)
        assert (await exchange(sidecar.port, data)).status == 200
        (billed,) = await rehearsal.ended(1)
    call = sidecar.booked.opened[0].call
    assert (call.attributes.workflow, call.execution) == ("lead-scoring", "17")
    assert billed["key_hint"].endswith(wire.PROVIDER_SECRET[-4:])


async def test_gemini_s_labels_name_the_workflow(tmp_path: Path, policy: Policy) -> None:
    body = content(labels={"bursar_workflow": "leads", "bursar_step": "draft"})
    async with serving(tmp_path, policy) as sidecar:
        data = request(PLAIN, body, port=sidecar.port)
        assert (await exchange(sidecar.port, data)).status == 200
    call = sidecar.booked.opened[0].call
    assert (call.attributes.workflow, call.execution, call.step) == ("leads", "", "draft")
