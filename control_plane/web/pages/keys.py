"""Keys: made, exchanged with an overlap, ended. A key's text is shown once, and never again."""

from control_plane.core.keys import Key, NewKey
from control_plane.core.pages import Asked as AskedPage
from control_plane.store.engine import Tx
from control_plane.usecases import keys, overview
from control_plane.usecases.acts import Act
from control_plane.web.routes import (
    Asked,
    Change,
    Form,
    Next,
    Page,
    Route,
    View,
    client_of,
    needed,
    text,
)


def read_keys(tx: Tx, asked: Asked) -> View:
    """The keys of all clients, newest first."""
    clients, wanted = overview.client_names(tx), client_of(tx, asked.query)
    page = keys.list_keys(
        tx,
        AskedPage(token=asked.query.get("after", "")),
        project_id=wanted,
        show_revoked=False,
    )
    values = {
        "page": page,
        "wanted": wanted,
        "clients": clients,
        "known": overview.names_to_choose(clients),
        "zone": overview.agency_zone(tx),
    }
    return View("keys.html", values, "Keys")


def create_key(tx: Tx, act: Act, form: Form, _asked: Asked) -> Next:
    """Make a key and show it once."""
    needed(form, "client")
    new = NewKey(client_of(tx, form), text(form, "name"), workflow=text(form, "workflow"))
    return _shown(tx, *keys.create_key(tx, new, act))


def rotate_key(tx: Tx, act: Act, _form: Form, asked: Asked) -> Next:
    """Make a new text for a key; the one before goes on for a day."""
    key, secret, _ = keys.rotate_key(tx, asked.path["key_id"], None, None, act)
    return _shown(tx, key, secret)


def revoke_key(tx: Tx, act: Act, form: Form, asked: Asked) -> Next:
    """End a key for good."""
    keys.revoke_key(tx, asked.path["key_id"], "", text(form, "reason"), act)
    return Next("/keys")


def _shown(tx: Tx, key: Key, secret: str) -> Next:
    values = {"key": key, "secret": secret, "clients": overview.client_names(tx)}
    return Next(shown=View("key_shown.html", values, f"Key {key.display_name}"))


ROUTES: tuple[Route, ...] = (
    Page("/keys", read_keys),
    Change("/keys", "KeyService", "CreateKey", create_key),
    Change("/keys/{key_id}/rotate", "KeyService", "RotateKey", rotate_key),
    Change("/keys/{key_id}/revoke", "KeyService", "RevokeKey", revoke_key),
)
