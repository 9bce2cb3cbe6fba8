"""The outbox is bounded: what is done goes first, what waits never, and what has no room waits."""

import pytest

from control_plane import limits
from control_plane.core.alerts import Severity
from control_plane.core.deliveries import DeliveryState
from control_plane.notify.courier import Courier
from control_plane.store import outbox
from control_plane.usecases import alerts
from protos.values.errors import LimitExceededError
from tests.control_plane.alert_world import AlertWorld
from tests.control_plane.notify.receivers import MailReceiver
from tests.control_plane.notify.test_delivery import put, state, turn


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "WAITING_DELIVERIES_MAX", 3)
    monkeypatch.setattr(limits, "DELIVERIES_MAX", 5)


def kept(world: AlertWorld) -> list[str]:
    rows = world.read(lambda tx: tx.rows("SELECT delivery_id FROM delivery ORDER BY position"))
    return [row["delivery_id"] for row in rows]


@pytest.mark.usefixtures("few")
def test_for_a_new_message_the_oldest_that_is_done_goes_and_none_that_waits(
    world: AlertWorld, mail: MailReceiver, courier: Courier
) -> None:
    world.mail_server(mail.port)
    waits = put(world, address="a@x.example", next_unix_ms=world.now + 10**9, thread="")
    done = []
    for _ in range(4):
        done.append(put(world, address="a@x.example", thread=""))
        assert turn(courier) == 1
    assert kept(world) == [waits, *done]
    newest = put(world, address="a@x.example", thread="")
    assert kept(world) == [waits, *done[1:], newest]
    assert state(world, waits).state is DeliveryState.QUEUED


def test_to_find_the_oldest_that_is_done_nothing_is_sorted(world: AlertWorld) -> None:
    steps = world.read(lambda tx: tx.rows(f"EXPLAIN QUERY PLAN {outbox.OLDEST_DONE}", {"count": 1}))
    (step,) = [row["detail"] for row in steps]
    assert step.startswith("SCAN delivery USING INDEX"), step


@pytest.mark.usefixtures("few")
def test_what_has_no_room_stays_a_notice_and_goes_when_there_is(world: AlertWorld) -> None:
    channel = world.channel("dana")
    world.agree(owner_id=world.person("dana", channel.channel_id).person_id)
    waiting = [put(world, address="a@x.example", thread="") for _ in range(3)]
    assert world.read(alerts.outbox_is_full)
    world.do(lambda tx, act: alerts.send_test_alert(tx, "", Severity.P2, act))
    assert world.look().outbox_is_full
    assert kept(world) == waiting, "nothing grows"
    settle(world, waiting[0], "SENT")
    applied = world.look()
    assert (applied.queued_count, applied.outbox_is_full) == (1, True)
    assert kept(world)[:3] == waiting
    assert len(kept(world)) == 4


@pytest.mark.usefixtures("few")
def test_what_failed_is_sent_again_only_where_there_is_room(world: AlertWorld) -> None:
    failed, *_ = [put(world, address="a@x.example", thread="") for _ in range(3)]
    settle(world, failed, "FAILED")
    put(world, address="a@x.example", thread="")
    with pytest.raises(LimitExceededError, match="3 messages wait"):
        world.do(lambda tx, act: alerts.retry_delivery(tx, failed, act))
    assert state(world, failed).state is DeliveryState.FAILED


def settle(world: AlertWorld, delivery_id: str, to: str) -> None:
    params = {"id": delivery_id, "to": to}
    world.do_alone(
        lambda tx: tx.run("UPDATE delivery SET state = :to WHERE delivery_id = :id", params)
    )
