"""`bursar model matrix`: which models do which task, and what another would have cost."""

import click
from rich.console import RenderableType
from rich.text import Text

from clients.admin import MatrixCell, ModelMatrix
from clients.cli.output import NONE_TEXT, count_text, duration_text, table, usd
from clients.cli.session import Command, Session, pass_session


@click.command("matrix", cls=Command)
@pass_session
def matrix(session: Session) -> None:
    """Compare models by task, on your own calls of the last 30 to 35 days.

    A task is what `bursar workflow task set` says, else the workflow's name; with fewer than 20
    calls nothing is shown. What a move would have saved last month is an estimate by standard
    rates, and says nothing about the answers.
    """
    found = session.bursar.reviews.model_matrix()
    cells = [
        [
            one.task,
            f"{one.provider}/{one.model}",
            count_text(one.call_count),
            usd(one.per_call_nano_usd),
            _success(one),
            NONE_TEXT if one.p50_ms is None else duration_text(one.p50_ms),
            NONE_TEXT if one.p95_ms is None else duration_text(one.p95_ms),
        ]
        for one in found.cells
    ]
    columns = ["Task", "Model", ">Calls", ">A call", ">Success", ">Median", ">95 %"]
    session.show({"matrix": found}, table("", columns, cells), *_moves(session, found))
    if not found.cells:
        session.say("No workflow had 20 calls to a model in the last 30 to 35 days.")


def _moves(session: Session, found: ModelMatrix) -> list[RenderableType]:
    if not found.knows_moves:
        return [Text(f"{found.month} has too many workflows to look for moves.")]
    if not found.moves or session.as_json:
        return []
    owners = {
        one.project_id: one.display_name for one in session.bursar.projects.list(show_archived=True)
    }
    rows = [
        [
            owners.get(one.project_id, one.project_id),
            one.workflow,
            f"{one.provider}/{one.model}",
            f"{one.to_provider}/{one.to_model}",
            usd(one.cost_nano_usd),
            usd(one.saved_nano_usd),
        ]
        for one in found.moves
    ]
    columns = ["Client", "Workflow", "From", "To", ">Cost", ">Would have saved"]
    return [table(f"Moves, by {found.month}", columns, rows)]


def _success(cell: MatrixCell) -> str:
    mille = (cell.call_count - cell.failed_count) * 1_000 // cell.call_count
    return f"{mille // 10}.{mille % 10}%"
