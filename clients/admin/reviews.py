"""The monthly review over all clients, and which models do which task."""

from dataclasses import dataclass
from datetime import datetime

from clients.admin.calls import UsageRow, usage_row_from_wire
from clients.admin.instants import instant_from_wire
from clients.admin.wire import Wire
from protos.bursar.admin import v1


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewClient:
    """A client's month."""

    project_id: str
    display_name: str
    sums: UsageRow
    before: UsageRow
    """The month before, for as long as this one lasts."""
    cap_nano_usd: int | None
    """The cap over all of its calls by month."""
    spent_nano_usd: int
    """What was spent of that cap."""
    forecast_error_ppm: int | None
    """How far off the forecast of its running month was in its own test."""
    alert_count: int
    statement_state: str
    """Of the month's newest statement; empty where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewModel:
    """A model's month, over all clients."""

    provider: str
    model: str
    sums: UsageRow
    before: UsageRow


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewMover:
    """A workflow whose cost changed; volume, price and mix sum to the change."""

    project_id: str
    workflow: str
    cost_nano_usd: int
    before_nano_usd: int
    volume_nano_usd: int
    price_nano_usd: int
    mix_nano_usd: int
    why: str
    """The largest of the three."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewError:
    """Calls to a provider that ended badly in one way."""

    provider: str
    outcome: str
    call_count: int
    provider_call_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewRaise:
    """A cap that was raised."""

    budget_id: str
    budget_name: str
    project_id: str
    old_nano_usd: int
    new_nano_usd: int | None
    """None where the cap was lifted."""
    raised_by: str
    reason: str
    raise_time: datetime
    is_for_period: bool
    raise_count: int
    """How often in this month and the one before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewComing:
    """A price or a retirement to come."""

    provider: str
    model: str
    from_time: datetime
    is_retired: bool
    replacement: str
    client_count: int
    cost_nano_usd: int
    effect_nano_usd: int | None
    """What the month would have cost more, as an estimate; None where nobody can say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewKey:
    """A key that nobody used since the month began."""

    key_id: str
    display_name: str
    project_id: str
    last_use_time: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """One month over all clients; its sums are those of `Calls.usage` over the same time."""

    month: str
    start_time: datetime
    end_time: datetime
    time_zone: str
    is_running: bool
    total: UsageRow
    before: UsageRow
    lump_nano_usd: int
    client_count: int
    before_client_count: int
    clients: tuple[ReviewClient, ...]
    models: tuple[ReviewModel, ...]
    movers: tuple[ReviewMover, ...]
    is_by_workflow: bool
    """Whether movers are workflows; where those are too many, they are clients."""
    errors: tuple[ReviewError, ...]
    raises: tuple[ReviewRaise, ...]
    coming: tuple[ReviewComing, ...]
    unused_keys: tuple[ReviewKey, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixCell:
    """What one model does of one task, on the agency's own calls of the last 30 to 35 days."""

    task: str
    provider: str
    model: str
    call_count: int
    failed_count: int
    cost_nano_usd: int
    per_call_nano_usd: int
    p50_ms: int | None
    """Of calls that ended well; None where none did."""
    p95_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixMove:
    """What a client's workflow would have saved last month at another model."""

    project_id: str
    workflow: str
    task: str
    provider: str
    model: str
    to_provider: str
    to_model: str
    call_count: int
    cost_nano_usd: int
    saved_nano_usd: int
    """An estimate, by today's standard rates at its own tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelMatrix:
    """All tasks by all models."""

    cells: tuple[MatrixCell, ...]
    left_out_count: int
    """Pairs of task and model with too few calls."""
    month: str
    """The closed month of the moves."""
    moves: tuple[MatrixMove, ...]
    knows_moves: bool


class Reviews:
    """Reads what an agency looks at once a month."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._stub = v1.ReviewServiceStub(wire.channel)

    def get(self, month: str = "") -> Review:
        """Sum a month such as 2026-10 over all clients; the running one by default."""
        request = v1.GetReviewRequest(month=month)
        return _review_from_wire(self._wire.ask(self._stub.GetReview, request))

    def model_matrix(self) -> ModelMatrix:
        """Say what models did of each task, and what moves would have saved last month."""
        wire = self._wire.ask(self._stub.GetModelMatrix, v1.GetModelMatrixRequest())
        return ModelMatrix(
            cells=tuple(map(_cell_from_wire, wire.cells)),
            left_out_count=wire.left_out_count,
            month=wire.month,
            moves=tuple(map(_move_from_wire, wire.moves)),
            knows_moves=wire.knows_moves,
        )


