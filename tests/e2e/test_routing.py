"""Routes, secrets and fallbacks over real processes: the ledger is the bill, each attempt once."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from tests.e2e.stand import Client, Stand
from tests.e2e.test_cap import CALLS, CENT, CONCURRENCY, DOLLAR, PATIENCE_MS, cent_call
from tests.e2e.traffic import Answer, Caller, burst


def call_of(model: str, **fields: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": "[rehearse reply_tokens=10] Which one answers?"}]
    return {"model": model, "max_tokens": 20, "messages": messages, **fields}


async def ask(url: str, key: str, calls: int = 1, **request: Any) -> list[Answer]:
    """Make calls one after the other, without retries."""
    async with Caller(url, key, max_retries=0) as caller:
        return [await caller.call(f"call-{number}", **request) for number in range(calls)]


def until_booked(stand: Stand, attempts: int) -> list[Any]:
    """The ledger's calls, oldest first, once there are so many, and each of them once."""
    stand.until(lambda: len(stand.ledger()) >= attempts)
    calls = stand.ledger()[::-1]
    assert len({call.call_id for call in calls}) == len(calls) == attempts
    assert sum(call.cost_nano_usd for call in calls) == stand.bill_nano_usd()
    return calls


def bill_keys(stand: Stand) -> list[str]:
    return [call["key_hint"] for call in stand.provider("/rehearsal/bill")["calls"]]


def test_an_alias_falls_back_and_the_ledger_tells_of_both_attempts(stand: Stand) -> None:
    stand.set_route("smart", "openai/gpt-4o", "openai/gpt-4o-mini")
    client = stand.add_client("Acme Dental", DOLLAR)
    url = stand.start_sidecar("one")
    stand.provider("/rehearsal/knobs", {"error_status": 529, "error_model": "gpt-4o"})
    for stream in (False, True):
        (answer,) = asyncio.run(ask(url, client.key, stream=stream, **call_of("smart")))
        assert answer.passed
        assert answer.headers["x-bursar-model"] == "gpt-4o-mini"
        assert answer.headers["x-bursar-routed"] == "fallback"
    calls = until_booked(stand, 4)
    for failed, answered in (calls[:2], calls[2:]):
        assert (failed.outcome, failed.cost_nano_usd, failed.routed) == (
            *("provider_error", 0),
            "alias",
        )
        assert (answered.outcome, answered.routed) == ("ok", "fallback")
        assert answered.parent_call_id == failed.call_id
        assert failed.parent_call_id == ""
        assert (failed.alias, answered.alias) == ("smart", "smart")
        assert (failed.requested_model, answered.requested_model) == ("gpt-4o", "gpt-4o-mini")
        assert answered.answered_model == "gpt-4o-mini"
        assert answered.provider_secret_id == "openai:1"


@pytest.mark.parametrize("status", [401, 429])
def test_a_secret_that_fails_is_followed_by_the_next_and_a_clients_own_serves_it_alone(
    stand: Stand, status: int
) -> None:
    acme, other = stand.add_client("Acme Dental", DOLLAR), stand.add_client("Other", DOLLAR)
    spare = stand.add_secret("openai", "sk-rehearsal-spare")
    own = stand.add_secret("openai", "sk-rehearsal-acme's-own", acme.project_id)
    url = stand.start_sidecar("one")
    stand.provider("/rehearsal/knobs", {"error_status": status, "error_key": "-openai"})
    asked = call_of("gpt-4o-mini")
    for client in (acme, other, other, acme):
        (answer,) = asyncio.run(ask(url, client.key, **asked))
        assert answer.passed
    calls = until_booked(stand, 5)
    used = [(call.project_id, call.provider_secret_id, call.outcome) for call in calls]
    assert used == [
        (acme.project_id, own, "ok"),
        (other.project_id, "openai:1", "provider_error"),
        (other.project_id, spare, "ok"),
        (other.project_id, spare, "ok"),
        (acme.project_id, own, "ok"),
    ]
    assert bill_keys(stand) == ["...-own", "...enai", "...pare", "...pare", "...-own"]


def test_a_client_s_own_secret_that_is_refused_is_never_helped_by_others(stand: Stand) -> None:
    acme = stand.add_client("Acme Dental", DOLLAR)
    stand.add_secret("openai", "sk-rehearsal-acme's-own", acme.project_id)
    stand.add_secret("openai", "sk-rehearsal-spare")
    url = stand.start_sidecar("one")
    stand.provider("/rehearsal/knobs", {"error_status": 401, "error_key": "own"})
    (answer,) = asyncio.run(ask(url, acme.key, **call_of("gpt-4o-mini")))
    assert (answer.status, answer.error["code"]) == (403, "provider_secret_refused")
    until_booked(stand, 1)
    assert bill_keys(stand) == ["...-own"]


