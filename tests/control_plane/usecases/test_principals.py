"""Principals: nobody gives what he lacks, and the last owner stays."""

import pytest

from control_plane.core.pages import Asked
from control_plane.core.principals import Role
from control_plane.usecases import principals
from control_plane.usecases.installation import found
from protos.values import keys
from protos.values.errors import (
    AlreadyExistsError,
    FailedPreconditionError,
    InvalidArgumentError,
    LimitExceededError,
    NotFoundError,
    PermissionDeniedError,
    UnauthenticatedError,
)
from tests.control_plane.desk import HOUR_MS, Desk


def who(desk: Desk, token: str) -> str:
    return desk.read(lambda tx: principals.authenticate(tx, token, desk.now)).principal_id


def test_the_first_start_makes_one_owner_with_one_token(desk: Desk) -> None:
    assert who(desk, desk.owner_token) == desk.owner.principal_id
    assert desk.owner.role is Role.OWNER
    kept: list[str] = []
    again = desk.do_alone(lambda tx: found(tx, desk.entropy, desk.now, keep_token=kept.append))
    assert (again, kept) == (False, [])


def test_a_token_that_could_not_be_kept_founds_nothing(desk: Desk) -> None:
    desk.do_alone(lambda tx: tx.run("DELETE FROM admin_token"))
    desk.do_alone(lambda tx: tx.run("DELETE FROM principal"))

    def full(_text: str) -> None:
        raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space"):
        desk.do_alone(lambda tx: found(tx, desk.entropy, desk.now, keep_token=full))
    page = desk.read(lambda tx: principals.list_principals(tx, Asked()))
    assert page.items == ()


@pytest.mark.parametrize("granter", [Role.VIEWER, Role.OPERATOR])
def test_nobody_gives_what_he_lacks(desk: Desk, granter: Role) -> None:
    actor = desk.principal("somebody", granter)
    owner = desk.owner
    with pytest.raises(PermissionDeniedError):
        desk.do(lambda tx, act: principals.create_principal(tx, "x", Role.OWNER, act), actor)
    with pytest.raises(PermissionDeniedError):
        desk.do(lambda tx, act: principals.issue_token(tx, owner.principal_id, None, act), actor)
    with pytest.raises(PermissionDeniedError):
        desk.do(
            lambda tx, act: principals.disable_principal(tx, owner.principal_id, "", act), actor
        )
    token_id = owner.tokens[0].token_id
    with pytest.raises(PermissionDeniedError):
        desk.do(lambda tx, act: principals.revoke_token(tx, token_id, act), actor)
    desk.do(lambda tx, act: principals.create_principal(tx, "y", granter, act), actor)


def test_the_last_owner_and_its_last_token_stay(desk: Desk) -> None:
    owner = desk.owner
    token_id = owner.tokens[0].token_id
    with pytest.raises(FailedPreconditionError):
        desk.do(lambda tx, act: principals.disable_principal(tx, owner.principal_id, "", act))
    with pytest.raises(FailedPreconditionError):
        desk.do(lambda tx, act: principals.revoke_token(tx, token_id, act))
    _, second = desk.do(lambda tx, act: principals.issue_token(tx, owner.principal_id, None, act))
    desk.do(lambda tx, act: principals.revoke_token(tx, token_id, act))
    assert who(desk, second) == owner.principal_id
    with pytest.raises(UnauthenticatedError):
        who(desk, desk.owner_token)


def test_a_token_ends_when_it_was_told_to(desk: Desk) -> None:
    owner = desk.owner
    end = desk.now + HOUR_MS
    _, text = desk.do(lambda tx, act: principals.issue_token(tx, owner.principal_id, end, act))
    desk.clock.now_unix_ms = end - 1
    assert who(desk, text) == owner.principal_id
    desk.clock.now_unix_ms = end
    with pytest.raises(UnauthenticatedError):
        who(desk, text)


def test_a_disabled_principal_is_nobody(desk: Desk) -> None:
    made, text = desk.do(lambda tx, act: principals.create_principal(tx, "Ann", Role.OPERATOR, act))
    assert who(desk, text) == made.principal_id
    desk.do(lambda tx, act: principals.disable_principal(tx, made.principal_id, "left", act))
    with pytest.raises(UnauthenticatedError):
        who(desk, text)
    with pytest.raises(FailedPreconditionError):
        desk.do(lambda tx, act: principals.issue_token(tx, made.principal_id, None, act))
    with pytest.raises(AlreadyExistsError):
        desk.principal("ANN", Role.VIEWER)


def test_texts_that_are_no_tokens_are_refused_without_asking_the_database(desk: Desk) -> None:
    good = keys.make_key(keys.ADMIN_TOKEN, bytes(24))
    for text in ("", "x", good[:-1], good + "0", keys.make_key(keys.PROJECT_KEY, bytes(24))):
        with pytest.raises(UnauthenticatedError, match="no admin token"):
            who(desk, text)
    with pytest.raises(UnauthenticatedError, match="unknown"):
        who(desk, good)


def test_tokens_that_work_are_bounded(desk: Desk) -> None:
    owner = desk.owner.principal_id
    for _ in range(19):
        desk.do(lambda tx, act: principals.issue_token(tx, owner, None, act))
    with pytest.raises(LimitExceededError):
        desk.do(lambda tx, act: principals.issue_token(tx, owner, None, act))


def test_what_is_unknown_or_malformed_is_told_apart(desk: Desk) -> None:
    with pytest.raises(NotFoundError):
        desk.do(lambda tx, act: principals.revoke_token(tx, "tok_" + "0" * 26, act))
    with pytest.raises(InvalidArgumentError):
        desk.do(lambda tx, act: principals.revoke_token(tx, "tok", act))
