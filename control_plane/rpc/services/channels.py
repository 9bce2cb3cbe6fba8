"""Serves channels. What is saved was tried before: a test goes out outside of any transaction."""

import asyncio

import grpc.aio

from control_plane.core import channels as core
from control_plane.core.channels import ChannelKind, MailServer, Target
from control_plane.core.deliveries import Delivery, Message, Purpose
from control_plane.notify import mail
from control_plane.notify.attempts import Attempt, doors_of
from control_plane.notify.sending import Route, send
from control_plane.rpc.transactions import Transactions, check_request
from control_plane.rpc.wire.channels import (
    channel_to_wire,
    kind_from_wire,
    mail_server_from_wire,
    mail_server_to_wire,
)
from control_plane.rpc.wire.paging import asked_from_wire
from control_plane.store import channels as store
from control_plane.store.engine import Tx
from control_plane.usecases import channels
from control_plane.usecases.acts import Act
from protos.bursar.admin import v1
from protos.values import ids
from protos.values.errors import AlreadyExistsError, FailedPreconditionError

Context = grpc.aio.ServicerContext[object, object]
_TEST = Message(
    "This is a test",
    "This is a test: messages arrive here.",
    (("Do this", "nothing; whoever set this up is told that it arrived"),),
)


class ChannelServicer(v1.ChannelServiceServicer):
    """Adds, tests and removes channels."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions
        self._doors = doors_of(transactions.deps.config)

    async def AddChannel(self, request: v1.AddChannelRequest, context: Context) -> v1.Channel:
        kind = kind_from_wire(request.channel.kind)
        target = Target(request.address, request.signing_secret)
        name = request.channel.display_name
        vault = self._transactions.deps.vault
        try:
            await self._transactions.read(
                request, lambda tx: channels.check_new(tx, name, kind, target)
            )
        except AlreadyExistsError:
            # Either a repetition, which the transaction answers as before, or refused there.
            pass
        else:
            _must_arrive(await self._try(kind, target))
        return await self._transactions.change(
            request,
            request.request_id,
            v1.Channel,
            lambda tx, act: channel_to_wire(
                channels.add_channel(tx, name, kind, target, vault, act)
            ),
        )

    async def TestChannel(self, request: v1.TestChannelRequest, context: Context) -> v1.Channel:
        vault = self._transactions.deps.vault

        def open_target(tx: Tx) -> tuple[str, ChannelKind, Target]:
            channel = channels.found(tx, request.channel_id)
            sealed = store.target_of(tx, channel.channel_id)
            assert sealed is not None
            return (
                channel.channel_id,
                channel.kind,
                channels.unseal(vault, channel.channel_id, sealed),
            )

        channel_id, kind, target = await self._transactions.read(request, open_target)
        _must_arrive(await self._try(kind, target))
        return await self._transactions.change(
            request,
            request.request_id,
            v1.Channel,
            lambda tx, act: channel_to_wire(channels.test_channel(tx, channel_id, act)),
        )

    async def ListChannels(
        self, request: v1.ListChannelsRequest, context: Context
    ) -> v1.ListChannelsResponse:
        asked = asked_from_wire(request)
        page = await self._transactions.read(request, lambda tx: channels.list_channels(tx, asked))
        return v1.ListChannelsResponse(
            channels=map(channel_to_wire, page.items), next_page_token=page.next_token
        )

    async def RemoveChannel(
        self, request: v1.RemoveChannelRequest, context: Context
    ) -> v1.RemoveChannelResponse:
        def remove(tx: Tx, act: Act) -> v1.RemoveChannelResponse:
            channels.remove_channel(tx, request.channel_id, act)
            return v1.RemoveChannelResponse()

        return await self._transactions.change(
            request, request.request_id, v1.RemoveChannelResponse, remove
        )

    async def SetMailServer(
        self, request: v1.SetMailServerRequest, context: Context
    ) -> v1.MailServer:
        check_request(request)
        server = core.check_mail_server(
            mail_server_from_wire(request.mail_server), has_password=bool(request.password)
        )
        vault = self._transactions.deps.vault
        _must_arrive(
            await asyncio.to_thread(mail.check, server, request.password, self._doors.trust)
        )
        return await self._transactions.change(
            request,
            request.request_id,
            v1.MailServer,
            lambda tx, act: mail_server_to_wire(
                channels.set_mail_server(tx, server, request.password, vault, act)
            ),
        )

    async def GetMailServer(
        self, request: v1.GetMailServerRequest, context: Context
    ) -> v1.MailServer:
        found = await self._transactions.read(request, channels.get_mail_server)
        return mail_server_to_wire(found)

    async def _try(self, kind: ChannelKind, target: Target) -> Attempt:
        deps = self._transactions.deps
        now = self._transactions.now_unix_ms()
        server: MailServer | None = None
        password = ""
        if kind is ChannelKind.MAIL:
            kept = await asyncio.wrap_future(deps.store.read(store.mail_server))
            if kept is not None:
                server, sealed = kept
                if sealed is not None:
                    password = deps.vault.open(sealed, core.MAIL_SERVER_CONTEXT)
        test = Delivery(deps.entropy.id(ids.DELIVERY, now), Purpose.TEST, _TEST, now)
        return await send(test, Route(kind, target, server, password), (), self._doors, now)


def _must_arrive(attempt: Attempt) -> None:
    if not attempt.arrived:
        raise FailedPreconditionError(
            f"the test did not arrive, so nothing was saved: {attempt.error}", error=attempt.error
        )
