"""What must be so at rest: the weather is good, every call has ended, and everything was told."""

from typing import TYPE_CHECKING

from control_plane.store.engine import Row, Tx
from sidecar.core.leases import LeaseKey
from tests.simulation.invariants import must

if TYPE_CHECKING:
    from tests.simulation.host import SimulatedHost
    from tests.simulation.provider import Billing
    from tests.simulation.simulation import Simulation


def check_rest(simulation: "Simulation") -> None:
    """The ledger is the truth, and nothing is held. Raises ViolationError."""
    calls, charges = simulation.headquarters.read(_ledger)
    by_call: dict[str, list[Row]] = {}
    for charge in charges:
        by_call.setdefault(charge["call_id"], []).append(charge)
    missing: dict[LeaseKey, int] = {}
    for billing in simulation.provider.calls.values():
        row = calls.get(billing.call_id)
        if row is None:
            must(
                billing.journal.lost or billing.journal.forked or billing.life.host.revoked,
                "I2 ledger",
                f"{billing.call_id} of {billing.life.name} was billed and is not in the ledger",
            )
            must(
                simulation.restores > 0 or not _counts_as_told(billing),
                "I2 ledger",
                f"{billing.call_id} of {billing.life.name} counts as told, and is not in it",
            )
            for key in billing.vector:
                missing[key] = missing.get(key, 0) + billing.within_nano_usd
            continue
        _check_call(billing, row, by_call.get(billing.call_id, []))
    _check_missing(simulation, missing)
    _check_strangers(simulation, calls)
    _check_nothing_held(simulation)
    _check_alarms(simulation)


def _counts_as_told(billing: "Billing") -> bool:
    """Its end was acknowledged, to a process that was not told that its journal is a copy."""
    life, seq = billing.life, billing.settled_seq
    return 0 < seq <= life.journal.acked_seq and not life.admission.fenced


def _ledger(tx: Tx) -> tuple[dict[str, Row], list[Row]]:
    calls = tx.rows("SELECT * FROM call")
    charges = tx.rows("SELECT * FROM charge")
    assert len({row["call_id"] for row in calls}) == len(calls)
    return {row["call_id"]: row for row in calls}, list(charges)


def _check_call(billing: "Billing", row: Row, charges: list[Row]) -> None:
    """Exact where the process lived to see the usage, never too low where it did not."""
    cost, name = row["cost_nano_usd"], billing.call_id
    bill = billing.billed_nano_usd or 0
    must(cost >= billing.within_nano_usd, "I2 estimate", f"{name}: billed {bill}, booked {cost}")
    if billing.journal.forked:
        return  # Each process may have told of it, and only one was believed.
    survivor = billing.seen and not billing.life.dead
    if survivor or not row["estimated"]:
        must(cost == bill, "I2 exact", f"{name}: billed {bill}, booked {cost}")
    if survivor or billing.guessed:
        must(bool(row["estimated"]) == billing.guessed, "I2 exact", f"{name}: estimated or not")
    settled = {
        (each["budget_id"], each["partition"], each["period_id"]): each["amount_nano_usd"]
        for each in charges
        if each["kind"] == "SETTLE"
    }
    if row["outcome"] in ("provider_error", "not_sent") and cost == 0:
        return
    for key in billing.vector:
        must(tuple(key) in settled, "I2 vector", f"{name}: not charged to {key}")
    for account in billing.counted:
        found = any(key[:2] == tuple(account) for key in settled)
        must(found, "I2 vector", f"{name}: not counted by {account}")
    must(
        len(settled) == len(billing.vector) + len(billing.counted),
        "I2 vector",
        f"{name}: charged to {sorted(settled)}",
    )


def _check_missing(simulation: "Simulation", missing: dict[LeaseKey, int]) -> None:
    """What a lost journal knew is covered by the money that stays out of the budgets for it."""
    lumps = {
        LeaseKey(row["budget_id"], row["partition"], row["period_id"]): int(row["lump"])
        for row in simulation.headquarters.read(_lumps)
    }
    for key, amount in missing.items():
        row = simulation.books.periods.get(key)
        covered = row["orphan_hold_nano_usd"] if row is not None else 0
        covered += lumps.get(key, 0)
        covered += sum(
            granted - returned - spent
            for (sidecar_id, _, held), (granted, returned, spent) in simulation.books.leases.items()
            if held == key and _revoked(simulation, sidecar_id)
        )
        slack = simulation.books.slack.get(key, 0)
        must(
            amount <= covered + slack,
            "I2 orphans",
            f"{key}: {amount} were billed and are lost, {covered} cover them",
        )


