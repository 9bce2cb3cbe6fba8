"""Sidecar messages and what the control plane makes of them, in pairs.

What comes in is checked here once: sizes, signs, ranges, ids. A message that fails is refused whole
with INVALID_ARGUMENT, so that nothing half-true is booked; texts that are merely long are cut. Only
a record that fails is not refused: its journal could never go on. It is passed on as unreadable.
"""

from collections.abc import Iterable
from typing import Final, TypeVar

from google.protobuf.message import DecodeError

from control_plane import limits
from control_plane.core import calls as core
from control_plane.core import limits as rate_bounds
from control_plane.core.leases import BudgetRef, LeaseKey, PeriodKey
from control_plane.core.reports import (
    Answer,
    GrantAnswer,
    Journal,
    LeaseReport,
    Left,
    Offer,
    RefusalCount,
    Registered,
    Registration,
    Report,
    Status,
    WaitingCall,
)
from control_plane.rpc import rate_wire
from protos.bursar.sidecar import v1
from protos.values import ids
from protos.values.errors import InvalidArgumentError
from protos.values.money import MONEY_MAX_NANO_USD

T = TypeVar("T")

_STATUS: Final = {
    Status.OK: v1.SyncStatus.SYNC_STATUS_OK,
    Status.GAP: v1.SyncStatus.SYNC_STATUS_GAP,
    Status.FENCED: v1.SyncStatus.SYNC_STATUS_FENCED,
    Status.LEARNING: v1.SyncStatus.SYNC_STATUS_LEARNING,
    Status.STALE: v1.SyncStatus.SYNC_STATUS_STALE,
    Status.BUSY: v1.SyncStatus.SYNC_STATUS_BUSY,
}
_OUTCOME: Final = {
    v1.Outcome.OUTCOME_OK: "ok",
    v1.Outcome.OUTCOME_PROVIDER_ERROR: "provider_error",
    v1.Outcome.OUTCOME_CLIENT_GONE: "client_gone",
    v1.Outcome.OUTCOME_BROKEN: "broken",
    v1.Outcome.OUTCOME_TIMEOUT: "timeout",
    v1.Outcome.OUTCOME_LOST: "lost",
    v1.Outcome.OUTCOME_NOT_SENT: "not_sent",
}
_NUMBER_MAX: Final = 2**62
_ID_CHARACTERS_MAX: Final = 256


def registration_from_wire(message: v1.RegisterRequest) -> Registration:
    """Who registers, and with what journal."""
    lost = message.WhichOneof("journal") != "intact"
    if lost:
        journal = Journal(_count(message.lost.epoch, "lost.epoch"), 0, b"", lost=True)
    else:
        intact = message.intact
        journal = Journal(
            _count(intact.epoch, "intact.epoch"),
            _count(intact.last_seq, "intact.last_seq"),
            intact.chain,
            lost=False,
        )
    return Registration(
        protocol_version=message.protocol_version,
        software_version=_cut(message.software_version),
        machine_id=_cut(message.machine_id),
        boot_id=_cut(message.boot_id),
        incarnation=_incarnation(message.incarnation),
        journal=journal,
    )


def registered_to_wire(answer: Registered, now_unix_ms: int) -> v1.RegisterResponse:
    """The epoch to go on with; the policy is added by the caller."""
    return v1.RegisterResponse(
        status=_STATUS[answer.status],
        epoch=answer.epoch,
        generation=answer.generation,
        last_seq=answer.last_seq,
        now_unix_ms=now_unix_ms,
        sidecar_id=answer.sidecar_id,
        display_name=answer.display_name,
        region=answer.region,
        last_sync_no=answer.last_sync_no,
        revoked=answer.revoked,
    )


def report_from_wire(message: v1.SyncRequest) -> Report:
    """One Sync."""
    raw = tuple(message.records)
    _at_most(len(raw), limits.SYNC_RECORDS_MAX, "records")
    _at_most(sum(map(len, raw)), limits.SYNC_RECORD_BYTES_MAX, "bytes of records")
    _at_most(len(message.leases), limits.SYNC_LEASES_MAX, "leases")
    _at_most(len(message.demands), limits.SYNC_DEMANDS_MAX, "demands")
    _at_most(len(message.refusals), limits.SYNC_REFUSALS_MAX, "refusals")
    _at_most(len(message.secret_uses), limits.SYNC_SECRET_USES_MAX, "secret_uses")
    from_seq = _count(message.from_seq, "from_seq")
    if raw and (from_seq < 1 or len(message.chain) != 32):
        raise _invalid("from_seq", "records come with a from_seq of 1 or more and a chain")
    return Report(
        epoch=_at_least(message.epoch, 1, "epoch"),
        incarnation=_incarnation(message.incarnation),
        sync_no=_at_least(message.sync_no, 1, "sync_no"),
        generation_seen=_count(message.generation_seen, "generation_seen"),
        from_seq=from_seq,
        raw_records=raw,
        records=records_from_wire(raw, from_seq),
        chain=message.chain,
        leases=tuple(map(_lease_report, message.leases)),
        demands=tuple(map(_waiting_call, message.demands)),
        policy_acked=_count(message.policy_acked, "policy_acked"),
        policy_refused=_cut(message.policy_refused),
        refusals=tuple(map(_refusal, message.refusals)),
        secret_uses={
            _id(use.secret_id, "secret_id"): _count(use.last_used_unix_ms, "last_used_unix_ms")
            for use in message.secret_uses
        },
        stopped=message.stopped,
        rate_levels=rate_wire.levels_from_wire(message.rate_levels),
    )


