"""OpenAI embeddings: what is asked, and what is refused."""

import json
from typing import Any

import pytest

from sidecar.providers import openai_embeddings
from sidecar.providers.reading import BadRequestError, CallRequest, read_model


def read(given: Any) -> CallRequest:
    value = {"model": "text-embedding-3-small", "input": given}
    return openai_embeddings.read(
        value, json.dumps(value).encode(), model=read_model(value), expands_text=False
    )


@pytest.mark.parametrize(
    ("given", "inputs"),
    [("text", 1), (["a", "b"], 2), ([1, 2, 3], 1), ([[1, 2], [3]], 2), (["a"] * 2_048, 2_048)],
)
def test_each_text_has_a_window_for_itself(given: Any, inputs: int) -> None:
    request = read(given)
    assert request.asked.inputs == inputs
    assert request.asked.output_limit == 0
    assert not request.streamed


@pytest.mark.parametrize(
    "given", [None, [], {}, 3, ["a", 1], [1, "a"], [["a"], "b"], [None], ["a"] * 2_049]
)
def test_an_input_of_another_form_is_refused_by_name(given: Any) -> None:
    with pytest.raises(BadRequestError) as caught:
        read(given)
    assert caught.value.param == "input"
