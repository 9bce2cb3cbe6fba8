"""Playbooks of the agency or of one client: how each step stands, and what mends it."""

from control_plane.core.listed import Listed
from control_plane.core.playbook import Outcome
from control_plane.store.engine import Tx
from control_plane.usecases import overview, playbooks, principals, projects
from control_plane.web.routes import Asked, Page, Route, View, page_of

_WORDS = {
    Outcome.PASSED: "so",
    Outcome.FAILED: "not so",
    Outcome.TO_DO: "to do",
    Outcome.DONE: "done",
    Outcome.WAIVED: "not needed",
}


def read_agency(tx: Tx, asked: Asked) -> View:
    """The playbooks of the agency."""
    return _view(tx, asked, "", "")


def read_client(tx: Tx, asked: Asked) -> View:
    """The playbooks of one client."""
    project = projects.found(tx, asked.path["project_id"])
    return _view(tx, asked, project.project_id, project.display_name)


def _view(tx: Tx, asked: Asked, project_id: str, name: str) -> View:
    clients = list(overview.client_names(tx).items())
    listed = Listed.of(page_of(asked.query), len(clients))
    values = {
        "verified": playbooks.query_playbook_findings(tx, project_id, "", asked.now_unix_ms),
        "client": name,
        "project_id": project_id,
        "clients": listed.cut(clients),
        "listed": listed,
        "names": principals.names(tx),
        "zone": overview.agency_zone(tx),
        "words": _WORDS,
    }
    return View("playbooks.html", values, f"Playbook of {name}" if name else "Playbook")


ROUTES: tuple[Route, ...] = (
    Page("/playbook", read_agency),
    Page("/clients/{project_id}/playbook", read_client),
)
