"""Gathers the model matrix from sums by span, and keeps what people say that workflows do."""

from control_plane import limits
from control_plane.core import fields
from control_plane.core import model_matrix as core
from control_plane.core.listed import Listed
from control_plane.core.local_dates import whole_month
from control_plane.core.model_matrix import ModelMatrix
from control_plane.core.usage import local_day, spans_of
from control_plane.store import installation
from control_plane.store import model_matrix as store
from control_plane.store import prices as price_store
from control_plane.store.engine import Tx
from control_plane.store.local_usage import LocalUsage
from control_plane.usecases import projects
from control_plane.usecases.acts import Act, record
from control_plane.usecases.review import held_prices
from control_plane.usecases.statement_values import month_at, month_before
from protos.values.errors import NotFoundError

_DAY_MS = 86_400_000


def get_model_matrix(tx: Tx, now_unix_ms: int, *, name: str = "", page: int = 0) -> ModelMatrix:
    """What models did of each task in the last days, and what moves would have saved last month.

    It has a page of the cells of which task or model have `name` in them, or with 0 all of those.
    """
    zone = installation.get(tx).time_zone
    since = spans_of(local_day(zone, now_unix_ms - core.DAYS * _DAY_MS).date)[1]
    measured, left_out = core.measured(store.sums(tx, since))
    wanted = name.casefold()
    named = [one for one in measured if wanted in " ".join(one[0]).casefold()]
    listed = Listed.of(page, len(named))
    shown = listed.cut(named)
    took = store.latencies(tx, since, [of for of, _ in shown])
    month = month_before(month_at(zone, now_unix_ms))
    count, used = LocalUsage(tx, zone).used(whole_month(month))
    knows_moves = count <= limits.USAGE_ROWS_MAX
    held = held_prices(price_store.everything(tx), now_unix_ms)
    return ModelMatrix(
        cells=tuple(core.cell(of, sums, took.get(of, {})) for of, sums in shown),
        listed=listed,
        left_out_count=left_out,
        month=month.name,
        moves=core.moves(
            used if knows_moves else (),
            store.tasks(tx),
            [of for of, _ in measured],
            held,
            limits.REVIEW_ROWS_MAX,
        ),
        knows_moves=knows_moves,
    )


def set_task(tx: Tx, project_id: str, workflow: str, task: str, act: Act) -> None:
    """Say what a client's workflow does; an empty task takes that back.

    Raises NotFoundError where nothing was said that could be taken back.
    """
    projects.found(tx, project_id)
    fields.check_label(workflow, "workflow")
    fields.check_label(task, "task")
    if not workflow:
        raise fields.invalid("workflow", "name one")
    if task:
        store.put_task(tx, project_id, workflow, task, act.actor.principal_id, act.now_unix_ms)
    elif not store.drop_task(tx, project_id, workflow):
        raise NotFoundError(f"nobody said what {workflow!r} does", workflow=workflow[:64])
    record(tx, act, workflow, project_id=project_id, task=task)
