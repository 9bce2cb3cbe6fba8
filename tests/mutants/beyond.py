"""Mutants of what the code does beyond the protocol's table: its own promises, each broken."""

from tests.mutants.planting import Change, Mutant
from tests.mutants.table import (
    ADMISSION,
    ALLOWANCE,
    BOOKS,
    CONTROL,
    JOURNAL,
    LEARNING,
    ORPHANS,
    PERIODS,
    REPORT,
    SYNC,
)

BOOKING = "control_plane/usecases/booking.py"
EVIDENCE = "control_plane/core/evidence.py"
LEASE_BOOKS = "control_plane/usecases/books.py"
REGISTER = "control_plane/usecases/register.py"
COMMITS = "control_plane/store/group_commit.py"
SECOND_PLACE = "control_plane/store/watermark_file.py"
UNKNOWN = "control_plane/usecases/unknown.py"
TIMEKEEPER = "sidecar/core/timekeeper.py"
LEASES = "sidecar/core/leases.py"
RECOVERY = "sidecar/runtime/recovery.py"
WRITER = "sidecar/runtime/journal.py"
STANDING = "sidecar/core/admission.py"
SEEDS = 60


def _mutant(
    name: str, words: str, path: str, old: str, new: str, *, masked: str = "", directed: str = ""
) -> Mutant:
    return Mutant(name, words, Change(path, old, new), SEEDS, masked=masked, directed=directed)


OF_AUTHORITY = (
    _mutant(
        "A1",
        "authority counted from when the answer came",
        CONTROL,
        "merge(grant, sent.boot_ms, renews=renews)",
        "merge(grant, self._clock.now().boot_ms, renews=renews)",
    ),
    _mutant(
        "A2",
        "authority renewed under a policy that is late",
        CONTROL,
        "renews = answer.policy_version == self._policy.known_version",
        "renews = True",
    ),
    _mutant(
        "A3",
        "authority not looked at again after OPEN is durable",
        ADMISSION,
        "            if usable and not self.paused:\n",
        "            if True:\n",
    ),
    _mutant(
        "A4",
        "authority of another boot goes on",
        ALLOWANCE,
        "lease.authority_boot_ms = stored.authority_boot_ms if same_boot else 0",
        "lease.authority_boot_ms = stored.authority_boot_ms",
    ),
    _mutant(
        "A5",
        "no pause is noticed",
        TIMEKEEPER,
        "        elif apart_ms - least_ms > PAUSE_MS:\n",
        "        elif apart_ms - least_ms > PAUSE_MS * 1_000_000:\n",
    ),
    _mutant(
        "A6",
        "authority never ends",
        LEASES,
        "        return boot_ms < self.authority_boot_ms and not self.frozen",
        "        return not self.frozen",
    ),
    _mutant(
        "A7",
        "a revoked key goes on",
        STANDING,
        "    if key is None or key.revoked:\n",
        "    if key is None:\n",
    ),
    _mutant(
        "A8",
        "the next period's lease is used before the turn",
        LEASES,
        "        return self.period_start_unix_ms <= unix_ms and (end is None or unix_ms < end)\n",
        "        return end is None or unix_ms < end\n",
    ),
    _mutant(
        "A9",
        "a lease is used after its period",
        LEASES,
        "        return self.period_start_unix_ms <= unix_ms and (end is None or unix_ms < end)\n",
        "        return self.period_start_unix_ms <= unix_ms\n",
        directed="tests/simulation/stories/test_caps_and_periods.py"
        "::test_a_day_turns_while_the_control_plane_is_down_for_two_hours",
    ),
)

OF_THE_JOURNAL = (
    _mutant(
        "J1",
        "a call that a crash left open is booked at nothing",
        RECOVERY,
        "lost = Settlement(outcome=Outcome.LOST, cost_nano_usd=worst_nano_usd, estimated=True)",
        "lost = Settlement(outcome=Outcome.LOST, cost_nano_usd=0, estimated=True)",
    ),
    _mutant(
        "J2",
        "an estimate is booked as exact",
        RECOVERY,
        "lost = Settlement(outcome=Outcome.LOST, cost_nano_usd=worst_nano_usd, estimated=True)",
        "lost = Settlement(outcome=Outcome.LOST, cost_nano_usd=worst_nano_usd, estimated=False)",
    ),
    _mutant(
        "J3",
        "a call that a crash left open is forgotten",
        RECOVERY,
        "        _charge(number, body, allowance, journal, now)\n",
        "        _ = number, body\n",
    ),
    _mutant(
        "J4",
        "a recall is obeyed without a record",
        CONTROL,
        "                self._admission.give_back([lease])\n",
        "                pass\n",
    ),
    _mutant(
        "J5",
        "a return stands in the record, not in the lease's row",
        ADMISSION,
        "self._journal.record(partial(translate.returned_to_wire, lease), now, leases=(lease,))",
        "self._journal.record(partial(translate.returned_to_wire, lease), now)",
    ),
    _mutant(
        "J6",
        "what is told counts as heard",
        CONTROL,
        "        known_seq = 0 if renewed else self._journal.acked_seq\n",
        "        known_seq = self._journal.last_seq\n",
    ),
    _mutant(
        "J7",
        "a journal that failed to write goes on",
        WRITER,
        "file is lost\n                self._failure = _words(error)\n        for errand",
        "file is lost\n                _words(error)\n        for errand",
    ),
    _mutant(
        "J8",
        "money is given back while nobody answers",
        REPORT,
        "    if not admission.silent:\n",
        "    if admission is not None:\n",
    ),
    _mutant(
        "J9",
        "a lease whose period ended is forgotten",
        ALLOWANCE,
        "            self._aside[lease.key] = lease\n",
        "            lease.changed = False\n",
    ),
    _mutant(
        "J10",
        "the end of a call stays open in the journal",
        JOURNAL,
        '            run_many("DELETE FROM open_call WHERE number = ?", batch.ends)\n',
        "            pass\n",
    ),
)

