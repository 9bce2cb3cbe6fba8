"""Rate cards, and what they need to know of a month and of runs to charge a call."""

from dataclasses import dataclass

from control_plane.core.pages import Slice
from control_plane.core.rate_cards import Charged, RateCard
from control_plane.store.engine import Row, Tx, Value


@dataclass(frozen=True, slots=True)
class ChargedCall:
    """What of a charged call a correction of its cost needs."""

    project_id: str
    workflow: str
    execution: str
    started_unix_ms: int
    charge_nano_usd: int
    included_nano_usd: int
    version: str
    begins_execution: bool


def insert(tx: Tx, card: RateCard, now_unix_ms: int) -> None:
    """Add a card."""
    tx.run(
        """INSERT INTO rate_card (project_id, valid_from_unix_ms, version, markup_ppm,
             per_call_nano_usd, per_execution_nano_usd, included_nano_usd, created_unix_ms)
           VALUES (:project, :valid_from, :version, :markup, :per_call, :per_execution, :included,
             :now)""",
        {
            "project": card.project_id,
            "valid_from": card.valid_from_unix_ms,
            "version": card.version,
            "markup": card.markup_ppm,
            "per_call": card.per_call_nano_usd,
            "per_execution": card.per_execution_nano_usd,
            "included": card.included_nano_usd,
            "now": now_unix_ms,
        },
    )


def of_project(tx: Tx, project_id: str) -> list[RateCard]:
    """All cards of a project, those that were replaced too."""
    rows = tx.rows("SELECT * FROM rate_card WHERE project_id = :project", {"project": project_id})
    return [_from_row(row) for row in rows]


def page(tx: Tx, asked: Slice, project_id: str) -> list[RateCard]:
    """The cards of a project, in the order in which they begin."""
    after = asked.after or (-1, "")
    rows = tx.rows(
        """SELECT * FROM rate_card
           WHERE project_id = :project AND (valid_from_unix_ms, version) > (:at, :version)
           ORDER BY valid_from_unix_ms, version LIMIT :limit""",
        {"project": project_id, "at": after[0], "version": after[1], "limit": asked.limit},
    )
    return [_from_row(row) for row in rows]


def used_nano_usd(tx: Tx, project_id: str, month: str) -> int:
    """What of a month's allowance is used up."""
    row = tx.row(
        "SELECT used_nano_usd FROM allowance WHERE project_id = :project AND month = :month",
        {"project": project_id, "month": month},
    )
    return int(row["used_nano_usd"]) if row is not None else 0


def use(tx: Tx, project_id: str, month: str, more_nano_usd: int) -> None:
    """Use up so much more of a month's allowance; less when it is negative."""
    if not more_nano_usd:
        return
    params: dict[str, Value] = {"project": project_id, "month": month, "more": more_nano_usd}
    changed = tx.run(
        """UPDATE allowance SET used_nano_usd = used_nano_usd + :more
           WHERE project_id = :project AND month = :month""",
        params,
    )
    if not changed:
        tx.run(
            """INSERT INTO allowance (project_id, month, used_nano_usd)
               VALUES (:project, :month, :more)""",
            params,
        )


def begin_execution(tx: Tx, project_id: str, workflow: str, execution: str, call_id: str) -> bool:
    """Whether this is the first charged call of a run; from now on another one is not."""
    changed = tx.run(
        """INSERT INTO charged_execution (project_id, workflow, execution, call_id)
           VALUES (:project, :workflow, :execution, :call)
           ON CONFLICT (project_id, workflow, execution) DO NOTHING""",
        {"project": project_id, "workflow": workflow, "execution": execution, "call": call_id},
    )
    return changed == 1


def give_up_execution(tx: Tx, call: ChargedCall) -> str | None:
    """Let a run's first charged call be so no more; returns the call that is it now, if any is."""
    run = {"project": call.project_id, "workflow": call.workflow, "execution": call.execution}
    tx.run(
        """DELETE FROM charged_execution
           WHERE project_id = :project AND workflow = :workflow AND execution = :execution""",
        run,
    )
    row = tx.row(
        """SELECT call_id FROM call
           WHERE project_id = :project AND workflow = :workflow AND execution = :execution
             AND execution <> '' AND cost_nano_usd > 0 AND rate_card_version <> ''
           ORDER BY position LIMIT 1""",
        run,
    )
    if row is None:
        return None
    begin_execution(tx, call.project_id, call.workflow, call.execution, row["call_id"])
    return str(row["call_id"])


def charge_call(
    tx: Tx, call_id: str, charged: Charged, version: str, *, begins_execution: bool
) -> None:
    """Note what a call is charged, and by which card."""
    changed = tx.run(
        """UPDATE call SET charge_nano_usd = :charge, included_nano_usd = :included,
             rate_card_version = :version, begins_execution = :begins
           WHERE call_id = :call""",
        {
            "call": call_id,
            "charge": charged.charge_nano_usd,
            "included": charged.included_nano_usd,
            "version": version,
            "begins": int(begins_execution),
        },
    )
    assert changed == 1


def charged_call(tx: Tx, call_id: str) -> ChargedCall | None:
    """What a call was charged; None when it was charged nothing, for want of a card."""
    row = tx.row(
        "SELECT * FROM call WHERE call_id = :call AND rate_card_version <> ''", {"call": call_id}
    )
    if row is None:
        return None
    return ChargedCall(
        project_id=row["project_id"],
        workflow=row["workflow"],
        execution=row["execution"],
        started_unix_ms=row["started_unix_ms"],
        charge_nano_usd=row["charge_nano_usd"],
        included_nano_usd=row["included_nano_usd"],
        version=row["rate_card_version"],
        begins_execution=bool(row["begins_execution"]),
    )


def _from_row(row: Row) -> RateCard:
    return RateCard(
        project_id=row["project_id"],
        version=row["version"],
        valid_from_unix_ms=row["valid_from_unix_ms"],
        markup_ppm=row["markup_ppm"],
        per_call_nano_usd=row["per_call_nano_usd"],
        per_execution_nano_usd=row["per_execution_nano_usd"],
        included_nano_usd=row["included_nano_usd"],
    )