async def spend(stand: Stand, client: Client, model: str) -> list[Answer]:
    """Let 500 calls loose on two sidecars."""
    urls = [stand.start_sidecar(name) for name in ("one", "two")]
    options: dict[str, Any] = {"timeout": 300, "max_retries": 0}
    async with (
        Caller(urls[0], client.key, **options) as one,
        Caller(urls[1], client.key, **options) as two,
    ):
        request = {**cent_call(1), "model": model}
        return await burst([(one, 1), (two, 1)], CALLS, CONCURRENCY, **request)


def test_the_cap_stays_hard_with_fallback_on(stand: Stand) -> None:
    """Every call's first target fails; what follows is held and paid like any call."""
    client = stand.add_client("Acme Dental", DOLLAR, patience_ms=PATIENCE_MS)
    stand.set_route("smart", "openai/gpt-4o-mini", "openai/rehearsal-cent")
    stand.provider("/rehearsal/knobs", {"error_status": 503, "error_model": "gpt-4o-mini"})
    answers = asyncio.run(spend(stand, client, "smart"))
    passed = [answer for answer in answers if answer.passed]
    assert len(passed) == DOLLAR // CENT
    # Who could not be paid any more got the first target's error, or was refused before it.
    assert {answer.status for answer in answers} <= {200, 402, 503}
    stand.until(lambda: stand.usage_nano_usd(client.project_id) == stand.bill_nano_usd())
    calls = stand.ledger(client.project_id)
    assert len({call.call_id for call in calls}) == len(calls)
    assert sum(call.cost_nano_usd for call in calls) == stand.bill_nano_usd() == DOLLAR
    assert stand.budget(client.budget_id).current_period.spent_nano_usd == DOLLAR
    kinds = Counter((call.outcome, call.routed) for call in calls)
    assert kinds["ok", "fallback"] == len(passed)
    first = {call.call_id for call in calls if call.routed == "alias"}
    parents = [call.parent_call_id for call in calls if call.routed == "fallback"]
    assert len(set(parents)) == len(parents)
    assert set(parents) <= first
    assert not any(call.estimated for call in calls)


def test_the_cap_stays_hard_with_the_cheaper_rule_on_and_the_cheap_model_serves_to_the_end(
    stand: Stand,
) -> None:
    """The dear model costs a cent; the cheap one is far below, so that all calls pass."""
    client = stand.add_client("Acme Dental", DOLLAR, patience_ms=PATIENCE_MS)
    stand.set_route(
        "rehearsal-cent",
        "openai/rehearsal-cent",
        project_id=client.project_id,
        cheaper="openai/gpt-4o-mini",
        above=50,
    )
    answers = asyncio.run(spend(stand, client, "rehearsal-cent"))
    assert {answer.status for answer in answers} == {200}, "none was refused"
    stand.until(lambda: stand.usage_nano_usd(client.project_id) == stand.bill_nano_usd())
    calls = stand.ledger(client.project_id)
    assert len({call.call_id for call in calls}) == len(calls)
    bill = stand.bill_nano_usd()
    assert sum(call.cost_nano_usd for call in calls) == bill <= DOLLAR
    assert stand.budget(client.budget_id).current_period.spent_nano_usd == bill
    answered = [call for call in calls if call.outcome == "ok"]
    dear = [call for call in answered if not call.routed]
    cheap = [call for call in answered if call.routed == "cheaper"]
    assert len(dear) + len(cheap) == len(answered) == CALLS
    # All else are turns that were given up for the cheaper model, each once.
    given_up = {call.call_id for call in calls if call.outcome == "not_sent"}
    assert len(given_up) == len(calls) - CALLS
    parents = [call.parent_call_id for call in cheap if call.parent_call_id]
    assert sorted(parents) == sorted(given_up)
    assert DOLLAR // 2 < len(dear) * CENT <= DOLLAR
    assert {(call.alias, call.requested_model) for call in cheap} == {
        ("rehearsal-cent", "gpt-4o-mini")
    }
    told = Counter(answer.headers.get("x-bursar-routed", "") for answer in answers)
    assert told == {"": len(dear), "cheaper": len(cheap)}
