"""The surfaces beyond chats and messages: what breaks off, what is stored, what is free."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import openai
import pytest
import trio

from protos.values import quantities as kinds
from protos.values.rates import ModelPrice, Tier
from sidecar.core.calls import Outcome
from sidecar.core.policy import DatedPrice, Policy
from tests.sidecar.builders import price
from tests.sidecar.runtime import wire
from tests.sidecar.runtime.wire import (
    Rehearsal,
    completion,
    exchange,
    request,
    response,
    serving,
)

pytestmark = pytest.mark.trio

RESPONSES, COMPLETIONS = "/v1/responses", "/v1/completions"
LONG = "[rehearse reply_tokens=40 chunk_tokens=1]"
BOTH = [(RESPONSES, response), (COMPLETIONS, completion)]
COUNTED = {"model": "gpt-4o-mini", "input": "How many?"}
JUDGED = {"input": ["Is this a threat?", "And this?"]}
MEASURED = {"model": "claude-haiku-4-5", "messages": [{"role": "user", "content": "How many?"}]}
FREE = [
    ("/v1/responses/input_tokens", COUNTED),
    ("/v1/messages/count_tokens", MEASURED),
]


@asynccontextmanager
async def saying(body: bytes, status: int) -> AsyncIterator[str]:
    """A provider that says the same to every request."""
    head = b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n" % (status, len(body))

    async def handle(stream: trio.SocketStream) -> None:
        async with stream:
            await stream.receive_some()
            await stream.send_all(head + body)

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, handle, 0, host="127.0.0.1"))
        yield f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        nursery.cancel_scope.cancel()


def with_fees(url: str) -> Policy:
    """A policy whose models cost by token and by call."""
    rates = {kinds.INPUT: 1_000_000, kinds.OUTPUT: 1_000_000, kinds.CALLS: 5_000}
    return wire.policy_for(
        url,
        [
            DatedPrice(ModelPrice(provider, model, (), 9_000, most, (Tier(0, rates),), "b"), 0)
            for provider, model, most in (
                ("openai", "gpt-4o-mini", 900),
                ("anthropic", "claude-haiku-4-5", 900),
                ("openai", "omni-moderation-latest", 0),
            )
        ],
    )


@pytest.mark.parametrize(("path", "make"), BOTH)
@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_without_usage_is_estimated_and_never_too_low(
    tmp_path: Path, rehearsal: Rehearsal, policy: Policy, path: str, make: Any, stream: bool
) -> None:
    async with serving(tmp_path, policy) as sidecar:
        body = make(LONG + "[rehearse omit_usage]", stream=stream)
        assert (await exchange(sidecar.port, request(path, body, port=sidecar.port))).status == 200
        (billed,) = await rehearsal.ended(1)
    outcome = sidecar.booked.only()
    assert outcome.estimated
    assert int(billed["cost_nano_usd"]) <= outcome.cost_nano_usd


async def test_a_response_that_failed_is_charged_as_billed_and_told_as_broken(
    tmp_path: Path, rehearsal: Rehearsal, policy: Policy
) -> None:
    async with serving(tmp_path, policy) as sidecar:
        body = response("[rehearse response_status=failed]", stream=True)
        await exchange(sidecar.port, request(RESPONSES, body, port=sidecar.port))
        (billed,) = await rehearsal.ended(1)
    outcome = sidecar.booked.only()
    assert (outcome.outcome, outcome.estimated) == (Outcome.BROKEN, False)
    assert outcome.error_kind == "server_error"
    assert outcome.cost_nano_usd == int(billed["cost_nano_usd"]) > 0


async def test_a_response_that_goes_on_from_another_holds_the_window_and_costs_what_it_costs(
    tmp_path: Path, rehearsal: Rehearsal, policy: Policy
) -> None:
    async with serving(tmp_path, policy) as sidecar:
        data = request(RESPONSES, response("x" * 4_000), port=sidecar.port)
        earlier = (await exchange(sidecar.port, data)).json()["id"]
        body = response("Go on.", previous_response_id=earlier)
        data = request(RESPONSES, body, port=sidecar.port)
        assert (await exchange(sidecar.port, data)).status == 200
        billed = await rehearsal.ended(2)
    booked = sidecar.booked
    costs = [outcome.cost_nano_usd for outcome in booked.settled.values()]
    assert costs == [int(call["cost_nano_usd"]) for call in billed]
    assert list(booked.settled.values())[1].quantities["input"] > 1_000
    first, second = (hold.worst_nano_usd for hold in booked.opened)
    assert second > 10 * first


async def test_a_search_without_a_rate_is_refused_by_name(
    tmp_path: Path, rehearsal: Rehearsal
) -> None:
    body = response("Look it up.", tools=[{"type": "web_search"}], max_tool_calls=1)
    bare = wire.policy_for(rehearsal.url, [price("gpt-4o-mini")])
    async with serving(tmp_path, bare) as sidecar:
        data = request(RESPONSES, body, port=sidecar.port)
        answer = await exchange(sidecar.port, data)
    assert (answer.status, answer.headers["x-bursar-error"]) == (403, "model_not_priced")
    assert b"no rate for web_search" in answer.body


async def test_streams_that_break_raise_in_the_official_library(
    tmp_path: Path, policy: Policy
) -> None:
    def ask(url: str) -> None:
        text = LONG + "[rehearse hangup_after_chunks=5]"
        with openai.OpenAI(base_url=f"{url}/v1", api_key=wire.KEY) as client:
            with pytest.raises(openai.APIError, match="broke off"):
                list(client.responses.create(**response(text, stream=True)))
            with pytest.raises(openai.APIError, match="broke off"):
                list(client.completions.create(**completion(text, stream=True)))

    async with serving(tmp_path, policy) as sidecar:
        await trio.to_thread.run_sync(ask, sidecar.url)
    assert [outcome.outcome for outcome in sidecar.booked.settled.values()] == [Outcome.BROKEN] * 2


# --- What is free ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("path", "body"), FREE)
async def test_what_is_free_passes_without_a_lease_and_is_booked_at_nothing(
    tmp_path: Path, rehearsal: Rehearsal, policy: Policy, path: str, body: dict[str, Any]
) -> None:
    capped = wire.policy_for(rehearsal.url, list(policy.prices), capless=False)
    async with serving(tmp_path, capped) as sidecar:
        sidecar.admission.away = True
        sidecar.admission.heard_until_boot_ms = 0
        answer = await exchange(sidecar.port, request(path, body, port=sidecar.port))
    assert answer.status == 200, answer.body
    assert answer.headers["x-bursar-cost-nano-usd"] == "0"
    (hold,) = sidecar.booked.opened
    assert (hold.worst_nano_usd, hold.call.surface) == (0, path)
    outcome = sidecar.booked.only()
    assert (outcome.outcome, outcome.cost_nano_usd) == (Outcome.OK, 0)
    assert not outcome.estimated
    assert rehearsal.billed_nano_usd == 0


async def test_a_price_of_zero_needs_a_lease_and_is_booked_on_it(
    tmp_path: Path, rehearsal: Rehearsal, policy: Policy
) -> None:
    async with serving(tmp_path, policy) as sidecar:
        asked = request("/v1/moderations", JUDGED, port=sidecar.port)
        answer = await exchange(sidecar.port, asked)
        assert answer.status == 200, answer.body
        assert answer.headers["x-bursar-cost-nano-usd"] == "0"
        (hold,) = sidecar.booked.opened
        assert (hold.worst_nano_usd, hold.call.bound.unbilled) == (0, False)
        assert sidecar.booked.only().cost_nano_usd == 0
    capped = wire.policy_for(rehearsal.url, list(policy.prices), capless=False)
    (tmp_path / "capped").mkdir()
    async with serving(tmp_path / "capped", capped) as sidecar:
        sidecar.admission.away = True
        sidecar.admission.heard_until_boot_ms = 0
        asked = request("/v1/moderations", JUDGED, port=sidecar.port)
        assert (await exchange(sidecar.port, asked)).status == 503
        assert not sidecar.booked.opened


async def test_what_is_free_and_breaks_off_costs_nothing_either(
    tmp_path: Path, policy: Policy
) -> None:
    async with serving(tmp_path, policy) as sidecar:
        body = {"input": "[rehearse hangup_before_headers] Is this a threat?"}
        answer = await exchange(sidecar.port, request("/v1/moderations", body, port=sidecar.port))
    assert answer.status == 502
    outcome = sidecar.booked.only()
    assert (outcome.outcome, outcome.cost_nano_usd) == (Outcome.BROKEN, 0)
    assert not outcome.estimated


@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize(("path", "body"), FREE[:2])
async def test_a_count_is_free_at_a_model_whose_calls_have_a_fee(
    tmp_path: Path, path: str, body: dict[str, Any], status: int
) -> None:
    async with saying(b"{}", status) as url, serving(tmp_path, with_fees(url)) as sidecar:
        await exchange(sidecar.port, request(path, body, port=sidecar.port))
    outcome = sidecar.booked.only()
    assert (outcome.cost_nano_usd, outcome.estimated) == (0, False)
    assert bool(sidecar.booked.voided) is (status == 500)


@pytest.mark.parametrize(
    ("answer", "status", "cost_nano_usd"),
    [
        (b'{"usage":{"prompt_tokens":7,"total_tokens":7}}', 200, 7 * 1_000 + 5),
        (b'{"results":[]}', 200, None),
        (b'{"error":{"code":"busy"}}', 500, 0),
    ],
)
async def test_a_moderation_that_has_a_price_is_charged_by_its_usage_else_its_worst_case(
    tmp_path: Path, answer: bytes, status: int, cost_nano_usd: int | None
) -> None:
    async with saying(answer, status) as url, serving(tmp_path, with_fees(url)) as sidecar:
        data = request("/v1/moderations", JUDGED, port=sidecar.port)
        await exchange(sidecar.port, data)
    outcome = sidecar.booked.only()
    worst_nano_usd = sidecar.booked.opened[0].worst_nano_usd
    assert worst_nano_usd > 7_005
    assert outcome.cost_nano_usd == (worst_nano_usd if cost_nano_usd is None else cost_nano_usd)
    assert outcome.estimated is (cost_nano_usd is None)


@pytest.mark.parametrize(
    ("key", "body", "status"),
    [
        (wire.REVOKED, COUNTED, 401),
        (wire.NARROW, {**COUNTED, "model": "gpt-4o"}, 403),
        (wire.KEY, {**COUNTED, "model": "unheard-of"}, 403),
        (wire.KEY, {"input": "How many?"}, 400),
    ],
)
async def test_what_is_free_still_wants_a_key_and_a_model_that_it_may_use(
    tmp_path: Path, policy: Policy, key: str, body: dict[str, Any], status: int
) -> None:
    async with serving(tmp_path, policy) as sidecar:
        path = "/v1/responses/input_tokens"
        answer = await exchange(sidecar.port, request(path, body, port=sidecar.port, key=key))
    assert answer.status == status
    assert not sidecar.booked.opened
