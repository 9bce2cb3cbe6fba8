"""What is told of a lease beside money: who waits for what comes free of it, and what is left."""

from dataclasses import replace

from sidecar.core.allowance import Allowance
from sidecar.core.leases import LeaseKey
from tests.sidecar.builders import CENT, MONTH, grant


def test_a_lease_that_others_wait_for_is_known_until_the_next_answer() -> None:
    allowance = Allowance()
    lease = allowance.merge(replace(grant(), short=True), 1, renews=True)
    assert lease.wanted_at(1)
    assert not allowance.merge(grant(), 2, renews=True).wanted_at(2)
    allowance.recall(lease.key, lease.available_nano_usd)
    assert lease.wanted_at(2), "asked for more than is here: what comes free later is wanted too"
    assert not allowance.merge(grant(), 3, renews=True).wanted_at(3)


def test_what_comes_free_is_told_with_the_records_while_nobody_who_waits_gives_up_soon() -> None:
    allowance = Allowance()
    patient = replace(grant(), short=True, patient_ms=5_000)
    lease = allowance.merge(patient, 1_000, renews=True)
    assert [lease.wanted_at(at) for at in (1_000, 3_999, 4_000)] == [False, False, True]
    allowance.merge_offer(patient, 4_000)
    assert [lease.wanted_at(at) for at in (4_000, 6_999, 7_000)] == [False, False, True]
    allowance.merge_offer(replace(patient, patient_ms=0), 4_000)  # Nobody knows.
    assert lease.wanted_at(4_000)


def test_what_is_left_is_only_ever_lowered_by_what_a_stream_tells_and_under_the_same_cap() -> None:
    allowance = Allowance()
    lease = allowance.merge(grant(unspent=20 * CENT, reachable=9 * CENT), 1_000, renews=True)

    def left() -> tuple[int, int]:
        assert lease.latest is not None
        return lease.latest.unspent_nano_usd, lease.latest.reachable_nano_usd

    assert allowance.lower(lease.key, 1, 12 * CENT)
    assert left() == (12 * CENT, 9 * CENT)
    assert allowance.lower(lease.key, 1, 5 * CENT)
    assert left() == (5 * CENT, 5 * CENT)
    assert not allowance.lower(lease.key, 1, 6 * CENT)
    assert not allowance.lower(lease.key, 2, 4 * CENT)
    assert not allowance.lower(LeaseKey("bgt_b", "", MONTH), 1, 4 * CENT)
    assert lease.heard_boot_ms == 1_000
    allowance.merge(grant(unspent=7 * CENT), 2_000, renews=True)
    assert left() == (7 * CENT, 7 * CENT)
    allowance.say_again()
    assert not allowance.lower(lease.key, 1, 4 * CENT), "counted by a database that is replaced"
