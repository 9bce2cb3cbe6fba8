"""A limit is put on the wire only near the cap, and never below what the workflow needs."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.calls import Bound
from sidecar.core.clamping import (
    Limited,
    OutputLengths,
    WorkflowKey,
    clamp,
    clampable,
    fair_share_nano_usd,
    near_cap,
    unclamped,
    with_default,
)
from tests.sidecar.builders import CENT, bound

NEWS = WorkflowKey("prj_a", "news")
TOKEN_RATE = 1_000_000
"""A thousand nano-dollars a token: 10,000 tokens cost a cent."""


def free(output_max: int = 10_000, worst: int = 0) -> Bound:
    return bound(worst, output_rate=TOKEN_RATE, output_max=output_max)


@pytest.mark.parametrize(
    ("left", "near"),
    [
        pytest.param(10 * CENT + 1, False, id="under a tenth of what is left"),
        pytest.param(10 * CENT, True, id="a tenth of what is left"),
        pytest.param(0, True, id="nothing is left"),
        pytest.param(None, False, id="not known what is left"),
    ],
)
def test_a_call_is_near_the_cap_from_a_tenth_of_what_is_left(left: int | None, near: bool) -> None:
    assert near_cap(free(), left) is near


def test_a_limit_of_the_caller_is_never_altered() -> None:
    limited = bound(output_rate=TOKEN_RATE, output_max=10_000, limit=9_000)
    assert not clampable(limited)
    assert not near_cap(limited, 0)
    assert unclamped(limited) == Limited(limited.worst_nano_usd(9_000), None)


def test_a_call_without_output_is_not_clamped() -> None:
    assert not clampable(bound(CENT))
    assert unclamped(bound(CENT)) == Limited(CENT, None)


def test_the_limit_spends_the_share_to_the_last_whole_token() -> None:
    assert clamp(free(), 5_000_999, floor_count=1_024) == Limited(5_000_000, 5_000)


def test_the_limit_stays_above_the_floor_even_when_the_share_does_not_cover_it() -> None:
    assert clamp(free(), 0, floor_count=4_096) == Limited(4_096_000, 4_096)


def test_the_models_own_maximum_is_not_put_on_the_wire() -> None:
    assert clamp(free(output_max=2_000), 0, floor_count=4_096) == Limited(2_000_000, None)
    assert clamp(free(), 10 * CENT, floor_count=1_024) == Limited(CENT, None)


@given(
    worst=st.integers(0, CENT),
    rate=st.integers(1, 10**8),
    output_max=st.integers(1, 200_000),
    within=st.integers(0, 10 * CENT),
    floor=st.integers(1_024, 50_000),
)
def test_a_clamped_call_fits_its_share_or_stands_at_its_floor(
    worst: int, rate: int, output_max: int, within: int, floor: int
) -> None:
    call = bound(worst, output_rate=rate, output_max=output_max)
    limited = clamp(call, within, floor)
    count = output_max if limited.output_limit is None else limited.output_limit
    assert limited.worst_nano_usd == call.worst_nano_usd(count)
    assert limited.worst_nano_usd <= within or count <= max(floor, 1)
    assert count >= min(floor, output_max)


def test_a_fair_share_is_a_tenth_and_never_negative() -> None:
    assert fair_share_nano_usd(CENT) == CENT // 10
    assert fair_share_nano_usd(-5) == 0


def test_an_unknown_workflow_needs_4096_tokens() -> None:
    lengths = OutputLengths()
    assert lengths.floor_count(NEWS) == 4_096
    for _ in range(19):
        lengths.note(NEWS, 10, 1)
    assert lengths.floor_count(NEWS) == 4_096


def test_a_known_workflow_needs_twice_what_99_of_100_answers_needed() -> None:
    lengths = OutputLengths()
    for count in range(1, 101):
        lengths.note(NEWS, count * 10, 1)
    assert lengths.floor_count(NEWS) == 2 * 990
    assert lengths.floor_count(WorkflowKey("prj_b", "news")) == 4_096


def test_a_workflow_of_short_answers_still_gets_1024_tokens() -> None:
    lengths = OutputLengths()
    for _ in range(20):
        lengths.note(NEWS, 5, 1)
    assert lengths.floor_count(NEWS) == 1_024


def test_several_answers_of_one_call_count_by_their_mean() -> None:
    lengths = OutputLengths()
    for _ in range(20):
        lengths.note(NEWS, 3_001, 2)
    assert lengths.floor_count(NEWS) == 2 * 1_501


def test_old_answers_and_old_workflows_are_forgotten() -> None:
    lengths = OutputLengths()
    for _ in range(20):
        lengths.note(NEWS, 40_000, 1)
    for _ in range(200):
        lengths.note(NEWS, 600, 1)
    assert lengths.floor_count(NEWS) == 1_200
    for number in range(4_096):
        lengths.note(WorkflowKey("prj_a", str(number)), 1, 1)
    assert lengths.floor_count(NEWS) == 4_096


@pytest.mark.parametrize(
    ("limit", "default", "held", "on_wire"),
    [
        pytest.param(None, None, 10_000, None, id="neither: the model's maximum"),
        pytest.param(None, 2_000, 2_000, 2_000, id="a default: held, and on the wire"),
        pytest.param(9_000, 2_000, 9_000, None, id="the caller's own is larger"),
        pytest.param(100, 2_000, 100, None, id="the caller's own is smaller"),
        pytest.param(None, 10_000, 10_000, None, id="a default that limits nothing"),
        pytest.param(None, 99_999, 10_000, None, id="a default beyond the model's maximum"),
    ],
)
def test_a_default_counts_only_where_the_caller_set_no_limit(
    limit: int | None, default: int | None, held: int, on_wire: int | None
) -> None:
    asked = with_default(
        bound(CENT, output_rate=TOKEN_RATE, output_max=10_000, limit=limit), default
    )
    assert unclamped(asked) == Limited(asked.worst_nano_usd(held), on_wire)


def test_what_writes_nothing_gets_no_default() -> None:
    assert with_default(bound(CENT), 2_000) == bound(CENT)


def test_near_the_cap_a_default_is_clamped_further_and_never_raised() -> None:
    asked = with_default(free(), 5_000)
    assert near_cap(asked, 50 * CENT // 10)
    assert not near_cap(asked, 50 * CENT // 10 + 1)
    assert clamp(asked, 2_000_000, floor_count=1_024) == Limited(2_000_000, 2_000)
    assert clamp(asked, 0, floor_count=1_024) == Limited(1_024_000, 1_024)
    assert clamp(asked, 0, floor_count=8_000) == unclamped(asked) == Limited(5_000_000, 5_000)
    assert clamp(asked, 9 * CENT, floor_count=1_024) == unclamped(asked)


def test_where_a_client_wants_no_answer_cut_shorter_nothing_is_clamped() -> None:
    whole = replace(free(), clamps=False)
    assert not clampable(whole)
    assert not near_cap(whole, 0)
    assert unclamped(whole) == unclamped(free())
