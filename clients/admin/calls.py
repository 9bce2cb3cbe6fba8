"""Calls: what was used, as the ledger has it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Literal

from clients.admin import clock
from clients.admin.instants import (
    instant_from_wire,
    instant_to_wire,
)
from clients.admin.limits import BACKOFF_FIRST_MS, BACKOFF_MAX_MS, PAGE_ITEMS, TAIL_START_CALLS
from clients.admin.wire import Wire
from protos.bursar.admin import v1
from protos.values.errors import UnavailableError

Grouping = Literal["project", "workflow", "model", "key", "provider", "outcome", "day"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CallCorrection:
    """An entry that set right what a call cost, after its price was wrong."""

    price_version: str
    """The version of the price that should have held."""
    before_nano_usd: int
    """What the call cost before."""
    after_nano_usd: int
    """What it costs after."""
    principal_id: str
    """Who wrote it."""
    reason: str
    """Why."""
    create_time: datetime
    """When."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One attempt at a provider."""

    call_id: str
    """Made by the sidecar, such as call_01jd…."""
    start_time: datetime
    """When it was admitted."""
    end_time: datetime
    """When its last byte was seen."""
    project_id: str
    """The project that paid."""
    key_id: str
    """The gateway key."""
    secret_id: str
    """The secret of the key."""
    workflow: str
    """The workflow; "" when nothing named one."""
    execution: str
    """The workflow's execution."""
    step: str
    """The step within the workflow."""
    region: str
    """The region of the sidecar."""
    sidecar_id: str
    """The sidecar."""
    provider: str
    """The provider."""
    surface: str
    """The path that was called."""
    requested_model: str
    """The model that was asked for, by its id in the price book."""
    answered_model: str
    """The model that answered."""
    alias: str
    """What the caller wrote, when it was an alias."""
    tier: str
    """The service tier."""
    streamed: bool
    """Whether the answer was streamed."""
    outcome: str
    """How it ended: ok, provider_error, client_gone, broken, timeout, lost or not_sent."""
    error_kind: str
    """What went wrong; "" when nothing did."""
    status: int
    """The provider's HTTP status."""
    first_byte_ms: int
    """Milliseconds to the first byte."""
    quantities: Mapping[str, int]
    """What was used, by kind."""
    price_version: str
    """The price book version."""
    worst_nano_usd: int
    """What was held."""
    cost_nano_usd: int
    """What the provider charges, after corrections."""
    charge_nano_usd: int | None
    """What the client is charged; None until a rate card says so."""
    estimated: bool
    """The cost is a bound or an estimate."""
    parent_call_id: str
    """The call whose retry or fallback this is."""
    provider_request_id: str
    """The provider's own id of the request."""
    position: int
    """Where it stands in the ledger; rises with every booked call."""
    variant: str = ""
    """The variant of the price that it was charged by; empty for the standard rates."""
    rate_card_version: str = ""
    """The rate card that the client is charged by; empty without one."""
    routed: str = ""
    """Why it went to another model than the one that was named; "" when it did not."""
    provider_secret_id: str = ""
    """Which secret at the provider it was made with: an id, or such as "openai:1" for its own."""
    corrections: tuple[CallCorrection, ...] = ()
    """The entries that set its cost right, in their order; told by `get` alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageRow:
    """A sum over calls that share the values of the grouping."""

    group: tuple[str, ...]
    """The value of each grouping, in the order that was asked for."""
    call_count: int
    """Calls."""
    failed_count: int
    """Calls that did not end well."""
    estimated_count: int
    """Calls whose cost is an estimate."""
    input_count: int
    """Tokens of prompt, cached ones included."""
    output_count: int
    """Tokens of output."""
    cost_nano_usd: int
    """The cost."""
    charge_nano_usd: int = 0
    """What clients are charged, by their rate cards."""
    charged_cost_nano_usd: int = 0
    """What the calls cost that they are charged for: the margin is the charge less this."""
    held_nano_usd: int = 0
    """What was held for the calls that ended well and told their usage."""
    held_cost_nano_usd: int = 0
    """What those cost when they were booked; its share of that says how tight bounds are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Sums over a stretch of time."""

    rows: tuple[UsageRow, ...]
    """The sums, largest cost first; days in order."""
    total: UsageRow
    """The sum of all rows."""
    start_time: datetime
    """From when, as used."""
    end_time: datetime
    """Until when, as used."""
    time_zone: str
    """The time zone in which days are counted."""
    lump_nano_usd: int
    """What was charged as lumps for lost sidecars, in periods that begin within the time: in no row
    and not in the total, because no call is known for it. Of each client taken once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Calls that were refused in one minute."""

    minute: datetime
    """The minute."""
    sidecar_id: str
    """The sidecar that refused."""
    project_id: str
    """The project; "" when the key was unknown."""
    key_id: str
    """The key; "" when it was unknown."""
    workflow: str
    """The workflow."""
    model: str
    """The model that was asked for."""
    reason: str
    """The reason, such as exhausted, too_large, busy, unreachable or invalid_key."""
    budget_id: str
    """The budget in the headline."""
    count: int
    """How many."""
    sample: str
    """One message, as a caller got it."""


class Calls:
    """Reads calls, sums and refusals. Nothing here changes anything."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._stub = v1.CallServiceStub(wire.channel)

    def get(self, call_id: str) -> Call:
        """Read one call."""
        request = v1.GetCallRequest(call_id=call_id)
        return call_from_wire(self._wire.ask(self._stub.GetCall, request))

    def list(
        self,
        *,
        project_id: str = "",
        workflow: str = "",
        start_time: datetime | None = None,
        end_time: datetime | None = None,
    ) -> Iterator[Call]:
        """Yield calls, newest first."""
        start, end = instant_to_wire(start_time), instant_to_wire(end_time)

        def fetch(token: str) -> v1.ListCallsResponse:
            request = v1.ListCallsRequest(
                page_size=PAGE_ITEMS,
                page_token=token,
                project_id=project_id,
                workflow=workflow,
                start_time=start,
                end_time=end,
            )
            return self._wire.ask(self._stub.ListCalls, request)

        return self._wire.pages(fetch, lambda page: map(call_from_wire, page.calls))

    def tail(
        self,
        *,
        project_id: str = "",
        after_position: int = 0,
        from_start: bool = False,
        start_time: datetime | None = None,
        on_interruption: Callable[[UnavailableError], None] | None = None,
    ) -> Iterator[Call]:
        """Yield calls as they are booked, for ever: from now, a position, a time or the first on.

        When the connection breaks, `on_interruption` is told and the tail goes on behind the last
        call that it yielded, so that none is missed and none comes twice.
        """
        position = after_position
        if not position and not from_start and start_time is None:
            position = self._newest_position(project_id)
        backoff_ms = BACKOFF_FIRST_MS
        while True:
            request = v1.TailCallsRequest(
                project_id=project_id,
                after_position=position,
                from_start=from_start,
                start_time=instant_to_wire(start_time),
            )
            try:
                for wire in self._wire.stream(self._stub.TailCalls, request, deadline_ms=None):
                    position = max(position, wire.position)
                    backoff_ms = BACKOFF_FIRST_MS
                    yield call_from_wire(wire)
            except UnavailableError as error:
                if on_interruption is not None:
                    on_interruption(error)
            clock.pause_ms(backoff_ms)
            backoff_ms = min(2 * backoff_ms, BACKOFF_MAX_MS)

    def usage(
        self,
        *,
        group_by: Sequence[Grouping] = (),
        project_id: str = "",
        start_time: datetime | None = None,
        end_time: datetime | None = None,
        time_zone: str = "",
    ) -> Usage:
        """Sum calls; from the start of the current month until now when no time is given."""
        request = v1.QueryUsageRequest(
            group_by=group_by,
            project_id=project_id,
            start_time=instant_to_wire(start_time),
            end_time=instant_to_wire(end_time),
            time_zone=time_zone,
        )
        return usage_from_wire(self._wire.ask(self._stub.QueryUsage, request))

    def refusals(self, *, project_id: str = "") -> Iterator[Refusal]:
        """Yield refused calls by minute, newest first."""

        def fetch(token: str) -> v1.ListRefusalsResponse:
            request = v1.ListRefusalsRequest(
                page_size=PAGE_ITEMS, page_token=token, project_id=project_id
            )
            return self._wire.ask(self._stub.ListRefusals, request)

        return self._wire.pages(fetch, lambda page: map(refusal_from_wire, page.refusals))

    def _newest_position(self, project_id: str) -> int:
        """Where the ledger stands, so that a tail that breaks early knows where to go on.

        Calls come by their start, not by their booking, so this can lie a little too low, never
        too high: a tail may begin with a call that was booked just before it.
        """
        newest = islice(self.list(project_id=project_id), TAIL_START_CALLS)
        return max((call.position for call in newest), default=0)


