"""What a call is charged, by how it ended and what is known of it."""

import logging
from dataclasses import replace

from protos.values.rates import ModelPrice
from sidecar.core import metering
from sidecar.core.calls import Hold, Outcome
from sidecar.core.exchange import Ending, Row
from sidecar.core.metering import Charge, Usage
from sidecar.core.price_drift import UNPRICED_MODEL, Alarms, ratio_text
from sidecar.providers import reading
from sidecar.providers.dialects import Abort
from sidecar.runtime.incoming import NO_ROOM, Incoming
from sidecar.runtime.prepared import Prepared

_log = logging.getLogger(__name__)
_ALARMS = Alarms()
"""What was told already: it is the same with each call of a process."""
_NAMES_MAX_CHARACTERS = 200
_CUT = frozenset((Outcome.CLIENT_GONE, Outcome.BROKEN, Outcome.TIMEOUT))
"""Outcomes of answers that were not read to their end."""


def charge_for(row: Row, hold: Hold, incoming: Incoming) -> Charge:
    """What a call costs that ended by this row of the table.

    Whatever a provider sent, the hold has to end: an answer that cannot be metered costs the worst.
    """
    assert row.ending is not None
    free = hold.call.bound.is_free and row.ending is not Ending.USED
    if row.ending is Ending.VOID or free:
        return Charge(0)
    try:
        return _charge_of_billed(row, hold, incoming)
    except Exception:  # noqa: BLE001 - what a provider sent must not keep money
        _log.exception("the worst case is charged, for an answer could not be metered")
        return metering.worst_of(hold, incoming.call.request.asked, incoming.call.price)


def _charge_of_billed(row: Row, hold: Hold, incoming: Incoming) -> Charge:
    call = incoming.call
    if row.ending is Ending.USED:
        assert incoming.usage is not None
        incoming.usage = usage = call.api.served_as(incoming.usage, incoming.tier)
        price = answered_price(hold, call, usage)
        charge = metering.charge_of(
            usage, price, hold.worst_nano_usd, call.request.dialect.money.value
        )
        if not charge.doubt and _is_unpriced(call, usage, price):
            charge = replace(charge, doubt=UNPRICED_MODEL)
        if charge.doubt:
            _tell(charge, call.price, usage, incoming.now_boot_ms())
        return charge
    if row.ending is Ending.SEEN and not _went_on(row, incoming):
        seen = incoming.known()
        if seen is not None:
            return metering.estimate_of(hold, call.request.asked, call.price, seen)
    return metering.worst_of(hold, call.request.asked, call.price)


def _is_unpriced(call: Prepared, usage: Usage, price: ModelPrice) -> bool:
    """Whether the model that answered has no price, so that it was charged by another's."""
    answered = usage.answered_model
    if not answered or price is not call.price or answered == price.model:
        return False
    return answered not in (call.request.model, call.call.alias, *price.aliases)


def _tell(charge: Charge, asked: ModelPrice, usage: Usage, boot_ms: int) -> None:
    """Raise an alarm about what the price book does not say, once an hour for each model."""
    model = usage.answered_model or asked.model
    if not _ALARMS.due((asked.provider, model, charge.doubt, charge.unpriced), boot_ms):
        return
    shown = reading.told_text(model, _NAMES_MAX_CHARACTERS)
    if charge.unpriced:
        names = reading.told_text(", ".join(charge.unpriced), _NAMES_MAX_CHARACTERS)
        _log.error("%s told of %s what nobody here can price: %s", asked.provider, shown, names)
    elif charge.doubt == UNPRICED_MODEL:
        _log.error(
            "%s answered with %s, which has no price: charged by that of %s. Set a price for it, "
            "or make it an alias.",
            *(asked.provider, shown, asked.model),
        )
    else:
        assert charge.book_nano_usd is not None
        _log.error(
            "%s billed %s what the price book says for %s (%d nano-dollars instead of %d): "
            "its price has changed, or it bills what its usage does not tell.",
            *(asked.provider, ratio_text(charge.cost_nano_usd, charge.book_nano_usd), shown),
            *(charge.cost_nano_usd, charge.book_nano_usd),
        )


def _went_on(row: Row, incoming: Incoming) -> bool:
    """Whether its provider may have gone on, and billed, behind what was seen."""
    if row.outcome not in _CUT or incoming.error_kind not in ("", NO_ROOM):
        return False
    return incoming.call.request.dialect.abort is Abort.DRAIN


def answered_price(hold: Hold, call: Prepared, usage: Usage) -> ModelPrice:
    """The price of the model that answered, if it has one, else of the one that was asked."""
    if not usage.answered_model or usage.answered_model == call.price.model:
        return call.price
    found = call.policy.price(call.price.provider, usage.answered_model, hold.started_unix_ms)
    return found or call.price
