"""A secret's text can be told from noise, and never shown by accident."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protos.values.keys import (
    ADMIN_TOKEN,
    PREFIXES,
    PROJECT_KEY,
    SECRET_BYTES,
    SUFFIX_MARK,
    is_key,
    key_digest,
    key_hint,
    make_key,
    redact,
    split_suffix,
)

secret_bytes = st.binary(min_size=SECRET_BYTES, max_size=SECRET_BYTES)


@given(st.sampled_from(PREFIXES), secret_bytes)
def test_a_made_key_is_a_key_of_its_kind_only(prefix: str, chance: bytes) -> None:
    text = make_key(prefix, chance)
    assert [known for known in PREFIXES if is_key(text, known)] == [prefix]
    assert len(text) == len(prefix) + 39


@given(secret_bytes, st.integers(0, 48), st.sampled_from("0Az9"))
def test_a_changed_character_is_noticed(chance: bytes, place: int, letter: str) -> None:
    text = make_key(PROJECT_KEY, chance)
    changed = text[:place] + letter + text[place + 1 :]
    assert is_key(changed, PROJECT_KEY) == (changed == text)


@pytest.mark.parametrize("text", ["", "sk-abc", PROJECT_KEY, PROJECT_KEY + "0" * 39 + "\n"])
def test_noise_is_no_key(text: str) -> None:
    assert not is_key(text, PROJECT_KEY)


def test_the_digest_is_over_the_whole_text() -> None:
    text = make_key(ADMIN_TOKEN, bytes(range(SECRET_BYTES)))
    assert key_digest(text) == hashlib.sha256(text.encode()).digest()


@given(secret_bytes)
def test_hint_and_redaction_leave_nothing_to_use(chance: bytes) -> None:
    text = make_key(PROJECT_KEY, chance)
    assert key_hint(text) == f"bursar_pk_…{text[-4:]}"
    assert redact(f"key={text}, again {text}") == (
        "key=bursar_pk_[redacted], again bursar_pk_[redacted]"
    )


@given(secret_bytes, st.text())
def test_what_stands_behind_a_key_never_changes_the_key(chance: bytes, suffix: str) -> None:
    text = make_key(PROJECT_KEY, chance)
    assert split_suffix(text) == (text, "")
    assert split_suffix(text + SUFFIX_MARK + suffix) == (text, suffix)
