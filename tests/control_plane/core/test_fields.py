"""What a field may hold, and how a refusal names it."""

from email.headerregistry import Address

import pytest

from control_plane.core import fields
from protos.values.errors import EtagMismatchError, InvalidArgumentError


@pytest.mark.parametrize(
    "name", ["A", "Acme Dental", "Zahnärzte Süd", "株式会社", "x" * 100, "a-b_c (1)"]
)
def test_names(name: str) -> None:
    assert fields.check_name(name, "f") == name


def test_a_name_is_kept_in_one_form() -> None:
    assert fields.check_name("Su\u0308d", "f") == "Süd"
    assert fields.name_key("ACME ﬁ") == fields.name_key("acme fi")
    assert fields.name_key("Straße") == fields.name_key("STRASSE")


@pytest.mark.parametrize(
    "name",
    ["", " a", "a ", "a\n", "a\x00b", "a\u200bb", "a\u202eb", "a\u2028b", "x" * 101, "\ud800"],
)
def test_names_that_deceive_or_break_are_refused(name: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        fields.check_name(name, "project.display_name")
    assert caught.value.fields == {"field": "project.display_name"}
    assert caught.value.message.startswith("project.display_name: ")


def test_reasons_may_have_lines_but_no_tricks() -> None:
    assert fields.check_reason("first line\nsecond line") == "first line\nsecond line"
    for reason in ("x" * 501, "a\x1b[31m", "a\u202eb"):
        with pytest.raises(InvalidArgumentError):
            fields.check_reason(reason)


@pytest.mark.parametrize("text", ["dana@acme.example", "d.o'neil+x@a-b.example", "a@1.example"])
def test_mail_addresses(text: str) -> None:
    assert fields.check_mail_address(text, "to") == text
    assert Address(addr_spec=text).addr_spec == text


@pytest.mark.parametrize(
    "text",
    [
        *("dana", "dana@acme", "@acme.example", "dana@", ".a@b.example", "a.@b.example"),
        *("a..b@c.example", "a@b.example.", "a@.b.example", "a@b..example", "a@b@c.example"),
        *("a@-b.example", "a b@c.example", "a@b.example\n", "ä@b.example", f"{'a' * 65}@b.example"),
    ],
)
def test_what_no_mail_can_be_addressed_to_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgumentError):
        fields.check_mail_address(text, "to")


def test_ids_are_checked_before_anybody_looks_for_them() -> None:
    good = "prj_" + "0" * 26
    assert fields.check_id(good, "prj", "f") == good
    for bad in ("", "prj_", good + "0", good[:-1], good.upper(), "key_" + "0" * 26, "prj_' OR 1"):
        with pytest.raises(InvalidArgumentError):
            fields.check_id(bad, "prj", "f")


def test_etags() -> None:
    fields.check_etag("v3", 3, "it")
    fields.check_etag("", 3, "it", required=False)
    with pytest.raises(InvalidArgumentError):
        fields.check_etag("", 3, "it")
    for stale in ("v2", "v4", "3", "V3"):
        with pytest.raises(EtagMismatchError) as caught:
            fields.check_etag(stale, 3, "it")
        assert caught.value.fields == {"etag": "v3"}
