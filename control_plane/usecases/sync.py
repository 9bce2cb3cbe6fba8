"""One Sync: records into the ledger, levels into memory, money out. One transaction.

The order is the protocol's. First the evidence, whoever sends it and however late: records that
continue the cursor, and returns. Then the question whether this process may still have authority:
epoch, incarnation, sync number. Only then levels, demands and grants. An answer is a value in every
case, so that what was booked is committed; nothing is raised after the first row was written.
"""

from dataclasses import dataclass, replace

from control_plane import limits
from control_plane.core import ledger as core
from control_plane.core.decision import decide
from control_plane.core.leases import Holder
from control_plane.core.ledger import Standing
from control_plane.core.reports import Answer, Report, Status
from control_plane.core.sidecars import Sidecar
from control_plane.core.situation import Plan, Situation
from control_plane.store import (
    installation,
    keys,
    leases,
    ledger,
    processes,
    refusals,
    sidecars,
)
from control_plane.store.engine import Tx
from control_plane.usecases import (
    booking,
    forks,
    granting,
    late,
    learning,
    offering,
    orphans,
    rate_shares,
    remainders,
    scope,
)
from control_plane.usecases.levels import Levels
from control_plane.usecases.offering import Watching, nobody_watches
from control_plane.usecases.partitions import Partitions
from protos.values.errors import UnauthenticatedError
from protos.values.quick import quick

_UNTRUE = (
    "it claims an epoch, a generation or grants that it was never given: it is broken or forged; "
    "revoke it, and let the host join again"
)
_BEYOND = "it reported on projects or budgets that it was never told of: revoke it"


@quick
@dataclass(frozen=True, slots=True)
class _Recorded:
    """How the evidence of a Sync was taken."""

    acked_seq: int
    """The last record that the ledger has, as far as the report shows that it is the same one."""
    refused: Status | None = None
    """GAP or FENCED, when the records do not continue what is booked."""
    need_seq: int = 0
    """After a GAP, the first record that is missing."""
    database_is_old: bool = False
    impossible: bool = False
    """A sidecar claims what the watermark rules out."""


def sync(
    tx: Tx,
    sidecar_id: str,
    report: Report,
    levels: Levels,
    now_unix_ms: int,
    watching: Watching = nobody_watches,
) -> Answer:
    """Take a sidecar's report and answer it; `watching` tells whose stream is open."""
    sidecar = sidecars.get(tx, sidecar_id)
    if sidecar is None:
        raise UnauthenticatedError("this sidecar is unknown here: let it join again")
    meta = installation.get(tx)
    holder = Holder(sidecar_id, report.epoch)
    alarms_before, changed_before = meta.alarm_position, tx.rows_changed
    recorded = _Recorded(0, Status.FENCED, impossible=True)
    if report.epoch <= learning.newest_epoch(tx, sidecar):
        sidecar, recorded = _hear(tx, holder, sidecar, report, meta.generation, now_unix_ms)
    if recorded.impossible:
        sidecar = orphans.fence(tx, sidecar, holder.epoch, _UNTRUE, now_unix_ms)
    if tx.rows_changed != changed_before:
        meta = installation.get(tx)
    raised = meta.alarm_position > alarms_before
    answer = Answer(
        status=recorded.refused or _authority(tx, sidecar, report) or Status.OK,
        generation=learning.told_generation(tx, meta, report.generation_seen),
        acked_seq=recorded.acked_seq,
        policy_version=meta.policy_version,
        sync_no=report.sync_no,
        need_seq=recorded.need_seq,
        next_sync_ms=limits.SYNC_SOON_MS if report.demands else limits.SYNC_INTERVAL_MS,
        alarms=ledger.alarms_after(tx, alarms_before) if raised else (),
        revoked=sidecar.revoked_unix_ms > 0,
    )
    if sidecar.revoked_unix_ms:
        sidecars.heard(tx, sidecar_id, now_unix_ms, stopped=report.stopped)
    if answer.status is Status.FENCED and report.incarnation != sidecar.incarnation:
        levels.superseded.add(sidecar_id)
    if answer.status is not Status.OK:
        return answer
    levels.superseded.discard(sidecar_id)
    _note(tx, sidecar, report, now_unix_ms)
    version = (meta.generation, meta.policy_version)
    shared = rate_shares.share_out(tx, sidecar, report, levels.rates, version, now_unix_ms)
    answer = replace(answer, rate_shares=shared.shares, nudges=shared.nudges)
    levels.hear(sidecar_id, report.leases, now_unix_ms)
    levels.queue(sidecar_id, report.incarnation, report.demands, now_unix_ms)
    learns = not learning.end_if_all_spoke(tx, meta)
    found = granting.Gathering(tx, now_unix_ms, learns=learns)
    # Those that it spoke of, and those it may not know of: a lost answer's grants.
    wanted = {lease.lease for lease in report.leases} | leases.outstanding_of(tx, holder)
    situation = granting.gather(found, holder, levels, wanted, now_unix_ms)
    # Before it has told all that it holds, a grant could vanish in what it was granted already.
    untold = report.generation_seen < meta.generation
    stopped = learns and learning.stops_grants(tx, meta, now_unix_ms)
    if untold or stopped or tx.watermark.problem:
        return _without_money(holder, levels, situation, found, answer)
    return _with_money(tx, holder, report, levels, situation, found, answer, watching)


