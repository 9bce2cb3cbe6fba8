"""The mutants of the lease protocol's table, M1 to M13 and V1 to V10, as changes of this code.

A line that looks long here is one line of the changed file all the same. `unguarded` holds what the
same bug needs to get past our own guards, so that it is seen whether the outside truth sees it too.
"""

from tests.mutants.planting import Change, Mutant

SYNC = "control_plane/usecases/sync.py"
LEDGER = "control_plane/store/ledger.py"
BOOKS = "control_plane/core/ledger.py"
GRANTING = "control_plane/usecases/granting.py"
PERIODS = "control_plane/store/periods.py"
LEARNING = "control_plane/usecases/learning.py"
ORPHANS = "control_plane/usecases/orphans.py"
EVIDENCE = "control_plane/core/evidence.py"
ALLOWANCE = "sidecar/core/allowance.py"
DECISION = "sidecar/core/admission.py"
ADMISSION = "sidecar/runtime/admission.py"
OPEN_CALLS = "sidecar/runtime/open_calls.py"
CONTROL = "sidecar/runtime/control.py"
JOURNAL = "sidecar/runtime/journal_file.py"
REPORT = "sidecar/runtime/report.py"

_DECIDED = """    granted = granting.apply(holder, plan, found)
"""
_REMEMBERED = """    levels.remember_recalls(plan.recalls, now_unix_ms)
"""
_OPENED_BY_NAME = Change(
    DECISION,
    """        room_nano_usd = min(room_nano_usd, available_nano_usd)
""",
    """        room_nano_usd = room_nano_usd if named else min(room_nano_usd, available_nano_usd)
""",
)

