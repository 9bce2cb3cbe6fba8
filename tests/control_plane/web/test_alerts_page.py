"""The pages of alerts: what goes on is seen, taken on by one press, and traced."""

from pathlib import Path

from control_plane.core.alerts import State
from control_plane.core.principals import Role
from control_plane.store import alerts as alert_store
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
    answer = browser.post(f"{path}/acknowledge", back="clients", note="calling them")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
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
