"""Leases as people see them: where money is."""

from control_plane.core import pages
from control_plane.core.leases import Lease, PeriodKey
from control_plane.core.log import LeaseView
from control_plane.core.pages import Asked, Page
from control_plane.store import leases as store
from control_plane.store.engine import Tx
from control_plane.usecases.levels import Levels


def list_leases(
    tx: Tx, asked: Asked, *, budget_id: str, sidecar_id: str, levels: Levels
) -> Page[LeaseView]:
    """Leases that still hold money."""
    filters = {"list": "leases", "budget": budget_id, "sidecar": sidecar_id}
    wanted = pages.begin(asked, filters, (str, int, str, str, str))
    after = None
    if wanted.after is not None:
        sidecar, epoch, *period = wanted.after
        after = (str(sidecar), int(epoch), PeriodKey(*[str(part) for part in period]))
    rows = store.page(
        tx, after=after, limit=wanted.limit, budget_id=budget_id, sidecar_id=sidecar_id
    )
    page = pages.finish(rows, wanted, filters, _key_of)
    return page.map(
        lambda lease: LeaseView(lease, levels.held_nano_usd(lease.key, lease.holder.sidecar_id))
    )


def _key_of(lease: Lease) -> tuple[str, int, str, str, str]:
    key = lease.key
    return lease.holder.sidecar_id, lease.holder.epoch, key.budget_id, key.partition, key.period_id
