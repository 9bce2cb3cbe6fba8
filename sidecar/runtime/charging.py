"""What a call is charged, by how it ended and what is known of it."""

import logging
from functools import lru_cache

from protos.values.rates import ModelPrice
from sidecar.core import metering
from sidecar.core.calls import Hold, Outcome
from sidecar.core.exchange import Ending, Row
from sidecar.core.metering import Charge, Usage
from sidecar.providers import reading
from sidecar.providers.dialects import Abort
from sidecar.runtime.incoming import NO_ROOM, Incoming
from sidecar.runtime.prepared import Prepared

_log = logging.getLogger(__name__)
ALARMS_REMEMBERED = 256
"""Alarms about usage that was told already; it is the same with each call."""
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
        if charge.unpriced:
            _tell_unpriced(call.price.provider, price.model, charge.unpriced)
        return charge
    if row.ending is Ending.SEEN and not _went_on(row, incoming):
        seen = incoming.known()
        if seen is not None:
            return metering.estimate_of(hold, call.request.asked, call.price, seen)
    return metering.worst_of(hold, call.request.asked, call.price)


@lru_cache(maxsize=ALARMS_REMEMBERED)
def _tell_unpriced(provider: str, model: str, names: tuple[str, ...]) -> None:
    """Raise an alarm about what cannot be priced, once for each provider, model and names."""
    shown = reading.told_text(", ".join(names), _NAMES_MAX_CHARACTERS)
    _log.error("%s told of %s what nobody here can price: %s", provider, model, shown)


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
