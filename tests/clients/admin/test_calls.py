"""A tail goes on where it was."""

from itertools import islice
from typing import Any

import grpc
import pytest

from clients.admin import Bursar
from protos.bursar.admin import v1
from protos.values.errors import PermissionDeniedError, UnavailableError

UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


def call(position: int) -> v1.Call:
    return v1.Call(call_id=f"call_{position}", position=position)


def positions_asked(script: Any) -> list[int]:
    return [v1.TailCallsRequest.FromString(r).after_position for r in script.asked("TailCalls")]


def test_a_tail_goes_on_behind_the_last_call_it_gave(
    script: Any, bursar: Bursar, pieces_then_failing: Any, pauses: list[int]
) -> None:
    script.on(
        "TailCalls",
        pieces_then_failing([call(8), call(9)], UNAVAILABLE),
        pieces_then_failing([], UNAVAILABLE),
        [call(10), call(11)],
    )
    told: list[UnavailableError] = []
    found = islice(bursar.calls.tail(after_position=7, on_interruption=told.append), 4)
    assert [one.position for one in found] == [8, 9, 10, 11]
    assert positions_asked(script) == [7, 9, 9]
    assert len(told) == 2


def test_a_tail_from_now_knows_where_now_is_even_if_it_breaks_at_once(
    script: Any, bursar: Bursar, pieces_then_failing: Any, pauses: list[int]
) -> None:
    script.on("ListCalls", v1.ListCallsResponse(calls=[call(5), call(6)]))
    script.on("TailCalls", pieces_then_failing([], UNAVAILABLE), [call(7)])
    assert next(bursar.calls.tail()).position == 7
    assert positions_asked(script) == [6, 6]


def test_a_tail_from_the_start_asks_for_no_newest_call_and_is_not_begun_anew(
    script: Any, bursar: Bursar, pieces_then_failing: Any, pauses: list[int]
) -> None:
    script.on("TailCalls", pieces_then_failing([call(1)], UNAVAILABLE), [call(2)])
    found = islice(bursar.calls.tail(from_start=True), 2)
    assert [one.position for one in found] == [1, 2]
    assert positions_asked(script) == [0, 1]


def test_a_tail_that_ends_in_order_goes_on_too(
    script: Any, bursar: Bursar, pauses: list[int]
) -> None:
    script.on("TailCalls", [call(2)], [call(3)])
    found = islice(bursar.calls.tail(after_position=1), 2)
    assert [one.position for one in found] == [2, 3]


def test_a_tail_that_is_not_allowed_ends(
    script: Any, bursar: Bursar, pieces_then_failing: Any
) -> None:
    script.on("TailCalls", pieces_then_failing([], grpc.StatusCode.PERMISSION_DENIED))
    with pytest.raises(PermissionDeniedError):
        next(bursar.calls.tail(after_position=1))
