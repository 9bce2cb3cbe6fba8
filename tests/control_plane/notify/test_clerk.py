"""A month ends, and its statement reaches the client by real mail, once, whatever dies between."""

import asyncio
import zlib

import pytest
from pypdfium2 import PdfDocument

from control_plane.clerk import Clerk
from control_plane.core.alerts import Alert, Rule, Severity
from control_plane.core.alerts import State as AlertState
from control_plane.core.pages import Asked
from control_plane.core.statements import State, read
from control_plane.notify.courier import Courier
from control_plane.statements.view import view_of
from control_plane.store import alerts
from control_plane.store import statements as store
from control_plane.store.branding import Branding
from control_plane.store.statements import Kept, Settings
from control_plane.usecases import branding, statements
from tests.control_plane.alert_world import AlertWorld
from tests.control_plane.notify.receivers import MailReceiver
from tests.control_plane.usecases.test_statements import at, book, correct, set_price, used

BERLIN = "Europe/Berlin"
CLIENTS = ("dana@acme.example", "lee@acme.example")


@pytest.fixture
def clerk(world: AlertWorld) -> Clerk:
    """October is over, and Acme's statements go out by themselves on the third."""
    set_price(world)
    world.clock.now_unix_ms = at(BERLIN, "2026-10-20T12:00:00")
    alert = Alert(
        "alt_00000000000000000000000001",
        Rule.THRESHOLD,
        "subject",
        world.acme.project_id,
        Severity.P2,
        AlertState.RESOLVED,
        world.now,
        facts={"percent": 80},
        opened_unix_ms=world.now,
        answered_unix_ms=world.now + 360_000,
    )
    world.do_alone(lambda tx: alerts.put(tx, alert))
    book(world, *(used(n, world.acme, world.now + n) for n in range(12)))
    wanted = Settings(world.acme.project_id, automatic=True, recipients=CLIENTS)
    world.do(lambda tx, act: statements.set_statement_settings(tx, wanted, act))
    look = Branding(agency="Northwind")
    world.do(lambda tx, act: branding.set_branding(tx, look, "", act))
    return Clerk(world.store, world.clock, world.entropy)


def kept(world: AlertWorld) -> list[Kept]:
    page = world.read(lambda tx: statements.list_statements(tx, Asked(), world.acme.project_id, ""))
    return list(page.items)


def run(world: AlertWorld, clerk: Clerk, courier: Courier) -> None:
    """One look, and all that is to be sent by it."""

    async def look() -> None:
        await clerk.build()
        await clerk.send()
        while await courier.turn():
            pass

    asyncio.run(look())


def test_a_statement_reaches_everybody_once_at_its_time(
    world: AlertWorld, mail: MailReceiver, courier: Courier, clerk: Clerk
) -> None:
    world.mail_server(mail.port)
    world.clock.now_unix_ms = at(BERLIN, "2026-11-03T08:59:00")
    run(world, clerk, courier)
    assert [one.state for one in kept(world)] == [State.APPROVED]
    assert mail.mails == []
    world.clock.now_unix_ms = at(BERLIN, "2026-11-03T09:00:00")
    for _ in range(3):
        run(world, clerk, courier)
    [one] = kept(world)
    assert (one.state, one.approved_by) == (State.SENT, "bursar")
    assert sorted(got["To"] for got in mail.mails) == list(CLIENTS)
    assert len({got["Message-ID"] for got in mail.mails}) == 2
    view = view_of(read(one.value))
    for got in mail.mails:
        assert got["Subject"] == "Northwind: AI automation report, October 2026"
        assert got["List-Unsubscribe"].startswith("<mailto:")
        text = got.get_body(("plain",))
        assert text is not None
        assert view.tiles[0].value in text.get_content()
        assert "bursar" not in text.get_content().lower()
        (pdf,) = got.iter_attachments()
        assert pdf.get_filename() == "acme-dental-2026-10.pdf"
        words = PdfDocument(pdf.get_content())[0].get_textpage().get_text_bounded()
        assert view.tiles[0].value in words
        assert "80% of the cap was used; acknowledged in 6 min" in words


