"""Alerts, channels and who answers, as people set and read them; with real receivers."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.clients.cli.conftest import ControlPlane, running
from tests.control_plane.notify.receivers import MailReceiver, WebReceiver


@pytest.fixture(scope="module")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """Its own: elsewhere `doctor` finds no channel, and nobody is told."""
    with running(tmp_path_factory.mktemp("control-plane")) as made:
        yield made


@pytest.fixture(scope="module")
def web() -> Iterator[WebReceiver]:
    receiver = WebReceiver()
    yield receiver
    receiver.close()


@pytest.fixture(scope="module")
def mail() -> Iterator[MailReceiver]:
    receiver = MailReceiver()
    receiver.up()
    yield receiver
    receiver.close()


def test_a_channel_is_saved_only_after_a_test_arrived(
    run: Any, run_json: Any, web: WebReceiver, mail: MailReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ("channel", "add", "ops mail", "--mail", "ops@agency.example")
    assert "no mail server is set" in run(*asked, code=5).stderr
    sender = ("--from", "alerts@agency.example")
    server = ("channel", "mail-server", "--host", "127.0.0.1", "--security", "none", *sender)
    assert "nothing was saved" in run(*server, "--port", "1", code=5).stderr
    run(*server, "--port", str(mail.port))
    assert run_json("channel", "mail-server")["mail_server"]["port"] == mail.port
    run(*asked)
    assert mail.subjects == ["This is a test"]

    monkeypatch.setenv("HOOK", web.url)
    hook = run_json("channel", "add", "hook", "--kind", "webhook", "--address-env", "HOOK")
    assert len(hook["signing_secret"]) > 40
    assert web.posts[-1].json["type"] == "test"
    web.status = 500
    failed = run(
        *("channel", "add", "broken", "--kind", "webhook", "--address-env", "HOOK"), code=5
    )
    assert "the test did not arrive, so nothing was saved: HTTP 500" in failed.stderr
    web.status = 200
    known = {one["display_name"]: one for one in run_json("channel", "list")["channels"]}
    assert set(known) == {"ops mail", "hook"}
    assert web.url not in str(known)
    run("channel", "test", "hook")


def test_from_people_to_a_test_that_is_acknowledged(run: Any, run_json: Any) -> None:
    """With the channels of the test before."""
    assert "Nobody is told" in run("escalation", "show").stderr
    assert "nobody would be told" in run("alert", "test", code=5).stderr
    run("escalation", "person", "Dana", "--channel", "hook", "--channel", "ops mail")
    quiet = ("--quiet-hours", "22:00-07:00", "--time-zone", "Europe/Berlin")
    run("escalation", "person", "Kim", "--channel", "ops mail", *quiet)
    assert "no person" in run("escalation", "set", "--owner", "Nobody", code=3).stderr
    run("escalation", "set", "--owner", "Dana", "--backup", "Kim", "--hours", "08:00-18:00")
    run("client", "add", "Alerted", "--cap", "5")
    told = ("--tell-client", "at-once", "--client-channel", "ops mail", "--client-thresholds")
    run("escalation", "set", "Alerted", *told)
    shown = run("escalation", "show").stdout
    assert "mon,tue,wed,thu,fri 08:00-18:00 UTC" in shown
    assert "mon,tue,wed,thu,fri,sat,sun 22:00-07:00 Europe/Berlin" in shown
    assert "at once" in shown

    one = run_json("alert", "test", "Alerted", "--severity", "P1")["alert"]
    assert one["owner"] == "Dana"
    assert one["alert_id"] in run("alert", "list", "Alerted").stdout
    run("alert", "ack", one["alert_id"], "--note", "seen it")
    detail = run_json("alert", "show", one["alert_id"])
    assert [line["event"] for line in detail["events"]] == ["FOUND", "ACKNOWLEDGE"]
    assert len(detail["deliveries"]) == 2
    assert "Answer by" in run("alert", "show", one["alert_id"]).stdout or detail
    run("alert", "resolve", one["alert_id"])
    assert run_json("alert", "list", "Alerted")["alerts"] == []
    assert len(run_json("alert", "list", "Alerted", "--all")["alerts"]) == 1
    assert "the alert is over" in run("alert", "ack", one["alert_id"], code=5).stderr
    sent = run_json("alert", "deliveries", "--alert", one["alert_id"])["deliveries"]
    assert len(sent) >= 2
    assert "only what failed" in run("alert", "retry", sent[-1]["delivery_id"], code=5).stderr
    assert "is reached by it" in run("channel", "remove", "hook", "--yes", code=5).stderr


def test_hours_that_are_none_are_refused_in_words(run: Any) -> None:
    asked = ("escalation", "set")
    assert "no stretch of time" in run(*asked, "--hours", "9-5", code=2).stderr
    assert "are no days" in run(*asked, "--hours", "9:00-17:00", "--days", "x", code=2).stderr


def test_a_model_is_retired_by_names_of_the_price_book(run: Any, run_json: Any) -> None:
    asked = ("model", "retire", "openai", "gpt-4o", "--on", "2027-03-01")
    made = run_json(*asked, "--replacement", "gpt-5-mini", "--source", "the provider's page")
    assert made["retirement"]["retire_time"] == "2027-03-01T00:00:00Z"
    assert "gpt-4o" in run("model", "retiring").stdout
    assert (
        "there is no price for"
        in run("model", "retire", "openai", "gpt-none", "--on", "2027-03-01", code=2).stderr
    )
    run("model", "keep", "openai", "gpt-4o")
    assert run_json("model", "retiring")["retirements"] == []
