"""Every surface keeps the cap, and the ledger says of each what the provider billed.

One installation for all: two sidecars, a client for each story. Here each is told small, with the
official SDKs; the full figures of the cap are told of every surface in test_caps_of_surfaces.py.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import anthropic
import openai
import pytest

from tests.e2e.media_ways import MEDIA_WAYS
from tests.e2e.stand import Client, Stand
from tests.e2e.traffic import Answer, Caller, burst
from tests.e2e.ways import WAYS, Sdks, Way

CENT = 10_000_000
CAP_CENTS = 10
CALLS = 24
MODES = [
    pytest.param(way, stream, id=f"{way.surface}-{'streamed' if stream else 'plain'}")
    for way in (*WAYS, *MEDIA_WAYS)
    for stream in (False, True)
    if not stream or way.streamed is not None
]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    with Stand(tmp_path_factory.mktemp("stand")) as stand:
        for name in ("one", "two"):
            stand.start_sidecar(name)
        yield stand


@pytest.fixture
def stand(running: Stand) -> Stand:
    running.provider("/rehearsal/reset", {})
    return running


async def let_loose(
    stand: Stand, client: Client, way: Way, *, stream: bool, model: str, prompt: str, limit: int
) -> list[Answer]:
    urls = [stand.url(name) for name in ("one", "two")]
    async with (
        Caller(urls[0], client.key, timeout=60) as one,
        Caller(urls[1], client.key, timeout=60) as two,
    ):
        request = {"model": model, **way.request(prompt, limit)}
        return await burst([(one, 1), (two, 1)], CALLS, CALLS, way=way, stream=stream, **request)


def told(stand: Stand, client: Client) -> int:
    """What the ledger says that a client's calls cost, once it has all of the bill."""
    bill = stand.bill_nano_usd()
    stand.until(lambda: stand.usage_nano_usd(client.project_id) == bill)
    calls = stand.ledger(client.project_id)
    assert sum(call.cost_nano_usd for call in calls) == bill
    assert stand.budget(client.budget_id).current_period.spent_nano_usd == bill
    assert not any(call.estimated for call in calls)
    return bill


@pytest.mark.parametrize(("way", "stream"), MODES)
def test_ten_cents_buy_ten_calls_of_a_cent_and_the_rest_is_refused_at_once(
    stand: Stand, way: Way, *, stream: bool
) -> None:
    client = stand.add_client(f"Cap {way.surface} {stream}", CAP_CENTS * CENT)
    prompt = "[rehearse latency_ms=50 reply_tokens=10] Say something worth a cent."
    answers = asyncio.run(
        let_loose(stand, client, way, stream=stream, model=way.cent_model, prompt=prompt, limit=10)
    )
    assert told(stand, client) == CAP_CENTS * CENT
    passed = [answer for answer in answers if answer.passed]
    assert len(passed) == CAP_CENTS
    assert all(answer.text for answer in passed)
    for answer in answers:
        if not answer.passed:
            assert (answer.status, answer.tries) == (402, 1)
            assert answer.headers["x-should-retry"] == "false"
    surfaces = {call.surface for call in stand.ledger(client.project_id)}
    assert surfaces == {way.surface_of(stream=stream)}


@pytest.mark.parametrize(("way", "stream"), MODES)
def test_what_list_prices_make_of_odd_counts_is_booked_to_the_nano_dollar(
    stand: Stand, way: Way, *, stream: bool
) -> None:
    client = stand.add_client(f"List {way.surface} {stream}", 100 * CENT)
    prompt = "[rehearse reply_tokens=37 cached_tokens=5] Is this lead worth a call before noon?"
    answers = asyncio.run(
        let_loose(stand, client, way, stream=stream, model=way.model, prompt=prompt, limit=101)
    )
    assert all(answer.passed for answer in answers)
    assert told(stand, client) > 0
    calls = stand.ledger(client.project_id)
    assert len(calls) == CALLS
    if not stream:
        by_head = sum(int(answer.headers["x-bursar-cost-nano-usd"]) for answer in answers)
        assert by_head == stand.bill_nano_usd()


