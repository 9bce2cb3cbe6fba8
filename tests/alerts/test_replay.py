"""A small part of `make replay-alerts`, in every run."""

import random

import pytest

from control_plane.core.alerts import Rule, Severity
from tests.alerts.campaign import play
from tests.alerts.months import CAP_NANO_USD, STEPS, STEPS_PER_DAY, STEPS_PER_HOUR, nightly_batch
from tests.alerts.replay import has_false_page, left_when_paged, looks


@pytest.mark.slow
def test_a_few_months_of_each_kind_keep_what_is_promised() -> None:
    for played in play(range(1, 2), quiet=25, runaways=9):
        assert played.holds, played


def test_a_month_that_is_burnt_in_two_hours_is_paged_while_half_is_left() -> None:
    month = [0] * STEPS
    begin = 9 * STEPS_PER_DAY
    for step in range(begin, begin + 2 * STEPS_PER_HOUR):
        month[step] = CAP_NANO_USD // (2 * STEPS_PER_HOUR)
    at_begin, at_page = left_when_paged(month, begin)
    assert at_begin == CAP_NANO_USD
    assert at_page * 2 > at_begin


def test_a_nightly_batch_that_burns_a_hundredfold_wakes_nobody() -> None:
    month = nightly_batch(random.Random(4))
    assert sum(month) < CAP_NANO_USD * 9 // 10
    assert not has_false_page(month)


def test_what_is_found_on_the_way_to_the_cap_comes_in_order() -> None:
    """From 79 % on, twelve percent of the cap an hour: the notice, the page, the stop."""
    begin = 10 * STEPS_PER_DAY
    month = [CAP_NANO_USD * 79 // 100 // begin + 1] * begin + [0] * (STEPS - begin)
    for step in range(begin, begin + 2 * STEPS_PER_HOUR):
        month[step] = CAP_NANO_USD // 100
    first: dict[tuple[Rule, Severity, object], int] = {}
    for look in looks(month):
        for found in look.findings:
            what = (found.rule, found.severity, found.facts.get("percent"))
            first.setdefault(what, look.step)
    eighty = first[Rule.THRESHOLD, Severity.P2, 80]
    page = first[Rule.TIME_TO_CAP, Severity.P1, None]
    stop = first[Rule.STOPPED, Severity.P1, None]
    assert eighty < page < first[Rule.THRESHOLD, Severity.P2, 95] < stop
