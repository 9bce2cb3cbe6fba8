"""Channels and the mail server on the wire; their secrets only on the way in."""

from control_plane.core import fields
from control_plane.core.channels import Channel, ChannelKind, MailServer
from control_plane.rpc.wire.instants import instant_or_none_to_wire, instant_to_wire
from protos.bursar.admin import v1


def channel_to_wire(channel: Channel) -> v1.Channel:
    """A channel."""
    return v1.Channel(
        channel_id=channel.channel_id,
        display_name=channel.display_name,
        kind=channel.kind.value,
        hint=channel.hint,
        create_time=instant_to_wire(channel.created_unix_ms),
        test_time=instant_to_wire(channel.tested_unix_ms),
    )


def kind_from_wire(text: str) -> ChannelKind:
    """A kind of channel."""
    try:
        return ChannelKind(text)
    except ValueError:
        raise fields.invalid("channel.kind", f"one of {', '.join(ChannelKind)}") from None


def mail_server_to_wire(server: MailServer) -> v1.MailServer:
    """The mail server."""
    return v1.MailServer(
        host=server.host,
        port=server.port,
        security=server.security,
        username=server.username,
        from_address=server.from_address,
        from_name=server.from_name,
        test_time=instant_or_none_to_wire(server.tested_unix_ms or None),
    )


def mail_server_from_wire(wire: v1.MailServer) -> MailServer:
    """The mail server as it is to be."""
    return MailServer(
        host=wire.host,
        port=wire.port,
        security=wire.security,
        username=wire.username,
        from_address=wire.from_address,
        from_name=wire.from_name,
    )
