"""Leases as people see them: where money is, and what becomes of it where its journal is lost."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from control_plane import limits
from control_plane.core import evidence, fields, pages
from control_plane.core.budgets import Budget
from control_plane.core.evidence import Move
from control_plane.core.leases import Lease, PeriodKey
from control_plane.core.log import Decided, LeaseView, OrphanFilter, OrphanView
from control_plane.core.pages import Asked, Page
from control_plane.core.sidecars import Sidecar
from control_plane.store import budgets, periods, sidecars
from control_plane.store import leases as store
from control_plane.store.engine import Tx
from control_plane.usecases import reach, unknown
from control_plane.usecases.acts import Act, record
from control_plane.usecases.levels import Levels
from control_plane.usecases.moves import carry_out
from control_plane.usecases.unknown import UNKNOWN
from protos.values import ids
from protos.values.errors import (
    FailedPreconditionError,
    NotFoundError,
)
from protos.values.money import nano_to_usd

_KEY = (str, int, str, str, str)


def list_leases(
    tx: Tx, asked: Asked, *, budget_id: str, sidecar_id: str, levels: Levels
) -> Page[LeaseView]:
    """Leases that still hold money."""
    filters = {"list": "leases", "budget": budget_id, "sidecar": sidecar_id}
    wanted = pages.begin(asked, filters, _KEY)
    rows = store.page(
        tx,
        after=_after(wanted.after),
        limit=wanted.limit,
        budget_id=budget_id,
        sidecar_id=sidecar_id,
    )
    page = pages.finish(rows, wanted, filters, _key_of)
    around = _Around(tx)
    return page.map(
        lambda lease: around.view(lease, levels.held_nano_usd(lease.key, lease.holder.sidecar_id))
    )


def list_orphans(tx: Tx, asked: Asked, wanted: OrphanFilter) -> Page[OrphanView]:
    """Leases whose journal is lost or not trusted any more."""
    filters = {
        "list": "orphans",
        "budget": wanted.budget_id,
        "sidecar": wanted.sidecar_id,
        "decided": str(wanted.show_decided),
    }
    slice_ = pages.begin(asked, filters, _KEY)
    rows = store.orphans_page(tx, wanted, _after(slice_.after), slice_.limit)
    return pages.finish(rows, slice_, filters, _key_of).map(_Around(tx).orphan)


def charge_orphans(
    tx: Tx, wanted: OrphanFilter, expected_nano_usd: int, reason: str, act: Act
) -> Decided:
    """Charge what orphans hold back as lumps. Evidence that comes later takes their place."""
    chosen = replace(wanted, show_decided=False)
    found = _chosen(tx, chosen, expected_nano_usd, reason)
    amount_nano_usd = sum(lease.held_back_nano_usd for lease in found)
    return _decide(tx, chosen, found, evidence.charged, amount_nano_usd, 0, reason, act)


def release_orphans(
    tx: Tx, wanted: OrphanFilter, expected_nano_usd: int, reason: str, act: Act
) -> Decided:
    """Give what orphans hold back, or were charged as lumps, back to the budgets.

    What was spent of it all the same is booked when it is told, with an alarm.
    """
    chosen = replace(wanted, show_decided=True)
    found = _chosen(tx, chosen, expected_nano_usd, reason)
    amount_nano_usd = sum(lease.held_back_nano_usd + lease.lump_nano_usd for lease in found)
    around = _Around(tx)
    overshoot = sum(around.orphan(lease).overshoot_max_nano_usd for lease in found)
    return _decide(tx, chosen, found, evidence.released, amount_nano_usd, overshoot, reason, act)


def _chosen(tx: Tx, wanted: OrphanFilter, expected_nano_usd: int, reason: str) -> Sequence[Lease]:
    """The orphans that a decision concerns: of all that the person saw, as many as one may take."""
    if not fields.check_reason(reason):
        raise fields.invalid("reason", "a decision about lost money needs a reason")
    if wanted.sidecar_id != UNKNOWN.sidecar_id:
        fields.check_id(wanted.sidecar_id, ids.SIDECAR, "sidecar_id")
        if sidecars.get(tx, wanted.sidecar_id) is None:
            raise NotFoundError(
                f"there is no sidecar {wanted.sidecar_id}", sidecar_id=wanted.sidecar_id
            )
    found, _, amount_nano_usd = store.undecided(tx, wanted, limits.DECIDED_LEASES_MAX)
    if not found:
        raise NotFoundError(
            "nothing is set aside there: `bursar lease orphans` shows what is",
            sidecar_id=wanted.sidecar_id,
        )
    if amount_nano_usd != expected_nano_usd:
        raise FailedPreconditionError(
            f"it is {nano_to_usd(amount_nano_usd)} now and not {nano_to_usd(expected_nano_usd)}: "
            "evidence came in meanwhile; look again and decide anew",
            amount_nano_usd=str(amount_nano_usd),
        )
    return found


def _decide(
    tx: Tx,
    wanted: OrphanFilter,
    found: Sequence[Lease],
    step: Callable[[Lease], Move],
    amount_nano_usd: int,
    overshoot_max_nano_usd: int,
    reason: str,
    act: Act,
) -> Decided:
    after = []
    for lease in found:
        move = step(lease)
        carry_out(tx, move, act.now_unix_ms)
        _follow(tx, move, act.now_unix_ms)
        after.append(move.lease)
    periods.open_unsettled(tx, {lease.key for lease in found})
    record(
        tx,
        act,
        wanted.sidecar_id,
        budget_id=wanted.budget_id,
        period_id=wanted.period_id,
        leases=len(found),
        decided_nano_usd=amount_nano_usd,
        overshoot_max_nano_usd=overshoot_max_nano_usd,
        reason=reason,
    )
    _, remaining_count, remaining_nano_usd = store.undecided(tx, wanted, 0)
    around = _Around(tx)
    return Decided(
        tuple(map(around.orphan, after)),
        amount_nano_usd,
        overshoot_max_nano_usd,
        remaining_count,
        remaining_nano_usd,
    )


def _follow(tx: Tx, move: Move, now_unix_ms: int) -> None:
    """What one gives up that has not spoken since a restore, another may have got before it.

    That it is unspent there says nothing about the others: it is held for them until somebody
    decides about that too.
    """
    freed_nano_usd = -move.allocated_nano_usd
    holder = move.lease.holder
    if freed_nano_usd and holder != UNKNOWN and not sidecars.has_spoken(tx, holder):
        unknown.follow(tx, move.lease.key, freed_nano_usd, now_unix_ms)


class _Around:
    """Reads what stands around leases, each sidecar and budget once."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx
        self._sidecars: dict[str, Sidecar | None] = {}
        self._budgets: dict[str, Budget | None] = {}

    def view(self, lease: Lease, held_nano_usd: int = 0) -> LeaseView:
        """A lease with its authority."""
        sidecar = self._sidecar(lease)
        end = None
        if sidecar is not None:
            end = reach.authority_end_unix_ms(self._budget(lease), lease, sidecar)
        return LeaseView(lease, held_nano_usd, end)

    def orphan(self, lease: Lease) -> OrphanView:
        """An orphan with what a decision about it must know."""
        sidecar, budget = self._sidecar(lease), self._budget(lease)
        period = periods.get(self._tx, lease.key)
        assert period is not None
        may_be_spent_again = lease.held_back_nano_usd + lease.lump_nano_usd if period.open else 0
        return OrphanView(
            view=self.view(lease),
            sidecar_name=sidecar.display_name if sidecar else lease.holder.sidecar_id,
            budget_name=budget.display_name if budget else lease.key.budget_id,
            period_end_unix_ms=period.end_unix_ms,
            overshoot_max_nano_usd=may_be_spent_again,
        )

    def _sidecar(self, lease: Lease) -> Sidecar | None:
        sidecar_id = lease.holder.sidecar_id
        if sidecar_id not in self._sidecars:
            self._sidecars[sidecar_id] = sidecars.get(self._tx, sidecar_id)
        return self._sidecars[sidecar_id]

    def _budget(self, lease: Lease) -> Budget | None:
        budget_id = lease.key.budget_id
        if budget_id not in self._budgets:
            self._budgets[budget_id] = budgets.get(self._tx, budget_id)
        return self._budgets[budget_id]


def _after(after: pages.After | None) -> tuple[str, int, PeriodKey] | None:
    if after is None:
        return None
    sidecar, epoch, *period = after
    return str(sidecar), int(epoch), PeriodKey(*[str(part) for part in period])


def _key_of(lease: Lease) -> tuple[str, int, str, str, str]:
    key = lease.key
    return lease.holder.sidecar_id, lease.holder.epoch, key.budget_id, key.partition, key.period_id