def records_from_wire(raw: Iterable[bytes], from_seq: int) -> tuple[core.Line, ...]:
    """The records of a journal, from a number on, without a gap."""
    return tuple(_line(data, from_seq + place) for place, data in enumerate(raw))


def answer_to_wire(answer: Answer, now_unix_ms: int = 0) -> v1.SyncResponse:
    """The answer to a Sync. On one database everything that is booked is stable."""
    return v1.SyncResponse(
        status=_STATUS[answer.status],
        need_seq=answer.need_seq,
        acked_seq=answer.acked_seq,
        stable_seq=answer.acked_seq,
        generation=answer.generation,
        leases=map(_grant_to_wire, answer.leases),
        named_call_ids=answer.named,
        policy_version=answer.policy_version,
        next_sync_ms=answer.next_sync_ms,
        sync_no=answer.sync_no,
        hopeless_call_ids=answer.hopeless,
        now_unix_ms=now_unix_ms,
        revoked=answer.revoked,
        rate_shares=map(rate_wire.share_to_wire, answer.rate_shares),
        rate_share_ms=rate_bounds.RATE_SHARE_MS,
    )


def lease_key_to_wire(key: LeaseKey) -> v1.LeaseKey:
    """A lease's name."""
    return v1.LeaseKey(budget_id=key.budget_id, partition=key.partition, period_id=key.period_id)


def lease_key_from_wire(message: v1.LeaseKey) -> LeaseKey:
    """A lease's name; its budget and period are never empty."""
    budget_id, partition, period_id = message.budget_id, message.partition, message.period_id
    if not budget_id or not period_id:
        raise _invalid("lease", "a lease names a budget and a period")
    if len(budget_id) + len(partition) + len(period_id) > _ID_CHARACTERS_MAX:
        raise _invalid("lease", "a name is too long")
    return PeriodKey(budget_id, partition, period_id)


def offer_to_wire(offer: Offer) -> v1.Offer:
    """An offer as its sidecar hears it."""
    return v1.Offer(
        epoch=offer.epoch,
        generation=offer.generation,
        sync_no=offer.sync_no,
        leases=[_grant_to_wire(grant) for grant in offer.leases],
        named_call_ids=offer.named,
    )


def left_to_wire(left: Left) -> v1.Left:
    """What is left of a period, as sidecars hear it."""
    return v1.Left(
        lease=lease_key_to_wire(left.lease),
        generation=left.generation,
        cap_version=left.cap_version,
        unspent_nano_usd=left.unspent_nano_usd,
    )


def _grant_to_wire(grant: GrantAnswer) -> v1.LeaseGrant:
    return v1.LeaseGrant(
        lease=lease_key_to_wire(grant.lease),
        period_start_unix_ms=grant.period_start_unix_ms,
        period_end_unix_ms=grant.period_end_unix_ms or 0,
        granted_nano_usd=grant.granted_nano_usd,
        serial=grant.serial,
        authority_ms=grant.authority_ms,
        keep_nano_usd=_told(grant.keep_nano_usd),
        unspent_nano_usd=grant.unspent_nano_usd,
        reachable_nano_usd=grant.reachable_nano_usd,
        cap_version=grant.cap_version,
        cap_nano_usd=grant.cap_nano_usd,
        spent_nano_usd=grant.spent_nano_usd,
        held_nano_usd=_told(grant.held_nano_usd),
        silent_sidecar=grant.silent_sidecar,
        smallest_worst_nano_usd=grant.smallest_worst_nano_usd,
        frozen=grant.frozen,
        short=grant.short,
        free_nano_usd=grant.free_nano_usd,
        patient_ms=grant.patient_ms,
    )


