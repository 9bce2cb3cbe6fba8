"""Which limit holds for a call whose caller set none."""

import pytest

from protos.values.selectors import Attributes
from sidecar.core.output_defaults import OutputDefault, OutputDefaults

ALL = OutputDefaults(
    OutputDefault(project, workflow, model, limit)
    for project, workflow, model, limit in (
        ("", "", "", 1),
        ("", "", "gpt", 2),
        ("", "leads", "", 3),
        ("acme", "", "", 11),
        ("acme", "", "gpt", 12),
        ("acme", "leads", "", 13),
        ("acme", "leads", "gpt", 14),
    )
)


@pytest.mark.parametrize(
    ("project", "workflow", "model", "limit"),
    [
        ("acme", "leads", "gpt", 14),
        ("acme", "leads", "claude", 13),
        ("acme", "news", "gpt", 12),
        ("acme", "news", "claude", 11),
        ("acme", "", "", 11),
        ("beta", "leads", "gpt", 3),
        ("beta", "news", "gpt", 2),
        ("beta", "news", "claude", 1),
    ],
)
def test_the_clients_own_comes_first_then_workflow_and_model(
    project: str, workflow: str, model: str, limit: int
) -> None:
    assert ALL.limit_for(Attributes(project, "key", workflow, model)) == limit


def test_what_matches_nothing_has_no_limit() -> None:
    assert OutputDefaults().limit_for(Attributes("acme", "key", "", "gpt")) is None
    other = OutputDefaults([OutputDefault("beta", "", "", 5)])
    assert other.limit_for(Attributes("acme", "key", "", "gpt")) is None