def _hear(
    tx: Tx,
    holder: Holder,
    sidecar: Sidecar,
    report: Report,
    generation: int,
    now_unix_ms: int,
) -> tuple[Sidecar, _Recorded]:
    """Take the evidence of a Sync, and what it proves about this database."""
    untrue = report.generation_seen > learning.newest_generation(tx, generation)
    if sidecar.revoked_unix_ms:
        # It is no witness against this database: whoever stole it could stop all grants.
        return sidecar, _record(tx, holder, sidecar, report, now_unix_ms)
    ahead = report.epoch > sidecar.epoch or (report.generation_seen > generation and not untrue)
    if ahead:
        sidecar = _follow(tx, sidecar, report, now_unix_ms)
    recorded = _record(tx, holder, sidecar, report, now_unix_ms)
    if recorded.database_is_old and report.epoch == sidecar.epoch:
        # The process that proves it registered after this database was copied.
        sidecar = _follow(tx, sidecar, report, now_unix_ms)
    if ahead or recorded.database_is_old:
        seen = 0 if untrue else report.generation_seen
        learning.begin_learning(tx, holder, seen, now_unix_ms)
    return sidecar, replace(recorded, impossible=recorded.impossible or untrue)


def _record(
    tx: Tx, holder: Holder, sidecar: Sidecar, report: Report, now_unix_ms: int
) -> _Recorded:
    """Book what continues the cursor or a fork of it, and what the levels prove."""
    if scope.is_beyond(tx, sidecar, report):
        orphans.fence(tx, sidecar, holder.epoch, _BEYOND, now_unix_ms)
        return _Recorded(0, Status.FENCED)
    cursor = sidecars.cursor(tx, holder) or sidecars.begin_cursor(tx, holder)
    count = len(report.raw_records)
    assert count == len(report.records)
    partitions = Partitions(tx)
    report = replace(report, records=tuple(map(partitions.place, report.records)))
    found = core.compare(
        cursor.last_seq, cursor.chain, report.from_seq, report.raw_records, report.chain
    )
    branch = None
    if found.standing is Standing.GAP and cursor.forked:
        branch = forks.branch_of(tx, holder, report)
    if branch is None and found.standing is Standing.GAP:
        return _Recorded(cursor.last_seq, Status.GAP, need_seq=cursor.last_seq + 1)
    forked = branch is not None or found.standing is Standing.FORKS
    refused = None
    if found.standing is Standing.BEFORE:
        refused = forks.refused_of(tx, holder, cursor, report)
    if forked or (refused is not None and forks.diverges(tx, holder, refused, report)):
        acked = forks.take(tx, holder, sidecar, report, branch, now_unix_ms)
        return _Recorded(acked, Status.FENCED)
    if refused is not None:
        forks.take_beside(tx, holder, cursor, refused, report, now_unix_ms)
    evidence = booking.Evidence()
    if found.standing is Standing.CONTINUES and count > found.skip:
        fresh = report.records[found.skip :]
        booked = late.within_bounds(tx, holder, sidecar, cursor, fresh, now_unix_ms)
        evidence = booking.book(tx, holder, booked, now_unix_ms, forked=cursor.forked)
        cursor = replace(cursor, last_seq=cursor.last_seq + len(fresh), chain=found.chain)
        sidecars.move_cursor(tx, holder, cursor)
    # A copy of the journal that is not found yet must not take another's records for its own.
    acked = min(cursor.last_seq, report.from_seq + count - 1) if count else 0
    levels = booking.Evidence()
    if not cursor.forked and (sidecar.state != "FENCED" or holder.epoch != sidecar.epoch):
        # Else two go under this name: only records show which of them says it.
        levels = booking.take_levels(tx, holder, report.leases, now_unix_ms)
    return _Recorded(
        acked,
        database_is_old=evidence.database_is_old or levels.database_is_old,
        impossible=evidence.impossible or levels.impossible,
    )


def _authority(tx: Tx, sidecar: Sidecar, report: Report) -> Status | None:
    """Why this process gets no money, if so."""
    if sidecar.revoked_unix_ms or sidecar.state == "FENCED" or report.epoch < sidecar.epoch:
        return Status.FENCED
    if report.sync_no <= sidecar.last_sync_no:
        return Status.STALE
    if report.incarnation != sidecar.incarnation:
        # Every process registers first. So one that is unknown began after this database was
        # copied: it registers here too, and goes on.
        over = processes.is_known(tx, sidecar.sidecar_id, report.incarnation)
        return Status.FENCED if over else Status.STALE
    return None


