"""Re-rating: when a price was wrong, its calls get correction entries, and no entry is edited.

A call's cost is the sum of its entries. Budgets, sums for people and the ledger move together, in
one transaction; a part of the ledger at a time, so that nobody waits long. What sidecars tell later
of calls in the same time is found by doing it again.
"""

from collections import defaultdict
from dataclasses import replace

from control_plane import limits
from control_plane.core import fields
from control_plane.core.leases import Holder, PeriodKey
from control_plane.core.ledger import Charge, RollupKey, RollupSum, rollup_key
from control_plane.core.prices import Price, in_force
from control_plane.core.rerating import (
    Correction,
    Rerating,
    ReratingQuestion,
    corrected,
    model_names,
    rerate,
)
from control_plane.core.windows import INSTANT_MAX_UNIX_MS
from control_plane.store import call_log, corrections, ledger, sidecars
from control_plane.store import prices as price_store
from control_plane.store import rollups as rollup_store
from control_plane.store.engine import Tx
from control_plane.usecases.acts import Act, record
from control_plane.usecases.rate_cards import Charging
from protos.values.errors import NotFoundError


def query_rerating(tx: Tx, question: ReratingQuestion, now_unix_ms: int) -> Rerating:
    """What a part of the ledger would be corrected by. Changes nothing."""
    return _rerating(tx, question, now_unix_ms, limits.RERATING_READ_CALLS)


def rerate_calls(tx: Tx, question: ReratingQuestion, reason: str, act: Act) -> Rerating:
    """Correct a part of the ledger."""
    fields.check_reason(reason)
    done = _rerating(tx, question, act.now_unix_ms, limits.RERATING_WRITTEN_CALLS)
    moves: dict[PeriodKey, int] = defaultdict(int)
    rollups: dict[RollupKey, RollupSum] = defaultdict(RollupSum)
    charging = Charging(tx)
    for one in done.corrections:
        corrections.insert(
            tx,
            one,
            done.price_version,
            actor=act.actor.principal_id,
            request_id=act.request_id,
            reason=reason,
            now_unix_ms=act.now_unix_ms,
        )
        ledger.correct_call(tx, one.logged.call.call_id, one.delta_nano_usd)
        row = rollups[rollup_key(one.logged.call)]
        row.cost_nano_usd += one.delta_nano_usd
        before = one.logged.call.cost_nano_usd
        charging.follow(one.logged.call.call_id, before, one.after_nano_usd, rollups)
        for key in _charge(tx, one, act.now_unix_ms):
            moves[key] += one.delta_nano_usd
    for key in sorted(moves):
        corrections.move_period(tx, key, corrected(corrections.parts_of(tx, key), moves[key]))
    rollup_store.add(tx, rollups)
    record(
        tx,
        act,
        f"{question.provider}/{question.model}",
        version=done.price_version,
        start_unix_ms=question.start_unix_ms,
        end_unix_ms=question.end_unix_ms,
        calls=len(done.corrections),
        delta_nano_usd=str(sum(one.delta_nano_usd for one in done.corrections)),
        reason=reason,
    )
    return done


def _charge(tx: Tx, one: Correction, now_unix_ms: int) -> list[PeriodKey]:
    """Add the correction to every budget period that the call was charged to."""
    booked = ledger.booked_call(tx, one.logged.call.call_id)
    assert booked is not None
    keys = sorted(ledger.settled_periods(tx, booked))
    holder = Holder(booked.sidecar_id, booked.epoch)
    seq = sidecars.take_places_beside(tx, holder, 1)
    call_id, delta = one.logged.call.call_id, one.delta_nano_usd
    charges = [Charge(seq, key, "CORRECTION", call_id, delta, estimated=False) for key in keys]
    ledger.insert_charges(tx, holder, charges, now_unix_ms)
    return keys


def _rerating(tx: Tx, question: ReratingQuestion, now_unix_ms: int, places: int) -> Rerating:
    for instant, field in (
        (question.start_unix_ms, "start_time"),
        (question.end_unix_ms, "end_time"),
    ):
        fields.check_between(instant, 0, INSTANT_MAX_UNIX_MS, field)
    if question.end_unix_ms <= question.start_unix_ms:
        raise fields.invalid("end_time", "lies not after start_time")
    fields.check_between(question.after_position, 0, 2**62, "after_position")
    known = price_store.everything(tx, provider=question.provider)
    names = model_names(known)
    price = _price(known, names, question, now_unix_ms)
    end = call_log.last_position(tx)
    until = min(end, question.after_position + places)
    calls = corrections.calls_of(
        tx,
        question.provider,
        question.start_unix_ms,
        question.end_unix_ms,
        question.after_position,
        until,
    )
    done = rerate(calls, price.model_price, names)
    return replace(done, position=max(until, question.after_position), more=until < end)


def _price(
    known: list[Price], names: dict[str, str], question: ReratingQuestion, now_unix_ms: int
) -> Price:
    model = names.get(question.model)
    of_model = [price for price in known if price.model_price.model == model]
    if not of_model:
        raise NotFoundError(
            f"{question.provider} has no price for {question.model}: set the right one first",
            model=question.model,
        )
    if not question.price_version:
        price = in_force(of_model, now_unix_ms).get(
            (question.provider, of_model[0].model_price.model)
        )
    else:
        price = next(
            (one for one in of_model if one.model_price.version == question.price_version), None
        )
    if price is None:
        raise NotFoundError(
            f"{question.model} has no price {question.price_version or 'in force'}: see"
            " `bursar price history`",
            model=question.model,
        )
    return price
