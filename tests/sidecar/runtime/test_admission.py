"""Admission over a real journal: what is held, written and let go."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest
import trio
from nacl.public import PrivateKey, SealedBox

from protos.bursar.sidecar.v1 import Outcome as WireOutcome
from protos.bursar.sidecar.v1 import Record
from sidecar.core.calls import Outcome, Settlement
from sidecar.core.refusals import Reason, Refused
from sidecar.runtime.identity import Host
from sidecar.runtime.journal_file import JournalFile
from sidecar.runtime.recovery import recover
from sidecar.telemetry import Log
from tests.sidecar.builders import (
    CENT,
    DOLLAR,
    MONTH,
    NOON,
    HandClock,
    bound,
    budget,
    key,
    new_call,
    policy,
    provider,
)
from tests.sidecar.runtime.admission_world import (
    OK,
    SEALING_KEY,
    World,
    found,
    refusal_of,
    waiting,
    world,
)

pytestmark = pytest.mark.trio

# --- One call ---------------------------------------------------------------------------------


async def test_an_open_call_is_on_the_disk_with_all_that_is_known_of_it(tmp_path: Path) -> None:
    async with world(tmp_path) as sidecar:
        sidecar.told()
        hold = await sidecar.admission.open(new_call(4 * CENT))
        file, recovered = JournalFile.open(tmp_path)
        file.close()
        [(_, body)] = recovered.open_calls
        call = Record().settle.call
        call.ParseFromString(body)
        assert call.call_id == hold.call_id
        assert call.worst_nano_usd == hold.worst_nano_usd == 4 * CENT
        assert [(key.budget_id, key.period_id) for key in call.vector] == [("bgt_a", MONTH)]
        assert (call.project_id, call.key_id, call.secret_id) == ("prj_a", "key_a", "sec_a")
        assert call.started_unix_ms == NOON
        assert sidecar.lease().available_nano_usd == 96 * CENT


async def test_a_settled_call_is_a_whole_record_and_frees_the_rest(tmp_path: Path) -> None:
    async with world(tmp_path) as sidecar:
        sidecar.told()
        hold = await sidecar.admission.open(new_call(4 * CENT))
        sidecar.clock.forward(1_500)
        sidecar.admission.settle(hold, OK)
        assert sidecar.lease().available_nano_usd == 99 * CENT
        assert sidecar.admission.open_calls == 0
        [record] = await sidecar.records()
        call = record.settle.call
        assert record.seq == 1
        assert record.settle.amount_nano_usd == call.cost_nano_usd == CENT
        assert call.worst_nano_usd == 4 * CENT
        assert call.outcome == WireOutcome.OUTCOME_OK
        assert {each.kind: each.count for each in call.quantities} == {"input": 5, "output": 7}
        assert call.ended_unix_ms == NOON + 1_500
        assert not call.estimated


async def test_a_voided_call_costs_nothing(tmp_path: Path) -> None:
    async with world(tmp_path) as sidecar:
        sidecar.told()
        hold = await sidecar.admission.open(new_call())
        sidecar.admission.void(hold, Settlement(outcome=Outcome.PROVIDER_ERROR, status=400))
        assert sidecar.lease().available_nano_usd == DOLLAR
        [record] = await sidecar.records()
        assert record.WhichOneof("kind") == "void"
        assert record.void.call.call_id == hold.call_id
        assert record.void.call.status == 400


async def test_a_hold_ends_once(tmp_path: Path) -> None:
    async with world(tmp_path) as sidecar:
        sidecar.told()
        hold = await sidecar.admission.open(new_call())
        sidecar.admission.settle(hold, OK)
        with pytest.raises(KeyError):
            sidecar.admission.settle(hold, OK)
        with pytest.raises(KeyError):
            sidecar.admission.void(hold, Settlement(outcome=Outcome.NOT_SENT))


async def test_a_bill_above_the_worst_case_stops_the_lease_and_is_told_apart(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as sidecar:
        sidecar.told()
        hold = await sidecar.admission.open(new_call())
        sidecar.admission.settle(hold, Settlement(outcome=Outcome.OK, cost_nano_usd=3 * CENT))
        settle, overrun = await sidecar.records()
        assert settle.settle.amount_nano_usd == CENT
        assert settle.settle.call.cost_nano_usd == 3 * CENT
        assert overrun.overrun.excess_nano_usd == 2 * CENT
        assert [key.budget_id for key in overrun.overrun.vector] == ["bgt_a"]
        assert sidecar.lease().available_nano_usd == 99 * CENT
        assert not sidecar.lease().usable(sidecar.clock.boot_ms)
        assert "ALARM overrun" in sidecar.log.getvalue()
    # Neither may a new process start calls there before the ledger knows.
    assert [lease.frozen for lease in found(tmp_path).leases] == [True]


async def test_what_a_free_call_is_billed_all_the_same_stops_the_next_one(tmp_path: Path) -> None:
    async with world(tmp_path) as sidecar:
        sidecar.told()
        hold = await sidecar.admission.open(new_call(0))
        sidecar.admission.settle(hold, Settlement(outcome=Outcome.OK, cost_nano_usd=3 * CENT))
        settle, overrun = await sidecar.records()
        assert settle.settle.amount_nano_usd == 0
        assert [lease.budget_id for lease in settle.settle.call.vector] == ["bgt_a"]
        assert not settle.settle.call.counted
        assert overrun.overrun.excess_nano_usd == 3 * CENT
        assert not sidecar.lease("bgt_a").usable(sidecar.clock.now().boot_ms)


async def test_several_budgets_hold_together_or_not_at_all(tmp_path: Path) -> None:
    known = policy(budget("bgt_a"), budget("bgt_agency", project=""))
    async with world(tmp_path, known) as sidecar:
        sidecar.told("bgt_a")
        sidecar.told("bgt_agency", granted=0, unspent=0)
        assert await refusal_of(sidecar.admission) is Reason.EXHAUSTED
        assert sidecar.lease("bgt_a").held_nano_usd == 0
        sidecar.told("bgt_agency", granted=CENT)
        hold = await sidecar.admission.open(new_call())
        assert sidecar.lease("bgt_a").held_nano_usd == CENT
        assert sidecar.lease("bgt_agency").held_nano_usd == CENT
        sidecar.admission.settle(hold, OK)
        assert sidecar.lease("bgt_a").held_nano_usd == 0
        assert sidecar.lease("bgt_agency").available_nano_usd == 0


async def test_a_call_that_is_only_counted_names_its_budgets(tmp_path: Path) -> None:
    async with world(tmp_path, policy(budget("bgt_a", capped=False))) as sidecar:
        sidecar.admission.answered(sidecar.clock.now())
        sidecar.admission.heard_until_boot_ms = sidecar.clock.boot_ms + 1
        hold = await sidecar.admission.open(new_call())
        sidecar.admission.settle(hold, OK)
        [record] = await sidecar.records()
        assert not record.settle.call.vector
        assert [ref.budget_id for ref in record.settle.call.counted] == ["bgt_a"]


async def test_near_the_cap_the_limit_that_goes_on_the_wire_is_told(tmp_path: Path) -> None:
    async with world(tmp_path) as sidecar:
        sidecar.told(granted=50 * CENT, cap=DOLLAR, spent=50 * CENT)
        open_ended = bound(0, output_rate=1_000_000, output_max=100_000)
        hold = await sidecar.admission.open(new_call(what=open_ended))
        assert hold.output_limit == 50_000
        sidecar.admission.settle(hold, OK)
        [record] = await sidecar.records()
        assert record.settle.call.clamped_output_count == 50_000


# --- Keys and policies ------------------------------------------------------------------------


async def test_a_key_that_is_revoked_while_its_call_waits_stops_it(tmp_path: Path) -> None:
    async with world(tmp_path) as sidecar, trio.open_nursery() as nursery:
        sidecar.told(granted=0)
        reasons: list[Reason] = []

        async def call() -> None:
            reasons.append(await refusal_of(sidecar.admission))

        nursery.start_soon(call)
        await waiting(sidecar)
        sidecar.admission.take_policy(policy(version=2, keys=(key(revoked=True),)))
        with trio.fail_after(5):
            while not reasons:
                await trio.lowlevel.checkpoint()
        assert reasons == [Reason.KEY_REVOKED]


async def test_a_budget_that_is_added_while_a_call_waits_must_be_held_too(tmp_path: Path) -> None:
    async with world(tmp_path) as sidecar, trio.open_nursery() as nursery:
        sidecar.told("bgt_a", granted=0)
        nursery.start_soon(sidecar.admission.open, new_call())
        await waiting(sidecar)
        both = policy(budget("bgt_a"), budget("bgt_new"), version=2)
        sidecar.admission.take_policy(both)
        sidecar.told("bgt_a", granted=CENT)
        sidecar.admission.try_waiting(every=True)
        [demand] = sidecar.admission.waiting.demands(sidecar.clock.now())
        assert [key.budget_id for key in demand.budgets] == ["bgt_a", "bgt_new"]
        nursery.cancel_scope.cancel()


async def test_secrets_are_opened_from_the_policy_and_from_nothing_else(tmp_path: Path) -> None:
    box = SealedBox(PrivateKey(SEALING_KEY).public_key)
    known = policy(providers=(provider(sealed=box.encrypt(b"sk-secret")), provider("anthropic")))
    async with world(tmp_path, known) as sidecar:
        assert sidecar.admission.secrets.secret_for("openai", "prj_a", 0) == (
            "openai:1",
            "sk-secret",
        )
        for name in ("anthropic", "nobody"):
            with pytest.raises(Refused) as caught:
                sidecar.admission.secrets.secret_for(name, "prj_a", 0)
            assert caught.value.refusal.reason is Reason.PROVIDER_NOT_CONFIGURED
        foreign = SealedBox(PrivateKey.generate().public_key).encrypt(b"sk-foreign")
        sidecar.admission.take_policy(policy(version=2, providers=(provider(sealed=foreign),)))
        with pytest.raises(Refused, match="not sealed to this sidecar"):
            sidecar.admission.secrets.secret_for("openai", "prj_a", 0)


async def test_refusals_and_uses_of_secrets_are_counted(tmp_path: Path) -> None:
    async with world(tmp_path) as sidecar:
        sidecar.told()
        await sidecar.admission.open(new_call())
        assert await refusal_of(sidecar.admission, secret="sec_no") is Reason.KEY_REVOKED
        [level] = sidecar.admission.tallies.refusals()
        assert (level.kind.reason, level.calls) == ("key_revoked", 1)
        assert list(sidecar.admission.tallies.uses()) == ["sec_a"]


# --- What stops everything ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "reason"),
    [("fenced", Reason.FENCED), ("draining", Reason.SHUTTING_DOWN)],
)
async def test_a_sidecar_that_must_not_open_says_why(
    tmp_path: Path, state: str, reason: Reason
) -> None:
    async with world(tmp_path) as sidecar:
        sidecar.told()
        setattr(sidecar.admission, state, True)
        assert await refusal_of(sidecar.admission) is reason


async def test_a_journal_that_cannot_be_written_fails_closed(tmp_path: Path) -> None:
    sick: list[bool] = []

    class Sick(sqlite3.Connection):
        def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
            if sql == "COMMIT" and sick:
                raise sqlite3.OperationalError("disk I/O error")
            return super().execute(sql, *parameters)

    def connect(path: Path) -> sqlite3.Connection:
        return sqlite3.connect(path, isolation_level=None, check_same_thread=False, factory=Sick)

    async with world(tmp_path, connect=connect) as sidecar:
        sidecar.told()
        hold = await sidecar.admission.open(new_call())
        await sidecar.journal.flush()
        sick.append(True)
        assert await refusal_of(sidecar.admission) is Reason.JOURNAL_FAILED
        assert await refusal_of(sidecar.admission) is Reason.JOURNAL_FAILED
        # An open call ends in memory; on the disk it stays open, and is charged at the next start.
        sidecar.admission.settle(hold, OK)
        assert sidecar.log.getvalue().count("ALARM journal_failed") == 1
        assert "then start it again" in sidecar.log.getvalue()
    async with world(tmp_path) as sidecar:
        [record] = await sidecar.records()
        assert record.settle.call.call_id == hold.call_id
        assert (record.settle.amount_nano_usd, record.settle.call.estimated) == (CENT, True)


# --- The next life ------------------------------------------------------------------------------


async def test_calls_without_an_end_are_charged_once_at_their_worst_case(tmp_path: Path) -> None:
    known = policy(budget("bgt_a"), budget("bgt_agency", project=""))
    async with world(tmp_path, known) as sidecar:
        sidecar.told("bgt_a")
        sidecar.told("bgt_agency")
        lost = [await sidecar.admission.open(new_call(4 * CENT)) for _ in range(3)]
        done = await sidecar.admission.open(new_call(4 * CENT))
        sidecar.admission.settle(done, OK)
    async with world(tmp_path, known) as sidecar:
        records = await sidecar.records()
        assert [record.seq for record in records] == [1, 2, 3, 4]
        charged = [record.settle for record in records if record.settle.call.estimated]
        assert {settle.call.call_id for settle in charged} == {hold.call_id for hold in lost}
        for settle in charged:
            assert settle.amount_nano_usd == settle.call.cost_nano_usd == 4 * CENT
            assert settle.call.outcome == WireOutcome.OUTCOME_LOST
        for budget_id in ("bgt_a", "bgt_agency"):
            assert sidecar.lease(budget_id).spent_nano_usd == 13 * CENT
            assert sidecar.lease(budget_id).available_nano_usd == 87 * CENT
        # The authority of before lasts: nobody needs to be asked.
        sidecar.admission.settle(await sidecar.admission.open(new_call()), OK)
    async with world(tmp_path, known) as sidecar:
        assert len(await sidecar.records()) == 5
        assert sidecar.lease("bgt_a").spent_nano_usd == 14 * CENT


async def test_after_a_reboot_authority_is_void_also_for_the_process_after_next(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as sidecar:
        sidecar.told()
    for _ in range(2):
        made = World(tmp_path, HandClock(boot_ms=10))
        recover(
            made.recovered,
            admission=made.admission,
            journal=made.journal,
            clock=made.kept,
            log=Log(made.clock, made.log),
            host=Host("machine", "another boot"),
        )
        assert not made.lease().usable(made.clock.boot_ms)
        assert made.lease().available_nano_usd == DOLLAR
        async with trio.open_nursery() as nursery:
            await nursery.start(made.journal.run)
            await made.journal.close()
            nursery.cancel_scope.cancel()


async def test_returns_are_records_with_all_that_ever_went_back(tmp_path: Path) -> None:
    async with world(tmp_path) as sidecar:
        sidecar.told(keep=60 * CENT)
        await sidecar.admission.open(new_call())
        sidecar.admission.give_back(sidecar.admission.allowance.take_returns(sidecar.clock.now()))
        sidecar.told(keep=10 * CENT)
        sidecar.admission.give_back(sidecar.admission.allowance.take_returns(sidecar.clock.now()))
        returned = [
            getattr(record, "return").returned_nano_usd for record in await sidecar.records()
        ]
        assert returned == [39 * CENT, 89 * CENT]
    assert found(tmp_path).leases[0].returned_nano_usd == 89 * CENT


def sealed_things(made: World) -> str:
    return repr(made.admission.secrets) + made.log.getvalue()


async def test_nothing_secret_is_shown(tmp_path: Path) -> None:
    box = SealedBox(PrivateKey(SEALING_KEY).public_key)
    known = policy(providers=(provider(sealed=box.encrypt(b"sk-secret")),))
    async with world(tmp_path, known) as sidecar:
        sidecar.admission.secrets.secret_for("openai", "prj_a", 0)
        assert "sk-secret" not in sealed_things(sidecar)
        assert "sk-secret" not in repr(sidecar.admission.policy.providers)
