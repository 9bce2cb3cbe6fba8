"""Whose trace a call belongs to, and whether it is recorded."""

import random

import pytest

from protos.telemetry.traces import Sampler, TraceContext, child, read_traceparent, start

ID = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
ALWAYS, NEVER = Sampler(1_000_000), Sampler(0)
PARENT = TraceContext(int(ID, 16), int(SPAN, 16), sampled=True, state="a=1")


def test_a_header_is_read_and_written_the_same() -> None:
    assert read_traceparent(f"00-{ID}-{SPAN}-01", "a=1") == PARENT
    assert PARENT.traceparent == f"00-{ID}-{SPAN}-01"


@pytest.mark.parametrize(
    ("header", "sampled"),
    [
        (f"00-{ID}-{SPAN}-00", False),
        (f"00-{ID}-{SPAN}-03", True),
        (f"01-{ID}-{SPAN}-01-what-a-later-version-adds", True),
    ],
)
def test_flags_and_later_versions(header: str, sampled: bool) -> None:
    found = read_traceparent(header)
    assert found is not None
    assert found.sampled is sampled


@pytest.mark.parametrize(
    "header",
    [
        *(
            "",
            "00",
            "nonsense",
            f"00-{ID}-{SPAN}",
            f"00-{ID}-{SPAN}-01-more",
            f"00-{ID}-{SPAN}-01x",
        ),
        *(f"ff-{ID}-{SPAN}-01", f"00-{'0' * 32}-{SPAN}-01", f"00-{ID}-{'0' * 16}-01"),
        *(f"00-{ID.upper()}-{SPAN}-01", f"00-{ID}-{SPAN}-0g", f" 00-{ID}-{SPAN}-01", "\0" * 55),
        f"00-{ID}-{SPAN}-01\n",
    ],
)
def test_what_is_no_trace_begins_a_new_one(header: str) -> None:
    assert read_traceparent(header) is None


@pytest.mark.parametrize("state", ["a=1\r\nx: y", "\0", "x" * 513, "ü"])
def test_a_state_that_is_none_is_not_kept(state: str) -> None:
    found = read_traceparent(f"00-{ID}-{SPAN}-01", state)
    assert found is not None
    assert found.state == ""


@pytest.mark.parametrize("sampler", [ALWAYS, NEVER, Sampler(10_000)])
@pytest.mark.parametrize("sampled", [True, False])
def test_a_caller_that_decided_is_followed(sampler: Sampler, sampled: bool) -> None:
    parent = TraceContext(7, 9, sampled)
    begun = start(sampler, parent, random.Random(1).getrandbits)
    assert (begun is not None) is sampled
    if begun is not None:
        assert begun.parent == parent
        assert begun.context.trace_id == 7
        assert begun.context.span_id not in (0, 9)


def test_without_a_caller_that_decided_about_the_ratio_is_recorded() -> None:
    draw = random.Random(20261128).getrandbits
    found = sum(start(Sampler(10_000), None, draw) is not None for _ in range(100_000))
    assert 900 < found < 1_100
    assert all(start(ALWAYS, None, draw) for _ in range(100))
    assert not any(start(NEVER, None, draw) for _ in range(100))


def test_the_id_decides_so_all_who_see_a_trace_decide_the_same() -> None:
    half = Sampler(500_000, parent_based=False)
    assert half.wants(PARENT, 2**63 - 1)
    assert half.wants(None, (1 << 64) | (2**63 - 1))
    assert not half.wants(PARENT, 2**63)


def test_a_child_stands_in_the_same_trace() -> None:
    begun = child(PARENT, random.Random(1).getrandbits)
    assert begun.parent == PARENT
    assert begun.context.trace_id == PARENT.trace_id
    assert begun.context.state == "a=1"
