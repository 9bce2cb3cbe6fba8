"""Whoever may have heard that less is left than there is again is asked to come."""

from collections.abc import Iterator

import pytest

from control_plane import limits
from control_plane.core.leases import PeriodKey
from control_plane.core.reports import Left
from protos.bursar.admin import v1 as admin
from protos.bursar.sidecar import v1
from tests.control_plane.rpc.test_sidecar_service import (
    CENT,
    Remote,
    Stream,
    budget_id,
    joined,
    remote_id,
    waiting,
)
from tests.control_plane.rpc.test_tails import book
from tests.control_plane.served import DEADLINE_S, Served

__all__ = ["budget_id"]


@pytest.fixture
def stream(served: Served) -> Iterator[Stream]:
    opened = Stream(joined(served, 1))
    # Each begins with one, as what was said before may have been heard by nobody.
    assert opened.next("nudge") is not None
    yield opened
    opened.close()


def test_what_a_person_releases_is_told_to_all(
    served: Served, stream: Stream, budget_id: str
) -> None:
    lost: Remote = joined(served, 2)
    assert lost.sync(demands=[waiting("call_1", 90 * CENT, budget_id)]).named_call_ids
    lost.incarnation = "after the disk burnt"
    lost.register()
    leases = admin.LeaseServiceStub(served.channel)
    (orphan,) = served.call(leases.ListOrphans, admin.ListOrphansRequest()).orphans
    asked = admin.ReleaseOrphansRequest(
        request_id=served.id(),
        sidecar_id=orphan.lease.sidecar_id,
        expected_nano_usd=orphan.held_back_nano_usd,
        reason="it was idle",
    )
    assert served.call(leases.ReleaseOrphans, asked).decided_nano_usd >= 90 * CENT
    assert isinstance(stream.next("nudge"), v1.Nudge)


def test_a_nudge_comes_after_the_lower_figure_that_its_answer_replaces(
    served: Served, stream: Stream, budget_id: str
) -> None:
    sidecar_id = remote_id(served)
    left = Left((sidecar_id,), PeriodKey(budget_id, "", "2026-01-01"), 1, 1, CENT)

    def tell() -> None:
        hub.left(left)
        hub.nudge([sidecar_id])

    hub = served.deps.hub
    served.loop.call_soon_threadsafe(tell)
    heard = [stream.heard.get(timeout=DEADLINE_S) for _ in range(3)]
    while heard[0] is not None and heard[0].WhichOneof("directive") in ("policy", "heartbeat"):
        heard = [*heard[1:], stream.heard.get(timeout=DEADLINE_S)]
    kinds = [one and one.WhichOneof("directive") for one in heard]
    assert kinds == ["left", "nudge", "heartbeat"]


def test_after_the_last_part_of_a_rerating_all_come_and_not_after_each(
    served: Served, stream: Stream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "RERATING_WRITTEN_CALLS", 1)
    book(served, 1, 2)
    first = rerate_part(served, 0)
    assert first.more
    key = PeriodKey("a", "", "p")
    served.loop.call_soon_threadsafe(
        served.deps.hub.left, Left((remote_id(served),), key, 1, 1, CENT)
    )
    assert next_of(stream, "left", "nudge") == "left"
    assert not rerate_part(served, first.position).more
    assert next_of(stream, "left", "nudge") == "nudge"


def next_of(stream: Stream, *kinds: str) -> str:
    while True:
        said = stream.heard.get(timeout=DEADLINE_S)
        assert said is not None
        kind = said.WhichOneof("directive")
        if kind in kinds:
            return str(kind)


def rerate_part(served: Served, after_position: int) -> admin.Rerating:
    question = admin.QueryReratingRequest(
        provider="openai", model="gpt-4o", after_position=after_position
    )
    question.start_time.seconds, question.end_time.seconds = 1, 2
    asked = admin.RerateCallsRequest(
        request_id=served.id(), question=question, reason="the price was wrong"
    )
    stub = admin.PriceServiceStub(served.channel)
    done: admin.Rerating = served.call(stub.RerateCalls, asked)
    return done
