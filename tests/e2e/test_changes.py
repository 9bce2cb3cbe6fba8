"""What an administrator changes binds every sidecar within a second."""

import time

import grpc
import httpx
import pytest
from google.protobuf.duration_pb2 import Duration

from protos.bursar.admin import v1 as admin
from tests.e2e.stand import Client, Stand

CENT = 10_000_000
CALLS_A_SECOND = 20
"""What one caller makes at least, one after the other, on a machine that does nothing else."""
OVERLAP_S = 6
CALL = {
    "model": "rehearsal-cent",
    "max_tokens": 10,
    "messages": [{"role": "user", "content": "[rehearse reply_tokens=10] Say a cent's worth."}],
}


def ask(url: str, key: str) -> httpx.Response:
    """One call without any retry."""
    return httpx.post(
        f"{url}/v1/chat/completions",
        headers={"authorization": f"Bearer {key}"},
        json=CALL,
        timeout=30,
    )


def two_sidecars(stand: Stand, cap_nano_usd: int) -> tuple[Client, list[str]]:
    client = stand.add_client("Acme Dental", cap_nano_usd)
    return client, [stand.start_sidecar("one"), stand.start_sidecar("two")]


def until_status(url: str, key: str, status: int, within_s: float) -> None:
    """Ask until it is so, within a time, or within as many calls as fit into it if not busy."""
    deadline = time.monotonic() + within_s
    left = within_s * CALLS_A_SECOND
    while (answer := ask(url, key)).status_code != status:
        left -= 1
        assert left > 0 or time.monotonic() < deadline, answer.text


def test_a_raised_cap_lets_the_next_call_pass_on_both_sidecars(stand: Stand) -> None:
    client, urls = two_sidecars(stand, 2 * CENT)
    for url in urls:
        assert ask(url, client.key).status_code == 200
    assert [ask(url, client.key).status_code for url in urls] == [402, 402]
    stand.set_cap(client.budget_id, 4 * CENT)
    for url in urls:
        until_status(url, client.key, 200, within_s=1)
    stand.until(lambda: stand.usage_nano_usd() == stand.bill_nano_usd() == 4 * CENT)


def test_a_raise_for_this_period_leaves_the_cap_for_good(stand: Stand) -> None:
    client, (url, _) = two_sidecars(stand, CENT)
    assert ask(url, client.key).status_code == 200
    assert ask(url, client.key).status_code == 402
    answer = stand.set_cap(client.budget_id, 2 * CENT, this_period_only=True)
    assert answer.budget.cap_nano_usd == CENT
    assert answer.budget.current_period.cap_nano_usd == 2 * CENT
    assert answer.change.actor
    assert answer.change.reason == "a story"
    until_status(url, client.key, 200, within_s=1)


def test_a_revoked_key_is_refused_on_both_sidecars(stand: Stand) -> None:
    client, urls = two_sidecars(stand, 100 * CENT)
    for url in urls:
        assert ask(url, client.key).status_code == 200
    answer = stand.bursar.ask(
        stand.bursar.keys.RevokeKey,
        admin.RevokeKeyRequest(
            request_id=stand.request_id(), key_id=client.key_id, reason="it leaked"
        ),
    )
    assert answer.reach.sidecar_count == 2
    assert answer.reach.guaranteed_time.seconds > time.time()
    for url in urls:
        until_status(url, client.key, 401, within_s=1)
    assert ask(urls[0], client.key).json()["error"]["code"] == "key_revoked"


def test_after_a_rotation_both_secrets_work_until_the_overlap_ends(stand: Stand) -> None:
    client, urls = two_sidecars(stand, 100_000 * CENT)
    answer = stand.bursar.ask(
        stand.bursar.keys.RotateKey,
        admin.RotateKeyRequest(
            request_id=stand.request_id(), key_id=client.key_id, overlap=Duration(seconds=OVERLAP_S)
        ),
    )
    for url in urls:
        until_status(url, answer.secret, 200, within_s=1)
        assert ask(url, client.key).status_code == 200
    for url in urls:
        until_status(url, client.key, 401, within_s=OVERLAP_S + 2)
        assert ask(url, answer.secret).status_code == 200


def test_a_lone_caller_gets_the_money_that_an_idle_sidecar_was_leased(stand: Stand) -> None:
    client, (busy, idle) = two_sidecars(stand, 40 * CENT)
    statuses = [ask(idle, client.key).status_code for _ in range(3)]
    statuses += [ask(busy, client.key).status_code for _ in range(38)]
    assert statuses == [200] * 40 + [402]


def test_three_budgets_on_a_call_and_the_tightest_is_named(stand: Stand) -> None:
    client = stand.add_client("Acme Dental", 50 * CENT, workflow="leads", patience_ms=1_000)
    agency = stand.add_budget("agency", 60 * CENT)
    tight = stand.add_budget("leads only", 2 * CENT, project_id=client.project_id, workflow="leads")
    url = stand.start_sidecar("one")
    assert [ask(url, client.key).status_code for _ in range(2)] == [200, 200]
    refusal = ask(url, client.key)
    assert refusal.status_code == 402
    named = refusal.json()["error"]["bursar"]["budgets"]
    assert [budget["budget_id"] for budget in named] == [tight]
    assert "leads only" in refusal.json()["error"]["message"]

    def nothing_held() -> bool:
        periods = [stand.budget(budget).current_period for budget in (agency, client.budget_id)]
        return all(
            period.held_nano_usd == 0 and period.spent_nano_usd == 2 * CENT for period in periods
        )

    stand.until(nothing_held)


@pytest.mark.parametrize("cap", [-1, -CENT])
def test_a_negative_cap_is_refused_by_name(stand: Stand, cap: int) -> None:
    client = stand.add_client("Acme Dental", CENT)
    with pytest.raises(grpc.RpcError, match="INVALID_ARGUMENT") as caught:
        stand.set_cap(client.budget_id, cap)
    assert "cap" in str(caught.value)