def _lease_report(message: v1.LeaseReport) -> LeaseReport:
    return LeaseReport(
        lease=lease_key_from_wire(message.lease),
        granted_seen_nano_usd=_of_lease(message.granted_seen_nano_usd, "granted_seen_nano_usd"),
        returned_nano_usd=_of_lease(message.returned_nano_usd, "returned_nano_usd"),
        held_nano_usd=_money(message.held_nano_usd, "held_nano_usd"),
        # An overrun can drive it below zero; there is nothing to hold then.
        available_nano_usd=max(0, message.available_nano_usd),
        open_calls=_count(message.open_calls, "open_calls"),
        want_nano_usd=_money(message.want_nano_usd, "want_nano_usd"),
        median_worst_nano_usd=_money(message.median_worst_nano_usd, "median_worst_nano_usd"),
        smallest_worst_nano_usd=_money(message.smallest_worst_nano_usd, "smallest_worst_nano_usd"),
        idle_ms=_count(message.idle_ms, "idle_ms"),
        serial_seen=_count(message.serial_seen, "serial_seen"),
    )


def _waiting_call(message: v1.Demand) -> WaitingCall:
    _at_most(len(message.budgets), limits.VECTOR_LEASES_MAX, "budgets of a demand")
    budgets = sorted({_budget_ref(budget) for budget in message.budgets})
    if not budgets:
        raise _invalid("demands", "a waiting call names the budgets that it waits for")
    patience_ms = message.patience_ms or limits.PATIENCE_DEFAULT_MS
    return WaitingCall(
        call_id=_id(message.call_id, "call_id"),
        age_ms=min(_count(message.age_ms, "age_ms"), limits.PATIENCE_MAX_MS),
        worst_nano_usd=_money(message.worst_nano_usd, "worst_nano_usd"),
        budgets=tuple(budgets),
        patience_ms=min(_count(patience_ms, "patience_ms"), limits.PATIENCE_MAX_MS),
    )


def _refusal(message: v1.RefusalCount) -> RefusalCount:
    return RefusalCount(
        minute_unix_ms=_count(message.minute_unix_ms, "minute_unix_ms") // 60_000 * 60_000,
        project_id=_cut(message.project_id),
        key_id=_cut(message.key_id),
        workflow=_cut(message.workflow),
        model=_cut(message.model),
        reason=_cut(message.reason),
        budget_id=_cut(message.budget_id),
        count=_count(message.count, "count"),
        sample=_cut(message.sample),
    )


def _budget_ref(message: v1.BudgetRef) -> BudgetRef:
    if not message.budget_id or len(message.budget_id) + len(message.partition) > 256:
        raise _invalid("budget_id", "a budget is named by its id and partition")
    return BudgetRef(message.budget_id, message.partition)


def _line(data: bytes, seq: int) -> core.Line:
    try:
        return _record(data, seq)
    except InvalidArgumentError as error:
        return core.Unreadable(seq, error.message, data[: limits.BAD_RECORD_BYTES_MAX])


def _record(data: bytes, seq: int) -> core.Record:
    try:
        message = v1.Record.FromString(data)
    except DecodeError:
        raise _invalid("records", f"record {seq} is no Record") from None
    if message.seq != seq:
        raise _invalid("records", f"record {seq} carries the number {message.seq}")
    match message.WhichOneof("kind"):
        case "settle":
            return _settle(message.settle, seq)
        case "void":
            call = _call(message.void.call)
            if call.cost_nano_usd:
                raise _invalid("records", f"record {seq} is void but has a cost")
            return core.Void(seq, call)
        case "return":
            returned = getattr(message, "return")
            return core.Return(
                seq,
                lease_key_from_wire(returned.lease),
                _of_lease(returned.returned_nano_usd, "returned_nano_usd"),
            )
        case "adjust":
            return _adjust(message.adjust, seq)
        case "overrun":
            return _overrun(message.overrun, seq)
    raise _invalid("records", f"record {seq} says nothing that this version knows")


def _settle(message: v1.Settle, seq: int) -> core.Settle:
    call = _call(message.call)
    amount = _amount(message.amount_nano_usd, "amount_nano_usd")
    if amount > call.cost_nano_usd or (
        call.vector and amount != min(call.cost_nano_usd, call.worst_nano_usd)
    ):
        raise _invalid("records", f"record {seq} takes other than its cost, up to its worst case")
    return core.Settle(seq, call, amount)


def _adjust(message: v1.Adjust, seq: int) -> core.Adjust:
    if not -limits.RECORD_NANO_USD_MAX <= message.delta_nano_usd < 0:
        raise _invalid("records", f"record {seq} adjusts upwards, or by more than a call costs")
    return core.Adjust(
        seq,
        _id(message.call_id, "call_id"),
        message.delta_nano_usd,
        _cut(message.evidence),
        _vector(message.vector),
    )


def _overrun(message: v1.Overrun, seq: int) -> core.Overrun:
    excess = _amount(message.excess_nano_usd, "excess_nano_usd")
    if excess == 0:
        raise _invalid("records", f"record {seq} is an overrun of nothing")
    return core.Overrun(seq, _id(message.call_id, "call_id"), excess, _vector(message.vector))


