"""More secrets at a provider: each reaches whom it is for, sealed, and never another address."""

import nacl.public
import pytest

from control_plane.core.pages import Asked
from control_plane.core.providers import NewProviderSecret, Provider, ProviderSecret, SetProvider
from control_plane.secrets import open_vault
from control_plane.usecases import installation, policy, projects, provider_secrets, providers
from protos.values.errors import InvalidArgumentError, LimitExceededError, NotFoundError
from tests.control_plane.desk import Desk

KEY = nacl.public.PrivateKey(b"k" * 32)
FIRST, SECOND, THEIRS = (f"sk-live-0123456789-{name}" for name in ("first", "second", "theirs"))


@pytest.fixture(autouse=True)
def openai(desk: Desk) -> Provider:
    wish = SetProvider("openai", "", "", "sk-live-the-providers-own", "")
    return desk.do(lambda tx, act: providers.set_provider(tx, wish, desk.vault, act))


def add(desk: Desk, secret: str, project_id: str = "", name: str = "") -> ProviderSecret:
    wish = NewProviderSecret("openai", project_id, name, secret)
    return desk.do(lambda tx, act: provider_secrets.add_provider_secret(tx, wish, desk.vault, act))


def told(desk: Desk, *project_ids: str) -> list[tuple[str, str]]:
    """What a sidecar of this scope is told: whose each secret is, and its text."""
    sidecar = desk.sidecar(f"host {desk.now}", project_ids, bytes(KEY.public_key))
    desk.pass_ms(1)
    snapshot = desk.read(lambda tx: policy.snapshot(tx, sidecar, desk.vault, desk.now))
    box = nacl.public.SealedBox(KEY)
    return [
        (one.project_id, box.decrypt(one.sealed_secret).decode() if one.sealed_secret else "")
        for one in snapshot.secrets
    ]


def test_a_client_s_own_secret_reaches_only_sidecars_that_serve_it(desk: Desk) -> None:
    mine, _ = desk.project("Mine")
    theirs, _ = desk.project("Theirs")
    add(desk, FIRST)
    add(desk, THEIRS, theirs.project_id)
    add(desk, SECOND, name="the spare one")
    assert told(desk, mine.project_id) == [("", FIRST), ("", SECOND)]
    assert told(desk, theirs.project_id) == [
        ("", FIRST),
        (theirs.project_id, THEIRS),
        ("", SECOND),
    ]
    assert len(told(desk)) == 3


def test_it_is_never_stored_open_nor_shown(desk: Desk) -> None:
    made = add(desk, FIRST, name="spare")
    assert made.secret_hint == FIRST[-4:]
    assert FIRST not in repr(made) + desk.last_entry().detail_json
    files = b"".join(path.read_bytes() for path in desk.folder.iterdir() if path.is_file())
    assert FIRST.encode() not in files


def test_one_moved_to_another_client_or_address_does_not_open(desk: Desk) -> None:
    theirs, _ = desk.project("Theirs")
    add(desk, THEIRS, theirs.project_id)
    desk.do_alone(lambda tx: tx.run("UPDATE provider_secret SET project_id = ''"))
    assert told(desk) == [("", "")]
    desk.do_alone(lambda tx: tx.run("DELETE FROM provider_secret"))
    add(desk, FIRST)
    desk.do_alone(lambda tx: tx.run("UPDATE provider SET base_url = 'https://evil.example'"))
    assert told(desk) == [("", "")]


def test_a_provider_does_not_move_while_more_secrets_are_there(
    desk: Desk, openai: Provider
) -> None:
    made = add(desk, FIRST)
    wish = SetProvider(
        "openai", "", "https://eu.api.openai.com", "sk-live-another-one", openai.etag
    )

    def move() -> None:
        desk.do(lambda tx, act: providers.set_provider(tx, wish, desk.vault, act))

    with pytest.raises(InvalidArgumentError, match="remove them first"):
        move()
    desk.do(
        lambda tx, act: provider_secrets.remove_provider_secret(tx, made.provider_secret_id, act)
    )
    move()


def test_they_go_with_their_provider_and_with_their_client(desk: Desk, openai: Provider) -> None:
    theirs, _ = desk.project("Theirs")
    add(desk, THEIRS, theirs.project_id)
    add(desk, FIRST)
    desk.do(lambda tx, act: projects.archive_project(tx, theirs.project_id, "", act))
    assert told(desk) == [("", FIRST)]
    desk.do(lambda tx, act: providers.delete_provider(tx, "openai", openai.etag, act))
    assert told(desk) == []


def test_removed_is_forgotten_and_lists_tell_no_text(desk: Desk) -> None:
    made = [add(desk, secret) for secret in (FIRST, SECOND)]

    def remove(secret_id: str) -> None:
        desk.do(lambda tx, act: provider_secrets.remove_provider_secret(tx, secret_id, act))

    page = desk.read(lambda tx: provider_secrets.list_provider_secrets(tx, Asked(1), "openai"))
    assert (page.items, bool(page.next_token)) == ((made[0],), True)
    remove(made[0].provider_secret_id)
    assert told(desk) == [("", SECOND)]
    with pytest.raises(NotFoundError):
        remove(made[0].provider_secret_id)
    with pytest.raises(InvalidArgumentError):
        remove("openai:1")


def test_without_the_key_the_others_go_on_and_the_installation_says_so(desk: Desk) -> None:
    add(desk, FIRST)
    desk.do_alone(lambda tx: tx.run("UPDATE provider SET secret_ciphertext = NULL"))
    (desk.folder / "encryption.key").unlink()
    desk.vault = open_vault(desk.folder, desk.entropy.random_bytes, in_use=True)
    assert told(desk) == [("", "")]
    assert not desk.read(lambda tx: installation.get_installation(tx, desk.vault)).secrets_unlocked


@pytest.mark.parametrize(
    ("provider", "secret", "error"),
    [
        ("mistral", FIRST, NotFoundError),
        ("openai", "", InvalidArgumentError),
        ("openai", "two words", InvalidArgumentError),
        ("openai", "x" * 1_025, InvalidArgumentError),
    ],
)
def test_bad_ones_are_refused_and_not_repeated(
    desk: Desk, provider: str, secret: str, error: type[Exception]
) -> None:
    wish = NewProviderSecret(provider, "", "", secret)
    with pytest.raises(error) as caught:
        desk.do(lambda tx, act: provider_secrets.add_provider_secret(tx, wish, desk.vault, act))
    assert not secret or secret not in str(caught.value)


def test_there_are_so_many_at_most_for_one_client(desk: Desk) -> None:
    for number in range(8):
        add(desk, f"{FIRST}-{number}")
    with pytest.raises(LimitExceededError):
        add(desk, SECOND)
    mine, _ = desk.project("Mine")
    add(desk, SECOND, mine.project_id)
