"""A runaway workflow, told over real SMTP and to a real receiver, in virtual time."""

import asyncio

from control_plane.core.channels import Channel, ChannelKind
from control_plane.core.deliveries import DeliveryState
from control_plane.notify.courier import Courier
from control_plane.usecases import alerts
from tests.control_plane.alert_world import MINUTE_MS, AlertWorld
from tests.control_plane.desk import HOUR_MS, USD
from tests.control_plane.notify.receivers import MailReceiver, WebReceiver

SECRET = "a secret of the receiver"
STORY = ("has used 80% of its cap", "reaches its cap in", "is stopped at its cap")


class Story:
    """A client at 79 % of its cap, people, receivers, and a clock that is turned by hand."""

    def __init__(
        self, world: AlertWorld, courier: Courier, mail: MailReceiver, web: WebReceiver
    ) -> None:
        self.world, self.courier, self.mail, self.web = world, courier, mail, web
        world.mail_server(mail.port)
        reached: dict[str, list[Channel]] = {}
        for name in ("dana", "kim"):
            address = f"{name}@agency.example"
            reached[name] = [world.channel(f"{name}-mail", ChannelKind.MAIL, address)]
        reached["dana"].append(world.channel("dana-hook", address=web.url, secret=SECRET))
        ids = {
            name: world.person(name, *(one.channel_id for one in channels)).person_id
            for name, channels in reached.items()
        }
        world.agree(owner_id=ids["dana"], backup_id=ids["kim"])
        for _ in range(79):
            world.spend(USD)
            world.pass_ms(HOUR_MS // 2)
            self.turn()
        assert mail.mails == []

    def turn(self) -> None:
        self.world.look()
        asyncio.run(self.courier.turn())

    def pass_minutes(self, minutes: int, cents_a_minute: int = 0) -> None:
        for _ in range(2 * minutes):
            self.world.spend(cents_a_minute * USD // 200)
            self.world.pass_ms(MINUTE_MS // 2)
            self.turn()

    def acknowledge(self, alert_id: str) -> None:
        self.world.do(lambda tx, act: alerts.acknowledge_alert(tx, alert_id, "", act))

    def mails_to(self, name: str) -> list[str]:
        return [
            str(one["Subject"]) for one in self.mail.mails if one["To"] == f"{name}@agency.example"
        ]

    def stop_id(self) -> str:
        return next(one.alert_id for one in self.world.live() if one.rule == "budget.stopped")


def in_order(subjects: list[str]) -> bool:
    return len(subjects) == len(STORY) and all(
        words in subject for words, subject in zip(STORY, subjects, strict=True)
    )


def test_the_notice_the_page_and_the_stop_arrive_in_this_order_and_once_each(
    world: AlertWorld, courier: Courier, mail: MailReceiver, web: WebReceiver
) -> None:
    story = Story(world, courier, mail, web)
    story.pass_minutes(10, cents_a_minute=20)
    assert any(_paged(story) for _ in range(60))
    for alert in world.live():
        story.acknowledge(alert.alert_id)
    story.pass_minutes(50, cents_a_minute=20)
    world.refuse(3)
    story.pass_minutes(1)
    posted = [one.json["subject"] for one in web.posts if one.json["type"] == "alert.told"]
    assert in_order(story.mails_to("dana")), story.mails_to("dana")
    assert in_order(posted), posted
    assert story.mails_to("kim") == []

    # Nobody answers the stop: it is night, so the backup is told when half an hour is over.
    story.pass_minutes(28)
    assert story.mails_to("kim") == []
    story.pass_minutes(2)
    assert [STORY[2] in one for one in story.mails_to("kim")] == [True]

    # Somebody does: nobody hears of it any more.
    stop = story.stop_id()
    story.acknowledge(stop)
    story.pass_minutes(60)
    assert len(story.mails_to("dana")) == len(STORY)
    assert len(story.mails_to("kim")) == 1
    assert {one.state for one in world.sent()} == {DeliveryState.SENT}


def _paged(story: Story) -> bool:
    story.pass_minutes(1, cents_a_minute=20)
    return any(STORY[1] in subject for subject in story.mails_to("dana"))


def test_a_mail_server_that_is_down_for_ten_minutes_loses_nothing(
    world: AlertWorld, courier: Courier, mail: MailReceiver, web: WebReceiver
) -> None:
    story = Story(world, courier, mail, web)
    mail.down()
    world.spend(21 * USD)
    world.refuse(3)
    story.pass_minutes(10)
    assert mail.mails == []
    told = [one.json["subject"] for one in web.posts if one.json["type"] == "alert.told"]
    assert [STORY[2] in subject for subject in told] == [True]
    mail.up()
    story.pass_minutes(8)
    assert [STORY[2] in subject for subject in story.mails_to("dana")] == [True]
    assert {one.state for one in world.sent()} == {DeliveryState.SENT}