def _review_from_wire(wire: v1.Review) -> Review:
    return Review(
        month=wire.month,
        start_time=instant_from_wire(wire.start_time),
        end_time=instant_from_wire(wire.end_time),
        time_zone=wire.time_zone,
        is_running=wire.is_running,
        total=usage_row_from_wire(wire.total),
        before=usage_row_from_wire(wire.before),
        lump_nano_usd=wire.lump_nano_usd,
        client_count=wire.client_count,
        before_client_count=wire.before_client_count,
        clients=tuple(map(_client_from_wire, wire.clients)),
        models=tuple(
            ReviewModel(
                provider=one.provider,
                model=one.model,
                sums=usage_row_from_wire(one.sums),
                before=usage_row_from_wire(one.before),
            )
            for one in wire.models
        ),
        movers=tuple(map(_mover_from_wire, wire.movers)),
        is_by_workflow=wire.is_by_workflow,
        errors=tuple(
            ReviewError(
                provider=one.provider,
                outcome=one.outcome,
                call_count=one.call_count,
                provider_call_count=one.provider_call_count,
            )
            for one in wire.errors
        ),
        raises=tuple(map(_raise_from_wire, wire.raises)),
        coming=tuple(map(_coming_from_wire, wire.coming)),
        unused_keys=tuple(
            ReviewKey(
                key_id=one.key_id,
                display_name=one.display_name,
                project_id=one.project_id,
                last_use_time=(
                    instant_from_wire(one.last_use_time) if one.HasField("last_use_time") else None
                ),
            )
            for one in wire.unused_keys
        ),
    )


def _client_from_wire(wire: v1.ReviewClient) -> ReviewClient:
    known = wire.HasField("forecast_error_ppm")
    return ReviewClient(
        project_id=wire.project_id,
        display_name=wire.display_name,
        sums=usage_row_from_wire(wire.sums),
        before=usage_row_from_wire(wire.before),
        cap_nano_usd=wire.cap_nano_usd if wire.HasField("cap_nano_usd") else None,
        spent_nano_usd=wire.spent_nano_usd,
        forecast_error_ppm=wire.forecast_error_ppm if known else None,
        alert_count=wire.alert_count,
        statement_state=wire.statement_state,
    )


def _mover_from_wire(wire: v1.ReviewMover) -> ReviewMover:
    return ReviewMover(
        project_id=wire.project_id,
        workflow=wire.workflow,
        cost_nano_usd=wire.cost_nano_usd,
        before_nano_usd=wire.before_nano_usd,
        volume_nano_usd=wire.volume_nano_usd,
        price_nano_usd=wire.price_nano_usd,
        mix_nano_usd=wire.mix_nano_usd,
        why=wire.why,
    )


def _raise_from_wire(wire: v1.ReviewRaise) -> ReviewRaise:
    return ReviewRaise(
        budget_id=wire.budget_id,
        budget_name=wire.budget_name,
        project_id=wire.project_id,
        old_nano_usd=wire.old_nano_usd,
        new_nano_usd=wire.new_nano_usd if wire.HasField("new_nano_usd") else None,
        raised_by=wire.raised_by,
        reason=wire.reason,
        raise_time=instant_from_wire(wire.raise_time),
        is_for_period=wire.is_for_period,
        raise_count=wire.raise_count,
    )


def _coming_from_wire(wire: v1.ReviewComing) -> ReviewComing:
    return ReviewComing(
        provider=wire.provider,
        model=wire.model,
        from_time=instant_from_wire(wire.from_time),
        is_retired=wire.is_retired,
        replacement=wire.replacement,
        client_count=wire.client_count,
        cost_nano_usd=wire.cost_nano_usd,
        effect_nano_usd=wire.effect_nano_usd if wire.HasField("effect_nano_usd") else None,
    )


def _cell_from_wire(wire: v1.MatrixCell) -> MatrixCell:
    return MatrixCell(
        task=wire.task,
        provider=wire.provider,
        model=wire.model,
        call_count=wire.call_count,
        failed_count=wire.failed_count,
        cost_nano_usd=wire.cost_nano_usd,
        per_call_nano_usd=wire.per_call_nano_usd,
        p50_ms=wire.p50_ms if wire.HasField("p50_ms") else None,
        p95_ms=wire.p95_ms if wire.HasField("p95_ms") else None,
    )


def _move_from_wire(wire: v1.MatrixMove) -> MatrixMove:
    return MatrixMove(
        project_id=wire.project_id,
        workflow=wire.workflow,
        task=wire.task,
        provider=wire.provider,
        model=wire.model,
        to_provider=wire.to_provider,
        to_model=wire.to_model,
        call_count=wire.call_count,
        cost_nano_usd=wire.cost_nano_usd,
        saved_nano_usd=wire.saved_nano_usd,
    )
