"""Messages over real sockets: what arrives, what is tried again, what is not known."""

import asyncio
import hashlib
import hmac
from dataclasses import replace

import pytest

from control_plane import limits
from control_plane.core.alerts import Severity
from control_plane.core.channels import ChannelKind
from control_plane.core.deliveries import Delivery, DeliveryState, Message, Part, Purpose
from control_plane.notify.attempts import Doors
from control_plane.notify.courier import Courier
from control_plane.notify.web import post
from control_plane.store import outbox
from control_plane.usecases import alerts
from protos.values import ids
from tests.control_plane.alert_world import MINUTE_MS, AlertWorld
from tests.control_plane.notify.receivers import DrippingServer, MailReceiver, WebReceiver

SECRET = "a secret of the receiver"
TOLD = Message(
    "[P1] Müller: 80% <used>",
    "Müller has used 80%.",
    (("How much", "$80.00 & more"), ("Do this", ".look")),
    "https://desk.example/alerts/1",
)


def turn(courier: Courier) -> int:
    return asyncio.run(courier.turn())


def put(world: AlertWorld, *, parts: tuple[Part, ...] = (), **fields: object) -> str:
    plain = Delivery(
        world.entropy.id(ids.DELIVERY, world.now),
        Purpose.ALERT,
        TOLD,
        world.now,
        severity=Severity.P1,
        thread="alt_1",
        alert_id="alt_1",
    )
    made = replace(plain, **fields)  # type: ignore[arg-type]  # fields of the test's own
    assert world.do_alone(lambda tx: outbox.put(tx, made, parts))
    return made.delivery_id


def state(world: AlertWorld, delivery_id: str) -> Delivery:
    found = world.read(lambda tx: outbox.get(tx, delivery_id))
    assert found is not None
    return found


def test_a_mail_is_threaded_and_recognisable_and_carries_its_files(
    world: AlertWorld, mail: MailReceiver, courier: Courier
) -> None:
    world.mail_server(mail.port)
    pdf = Part("November.pdf", "application/pdf", b"%PDF-1.7\n.\n..\r\n\x00\xff")
    delivery_id = put(world, address="dana@agency.example", parts=(pdf,))
    assert turn(courier) == 1
    (got,) = mail.mails
    assert state(world, delivery_id).state is DeliveryState.SENT
    assert got["Subject"] == "[P1] Müller: 80% <used>"
    assert got["Message-ID"] == f"<{delivery_id}@agency.example>"
    assert got["References"] == got["In-Reply-To"] == "<alt_1@agency.example>"
    assert (got["From"], got["Auto-Submitted"]) == (
        "Agency <alerts@agency.example>",
        "auto-generated",
    )
    text = got.get_body(("plain",))
    html = got.get_body(("html",))
    assert text is not None
    assert html is not None
    assert "How much: $80.00 & more\nDo this: .look" in text.get_content().replace("\r\n", "\n")
    assert "$80.00 &amp; more" in html.get_content()
    (attached,) = got.iter_attachments()
    assert attached.get_filename() == "November.pdf"
    assert attached.get_content() == pdf.content


def test_a_server_that_is_down_for_ten_minutes_loses_nothing_and_keeps_the_order(
    world: AlertWorld, mail: MailReceiver, courier: Courier
) -> None:
    world.mail_server(mail.port)
    mail.down()
    first = put(world, address="dana@agency.example")
    attempts = 0
    for minute in range(10):
        if minute == 3:
            put(world, address="dana@agency.example")
        attempts += turn(courier)
        world.pass_ms(MINUTE_MS)
    assert state(world, first).attempt_count == attempts == 4
    assert "Connection refused" in state(world, first).error
    mail.up()
    for _ in range(10):
        turn(courier)
        world.pass_ms(MINUTE_MS)
    ids_ = [str(got["Message-ID"]).strip("<>").partition("@")[0] for got in mail.mails]
    assert ids_[0] == first
    assert len(ids_) == 2
    assert {one.state for one in world.sent()} == {DeliveryState.SENT}


