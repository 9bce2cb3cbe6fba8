"""Whom a call is counted for, told without touching the workflow."""

import pytest

from sidecar.core.attribution import Attribution, attribution_of


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
