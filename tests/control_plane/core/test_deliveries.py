"""What becomes of a message after each attempt."""

from dataclasses import replace

import pytest

from control_plane.core.alerts import HOUR_MS, MINUTE_MS
from control_plane.core.deliveries import (
    RETRIED_FOR_MS,
    TRANSITIONS,
    Delivery,
    DeliveryState,
    Message,
    Outcome,
    Purpose,
    settle,
    wait_ms,
)

NOON = 1_795_435_200_000
IN_HAND = Delivery(
    "dlv", Purpose.ALERT, Message("s", "w"), NOON, state=DeliveryState.SENDING, attempt_count=1
)


@pytest.mark.parametrize("repeats", [True, False])
@pytest.mark.parametrize("outcome", Outcome)
def test_an_attempt_leads_where_the_table_says(outcome: Outcome, repeats: bool) -> None:
    settled = settle(replace(IN_HAND, repeats=repeats), outcome, NOON + 5)
    assert settled.state is TRANSITIONS[DeliveryState.SENDING, outcome, repeats]
    again = NOON + 5 + MINUTE_MS if settled.state is DeliveryState.QUEUED else 0
    assert settled.next_unix_ms == again


def test_waiting_doubles_from_a_minute_to_an_hour() -> None:
    waits = [wait_ms(count) // MINUTE_MS for count in range(1, 9)]
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]
    assert wait_ms(10_000) == HOUR_MS


def test_after_a_day_it_is_given_up_and_what_may_have_arrived_is_not_called_failed() -> None:
    late = NOON + RETRIED_FOR_MS - MINUTE_MS
    assert settle(IN_HAND, Outcome.NOT_SENT, late).state is DeliveryState.QUEUED
    assert settle(IN_HAND, Outcome.NOT_SENT, late + 1).state is DeliveryState.FAILED
    assert settle(IN_HAND, Outcome.LOST_SIGHT, late + 1).state is DeliveryState.UNKNOWN
    assert settle(IN_HAND, Outcome.ARRIVED, late + 1).state is DeliveryState.SENT
