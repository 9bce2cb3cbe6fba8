"""Loops: the same request again and again, until it rests."""

from sidecar.core.loops import Loop, Loops
from sidecar.core.refusals import Reason
from sidecar.limits import LOOPS_MAX
from tests.sidecar.builders import attributes

MINUTE = 60_000
BODY = b'{"model":"gpt-x","messages":[]}'


def see(loops: Loops, boot_ms: int, body: bytes = BODY, workflow: str = "invoices") -> Loop | None:
    return loops.see(attributes(workflow=workflow), body, 3, boot_ms)


def test_more_than_the_most_in_a_minute_is_a_loop() -> None:
    loops = Loops()
    assert [see(loops, 1_000 * step) for step in range(3)] == [None] * 3
    fourth, fifth = see(loops, 4_000), see(loops, 5_000)
    assert fourth is not None
    assert fifth is not None
    assert (fourth.begins, fifth.begins) == (True, False)
    assert fourth.refusal.reason is Reason.LOOP
    assert not fourth.refusal.retryable
    assert '"invoices" sent the same request 4 times' in fourth.refusal.message
    assert fourth.refusal.fields == {"workflow": "invoices", "requests": "4", "most": "3"}


def test_slower_than_that_is_none() -> None:
    loops = Loops()
    assert all(see(loops, 21_000 * step) is None for step in range(100))


def test_another_body_workflow_or_key_is_counted_by_itself() -> None:
    loops = Loops()
    for step in range(3):
        assert see(loops, step) is None
        assert see(loops, step, b"another") is None
        assert see(loops, step, workflow="orders") is None
    assert see(loops, 4) is not None
    assert loops.see(attributes(workflow="invoices", key="key_b"), BODY, 3, 5) is None


def test_every_repetition_prolongs_it_and_a_minute_of_quiet_ends_it() -> None:
    loops = Loops()
    for step in range(4):
        see(loops, step)
    assert see(loops, 3 + MINUTE - 1) is not None
    assert see(loops, 3 + 2 * MINUTE - 2) is not None
    assert see(loops, 3 + 3 * MINUTE - 2) is None


def test_so_many_requests_are_remembered_and_no_more() -> None:
    loops = Loops()
    for number in range(LOOPS_MAX + 5):
        see(loops, 0, b"%d" % number)
    assert len(loops) == LOOPS_MAX
