"""A budget counts the calls for which all of its conditions hold."""

import pytest

from protos.values.selectors import Attributes, Selector, partition_of

CALL = Attributes("prj", "key", "leads", "gpt", "eu")


@pytest.mark.parametrize(
    ("selector", "counts"),
    [
        (Selector(), True),
        (Selector(project_id="prj"), True),
        (
            Selector(project_id="prj", workflow="leads", model="gpt", key_id="key", region="eu"),
            True,
        ),
        (Selector(project_id="other"), False),
        (Selector(project_id="prj", workflow="other"), False),
        (Selector(model="other"), False),
        (Selector(key_id="other"), False),
        (Selector(region="us"), False),
    ],
)
def test_all_conditions_must_hold(selector: Selector, counts: bool) -> None:
    assert selector.matches(CALL) is counts


def test_narrower_selectors_have_more_conditions() -> None:
    assert Selector().conditions == 0
    assert Selector(project_id="p", workflow="w").conditions == 2


def test_the_partition_is_the_value_that_splits() -> None:
    assert partition_of("", CALL) == ""
    assert partition_of("key", CALL) == "key"
    assert partition_of("workflow", CALL) == "leads"
