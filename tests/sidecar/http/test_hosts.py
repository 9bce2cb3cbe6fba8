"""No web page speaks to a sidecar, by whatever name it was led here."""

import pytest

from sidecar.http.hosts import allowed_hosts, browser_fault, host_fault

ALLOWED = allowed_hosts(7250, ["bursar.internal", "10.0.0.5:9000"])


@pytest.mark.parametrize(
    ("host", "passes"),
    [
        (b"127.0.0.1:7250", True),
        (b"LocalHost:7250", True),
        (b"[::1]:7250", True),
        (b"bursar.internal", True),
        (b"bursar.internal:7250", True),
        (b"10.0.0.5:9000", True),
        (b"127.0.0.1", False),
        (b"127.0.0.1:7251", False),
        (b"127.0.0.1:7250.evil.example", False),
        (b"evil.example:7250", False),
        (b"10.0.0.5:7250", False),
        (b"127.0.0.2:7250", False),
        (b"", False),
    ],
)
def test_only_exact_names_pass(host: bytes, passes: bool) -> None:
    assert (host_fault({b"host": host}, ALLOWED) == "") is passes


def test_a_request_without_host_is_refused() -> None:
    assert host_fault({}, ALLOWED)


@pytest.mark.parametrize(
    ("values", "passes"),
    [
        ({}, True),
        ({b"sec-fetch-site": b"none"}, True),
        ({b"sec-fetch-site": b"same-origin"}, True),
        ({b"sec-fetch-site": b"cross-site"}, False),
        ({b"sec-fetch-site": b"same-site"}, False),
        ({b"origin": b"https://evil.example"}, False),
        ({b"origin": b"null"}, False),
    ],
)
def test_what_a_browser_sends_for_another_site_is_refused(
    values: dict[bytes, bytes], passes: bool
) -> None:
    assert (browser_fault(values) == "") is passes
