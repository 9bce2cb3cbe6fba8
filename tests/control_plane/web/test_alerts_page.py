"""The pages of alerts: what goes on is seen, taken on by one press, and traced."""

from functools import partial
from pathlib import Path

from control_plane.core.alerts import Alert, Rule, State
from control_plane.core.pages import Asked
from control_plane.core.principals import Role
from control_plane.store import alerts as alert_store
from control_plane.usecases import alerts
from tests.control_plane.alert_world import AlertWorld
from tests.control_plane.desk import USD
from tests.control_plane.web.conftest import browser_of


def test_a_stopped_client_is_taken_on_by_one_press(tmp_path: Path) -> None:
    world = AlertWorld(tmp_path)
    browser = browser_of(world, Role.OPERATOR, "")
    assert "Nobody is told" in browser.get("/alerts").text
    dana = world.person("Dana", world.channel("dana's phone").channel_id)
    world.agree(owner_id=dana.person_id)
    assert "Nothing goes on" in browser.get("/alerts").text
    world.spend(100 * USD)
    world.refuse(3)
    world.look()
    (stop,) = [one for one in world.live() if not one.muted_by]

    first = browser.get("/").text
    assert "Dana answers by" in first
    listed = browser.get("/alerts").text
    assert "Acme Dental: monthly is stopped at its cap" in listed
    assert f'id="ack-{stop.alert_id}"' in listed
    path = f"/alerts/{stop.alert_id}"
    answer = browser.post(f"{path}/acknowledge", back="/?page=2", note="calling them")
    assert (answer.status_code, answer.headers["location"]) == (303, "/?page=2")
    assert "acknowledged by" in browser.get("/").text

    one = browser.get(path).text
    for words in ("3 calls refused since", "calling them", "dana&#39;s phone", "queued", "found"):
        assert words in one, words
    assert browser.post(f"{path}/resolve").status_code == 303
    after = world.read(lambda tx: alert_store.get(tx, stop.alert_id))
    assert after is not None
    assert after.state is State.RESOLVED
    assert stop.alert_id in browser.get("/alerts?all=1").text
    world.store.close()


def test_what_goes_on_is_listed_gravest_first_over_all_its_pages(tmp_path: Path) -> None:
    world = AlertWorld(tmp_path)
    _, quiet = world.client("Bolt Logistics", 100)
    world.look()
    world.spend(100 * USD)
    world.refuse(1)
    world.look()
    world.spend(60 * USD, quiet)
    world.pass_minutes(1)
    token = ""
    listed: list[Alert] = []
    while not listed or token:
        asked = Asked(2, token)
        page = world.read(
            partial(alerts.list_alerts, asked=asked, project_id="", show_resolved=False)
        )
        listed += [one.alert for one in page.items]
        token = page.next_token
    places = [(bool(one.muted_by), one.severity) for one in listed]
    assert places == sorted(places)
    assert len({one.alert_id for one in listed}) == len(listed) == len(world.live()) >= 5
    assert [one.rule for one in listed[:2]] == [Rule.TIME_TO_CAP, Rule.STOPPED]
    assert listed[-1].muted_by
    world.store.close()
