"""When a Sync is due."""

from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.cadence import Cadence


def due(
    cadence: Cadence,
    *,
    waiting: bool = False,
    asked: bool = False,
    records: int = 0,
    since: int | None = None,
) -> int:
    return cadence.due_boot_ms(
        waiting=waiting or asked, asked=asked, records=records, records_since_boot_ms=since
    )


def sent(boot_ms: int = 100_000) -> Cadence:
    cadence = Cadence()
    cadence.sent(boot_ms, 2_000)
    return cadence


def test_the_first_sync_is_due_at_once() -> None:
    assert due(Cadence()) <= 0


@given(st.integers(0, 2**32))
def test_a_quiet_sidecar_syncs_every_ten_seconds_give_or_take_a_fifth(jitter: int) -> None:
    cadence = Cadence()
    cadence.sent(100_000, jitter)
    assert 108_000 <= due(cadence) <= 112_000


def test_what_should_be_told_by_a_time_goes_out_then_or_with_what_goes_out_before() -> None:
    cadence = sent()
    assert cadence.tell_by(104_000)
    assert not cadence.tell_by(105_000)
    assert not cadence.tell_by(None)
    assert cadence.tell_by(103_000)
    assert due(cadence) == 103_000
    cadence.urgent = True
    assert not cadence.tell_by(100_000)
    cadence.sent(102_000, 2_000)
    assert due(cadence) == 112_000


def test_what_is_urgent_does_not_wait_but_keeps_fifty_milliseconds_apart() -> None:
    cadence = sent()
    cadence.urgent = True
    assert due(cadence) == 100_050
    cadence.sent(100_050, 2_000)
    assert due(cadence) == 110_050


def test_a_refill_comes_at_most_once_a_second() -> None:
    cadence = sent()
    cadence.refill = True
    assert due(cadence) == 101_000


def test_records_are_told_within_a_second_or_when_there_are_sixty_four() -> None:
    assert due(sent(), records=1, since=103_000) == 104_000
    assert due(sent(), records=63, since=103_000) == 104_000
    assert due(sent(), records=64, since=103_000) == 100_050


def test_a_busy_control_plane_is_left_alone_for_as_long_as_it_says() -> None:
    cadence = sent()
    cadence.urgent = True
    cadence.pause_boot_ms = 103_000
    assert due(cadence, waiting=True) == 103_000


def test_a_stream_that_falls_silent_while_told_calls_wait_is_not_relied_on() -> None:
    cadence = sent()
    assert due(cadence, asked=True) == 103_000
    cadence.stream_boot_ms = 102_500
    assert due(cadence, asked=True) == 105_500
    assert due(cadence, waiting=True) == 110_000


def test_unchanged_leases_are_told_of_every_two_seconds_not_with_every_sync() -> None:
    cadence = Cadence()
    assert [cadence.tells_all(at) for at in (0, 50, 1_999, 2_000, 2_050)] == [
        True,
        False,
        False,
        True,
        False,
    ]


def test_the_deadline_is_short_while_someone_waits_and_grows_with_each_silence() -> None:
    cadence = Cadence()
    assert cadence.deadline_ms(waiting=False) == 1_000
    deadlines = []
    for failures in range(5):
        cadence.failures = failures
        deadlines.append(cadence.deadline_ms(waiting=True))
    assert deadlines == [300, 600, 1_200, 2_000, 2_000]


def test_a_control_plane_that_is_only_slow_is_given_the_time_it_takes() -> None:
    cadence = sent()
    cadence.failures = 2
    cadence.answered(700)
    assert (cadence.failures, cadence.deadline_ms(waiting=True)) == (0, 1_400)
    cadence.answered(1_900)
    assert cadence.deadline_ms(waiting=True) == 2_000
    cadence.answered(10)
    assert cadence.deadline_ms(waiting=True) == 300


def test_who_is_nudged_tells_of_all_leases_as_what_was_heard_may_not_hold() -> None:
    cadence = Cadence()
    assert cadence.tells_all(10_000)
    assert not cadence.tells_all(10_001)
    cadence.tell_all()
    assert cadence.tells_all(10_002)
