"""Whom a call is counted for, told without touching the workflow."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protos.values.ids import is_label
from sidecar.core.attribution import NOBODY, Attribution, attribution_of, named_in_body


@pytest.mark.parametrize(
    ("key", "path", "header", "step", "wanted"),
    [
        ("", "", b"", b"", Attribution("", "", "")),
        ("key", "path", b"head:1", b"s", Attribution("key", "1", "s")),
        ("", "path", b"head:1", b"", Attribution("path", "1", "")),
        ("", "", b"head", b"", Attribution("head", "", "")),
        ("", "", b"lead scoring:123", b"", Attribution("lead scoring", "123", "")),
        ("", "", b"Acme: leads:9", b"", Attribution("Acme- leads", "9", "")),
        ("", "", b"Acme: leads", b"", Attribution("Acme- leads", "", "")),
        (
            "",
            "",
            "Angebote für Müller:7".encode(),
            b"",
            Attribution("Angebote f-r M-ller", "7", ""),
        ),
        ("", "", b"caf\xe9:7", b"", Attribution("caf", "7", "")),
        ("", "", b":7", b"", Attribution("", "7", "")),
        ("", "", b"***", b"", Attribution("", "", "")),
        ("", "", b"", b"Step 1!", Attribution("", "", "Step 1")),
        ("key", "", b"", b"", Attribution("key", "", "")),
        ("", "", b"x" * 100, b"", Attribution("x" * 64, "", "")),
    ],
)
def test_the_key_stands_above_the_path_and_the_path_above_the_header(
    key: str, path: str, header: bytes, step: bytes, wanted: Attribution
) -> None:
    assert attribution_of(key, path, header, step) == wanted


TELLS: dict[str, dict[str, Any]] = {
    "key": {"key_workflow": "by key"},
    "suffix": {"suffix": "by suffix~1~one"},
    "path": {"path_label": "by path"},
    "header": {"header": b"by header:2", "step": b"two"},
}
TOLD_IN_BODY = {"workflow": "by body", "execution": "3", "step": "three"}


@pytest.mark.parametrize(
    ("told_by", "wanted"),
    [
        (("key", "suffix", "path", "header", "body"), ("by key", "1", "one")),
        (("suffix", "path", "header", "body"), ("by suffix", "1", "one")),
        (("path", "header", "body"), ("by path", "2", "two")),
        (("header", "body"), ("by header", "2", "two")),
        (("body",), ("by body", "3", "three")),
        (("key", "body"), ("by key", "3", "three")),
        (("path", "body"), ("by path", "3", "three")),
        ((), ("", "", "")),
    ],
)
def test_each_name_comes_from_who_is_trusted_most(
    told_by: tuple[str, ...], wanted: tuple[str, str, str]
) -> None:
    said: dict[str, Any] = {"key_workflow": "", "path_label": ""}
    for source in told_by:
        said.update(TELLS.get(source, {}))
    named = attribution_of(**said)
    named = named_in_body(named, TOLD_IN_BODY if "body" in told_by else None)
    assert named == Attribution(*wanted)


@pytest.mark.parametrize(
    ("suffix", "wanted"),
    [
        ("leads", ("leads", "", "")),
        ("lead scoring~17", ("lead scoring", "17", "")),
        ("~17", ("", "17", "")),
        ("~~draft", ("", "", "draft")),
        ("leads~17~draft~more~yet", ("leads", "17", "draft")),
        ("~", ("", "", "")),
        ("x" * 5_000, ("x" * 64, "", "")),
        ("~" * 5_000, ("", "", "")),
        ("a\x00b\r\nc", ("a-b-c", "", "")),
        ("Angebote f\xc3\xbcr M\xc3\xbcller~7", ("Angebote f-r M-ller", "7", "")),
        ("caf\xe9~7", ("caf", "7", "")),
        ("../../prj_01~7", ("prj_01", "7", "")),
        ("***~***", ("", "", "")),
    ],
)
def test_what_stands_behind_a_key_names_labels_or_nothing(
    suffix: str, wanted: tuple[str, str, str]
) -> None:
    assert attribution_of("", "", suffix=suffix) == Attribution(*wanted)


@pytest.mark.parametrize(
    ("told", "wanted"),
    [
        ({"bursar_workflow": "ours", "workflow": "theirs"}, ("ours", "", "")),
        ({"bursar_workflow": "***", "workflow": "theirs"}, ("theirs", "", "")),
        ({"execution": 17, "step": ["x"]}, ("", "", "")),
        ({"workflow": "\u202eevil\x07", "step": "\u0000"}, ("evil", "", "")),
        ({"workflow": "w" * 100_000}, ("w" * 64, "", "")),
        ({"project": "prj_other", "project_id": "prj_other", "key": "key_other"}, ("", "", "")),
        ({"user_id": "someone"}, ("", "", "")),
        ("workflow", ("", "", "")),
        ([{"workflow": "w"}], ("", "", "")),
        (None, ("", "", "")),
    ],
)
def test_a_body_names_what_is_a_text_and_nothing_else(
    told: Any, wanted: tuple[str, str, str]
) -> None:
    assert named_in_body(NOBODY, told) == Attribution(*wanted)


@given(st.binary(), st.binary(), st.binary(), st.dictionaries(st.text(), st.text()))
def test_whatever_is_sent_becomes_labels_or_nothing(
    suffix: bytes, header: bytes, step: bytes, told: dict[str, str]
) -> None:
    named = attribution_of("", "", header, step, suffix.decode("latin-1"))
    named = named_in_body(named, told | {"workflow": header.decode("latin-1")})
    for label in (named.workflow, named.execution, named.step):
        assert label == "" or is_label(label)
