"""A workflow runs away against its cap: who hears of it, in which order, and how often.

Everything is real but the control plane's clock: the calls go through a sidecar's process to the
rehearsal provider until they are refused, alerts come from what the ledger then has, and messages
go over real SMTP and to a real webhook receiver.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from protos.bursar.admin import v1 as admin
from tests.control_plane.notify.receivers import MailReceiver, WebReceiver
from tests.e2e.stand import Client
from tests.e2e.turned_clock import TurnedStand

CENT = 10_000_000
CALL_CENTS = 4
CAP_CENTS = 100
USUAL_CALLS = 19
"""What the workflow spent before it ran away: 76 of 100 cents."""
RUNAWAY_CALLS = 6
"""One a minute, to the last cent."""
CALL: Any = {
    "model": "rehearsal-cent",
    "max_tokens": 10 * CALL_CENTS,
    "messages": [{"role": "user", "content": "[rehearse reply_tokens=40] And again."}],
}
STORY = ("has used 80% of its cap", "reaches its cap in", "is stopped at its cap")
SECRET = "a secret of the receiver"


@pytest.fixture
def mail() -> Iterator[MailReceiver]:
    receiver = MailReceiver()
    receiver.up()
    yield receiver
    receiver.close()


@pytest.fixture
def web() -> Iterator[WebReceiver]:
    receiver = WebReceiver()
    yield receiver
    receiver.close()


@pytest.fixture
def story(tmp_path: Path, mail: MailReceiver, web: WebReceiver) -> Iterator["Story"]:
    with TurnedStand(tmp_path, late_minutes=RUNAWAY_CALLS + 1) as stand:
        yield Story(stand, mail, web)


class Story:
    """A client near its cap, those who answer for it, and how they are reached."""

    def __init__(self, stand: TurnedStand, mail: MailReceiver, web: WebReceiver) -> None:
        self.stand, self.mail, self.web = stand, mail, web
        self._set_mail_server()
        dana = [
            self._channel("dana-mail", "mail", "dana@agency.example"),
            self._channel("dana-hook", "webhook", web.url, SECRET),
        ]
        kim = [self._channel("kim-mail", "mail", "kim@agency.example")]
        self._agree(self._person("Dana", dana), self._person("Kim", kim))
        anchor_day = stand.anchor_day()
        self.bolt = stand.add_client("Bolt Logistics", CAP_CENTS * CENT, anchor_day=anchor_day)
        self.acme = stand.add_client(
            "Acme Dental", CAP_CENTS * CENT, workflow="lead enrichment", anchor_day=anchor_day
        )
        stand.start_sidecar("one")
        assert [self.call(self.acme) for _ in range(USUAL_CALLS)] == [200] * USUAL_CALLS
        self.until_booked(USUAL_CALLS)
        stand.inside.look()
        assert self.told() == [], "what was spent before anybody looked is no runaway"

    # --- what the workflow does

    def call(self, client: Client) -> int:
        """Make a call through the sidecar; its status."""
        return self.stand.call("one", client, CALL)

    def run_away(self) -> None:
        """A call a minute until the cap stops it, and three more tries."""
        for made in range(1, RUNAWAY_CALLS + 1):
            assert self.call(self.acme) == 200
            self.until_booked(USUAL_CALLS + made)
            self.stand.pass_minutes(1)
        assert [self.call(self.acme) for _ in range(3)] == [402] * 3
        # What another client spends goes on, and the report of it tells of the refused calls too.
        assert self.call(self.bolt) == 200
        self.stand.until(lambda: self.stand.usage_nano_usd(self.bolt.project_id) > 0)
        assert self.stand.usage_nano_usd(self.acme.project_id) == CAP_CENTS * CENT
        assert self.stand.bill_nano_usd() == (CAP_CENTS + CALL_CENTS) * CENT

    def until_booked(self, calls: int) -> None:
        """Wait until the ledger has so many of the client's calls."""
        spent = calls * CALL_CENTS * CENT
        self.stand.until(lambda: self.stand.usage_nano_usd(self.acme.project_id) == spent)

    def end_the_sidecar(self) -> None:
        """Its host is shut down in order, so nobody wonders at its silence."""
        assert self.stand.sidecars["one"].stop() == 0

    # --- what people hear and do

    def told(self) -> list[str]:
        """What the webhook was sent, each post as its subject."""
        return [one.json["subject"] for one in self.web.posts if one.json["type"] == "alert.told"]

    def mails_to(self, name: str) -> list[str]:
        """What somebody was mailed of alerts; the tests of the channels are left out."""
        return [
            str(one["Subject"])
            for one in self.mail.mails
            if one["To"] == f"{name}@agency.example" and "is a test" not in str(one["Subject"])
        ]

    def acknowledge_the_stop(self) -> None:
        going_on = self._ask("alerts", "ListAlerts", admin.ListAlertsRequest()).alerts
        (stop,) = [one for one in going_on if one.rule == "budget.stopped"]
        self._ask(
            "alerts",
            "AcknowledgeAlert",
            admin.AcknowledgeAlertRequest(
                request_id=self.stand.request_id(), alert_id=stop.alert_id, note="on it"
            ),
        )

    def states(self) -> set[str]:
        """Where all messages of alerts stand."""
        asked = admin.ListDeliveriesRequest(page_size=1_000)
        return {one.state for one in self._ask("alerts", "ListDeliveries", asked).deliveries}

    # --- how they are reached

    def _ask(self, service: str, method: str, request: Any) -> Any:
        bursar = self.stand.bursar
        return bursar.ask(getattr(getattr(bursar, service), method), request)

    def _set_mail_server(self) -> None:
        server = admin.MailServer(
            host="127.0.0.1",
            port=self.mail.port,
            security="none",
            from_address="alerts@agency.example",
            from_name="Agency",
        )
        request_id = self.stand.request_id()
        asked = admin.SetMailServerRequest(request_id=request_id, mail_server=server)
        self._ask("channels", "SetMailServer", asked)

    def _channel(self, name: str, kind: str, address: str, secret: str = "") -> str:
        asked = admin.AddChannelRequest(
            request_id=self.stand.request_id(),
            channel=admin.Channel(display_name=name, kind=kind),
            address=address,
            signing_secret=secret,
        )
        channel_id: str = self._ask("channels", "AddChannel", asked).channel_id
        return channel_id

    def _person(self, name: str, channel_ids: list[str]) -> str:
        asked = admin.SetPersonRequest(
            request_id=self.stand.request_id(),
            person=admin.Person(display_name=name, channel_ids=channel_ids),
        )
        person_id: str = self._ask("escalation", "SetPerson", asked).person_id
        return person_id

    def _agree(self, owner_id: str, backup_id: str) -> None:
        agreement = admin.Agreement(
            owner_id=owner_id, backup_id=backup_id, hours=self.stand.working_hours()
        )
        request_id = self.stand.request_id()
        asked = admin.SetAgreementRequest(request_id=request_id, agreement=agreement)
        self._ask("escalation", "SetAgreement", asked)