def call_from_wire(wire: v1.Call) -> Call:
    """Read a call."""
    return Call(
        call_id=wire.call_id,
        start_time=instant_from_wire(wire.start_time),
        end_time=instant_from_wire(wire.end_time),
        project_id=wire.project_id,
        key_id=wire.key_id,
        secret_id=wire.secret_id,
        workflow=wire.workflow,
        execution=wire.execution,
        step=wire.step,
        region=wire.region,
        sidecar_id=wire.sidecar_id,
        provider=wire.provider,
        surface=wire.surface,
        requested_model=wire.requested_model,
        answered_model=wire.answered_model,
        alias=wire.alias,
        tier=wire.tier,
        streamed=wire.streamed,
        outcome=wire.outcome,
        error_kind=wire.error_kind,
        status=wire.status,
        first_byte_ms=wire.first_byte_ms,
        quantities=dict(wire.quantities),
        price_version=wire.price_version,
        worst_nano_usd=wire.worst_nano_usd,
        cost_nano_usd=wire.cost_nano_usd,
        charge_nano_usd=wire.charge_nano_usd if wire.HasField("charge_nano_usd") else None,
        estimated=wire.estimated,
        parent_call_id=wire.parent_call_id,
        provider_request_id=wire.provider_request_id,
        position=wire.position,
        variant=wire.variant,
        rate_card_version=wire.rate_card_version,
        routed=wire.routed,
        provider_secret_id=wire.provider_secret_id,
        corrections=tuple(
            CallCorrection(
                price_version=one.price_version,
                before_nano_usd=one.before_nano_usd,
                after_nano_usd=one.after_nano_usd,
                principal_id=one.principal_id,
                reason=one.reason,
                create_time=instant_from_wire(one.create_time),
            )
            for one in wire.corrections
        ),
    )


