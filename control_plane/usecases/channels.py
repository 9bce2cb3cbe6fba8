"""Channels and the mail server. Whoever calls these has proven before that a test arrives."""

from control_plane import limits
from control_plane.core import channels as core
from control_plane.core import fields, pages
from control_plane.core.channels import Channel, ChannelKind, MailServer, Target
from control_plane.core.pages import Asked, Page
from control_plane.core.providers import SealedSecret
from control_plane.secrets import Vault
from control_plane.store import channels as store
from control_plane.store import escalation
from control_plane.store.engine import Tx
from control_plane.usecases.acts import Act, record
from protos.values import ids
from protos.values.errors import (
    AlreadyExistsError,
    FailedPreconditionError,
    LimitExceededError,
    NotFoundError,
)


def check_new(tx: Tx, name: str, kind: ChannelKind, target: Target) -> str:
    """Refuse a channel that could not be added, before anything is sent; its name."""
    checked = fields.check_name(name, "channel.display_name")
    core.check_target(kind, target)
    if store.by_name(tx, checked) is not None:
        raise AlreadyExistsError(f"there is a channel {checked!r} already", channel=checked)
    if store.count(tx) >= limits.ALERT_CHANNELS_MAX:
        raise LimitExceededError(
            f"there are {limits.ALERT_CHANNELS_MAX} channels: remove one first",
            limit=str(limits.ALERT_CHANNELS_MAX),
        )
    if kind is ChannelKind.MAIL and store.mail_server(tx) is None:
        raise FailedPreconditionError(
            "no mail server is set: bursar channel mail-server set --host … --from …"
        )
    return checked


def add_channel(
    tx: Tx, name: str, kind: ChannelKind, target: Target, vault: Vault, act: Act
) -> Channel:
    """Add a channel at which a test arrived."""
    checked = check_new(tx, name, kind, target)
    channel_id = act.id(ids.CHANNEL)
    channel = Channel(
        channel_id, checked, kind, core.hint_of(kind, target), act.now_unix_ms, act.now_unix_ms
    )
    store.insert(tx, channel, seal(vault, channel_id, target))
    record(tx, act, channel_id, kind=kind.value, hint=channel.hint)
    return channel


def test_channel(tx: Tx, channel_id: str, act: Act) -> Channel:
    """Note that a test arrived at a channel."""
    found(tx, channel_id)
    store.tested(tx, channel_id, act.now_unix_ms)
    record(tx, act, channel_id)
    return found(tx, channel_id)


def remove_channel(tx: Tx, channel_id: str, act: Act) -> None:
    """Take a channel away that nobody is reached by any more."""
    found(tx, channel_id)
    users = [one.display_name for one in escalation.people(tx) if channel_id in one.channel_ids]
    clients = [one for one in escalation.agreements(tx) if channel_id in one.client_channel_ids]
    if users or clients:
        who = ", ".join(users) or "a client"
        raise FailedPreconditionError(
            f"{who} is reached by it: change that first (bursar escalation)", used_by=who
        )
    store.delete(tx, channel_id, act.now_unix_ms)
    record(tx, act, channel_id)


def list_channels(tx: Tx, asked: Asked) -> Page[Channel]:
    """Channels in the order in which they were added."""
    filters = {"list": "channels"}
    wanted = pages.begin(asked, filters, (str,))
    rows = store.page(tx, wanted)
    return pages.finish(rows, wanted, filters, lambda row: (row.channel_id,))


def names(tx: Tx) -> dict[str, str]:
    """The names of all channels, by id."""
    every = store.page(tx, pages.Slice(None, limits.ALERT_CHANNELS_MAX))
    return {one.channel_id: one.display_name for one in every}


def set_mail_server(
    tx: Tx, server: MailServer, password: str, vault: Vault, act: Act
) -> MailServer:
    """Set the mail server that a test was taken by."""
    core.check_mail_server(server, has_password=bool(password))
    before = store.mail_server(tx)
    version = before[0].version + 1 if before else 1
    kept = MailServer(
        server.host,
        server.port,
        server.security,
        server.username,
        server.from_address,
        server.from_name,
        act.now_unix_ms,
        version,
    )
    sealed = vault.encrypt(password, core.MAIL_SERVER_CONTEXT) if password else None
    store.put_mail_server(tx, kept, sealed)
    record(tx, act, "mail-server", host=server.host, port=server.port, security=server.security)
    return kept


def get_mail_server(tx: Tx) -> MailServer:
    """The mail server."""
    kept = store.mail_server(tx)
    if kept is None:
        raise NotFoundError("no mail server is set: bursar channel mail-server set")
    return kept[0]


def found(tx: Tx, channel: str) -> Channel:
    """A channel by its id, or by its name."""
    one = store.get(tx, channel) if ids.is_id(channel, ids.CHANNEL) else store.by_name(tx, channel)
    if one is None:
        shown = channel[: limits.NAME_CHARACTERS_MAX]
        raise NotFoundError(f"there is no channel {shown!r}", channel=shown)
    return one


def seal(vault: Vault, channel_id: str, target: Target) -> SealedSecret:
    """A target as it is kept."""
    text = f"{target.address}\n{target.signing_secret}"
    return vault.encrypt(text, core.context_of(channel_id))


def unseal(vault: Vault, channel_id: str, sealed: SealedSecret) -> Target:
    """A target as it is used. Raises SecretsLockedError."""
    address, _, secret = vault.open(sealed, core.context_of(channel_id)).partition("\n")
    return Target(address, secret)
