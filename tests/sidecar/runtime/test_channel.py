"""Where the control plane may be, and in which language it is spoken to."""

from pathlib import Path

import pytest

from sidecar.runtime.channel import AddressError, target_of

PEM = b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:7240", "127.0.0.1:7240"),
        ("http://127.0.0.1:7240", "127.0.0.1:7240"),
        ("localhost:7240/", "localhost:7240"),
        ("[::1]:7240", "[::1]:7240"),
    ],
)
def test_loopback_is_spoken_to_in_plain_text(text: str, address: str) -> None:
    target = target_of(text, ca=None, allow_plain=False)
    assert (target.address, target.certificates) == (address, None)


def test_elsewhere_plain_text_needs_an_explicit_word() -> None:
    with pytest.raises(AddressError, match="credential"):
        target_of("10.0.0.5:7240", ca=None, allow_plain=False)
    assert target_of("10.0.0.5:7240", ca=None, allow_plain=True).certificates is None


def test_with_roots_of_its_own_or_https_tls_is_spoken(tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_bytes(PEM)
    assert target_of("10.0.0.5:7240", ca=ca, allow_plain=False).certificates == PEM
    system = target_of("https://control.example.com:443", ca=None, allow_plain=False)
    assert system.certificates is not None
    assert b"BEGIN CERTIFICATE" in system.certificates


@pytest.mark.parametrize(
    "text", ["", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:99999", "a b:1", "ftp://x:1", "x:1/y"]
)
def test_what_is_no_address_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(AddressError, match=r"127\.0\.0\.1:7240"):
        target_of(text, ca=None, allow_plain=False)


def test_roots_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(AddressError, match="No such file"):
        target_of("127.0.0.1:1", ca=tmp_path / "no.pem", allow_plain=False)
    (tmp_path / "bad.pem").write_text("hello")
    with pytest.raises(AddressError, match="no certificate"):
        target_of("127.0.0.1:1", ca=tmp_path / "bad.pem", allow_plain=False)
    with pytest.raises(AddressError, match="begins with http://"):
        target_of("http://127.0.0.1:1", ca=tmp_path / "bad.pem", allow_plain=False)
