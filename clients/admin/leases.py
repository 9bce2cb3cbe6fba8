"""Leases: where leased money is."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from clients.admin.instants import instant_or_none_from_wire
from clients.admin.limits import PAGE_ITEMS
from clients.admin.wire import Wire
from protos.bursar.admin import v1


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """Money of one budget period, held by one epoch of one sidecar."""

    sidecar_id: str
    """The sidecar."""
    epoch: int
    """The epoch of its journal."""
    budget_id: str
    """The budget."""
    partition: str
    """The partition; "" for a budget that is not split."""
    period_id: str
    """The period."""
    granted_nano_usd: int
    """All that was granted."""
    returned_nano_usd: int
    """All that was given back."""
    spent_nano_usd: int
    """All that was spent."""
    held_nano_usd: int
    """What open calls hold, as last reported."""
    state: str
    """ACTIVE, ORPHANED or CLOSED."""
    authority_end_time: datetime | None
    """Until when the sidecar may start calls, at the latest."""

    @property
    def left_nano_usd(self) -> int:
        """What the sidecar still has of it, open calls included."""
        return self.granted_nano_usd - self.returned_nano_usd - self.spent_nano_usd


class Leases:
    """Reads leases."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._stub = v1.LeaseServiceStub(wire.channel)

    def list(self, *, budget_id: str = "", sidecar_id: str = "") -> Iterator[Lease]:
        """Yield leases that still hold money."""

        def fetch(token: str) -> v1.ListLeasesResponse:
            request = v1.ListLeasesRequest(
                page_size=PAGE_ITEMS, page_token=token, budget_id=budget_id, sidecar_id=sidecar_id
            )
            return self._wire.ask(self._stub.ListLeases, request)

        return self._wire.pages(fetch, lambda page: map(lease_from_wire, page.leases))


def lease_from_wire(wire: v1.Lease) -> Lease:
    """Read a lease."""
    return Lease(
        sidecar_id=wire.sidecar_id,
        epoch=wire.epoch,
        budget_id=wire.budget_id,
        partition=wire.partition,
        period_id=wire.period_id,
        granted_nano_usd=wire.granted_nano_usd,
        returned_nano_usd=wire.returned_nano_usd,
        spent_nano_usd=wire.spent_nano_usd,
        held_nano_usd=wire.held_nano_usd,
        state=wire.state,
        authority_end_time=instant_or_none_from_wire(wire.authority_end_time),
    )