def _follow(tx: Tx, sidecar: Sidecar, report: Report, now_unix_ms: int) -> Sidecar:
    """A sidecar is ahead of this database: believe its epoch, process and Sync numbers."""
    if report.epoch > sidecar.epoch:
        orphans.begin_epoch(tx, sidecar, report.epoch, now_unix_ms)
    elif report.incarnation != sidecar.incarnation and processes.is_known(
        tx, sidecar.sidecar_id, report.incarnation
    ):
        return sidecar  # It speaks for an earlier process, whose time is over.
    followed = replace(
        sidecar,
        epoch=max(report.epoch, sidecar.epoch),
        incarnation=report.incarnation,
        last_sync_no=report.sync_no - 1,
        state="ACTIVE" if report.epoch > sidecar.epoch else sidecar.state,
    )
    sidecars.register(tx, followed)
    processes.add(tx, sidecar.sidecar_id, report.incarnation)
    return followed


def _note(tx: Tx, sidecar: Sidecar, report: Report, now_unix_ms: int) -> None:
    """Keep what a Sync says beside records and levels.

    Who has seen a generation has told all leases since: not before has it spoken in that one.
    """
    if sidecar.state == "DRAINED":
        sidecars.set_state(tx, sidecar.sidecar_id, "ACTIVE")
    sidecars.synced(
        tx,
        replace(
            sidecar,
            last_sync_no=report.sync_no,
            generation_seen=report.generation_seen,
            policy_acked=report.policy_acked,
            policy_refused=report.policy_refused,
            last_seen_unix_ms=now_unix_ms,
        ),
    )
    refusals.merge(tx, sidecar.sidecar_id, report.refusals)
    for secret_id, used_unix_ms in report.secret_uses.items():
        keys.mark_used(tx, secret_id, min(used_unix_ms, now_unix_ms))


def _with_money(
    tx: Tx,
    holder: Holder,
    report: Report,
    levels: Levels,
    situation: Situation,
    found: granting.Gathering,
    answer: Answer,
    watching: Watching,
) -> Answer:
    now_unix_ms = situation.now_unix_ms
    plan = decide(situation)
    granted = granting.apply(holder, plan, found)
    levels.reservations = dict(plan.reservations)
    levels.remember_recalls(plan.recalls, now_unix_ms)
    levels.remember_short(plan.short, now_unix_ms)
    refused = {*plan.unpayable, *plan.hopeless}
    levels.remember_answered(holder.sidecar_id, named=granted.named, refused=refused)
    ended = refused.union(granted.named)
    waits = any(call.call_id not in ended for call in report.demands)
    told = granting.answers(holder, levels, situation, plan, found)
    chosen = offering.choose(plan.ready, levels, watching, now_unix_ms)
    lefts = remainders.remainders(plan, situation, levels, watching, answer.generation)
    called = plan.ready.difference(chosen) | remainders.untold(plan, lefts)
    nudges = (plan.nudges | called) - {holder.sidecar_id}
    outdated = frozenset(levels.outdated) - {holder.sidecar_id}
    return replace(
        answer,
        leases=told,
        named=granted.named,
        # Under an older policy a call may still name a budget that ended: the newer one, which is
        # on its way, says which budgets it needs instead.
        hopeless=plan.hopeless if report.policy_acked >= answer.policy_version else (),
        next_sync_ms=offering.next_sync_ms(
            told,
            now_unix_ms,
            waits=waits,
            watches=watching(holder.sidecar_id, report.incarnation),
            nudged=bool(nudges),
        ),
        recalls=plan.recalls,
        nudges=answer.nudges | levels.take_nudges(nudges | outdated, now_unix_ms),
        lefts=lefts,
        offers=offering.offers(tx, chosen, levels, found, answer.generation, now_unix_ms),
    )


def _without_money(
    holder: Holder,
    levels: Levels,
    situation: Situation,
    found: granting.Gathering,
    answer: Answer,
) -> Answer:
    """Authority for what is held, and nothing new, until every sidecar has spoken."""
    plan = _no_change(situation)
    return replace(
        answer,
        status=Status.LEARNING,
        leases=granting.answers(holder, levels, situation, plan, found),
        next_sync_ms=limits.SYNC_SOON_MS,
    )


def _no_change(situation: Situation) -> Plan:
    """Everything stays where it is."""
    keeps = {
        key: situation.have_nano_usd(situation.asker, key)
        for key in situation.wanted
        if key in situation.periods
    }
    return Plan((), (), keeps, (), frozenset(), situation.reservations, ())