OF_MONEY = (
    Mutant(
        "M1",
        "a hold or lease freed by expiry",
        Change(
            SYNC,
            """    plan = decide(situation)
""",
            "    [orphans.carry_out(tx, orphans.evidence.returned(lease, lease.granted_nano_usd"
            " - lease.spent_nano_usd), now_unix_ms)"
            " for held in found.leases.values() for name, lease in held.items()"
            " if name in situation.silent and lease.outstanding_nano_usd > 0]\n"
            "    plan = decide(situation)\n",
        ),
        seeds=100,
    ),
    Mutant(
        "M2",
        "a decrease booked when it is sent",
        Change(
            SYNC,
            _DECIDED,
            _DECIDED + "    [orphans.carry_out(tx, orphans.evidence.returned(lease,"
            " lease.returned_nano_usd + min(more, lease.outstanding_nano_usd)), now_unix_ms)"
            " for key, keep in plan.keeps.items()"
            " if (lease := found.leases[key].get(holder.sidecar_id)) is not None"
            " and lease.outstanding_nano_usd > 0"
            " and (more := situation.have_nano_usd(holder.sidecar_id, key) - keep) > 0]\n",
        ),
        seeds=100,
    ),
    Mutant(
        "M3",
        "RETURN reported before it is durable",
        Change(
            REPORT,
            """    bodies, chain = await journal.records(from_seq)
""",
            """    bodies, chain = ([], b"") if levels else await journal.records(from_seq)
""",
        ),
        seeds=100,
    ),
    Mutant(
        "M4",
        "OPEN not durable before dispatch",
        Change(
            ADMISSION,
            """            await self._journal.durable(opened.group)
""",
            """            await trio.lowlevel.checkpoint()
""",
        ),
        seeds=100,
    ),
    Mutant(
        "M5",
        "report before durability",
        Change(
            JOURNAL,
            """            connection.execute(f"PRAGMA synchronous = {synchronous.upper()}")
""",
            """            connection.execute("PRAGMA synchronous = OFF")
""",
        ),
        seeds=100,
    ),
    Mutant(
        "M6",
        "cursor outside the ledger's transaction",
        Change(
            SYNC,
            """        sidecars.move_cursor(tx, holder, cursor)
""",
            """        with __import__("contextlib").suppress(Exception): """
            """sidecars.move_cursor(tx, holder, cursor)
""",
        ),
        seeds=60,
        unguarded=(Change(LEDGER, "  INSERT INTO charge (", "  INSERT OR REPLACE INTO charge ("),),
    ),
    Mutant(
        "M7",
        "grants as increments",
        Change(
            ALLOWANCE,
            """    lease.granted_nano_usd = max(lease.granted_nano_usd, grant.granted_nano_usd)
""",
            "    lease.granted_nano_usd += grant.granted_nano_usd"
            " - (lease.latest.granted_nano_usd if lease.latest else 0)\n",
        ),
        seeds=100,
    ),
    Mutant(
        "M8",
        "lost journal's hold released",
        Change(
            ORPHANS,
            """        carry_out(tx, evidence.orphaned(lease, cause, now_unix_ms), now_unix_ms)
""",
            """        carry_out(tx, evidence.orphaned(lease, cause, now_unix_ms), now_unix_ms)
"""
            "        carry_out(tx, evidence.released(leases.get(tx, lease.holder, lease.key)),"
            " now_unix_ms)\n",
        ),
        seeds=100,
    ),
    Mutant(
        "M9",
        "reservation swept by TTL while the call runs",
        Change(
            OPEN_CALLS,
            """        leases = plan.leases
""",
            "        [self.never_written(old) for old in list(self._calls.values())"
            " if now.unix_ms - old.hold.started_unix_ms > 5_000]\n"
            "        leases = plan.leases\n",
        ),
        seeds=100,
        unguarded=(
            Change(
                OPEN_CALLS,
                """        opened = self._calls.pop(hold.call_id)
        worst_nano_usd = hold.worst_nano_usd
""",
                """        if hold.call_id not in self._calls: return ()
        opened = self._calls.pop(hold.call_id)
        worst_nano_usd = hold.worst_nano_usd
""",
            ),
        ),
    ),
    Mutant(
        "M10",
        "late evidence dropped",
        Change(
            SYNC,
            """    if found.standing is Standing.CONTINUES and count > found.skip:
""",
            "    if found.standing is Standing.CONTINUES and count > found.skip"
            " and report.epoch >= sidecar.epoch:\n",
        ),
        seeds=100,
    ),
    Mutant(
        "M11",
        "restore without learning",
        Change(
            LEARNING,
            """    begin_generation(tx, now_unix_ms, generation_seen, claimed=holder != NOBODY)
""",
            """    return
""",
        ),
        seeds=100,
    ),
    Mutant(
        "M12",
        "older generation accepted",
        Change(
            CONTROL,
            """        if answer.generation < self._generation:
            self._log.warning("older_generation_ignored", generation=answer.generation)
            self._reach.vain(sent)
""",
            """        if answer.generation < 0:
            self._log.warning("older_generation_ignored", generation=answer.generation)
            self._reach.vain(sent)
""",
        ),
        seeds=20,
        directed="tests/sidecar/runtime/test_control.py"
        "::test_an_answer_of_an_older_generation_is_ignored",
    ),
    Mutant(
        "M13",
        "learning without watermark",
        Change(
            LEARNING,
            """    installation.begin_learning(tx, generation, known.change_no)
    unknown.hold(tx)
""",
            """    installation.begin_learning(tx, generation, known.change_no)
""",
        ),
        seeds=100,
        directed="tests/simulation/stories/test_restored_databases.py"
        "::test_a_backup_of_an_hour_ago_with_one_sidecar_gone_one_silent_one_new",
    ),
)
"""Of one budget."""

