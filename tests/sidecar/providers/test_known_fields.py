"""What the official SDKs can send is known; what nobody here knows is refused by its name."""

import json
from collections.abc import Callable, Iterable
from typing import Any, get_type_hints

import pytest
from anthropic.types import message_create_params
from anthropic.types.beta import message_create_params as beta_message_create_params
from openai.types import completion_create_params
from openai.types.beta import response_create_params as beta_response_create_params
from openai.types.chat import completion_create_params as chat_create_params
from openai.types.responses import response_create_params

from sidecar.core.refusals import Reason
from sidecar.providers import (
    anthropic_messages,
    known_fields,
    openai_chat,
    openai_completions,
    openai_embeddings,
    openai_responses,
)
from sidecar.providers.reading import BadRequestError, CallRequest

MESSAGES = [{"role": "user", "content": "Hi."}]
Surface = tuple[Callable[..., CallRequest], dict[str, Any]]
CHAT: Surface = (openai_chat.read, {"messages": MESSAGES})
RESPONSES: Surface = (openai_responses.read, {"input": "Hi."})
COMPLETIONS: Surface = (openai_completions.read, {"prompt": "Hi."})
EMBEDDINGS: Surface = (openai_embeddings.read, {"input": "Hi."})
OTHERS: Surface = (anthropic_messages.read, {"messages": MESSAGES, "max_tokens": 9})
WRITING = [CHAT, RESPONSES, COMPLETIONS, OTHERS]


def read(surface: Surface, **fields: Any) -> CallRequest:
    reader, least = surface
    value = {"model": "m", **least, **fields}
    return reader(value, json.dumps(value).encode(), model="m", expands_text=False)


def keys_of(*params: Any) -> set[str]:
    return {name for each in params for name in each.__required_keys__ | each.__optional_keys__}


@pytest.mark.parametrize(
    ("names", "known"),
    [
        (
            get_type_hints(chat_create_params.CompletionCreateParamsStreaming),
            known_fields.CHAT,
        ),
        (
            get_type_hints(completion_create_params.CompletionCreateParamsStreaming),
            known_fields.COMPLETIONS,
        ),
        (
            keys_of(
                response_create_params.ResponseCreateParamsStreaming,
                beta_response_create_params.ResponseCreateParamsStreaming,
            )
            - {"betas"},
            known_fields.RESPONSES,
        ),
        (
            keys_of(
                message_create_params.MessageCreateParamsStreaming,
                beta_message_create_params.MessageCreateParamsStreaming,
            ),
            known_fields.MESSAGES,
        ),
    ],
)
def test_every_typed_parameter_of_the_official_libraries_is_known(
    names: Iterable[str], known: frozenset[str]
) -> None:
    assert len(set(names)) > 10
    assert set(names) <= known | known_fields.REFUSED.keys()


@pytest.mark.parametrize("surface", WRITING)
@pytest.mark.parametrize(
    "fields",
    [
        {"top_k": 40, "min_p": 0.05, "top_a": 0.1, "repetition_penalty": 1.1},
        {"chat_template_kwargs": {"enable_thinking": False}, "guided_json": {}},
        {"provider": {"order": ["a"]}, "transforms": ["middle-out"], "usage": {"include": True}},
        {"mirostat": 2, "grammar": "root ::= x", "cache_prompt": True, "id_slot": 1},
        {"thinking": {"type": "disabled"}, "random_seed": 1, "safe_prompt": True},
        {"models": None, "stop": None, "plugins": [], "preset": None, "unheard_of": None},
    ],
)
def test_what_only_changes_how_tokens_are_chosen_or_shown_passes(
    surface: Surface, fields: dict[str, Any]
) -> None:
    assert read(surface, **fields).model == "m"


@pytest.mark.parametrize("surface", [*WRITING, EMBEDDINGS])
@pytest.mark.parametrize(
    "fields",
    [
        {"models": ["anthropic/opus"]},
        {"plugins": [{"id": "web"}]},
        {"search_parameters": {"mode": "on"}},
        {"web_search_options": {}},
        {"extra_body": {"models": ["a"]}},
        {"preset": "dear"},
        {"fallbacks": [{"model": "a"}]},
    ],
)
def test_what_no_request_bounds_is_refused_on_each_surface(
    surface: Surface, fields: dict[str, Any]
) -> None:
    with pytest.raises(BadRequestError) as caught:
        read(surface, **fields)
    assert (caught.value.reason, caught.value.param) == (Reason.UNBOUNDED_FEATURE, *fields)


@pytest.mark.parametrize("surface", WRITING)
@pytest.mark.parametrize(
    "fields",
    [
        {"data_sources": [{"type": "azure_search"}]},
        {"n_predict": 100_000},
        {"num_predict": -1},
        {"options": {"num_predict": 9}},
        {"enable_search": True},
        {"deferred": True},
        {"unheard_of": False},
        {"Top_K": 1},
    ],
)
def test_a_field_that_nobody_here_knows_is_refused_by_its_name(
    surface: Surface, fields: dict[str, Any]
) -> None:
    (name,) = fields
    with pytest.raises(BadRequestError, match=name) as caught:
        read(surface, **fields)
    assert (caught.value.reason, caught.value.param) == (Reason.UNBOUNDED_FEATURE, name)


def test_a_limit_of_another_surface_is_none_of_this_one() -> None:
    for surface, name in (
        (RESPONSES, "max_tokens"),
        (COMPLETIONS, "max_completion_tokens"),
        (OTHERS, "max_completion_tokens"),
        (CHAT, "max_output_tokens"),
    ):
        with pytest.raises(BadRequestError, match=name):
            read(surface, **{name: 100_000})


def test_the_best_of_several_chats_costs_all_of_them() -> None:
    assert read(CHAT, n=2, best_of=5).asked.choices == 5


def test_a_thread_that_goes_on_is_bounded_by_the_window() -> None:
    assert read(OTHERS, thread={"type": "continue", "previous_message_id": "msg_1"}).asked.opaque
    assert not read(OTHERS, thread={"type": "create"}).asked.opaque
