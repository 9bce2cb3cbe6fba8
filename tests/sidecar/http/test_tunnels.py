"""HTTPS_PROXY is honoured or refused by name, never walked around silently."""

import pytest

from sidecar.http.tunnels import Address, BadAddressError, Tunnel, address_of, tunnel_of

OPENAI = Address("api.openai.com", 443, tls=True, path="")


@pytest.mark.parametrize(
    ("url", "address", "authority"),
    [
        ("https://api.openai.com", OPENAI, "api.openai.com"),
        ("https://api.openai.com/v1/", OPENAI, "api.openai.com"),
        ("http://127.0.0.1:7260", Address("127.0.0.1", 7260, tls=False, path=""), "127.0.0.1:7260"),
        ("https://h:444/x", Address("h", 444, tls=True, path="/x"), "h:444"),
        ("http://[::1]:80", Address("::1", 80, tls=False, path=""), "[::1]"),
    ],
)
def test_a_base_url_is_taken_apart(url: str, address: Address, authority: str) -> None:
    assert address_of(url) == address
    assert address_of(url).authority == authority


@pytest.mark.parametrize(
    "url",
    [
        *("", "api.openai.com", "ftp://h", "https://", "https://u:p@h", "https://h?x=1"),
        *("https://h#x", "https://h:99999", "https://h/a b", "https://h/\r\nX: y"),
    ],
)
def test_a_base_url_that_cannot_be_used_is_refused(url: str) -> None:
    with pytest.raises(BadAddressError):
        address_of(url)


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, None),
        ({"HTTPS_PROXY": "http://p:3128"}, Tunnel("p", 3128)),
        ({"https_proxy": "p:3128"}, Tunnel("p", 3128)),
        ({"https_proxy": "a:1", "HTTPS_PROXY": "b:2"}, Tunnel("a", 1)),
        ({"HTTPS_PROXY": "http://u:p%40@p"}, Tunnel("p", 80, "Basic dTpwQA==")),
        ({"HTTP_PROXY": "http://p:3128"}, None),
        ({"HTTPS_PROXY": "p:1", "NO_PROXY": "openai.com"}, None),
        ({"HTTPS_PROXY": "p:1", "NO_PROXY": ".openai.com, x"}, None),
        ({"HTTPS_PROXY": "p:1", "NO_PROXY": "*"}, None),
        ({"HTTPS_PROXY": "p:1", "NO_PROXY": "api.openai.com:443"}, None),
        ({"HTTPS_PROXY": "p:1", "NO_PROXY": "api.openai.com:444"}, Tunnel("p", 1)),
        ({"HTTPS_PROXY": "p:1", "NO_PROXY": "notopenai.com,i.openai.com"}, Tunnel("p", 1)),
    ],
)
def test_the_proxy_settings_decide(environment: dict[str, str], wanted: Tunnel | None) -> None:
    assert tunnel_of(OPENAI, environment) == wanted


def test_a_provider_on_this_host_or_without_tls_needs_no_tunnel() -> None:
    environment = {"HTTPS_PROXY": "p:1"}
    assert tunnel_of(address_of("https://localhost:1"), environment) is None
    assert tunnel_of(address_of("http://h"), environment) is None


@pytest.mark.parametrize("setting", ["https://p:1", "socks5://p:1"])
def test_a_proxy_that_cannot_be_used_is_refused_by_name(setting: str) -> None:
    with pytest.raises(BadAddressError, match="not supported"):
        tunnel_of(OPENAI, {"HTTPS_PROXY": setting})


def test_a_tunnel_is_asked_for_and_its_password_not_shown() -> None:
    tunnel = Tunnel("p", 1, "Basic secret")
    assert tunnel.connect_bytes("api.openai.com", 443) == (
        b"CONNECT api.openai.com:443 HTTP/1.1\r\nHost: api.openai.com:443\r\n"
        b"Proxy-Authorization: Basic secret\r\n\r\n"
    )
    assert "secret" not in repr(tunnel)
