"""Addresses of channels: which are taken, what is shown of them, and what they may lead into."""

import ipaddress

import pytest

from control_plane.core.channels import (
    ChannelKind,
    MailServer,
    Target,
    check_mail_server,
    check_target,
    hint_of,
    is_allowed,
)
from protos.values.errors import InvalidArgumentError

SECRET = "s" * 16
HOOK = "https://hooks.slack.com/services/T0/B0/xyzw"


@pytest.mark.parametrize(
    ("kind", "target", "hint"),
    [
        (ChannelKind.MAIL, Target("ops+ai@example.org"), "ops+ai@example.org"),
        (ChannelKind.SLACK, Target(HOOK), "https://hooks.slack.com/…xyzw"),
        (
            ChannelKind.TEAMS,
            Target("https://x.logic.azure.com/w?sig=abcd"),
            "https://x.logic.azure.com/…abcd",
        ),
        (ChannelKind.PAGERDUTY, Target("a" * 28 + "wxyz"), "…wxyz"),
        (ChannelKind.WEBHOOK, Target("https://a.example/hook", SECRET), "https://a.example/…hook"),
    ],
)
def test_what_is_taken_and_what_is_shown_of_it(
    kind: ChannelKind, target: Target, hint: str
) -> None:
    assert check_target(kind, target) == target
    assert hint_of(kind, target) == hint
    assert target.address not in repr(target)


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        (ChannelKind.MAIL, Target("ops")),
        (ChannelKind.MAIL, Target("a@b..c")),
        (ChannelKind.MAIL, Target(".a@b.c")),
        (ChannelKind.MAIL, Target("a.@b.c")),
        (ChannelKind.MAIL, Target("a@b.c.")),
        (ChannelKind.MAIL, Target("a@b.c\nBcc: x@y.z")),
        (ChannelKind.SLACK, Target("https://hooks.slack.com.evil.example/x")),
        (ChannelKind.PAGERDUTY, Target("short")),
        (ChannelKind.WEBHOOK, Target("https://a.example/hook")),
        (ChannelKind.WEBHOOK, Target("https://a.example/hook", "short")),
        (ChannelKind.WEBHOOK, Target("ftp://a.example", SECRET)),
        (ChannelKind.WEBHOOK, Target("https://a..example", SECRET)),
        (ChannelKind.WEBHOOK, Target(f"https://{'a' * 64}.example", SECRET)),
        (ChannelKind.WEBHOOK, Target("https://u:p@a.example", SECRET)),
        (ChannelKind.WEBHOOK, Target("https://a.example:99999", SECRET)),
        (ChannelKind.TEAMS, Target("https://a.example", SECRET)),
    ],
)
def test_what_is_refused(kind: ChannelKind, target: Target) -> None:
    with pytest.raises(InvalidArgumentError):
        check_target(kind, target)


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("93.184.215.14", True),
        ("2606:2800:21f:cb07::1", True),
        ("127.0.0.1", False),
        ("10.0.0.1", False),
        ("100.64.0.1", False),
        ("169.254.169.254", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("::1", False),
        ("::", False),
        ("fe80::1", False),
        ("fc00::1", False),
        ("fec0::1", False),
        ("::ffff:10.0.0.1", False),
        ("::ffff:93.184.215.14", True),
        ("2002:0a00:0001::1", False),
        ("64:ff9b::a00:1", False),
        ("64:ff9b::5db8:d70e", True),
        ("2001:0:1::1", False),
        ("::10.0.0.1", False),
        ("64:ff9b:1::a00:1", False),
        ("192.168.7.9", True),
    ],
)
def test_only_what_everybody_reaches_and_what_the_operator_named(text: str, allowed: bool) -> None:
    named = (ipaddress.ip_network("192.168.7.0/24"),)
    assert is_allowed(ipaddress.ip_address(text), named) is allowed


def test_a_mail_server_never_gets_a_password_in_plain_text() -> None:
    server = MailServer("mail.example", 587, "starttls", "u", "a@b.example", "Agency")
    assert check_mail_server(server, has_password=True) == server
    for wrong in (
        MailServer("mail.example", 25, "none", "u", "a@b.example", ""),
        MailServer("mail.example", 0, "tls", "", "a@b.example", ""),
        MailServer("mail example", 25, "tls", "", "a@b.example", ""),
        MailServer("mail.example", 25, "ssl", "", "a@b.example", ""),
        MailServer("mail.example", 25, "tls", "", "nobody", ""),
    ):
        with pytest.raises(InvalidArgumentError):
            check_mail_server(wrong, has_password=True)
    with pytest.raises(InvalidArgumentError):
        check_mail_server(server, has_password=False)
