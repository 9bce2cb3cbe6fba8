"""Alarms about the price book, from what sidecars say of the calls that they tell.

A sidecar marks a call of which the price book does not say what the provider charges. The same is
true of every such call, so an alarm is raised once an hour for each model, whoever tells it.
"""

from collections.abc import Iterable
from typing import Final

from control_plane import limits
from control_plane.core.alarms import Alarm
from control_plane.core.calls import Call
from control_plane.core.leases import Holder
from control_plane.store import ledger, prices
from control_plane.store.engine import Tx
from protos.values.rates import UnpriceableError, cost_nano_usd

DRIFT: Final = "PRICE_DRIFT"
"""A provider bills in money another sum than the price book makes of the same call."""
UNPRICED: Final = "UNPRICED"
"""Something was used, or a model answered, that has no price."""
_KINDS: Final = {"price_drift": DRIFT, "unpriced_model": UNPRICED, "unpriced_usage": UNPRICED}


def raise_doubts(tx: Tx, holder: Holder, calls: Iterable[Call], now_unix_ms: int) -> None:
    """Raise what alarms calls that were just booked call for; at most a few at once."""
    doubted = {
        (kind, call.provider, call.requested_model): call
        for call in calls
        if (kind := _KINDS.get(call.error_kind)) is not None
    }
    since = now_unix_ms - limits.DOUBT_TOLD_AGAIN_MS
    for (kind, provider, model), call in list(doubted.items())[: limits.DOUBTS_MAX]:
        if not ledger.raised_of_model(tx, kind, provider, model, since):
            alarm = Alarm(kind, holder, _words(tx, call), call_id=call.call_id)
            ledger.raise_alarm(tx, alarm, now_unix_ms)


def _words(tx: Tx, call: Call) -> str:
    model = f"{call.provider}/{call.requested_model}"
    if call.error_kind == "unpriced_model":
        return (
            f"{model}: {call.answered_model} answered, which has no price, and was charged by that "
            "of the model that was asked for. Set a price for it, or make it an alias"
        )
    if call.error_kind == "unpriced_usage":
        return (
            f"{model}: what was used has no price, so that calls are charged at their worst case; "
            "the sidecar's log names it"
        )
    price = prices.of_version(tx, call.provider, call.price_version)
    try:
        book = cost_nano_usd(call.quantities, price, call.variant) if price else 0
    except UnpriceableError:
        book = 0
    times = f"{call.cost_nano_usd * 100 // book} % of" if book else "another sum than"
    return (
        f"{model}: the provider billed {times} what price {call.price_version} makes of the same "
        "call. Its price has changed, or it bills what its usage does not tell"
    )