def test_what_is_free_needs_no_money_and_stands_in_the_ledger_at_nothing(stand: Stand) -> None:
    client = stand.add_client("Free", 1, patience_ms=2_000)

    async def ask() -> None:
        async with Caller(stand.url("one"), client.key, timeout=60) as caller:
            openai_sdk, claude, _ = caller.sdks
            tag = {"x-request-tag": "free"}
            counted = await openai_sdk.responses.input_tokens.count(
                model="gpt-5-mini", input="How many?", extra_headers=tag
            )
            assert counted.input_tokens > 0
            tokens = await claude.messages.count_tokens(
                model="claude-haiku-4-5",
                messages=[{"role": "user", "content": "How many?"}],
                extra_headers=tag,
            )
            assert tokens.input_tokens > 0
            for model in (openai.omit, "omni-moderation-latest"):
                verdict = await openai_sdk.moderations.create(
                    input="Is this a threat?", extra_headers=tag, model=model
                )
                assert not verdict.results[0].flagged
            with pytest.raises(openai.APIStatusError) as caught:
                await openai_sdk.responses.create(
                    model="gpt-5-mini", input="Hello.", extra_headers={"x-request-tag": "paid"}
                )
            assert caught.value.status_code == 402

    asyncio.run(ask())
    stand.until(lambda: len(stand.ledger(client.project_id)) == 4)
    calls = stand.ledger(client.project_id)
    assert [call.cost_nano_usd for call in calls] == [0, 0, 0, 0]
    assert not any(call.estimated for call in calls)
    assert sorted(call.surface for call in calls) == [
        "/v1/messages/count_tokens",
        "/v1/moderations",
        "/v1/moderations",
        "/v1/responses/input_tokens",
    ]


REFUSED: list[tuple[str, Callable[[Sdks, dict[str, str]], Awaitable[object]], str]] = [
    (
        "a background response",
        lambda sdks, tag: sdks.openai.responses.create(
            model="gpt-5-mini", input="Hello.", background=True, extra_headers=tag
        ),
        "background is not let through",
    ),
    (
        "a search without a bound",
        lambda sdks, tag: sdks.openai.responses.create(
            model="gpt-5-mini",
            input="Hello.",
            tools=[{"type": "web_search"}],
            extra_headers=tag,
        ),
        "max_tool_calls",
    ),
    (
        "a stored response",
        lambda sdks, tag: sdks.openai.responses.retrieve("resp_1", extra_headers=tag),
        "stored ones are left alone",
    ),
    (
        "a cancelled response",
        lambda sdks, tag: sdks.openai.responses.cancel("resp_1", extra_headers=tag),
        "stored ones are left alone",
    ),
    (
        "a batch",
        lambda sdks, tag: sdks.openai.batches.create(
            completion_window="24h",
            endpoint="/v1/responses",
            input_file_id="file_1",
            extra_headers=tag,
        ),
        "billed hours later",
    ),
    (
        "a batch of messages",
        lambda sdks, tag: sdks.anthropic.messages.batches.create(requests=[], extra_headers=tag),
        "billed hours later",
    ),
    (
        "a list of files",
        lambda sdks, tag: sdks.openai.files.list(extra_headers=tag),
        "files are left alone",
    ),
]


@pytest.mark.parametrize(
    ("call", "words"), [pytest.param(call, words, id=name) for name, call, words in REFUSED]
)
def test_what_is_not_served_raises_the_librarys_own_error_at_once(
    stand: Stand, call: Callable[[Sdks, dict[str, str]], Awaitable[object]], words: str
) -> None:
    client = stand.add_client(f"Refused {stand.request_id()}", 100 * CENT)

    async def ask() -> None:
        async with Caller(stand.url("one"), client.key, timeout=60) as caller:
            with pytest.raises(
                (openai.PermissionDeniedError, anthropic.PermissionDeniedError), match=words
            ):
                await call(caller.sdks, {"x-request-tag": "refused"})
            assert caller.tries("refused") == 1

    asyncio.run(ask())
    assert stand.provider("/rehearsal/bill")["calls"] == []
