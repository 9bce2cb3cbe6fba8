"""Join tokens let one credential in, once, in time."""

from functools import partial

import pytest

from control_plane.core.joining import JoinToken, NewJoinToken
from control_plane.core.log import SidecarView
from control_plane.core.pages import Asked
from control_plane.store import holdings, join_tokens
from control_plane.usecases import sidecars
from protos.values import keys
from protos.values.errors import InvalidArgumentError, NotFoundError, UnauthenticatedError
from tests.control_plane.desk import HOUR_MS, Desk

MINE, OTHERS = b"m" * 32, b"o" * 32


def redeem(desk: Desk, text: str, credential: bytes = MINE) -> JoinToken:
    return desk.do_alone(lambda tx: join_tokens.redeem(tx, text, credential, desk.now))


def issue(desk: Desk, **fields: object) -> tuple[JoinToken, str]:
    asked = NewJoinToken(**fields)  # type: ignore[arg-type]  # a test's own fields
    return desk.do(lambda tx, act: sidecars.create_join_token(tx, asked, act))


def test_a_token_lets_one_credential_in_and_that_one_again(desk: Desk) -> None:
    project, _ = desk.project()
    token, text = issue(desk, project_ids=(project.project_id,), region="eu")
    allowed = redeem(desk, text)
    assert (allowed.project_ids, allowed.region) == ((project.project_id,), "eu")
    assert allowed.sidecar_id is None
    desk.do_alone(lambda tx: join_tokens.use(tx, allowed, MINE, "sdc_1", desk.now))
    desk.pass_ms(2 * HOUR_MS)
    assert redeem(desk, text).sidecar_id == "sdc_1"
    with pytest.raises(UnauthenticatedError, match="was used"):
        redeem(desk, text, OTHERS)
    assert token.digest == keys.key_digest(text)


def test_a_token_is_over_in_time(desk: Desk) -> None:
    began = desk.now
    _, text = issue(desk, lifetime_ms=HOUR_MS)
    desk.clock.now_unix_ms = began + HOUR_MS - 1
    redeem(desk, text)
    desk.clock.now_unix_ms = began + HOUR_MS
    with pytest.raises(UnauthenticatedError, match="is over"):
        redeem(desk, text)


def test_texts_that_are_no_tokens_are_refused(desk: Desk) -> None:
    with pytest.raises(UnauthenticatedError, match="unknown"):
        redeem(desk, keys.make_key(keys.JOIN_TOKEN, bytes(24)))
    for text in ("", "x", keys.make_key(keys.ADMIN_TOKEN, bytes(24))):
        with pytest.raises(UnauthenticatedError, match="no join token"):
            redeem(desk, text)


def test_bad_wishes_are_refused(desk: Desk) -> None:
    with pytest.raises(NotFoundError):
        issue(desk, project_ids=("prj_" + "0" * 26,))
    for fields in ({"lifetime_ms": 0}, {"lifetime_ms": 25 * HOUR_MS}, {"region": "-"}):
        with pytest.raises(InvalidArgumentError):
            issue(desk, **fields)


def test_the_state_of_a_sidecar_is_what_people_call_it(desk: Desk) -> None:
    made = desk.sidecar()

    def seen() -> SidecarView:
        found = desk.read(lambda tx: holdings.sidecar(tx, made.sidecar_id))
        assert found is not None
        return found

    assert seen().state_at(desk.now) == "connected"
    assert seen().state_at(desk.now + 30_000) == "silent"
    desk.do_alone(lambda tx: tx.run("UPDATE sidecar SET state = 'DRAINED'"))
    assert seen().state_at(desk.now) == "drained"
    revoked = desk.do(
        lambda tx, act: sidecars.revoke_sidecar(tx, made.sidecar_id, "lost", act, desk.levels)
    )
    assert revoked.sidecar.state_at(desk.now) == "revoked"


def test_sidecars_are_listed_by_name(desk: Desk) -> None:
    made = [desk.sidecar(name) for name in ("c", "a", "b")]
    desk.do(lambda tx, act: sidecars.revoke_sidecar(tx, made[0].sidecar_id, "", act, desk.levels))

    def names(show_revoked: bool) -> list[str]:
        found: list[str] = []
        token = ""
        while True:
            page = desk.read(
                partial(
                    sidecars.list_sidecars,
                    asked=Asked(1, token),
                    show_revoked=show_revoked,
                    levels=desk.levels,
                )
            )
            found += [row.display_name for row in page.items]
            token = page.next_token
            if not token:
                return found

    assert names(True) == ["a", "b", "c"]
    assert names(False) == ["a", "b"]
