"""The story of a cap at one surface: 500 calls at once, of uneven size, through two sidecars.

What a call of each size holds and costs is asked first. The cap is what a hundred calls cost, so
that most calls find it spent; nine in ten go through one of the sidecars.
"""

import asyncio
import json
import os
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tests.e2e.cap_calls import SIZES, CapCall, request_bytes
from tests.e2e.stand import Client, Stand

CALLS = int(os.environ.get("BURSAR_E2E_CAP_CALLS", "500"))
PAID_CALLS = CALLS // 5
KNOBS = {"latency_ms": 20, "reply_tokens": 10, "embedding_usage": True}
PATIENCE_MS = 300_000
"""No call is to be told that it is busy: a story says what is refused for good."""
RICH_NANO_USD = 10**12
DOLLAR = 10**9
SIDECARS = ("one", "two")
TURNS = (*("one",) * 10, "two")
"""Through which sidecar each call goes."""


@dataclass(frozen=True)
class Told:
    """What one call came to."""

    size: int
    status: int
    ended_ns: int
    """On the monotonic clock, which all processes of a machine share."""
    body: bytes

    @property
    def passed(self) -> bool:
        return self.status == 200


@dataclass(frozen=True)
class Sized:
    """What calls of each size hold at most, and cost together, in nano-dollars."""

    worst_nano_usd: dict[int, int]
    cost_nano_usd: int


def begin(stand: Stand, **knobs: Any) -> None:
    """Empty the provider's bill, and let each answer take a while."""
    stand.provider("/rehearsal/reset", {})
    stand.provider("/rehearsal/knobs", {**KNOBS, **knobs})


async def _exchange(host: str, data: bytes, size: int) -> Told:
    name, port = host.split(":")
    reader, writer = await asyncio.open_connection(name, int(port))
    writer.write(data)
    answer = await reader.read()
    ended_ns = time.monotonic_ns()
    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    return Told(size, int(head.split(b" ", 2)[1]), ended_ns, body)


def let_loose(
    stand: Stand, client: Client, call: CapCall, calls: int, *, stream: bool, model: str = ""
) -> list[Told]:
    """Make so many calls at once, the sizes by turns."""
    hosts = {name: urlsplit(stand.url(name)).netloc for name in SIDECARS}
    ready = {
        (name, size): request_bytes(call, host, client.key, size, stream=stream, model=model)
        for name, host in hosts.items()
        for size in range(1, SIZES + 1)
    }

    async def burst() -> list[Told]:
        made = []
        for number in range(calls):
            name, size = TURNS[number % len(TURNS)], 1 + number % SIZES
            made.append(_exchange(hosts[name], ready[name, size], size))
        return await asyncio.gather(*made)

    return asyncio.run(burst())


def known(stand: Stand, name: str, cap_nano_usd: int) -> Client:
    """A new client, of whom both sidecars have heard."""
    client = stand.add_client(name, cap_nano_usd, patience_ms=PATIENCE_MS)
    for sidecar in SIDECARS:
        stand.until_known(sidecar, client)
    return client


def sized(stand: Stand, call: CapCall, *, stream: bool) -> Sized:
    """Make a call of each size for a client with plenty of money, and look what they were."""
    rich = known(stand, f"Rich {stand.request_id()}", RICH_NANO_USD)
    told = let_loose(stand, rich, call, SIZES, stream=stream)
    assert [each.status for each in told] == [200] * SIZES, told
    stand.until(lambda: len(stand.ledger(rich.project_id)) == SIZES)
    calls = stand.ledger(rich.project_id)
    worst = sorted(each.worst_nano_usd for each in calls)
    cost = sum(each.cost_nano_usd for each in calls)
    begin(stand)
    return Sized(dict(enumerate(worst, start=1)), cost)


def check_books(stand: Stand, client: Client, call: CapCall, told: list[Told]) -> int:
    """The ledger has each call once, at what the provider billed, and nothing is held; its sum.

    It has come to rest when it has all calls that passed: a bill may be of nothing.
    """
    passed = statuses(told)[200]
    bill = stand.bill_nano_usd()
    budget = stand.budget(client.budget_id)
    cap = budget.current_period.cap_nano_usd

    def settled() -> bool:
        period = stand.budget(client.budget_id).current_period
        usage = stand.usage_nano_usd(client.project_id)
        same = usage == bill if call.exact else usage >= bill
        same = same and period.spent_nano_usd == usage and period.held_nano_usd == 0
        return same and len(stand.ledger(client.project_id)) >= passed

    stand.until(settled, within_s=60)
    calls = stand.ledger(client.project_id)
    spent: int = sum(each.cost_nano_usd for each in calls)
    assert len({each.call_id for each in calls}) == len(calls)
    assert spent == stand.budget(client.budget_id).current_period.spent_nano_usd <= cap
    assert bill <= spent
    if call.exact:
        assert spent == bill
        assert not any(each.estimated for each in calls)
    assert all(each.cost_nano_usd <= each.worst_nano_usd for each in calls)
    return spent


def check_refusals(stand: Stand, told: list[Told], worst: dict[int, int], cap: int) -> None:
    """No call was refused that could be paid from what was left of the cap when it was.

    Where another model was tried first, its provider's error stands for the refusal of this one.
    """
    log = stand.provider("/rehearsal/log?limit=100000")
    billed = [
        (int(event["at_monotonic_ns"]), int(event["billed_nano_usd"])) for event in log["events"]
    ]
    for each in told:
        if each.passed:
            continue
        spent = max((nano_usd for at_ns, nano_usd in billed if at_ns <= each.ended_ns), default=0)
        asked = worst[each.size]
        if each.status == 402:
            [budget] = _refusal(each.body)
            assert int(budget["cap_nano_usd"]) == cap
            asked = int(budget["worst_nano_usd"])
            assert asked <= worst[each.size]
        assert asked > cap - spent, "it was refused while it could still be paid"


def _refusal(body: bytes) -> list[Any]:
    """The budgets that a refusal names, in whichever family's words."""
    error = json.loads(body)["error"]
    return list((error.get("bursar") or error.get("details"))["budgets"])


def statuses(told: list[Told]) -> Counter[int]:
    return Counter(each.status for each in told)
