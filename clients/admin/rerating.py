"""Re-rating: what calls would have cost by another version of their price."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from clients.admin.instants import instant_to_wire
from clients.admin.wire import Wire
from protos.bursar.admin import v1


@dataclass(frozen=True, slots=True, kw_only=True)
class ReratedProject:
    """The corrections of one project."""

    project_id: str
    """The project."""
    call_count: int
    """Calls that are corrected."""
    before_nano_usd: int
    """What they cost before."""
    after_nano_usd: int
    """What they cost after."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rerating:
    """The corrections that calls need, or got."""

    projects: tuple[ReratedProject, ...]
    """The sums by project."""
    estimated_count: int
    """Calls that are left as they are, because their cost is an estimate."""
    told_count: int
    """Calls that are left as they are, because their provider said what they cost in money."""
    unpriceable_count: int
    """Calls that used what the price has no rate for; left as they are too."""
    price_version: str
    """The version that they were held against."""


class Reratings:
    """Corrects what calls cost. Entries are added, and none is edited."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._stub = v1.PriceServiceStub(wire.channel)

    def query(
        self,
        provider: str,
        model: str,
        *,
        start_time: datetime,
        end_time: datetime,
        price_version: str = "",
    ) -> Rerating:
        """What the calls of a time would be corrected by. Changes nothing."""
        question = _question(provider, model, price_version, start_time, end_time)
        return _whole(question, lambda part: self._wire.ask(self._stub.QueryRerating, part))

    def apply(
        self,
        provider: str,
        model: str,
        *,
        start_time: datetime,
        end_time: datetime,
        price_version: str = "",
        reason: str = "",
    ) -> Rerating:
        """Correct the calls of a time, a part at a time; doing it again finds what came since."""
        question = _question(provider, model, price_version, start_time, end_time)

        def correct(part: v1.QueryReratingRequest) -> v1.Rerating:
            request = v1.RerateCallsRequest(
                request_id=self._wire.request_id(), question=part, reason=reason
            )
            return self._wire.ask(self._stub.RerateCalls, request)

        return _whole(question, correct)


def _question(
    provider: str, model: str, price_version: str, start_time: datetime, end_time: datetime
) -> v1.QueryReratingRequest:
    return v1.QueryReratingRequest(
        provider=provider,
        model=model,
        price_version=price_version,
        start_time=instant_to_wire(start_time),
        end_time=instant_to_wire(end_time),
    )


def _whole(
    question: v1.QueryReratingRequest, ask: Callable[[v1.QueryReratingRequest], v1.Rerating]
) -> Rerating:
    """Ask part by part until the ledger's end, by one version, and sum the answers up."""
    sums: dict[str, ReratedProject] = {}
    estimated = told = unpriceable = 0
    while True:
        answer = ask(question)
        estimated += answer.estimated_count
        told += answer.told_count
        unpriceable += answer.unpriceable_count
        for one in answer.projects:
            before = sums.get(one.project_id)
            sums[one.project_id] = ReratedProject(
                project_id=one.project_id,
                call_count=one.call_count + (before.call_count if before else 0),
                before_nano_usd=one.before_nano_usd + (before.before_nano_usd if before else 0),
                after_nano_usd=one.after_nano_usd + (before.after_nano_usd if before else 0),
            )
        if not answer.more:
            break
        question.price_version = answer.price_version
        question.after_position = answer.position
    return Rerating(
        projects=tuple(sums[project_id] for project_id in sorted(sums)),
        estimated_count=estimated,
        told_count=told,
        unpriceable_count=unpriceable,
        price_version=answer.price_version,
    )