def is_the_story(subjects: list[str]) -> bool:
    """Whether the three were told in this order, and each once."""
    return len(subjects) == len(STORY) and all(
        words in subject for words, subject in zip(STORY, subjects, strict=True)
    )


def test_the_notice_the_page_and_the_stop_arrive_in_this_order_and_escalate_until_answered(
    story: Story,
) -> None:
    story.run_away()
    story.stand.pass_minutes(1)
    assert is_the_story(story.mails_to("dana")), story.mails_to("dana")
    assert is_the_story(story.told()), story.told()

    # Nobody answers the stop: the backup is told when the quarter of an hour is over, not before.
    story.end_the_sidecar()
    story.stand.pass_minutes(14)
    assert story.mails_to("kim") == []
    story.stand.pass_minutes(1)
    assert [STORY[-1] in subject for subject in story.mails_to("kim")] == [True]

    # Somebody does: the lead and the next rounds hear nothing any more.
    story.acknowledge_the_stop()
    story.stand.pass_minutes(60)
    assert is_the_story(story.mails_to("dana")), story.mails_to("dana")
    assert len(story.mails_to("kim")) == 1
    assert story.states() == {"SENT"}


def test_a_mail_server_that_is_down_for_ten_minutes_loses_nothing(story: Story) -> None:
    story.mail.down()
    story.run_away()
    story.end_the_sidecar()
    story.stand.pass_minutes(10 - RUNAWAY_CALLS)
    assert story.mails_to("dana") == []
    assert is_the_story(story.told()), story.told()
    story.mail.up()
    story.stand.pass_minutes(8)
    assert is_the_story(sorted(story.mails_to("dana"), key=_place)), story.mails_to("dana")
    assert story.states() == {"SENT"}


def _place(subject: str) -> int:
    return next(place for place, words in enumerate(STORY) if words in subject)