def test_late_usage_after_the_mail_waits_for_a_person(
    world: AlertWorld, mail: MailReceiver, courier: Courier, clerk: Clerk
) -> None:
    world.mail_server(mail.port)
    world.clock.now_unix_ms = at(BERLIN, "2026-11-03T09:00:00")
    run(world, clerk, courier)
    first = used(0, world.acme, at(BERLIN, "2026-10-20T12:00:00"))
    correct(world, first, 1)
    run(world, clerk, courier)
    assert [(one.version, one.state) for one in kept(world)] == [(2, State.DRAFT), (1, State.SENT)]
    assert len(mail.mails) == 2
    [draft, _] = kept(world)
    world.do(
        lambda tx, act: statements.approve_statement(tx, draft.statement_id, draft.sha256, act)
    )
    run(world, clerk, courier)
    assert len(mail.mails) == 4
    assert mail.mails[-1]["Subject"].endswith("version 2")


def test_without_a_server_or_anybody_to_send_it_to_a_statement_waits(
    world: AlertWorld, mail: MailReceiver, courier: Courier, clerk: Clerk
) -> None:
    world.clock.now_unix_ms = at(BERLIN, "2026-11-03T09:00:00")
    run(world, clerk, courier)
    assert [one.state for one in kept(world)] == [State.APPROVED]
    world.mail_server(mail.port)
    nobody = Settings(world.acme.project_id, automatic=True)
    world.do(lambda tx, act: statements.set_statement_settings(tx, nobody, act))
    run(world, clerk, courier)
    assert [one.state for one in kept(world)] == [State.APPROVED]
    assert mail.mails == []


def test_one_client_never_holds_up_the_statements_of_others(
    world: AlertWorld, mail: MailReceiver, courier: Courier, clerk: Clerk
) -> None:
    world.mail_server(mail.port)
    bolt, _ = world.client("Bolt", 100)
    world.clock.now_unix_ms = at(BERLIN, "2026-10-21T12:00:00")
    book(world, used(99, bolt, world.now))
    wanted = Settings(bolt.project_id, automatic=True, recipients=("kim@bolt.example",))
    world.do(lambda tx, act: statements.set_statement_settings(tx, wanted, act))
    nobody = Settings(world.acme.project_id, automatic=True)
    world.do(lambda tx, act: statements.set_statement_settings(tx, nobody, act))
    world.clock.now_unix_ms = at(BERLIN, "2026-11-03T08:59:00")
    run(world, clerk, courier)
    world.clock.now_unix_ms = at(BERLIN, "2026-11-03T09:00:00")
    # Whom nobody is named for stands before nobody, and what cannot be read stops nobody.
    [first] = world.read(lambda tx: store.due(tx, world.now, 1))
    assert first.project_id == bolt.project_id
    again = Settings(world.acme.project_id, automatic=True, recipients=CLIENTS)
    world.do(lambda tx, act: statements.set_statement_settings(tx, again, act))
    [one] = kept(world)
    world.do_alone(
        lambda tx: tx.run(
            "UPDATE statement SET value = :torn WHERE statement_id = :id",
            {"torn": zlib.compress(b"{}"), "id": one.statement_id},
        )
    )
    run(world, clerk, courier)
    assert [got["To"] for got in mail.mails] == ["kim@bolt.example"]


def test_what_was_superseded_while_it_was_rendered_does_not_go(
    world: AlertWorld, mail: MailReceiver, courier: Courier, clerk: Clerk
) -> None:
    """Between the look and the mails a new version may take its place."""
    world.mail_server(mail.port)
    world.clock.now_unix_ms = at(BERLIN, "2026-11-03T09:00:00")
    asyncio.run(clerk.build())
    correct(world, used(0, world.acme, at(BERLIN, "2026-10-20T12:00:00")), 1)
    run(world, clerk, courier)
    assert [one.state for one in kept(world)] == [State.SENT, State.SUPERSEDED]
    assert [got["Subject"][-9:] for got in mail.mails] == ["version 2", "version 2"]
    assert world.read(lambda tx: store.due(tx, world.now, 10)) == []
