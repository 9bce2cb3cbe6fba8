"""Which models do which task, how well and for how much, and what another one would have cost.

Rules:

1. A task is what a person says that a client's workflow does; else the workflow's own name. Calls
   without a workflow are of no task. Workflows of several clients with one name are one task.
2. Everything is measured, on the agency's own calls of the last 30 local days and those before
   them back to the 1st, 6th, 11th, 16th, 21st or 26th of a month, as sums are kept by such spans;
   what has fewer than 20 calls says nothing and is left out.
3. A move is a workflow of the last closed month, the client's own, at another model that the agency
   uses for the same task: its cost, times the ratio of today's prices at its own tokens
   (`review.cost_at`). It says nothing about how good the answers are.
"""

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from control_plane.core.latency import Counts, quantile_ms
from control_plane.core.listed import Listed
from control_plane.core.review import (
    NO_RATES,
    Rates,
    scaled,
    standard_pico_usd,
    standard_rates,
)
from control_plane.core.usage import Sums, Used
from protos.values.rates import ModelPrice

DAYS: Final = 30
CALLS_MIN: Final = 20
"""With fewer calls a figure is chance."""
TaskModel = tuple[str, str, str]
"""A task, a provider and a model."""
WorkflowModel = tuple[str, str, str, str]
"""A project, a workflow, a provider and a model."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What one model does of one task."""

    task: str
    provider: str
    model: str
    call_count: int
    failed_count: int
    cost_nano_usd: int
    p50_ms: int | None
    """Of calls that ended well, within a tenth; None where none did."""
    p95_ms: int | None

    @property
    def per_call_nano_usd(self) -> int:
        """Rounded to the nearest."""
        return (2 * self.cost_nano_usd + self.call_count) // (2 * self.call_count)


@dataclass(frozen=True, slots=True)
class Move:
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


@dataclass(frozen=True, slots=True)
class ModelMatrix:
    """All tasks by all models."""

    cells: tuple[Cell, ...]
    """By task; within one the cheapest call first; of them the page that was asked for."""
    listed: Listed
    """Which page that is."""
    left_out_count: int
    """Pairs of task and model with too few calls."""
    month: str
    """The closed month of the moves."""
    moves: tuple[Move, ...]
    """Most saved first."""
    knows_moves: bool = True
    """False where the month has too many workflows to look through."""


def measured(sums: Mapping[TaskModel, Sums]) -> tuple[list[tuple[TaskModel, Sums]], int]:
    """What is measured often enough, in the order of cells, and how many pairs are not."""
    found = [(name, one) for name, one in sums.items() if one.call_count >= CALLS_MIN]
    found.sort(key=lambda one: (one[0][0], _per_call_nano_usd(one[1]), *one[0][1:]))
    return found, len(sums) - len(found)


def cell(name: TaskModel, sums: Sums, took: Counts) -> Cell:
    """What one model does of one task."""
    return Cell(
        *name,
        call_count=sums.call_count,
        failed_count=sums.failed_count,
        cost_nano_usd=sums.cost_nano_usd,
        p50_ms=quantile_ms(took, 50),
        p95_ms=quantile_ms(took, 95),
    )


def _per_call_nano_usd(sums: Sums) -> int:
    return (2 * sums.cost_nano_usd + sums.call_count) // (2 * sums.call_count)


def moves(
    used: Iterable[tuple[WorkflowModel, Used]],
    tasks: Mapping[tuple[str, str], str],
    known: Iterable[TaskModel],
    held: Mapping[tuple[str, str], ModelPrice],
    most: int,
) -> tuple[Move, ...]:
    """The best moves; what was used is by client, workflow, provider and model, the dearest first.

    At the cheapest rates for its tokens a workflow saves most, so only that model is priced. Nobody
    saves more than he paid: what cost less than enough others save is not looked at.
    """
    rates = {name: standard_rates(price) for name, price in held.items()}
    of_task: dict[str, list[tuple[Rates, TaskModel]]] = {}
    for one in known:
        own = rates.get(one[1:])
        if own is not None:
            of_task.setdefault(one[0], []).append((own, one))
    found: list[Move] = []
    best_saved: list[int] = []
    for (project_id, workflow, provider, model), (calls, cost, *tokens) in used:
        if cost <= 0 or (len(best_saved) == most and cost < best_saved[0]):
            break
        task = tasks.get((project_id, workflow), workflow)
        paid = standard_pico_usd(tokens, rates.get((provider, model), NO_RATES))
        if not paid:
            continue
        best: tuple[int, TaskModel] | None = None
        for own, to in of_task.get(task, ()):
            asked = standard_pico_usd(tokens, own)
            if asked is not None and asked < (paid if best is None else best[0]):
                best = asked, to
        saved = 0 if best is None else cost - scaled(cost, best[0], paid)
        if best is not None and saved > 0:
            of = project_id, workflow, task, provider, model
            found.append(Move(*of, *best[1][1:], calls, cost, saved))
            heapq.heappush(best_saved, saved)
            if len(best_saved) > most:
                heapq.heappop(best_saved)
    found.sort(key=lambda move: (-move.saved_nano_usd, move.project_id, move.workflow, move.model))
    return tuple(found[:most])
