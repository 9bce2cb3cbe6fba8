"""Providers: secrets go only where they were given for, and outlive nothing they should not."""

import nacl.public
import pytest

from control_plane.core.providers import (
    Provider,
    SetProvider,
    check_base_url,
    check_deployments,
)
from control_plane.secrets import open_vault
from control_plane.store import providers as store
from control_plane.usecases import installation, policy, providers
from protos.values.errors import EtagMismatchError, InvalidArgumentError, NotFoundError
from tests.control_plane.desk import Desk

SECRET = "sk-live-0123456789abcdef"
OTHER = "sk-live-fedcba9876543210"


def put(desk: Desk, secret: str = SECRET, etag: str = "", **fields: str) -> Provider:
    wish = SetProvider(
        provider=fields.get("provider", "openai"),
        family=fields.get("family", ""),
        base_url=fields.get("base_url", ""),
        secret=secret,
        etag=etag,
    )
    return desk.do(lambda tx, act: providers.set_provider(tx, wish, desk.vault, act))


def sealed_for(desk: Desk) -> tuple[str, int]:
    """The secret as a sidecar opens it, and its version."""
    key = nacl.public.PrivateKey(b"k" * 32)
    sidecar = desk.sidecar(f"host {desk.now}", (), bytes(key.public_key))
    desk.pass_ms(1)
    told = desk.read(lambda tx: policy.snapshot(tx, sidecar, desk.vault, desk.now)).providers[0]
    if not told.sealed_secret:
        return "", told.secret_version
    return nacl.public.SealedBox(key).decrypt(told.sealed_secret).decode(), told.secret_version


def test_a_secret_reaches_sidecars_sealed_and_is_never_stored_open(desk: Desk) -> None:
    made = put(desk)
    assert sealed_for(desk) == (SECRET, 1)
    assert made.secret_hint == "cdef"
    kept = desk.read(lambda tx: store.secret_of(tx, "openai"))
    assert kept is not None
    assert SECRET.encode() not in kept.ciphertext
    assert SECRET not in repr(kept) + repr(desk.vault) + desk.last_entry().detail_json
    files = b"".join(path.read_bytes() for path in desk.folder.iterdir() if path.is_file())
    assert SECRET.encode() not in files


def test_a_change_of_the_secret_raises_its_version(desk: Desk) -> None:
    first = put(desk)
    second = put(desk, OTHER, first.etag)
    assert sealed_for(desk) == (OTHER, 2)
    same = put(desk, "", second.etag)
    assert (same.secret_version, same.secret_hint) == (2, "3210")
    assert sealed_for(desk) == (OTHER, 2)
    with pytest.raises(EtagMismatchError):
        put(desk, SECRET, first.etag)


def test_a_stored_secret_never_goes_to_another_address(desk: Desk) -> None:
    made = put(desk)
    with pytest.raises(InvalidArgumentError) as caught:
        put(desk, "", made.etag, base_url="https://evil.example")
    assert caught.value.fields["field"] == "secret"
    moved = put(desk, OTHER, made.etag, base_url="https://eu.api.openai.com")
    assert moved.base_url == "https://eu.api.openai.com"
    assert sealed_for(desk) == (OTHER, 2)


def test_a_provider_of_any_family_tells_sidecars_which_model_each_deployment_is(
    desk: Desk,
) -> None:
    assert put(desk, provider="gemini").base_url == "https://generativelanguage.googleapis.com"
    named = {"prod-4o": "gpt-4o", "prod-mini": "gpt-4o-mini"}
    url = "https://ours.openai.azure.com"
    wish = SetProvider("azure", "openai", url, SECRET, "", named)
    desk.do(lambda tx, act: providers.set_provider(tx, wish, desk.vault, act))
    assert "prod-4o=gpt-4o" in desk.last_entry().detail_json
    key = nacl.public.PrivateKey(b"k" * 32)
    sidecar = desk.sidecar("one", (), bytes(key.public_key))
    told = desk.read(lambda tx: policy.snapshot(tx, sidecar, desk.vault, desk.now)).providers
    assert {one.provider: one.family for one in told} == {"azure": "openai", "gemini": "gemini"}
    assert [dict(one.deployments) for one in told] == [named, {}]
    for bad in ({"a/b": "gpt-4o"}, {"": "gpt-4o"}, {"x": ""}, {"..": "gpt-4o"}):
        with pytest.raises(InvalidArgumentError, match="deployment"):
            check_deployments(bad)


