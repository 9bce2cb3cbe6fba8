"""Where messages go: kinds of channels, and what the address of each must look like.

The whole address is a secret: whoever has a chat's webhook can write there. It is encrypted like a
provider's secret; what is shown is a hint.
"""

import ipaddress
import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit

from control_plane import limits
from control_plane.core import fields
from protos.values import mailboxes

IpNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

_ROUTING_KEY = re.compile(r"[A-Za-z0-9]{32}\Z")
_SLACK_HOST: Final = "hooks.slack.com"
_SECRET_CHARACTERS_MIN: Final = 16


class ChannelKind(StrEnum):
    """How a channel is spoken to."""

    MAIL = "mail"
    SLACK = "slack"
    TEAMS = "teams"
    PAGERDUTY = "pagerduty"
    WEBHOOK = "webhook"


@dataclass(frozen=True, slots=True)
class Channel:
    """A place that messages arrive at."""

    channel_id: str
    display_name: str
    kind: ChannelKind
    hint: str
    """Tells it from others without opening anything."""
    created_unix_ms: int
    tested_unix_ms: int
    """When a test last arrived."""
    version: int = 1


@dataclass(frozen=True, slots=True)
class Target:
    """Where a channel leads; secret."""

    address: str = field(repr=False)
    """A mail address, a chat's or receiver's URL, or PagerDuty's routing key."""
    signing_secret: str = field(default="", repr=False)
    """What a webhook's messages are signed with."""


@dataclass(frozen=True, slots=True)
class MailServer:
    """The agency's mail server, through which all mail goes."""

    host: str
    port: int
    security: str
    """One of SECURITIES."""
    username: str
    """Empty for none."""
    from_address: str
    from_name: str
    tested_unix_ms: int = 0
    version: int = 1


SECURITIES: Final = ("starttls", "tls", "none")
"""STARTTLS and TLS check the server's certificate; none is for a relay on a private network."""


def context_of(channel_id: str) -> str:
    """What an encrypted target is bound to."""
    return f"channel/{channel_id}"


MAIL_SERVER_CONTEXT: Final = "mail-server"


def check_target(kind: ChannelKind, target: Target) -> Target:
    """A target that its kind can reach."""
    if kind is ChannelKind.MAIL:
        check_mail_address(target.address, "channel.address")
    elif kind is ChannelKind.PAGERDUTY:
        if not _ROUTING_KEY.match(target.address):
            raise fields.invalid(
                "channel.address", "the routing key of an Events API v2 integration: 32 letters"
            )
    else:
        check_url(target.address, "channel.address")
        if kind is ChannelKind.SLACK and urlsplit(target.address).hostname != _SLACK_HOST:
            raise fields.invalid("channel.address", f"an incoming webhook of {_SLACK_HOST}")
    if (kind is ChannelKind.WEBHOOK) != bool(target.signing_secret):
        raise fields.invalid(
            "channel.signing_secret", "a webhook needs one, and nothing else takes one"
        )
    secret = target.signing_secret
    if secret and not (
        _SECRET_CHARACTERS_MIN <= len(secret) <= limits.NAME_CHARACTERS_MAX
        and secret.isascii()
        and secret.isprintable()
    ):
        raise fields.invalid(
            "channel.signing_secret",
            f"{_SECRET_CHARACTERS_MIN} to {limits.NAME_CHARACTERS_MAX} plain characters",
        )
    return target


def check_mail_address(text: str, field_name: str) -> str:
    """A plain mail address, such as ops@example.org."""
    if not mailboxes.is_address(text):
        raise fields.invalid(field_name, "a mail address, such as ops@example.org")
    return text


def check_url(url: str, field_name: str) -> str:
    """An address of the web. http is for receivers that the operator allowed; see `is_allowed`."""
    refusal = fields.invalid(field_name, "an address that begins with https:// and has a host")
    if len(url) > limits.URL_CHARACTERS_MAX or not url.isascii() or not url.isprintable():
        raise refusal
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise refusal from None
    if parts.scheme not in {"https", "http"} or not parts.hostname or " " in url or port == 0:
        raise refusal
    try:
        parts.hostname.encode("idna")
    except UnicodeError:  # A label that is empty or too long: nobody can look it up.
        raise refusal from None
    if parts.username is not None or parts.password is not None:
        raise fields.invalid(field_name, "no user name or password in the address")
    return url


def check_mail_server(server: MailServer, *, has_password: bool) -> MailServer:
    """A mail server that can be spoken to."""
    if not re.fullmatch(r"[A-Za-z0-9](?:[A-Za-z0-9.:-]{0,252})", server.host):
        raise fields.invalid("mail_server.host", "a host's name or address")
    fields.check_between(server.port, 1, 65_535, "mail_server.port")
    if server.security not in SECURITIES:
        raise fields.invalid("mail_server.security", f"one of {', '.join(SECURITIES)}")
    if server.username and not has_password:
        raise fields.invalid("mail_server.password", "a user name needs a password")
    if server.username and server.security == "none":
        raise fields.invalid(
            "mail_server.security", "a password is never sent in plain text: use starttls or tls"
        )
    check_mail_address(server.from_address, "mail_server.from_address")
    if server.from_name:
        fields.check_name(server.from_name, "mail_server.from_name")
    return server


def hint_of(kind: ChannelKind, target: Target) -> str:
    """What is shown of a target."""
    if kind is ChannelKind.MAIL:
        return target.address
    if kind is ChannelKind.PAGERDUTY:
        return f"…{target.address[-4:]}"
    parts = urlsplit(target.address)
    return f"{parts.scheme}://{parts.hostname}/…{target.address[-4:]}"


def is_allowed(address: IpAddress, allowed: tuple[IpNetwork, ...]) -> bool:
    """Whether messages may be sent to an address of the network.

    Only what the whole internet can reach, and what the operator named: a webhook must not become a
    way into the agency's own network. Addresses that stand for others (mapped, translated,
    tunnelled) are as allowed as those that they stand for.
    """
    if any(address.version == network.version and address in network for network in allowed):
        return True
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
        if inner is not None:
            return is_allowed(inner, allowed)
        if address.teredo is not None or address.is_site_local or address.is_reserved:
            return False
    return address.is_global and not address.is_multicast


_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
