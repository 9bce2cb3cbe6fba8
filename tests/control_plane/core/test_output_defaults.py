"""What is proposed from answers, and which default holds."""

import pytest

from control_plane import limits
from control_plane.core.output_defaults import (
    Answered,
    OutputDefault,
    Proposal,
    Scope,
    check_default,
    chosen,
    propose,
)
from protos.values.errors import InvalidArgumentError

LEADS = Scope("prj_a", "leads", "gpt")
ANY = Scope("prj_a", "", "gpt")


def answers(scope: Scope, *counts: int) -> list[Answered]:
    return [Answered(scope, count) for count in counts]


def test_the_longest_answer_with_a_margin_is_proposed_in_whole_steps() -> None:
    found = propose(answers(LEADS, *range(1, 101)), {}, {"gpt": 16_384}, 150)
    assert found == (Proposal(LEADS, 256, 100, 100, 99, 0, 16_384),)
    found = propose(answers(LEADS, *[10] * 99, 1_000), {LEADS: 5_000}, {}, 150)
    assert found == (Proposal(LEADS, 1_536, 100, 1_000, 10, 5_000, 0),)


def test_no_more_is_proposed_than_the_model_writes() -> None:
    [found] = propose(answers(LEADS, *[8_000] * 50), {}, {"gpt": 8_192}, 150)
    assert found.limit_count == 8_192


def test_of_few_answers_nothing_is_concluded() -> None:
    few = limits.PROPOSAL_ANSWERS_MIN - 1
    assert propose(answers(LEADS, *[10] * few), {}, {}, 150) == ()


def test_calls_without_a_workflow_share_their_default_with_those_that_have_one() -> None:
    told = [*answers(LEADS, *[4_000] * 60), *answers(ANY, *[10] * 50)]
    found = propose(told, {}, {}, 100)
    assert [(each.scope, each.answer_count, each.longest_count) for each in found] == [
        (ANY, 110, 4_000),
        (LEADS, 60, 4_000),
    ]


def test_other_clients_answers_say_nothing() -> None:
    told = [*answers(ANY, *[10] * 50), *answers(Scope("prj_b", "", "gpt"), *[9_999] * 50)]
    assert {each.scope.project_id: each.longest_count for each in propose(told, {}, {}, 100)} == {
        "prj_a": 10,
        "prj_b": 9_999,
    }


def test_the_limit_that_holds_is_chosen_as_sidecars_choose_it() -> None:
    known = {Scope("", "", ""): 1, Scope("", "leads", ""): 2, Scope("prj_a", "", "gpt"): 3}
    assert chosen(known, LEADS) == 3
    assert chosen(known, Scope("prj_b", "leads", "gpt")) == 2
    assert chosen(known, Scope("prj_b", "", "gpt")) == 1
    assert chosen({}, LEADS) == 0


@pytest.mark.parametrize(
    ("scope", "limit", "field"),
    [
        (Scope("acme", "", ""), 100, "output_default.project_id"),
        (Scope("", "bad\nlabel", ""), 100, "output_default.workflow"),
        (Scope("", "", "m" * 200), 100, "output_default.model"),
        (Scope("", "", "m\x00"), 100, "output_default.model"),
        (Scope("", "", ""), 15, "output_default.limit_count"),
        (Scope("", "", ""), 10**9, "output_default.limit_count"),
    ],
)
def test_what_is_no_default_is_refused_by_its_field(scope: Scope, limit: int, field: str) -> None:
    with pytest.raises(InvalidArgumentError) as refused:
        check_default(OutputDefault(scope, limit))
    assert refused.value.fields["field"] == field
