"""A caller that hangs up in the middle: what its provider bills then is what the ledger says."""

import json
import socket
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.e2e.stand import Client, Stand

DOLLAR = 1_000_000_000
GEMINI = "/v1beta/models/gemini-2.5-flash:streamGenerateContent"
CHAT = "/v1/chat/completions"
SLOW = "[rehearse reply_tokens=400 chunk_tokens=4 chunk_ms=10] Take your time."
ENDLESS = "[rehearse reply_tokens=400 chunk_tokens=4 chunk_ms=1000] Take the whole day."


def client_of(stand: Stand, name: str) -> Client:
    """A client, and a sidecar that knows it."""
    client = stand.add_client(name, DOLLAR)
    stand.start_sidecar("one")
    return client


def begin_and_hang_up(url: str, key: str, path: str, body: dict[str, Any], mark: bytes) -> None:
    """Read a stream up to its first chunk, and close the connection."""
    data = json.dumps(body).encode()
    where = urlsplit(url)
    assert where.hostname is not None
    with socket.create_connection((where.hostname, where.port or 80), timeout=20) as connection:
        head = (
            f"POST {path} HTTP/1.1\r\nHost: {where.netloc}\r\nAuthorization: Bearer {key}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
        )
        connection.sendall(head.encode() + data)
        received = b""
        while mark not in received:
            more = connection.recv(65_536)
            assert more, received
            received += more


def gemini(stand: Stand, client: Client, query: str = "?alt=sse", prompt: str = SLOW) -> None:
    contents = [{"role": "user", "parts": [{"text": prompt}]}]
    body = {"contents": contents, "generationConfig": {"maxOutputTokens": 2_000}}
    begin_and_hang_up(stand.url("one"), client.key, GEMINI + query, body, b"candidates")


def billed_once(stand: Stand) -> Any:
    """The one call on the bill, which has it as soon as the provider has seen its end."""
    stand.until(lambda: len(stand.provider("/rehearsal/bill")["calls"]) == 1)
    (billed,) = stand.provider("/rehearsal/bill")["calls"]
    return billed


def chat(stand: Stand, client: Client) -> None:
    messages = [{"role": "user", "content": SLOW}]
    body = {"model": "gpt-4.1-mini", "messages": messages, "max_tokens": 2_000, "stream": True}
    begin_and_hang_up(stand.url("one"), client.key, CHAT, body, b"content")


@pytest.mark.parametrize("query", ["?alt=sse", ""])
def test_a_provider_that_bills_to_the_end_is_read_to_the_end(stand: Stand, query: str) -> None:
    client = client_of(stand, "Drained")
    gemini(stand, client, query)
    stand.until(lambda: len(stand.ledger(client.project_id)) == 1)
    (call,) = stand.ledger(client.project_id)
    billed = billed_once(stand)
    assert billed["outcome"] == "done"
    assert billed["quantities"]["output_tokens"] == 400
    assert call.cost_nano_usd == int(billed["cost_nano_usd"])
    assert not call.estimated
    assert stand.budget(client.budget_id).current_period.spent_nano_usd == call.cost_nano_usd


def test_a_provider_that_stops_is_cut_off_and_charged_for_what_was_seen_and_a_little_more(
    stand: Stand,
) -> None:
    client = client_of(stand, "Cut")
    chat(stand, client)
    stand.until(lambda: len(stand.ledger(client.project_id)) == 1)
    (call,) = stand.ledger(client.project_id)
    billed = billed_once(stand)
    assert billed["outcome"] == "client_gone"
    assert billed["quantities"]["output_tokens"] < 400
    assert call.estimated
    assert int(billed["cost_nano_usd"]) <= call.cost_nano_usd < call.worst_nano_usd


def test_a_sidecar_that_is_killed_in_a_drain_charges_the_worst_case_when_it_is_back(
    stand: Stand,
) -> None:
    client = client_of(stand, "Killed")
    gemini(stand, client, prompt=ENDLESS)
    stand.sidecars["one"].kill()
    stand.start_sidecar("one")
    stand.until(lambda: len(stand.ledger(client.project_id)) == 1)
    (call,) = stand.ledger(client.project_id)
    billed = billed_once(stand)
    assert billed["outcome"] == "client_gone"
    assert call.estimated
    assert call.cost_nano_usd == call.worst_nano_usd >= int(billed["cost_nano_usd"])


def test_a_sidecar_that_ends_lets_its_drains_come_to_their_end(stand: Stand) -> None:
    client = client_of(stand, "Ended")
    gemini(stand, client)
    assert stand.sidecars["one"].stop() == 0
    (call,) = stand.ledger(client.project_id)
    assert not call.estimated
    assert call.cost_nano_usd == stand.bill_nano_usd()
