"""Who may start calls, and until when: as it was given, by the true time.

A process is not asked whether it may. What it was given is kept here as its answers come, on the
disk that they came to, and each call is held against that at the instant of its first byte.
"""

from typing import TYPE_CHECKING

from protos.bursar.sidecar import v1 as wire
from sidecar.core.leases import LeaseKey
from sidecar.limits import PAUSE_MS, SYNC_DEADLINE_MS
from tests.simulation.clocks import true_ms
from tests.simulation.invariants import must, name_of

if TYPE_CHECKING:
    from sidecar.core.calls import Hold
    from tests.simulation.host import Life
    from tests.simulation.provider import Billing
    from tests.simulation.simulation import Promise, Simulation

_ROUNDED_MS = 5
"""Clocks are read in whole milliseconds, by hosts whose oscillators differ."""


def check_taken(
    life: "Life",
    answer: wire.SyncResponse,
    sync_no: int,
    before: dict[LeaseKey, int],
    *,
    counts: bool,
) -> None:
    """Authority is counted from when a Sync left: whoever gave it counts from before it came.

    None is given to a process on whose disk another policy is kept than the one it was given under.
    """
    given: dict[LeaseKey, int] = {}
    if counts and (answer.generation, answer.policy_version) == life.policy_kept:
        given = {
            LeaseKey(grant.lease.budget_id, grant.lease.partition, grant.lease.period_id): (
                grant.authority_ms
            )
            for grant in answer.leases
        }
    sent_ms, sent_boot_ms = life.syncs_left[sync_no]
    for lease in life.allowance:
        authority_ms = given.get(lease.key, 0)
        until_ms = max(before.get(lease.key, 0), sent_boot_ms + authority_ms)
        must(
            lease.authority_boot_ms <= until_ms,
            "authority",
            f"{life.name} takes {name_of(lease.key)} for its own until {lease.authority_boot_ms},"
            f" and may until {until_ms}",
        )
    _note_given(life, given, sent_ms)


def _note_given(life: "Life", given: dict[LeaseKey, int], sent_ms: int) -> None:
    """By the host's own oscillator it lasts as long as it says, in this boot and on this disk."""
    until = life.disk.authority_ms
    for key, authority_ms in given.items():
        place = (life.boots, life.journal.epoch, key)
        ends_ms = sent_ms + authority_ms * 1_000 // life.host.clock.rate_permille
        until[place] = max(until.get(place, 0), ends_ms)


def check_beginning(life: "Life") -> None:
    """A process takes up no more than was given in this boot, and to the disk that it is on."""
    now_ms, boot_ms = true_ms(), life.clock.now().boot_ms
    for lease in life.allowance:
        left_ms = lease.authority_boot_ms - boot_ms
        if left_ms > 0:
            ends_ms = now_ms + left_ms * 1_000 // life.host.clock.rate_permille
            _check_ends(life, lease.key, ends_ms, "begins with", "until")


def check_dispatch(
    simulation: "Simulation", billing: "Billing", hold: "Hold", *, at_once: bool
) -> None:
    """I5, and authority: a call goes out only while it may. At the instant of its first byte.

    Where the machine slept since the process looked last, `at_once` is false: it could not know.
    """
    life = billing.life
    _check_period(simulation, billing, hold)
    if not at_once:
        return
    for promise in simulation.promises:
        _check_promise(simulation, billing, hold.call.attributes.key_id, promise)
    must(
        not life.admission.fenced,
        "authority",
        f"{life.name} sent a call though it was told to stop",
    )
    _check_asked(life)
    boot_ms = life.clock.now().boot_ms
    for key in billing.vector:
        _check_lease(life, key, boot_ms)


def _check_promise(
    simulation: "Simulation", billing: "Billing", key_id: str, promise: "Promise"
) -> None:
    """By the promised instant a change binds everywhere; who knows that a key ended, at once."""
    life, policy = billing.life, billing.life.admission.policy
    late_ms = simulation.clock.unix_ms() - promise.guaranteed_unix_ms
    if (policy.generation, policy.version) >= (promise.generation, promise.policy_version):
        must(
            promise.what != "key" or promise.name != key_id,
            "I5 revocation",
            f"{life.name} sent a call with the key {key_id}, and knew that it was revoked",
        )
    elif late_ms > 0:
        concerned = {
            "key": promise.name == key_id,
            "cap": any(key.budget_id == promise.name for key in billing.vector),
            "sidecar": promise.name == life.host.sidecar_id,
        }[promise.what]
        must(
            not concerned,
            "I5 revocation",
            f"{life.name} sent a call {late_ms} ms after the change of "
            f"{promise.what} {promise.name} was to bind everywhere",
        )


def _check_lease(life: "Life", key: LeaseKey, boot_ms: int) -> None:
    """It has authority by its own clock and by the true time, and nothing stops the lease."""
    lease = life.allowance.lease(key)
    must(
        lease is not None
        and boot_ms < lease.authority_boot_ms
        and not lease.frozen
        and not lease.overrun_seq,
        "authority",
        f"{life.name} sent a call on {name_of(key)} without authority",
    )
    _check_ends(life, key, true_ms(), "sent a call on", "at")


def _check_ends(life: "Life", key: LeaseKey, ends_ms: int, does: str, when: str) -> None:
    clock = life.host.clock
    if clock.paused_since_ms is not None:
        return  # It stands still, and sees what went by when it goes on.
    if clock.paused and clock.stepped:
        return  # Each may have hidden the other from any program.
    until_ms = life.disk.authority_ms.get((life.boots, life.journal.epoch, key), 0)
    if clock.paused:
        until_ms += PAUSE_MS
    must(
        ends_ms <= until_ms + _ROUNDED_MS,
        "authority",
        f"{life.name} {does} {name_of(key)} {when} {ends_ms}, and may until {until_ms}",
    )


def _check_asked(life: "Life") -> None:
    """After a pause of its machine a process asks before it lets a call go out."""
    clock = life.host.clock
    paused = clock.paused
    if clock.stepped or paused is None or life.began_ms >= paused.since_ms:
        return
    if paused.lasted_ms <= PAUSE_MS:
        return
    must(
        # One that asked while it stood still had seen all of the pause but so much.
        life.asked_ms >= paused.until_ms - PAUSE_MS * 1_000 // clock.rate_permille - _ROUNDED_MS,
        "authority",
        f"{life.name} was paused until {paused.until_ms}, asked last at {life.asked_ms}"
        " and sent a call",
    )


def _check_period(simulation: "Simulation", billing: "Billing", hold: "Hold") -> None:
    """A call is charged to the periods in which it was opened, as well as its clock can tell.

    A sidecar knows the control plane's time as well as its Syncs are quick, and by its oscillator.
    """
    life, clock = billing.life, billing.life.host.clock
    if clock.stepped or life.host.slept:
        return
    opened_ms = simulation.clock.unix_ms() - (life.clock.now().unix_ms - hold.started_unix_ms)
    off_ms = SYNC_DEADLINE_MS + true_ms() * abs(clock.rate_permille - 1_000) // 900 + _ROUNDED_MS
    for key in billing.vector:
        row = simulation.books.periods.get(key)
        if row is None:
            continue  # An older database may have forgotten it.
        starts_ms, ends_ms = row["start_unix_ms"], row["end_unix_ms"]
        must(
            starts_ms <= opened_ms + off_ms and (ends_ms is None or opened_ms - off_ms < ends_ms),
            "period",
            f"{life.name} opened a call on {name_of(key)} {starts_ms - opened_ms} ms before its"
            f" begin, or {opened_ms - (ends_ms or 0)} ms after its end",
        )
