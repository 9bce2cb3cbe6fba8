"""The courier: takes messages in hand, sends them, and notes what came of each.

A message is claimed in a transaction before it is sent and finished in another after it. What was
in hand when a process ended is settled at the next start, by what each message says of that; see
core.deliveries.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from control_plane import limits
from control_plane.clock import Clock
from control_plane.core.channels import MAIL_SERVER_CONTEXT, ChannelKind, MailServer, Target
from control_plane.core.deliveries import Delivery, DeliveryState, Outcome, Part
from control_plane.core.providers import SealedSecret
from control_plane.notify.attempts import Attempt, Doors, failed
from control_plane.notify.sending import Route, send
from control_plane.secrets import Vault
from control_plane.store import channels, outbox
from control_plane.store.engine import Store, Tx
from control_plane.telemetry import event
from control_plane.usecases.channels import unseal
from protos.values.errors import SecretsLockedError


@dataclass(frozen=True, slots=True)
class _Loaded:
    """A message in hand, with what is needed to send it; still sealed."""

    delivery: Delivery
    parts: tuple[Part, ...]
    kind: ChannelKind | None
    """None when its channel was taken away."""
    target: SealedSecret | None
    server: MailServer | None
    password: SealedSecret | None


class Courier:
    """Sends what the outbox holds, a few at a time, for ever."""

    def __init__(self, store: Store, clock: Clock, vault: Vault, doors: Doors) -> None:
        self._store = store
        self._clock = clock
        self._vault = vault
        self._doors = doors
        self._wake = asyncio.Event()
        self._stopping = False

    def wake(self) -> None:
        """Look at once: something was queued."""
        self._wake.set()

    async def run(self) -> None:
        """Settle what an earlier process had in hand, then send until stopped."""
        await self.settle_left()
        while not self._stopping:
            sent = 0
            try:
                sent = await self.turn()
            except Exception as error:  # noqa: BLE001 - the next turn tries again
                event("sending failed", level=30, error=repr(error))
            if not sent:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), limits.DELIVERY_LOOK_S)
                self._wake.clear()

    def stop(self) -> None:
        """Take nothing more in hand; `run` returns when what is in hand is done."""
        self._stopping = True
        self._wake.set()

    async def settle_left(self) -> int:
        """Settle what a process had in hand that ended: nobody knows whether it arrived."""

        def settle(tx: Tx) -> int:
            left = outbox.in_hand(tx)
            for delivery in left:
                why = "the control plane ended while it was sending"
                now = self._clock.unix_ms()
                outbox.finish(tx, delivery, Outcome.LOST_SIGHT, now, error=why)
            return len(left)

        count = await asyncio.wrap_future(self._store.write(settle))
        if count:
            event("messages were in hand", level=30, count=count)
        return count

    async def turn(self) -> int:
        """Send what is due, each message once; how many there were."""
        now = self._clock.unix_ms()
        if not await asyncio.wrap_future(self._store.read(lambda tx: outbox.any_due(tx, now))):
            return 0
        loaded = await asyncio.wrap_future(self._store.write(lambda tx: _claim(tx, now)))
        await asyncio.gather(*(self._bring(one) for one in loaded))
        return len(loaded)

    async def _bring(self, one: _Loaded) -> None:
        attempt = await self._attempt(one)
        now = self._clock.unix_ms()
        after = await asyncio.wrap_future(
            self._store.write(
                lambda tx: outbox.finish(
                    tx,
                    one.delivery,
                    attempt.outcome,
                    now,
                    error=attempt.error,
                    remote_id=attempt.remote_id,
                )
            )
        )
        if after.state is not DeliveryState.SENT:
            event(
                "message not delivered",
                level=30,
                delivery=after.delivery_id,
                channel=after.channel_id,
                state=after.state.value,
                attempt=after.attempt_count,
                error=after.error,
            )

    async def _attempt(self, one: _Loaded) -> Attempt:
        try:
            route = self._route(one)
        except SecretsLockedError as error:
            return failed(Outcome.NOT_SENT, error.message)
        if route is None:
            return failed(Outcome.REFUSED, "the channel was removed")
        try:
            return await send(one.delivery, route, one.parts, self._doors, self._clock.unix_ms())
        except Exception as error:  # noqa: BLE001 - one message never stops the others
            event("sending one message failed", level=40, error=repr(error))
            return failed(Outcome.LOST_SIGHT, type(error).__name__)

    def _route(self, one: _Loaded) -> Route | None:
        if one.kind is None:
            return None
        target = Target(one.delivery.address)
        if one.target is not None:
            target = unseal(self._vault, one.delivery.channel_id, one.target)
        password = ""
        if one.password is not None and one.kind is ChannelKind.MAIL:
            password = self._vault.open(one.password, MAIL_SERVER_CONTEXT)
        return Route(one.kind, target, one.server, password)


def _claim(tx: Tx, now_unix_ms: int) -> Sequence[_Loaded]:
    kept = channels.mail_server(tx)
    server, password = kept or (None, None)
    found = []
    for delivery in outbox.claim(tx, now_unix_ms, limits.OPEN_DELIVERIES_MAX):
        kind: ChannelKind | None = ChannelKind.MAIL
        target = None
        if delivery.channel_id:
            channel = channels.get(tx, delivery.channel_id)
            kind = channel.kind if channel else None
            target = channels.target_of(tx, delivery.channel_id)
        parts = tuple(outbox.parts_of(tx, delivery.delivery_id))
        found.append(_Loaded(delivery, parts, kind, target, server, password))
    return found
