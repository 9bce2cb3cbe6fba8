"""Channels: where messages arrive, and the mail server."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from clients.admin.instants import instant_from_wire, instant_or_none_from_wire
from clients.admin.limits import PAGE_ITEMS
from clients.admin.wire import Wire
from protos.bursar.admin import v1


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """A place that messages arrive at. Its address is never shown again."""

    channel_id: str
    display_name: str
    kind: str
    """mail, slack, teams, pagerduty or webhook."""
    hint: str
    create_time: datetime
    test_time: datetime
    """When a test last arrived."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MailServer:
    """The mail server through which all mail goes."""

    host: str
    port: int
    from_address: str
    security: str = "starttls"
    """starttls, tls or none."""
    username: str = ""
    from_name: str = ""
    test_time: datetime | None = None


class Channels:
    """Adds, tests and removes channels. One is saved only after a test message arrived at it."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._stub = v1.ChannelServiceStub(wire.channel)

    def add(
        self,
        display_name: str,
        *,
        kind: str,
        address: str,
        signing_secret: str = "",
        request_id: str = "",
    ) -> Channel:
        """Send a test and, when it arrived, add the channel.

        Raises FailedPreconditionError with what the other side said when it did not arrive.
        """
        request = v1.AddChannelRequest(
            request_id=request_id or self._wire.request_id(),
            channel=v1.Channel(display_name=display_name, kind=kind),
            address=address,
            signing_secret=signing_secret,
        )
        return _from_wire(self._wire.ask(self._stub.AddChannel, request))

    def test(self, channel_id: str, *, request_id: str = "") -> Channel:
        """Send a test to a channel that is there."""
        request = v1.TestChannelRequest(
            request_id=request_id or self._wire.request_id(), channel_id=channel_id
        )
        return _from_wire(self._wire.ask(self._stub.TestChannel, request))

    def list(self) -> Iterator[Channel]:
        """Yield channels in the order in which they were added."""

        def fetch(token: str) -> v1.ListChannelsResponse:
            request = v1.ListChannelsRequest(page_size=PAGE_ITEMS, page_token=token)
            return self._wire.ask(self._stub.ListChannels, request)

        return self._wire.pages(fetch, lambda page: map(_from_wire, page.channels))

    def remove(self, channel_id: str, *, request_id: str = "") -> None:
        """Remove a channel that nobody is reached by any more."""
        request = v1.RemoveChannelRequest(
            request_id=request_id or self._wire.request_id(), channel_id=channel_id
        )
        self._wire.ask(self._stub.RemoveChannel, request)

    def set_mail_server(
        self, server: MailServer, *, password: str = "", request_id: str = ""
    ) -> MailServer:
        """Greet a mail server, log in and, when it answered, set it."""
        request = v1.SetMailServerRequest(
            request_id=request_id or self._wire.request_id(),
            mail_server=v1.MailServer(
                host=server.host,
                port=server.port,
                security=server.security,
                username=server.username,
                from_address=server.from_address,
                from_name=server.from_name,
            ),
            password=password,
        )
        return _mail_server_from_wire(self._wire.ask(self._stub.SetMailServer, request))

    def mail_server(self) -> MailServer:
        """Read the mail server. Raises NotFoundError when none is set."""
        request = v1.GetMailServerRequest()
        return _mail_server_from_wire(self._wire.ask(self._stub.GetMailServer, request))


def _from_wire(wire: v1.Channel) -> Channel:
    return Channel(
        channel_id=wire.channel_id,
        display_name=wire.display_name,
        kind=wire.kind,
        hint=wire.hint,
        create_time=instant_from_wire(wire.create_time),
        test_time=instant_from_wire(wire.test_time),
    )


def _mail_server_from_wire(wire: v1.MailServer) -> MailServer:
    return MailServer(
        host=wire.host,
        port=wire.port,
        from_address=wire.from_address,
        security=wire.security,
        username=wire.username,
        from_name=wire.from_name,
        test_time=instant_or_none_from_wire(wire.test_time),
    )