def _call(message: v1.Call) -> core.Call:
    outcome = _OUTCOME.get(message.outcome)
    if outcome is None:
        raise _invalid("outcome", "the call does not say how it ended")
    _at_most(len(message.counted), limits.VECTOR_LEASES_MAX, "counted budgets")
    return core.Call(
        call_id=_id(message.call_id, "call_id"),
        started_unix_ms=_instant(message.started_unix_ms, "started_unix_ms"),
        ended_unix_ms=_instant(message.ended_unix_ms, "ended_unix_ms"),
        project_id=_cut(message.project_id),
        key_id=_cut(message.key_id),
        secret_id=_cut(message.secret_id),
        workflow=_cut(message.workflow),
        execution=_cut(message.execution),
        step=_cut(message.step),
        region=_cut(message.region),
        provider=_cut(message.provider),
        surface=_cut(message.surface),
        requested_model=_cut(message.requested_model),
        answered_model=_cut(message.answered_model),
        alias=_cut(message.alias),
        tier=_cut(message.tier),
        streamed=message.streamed,
        outcome=outcome,
        error_kind=_cut(message.error_kind),
        status=message.status,
        first_byte_ms=message.first_byte_ms,
        quantities=_quantities(message.quantities),
        price_version=_cut(message.price_version),
        worst_nano_usd=_amount(message.worst_nano_usd, "worst_nano_usd"),
        cost_nano_usd=_amount(message.cost_nano_usd, "cost_nano_usd"),
        estimated=message.estimated,
        parent_call_id=_cut(message.parent_call_id),
        provider_request_id=_cut(message.provider_request_id),
        clamped_output_count=message.clamped_output_count,
        vector=_vector(message.vector),
        counted=tuple(sorted({_budget_ref(budget) for budget in message.counted})),
        variant=_cut(message.variant),
        cost_told=message.cost_told,
        routed=_cut(message.routed),
        provider_secret_id=_cut(message.provider_secret_id),
    )


def _quantities(messages: Iterable[v1.Quantity]) -> dict[str, int]:
    counts = {_cut(each.kind): _count(each.count, "count") for each in messages}
    _at_most(len(counts), limits.VECTOR_LEASES_MAX, "kinds of quantities")
    _at_most(max(counts.values(), default=0), limits.RECORD_QUANTITY_MAX_UNITS, "units of one kind")
    return counts


def _vector(messages: Iterable[v1.LeaseKey]) -> tuple[LeaseKey, ...]:
    keys = sorted({lease_key_from_wire(message) for message in messages})
    _at_most(len(keys), limits.VECTOR_LEASES_MAX, "leases of a call")
    return tuple(keys)


def _cut(text: str) -> str:
    return text[: limits.TEXT_CHARACTERS_MAX]


def _id(text: str, field: str) -> str:
    if not 0 < len(text) <= 64:
        raise _invalid(field, f"an id such as {ids.CALL}_… has 1 to 64 characters")
    return text


def _incarnation(text: str) -> str:
    if not 0 < len(text) <= limits.INCARNATION_CHARACTERS_MAX:
        raise _invalid("incarnation", "a process names itself")
    return text


def _count(number: int, field: str) -> int:
    if not 0 <= number < _NUMBER_MAX:
        raise _invalid(field, f"{number} is no count")
    return number


def _instant(unix_ms: int, field: str) -> int:
    # Years to 9999; a clock that is wrong beyond that is no evidence of anything.
    if not 0 <= unix_ms < 253_370_764_800_000:
        raise _invalid(field, f"{unix_ms} is no instant")
    return unix_ms


def _amount(amount_nano_usd: int, field: str) -> int:
    """What one call may cost."""
    return _money(amount_nano_usd, field, limits.RECORD_NANO_USD_MAX)


def _of_lease(amount_nano_usd: int, field: str) -> int:
    """One of a lease's three numbers."""
    return _money(amount_nano_usd, field, limits.LEASE_NANO_USD_MAX)


def _told(amount_nano_usd: int) -> int:
    """A sum of what several sidecars said; each is bounded, and so is what fits the wire."""
    return min(amount_nano_usd, MONEY_MAX_NANO_USD)


def _money(amount_nano_usd: int, field: str, most_nano_usd: int = MONEY_MAX_NANO_USD // 2) -> int:
    if not 0 <= amount_nano_usd <= most_nano_usd:
        raise _invalid(field, f"{amount_nano_usd} is no amount")
    return amount_nano_usd


def _at_least(number: int, least: int, field: str) -> int:
    if number < least:
        raise _invalid(field, f"{number} is below {least}")
    return number


def _at_most(count: int, most: int, what: str) -> None:
    if count > most:
        raise _invalid(what, f"{count} {what} are more than {most}")


def _invalid(field: str, why: str) -> InvalidArgumentError:
    return InvalidArgumentError(f"{field}: {why}", field=field)
