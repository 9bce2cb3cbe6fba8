"""Models by task: measured on our own calls alone, and moves at the tokens that were used."""

import random

import pytest

from control_plane import limits
from control_plane.core.model_matrix import Cell, ModelMatrix, moves
from control_plane.core.projects import Project
from control_plane.usecases import model_matrix
from protos.values.errors import InvalidArgumentError, NotFoundError
from tests.control_plane.core.test_review import price
from tests.control_plane.desk import DAY_MS, USD, Desk
from tests.control_plane.usecases.test_calls import book, call

CALL_NANO_USD = USD // 100


def matrix(desk: Desk) -> ModelMatrix:
    return desk.read(lambda tx: model_matrix.get_model_matrix(tx, desk.now))


def name_task(desk: Desk, project: Project, workflow: str, task: str) -> None:
    own = project.project_id
    desk.do(lambda tx, act: model_matrix.set_task(tx, own, workflow, task, act))


def use(desk: Desk, project: Project, workflow: str, model: str, calls: int, first: int) -> None:
    """Calls of now, of which one failed."""
    book(
        desk,
        *(
            call(
                first + number,
                project_id=project.project_id,
                workflow=workflow,
                requested_model=model,
                quantities={"input": 1000, "output": 100},
                cost_nano_usd=CALL_NANO_USD,
                outcome="ok" if number else "upstream_error",
                started_unix_ms=desk.now,
                ended_unix_ms=desk.now + 900,
            )
            for number in range(calls)
        ),
    )


def test_a_models_calls_are_measured_from_twenty_on(desk: Desk) -> None:
    acme, _ = desk.project("Acme Dental")
    use(desk, acme, "leads", "gpt-4o", 20, 1)
    use(desk, acme, "leads", "gpt-4o-mini", 19, 100)
    use(desk, acme, "", "gpt-4o", 30, 200)
    found = matrix(desk)
    [cell] = found.cells
    assert (cell.task, cell.model, cell.call_count) == ("leads", "gpt-4o", 20)
    assert (cell.failed_count, cell.per_call_nano_usd) == (1, CALL_NANO_USD)
    assert cell.p50_ms is not None
    assert 800 < cell.p50_ms < 1000
    assert found.left_out_count == 1
    desk.pass_ms(30 * DAY_MS)
    assert matrix(desk).cells == (cell,)
    # Calls of the 23rd are kept with those until the 25th, which 30 days have not passed yet.
    desk.pass_ms(3 * DAY_MS)
    assert matrix(desk).cells == ()


def test_workflows_that_do_the_same_are_compared_once_somebody_says_so(desk: Desk) -> None:
    acme, _ = desk.project("Acme Dental")
    bolt, _ = desk.project("Bolt Logistics")
    use(desk, acme, "leads", "gpt-4o", 30, 1)
    use(desk, bolt, "enrich", "gpt-4o-mini", 30, 100)
    desk.pass_ms(28 * DAY_MS)
    apart = matrix(desk)
    assert {cell.task for cell in apart.cells} == {"leads", "enrich"}
    assert apart.moves == ()
    name_task(desk, bolt, "enrich", "leads")
    together = matrix(desk)
    assert {cell.task for cell in together.cells} == {"leads"}
    [move] = together.moves
    assert (move.project_id, move.workflow) == (acme.project_id, "leads")
    assert (move.model, move.to_model, move.call_count) == ("gpt-4o", "gpt-4o-mini", 30)
    # The smaller model's rates are six hundredths of the larger one's, for input and output.
    assert move.cost_nano_usd == 30 * CALL_NANO_USD
    assert move.saved_nano_usd == move.cost_nano_usd * 94 // 100
    assert desk.last_entry().resource == "enrich"
    name_task(desk, bolt, "enrich", "")
    assert matrix(desk).moves == ()


def test_a_task_is_a_label_of_a_workflow_that_is_named(desk: Desk) -> None:
    acme, _ = desk.project("Acme Dental")
    with pytest.raises(InvalidArgumentError):
        name_task(desk, acme, "", "leads")
    with pytest.raises(InvalidArgumentError):
        name_task(desk, acme, "leads", "no\nlabel")
    with pytest.raises(NotFoundError):
        name_task(desk, acme, "leads", "")


def test_cells_are_shown_by_pages_and_found_by_name(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "DESK_ROWS", 2)
    acme, _ = desk.project("Acme Dental")
    for number, workflow in enumerate(("leads", "inbox", "notes")):
        use(desk, acme, workflow, "gpt-4o", 20, 1 + 100 * number)
        use(desk, acme, workflow, "gpt-4o-mini", 20 + number, 51 + 100 * number)
    everything = matrix(desk)
    assert len(everything.cells) == 6
    desk.pass_ms(5 * DAY_MS)
    for name, pages in (("", [2, 2, 2]), ("MINI", [2, 1]), ("leads", [2]), ("none", [0])):
        wanted = [one for one in everything.cells if name.lower() in f"{one.task} {one.model}"]
        shown: list[Cell] = []
        for page, many in enumerate(pages, 1):
            found = desk.read(
                lambda tx, p=page, n=name: model_matrix.get_model_matrix(  # type: ignore[misc]  # asked at once
                    tx, desk.now, name=n, page=p
                )
            )
            assert len(found.cells) == many
            assert found.listed.after == (page + 1 if page < len(pages) else 0)
            shown += found.cells
        assert shown == wanted


@pytest.mark.parametrize("seed", range(3))
def test_no_move_is_missed_by_looking_at_the_dearest_alone(seed: int) -> None:
    dice = random.Random(seed)
    held = {
        ("openai", model): price(model, input=dice.randrange(1, 9), output=dice.randrange(1, 9))
        for model in "abc"
    }
    known = [(task, "openai", model) for task in ("t0", "t1") for model in "abc"]
    used = [
        ((f"p{n}", f"t{n % 3}", "openai", dice.choice("abcd")), (1, dice.randrange(200), 7, n % 5))
        for n in range(300)
    ]
    used.sort(key=lambda one: -one[1][1])
    everything = moves(used, {}, known, held, len(used))
    assert len(everything) > 20
    for most in (1, 5, 20):
        looked_at = iter(used)
        assert moves(looked_at, {}, known, held, most) == everything[:most]
        assert list(looked_at)