def _lumps(tx: Tx) -> list[Row]:
    return list(
        tx.rows(
            """SELECT budget_id, partition, period_id, SUM(lump_nano_usd) AS lump FROM lease
               GROUP BY budget_id, partition, period_id"""
        )
    )


def _revoked(simulation: "Simulation", sidecar_id: str) -> bool:
    host = simulation.by_sidecar.get(sidecar_id)
    return host is not None and host.revoked


def _check_strangers(simulation: "Simulation", calls: dict[str, Row]) -> None:
    """A call that never reached the provider costs nothing, unless nobody could know."""
    killed = {
        life.host.sidecar_id
        for host in simulation.hosts.values()
        for life in host.lives
        if life.dead
    }
    for call_id, row in calls.items():
        if call_id not in simulation.provider.calls and row["cost_nano_usd"]:
            must(
                row["sidecar_id"] in killed and bool(row["estimated"]),
                "I2 ledger",
                f"{call_id} cost {row['cost_nano_usd']} and was never sent",
            )


def _check_nothing_held(simulation: "Simulation") -> None:
    books = simulation.books
    for host in simulation.hosts.values():
        life = host.life
        if life is None or life.dead or host.revoked or life.admission.fenced:
            continue
        must(life.ready.is_set(), "rest", f"{host.name} does not serve")
        must(life.admission.open_calls == 0, "rest", f"{host.name} has open calls")
        must(
            life.journal.acked_seq == life.journal.last_seq,
            "rest",
            f"{host.name} has records that nobody took",
        )
        for lease in life.allowance:
            numbers = books.leases.get((host.sidecar_id, life.journal.epoch, lease.key), (0, 0, 0))
            here = (lease.granted_nano_usd, lease.returned_nano_usd, lease.spent_nano_usd)
            must(
                lease.held_nano_usd == 0 and here[2] == numbers[2],
                "rest",
                f"{host.name} {lease.key}: {here} here, {numbers} there",
            )


CAUSES: dict[str, tuple[str, ...]] = {
    "OVERRUN": ("call billed more",),
    "FENCED": ("cloned journal", "old disk returned"),
    "JOURNAL_LOST": ("journal wiped", "journal unreadable"),
    "OLD_DATABASE": ("database restored",),
    "BAD_RECORD": ("cloned journal",),
    "OVERSHOOT": ("cloned journal",),
}
"""What may raise each alarm of the control plane."""

HERE: dict[str, tuple[str, ...]] = {
    "overrun": ("call billed more",),
    "fenced": ("cloned journal", "old disk returned", "sidecar revoked"),
    # A bad page that holds nothing of the seal shows when it is written to.
    "journal_failed": ("sync error", "rotten journal"),
    "policy_not_kept": ("disk full",),
    "disk_full": ("disk full",),
}
"""What may raise each alarm of a sidecar."""


def _check_alarms(simulation: "Simulation") -> None:
    """Nothing raises an alarm but what was done."""
    faults = simulation.tally.faults
    rows = simulation.headquarters.read(lambda tx: tx.rows("SELECT * FROM alarm"))
    for row in rows:
        causes = CAUSES.get(row["kind"], ())
        must(
            any(faults[cause] for cause in causes),
            "alarms",
            f"{row['kind']} without cause: {row['detail']}",
        )
    for host in simulation.hosts.values():
        for life in host.lives:
            for alarm in life.alarms():
                must(
                    any(faults[cause] for cause in HERE.get(alarm, ()))
                    and (alarm != "fenced" or _twofold(host)),
                    "alarms",
                    f"{host.name} raised {alarm} without cause",
                )


def _twofold(host: "SimulatedHost") -> bool:
    """Whether it was revoked itself, or a process of it ran on another disk than its own.

    What was done to another sidecar is no cause: whoever is fenced is let off what holds at rest.
    """
    return host.revoked or any(life.disk is not host.disk for life in host.lives)
