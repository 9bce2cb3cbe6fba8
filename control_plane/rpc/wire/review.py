"""The monthly review and the model matrix on the wire."""

from control_plane.core.model_matrix import Cell, ModelMatrix, Move
from control_plane.core.review import ClientLine, ComingChange, Mover, Raise, Review
from control_plane.core.usage import Sums, UsageRow
from control_plane.rpc.wire.calls import usage_row_to_wire
from control_plane.rpc.wire.instants import instant_or_none_to_wire, instant_to_wire
from protos.bursar.admin import v1


def review_to_wire(review: Review) -> v1.Review:
    """One month over all clients."""
    return v1.Review(
        month=review.month.name,
        start_time=instant_to_wire(review.month.start_unix_ms),
        end_time=instant_to_wire(review.end_unix_ms),
        time_zone=review.month.time_zone,
        is_running=review.is_running,
        total=_sums(review.total),
        before=_sums(review.before),
        lump_nano_usd=review.lump_nano_usd,
        client_count=review.client_count,
        before_client_count=review.client_count_before,
        clients=map(_client, review.clients),
        models=[
            v1.ReviewModel(
                provider=line.provider,
                model=line.model,
                sums=_sums(line.sums),
                before=_sums(line.before),
            )
            for line in review.models
        ],
        movers=map(_mover, review.movers),
        is_by_workflow=review.is_by_workflow,
        errors=[
            v1.ReviewError(
                provider=line.provider,
                outcome=line.outcome,
                call_count=line.call_count,
                provider_call_count=line.provider_call_count,
            )
            for line in review.errors
        ],
        raises=map(_raise, review.raises),
        coming=map(_coming, review.coming),
        unused_keys=[
            v1.ReviewKey(
                key_id=line.key_id,
                display_name=line.key,
                project_id=line.project_id,
                last_use_time=instant_or_none_to_wire(line.last_used_unix_ms or None),
            )
            for line in review.unused_keys
        ],
    )


def _sums(sums: Sums) -> v1.UsageRow:
    return usage_row_to_wire(UsageRow((), sums))


def _client(line: ClientLine) -> v1.ReviewClient:
    return v1.ReviewClient(
        project_id=line.project_id,
        display_name=line.client,
        sums=_sums(line.sums),
        before=_sums(line.before),
        cap_nano_usd=line.cap.cap_nano_usd if line.cap is not None else None,
        spent_nano_usd=line.cap.spent_nano_usd if line.cap is not None else 0,
        forecast_error_ppm=line.forecast_error_ppm,
        alert_count=line.alert_count,
        statement_state=line.statement,
    )


def _mover(line: Mover) -> v1.ReviewMover:
    return v1.ReviewMover(
        project_id=line.project_id,
        workflow=line.workflow,
        cost_nano_usd=line.cost_nano_usd,
        before_nano_usd=line.before_nano_usd,
        volume_nano_usd=line.volume_nano_usd,
        price_nano_usd=line.price_nano_usd,
        mix_nano_usd=line.mix_nano_usd,
        why=line.why,
    )


def _raise(line: Raise) -> v1.ReviewRaise:
    return v1.ReviewRaise(
        budget_id=line.budget_id,
        budget_name=line.budget,
        project_id=line.project_id,
        old_nano_usd=line.old_nano_usd,
        new_nano_usd=line.new_nano_usd,
        raised_by=line.by,
        reason=line.reason,
        raise_time=instant_to_wire(line.at_unix_ms),
        is_for_period=line.is_for_period,
        raise_count=line.raise_count,
    )


def _coming(line: ComingChange) -> v1.ReviewComing:
    return v1.ReviewComing(
        provider=line.provider,
        model=line.model,
        from_time=instant_to_wire(line.from_unix_ms),
        is_retired=line.is_retired,
        replacement=line.replacement,
        client_count=line.client_count,
        cost_nano_usd=line.cost_nano_usd,
        effect_nano_usd=line.effect_nano_usd,
    )


def matrix_to_wire(matrix: ModelMatrix) -> v1.ModelMatrix:
    """All tasks by all models."""
    return v1.ModelMatrix(
        cells=map(_cell, matrix.cells),
        left_out_count=matrix.left_out_count,
        month=matrix.month,
        moves=map(_move, matrix.moves),
        knows_moves=matrix.knows_moves,
    )


def _cell(cell: Cell) -> v1.MatrixCell:
    return v1.MatrixCell(
        task=cell.task,
        provider=cell.provider,
        model=cell.model,
        call_count=cell.call_count,
        failed_count=cell.failed_count,
        cost_nano_usd=cell.cost_nano_usd,
        per_call_nano_usd=cell.per_call_nano_usd,
        p50_ms=cell.p50_ms,
        p95_ms=cell.p95_ms,
    )


def _move(move: Move) -> v1.MatrixMove:
    return v1.MatrixMove(
        project_id=move.project_id,
        workflow=move.workflow,
        task=move.task,
        provider=move.provider,
        model=move.model,
        to_provider=move.to_provider,
        to_model=move.to_model,
        call_count=move.call_count,
        cost_nano_usd=move.cost_nano_usd,
        saved_nano_usd=move.saved_nano_usd,
    )
