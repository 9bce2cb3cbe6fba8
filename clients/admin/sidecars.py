"""Sidecars: the proxies on the hosts where workflows run."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from clients.admin.instants import (
    duration_to_wire,
    instant_from_wire,
    instant_or_none_from_wire,
)
from clients.admin.limits import PAGE_ITEMS
from clients.admin.policy import Reach, reach_from_wire
from clients.admin.wire import Wire
from protos.bursar.admin import v1


@dataclass(frozen=True, slots=True, kw_only=True)
class Sidecar:
    """A proxy on a host where workflows run."""

    sidecar_id: str
    """Made by the control plane, such as sdc_01jd…."""
    display_name: str
    """The host's name, or what the operator called it."""
    region: str
    """Its region; may be empty."""
    project_ids: tuple[str, ...]
    """Projects that it receives; empty for all."""
    software_version: str
    """Its software version."""
    epoch: int
    """The epoch of its journal."""
    create_time: datetime
    """When it joined."""
    last_seen_time: datetime | None
    """When it last spoke; None for never."""
    state: str
    """connected, silent, drained, fenced or revoked."""
    policy_acked: int
    """The policy version that it applies."""
    policy_refused: str
    """Why it could not take a newer policy; "" when it could."""
    leased_nano_usd: int
    """Money that it holds over all budgets. Counts once per budget."""
    open_calls: int
    """Calls that are open there, as last reported."""
    revoke_time: datetime | None
    """When it was revoked; None while it is not."""
    orphaned_nano_usd: int
    """Money that is set aside because its journal is lost or not trusted, and that nobody decided
    about. Counts once per budget."""
    stop_time: datetime | None
    """When, after its revocation, it said that it starts no calls; None while it has not."""
    fenced_why: str = ""
    """While it is fenced, why, and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokedSidecar:
    """A sidecar whose credential is good for evidence alone, and by when it can start no call."""

    sidecar: Sidecar
    """The sidecar."""
    reach: Reach
    """How far the revocation has come; only the sidecar itself is concerned."""
    orphaned_nano_usd: int
    """What it held and is set aside now, over all budgets. Counts once per budget."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinToken:
    """A one-time token with which a sidecar joins."""

    join_token: str = field(repr=False)
    """Its text, shown once."""
    expire_time: datetime
    """When it ends."""


class Sidecars:
    """Lets sidecars join and revokes them."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._stub = v1.SidecarAdminServiceStub(wire.channel)

    def create_join_token(
        self,
        *,
        project_ids: Sequence[str] = (),
        region: str = "",
        lifetime: timedelta | None = None,
        request_id: str = "",
    ) -> JoinToken:
        """Make a one-time token; for all projects when none is named, for 1 h when not told."""
        request = v1.CreateJoinTokenRequest(
            request_id=request_id or self._wire.request_id(),
            project_ids=project_ids,
            region=region,
            lifetime=duration_to_wire(lifetime),
        )
        answer = self._wire.ask(self._stub.CreateJoinToken, request)
        return JoinToken(
            join_token=answer.join_token, expire_time=instant_from_wire(answer.expire_time)
        )

    def list(self, *, show_revoked: bool = False) -> Iterator[Sidecar]:
        """Yield sidecars by name."""

        def fetch(token: str) -> v1.ListSidecarsResponse:
            request = v1.ListSidecarsRequest(
                page_size=PAGE_ITEMS, page_token=token, show_revoked=show_revoked
            )
            return self._wire.ask(self._stub.ListSidecars, request)

        return self._wire.pages(fetch, lambda page: map(sidecar_from_wire, page.sidecars))

    def revoke(self, sidecar_id: str, *, reason: str = "", request_id: str = "") -> RevokedSidecar:
        """End a sidecar's credential for all but evidence. What it reports later is recorded."""
        request = v1.RevokeSidecarRequest(
            request_id=request_id or self._wire.request_id(), sidecar_id=sidecar_id, reason=reason
        )
        answer = self._wire.ask(self._stub.RevokeSidecar, request)
        return RevokedSidecar(
            sidecar=sidecar_from_wire(answer.sidecar),
            reach=reach_from_wire(answer.reach),
            orphaned_nano_usd=answer.orphaned_nano_usd,
        )


def sidecar_from_wire(wire: v1.Sidecar) -> Sidecar:
    """Read a sidecar."""
    return Sidecar(
        sidecar_id=wire.sidecar_id,
        display_name=wire.display_name,
        region=wire.region,
        project_ids=tuple(wire.project_ids),
        software_version=wire.software_version,
        epoch=wire.epoch,
        create_time=instant_from_wire(wire.create_time),
        last_seen_time=instant_or_none_from_wire(wire.last_seen_time),
        state=wire.state,
        policy_acked=wire.policy_acked,
        policy_refused=wire.policy_refused,
        leased_nano_usd=wire.leased_nano_usd,
        open_calls=wire.open_calls,
        revoke_time=instant_or_none_from_wire(wire.revoke_time),
        orphaned_nano_usd=wire.orphaned_nano_usd,
        stop_time=instant_or_none_from_wire(wire.stop_time),
        fenced_why=wire.fenced_why,
    )
