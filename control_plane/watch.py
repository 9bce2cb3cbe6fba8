"""Keeps watch while the control plane runs: looks at what alerts are about, and has them sent."""

import asyncio
import contextlib

from control_plane import limits
from control_plane.notify.courier import Courier
from control_plane.rpc.deps import Deps
from control_plane.store import Tx, forecasts
from control_plane.telemetry import event
from control_plane.usecases import alerting, watching


async def keep_watch(deps: Deps, courier: Courier) -> None:
    """Look every ALERT_LOOK_S, for ever."""
    watch = watching.Watch()
    agency_unix_ms = 0
    while True:
        await asyncio.sleep(limits.ALERT_LOOK_S)
        try:
            await look_once(deps, watch, courier)
            now = deps.clock.unix_ms()
            if now - agency_unix_ms >= limits.CLIENT_LOOK_MS:
                agency_unix_ms = now
                await _forecast_agency(deps, now)
        except Exception as error:  # noqa: BLE001 - the next look tries again
            watch.in_haste = True
            event("looking for alerts failed", level=30, error=repr(error))


async def finish_sending(courier: Courier, sending: asyncio.Task[None]) -> None:
    """Let the messages that are in hand be sent, for a while."""
    courier.stop()
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(sending, limits.DRAIN_GRACE_S)


async def look_once(deps: Deps, watch: watching.Watch, courier: Courier) -> None:
    """Look once, and let the courier know of what was queued."""
    now = deps.clock.unix_ms()
    seen = await asyncio.wrap_future(deps.store.read(lambda tx: watching.look(tx, watch, now)))
    applied = await asyncio.wrap_future(
        deps.store.write(
            lambda tx: alerting.apply(tx, seen, deps.entropy, now, desk_url=deps.desk_url)
        )
    )
    watch.took(seen, now)
    if applied.queued_count:
        courier.wake()
    if applied.outbox_is_full:
        waiting = limits.WAITING_DELIVERIES_MAX
        event("outbox full", level=40, waiting=waiting, see="bursar alert deliveries")
    if applied.opened_count or applied.resolved_count:
        event("alerts", opened=applied.opened_count, resolved=applied.resolved_count)


async def _forecast_agency(deps: Deps, now_unix_ms: int) -> None:
    """Forecast the budgets of the whole agency, which is a long read, and harms nothing else."""
    made = await asyncio.wrap_future(
        deps.store.read(lambda tx: list(watching.forecasts_of(tx, "", now_unix_ms)))
    )

    def keep(tx: Tx) -> None:
        for one in made:
            forecasts.put(tx, one)

    if made:
        await asyncio.wrap_future(deps.store.write(keep))
