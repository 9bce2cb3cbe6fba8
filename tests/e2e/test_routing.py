"""Routes, secrets and fallbacks over real processes: the ledger is the bill, each attempt once."""

import asyncio
from typing import Any

import pytest

from tests.e2e.stand import Stand
from tests.e2e.test_cap import DOLLAR
from tests.e2e.traffic import Answer, Caller


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
