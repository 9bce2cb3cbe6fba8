"""Lines by kind, made a piece of the ledger at a time, so that no read takes long."""

from dataclasses import dataclass

from control_plane import limits
from control_plane.core.cost_lines import CostLines
from control_plane.core.usage import local_day
from control_plane.store import cost_lines as store
from control_plane.store import prices, rate_cards, workflows
from control_plane.store.engine import Tx


@dataclass(frozen=True, slots=True)
class Stretch:
    """Of which project and time lines are wanted, and in whose days."""

    project_id: str
    start_unix_ms: int
    end_unix_ms: int
    time_zone: str


def begin(tx: Tx, project_id: str) -> CostLines:
    """Empty lines, with all that calls may have been charged by."""
    return CostLines(
        prices={
            (of.provider, of.version, name): of
            for of in (price.model_price for price in prices.everything(tx))
            for name in (*of.aliases, of.model)
        },
        cards={card.version: card for card in rate_cards.of_project(tx, project_id)},
        counted=frozenset(
            roi.workflow for roi in workflows.rois(tx, project_id) if roi.counts == "execution"
        ),
    )


def add_piece(
    tx: Tx, lines: CostLines, stretch: Stretch, after: store.Place | None
) -> store.Place | None:
    """Add the calls after a place; the place to go on from, None at the end."""
    start = (stretch.start_unix_ms, -1) if after is None else after
    most = limits.LINES_PIECE_CALLS
    calls = store.piece(tx, stretch.project_id, start, stretch.end_unix_ms, most)
    for logged in calls:
        day = local_day(stretch.time_zone, logged.call.started_unix_ms)
        lines.add(logged, day.start_unix_ms)
    if len(calls) < most:
        return None
    return calls[-1].call.started_unix_ms, calls[-1].position