def test_a_provider_that_went_and_came_back_goes_on_counting(desk: Desk) -> None:
    made = put(desk)
    desk.do(lambda tx, act: providers.delete_provider(tx, "openai", made.etag, act))
    assert desk.read(lambda tx: store.secret_of(tx, "openai")) is None
    with pytest.raises(NotFoundError):
        desk.do(lambda tx, act: providers.delete_provider(tx, "openai", made.etag, act))
    again = put(desk, OTHER)
    assert (again.secret_version, again.version) == (2, 3)


def test_a_secret_moved_into_another_row_does_not_open(desk: Desk) -> None:
    put(desk)
    put(desk, OTHER, provider="anthropic")
    desk.do_alone(
        lambda tx: tx.run(
            """UPDATE provider SET secret_ciphertext =
                 (SELECT secret_ciphertext FROM provider WHERE provider = 'anthropic')
               WHERE provider = 'openai'"""
        )
    )
    desk.do_alone(lambda tx: tx.run("DELETE FROM provider WHERE provider = 'anthropic'"))
    assert sealed_for(desk) == ("", 1)


def test_a_changed_address_does_not_open_the_secret(desk: Desk) -> None:
    put(desk)
    desk.do_alone(lambda tx: tx.run("UPDATE provider SET base_url = 'https://evil.example'"))
    assert sealed_for(desk) == ("", 1)


def test_without_the_key_everything_but_secrets_goes_on(desk: Desk) -> None:
    made = put(desk)
    (desk.folder / "encryption.key").unlink()
    desk.vault = open_vault(desk.folder, desk.entropy.random_bytes, in_use=True)
    assert not (desk.folder / "encryption.key").exists()
    told = desk.read(lambda tx: installation.get_installation(tx, desk.vault))
    assert (told.secrets_unlocked, told.encryption_key_id) == (False, "")
    project, _ = desk.project()
    desk.key(project)
    assert sealed_for(desk) == ("", 1)
    # To set the secret again is the decision that makes a new key.
    put(desk, OTHER, made.etag)
    assert sealed_for(desk) == (OTHER, 2)
    told = desk.read(lambda tx: installation.get_installation(tx, desk.vault))
    assert told.secrets_unlocked


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("https://api.openai.com", "https://api.openai.com"),
        ("https://api.openai.com/", "https://api.openai.com"),
        ("https://api.openai.com:8443", "https://api.openai.com:8443"),
        ("https://openrouter.ai/api/v1/", "https://openrouter.ai/api/v1"),
        ("http://127.0.0.1:7260", "http://127.0.0.1:7260"),
        ("http://localhost:7260", "http://localhost:7260"),
        ("http://[::1]:7260", "http://[::1]:7260"),
        ("http://192.168.1.7:7260", "http://192.168.1.7:7260"),
    ],
)
def test_addresses_that_a_secret_may_go_to(given: str, used: str) -> None:
    assert check_base_url(given) == used


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.openai.com",
        "ftp://api.openai.com",
        "http://api.openai.com",
        "http://8.8.8.8",
        "http://0.0.0.0:7260",
        "http://169.254.169.254",
        "http://100.100.100.200.nip.io",
        "https://",
        "https://user:pass@api.openai.com",
        "https://user@api.openai.com",
        "https://api.openai.com/v1/../v2",
        "https://api.openai.com//v1",
        "https://api.openai.com/v%31",
        "https://api.openai.com?x=1",
        "https://api.openai.com#x",
        "https://api.openai.com:0",
        "https://api.openai.com:99999",
        "https://api openai.com",
        "https://api.openai.com\r\nx: y",
        "https://api_openai.com",
        "https://[::1",
        "https://" + "x" * 600,
        "https://gräte.example",
    ],
)
def test_addresses_that_it_may_not_go_to(url: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        check_base_url(url)
    assert caught.value.fields["field"] == "provider.base_url"


@pytest.mark.parametrize(
    ("fields", "secret", "field"),
    [
        ({"provider": "Open AI"}, SECRET, "provider.provider"),
        ({"provider": ""}, SECRET, "provider.provider"),
        ({"provider": "mistral"}, SECRET, "provider.family"),
        ({"provider": "mistral", "family": "openai"}, SECRET, "provider.base_url"),
        ({"provider": "openai"}, "", "secret"),
        ({"provider": "openai"}, "with space", "secret"),
        ({"provider": "openai"}, "line\nbreak", "secret"),
        ({"provider": "openai"}, "x" * 1_025, "secret"),
    ],
)
def test_bad_fields_are_named_and_secrets_not_repeated(
    desk: Desk, fields: dict[str, str], secret: str, field: str
) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        put(desk, secret, **fields)
    assert caught.value.fields["field"] == field
    assert not secret or secret not in caught.value.message
