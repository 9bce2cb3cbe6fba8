"""What playbooks see of statements: the month that is over, and how far its statement is."""

from control_plane.usecases.playbook_facts import client_facts
from tests.control_plane.desk import Desk
from tests.control_plane.usecases.test_statements import (
    AUCKLAND,
    at,
    book,
    build,
    client,
    set_price,
    used,
)


def test_a_statement_of_the_last_month_is_seen_in_its_state(desk: Desk) -> None:
    set_price(desk)
    project = client(desk, AUCKLAND)
    book(desk, used(1, project, at(AUCKLAND, "2026-10-31 23:59")))
    desk.clock.now_unix_ms = at(AUCKLAND, "2026-11-04 09:00")
    (before,) = desk.read(lambda tx: client_facts(tx, project.project_id, desk.now))
    assert (before.closed_month, before.statement_state) == ("2026-10", "")
    kept = build(desk, project)
    (after,) = desk.read(lambda tx: client_facts(tx, project.project_id, desk.now))
    assert (after.closed_month, after.statement_state) == (kept.month, "DRAFT")
