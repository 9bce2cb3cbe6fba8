"""A client without calls is told how to make its first, and then what that cost."""

from protos.values import ids
from protos.values.recipes import KEY_PLACEHOLDER
from tests.control_plane.desk import NOON, USD, Desk
from tests.control_plane.web.agency import add_client, log_call
from tests.control_plane.web.conftest import Browser


def test_settings_are_shown_until_the_first_call_takes_their_place(
    desk: Desk, owner: Browser
) -> None:
    client = add_client(desk, "New Client", 300 * USD)
    path = f"/clients/{client.id}"
    waiting = owner.get(path).text
    assert "Waiting for the first call" in waiting
    assert KEY_PLACEHOLDER in waiting
    for tool in ("n8n_openai", "make", "zapier", "curl"):
        assert f'id="recipe-{tool}"' in waiting
    call_id = ids.make_id(ids.CALL, NOON, bytes(10))
    log_call(desk, client, call_id)
    called = owner.get(path).text
    assert "Waiting for the first call" not in called
    assert KEY_PLACEHOLDER not in called
    assert f"/calls/{call_id}" in called
