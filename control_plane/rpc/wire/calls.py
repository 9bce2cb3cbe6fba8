"""Booked calls, sums and refusals on the wire."""

from control_plane.core.log import CallFilter, LoggedCall, RefusalMinute
from control_plane.core.usage import Sums, UsageAnswer, UsageQuestion, UsageRow
from control_plane.rpc.wire.instants import instant_from_wire, instant_to_wire
from control_plane.usecases.calls import TailStart
from protos.bursar.admin import v1


def call_to_wire(logged: LoggedCall) -> v1.Call:
    """A call as the ledger has it."""
    call = logged.call
    return v1.Call(
        call_id=call.call_id,
        start_time=instant_to_wire(call.started_unix_ms),
        end_time=instant_to_wire(call.ended_unix_ms),
        project_id=call.project_id,
        key_id=call.key_id,
        secret_id=call.secret_id,
        workflow=call.workflow,
        execution=call.execution,
        step=call.step,
        region=call.region,
        sidecar_id=logged.sidecar_id,
        provider=call.provider,
        surface=call.surface,
        requested_model=call.requested_model,
        answered_model=call.answered_model,
        alias=call.alias,
        tier=call.tier,
        streamed=call.streamed,
        outcome=call.outcome,
        error_kind=call.error_kind,
        status=call.status,
        first_byte_ms=call.first_byte_ms,
        quantities=dict(call.quantities),
        price_version=call.price_version,
        worst_nano_usd=call.worst_nano_usd,
        cost_nano_usd=call.cost_nano_usd,
        charge_nano_usd=logged.charge_nano_usd,
        estimated=call.estimated,
        parent_call_id=call.parent_call_id,
        provider_request_id=call.provider_request_id,
        position=logged.position,
        variant=call.variant,
        routed=call.routed,
        provider_secret_id=call.provider_secret_id,
        rate_card_version=logged.rate_card_version,
        corrections=[
            v1.CallCorrection(
                price_version=one.price_version,
                before_nano_usd=one.before_nano_usd,
                after_nano_usd=one.after_nano_usd,
                principal_id=one.actor,
                reason=one.reason,
                create_time=instant_to_wire(one.booked_unix_ms),
            )
            for one in logged.corrections
        ],
    )


def tail_start_from_wire(request: v1.TailCallsRequest) -> TailStart:
    """From where on to stream."""
    return TailStart(
        request.after_position, request.from_start, instant_from_wire(request, "start_time")
    )


def call_filter_from_wire(request: v1.ListCallsRequest) -> CallFilter:
    """Which calls are asked for."""
    return CallFilter(
        project_id=request.project_id,
        workflow=request.workflow,
        start_unix_ms=instant_from_wire(request, "start_time"),
        end_unix_ms=instant_from_wire(request, "end_time"),
    )


def question_from_wire(request: v1.QueryUsageRequest) -> UsageQuestion:
    """What to sum, and how."""
    return UsageQuestion(
        group_by=tuple(request.group_by),
        project_id=request.project_id,
        start_unix_ms=instant_from_wire(request, "start_time"),
        end_unix_ms=instant_from_wire(request, "end_time"),
        time_zone=request.time_zone,
    )


def answer_to_wire(answer: UsageAnswer) -> v1.QueryUsageResponse:
    """The sums."""
    return v1.QueryUsageResponse(
        rows=[usage_row_to_wire(row) for row in answer.rows],
        total=usage_row_to_wire(UsageRow((), answer.total)),
        start_time=instant_to_wire(answer.start_unix_ms),
        end_time=instant_to_wire(answer.end_unix_ms),
        time_zone=answer.time_zone,
        lump_nano_usd=answer.lump_nano_usd,
    )


def refusal_to_wire(refusal: RefusalMinute) -> v1.Refusal:
    """Calls that were refused in one minute."""
    return v1.Refusal(
        minute=instant_to_wire(refusal.minute_unix_ms),
        sidecar_id=refusal.sidecar_id,
        project_id=refusal.project_id,
        key_id=refusal.key_id,
        workflow=refusal.workflow,
        model=refusal.model,
        reason=refusal.reason,
        budget_id=refusal.budget_id,
        count=refusal.count,
        sample=refusal.sample,
    )


def usage_row_to_wire(row: UsageRow) -> v1.UsageRow:
    """A sum."""
    sums: Sums = row.sums
    return v1.UsageRow(
        group=row.group,
        call_count=sums.call_count,
        failed_count=sums.failed_count,
        estimated_count=sums.estimated_count,
        input_count=sums.input_count,
        output_count=sums.output_count,
        cost_nano_usd=sums.cost_nano_usd,
        charge_nano_usd=sums.charge_nano_usd,
        charged_cost_nano_usd=sums.charged_cost_nano_usd,
        held_nano_usd=sums.held_nano_usd,
        held_cost_nano_usd=sums.held_cost_nano_usd,
    )
