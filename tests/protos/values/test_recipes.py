"""The settings are exact, and nothing promises a cloud what it cannot reach."""

import ast
import json
import shlex

import pytest

from protos.values.keys import SUFFIX_MARK
from protos.values.recipes import Place, recipes

KEY = "bursar_pk_0"
LOCAL = Place(base_url="http://127.0.0.1:7250", key=KEY)
PUBLIC = Place(base_url="http://127.0.0.1:7250", key=KEY, public_url="https://ai.example.com")


def text(place: Place, tool: str) -> str:
    return next(one.text for one in recipes(place) if one.tool == tool)


def test_every_tool_has_its_settings_once() -> None:
    tools = [one.tool for one in recipes(LOCAL)]
    assert tools == [
        *("n8n_openai", "n8n_anthropic", "n8n_gemini", "curl"),
        *("openai_sdk", "anthropic_sdk", "google_sdk", "make", "zapier"),
    ]


def test_n8n_gets_base_url_key_and_the_header_that_names_workflow_and_execution() -> None:
    lines = [line.split(maxsplit=2) for line in text(LOCAL, "n8n_openai").splitlines()]
    assert ["Base", "URL", "http://127.0.0.1:7250/v1"] in lines
    assert ["API", "Key", KEY] in lines
    assert ["Header", "Name", "x-bursar-workflow"] in lines
    assert ["Header", "Value", "={{ $workflow.name }}:{{ $execution.id }}"] in lines


def test_n8n_s_anthropic_credential_gets_the_address_without_v1() -> None:
    assert "Base URL           http://127.0.0.1:7250\n" in text(LOCAL, "n8n_anthropic")


def test_n8n_in_a_container_is_told_how_to_reach_the_sidecar() -> None:
    assert "--sidecar-host" in text(LOCAL, "n8n_openai")
    bridged = Place(base_url="http://172.17.0.1:7250", key=KEY)
    assert "--sidecar-host" not in text(bridged, "n8n_openai")


def test_a_key_with_its_own_workflow_says_so() -> None:
    place = Place(base_url=LOCAL.base_url, key=KEY, workflow="lead-scoring")
    assert "count as workflow lead-scoring" in text(place, "n8n_openai")


def test_curl_can_be_pasted() -> None:
    words = shlex.split(text(LOCAL, "curl").replace("\\\n", " "))
    assert words[:2] == ["curl", "http://127.0.0.1:7250/v1/chat/completions"]
    assert f"authorization: Bearer {KEY}" in words
    assert json.loads(words[-1])["messages"][0]["role"] == "user"


@pytest.mark.parametrize("tool", ["openai_sdk", "anthropic_sdk"])
def test_the_programs_are_programs(tool: str) -> None:
    assert ast.parse(text(LOCAL, tool)).body


@pytest.mark.parametrize("tool", ["make", "zapier"])
def test_a_cloud_that_cannot_reach_localhost_is_told_what_is_missing(tool: str) -> None:
    told = text(LOCAL, tool)
    assert "cannot reach http://127.0.0.1:7250" in told
    assert "--public-url" in told
    assert KEY not in told


@pytest.mark.parametrize("tool", ["make", "zapier"])
def test_a_cloud_gets_the_public_address_when_there_is_one(tool: str) -> None:
    told = text(PUBLIC, tool)
    assert "https://ai.example.com/v1/chat/completions" in told
    assert "127.0.0.1" not in told
    assert f"Bearer {KEY}" in told


@pytest.mark.parametrize("tool", ["n8n_gemini", "make", "zapier"])
def test_where_no_header_can_be_set_the_workflow_stands_behind_the_key(tool: str) -> None:
    assert f"{SUFFIX_MARK}NAME" in text(PUBLIC, tool)


@pytest.mark.parametrize("tool", ["make", "zapier"])
def test_a_cloud_is_shown_every_way_to_name_workflow_and_run(tool: str) -> None:
    told = text(PUBLIC, tool)
    assert "x-bursar-workflow: NAME:RUN" in told
    assert '"metadata": {"bursar_workflow": "NAME", "bursar_execution": "RUN"}' in told


def test_a_key_with_its_own_workflow_is_told_nothing_it_could_not_talk_over() -> None:
    told = text(Place(base_url=LOCAL.base_url, key=KEY, workflow="leads"), "n8n_gemini")
    assert "count as workflow leads" in told
    assert SUFFIX_MARK not in told
