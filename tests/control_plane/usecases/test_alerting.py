"""Alerts end to end in the control plane: what is looked at, who is told, in one transaction."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from control_plane import limits
from control_plane.core.alerts import Rule, Severity, State
from control_plane.core.channels import Channel, ChannelKind
from control_plane.core.deliveries import Purpose
from control_plane.core.escalation import ClientTold, Hours
from control_plane.store import alerts as alert_store
from control_plane.store.engine import Tx
from control_plane.usecases import alerting, alerts, watching
from control_plane.usecases.acts import Act
from protos.values.errors import FailedPreconditionError, LimitExceededError, NotFoundError
from tests.control_plane.alert_world import MINUTE_MS, AlertWorld
from tests.control_plane.desk import DAY_MS, HOUR_MS, USD


@pytest.fixture
def world(tmp_path: Path) -> Iterator[AlertWorld]:
    made = AlertWorld(tmp_path)
    yield made
    made.store.close()


@pytest.fixture
def told(world: AlertWorld) -> dict[str, Channel]:
    """Dana owns, Kim stands in, Lee leads; each has a channel of that name."""
    made = {name: world.channel(name) for name in ("dana", "kim", "lee")}
    ids = {name: world.person(name, channel.channel_id).person_id for name, channel in made.items()}
    world.agree(owner_id=ids["dana"], backup_id=ids["kim"], lead_id=ids["lee"])
    return made


def rise(world: AlertWorld, cents: int, minutes: int) -> None:
    """Spend evenly, looked at every half minute."""
    for _ in range(2 * minutes):
        world.spend(cents * USD // 100 // (2 * minutes))
        world.pass_ms(MINUTE_MS // 2)
        world.look()


def to_79_percent(world: AlertWorld) -> None:
    """Slowly, so that nothing is said of the pace."""
    for _ in range(79):
        world.spend(USD)
        world.pass_ms(HOUR_MS // 2)
        world.look()


def test_a_runaway_is_noticed_paged_and_stopped_in_this_order_and_once_each(
    world: AlertWorld, told: dict[str, Channel]
) -> None:
    to_79_percent(world)
    world.read(alert_store.going_on)
    before = len(world.sent())
    rise(world, 2_100, 105)
    world.refuse(3)
    world.pass_minutes(1)
    new = [one for one in world.sent()[before:] if one.channel_id == told["dana"].channel_id]
    assert [(one.message.subject.split(" ")[0], one.severity) for one in new] == [
        ("[P2]", Severity.P2),
        ("[P1]", Severity.P1),
        ("[P1]", Severity.P1),
    ]
    words = ["has used 80% of its cap", "reaches its cap in", "is stopped at its cap"]
    assert all(word in one.message.subject for word, one in zip(words, new, strict=True))
    assert "3 calls refused since" in dict(new[2].message.lines)["How much"]


def stop(world: AlertWorld) -> str:
    world.spend(100 * USD)
    world.refuse(1)
    world.look()
    return next(one.alert_id for one in world.live() if one.rule is Rule.STOPPED)


def test_what_nobody_answers_goes_to_the_next_when_it_is_due(
    world: AlertWorld, told: dict[str, Channel]
) -> None:
    """Noon in UTC is 13:00 in Berlin, an hour of work: fifteen minutes for each answer."""
    stop(world)
    counts = []
    for minutes in (14, 1, 14, 1, 15):
        world.pass_minutes(minutes)
        counts.append(tuple(len(world.subjects(told[name])) for name in ("dana", "kim", "lee")))
    assert counts == [(1, 0, 0), (1, 1, 0), (1, 1, 0), (1, 1, 1), (2, 1, 1)]
    kim = next(one for one in world.sent() if one.channel_id == told["kim"].channel_id)
    assert dict(kim.message.lines)["Why you"].startswith("dana has not answered")


def test_an_acknowledged_alert_tells_nobody_further_until_it_lapses(
    world: AlertWorld, told: dict[str, Channel]
) -> None:
    alert_id = stop(world)
    shown = world.do(lambda tx, act: alerts.acknowledge_alert(tx, alert_id, "calling them", act))
    assert (shown.alert.state, shown.alert.answered_by) == (State.ACKNOWLEDGED, "owner")
    world.pass_minutes(30)
    assert len(world.sent()) == 1
    world.pass_ms(4 * HOUR_MS)
    world.look()
    assert len(world.subjects(told["dana"])) == 2
    history = world.read(lambda tx: alerts.get_alert(tx, alert_id)).history
    assert [line.event.value for line in history] == ["FOUND", "ACKNOWLEDGE", "LAPSE"]


def test_a_raise_ends_the_stop_and_those_who_were_told_hear_of_it(
    world: AlertWorld, told: dict[str, Channel]
) -> None:
    alert_id = stop(world)
    world.raise_cap(200)
    world.look()
    assert world.read(lambda tx: alerts.get_alert(tx, alert_id)).alert.state is State.RESOLVED
    over = world.sent()[-1]
    assert (over.purpose, over.channel_id) == (Purpose.OVER, told["dana"].channel_id)
    assert over.thread == alert_id
    # Half of the new cap is used: a line of the morning's digest, and no message now.
    assert [one.facts["percent"] for one in world.live()] == [50]


def test_a_threshold_is_told_once_for_each_version_of_a_cap(
    world: AlertWorld, told: dict[str, Channel]
) -> None:
    def eighties() -> int:
        return sum("80%" in subject for subject in world.subjects(told["dana"]))

    world.spend(80 * USD)
    world.look()
    world.spend(-USD)
    world.look()
    world.spend(USD)
    world.look()
    assert eighties() == 1
    world.raise_cap(101)
    world.look()
    assert eighties() == 1
    world.spend(USD)
    world.look()
    assert eighties() == 2


def test_nothing_is_told_of_what_was_rolled_back(
    world: AlertWorld, told: dict[str, Channel]
) -> None:
    world.spend(80 * USD)
    seen = world.read(lambda tx: watching.look(tx, world.watch, world.now))

    def fails(tx: Tx) -> None:
        alerting.apply(tx, seen, world.entropy, world.now)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        world.do_alone(fails)
    assert (world.live(), world.sent()) == ([], [])
    world.look()
    assert len(world.sent()) == 1


def test_what_was_spent_while_nobody_looked_is_no_pace(
    world: AlertWorld, told: dict[str, Channel]
) -> None:
    world.look()
    world.pass_ms(HOUR_MS)
    world.spend(79 * USD)
    world.pass_minutes(1)
    assert world.sent() == []
    world.spend(10 * USD)
    world.pass_minutes(1)
    assert "reaches its cap in" in world.subjects()[-1]


def test_a_look_in_haste_leaves_out_what_takes_long_and_finds_pages_all_the_same(
    world: AlertWorld, told: dict[str, Channel]
) -> None:
    world.watch.in_haste = True
    world.spend(100 * USD)
    world.refuse(1)
    world.look()
    assert "is stopped" in world.subjects()[-1]
    assert world.watch.clients == {}
    world.look()
    assert set(world.watch.clients) == {world.acme.project_id}


def test_quiet_hours_hold_a_notice_back_and_not_a_page(world: AlertWorld) -> None:
    channel = world.channel("dana")
    afternoon = Hours("UTC", 12 * 60, 18 * 60, (1, 2, 3, 4, 5, 6, 7))
    dana = world.person("dana", channel.channel_id, quiet=afternoon)
    world.agree(owner_id=dana.person_id)
    world.spend(80 * USD)
    world.pass_minutes(5)
    assert world.sent() == []
    world.pass_ms(6 * HOUR_MS)
    world.look()
    assert len(world.sent()) == 1
    world.pass_ms(18 * HOUR_MS)
    world.spend(20 * USD)
    world.refuse(1)
    world.look()
    assert "is stopped" in world.subjects()[-1]


def test_a_notice_that_waited_is_not_told_when_it_is_over_meanwhile(world: AlertWorld) -> None:
    channel = world.channel("dana")
    always = Hours("UTC", 0, 24 * 60, (1, 2, 3, 4, 5, 6, 7))
    dana = world.person("dana", channel.channel_id, quiet=always)
    world.agree(owner_id=dana.person_id)
    world.spend(80 * USD)
    world.look()
    world.raise_cap(500)
    world.look()
    world.pass_ms(30 * DAY_MS)
    world.look()
    assert world.sent() == []


def test_notices_of_one_client_become_one_message_and_the_half_waits_for_the_morning(
    world: AlertWorld, told: dict[str, Channel]
) -> None:
    other, budget = world.client("Beta", 10)
    world.spend(60 * USD)
    world.look()
    assert world.sent() == []
    world.pass_ms(DAY_MS)
    world.spend(9 * USD, budget)
    world.look()
    assert sorted(world.subjects()) == [
        "[P2] Beta: monthly has used 80% of its cap",
        "[P4] Acme Dental: monthly has used 50% of its cap",
    ]
    assert {one.project_id for one in world.sent()} == {world.acme.project_id, other.project_id}


def test_a_client_hears_what_its_contract_says_and_that_it_is_over(
    world: AlertWorld, told: dict[str, Channel]
) -> None:
    client = world.channel("acme's own")
    world.agree(
        world.acme.project_id,
        client_channel_ids=(client.channel_id,),
        client_told=ClientTold.LATE,
        client_thresholds=True,
    )
    stop(world)
    world.pass_minutes(29)
    assert world.subjects(client) == []
    world.pass_minutes(1)
    assert world.subjects(client) == ["Your AI budget is used up"]
    world.raise_cap(200)
    world.look()
    assert world.subjects(client)[1:] == ["Your AI budget has room again"]
    assert len(world.subjects(told["dana"])) >= 2


def test_an_incident_is_acknowledged_and_resolved_where_it_is_kept(world: AlertWorld) -> None:
    pager = world.channel("pager", ChannelKind.PAGERDUTY, "a" * 32)
    dana = world.person("dana", pager.channel_id)
    world.agree(owner_id=dana.person_id)
    alert_id = stop(world)
    world.do(lambda tx, act: alerts.acknowledge_alert(tx, alert_id, "", act))
    world.raise_cap(200)
    world.look()
    assert [(one.purpose, one.thread) for one in world.sent()] == [
        (Purpose.ALERT, alert_id),
        (Purpose.ANSWERED, alert_id),
        (Purpose.OVER, alert_id),
    ]


def test_a_test_goes_the_way_of_a_true_alert(world: AlertWorld) -> None:
    with pytest.raises(FailedPreconditionError, match="nobody would be told"):
        world.do(lambda tx, act: alerts.send_test_alert(tx, "", Severity.P1, act))
    channel = world.channel("dana")
    dana = world.person("dana", channel.channel_id)
    world.agree(owner_id=dana.person_id)

    def at_the_desk(tx: Tx, act: Act) -> alerts.ShownAlert:
        seen = replace(act, desk_url="https://desk.example/")
        return alerts.send_test_alert(tx, world.acme.project_id, Severity.P1, seen)

    shown = world.do(at_the_desk)
    (sent,) = world.sent()
    assert [one.delivery_id for one in shown.deliveries] == [sent.delivery_id]
    assert sent.message.link == f"https://desk.example/alerts/{shown.alert.alert_id}"
    assert world.subjects() == ["[P1] this is a test of alerts for Acme Dental"]
    for _ in range(limits.LIVE_TESTS_MAX - 1):
        world.do(at_the_desk)
    with pytest.raises(LimitExceededError, match="go on"):
        world.do(at_the_desk)
    world.pass_ms(2 * HOUR_MS)
    world.look()
    world.pass_ms(HOUR_MS)
    world.look()
    assert world.live() == []


def test_what_is_over_cannot_be_answered_and_what_is_unknown_is_not_found(
    world: AlertWorld, told: dict[str, Channel]
) -> None:
    alert_id = stop(world)
    world.do(lambda tx, act: alerts.resolve_alert(tx, alert_id, "paid", act))
    with pytest.raises(FailedPreconditionError):
        world.do(lambda tx, act: alerts.acknowledge_alert(tx, alert_id, "", act))
    with pytest.raises(NotFoundError):
        world.do(lambda tx, act: alerts.resolve_alert(tx, "alt_1", "", act))
    world.pass_minutes(10)
    assert [one.rule for one in world.live() if one.rule is Rule.STOPPED] == []
