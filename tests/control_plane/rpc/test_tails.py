"""A tail shows calls as they settle: woken by the Sync that booked them, ended by the drain."""

import threading
from typing import Any

from control_plane import limits
from control_plane.core.leases import Holder
from control_plane.core.ledger import BookedCall
from control_plane.rpc.wire.instants import instant_to_wire
from control_plane.store import call_log, ledger
from protos.bursar.admin import v1
from tests.control_plane.served import Served
from tests.control_plane.usecases.test_calls import call


def book(served: Served, *numbers: int, project_id: str = "p", at_unix_ms: int = 1) -> None:
    """Book calls, and ring as the sidecar's servicer does after the commit."""
    booked = [BookedCall(n, call(n, project_id=project_id)) for n in numbers]
    holder = Holder("sdc_" + "0" * 26, 1)
    served.write(lambda tx: ledger.insert_calls(tx, holder, booked, at_unix_ms))
    served.loop.call_soon_threadsafe(served.deps.hub.ledger_moved)


def tail(served: Served, **fields: Any) -> Any:
    stub = served.stub(v1.CallServiceStub)
    return served.call(stub.TailCalls, v1.TailCallsRequest(**fields))


def test_a_tail_reads_on_from_a_place_and_follows(served: Served) -> None:
    book(served, 1, 2, 3)
    stream = tail(served, after_position=1)
    assert [next(stream).position for _ in range(2)] == [2, 3]
    book(served, 4)
    assert next(stream).position == 4
    stream.cancel()


def test_a_tail_begins_with_the_first_call_or_with_what_was_booked_since(served: Served) -> None:
    for number in (1, 2, 3, 4):
        book(served, number, at_unix_ms=1_000 * number)
    every = tail(served, from_start=True)
    assert [next(every).position for _ in range(4)] == [1, 2, 3, 4]
    for since_ms, first in ((0, 1), (2_000, 2), (2_001, 3), (4_000, 4)):
        stream = tail(served, start_time=instant_to_wire(since_ms))
        assert next(stream).position == first
        stream.cancel()
    every.cancel()


def test_a_tail_that_broke_goes_on_behind_its_position_wherever_it_began(served: Served) -> None:
    book(served, 1, 2, 3)
    for start in ({"from_start": True}, {"start_time": instant_to_wire(0)}):
        stream = tail(served, after_position=2, **start)
        assert next(stream).position == 3
        stream.cancel()


def test_what_was_booked_before_an_instant_is_found_at_both_ends(served: Served) -> None:
    book(served, 1)
    assert served.write(lambda tx: call_log.position_before(tx, 0)) == 0
    assert served.write(lambda tx: call_log.position_before(tx, 10**15)) == 1


def test_a_tail_from_now_on_shows_one_project_alone(served: Served) -> None:
    project_id = served.project().project.project_id
    book(served, 1, project_id=project_id)
    stream = tail(served, project_id=project_id)
    seen: list[int] = []
    reader = threading.Thread(target=lambda: seen.append(next(stream).position))
    reader.start()
    # The stream begins where the ledger ends when it is opened: book until it has begun.
    number = 2
    while reader.is_alive():
        book(served, number, project_id="another")
        book(served, number + 1, project_id=project_id)
        number += 2
        reader.join(0.05)
    assert seen[0] % 2 == 1
    assert seen[0] > 1
    stream.cancel()


def test_a_tail_ends_when_the_control_plane_drains(served: Served) -> None:
    book(served, 1, 2)
    stream = tail(served, after_position=1)
    assert next(stream).position == 2
    served.loop.call_soon_threadsafe(served.deps.hub.close)
    assert list(stream) == []


def test_tails_are_bounded(served: Served) -> None:
    book(served, 1, 2)
    streams = [tail(served, after_position=1) for _ in range(limits.TAILS_MAX)]
    for stream in streams:
        next(stream)
    stub = served.stub(v1.CallServiceStub)
    refused = served.refused(stub.TailCalls, v1.TailCallsRequest(after_position=1))
    assert refused.reason == "LIMIT_EXCEEDED"
    for stream in streams:
        stream.cancel()


def test_bad_questions_are_refused(served: Served) -> None:
    stub = served.stub(v1.CallServiceStub)
    for request, reason in (
        (v1.TailCallsRequest(after_position=-1), "INVALID_ARGUMENT"),
        (
            v1.TailCallsRequest(from_start=True, start_time=instant_to_wire(1)),
            "INVALID_ARGUMENT",
        ),
        (v1.TailCallsRequest(project_id="prj_" + "0" * 26), "NOT_FOUND"),
    ):
        assert served.refused(stub.TailCalls, request).reason == reason


def test_calls_sums_and_refusals_over_the_wire(served: Served) -> None:
    stub = served.stub(v1.CallServiceStub)
    book(served, 1)
    found = served.call(stub.GetCall, v1.GetCallRequest(call_id="call_" + "1".zfill(26)))
    assert dict(found.quantities) == {"input": 11, "cached": 5, "output": 3, "reasoning": 2}
    assert found.cost_nano_usd == 1_234
    assert not found.HasField("charge_nano_usd")
    assert list(served.call(stub.ListCalls, v1.ListCallsRequest()).calls) == [found]
    answer = served.call(stub.QueryUsage, v1.QueryUsageRequest(group_by=["project"]))
    assert answer.time_zone == "UTC"
    assert served.refused(stub.QueryUsage, v1.QueryUsageRequest(group_by=["x"])).fields == {
        "field": "group_by"
    }
    assert not served.call(stub.ListRefusals, v1.ListRefusalsRequest()).refusals