OF_THE_LEDGER = (
    _mutant(
        "L1",
        "a fork is not noticed",
        BOOKS,
        "    if after != chain_told:\n",
        "    if False:\n",
        directed="tests/control_plane/usecases/test_sync_evidence.py"
        "::test_a_chain_that_does_not_continue_is_fenced_with_an_alarm",
    ),
    _mutant(
        "L2",
        "a gap is not noticed",
        BOOKS,
        "    if from_seq > last_seq + 1:\n",
        "    if from_seq > last_seq + 10_000:\n",
    ),
    _mutant(
        "L3",
        "records that are booked are booked again",
        BOOKS,
        "    skip = last_seq + 1 - from_seq\n",
        "    skip = 0\n",
    ),
    _mutant(
        "L4",
        "returns add up",
        BOOKS,
        "max(before, record.returned_nano_usd)",
        "before + record.returned_nano_usd",
    ),
    _mutant(
        "L5",
        "an overrun is not booked beside the cap",
        BOOKING,
        "            tx, key, allocated_nano_usd=excess,"
        " spent_nano_usd=excess, overrun_nano_usd=excess\n",
        "            tx, key, allocated_nano_usd=0, spent_nano_usd=0, overrun_nano_usd=0\n",
    ),
    _mutant(
        "L6",
        "a function that fails is not undone",
        COMMITS,
        "            with self._session.tx.savepoint():\n",
        "            if True:\n",
    ),
    _mutant(
        "L7",
        "a new journal goes on with the lost one's epoch",
        REGISTER,
        "        epoch = max(sidecar.epoch, epoch) + 1\n",
        "        epoch = max(sidecar.epoch, epoch) or 1\n",
    ),
    _mutant(
        "L8",
        "a lost journal's leases stay active",
        ORPHANS,
        "        carry_out(tx, evidence.orphaned(lease, cause, now_unix_ms), now_unix_ms)\n",
        "        leases.put(tx, lease)\n",
    ),
    _mutant(
        "L9",
        "a grant is not counted",
        PERIODS,
        "UPDATE period SET allocated_nano_usd = allocated_nano_usd + :amount,\n",
        "UPDATE period SET allocated_nano_usd = allocated_nano_usd,\n",
    ),
    _mutant(
        "L10",
        "a stopped sidecar gets money",
        SYNC,
        'sidecar.state == "FENCED" or report.epoch < sidecar.epoch:\n',
        "report.epoch < sidecar.epoch:\n",
    ),
    _mutant(
        "L11",
        "learning ends before every sidecar has spoken",
        LEARNING,
        "    if tx.watermark.problem or sidecars.unheard(tx, meta.generation):\n",
        "    if tx.watermark.problem:\n",
    ),
    _mutant(
        "L12",
        "an old database is not seen by the money that it never granted",
        LEASE_BOOKS,
        "            self.database_is_old |= claim.database_is_old\n",
        "",
    ),
    _mutant(
        "L13",
        "a lump is charged twice",
        EVIDENCE,
        "        spent_nano_usd=held,\n        orphan_hold_nano_usd=-held,\n",
        "        spent_nano_usd=2 * held,\n        orphan_hold_nano_usd=-held,\n",
    ),
    _mutant(
        "L14",
        "late evidence does not take the place of the lump",
        EVIDENCE,
        "        lump = min(left, lease.lump_nano_usd)\n",
        "        lump = 0\n",
    ),
)

OF_RESTORED_DATABASES = (
    _mutant(
        "R1",
        "the watermark is not raised before a grant",
        SECOND_PLACE,
        "        return not marks or self._add(Entry(change_no",
        "        return not marks or bool(Entry(change_no",
    ),
    _mutant(
        "R2",
        "what may be missing is let go when all have spoken",
        UNKNOWN,
        "            most = max(0, mark.cap_nano_usd - known)\n",
        "            most = 0\n",
    ),
    _mutant(
        "R3",
        "the start does not look whether the database is old",
        LEARNING,
        "    if not tx.watermark.proves_old(meta.change_no, meta.generation):\n",
        "    if meta.change_no >= 0:\n",
    ),
    _mutant(
        "R4",
        "a sidecar does not tell its leases again",
        CONTROL,
        "            self._admission.allowance.say_again()\n",
        "            pass\n",
    ),
    _mutant(
        "R5",
        "a sidecar does not tell its records again",
        CONTROL,
        "        known_seq = 0 if renewed else self._journal.acked_seq\n",
        "        known_seq = self._journal.acked_seq\n",
    ),
    _mutant(
        "R6",
        "a sidecar counts as heard before it has seen the generation",
        SYNC,
        "            generation_seen=report.generation_seen,\n",
        "            generation_seen=installation.get(tx).generation,\n",
    ),
    _mutant(
        "R7",
        "what one gives back that has not spoken is free for all",
        LEASE_BOOKS,
        "        if move.allocated_nano_usd and not self._has_spoken():\n",
        "        if False:\n",
    ),
    _mutant(
        "R8",
        "what a sidecar proves begins no learning",
        LEARNING,
        "    if meta.learning and generation_seen <= meta.generation:\n",
        "    if meta.learning or generation_seen <= 2**62:\n",
        directed="tests/control_plane/usecases/test_restored_databases.py"
        "::test_a_registration_from_a_later_epoch_begins_learning",
    ),
)

MUTANTS = (*OF_AUTHORITY, *OF_THE_JOURNAL, *OF_THE_LEDGER, *OF_RESTORED_DATABASES)
