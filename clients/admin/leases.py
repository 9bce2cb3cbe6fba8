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
    """Until when the sidecar may start calls on it if it hears nothing more, at the latest."""
    lump_nano_usd: int
    """What is charged as a lump, estimated, because nobody knows what was spent of it."""
    released_nano_usd: int
    """What a named person gave back to the budget, taking it for unspent."""
    orphan_time: datetime | None
    """Since when it is orphaned; None when it never was."""
    orphan_cause: str
    """Why it is orphaned: lost, fenced or revoked."""

    @property
    def left_nano_usd(self) -> int:
        """What the sidecar still has of it, open calls included."""
        return self.granted_nano_usd - self.returned_nano_usd - self.spent_nano_usd


@dataclass(frozen=True, slots=True, kw_only=True)
class Orphan:
    """A lease whose journal is lost or not trusted any more."""

    lease: Lease
    """The lease."""
    held_back_nano_usd: int
    """What is held back for it: may have been spent, and nobody decided about it."""
    overshoot_max_nano_usd: int
    """What its budget may be passed by if it is released and was spent after all."""
    sidecar_name: str
    """The sidecar's name."""
    budget_name: str
    """The budget's name."""
    period_end_time: datetime | None
    """When the window ends and what is held back is charged; None for a single window."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecidedOrphans:
    """What was decided about orphans."""

    orphans: tuple[Orphan, ...]
    """Those that it concerns, as they are now."""
    decided_nano_usd: int
    """What was charged or released in all. Counts once per budget."""
    overshoot_max_nano_usd: int
    """What budgets may be passed by because of it, summed; 0 after a charge."""
    remaining_count: int
    """Leases that are not decided yet: one request takes 1,000."""
    remaining_nano_usd: int
    """What is to be expected of them by the next request."""


class Leases:
    """Reads leases, and decides about money whose journal is lost."""

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

    def orphans(
        self, *, budget_id: str = "", sidecar_id: str = "", show_decided: bool = False
    ) -> Iterator[Orphan]:
        """Yield leases whose journal is lost; those too that are decided, when asked for."""

        def fetch(token: str) -> v1.ListOrphansResponse:
            request = v1.ListOrphansRequest(
                page_size=PAGE_ITEMS,
                page_token=token,
                budget_id=budget_id,
                sidecar_id=sidecar_id,
                show_decided=show_decided,
            )
            return self._wire.ask(self._stub.ListOrphans, request)

        return self._wire.pages(fetch, lambda page: map(orphan_from_wire, page.orphans))

    def charge_orphans(
        self,
        sidecar_id: str,
        *,
        expected_nano_usd: int,
        reason: str,
        budget_id: str = "",
        period_id: str = "",
        request_id: str = "",
    ) -> DecidedOrphans:
        """Charge what a sidecar's orphans hold back as lumps; evidence takes their place later.

        Raises FailedPreconditionError when it is another amount than was expected.
        """
        request = v1.ChargeOrphansRequest(
            request_id=request_id or self._wire.request_id(),
            sidecar_id=sidecar_id,
            budget_id=budget_id,
            period_id=period_id,
            expected_nano_usd=expected_nano_usd,
            reason=reason,
        )
        return decided_from_wire(self._wire.ask(self._stub.ChargeOrphans, request))

    def release_orphans(
        self,
        sidecar_id: str,
        *,
        expected_nano_usd: int,
        reason: str,
        budget_id: str = "",
        period_id: str = "",
        request_id: str = "",
    ) -> DecidedOrphans:
        """Give what a sidecar's orphans hold back, or were charged, back to the budgets.

        What was spent of it all the same is booked when it is told, and may pass the cap. Raises
        FailedPreconditionError when it is another amount than was expected.
        """
        request = v1.ReleaseOrphansRequest(
            request_id=request_id or self._wire.request_id(),
            sidecar_id=sidecar_id,
            budget_id=budget_id,
            period_id=period_id,
            expected_nano_usd=expected_nano_usd,
            reason=reason,
        )
        return decided_from_wire(self._wire.ask(self._stub.ReleaseOrphans, request))


def orphan_from_wire(wire: v1.Orphan) -> Orphan:
    """Read an orphan."""
    return Orphan(
        lease=lease_from_wire(wire.lease),
        held_back_nano_usd=wire.held_back_nano_usd,
        overshoot_max_nano_usd=wire.overshoot_max_nano_usd,
        sidecar_name=wire.sidecar_name,
        budget_name=wire.budget_name,
        period_end_time=instant_or_none_from_wire(wire.period_end_time),
    )


def decided_from_wire(wire: v1.DecideOrphansResponse) -> DecidedOrphans:
    """Read what was decided."""
    return DecidedOrphans(
        orphans=tuple(orphan_from_wire(orphan) for orphan in wire.orphans),
        decided_nano_usd=wire.decided_nano_usd,
        overshoot_max_nano_usd=wire.overshoot_max_nano_usd,
        remaining_count=wire.remaining_count,
        remaining_nano_usd=wire.remaining_nano_usd,
    )


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
        lump_nano_usd=wire.lump_nano_usd,
        released_nano_usd=wire.released_nano_usd,
        orphan_time=instant_or_none_from_wire(wire.orphan_time),
        orphan_cause=wire.orphan_cause,
    )
