"""A waiting call is named only when all its budgets were granted what it misses, or none was."""

from collections import defaultdict

from protos.bursar.sidecar import v1 as wire
from tests.simulation.invariants import must


def check_named(request: wire.SyncRequest, answer: wire.SyncResponse, now_unix_ms: int) -> None:
    """Hold the calls that an answer names against the money that its sidecar has by it.

    Only budgets of which the request spoke are looked at: what it did not repeat may have changed.
    """
    told = {_key(report.lease): report for report in request.leases}
    room: dict[tuple[str, str], int] = {}
    for grant in answer.leases:
        report = told.get(_key(grant.lease))
        ends = grant.period_end_unix_ms
        runs = grant.period_start_unix_ms <= now_unix_ms and (not ends or now_unix_ms < ends)
        if report is not None and runs:
            more = max(0, grant.granted_nano_usd - report.granted_seen_nano_usd)
            account = (grant.lease.budget_id, grant.lease.partition)
            room[account] = report.available_nano_usd + more
    needed: dict[tuple[str, str], int] = defaultdict(int)
    named = set(answer.named_call_ids)
    for demand in request.demands:
        if demand.call_id in named:
            for budget in demand.budgets:
                needed[budget.budget_id, budget.partition] += demand.worst_nano_usd
    for account, amount in needed.items():
        must(
            account not in room or amount <= room[account],
            "named",
            f"{account}: calls that need {amount} were named, and {room.get(account)} is there",
        )


def _key(lease: wire.LeaseKey) -> tuple[str, str, str]:
    return (lease.budget_id, lease.partition, lease.period_id)
