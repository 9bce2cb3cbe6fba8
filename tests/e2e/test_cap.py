"""A cap is spent to the last cent and never passed, whoever asks from wherever.

Two sidecars, one client with a cap of one dollar, 500 calls at 400 at a time, with the official
SDK. BURSAR_E2E_CALL_MS sets how long the provider takes for a call (default 300 ms; the full
figure is 5000).
"""

import asyncio
import os
from typing import Any

import pytest

from tests.e2e.stand import Client, Stand
from tests.e2e.traffic import Answer, Caller, burst

CALL_MS = int(os.environ.get("BURSAR_E2E_CALL_MS", "300"))
PATIENCE_MS = 40 * CALL_MS + 20_000
"""Longer than the slowest way to spend a dollar by calls that hold four cents each."""
DOLLAR = 1_000_000_000
CENT = DOLLAR // 100
CALLS = 500
CONCURRENCY = 400

REFUSAL_FIELDS = {
    "budget_id",
    "name",
    "cap_nano_usd",
    "spent_nano_usd",
    "held_nano_usd",
    "period_end",
    "worst_nano_usd",
    "fits_nano_usd",
}


def cent_call(worst_cents: int) -> dict[str, Any]:
    """A call that costs a cent and can cost so many."""
    prompt = f"[rehearse latency_ms={CALL_MS} reply_tokens=10] Say something worth a cent."
    return {
        "model": "rehearsal-cent",
        "max_tokens": 10 * worst_cents,
        "messages": [{"role": "user", "content": prompt}],
    }


async def spend(
    stand: Stand, *, worst_cents: int, weights: tuple[int, int], stream: bool = False
) -> tuple[Client, list[Answer]]:
    """Let 500 calls loose on two sidecars."""
    client = stand.add_client("Acme Dental", DOLLAR, patience_ms=PATIENCE_MS)
    urls = [stand.start_sidecar(name) for name in ("one", "two")]
    async with (
        Caller(urls[0], client.key, timeout=300) as one,
        Caller(urls[1], client.key, timeout=300) as two,
    ):
        callers = list(zip((one, two), weights, strict=True))
        answers = await burst(callers, CALLS, CONCURRENCY, stream=stream, **cent_call(worst_cents))
    return client, answers


def check_refusals(stand: Stand, answers: list[Answer], worst_nano_usd: int) -> None:
    """Each refusal is final, whole, raised at once, and true at the time it was given."""
    log = stand.provider("/rehearsal/log?limit=100000")
    events = [
        (
            int(event["at_monotonic_ns"]),
            int(event["billed_nano_usd"]),
            int(event["in_flight"]),
        )
        for event in log["events"]
    ]
    for answer in answers:
        if answer.passed:
            continue
        assert answer.status == 402, answer
        # Who waited out its patience was told that it is busy here, and tried again by itself.
        waited_ms = (answer.ended_ns - answer.started_ns) // 1_000_000
        assert answer.tries == 1 or waited_ms > PATIENCE_MS, "a final refusal was tried again"
        assert answer.headers["x-should-retry"] == "false"
        assert answer.error["code"] in {"insufficient_quota", "request_exceeds_budget"}
        for budget in answer.error["bursar"]["budgets"]:
            assert budget.keys() >= REFUSAL_FIELDS
        billed, in_flight = 0, 0
        for at_ns, then_billed, then_in_flight in events:
            if at_ns > answer.ended_ns:
                break
            billed, in_flight = then_billed, then_in_flight
        payable = DOLLAR - billed - in_flight * CENT
        assert worst_nano_usd > payable, "it was refused while it could still be paid"


def check_ledger(stand: Stand, client: Client, answers: list[Answer]) -> int:
    """The ledger has each passed call once, at what the provider billed; the bill."""
    bill = stand.bill_nano_usd()
    stand.until(lambda: stand.usage_nano_usd(client.project_id) == bill)
    calls = stand.ledger(client.project_id)
    passed = [answer for answer in answers if answer.passed]
    assert len({call.call_id for call in calls}) == len(calls) == len(passed)
    assert sum(call.cost_nano_usd for call in calls) == bill
    assert stand.budget(client.budget_id).current_period.spent_nano_usd == bill
    assert not any(call.estimated for call in calls)
    return bill


@pytest.mark.parametrize("weights", [(1, 1), (10, 1)], ids=["even", "ten-to-one"])
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
def test_a_dollar_buys_exactly_a_hundred_calls_of_a_cent(
    stand: Stand, weights: tuple[int, int], *, stream: bool
) -> None:
    client, answers = asyncio.run(spend(stand, worst_cents=1, weights=weights, stream=stream))
    assert check_ledger(stand, client, answers) == DOLLAR
    check_refusals(stand, answers, CENT)


@pytest.mark.parametrize("weights", [(1, 1), (10, 1)], ids=["even", "ten-to-one"])
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "streamed"])
def test_calls_that_hold_four_times_their_cost_still_spend_the_cap(
    stand: Stand, weights: tuple[int, int], *, stream: bool
) -> None:
    client, answers = asyncio.run(spend(stand, worst_cents=4, weights=weights, stream=stream))
    bill = check_ledger(stand, client, answers)
    assert 96 * CENT < bill <= DOLLAR
    check_refusals(stand, answers, 4 * CENT)
