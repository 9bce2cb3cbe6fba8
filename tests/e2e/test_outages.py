"""Processes end, come back and die; no call is lost and none is charged twice."""

import asyncio
from typing import Any

import httpx
import pytest

from protos.bursar.admin import v1 as admin
from tests.e2e.stand import Client, Stand
from tests.e2e.traffic import Caller

CENT = 10_000_000
OPEN_STREAMS = 20


def cent_request(extra: str = "") -> dict[str, Any]:
    return {
        "model": "rehearsal-cent",
        "max_tokens": 10,
        "messages": [{"role": "user", "content": f"[rehearse reply_tokens=10 {extra}] A cent."}],
    }


def ask(url: str, client: Client) -> int:
    """The status of one call without any retry."""
    return httpx.post(
        f"{url}/v1/chat/completions",
        headers={"authorization": f"Bearer {client.key}"},
        json=cent_request(),
        timeout=30,
    ).status_code


def settled(stand: Stand, calls: int) -> bool:
    """Whether the ledger has so many calls, each once, at what was billed."""
    ledger = stand.ledger()
    return (
        len(ledger) == len({call.call_id for call in ledger}) == calls
        and stand.usage_nano_usd() == stand.bill_nano_usd()
    )


def test_calls_go_on_from_the_leases_while_the_control_plane_is_away(stand: Stand) -> None:
    client = stand.add_client("Acme Dental", 1_000 * CENT)
    url = stand.start_sidecar("one")
    for _ in range(5):
        assert ask(url, client) == 200
    stand.until(lambda: settled(stand, 5))
    address = stand.stop_control_plane()
    for _ in range(5):
        assert ask(url, client) == 200
    assert stand.sidecars["one"].stop() == 0
    url = stand.start_sidecar("one")
    for _ in range(5):
        assert ask(url, client) == 200
    stand.start_control_plane(address)
    stand.until(lambda: settled(stand, 15))


def test_a_sidecar_that_ends_leaves_no_money_behind(stand: Stand) -> None:
    client = stand.add_client("Acme Dental", 1_000 * CENT)
    url = stand.start_sidecar("one")
    for _ in range(5):
        assert ask(url, client) == 200
    assert stand.sidecars["one"].stop() == 0
    leases = stand.bursar.ask(stand.bursar.leases.ListLeases, admin.ListLeasesRequest())
    assert not leases.leases
    assert settled(stand, 5)


async def die_with_streams_open(stand: Stand, url: str, client: Client) -> None:
    """Open streams through a sidecar, then kill it."""
    async with (
        Caller(url, client.key, max_retries=0) as caller,
        asyncio.TaskGroup() as group,
    ):

        async def stream(number: int) -> None:
            with pytest.raises(Exception, match=r"(?i)connection|incomplete|peer closed|reset"):
                await caller.call(f"stream-{number}", stream=True, **cent_request("chunk_ms=60000"))

        for number in range(OPEN_STREAMS):
            group.create_task(stream(number))

        def all_open() -> bool:
            return bool(stand.provider("/rehearsal/bill")["in_flight"] == OPEN_STREAMS)

        await asyncio.to_thread(stand.until, all_open)
        stand.sidecars["one"].kill()


def test_calls_that_a_killed_sidecar_had_open_are_charged_once_and_marked(stand: Stand) -> None:
    client = stand.add_client("Acme Dental", 100 * CENT)
    url = stand.start_sidecar("one")
    asyncio.run(die_with_streams_open(stand, url, client))
    url = stand.start_sidecar("one")
    stand.until(lambda: len(stand.ledger()) == OPEN_STREAMS)
    ledger = stand.ledger()
    assert len({call.call_id for call in ledger}) == OPEN_STREAMS
    assert all(call.estimated and call.outcome == "lost" for call in ledger)
    stand.until(lambda: stand.provider("/rehearsal/bill")["in_flight"] == 0)
    assert stand.bill_nano_usd() <= stand.usage_nano_usd() <= 100 * CENT
    assert ask(url, client) == 200
    stand.until(lambda: len(stand.ledger()) == OPEN_STREAMS + 1)


def test_two_sidecars_that_hold_each_others_last_money_both_pass(stand: Stand) -> None:
    """One holds the agency's last money, the other the client's, each with a call waiting."""
    clients = [stand.add_client(name, 4 * CENT) for name in ("Acme Dental", "Bolt Legal")]
    stand.add_budget("agency", 8 * CENT)
    urls = [stand.start_sidecar("one"), stand.start_sidecar("two")]
    answers: list[int] = []

    async def call(url: str, client: Client) -> None:
        async with Caller(url, client.key, max_retries=0) as caller:
            answer = await caller.call("crossed", **cent_request("latency_ms=300"))
        answers.append(answer.status)

    async def crossed() -> None:
        for _ in range(2):
            async with asyncio.TaskGroup() as group:
                for client in clients:
                    for url in urls:
                        group.create_task(call(url, client))

    asyncio.run(crossed())
    assert answers == [200] * 8
    stand.until(lambda: settled(stand, 8))