OF_VECTORS = (
    Mutant(
        "V1",
        "hold checked on the first lease only",
        Change(
            DECISION,
            """    for account, lease in zip(route.accounts, leases, strict=True):
        if lease is None or not lease.usable(at.now.boot_ms):
""",
            """    for account, lease in zip(route.accounts[:1], leases[:1], strict=True):
        if lease is None or not lease.usable(at.now.boot_ms):
""",
        ),
        seeds=100,
    ),
    Mutant(
        "V2",
        "SETTLE frees one budget",
        Change(
            ALLOWANCE,
            """        for lease in leases:
            assert lease.held_nano_usd >= worst_nano_usd
""",
            """        for lease in list(leases)[:1]:
            assert lease.held_nano_usd >= worst_nano_usd
""",
        ),
        seeds=100,
    ),
    Mutant(
        "V3",
        "OPEN split per budget",
        Change(
            OPEN_CALLS,
            """        number, group = self._journal.open_call(translate.open_to_wire(record))
""",
            "        number, group = self._journal.open_call(translate.open_to_wire("
            "translate.record_begun(hold, [lease.key for lease in leases[:1]],"
            " case.route.counted, region)))\n",
        ),
        seeds=100,
    ),
    Mutant(
        "V4",
        "a vector not rolled back, then opened by name",
        Change(
            GRANTING,
            """                    raise _NotGrantedError
""",
            """                    break
""",
        ),
        seeds=80,
        unguarded=(_OPENED_BY_NAME,),
    ),
    Mutant(
        "V5",
        "vector derived again at settle",
        Change(
            BOOKS,
            """    for key in call.vector:
        booked.spent_nano_usd[key] += amount
""",
            "    for key in [period_at(BudgetRef(of.budget_id, of.partition), call.ended_unix_ms)"
            " for of in call.vector]:\n"
            "        booked.spent_nano_usd[key] += amount\n",
        ),
        seeds=100,
    ),
    Mutant(
        "V6",
        "opened by name without the local check",
        _OPENED_BY_NAME,
        seeds=100,
    ),
    Mutant(
        "V7",
        "settled on the new period",
        Change(
            OPEN_CALLS,
            """        amount_nano_usd = min(outcome.cost_nano_usd, worst_nano_usd)
""",
            """        amount_nano_usd = min(outcome.cost_nano_usd, worst_nano_usd)
        opened.leases = tuple(each.account.lease_at(now.unix_ms) or each for each in opened.leases)
""",
        ),
        seeds=100,
        unguarded=(
            Change(
                ALLOWANCE,
                "            lease.held_nano_usd -= worst_nano_usd\n",
                "            lease.held_nano_usd = max(0, lease.held_nano_usd - worst_nano_usd)\n",
            ),
            Change(
                ALLOWANCE,
                "            lease.open_calls -= 1\n",
                "            lease.open_calls = max(0, lease.open_calls - 1)\n",
            ),
        ),
    ),
    Mutant(
        "V8",
        "ledger forgets a budget",
        Change(
            BOOKS,
            """    for key in call.vector:
        booked.spent_nano_usd[key] += amount
""",
            """    for key in call.vector[:1] + call.vector[2:]:
        booked.spent_nano_usd[key] += amount
""",
        ),
        seeds=100,
    ),
    Mutant(
        "V9",
        "grant without the cap condition",
        Change(
            PERIODS,
            """              AND allocated_nano_usd + :amount <= cap_nano_usd
""",
            """              AND :amount <= cap_nano_usd
""",
        ),
        seeds=100,
    ),
    Mutant(
        "V10",
        "return booked when the recall is sent",
        Change(
            SYNC,
            _REMEMBERED,
            _REMEMBERED + "    [orphans.carry_out(tx, orphans.evidence.returned(lease,"
            " lease.returned_nano_usd + min(recall.amount_nano_usd, lease.outstanding_nano_usd)),"
            " now_unix_ms)"
            " for recall in plan.recalls"
            " if (lease := found.leases[recall.key].get(recall.sidecar_id)) is not None"
            " and lease.outstanding_nano_usd > 0]\n",
        ),
        seeds=100,
        directed="tests/simulation/stories/test_money_that_moves.py"
        "::test_a_recall_that_crosses_an_open_or_a_crash_moves_money_once",
    ),
)
"""Of several budgets at once."""

MUTANTS = (*OF_MONEY, *OF_VECTORS)