def usage_row_from_wire(wire: v1.UsageRow) -> UsageRow:
    """Read a sum."""
    return UsageRow(
        group=tuple(wire.group),
        call_count=wire.call_count,
        failed_count=wire.failed_count,
        estimated_count=wire.estimated_count,
        input_count=wire.input_count,
        output_count=wire.output_count,
        cost_nano_usd=wire.cost_nano_usd,
        charge_nano_usd=wire.charge_nano_usd,
        charged_cost_nano_usd=wire.charged_cost_nano_usd,
        held_nano_usd=wire.held_nano_usd,
        held_cost_nano_usd=wire.held_cost_nano_usd,
    )


def usage_from_wire(wire: v1.QueryUsageResponse) -> Usage:
    """Read sums over a stretch of time."""
    return Usage(
        rows=tuple(usage_row_from_wire(row) for row in wire.rows),
        total=usage_row_from_wire(wire.total),
        start_time=instant_from_wire(wire.start_time),
        end_time=instant_from_wire(wire.end_time),
        time_zone=wire.time_zone,
        lump_nano_usd=wire.lump_nano_usd,
    )


def refusal_from_wire(wire: v1.Refusal) -> Refusal:
    """Read refused calls of one minute."""
    return Refusal(
        minute=instant_from_wire(wire.minute),
        sidecar_id=wire.sidecar_id,
        project_id=wire.project_id,
        key_id=wire.key_id,
        workflow=wire.workflow,
        model=wire.model,
        reason=wire.reason,
        budget_id=wire.budget_id,
        count=wire.count,
        sample=wire.sample,
    )