def test_a_server_that_drips_is_hung_up_on(
    world: AlertWorld, courier: Courier, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A step may take a third of it, and the server may be slow to begin on a busy machine.
    monkeypatch.setattr(limits, "DELIVERY_TIME_S", 3)
    with DrippingServer() as server:
        world.mail_server(server.port)
        delivery_id = put(world, address="dana@agency.example")
        assert turn(courier) == 1
        assert server.hung_up.wait(30)
        assert server.dripped > 1
    left = state(world, delivery_id)
    assert (left.state, left.attempt_count) == (DeliveryState.QUEUED, 1)


def test_a_refusal_is_for_good_and_says_why(
    world: AlertWorld, mail: MailReceiver, courier: Courier
) -> None:
    world.mail_server(mail.port)
    mail.answer = "550 no such user"
    delivery_id = put(world, address="nobody@agency.example")
    turn(courier)
    found = state(world, delivery_id)
    assert (found.state, found.error) == (DeliveryState.FAILED, "550 no such user")
    mail.answer = "451 later"
    later = put(world, address="dana@agency.example")
    turn(courier)
    assert state(world, later).state is DeliveryState.QUEUED


@pytest.mark.parametrize("repeats", [True, False])
def test_a_line_that_broke_before_the_answer_leaves_it_unknown(
    world: AlertWorld, mail: MailReceiver, courier: Courier, repeats: bool
) -> None:
    world.mail_server(mail.port)
    mail.cut_before_answer = True
    delivery_id = put(world, address="dana@agency.example", repeats=repeats)
    turn(courier)
    mail.cut_before_answer = False
    found = state(world, delivery_id)
    assert found.lost_sight_count == 1
    assert "no answer to the last dot" in found.error
    world.pass_ms(MINUTE_MS)
    turn(courier)
    if repeats:
        assert state(world, delivery_id).state is DeliveryState.SENT
        assert len({str(got["Message-ID"]) for got in mail.mails}) == 1
        assert len(mail.mails) == 2
    else:
        assert state(world, delivery_id).state is DeliveryState.UNKNOWN
        assert len(mail.mails) == 1


@pytest.mark.parametrize(
    ("repeats", "expected"), [(True, DeliveryState.QUEUED), (False, DeliveryState.UNKNOWN)]
)
def test_what_a_dead_process_had_in_hand_is_settled_at_the_start(
    world: AlertWorld, courier: Courier, repeats: bool, expected: DeliveryState
) -> None:
    delivery_id = put(world, address="dana@agency.example", repeats=repeats)
    world.do_alone(lambda tx: outbox.claim(tx, world.now, 8))
    assert turn(courier) == 0
    assert asyncio.run(courier.settle_left()) == 1
    assert state(world, delivery_id).state is expected
    assert asyncio.run(courier.settle_left()) == 0


def test_what_waits_in_an_old_copy_of_the_database_is_not_sent_by_itself(
    world: AlertWorld, courier: Courier
) -> None:
    delivery_id = put(world, address="dana@agency.example")
    assert world.do_alone(lambda tx: outbox.distrust(tx, world.now)) == 1
    assert turn(courier) == 0
    assert state(world, delivery_id).state is DeliveryState.UNKNOWN
    world.do(lambda tx, act: alerts.retry_delivery(tx, delivery_id, act))
    assert turn(courier) == 1


def test_two_turns_never_take_the_same_message(world: AlertWorld) -> None:
    put(world, address="dana@agency.example")
    taken = [world.do_alone(lambda tx: outbox.claim(tx, world.now, 8)) for _ in range(2)]
    assert [len(one) for one in taken] == [1, 0]


def test_a_promise_to_send_once_is_kept(world: AlertWorld) -> None:
    put(world, address="dana@agency.example", once="statement 1 v1 dana")
    again = Delivery(
        "dlv_2", Purpose.STATEMENT, TOLD, world.now, address="d@e.f", once="statement 1 v1 dana"
    )
    assert not world.do_alone(lambda tx: outbox.put(tx, again))


def test_a_webhook_proves_where_it_comes_from(
    world: AlertWorld, web: WebReceiver, courier: Courier
) -> None:
    channel = world.channel("hook", address=web.url, secret=SECRET)
    delivery_id = put(world, channel_id=channel.channel_id)
    turn(courier)
    (posted,) = web.posts
    seconds, signed = (part.split("=")[1] for part in posted.headers["Bursar-Signature"].split(","))
    expected = hmac.new(SECRET.encode(), seconds.encode() + b"." + posted.body, hashlib.sha256)
    assert signed == expected.hexdigest()
    assert int(seconds) == world.now // 1_000
    assert posted.headers["Bursar-Delivery"] == posted.json["id"] == delivery_id
    assert (posted.json["type"], posted.json["severity"]) == ("alert.told", "P1")


def test_incidents_are_triggered_acknowledged_and_resolved_by_the_alert(
    world: AlertWorld, web: WebReceiver, courier: Courier
) -> None:
    channel = world.channel("pager", ChannelKind.PAGERDUTY, "k" * 32)
    for purpose in (Purpose.ALERT, Purpose.ANSWERED, Purpose.OVER):
        put(world, channel_id=channel.channel_id, purpose=purpose)
        turn(courier)
    assert [one.json["event_action"] for one in web.posts] == ["trigger", "acknowledge", "resolve"]
    assert {one.json["dedup_key"] for one in web.posts} == {"alt_1"}
    assert web.posts[0].json["payload"]["severity"] == "critical"
    web.cut = True
    again = put(world, channel_id=channel.channel_id)
    turn(courier)
    assert (state(world, again).state, state(world, again).lost_sight_count) == (
        DeliveryState.QUEUED,
        0,
    )


def test_a_chat_gets_its_own_layout(world: AlertWorld, web: WebReceiver, courier: Courier) -> None:
    channel = world.channel("team", ChannelKind.TEAMS, web.url)
    put(world, channel_id=channel.channel_id)
    turn(courier)
    card = web.posts[0].json["attachments"][0]["content"]
    assert card["body"][1]["facts"][0] == {"title": "How much", "value": "$80.00 & more"}


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (204, DeliveryState.SENT),
        (302, DeliveryState.FAILED),
        (404, DeliveryState.FAILED),
        (429, DeliveryState.QUEUED),
        (503, DeliveryState.QUEUED),
    ],
)
def test_an_answer_decides(
    world: AlertWorld, web: WebReceiver, courier: Courier, status: int, expected: DeliveryState
) -> None:
    channel = world.channel("hook", address=web.url, secret=SECRET)
    web.status, web.location = status, "http://127.0.0.1:1/elsewhere"
    delivery_id = put(world, channel_id=channel.channel_id)
    turn(courier)
    assert state(world, delivery_id).state is expected
    assert len(web.posts) == 1


