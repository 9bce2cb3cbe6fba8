"""Where a server may listen is a table: what is not allowed is refused with what to do."""

import pytest

from protos.values.listening import (
    ListenError,
    Listening,
    host_of_authority,
    is_loopback,
    is_private,
    listening,
    split_host_port,
)

TLS = {"certificate": True, "key": True}
PUBLIC = "https://ai.example.com"


@pytest.mark.parametrize(
    ("listen", "options", "tls", "hosts"),
    [
        ("127.0.0.1:7240", {}, False, {"127.0.0.1", "localhost", "::1"}),
        ("localhost:0", {}, False, {"127.0.0.1", "localhost", "::1"}),
        ("[::1]:7240", {}, False, {"127.0.0.1", "localhost", "::1"}),
        ("127.0.0.2:1", {}, False, {"127.0.0.1", "localhost", "::1", "127.0.0.2"}),
        (
            "127.0.0.1:7240",
            {"allow_hosts": ["Bursar.local."]},
            False,
            {"127.0.0.1", "localhost", "::1", "bursar.local"},
        ),
        (
            "172.17.0.1:7250",
            {"allow_plain": True, "allow_hosts": ["host.docker.internal"]},
            False,
            {"172.17.0.1", "host.docker.internal"},
        ),
        (
            "[fd00::1]:7250",
            {"allow_plain": True, "allow_hosts": ["fd00::1"]},
            False,
            {"fd00::1"},
        ),
        (
            "10.0.0.5:7250",
            {"allow_plain": True, "public_url": "https://ai.example.com"},
            False,
            {"10.0.0.5", "ai.example.com"},
        ),
        ("10.0.0.5:7250", {**TLS, "public_url": PUBLIC}, True, {"10.0.0.5", "ai.example.com"}),
        ("0.0.0.0:443", {**TLS, "public_url": PUBLIC}, True, {"ai.example.com"}),
        ("[::]:443", {**TLS, "public_url": f"{PUBLIC}:8443/"}, True, {"ai.example.com"}),
        ("203.0.113.9:443", {**TLS, "public_url": PUBLIC}, True, {"203.0.113.9", "ai.example.com"}),
        ("127.0.0.1:7240", TLS, True, {"127.0.0.1", "localhost", "::1"}),
    ],
)
def test_may_be_listened_on(
    listen: str, options: dict[str, object], tls: bool, hosts: set[str]
) -> None:
    decided = listening(listen, **options)  # type: ignore[arg-type]  # the table holds options
    assert (decided.tls, set(decided.hosts)) == (tls, hosts)
    assert decided.address == listen


@pytest.mark.parametrize(
    ("listen", "options", "says"),
    [
        ("0.0.0.0:7240", {}, "reached from anywhere"),
        ("0.0.0.0:7240", {"allow_plain": True, "allow_hosts": ["a"]}, "reached from anywhere"),
        ("[::]:7240", {"allow_plain": True, "allow_hosts": ["a"]}, "reached from anywhere"),
        ("203.0.113.9:1", {"allow_plain": True, "allow_hosts": ["a"]}, "reached from anywhere"),
        ("169.254.169.254:1", {"allow_plain": True, "allow_hosts": ["a"]}, "from anywhere"),
        ("172.17.0.1:7250", {}, "--allow-plain"),
        ("172.17.0.1:7250", {"allow_plain": True}, "--allow-host"),
        ("172.17.0.1:7250", {"allow_hosts": ["a"]}, "--allow-plain"),
        ("0.0.0.0:443", TLS, "--public-url"),
        ("10.0.0.5:443", {"certificate": True}, "--key is missing"),
        ("10.0.0.5:443", {"key": True}, "--certificate is missing"),
        ("0.0.0.0:443", {**TLS, "public_url": "http://ai.example.com"}, "must begin with https"),
        ("0.0.0.0:443", {**TLS, "public_url": "ai.example.com"}, "an address such as"),
        ("0.0.0.0:443", {**TLS, "public_url": f"{PUBLIC}/path"}, "an address such as"),
        ("0.0.0.0:443", {**TLS, "public_url": "https://u@ai.example.com"}, "must begin"),
        ("127.0.0.1", {}, "no address to listen on"),
        ("7240", {}, "no address to listen on"),
        (":7240", {}, "no address to listen on"),
        ("::1:7240", {}, "no address to listen on"),
        ("[127.0.0.1]:7240", {}, "no address to listen on"),
        ("example.com:7240", {}, "no address to listen on"),
        ("127.0.0.1:70000", {}, "no port"),
        ("127.0.0.1:-1", {}, "no address to listen on"),
        ("127.0.0.1:7240", {"allow_hosts": ["a:1"]}, "without a port"),
        ("127.0.0.1:7240", {"allow_hosts": ["*"]}, "without a port"),
        ("127.0.0.1:7240", {"allow_hosts": [f"h{n}" for n in range(65)]}, "at most 64"),
    ],
)
def test_is_refused_with_what_to_do(listen: str, options: dict[str, object], says: str) -> None:
    with pytest.raises(ListenError) as caught:
        listening(listen, **options)  # type: ignore[arg-type]  # the table holds options
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("authority", "host"),
    [
        ("localhost:7250", "localhost"),
        ("LOCALHOST.", "localhost"),
        ("127.0.0.1", "127.0.0.1"),
        ("[::1]:7250", "::1"),
        ("[0:0:0:0:0:0:0:1]", "::1"),
        ("evil.example:7250", "evil.example"),
        ("localhost:7250:1", ""),
        ("localhost:x", ""),
        ("localhost:", ""),
        ("[::1", ""),
        ("[::1]x", ""),
        ("", ""),
    ],
)
def test_the_host_that_a_caller_names(authority: str, host: str) -> None:
    assert host_of_authority(authority) == host


def test_near_and_far_addresses() -> None:
    assert is_loopback("127.8.9.1")
    assert is_loopback("::1")
    assert not is_loopback("192.168.0.1")
    assert is_private("192.168.0.1")
    assert is_private("100.64.0.1")
    assert not any(is_private(host) for host in ("127.0.0.1", "0.0.0.0", "8.8.8.8", "::", "x"))
    assert split_host_port("[::1]:0") == ("::1", 0)
    assert Listening("::1", 5, tls=False, hosts=frozenset(), public_url="").address == "[::1]:5"
