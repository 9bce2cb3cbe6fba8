"""A call whose caller set no limit holds its default, which is put on the wire and shown."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sidecar.core.output_defaults import OutputDefault
from sidecar.core.policy import Policy
from tests.sidecar.runtime import wire
from tests.sidecar.runtime.wire import (
    Rehearsal,
    chat,
    completion,
    content,
    exchange,
    message,
    request,
    response,
    serving,
)

pytestmark = pytest.mark.trio
LONG = "[rehearse reply_tokens=200]"
DEFAULT = 40


def without_limit(body: dict[str, Any]) -> dict[str, Any]:
    for name in ("max_tokens", "max_output_tokens", "generationConfig"):
        body.pop(name, None)
    return body


def with_defaults(policy: Policy, *defaults: OutputDefault) -> Policy:
    return Policy(
        version=2,
        projects=policy.projects,
        keys=policy.keys,
        budgets=policy.budgets,
        prices=policy.prices,
        providers=policy.providers,
        output_defaults=defaults,
    )


WAYS = [
    ("/v1/chat/completions", chat),
    ("/v1/responses", response),
    ("/v1beta/models/gemini-2.5-flash:generateContent", content),
]


@pytest.mark.parametrize(("path", "make"), WAYS)
async def test_a_default_is_held_put_on_the_wire_and_shown(
    tmp_path: Path, rehearsal: Rehearsal, policy: Policy, path: str, make: Callable[..., Any]
) -> None:
    body = without_limit(make(LONG))
    limited = with_defaults(policy, OutputDefault("prj_acme", "", "", DEFAULT))
    async with serving(tmp_path, limited) as sidecar:
        answer = await exchange(sidecar.port, request(path, body, port=sidecar.port))
        assert answer.status == 200, answer.body
        (billed,) = await rehearsal.ended(1)
    assert answer.headers["x-bursar-default-output"] == f"{DEFAULT}"
    assert "x-bursar-clamped-output" not in answer.headers
    assert billed["quantities"]["output_tokens"] == DEFAULT
    (hold,) = sidecar.booked.opened
    assert hold.output_limit == DEFAULT
    assert hold.worst_nano_usd == hold.call.bound.worst_nano_usd(DEFAULT)
    assert sidecar.booked.only().cost_nano_usd == int(billed["cost_nano_usd"])
    assert int(billed["worst_nano_usd"]) <= hold.worst_nano_usd


@pytest.mark.parametrize(
    ("path", "make"), [*WAYS, ("/v1/messages", message), ("/v1/completions", completion)]
)
@pytest.mark.parametrize("default", [10, 40])
async def test_a_callers_own_limit_always_counts(
    tmp_path: Path,
    rehearsal: Rehearsal,
    policy: Policy,
    path: str,
    make: Callable[..., Any],
    default: int,
) -> None:
    limited = with_defaults(policy, OutputDefault("", "", "", default))
    async with serving(tmp_path, limited) as sidecar:
        answer = await exchange(sidecar.port, request(path, make(LONG), port=sidecar.port))
        (billed,) = await rehearsal.ended(1)
    assert "x-bursar-default-output" not in answer.headers
    assert billed["quantities"]["output_tokens"] == 50
    assert sidecar.booked.opened[0].output_limit is None


async def test_the_workflow_that_is_named_behind_the_key_has_its_own_default(
    tmp_path: Path, rehearsal: Rehearsal, policy: Policy
) -> None:
    limited = with_defaults(
        policy,
        OutputDefault("prj_acme", "leads", "gpt-4o-mini", 20),
        OutputDefault("prj_acme", "", "", 30),
        OutputDefault("prj_gone", "", "", 1),
    )
    async with serving(tmp_path, limited) as sidecar:
        for key in (f"{wire.KEY}~leads", wire.KEY):
            body = without_limit(chat(LONG, stream=True))
            data = request("/v1/chat/completions", body, port=sidecar.port, key=key)
            assert (await exchange(sidecar.port, data)).status == 200
        billed = await rehearsal.ended(2)
    assert [one["quantities"]["output_tokens"] for one in billed] == [20, 30]


async def test_of_a_model_that_writes_less_than_the_default_nothing_is_changed(
    tmp_path: Path, rehearsal: Rehearsal, policy: Policy
) -> None:
    limited = with_defaults(policy, OutputDefault("", "", "", 10**8))
    async with serving(tmp_path, limited) as sidecar:
        data = request("/v1/chat/completions", without_limit(chat()), port=sidecar.port)
        answer = await exchange(sidecar.port, data)
        assert answer.status == 200
        await rehearsal.ended(1)
    assert "x-bursar-default-output" not in answer.headers
    assert sidecar.booked.opened[0].output_limit is None


async def test_what_writes_no_answer_has_no_default(
    tmp_path: Path, rehearsal: Rehearsal, policy: Policy
) -> None:
    limited = with_defaults(policy, OutputDefault("", "", "", DEFAULT))
    body = {"model": "text-embedding-3-small", "input": "a"}
    async with serving(tmp_path, limited) as sidecar:
        answer = await exchange(sidecar.port, request("/v1/embeddings", body, port=sidecar.port))
        assert answer.status == 200
        await rehearsal.ended(1)
    assert "x-bursar-default-output" not in answer.headers
