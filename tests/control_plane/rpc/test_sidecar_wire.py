"""The sidecar's words and ours: every one has its other half."""

from typing import get_args

from control_plane import limits
from control_plane.core.calls import OUTCOMES, Record, Return, Settle, Unreadable, Void
from control_plane.core.leases import BudgetRef, PeriodKey
from control_plane.core.reports import Answer, GrantAnswer, Offer, Status
from control_plane.rpc import sidecar_wire
from protos.bursar.sidecar import v1

KEY = PeriodKey("b", "leads", "2026-11-01")


def test_every_status_has_a_word_on_the_wire() -> None:
    said = {sidecar_wire.answer_to_wire(Answer(status, 1, 0, 1, 1)).status for status in Status}
    assert said == set(v1.SyncStatus.values()) - {v1.SyncStatus.SYNC_STATUS_UNSPECIFIED}


def test_every_outcome_on_the_wire_is_one_of_the_ledger() -> None:
    told = []
    for number in v1.Outcome.values():
        if number == v1.Outcome.OUTCOME_UNSPECIFIED:
            continue
        record = v1.Record(seq=1, void=v1.Void(call=v1.Call(call_id="c", outcome=number)))
        (read,) = sidecar_wire.records_from_wire([record.SerializeToString()], 1)
        told.append(read.call.outcome)  # type: ignore[union-attr]  # it is a Void
    assert sorted(told) == sorted(OUTCOMES)


def test_every_kind_of_record_is_read() -> None:
    kinds = v1.Record.DESCRIPTOR.oneofs_by_name["kind"].fields
    assert {field.name for field in kinds} == {kind.__name__.lower() for kind in get_args(Record)}


def test_a_settlement_is_read_whole() -> None:
    call = v1.Call(
        call_id="c",
        started_unix_ms=1,
        ended_unix_ms=2,
        workflow="w" * 600,
        outcome=v1.Outcome.OUTCOME_OK,
        quantities=[v1.Quantity(kind="input", count=3)],
        worst_nano_usd=10,
        cost_nano_usd=12,
        vector=[sidecar_wire.lease_key_to_wire(KEY), sidecar_wire.lease_key_to_wire(KEY)],
        counted=[v1.BudgetRef(budget_id="n")],
    )
    record = v1.Record(seq=7, settle=v1.Settle(call=call, amount_nano_usd=10))
    (read,) = sidecar_wire.records_from_wire([record.SerializeToString()], 7)
    assert isinstance(read, Settle)
    assert (read.seq, read.amount_nano_usd, read.call.cost_nano_usd) == (7, 10, 12)
    assert read.call.vector == (KEY,)
    assert read.call.counted == (BudgetRef("n", ""),)
    assert read.call.quantities == {"input": 3}
    assert len(read.call.workflow) == 512


def test_a_return_names_its_lease() -> None:
    record = v1.Record(seq=1)
    told = getattr(record, "return")
    told.lease.CopyFrom(sidecar_wire.lease_key_to_wire(KEY))
    told.returned_nano_usd = 5
    (read,) = sidecar_wire.records_from_wire([record.SerializeToString()], 1)
    assert read == Return(1, KEY, 5)


def test_a_grant_says_everything_that_was_decided() -> None:
    grant = GrantAnswer(KEY, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, "gone", 13, True, True, 14, 15)
    answer = Answer(Status.OK, 1, 2, 3, 4, leases=(grant,), named=("c",), hopeless=("h",))
    message = sidecar_wire.answer_to_wire(answer)
    (told,) = message.leases
    assert {field.name for field, _ in told.ListFields()} == set(
        v1.LeaseGrant.DESCRIPTOR.fields_by_name
    )
    assert sidecar_wire.lease_key_from_wire(told.lease) == KEY
    assert list(message.named_call_ids) == ["c"]
    assert list(message.hopeless_call_ids) == ["h"]
    assert message.stable_seq == message.acked_seq == 2


def test_an_offer_says_everything_that_was_decided() -> None:
    grant = GrantAnswer(KEY, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, "gone", 13, True, True, 14, 15)
    message = sidecar_wire.offer_to_wire(Offer("s", 1, 2, 3, (grant,), ("c",)))
    assert {field.name for field, _ in message.ListFields()} == set(
        v1.Offer.DESCRIPTOR.fields_by_name
    )
    assert message.leases[0].granted_nano_usd == 3


def test_a_record_that_fails_is_passed_on_and_refuses_nothing() -> None:
    good = v1.Record(seq=1, void=v1.Void(call=v1.Call(call_id="c", outcome=v1.Outcome.OUTCOME_OK)))
    huge = v1.Record(seq=5, overrun=v1.Overrun(call_id="c", excess_nano_usd=2**62))
    many = v1.Record(seq=6)
    many.CopyFrom(good)
    many.seq = 6
    many.void.call.quantities.add(kind="input", count=2**61)
    bad = [
        b"\xff\xff\xff",
        v1.Record(seq=9).SerializeToString(),
        v1.Record(seq=4).SerializeToString(),
        huge.SerializeToString(),
        many.SerializeToString(),
        b"\x00" * 9_000,
    ]
    read = sidecar_wire.records_from_wire([good.SerializeToString(), *bad], 1)
    assert isinstance(read[0], Void)
    for place, (line, raw) in enumerate(zip(read[1:], bad, strict=True), start=2):
        assert isinstance(line, Unreadable)
        assert (line.seq, line.raw) == (place, raw[: limits.BAD_RECORD_BYTES_MAX])
        assert line.why


def test_sums_of_what_sidecars_say_fit_the_wire() -> None:
    huge = 2**62 * 5
    grant = GrantAnswer(KEY, 1, 2, 3, 4, 5, huge, 7, 8, 9, 10, 11, huge, "", 13, frozen=False)
    (told,) = sidecar_wire.answer_to_wire(Answer(Status.OK, 1, 2, 3, 4, leases=(grant,))).leases
    assert (told.keep_nano_usd, told.held_nano_usd) == (2**63 - 1, 2**63 - 1)
