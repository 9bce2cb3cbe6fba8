"""Settings: who may come in, with which role; and the trail of what they did."""

from control_plane.core import fields
from control_plane.core.pages import Asked as AskedPage
from control_plane.core.principals import Role
from control_plane.store.engine import Tx
from control_plane.usecases import overview, principals, sessions
from control_plane.usecases.acts import Act
from control_plane.web import audit_words
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

AUDIT_ROWS = 30
AUDIT_READ_ROWS = 300
"""Further ones tell what was before."""


def read_settings(tx: Tx, asked: Asked) -> View:
    """People by name, and the newest changes."""
    zone = overview.agency_zone(tx)
    clients = overview.client_names(tx)
    people = AskedPage(token=asked.query.get("after", ""))
    entries = principals.list_audit_entries(tx, AskedPage(AUDIT_READ_ROWS), "").items
    values = {
        "people": principals.list_principals(tx, people),
        "trail": audit_words.told(entries, zone, AUDIT_ROWS),
        "names": principals.names(tx),
        "clients": clients,
        "known": overview.names_to_choose(clients),
        "roles": [role for role in reversed(Role) if asked.principal.role.includes(role)],
        "zone": zone,
    }
    return View("settings.html", values, "Settings")


def add_person(tx: Tx, act: Act, form: Form, _asked: Asked) -> Next:
    """Make a principal; the token is shown once."""
    role = next((one for one in Role if one.value == text(form, "role")), None)
    if role is None:
        raise fields.invalid("role", "choose one of the list")
    project_id = client_of(tx, form) if role is Role.CLIENT else ""
    principal, token = principals.create_principal(
        tx, needed(form, "name"), role, act, project_id=project_id
    )
    values = {"person": principal, "secret": token, "is_link": False}
    return Next(shown=View("person_shown.html", values, principal.display_name))


def make_link(tx: Tx, act: Act, _form: Form, asked: Asked) -> Next:
    """Make a link that signs a principal in once; it is shown once."""
    principal, link, secret = sessions.create_sign_in_link(tx, asked.path["principal_id"], act)
    values = {
        "person": principal,
        "secret": f"/sign-in/{secret}",
        "is_link": True,
        "expires_unix_ms": link.expires_unix_ms,
    }
    return Next(shown=View("person_shown.html", values, principal.display_name))


def disable_person(tx: Tx, act: Act, form: Form, asked: Asked) -> Next:
    """End a principal, its tokens and its sessions."""
    principals.disable_principal(tx, asked.path["principal_id"], text(form, "reason"), act)
    return Next("/settings")


ROUTES: tuple[Route, ...] = (
    Page("/settings", read_settings),
    Change("/settings/people", "PrincipalService", "CreatePrincipal", add_person),
    Change(
        "/settings/people/{principal_id}/link", "PrincipalService", "CreateSignInLink", make_link
    ),
    Change(
        "/settings/people/{principal_id}/disable",
        "PrincipalService",
        "DisablePrincipal",
        disable_person,
    ),
)