def test_a_receiver_that_hangs_up_may_have_it(
    world: AlertWorld, web: WebReceiver, courier: Courier
) -> None:
    channel = world.channel("hook", address=web.url, secret=SECRET)
    web.cut = True
    delivery_id = put(world, channel_id=channel.channel_id)
    turn(courier)
    found = state(world, delivery_id)
    assert (found.state, found.lost_sight_count) == (DeliveryState.QUEUED, 1)


def test_a_receiver_that_took_it_may_break_off_its_answer(
    world: AlertWorld, web: WebReceiver, courier: Courier
) -> None:
    channel = world.channel("hook", address=web.url, secret=SECRET)
    web.body_bytes = 1 << 20
    delivery_id = put(world, channel_id=channel.channel_id)
    turn(courier)
    assert state(world, delivery_id).state is DeliveryState.SENT


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "0.0.0.0"])
def test_nothing_is_sent_into_a_network_that_nobody_allowed(web: WebReceiver, host: str) -> None:
    url = web.url.replace("127.0.0.1", host)
    attempt = asyncio.run(post(url, b"{}", {}, Doors()))
    assert "no address of the internet" in attempt.error
    assert web.posts == []


def test_a_channel_that_was_removed_refuses_what_was_on_its_way(
    world: AlertWorld, web: WebReceiver, courier: Courier
) -> None:
    delivery_id = put(world, channel_id="chn_gone")
    turn(courier)
    assert state(world, delivery_id).error == "the channel was removed"


def test_a_vault_that_is_locked_keeps_the_message(
    world: AlertWorld, web: WebReceiver, courier: Courier
) -> None:
    channel = world.channel("hook", address=web.url, secret=SECRET)
    world.vault._key = b"x" * 32
    delivery_id = put(world, channel_id=channel.channel_id)
    turn(courier)
    found = state(world, delivery_id)
    assert (found.state, web.posts) == (DeliveryState.QUEUED, [])
    assert "locked" in found.error
