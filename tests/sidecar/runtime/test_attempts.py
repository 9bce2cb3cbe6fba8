"""Attempts that follow one another: each holds and is booked for itself; none where it might cost.

The provider's bill says which secret each call came with, and what it cost.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from nacl.public import PrivateKey, SealedBox

from protos.values.keys import PROJECT_KEY, key_digest, make_key
from protos.values.selectors import Selector
from sidecar.core.calls import Outcome
from sidecar.core.policy import MoreSecret, Policy
from sidecar.core.refusals import Reason, Refusal, Refused, plain_refusal
from sidecar.core.routing import ModelRoute, ProviderSecret
from sidecar.limits import CALL_ATTEMPTS_MAX
from tests.sidecar.runtime import wire
from tests.sidecar.runtime.test_routes_of_models import to
from tests.sidecar.runtime.wire import Rehearsal, chat, exchange, message, request, serving

pytestmark = pytest.mark.trio

CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"
OWN = "...cret"
"""How the bill shows the provider's own secret."""


def secret(name: str, provider: str = "openai", project: str = "") -> MoreSecret:
    """A secret that the bill shows as its name."""
    box = SealedBox(PrivateKey(wire._SEALING_KEY).public_key)
    text = f"sk-a-secret-called-{name}".encode()
    return MoreSecret(provider, project, ProviderSecret(f"psc_{name}", bytes(box.encrypt(text))))


def extended(
    policy: Policy, *secrets: MoreSecret, routes: tuple[ModelRoute, ...] = (), **changes: Any
) -> Policy:
    fields: dict[str, Any] = {
        "projects": policy.projects,
        "keys": policy.keys,
        "budgets": policy.budgets,
        "prices": policy.prices,
        "providers": policy.providers,
        **changes,
    }
    return Policy(version=2, **fields, routes=routes, secrets=secrets)


def keys_of(bill: Mapping[str, Any]) -> list[str]:
    return [call["key_hint"] for call in bill["calls"]]


async def ask(sidecar: wire.Sidecar, body: dict[str, Any], path: str = CHAT) -> wire.Answer:
    return await exchange(sidecar.port, request(path, body, port=sidecar.port))


def check_chain(sidecar: wire.Sidecar, rehearsal: Rehearsal, attempts: int) -> None:
    """Each attempt was booked once; those after the first name it; the bill is what was settled."""
    booked = sidecar.booked
    assert len(booked.opened) == attempts
    first, *rest = booked.opened
    assert first.call.parent_call_id == ""
    assert all(hold.call.parent_call_id == first.call_id for hold in rest)
    assert len({hold.call_id for hold in booked.opened}) == attempts
    assert booked.voided.keys() | booked.settled.keys() == {one.call_id for one in booked.opened}
    assert not booked.voided.keys() & booked.settled.keys()
    assert booked.cost_nano_usd == rehearsal.billed_nano_usd


# --- Secrets -------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [401, 402, 403, 429])
@pytest.mark.parametrize(("path", "make"), [(CHAT, chat), (MESSAGES, message)])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_secret_that_is_refused_rests_and_the_next_one_is_tried(
    tmp_path: Path,
    rehearsal: Rehearsal,
    policy: Policy,
    status: int,
    path: str,
    make: Any,
    stream: bool,
) -> None:
    provider = "openai" if path == CHAT else "anthropic"
    rehearsal.knobs(error_status=status, error_key="secret", retry_after_s=30)
    known = extended(policy, secret("next", provider), secret("last", provider))
    async with serving(tmp_path, known) as sidecar:
        for _ in range(2):
            answer = await ask(sidecar, make(stream=stream), path)
            assert answer.status == 200, answer.body
        await rehearsal.ended(3)
    assert keys_of(rehearsal.bill()) == [OWN, "...next", "...next"]
    ids = [hold.call.provider_secret_id for hold in sidecar.booked.opened]
    assert ids == [f"{provider}:1", "psc_next", "psc_next"]
    assert [hold.call.routed for hold in sidecar.booked.opened] == ["", "", ""]
    assert sidecar.booked.voided.keys() == {sidecar.booked.opened[0].call_id}
    assert sidecar.booked.cost_nano_usd == rehearsal.billed_nano_usd > 0
    assert "x-bursar-routed" not in answer.headers


async def test_where_every_secret_is_refused_the_caller_gets_the_last_ones_error(
    tmp_path: Path, rehearsal: Rehearsal, policy: Policy
) -> None:
    rehearsal.knobs(error_status=429, retry_after_s=7)
    async with serving(tmp_path, extended(policy, secret("next"))) as sidecar:
        answer = await ask(sidecar, chat())
        check_chain(sidecar, rehearsal, 2)
        assert (answer.status, answer.headers["retry-after"]) == (429, "7")
        assert answer.headers["x-bursar-upstream"] == "provider"
        assert answer.headers["x-bursar-call-id"] == sidecar.booked.opened[1].call_id
        # Both rest; a call is tried all the same, once.
        answer = await ask(sidecar, chat())
        assert answer.status == 429
        assert len(sidecar.booked.opened) == 3


async def test_attempts_are_bounded(tmp_path: Path, rehearsal: Rehearsal, policy: Policy) -> None:
    rehearsal.knobs(error_status=401)
    more = [secret(f"n{number}") for number in range(CALL_ATTEMPTS_MAX + 2)]
    async with serving(tmp_path, extended(policy, *more)) as sidecar:
        answer = await ask(sidecar, chat())
        assert answer.json()["error"]["code"] == "provider_secret_refused"
        assert b"sk-" not in answer.body
        check_chain(sidecar, rehearsal, CALL_ATTEMPTS_MAX)


async def test_a_client_s_own_secrets_serve_it_alone_and_nobody_else_s_serve_it(
    tmp_path: Path, rehearsal: Rehearsal, policy: Policy
) -> None:
    others = make_key(PROJECT_KEY, b"\x09" * 24)
    key = next(key for key in policy.keys if not key.revoked and not key.expires_unix_ms)
    other_key = replace(
        key, digest=key_digest(others), project_id="prj_b", key_id="key_b", secret_id="sec_b"
    )
    project = replace(policy.projects[0], project_id="prj_b")
    budget = policy.budgets[0]
    known = extended(
        policy,
        secret("mine", project="prj_acme"),
        secret("more"),
        projects=[*policy.projects, project],
        keys=[*policy.keys, other_key],
        budgets=[budget, replace(budget, budget_id="bgt_b", selector=Selector("prj_b"))],
    )
    async with serving(tmp_path, known) as sidecar:
        assert (await ask(sidecar, chat())).status == 200
        other = request(CHAT, chat(), port=sidecar.port, key=others)
        assert (await exchange(sidecar.port, other)).status == 200
        await rehearsal.ended(2)
        assert keys_of(rehearsal.bill()) == ["...mine", OWN]
        # Refused, it is tried with none of the agency's.
        rehearsal.knobs(error_status=401, error_key="mine")
        answer = await ask(sidecar, chat())
        assert answer.json()["error"]["code"] == "provider_secret_refused"
        await rehearsal.ended(3)
        assert keys_of(rehearsal.bill()) == ["...mine", OWN, "...mine"]
        # The agency's refused, nobody is served with a client's.
        rehearsal.knobs(error_status=401, error_key=None)
        assert (await exchange(sidecar.port, other)).status == 403
        await rehearsal.ended(5)
        assert keys_of(rehearsal.bill())[3:] == [OWN, "...more"]


# --- Targets -------------------------------------------------------------------------------------

ROUTE = ModelRoute("", "smart", to("openai/gpt-4o", "openai/gpt-4o-mini"))


@pytest.mark.parametrize("status", [429, 500, 503, 529, 403])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_model_that_fails_unbilled_is_followed_by_the_next_target(
    tmp_path: Path, rehearsal: Rehearsal, policy: Policy, status: int, stream: bool
) -> None:
    rehearsal.knobs(error_status=status, error_model="gpt-4o")
    async with serving(tmp_path, extended(policy, routes=(ROUTE,))) as sidecar:
        answer = await ask(sidecar, chat(model="smart", stream=stream))
        await rehearsal.ended(2)
        check_chain(sidecar, rehearsal, 2)
    assert answer.status == 200
    assert answer.headers["x-bursar-model"] == "gpt-4o-mini"
    assert answer.headers["x-bursar-routed"] == "fallback"
    dear, cheap = sidecar.booked.opened
    assert (dear.call.routed, cheap.call.routed) == ("alias", "fallback")
    assert (dear.call.alias, cheap.call.alias) == ("smart", "smart")
    assert cheap.worst_nano_usd < dear.worst_nano_usd, "each holds for its own target's price"
    assert sidecar.booked.voided[dear.call_id].outcome is Outcome.PROVIDER_ERROR
    assert sidecar.booked.settled[cheap.call_id].answered_model == "gpt-4o-mini"


async def test_a_provider_that_cannot_be_reached_is_followed_by_another_one(
    tmp_path: Path, rehearsal: Rehearsal, policy: Policy
) -> None:
    with trio.socket.socket() as taken:
        await taken.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{taken.getsockname()[1]}"
        openai, *others = policy.providers
        backup = replace(openai, name="backup")
        prices = [
            replace(dated, price=replace(dated.price, provider="backup"))
            for dated in policy.prices
            if dated.price.model == "gpt-4o-mini"
        ]
        known = extended(
            policy,
            providers=[replace(openai, base_url=nobody), backup, *others],
            prices=[*policy.prices, *prices],
            routes=(
                ModelRoute(
                    "",
                    "smart",
                    to("openai/gpt-4o", "openai/gpt-4o-mini", "backup/gpt-4o-mini"),
                ),
            ),
        )
        async with serving(tmp_path, known) as sidecar:
            answer = await ask(sidecar, chat(model="smart"))
            check_chain(sidecar, rehearsal, 2)
    assert answer.status == 200
    first, second = sidecar.booked.opened
    assert sidecar.booked.voided[first.call_id].outcome is Outcome.NOT_SENT
    assert second.call.provider == "backup", "what cannot be reached is not tried for its others"


@pytest.mark.parametrize(
    ("directive", "status"),
    [
        ("error_status=400", 400),
        ("error_status=404", 404),
        ("hangup_before_headers", 502),
        ("hangup_after_chunks=1", 502),
    ],
)
async def test_nothing_follows_where_the_request_is_at_fault_or_a_cost_may_have_arisen(
    tmp_path: Path, rehearsal: Rehearsal, policy: Policy, directive: str, status: int
) -> None:
    async with serving(tmp_path, extended(policy, secret("next"), routes=(ROUTE,))) as sidecar:
        answer = await ask(sidecar, chat(f"[rehearse {directive}]", model="smart"))
        assert answer.status == status
        assert len(sidecar.booked.opened) == 1
        assert sidecar.booked.cost_nano_usd >= rehearsal.billed_nano_usd


async def test_nothing_follows_an_error_that_its_provider_may_bill(
    tmp_path: Path, policy: Policy
) -> None:
    """Azure bills a request that it did not finish in time."""
    rename = partial(replace, name="azure")
    prices = [
        replace(dated, price=replace(dated.price, provider="azure"))
        for dated in policy.prices
        if dated.price.provider == "openai"
    ]
    known = extended(
        policy,
        providers=[rename(policy.providers[0])],
        prices=prices,
        routes=(ModelRoute("", "smart", to("azure/gpt-4o", "azure/gpt-4o-mini")),),
    )
    async with serving(tmp_path, known) as sidecar:
        answer = await ask(sidecar, chat("[rehearse error_status=408]", model="smart"))
        assert answer.status == 408
        (hold,) = sidecar.booked.opened
        assert sidecar.booked.settled[hold.call_id].cost_nano_usd == hold.worst_nano_usd


async def test_nothing_follows_a_stream_that_broke_off(tmp_path: Path, policy: Policy) -> None:
    async with serving(tmp_path, extended(policy, routes=(ROUTE,))) as sidecar:
        body = chat("[rehearse error_after_chunks=2]", model="smart", stream=True)
        answer = await ask(sidecar, body)
        assert answer.status == 200
        assert len(sidecar.booked.opened) == 1


async def test_what_follows_and_cannot_be_paid_leaves_the_providers_error(
    tmp_path: Path, rehearsal: Rehearsal, policy: Policy
) -> None:
    rehearsal.knobs(error_status=503, error_model="gpt-4o")
    async with serving(tmp_path, extended(policy, routes=(ROUTE,))) as sidecar:
        admit = sidecar.admission.open

        async def open_(call: Any, *, counts: bool = True) -> Any:
            if call.attributes.model == "gpt-4o-mini":
                assert not counts, "its caller is not told of this refusal, so none is counted"
                raise Refused(plain_refusal(Reason.OVERLOADED))
            return await admit(call, counts=counts)

        sidecar.admission.open = open_  # type: ignore[method-assign]  # admission, at the seam
        answer = await ask(sidecar, chat(model="smart"))
        assert answer.status == 503
        assert answer.headers["x-bursar-upstream"] == "provider"
        assert not sidecar.booked.refused
        check_chain(sidecar, rehearsal, 1)


async def test_targets_where_all_secrets_rest_are_passed_over(
    tmp_path: Path, rehearsal: Rehearsal, policy: Policy
) -> None:
    backup = replace(policy.providers[0], name="backup")
    prices = [
        replace(dated, price=replace(dated.price, provider="backup"))
        for dated in policy.prices
        if dated.price.model == "gpt-4o"
    ]
    known = extended(
        policy,
        secret("live", "backup", "prj_acme"),
        providers=[*policy.providers, backup],
        prices=[*policy.prices, *prices],
        routes=(ModelRoute("", "gpt-4o", to("openai/gpt-4o", "backup/gpt-4o")),),
    )
    rehearsal.knobs(error_status=401, error_key="secret")
    async with serving(tmp_path, known) as sidecar:
        for _ in range(2):
            answer = await ask(sidecar, chat(model="gpt-4o"))
            assert (answer.status, answer.headers["x-bursar-routed"]) == (200, "fallback")
        await rehearsal.ended(3)
    assert keys_of(rehearsal.bill()) == [OWN, "...live", "...live"]
    assert [hold.call.routed for hold in sidecar.booked.opened] == ["", "fallback", "fallback"]


# --- A cheaper model near a cap ------------------------------------------------------------------

RULE = replace(
    ROUTE,
    name="gpt-4o",
    targets=to("openai/gpt-4o"),
    cheaper=to("openai/gpt-4o-mini")[0],
    above_percent=80,
)


def levels(sidecar: wire.Sidecar, *, above: bool) -> None:
    """Let a budget stand above or below every part of its cap."""

    def is_above(attributes: Any, percent: int, beside_nano_usd: int) -> bool:
        assert (attributes.model, percent) == ("gpt-4o", 80)
        return above

    sidecar.admission.is_above = is_above  # type: ignore[method-assign]  # no cap in these stories


def refusing_dear(sidecar: wire.Sidecar, reason: Reason) -> None:
    """Let the dear model fit no budget any more."""
    admit = sidecar.admission.open

    async def open_(call: Any, *, counts: bool = True) -> Any:
        if call.attributes.model == "gpt-4o":
            raise Refused(Refusal(reason, "It does not fit."))
        return await admit(call, counts=counts)

    sidecar.admission.open = open_  # type: ignore[method-assign]  # admission, at the seam


@pytest.mark.parametrize("stream", [False, True])
async def test_near_a_cap_a_call_goes_to_the_cheaper_model(
    tmp_path: Path, rehearsal: Rehearsal, policy: Policy, stream: bool
) -> None:
    async with serving(tmp_path, extended(policy, routes=(RULE,))) as sidecar:
        levels(sidecar, above=False)
        answer = await ask(sidecar, chat(model="gpt-4o", stream=stream))
        assert "x-bursar-routed" not in answer.headers
        levels(sidecar, above=True)
        answer = await ask(sidecar, chat(model="gpt-4o", stream=stream))
        assert answer.headers["x-bursar-model"] == "gpt-4o-mini"
        assert answer.headers["x-bursar-routed"] == "cheaper"
        await rehearsal.ended(2)
    dear, cheap = (hold.call for hold in sidecar.booked.opened)
    assert (dear.alias, dear.routed, dear.attributes.model) == ("", "", "gpt-4o")
    assert (cheap.alias, cheap.routed, cheap.attributes.model) == (
        *("gpt-4o", "cheaper"),
        "gpt-4o-mini",
    )
    assert sidecar.booked.cost_nano_usd == rehearsal.billed_nano_usd > 0


@pytest.mark.parametrize(
    "reason", [Reason.EXHAUSTED, Reason.TOO_LARGE, Reason.BUSY, Reason.UNREACHABLE]
)
async def test_what_does_not_fit_any_more_goes_to_the_cheaper_model_instead_of_being_refused(
    tmp_path: Path, rehearsal: Rehearsal, policy: Policy, reason: Reason
) -> None:
    async with serving(tmp_path, extended(policy, routes=(RULE,))) as sidecar:
        levels(sidecar, above=False)
        refusing_dear(sidecar, reason)
        answer = await ask(sidecar, chat(model="gpt-4o"))
        assert (answer.status, answer.headers["x-bursar-routed"]) == (200, "cheaper")
        assert not sidecar.booked.refused, "nobody was refused, so nothing is counted"
        check_chain(sidecar, rehearsal, 1)


@pytest.mark.parametrize(
    ("route", "reason"),
    [
        (ROUTE, Reason.EXHAUSTED),
        (replace(RULE, cheaper=to("openai/no-such-model")[0]), Reason.EXHAUSTED),
        (RULE, Reason.FENCED),
    ],
)
async def test_without_the_rule_or_for_another_reason_the_refusal_stands_and_counts_once(
    tmp_path: Path, policy: Policy, route: ModelRoute, reason: Reason
) -> None:
    async with serving(tmp_path, extended(policy, routes=(route,))) as sidecar:
        levels(sidecar, above=False)

        async def open_(call: Any, *, counts: bool = True) -> Any:
            refusal = Refusal(reason, "It does not fit.")
            if counts:
                sidecar.admission.refused(refusal, call.attributes)
            raise Refused(refusal)

        sidecar.admission.open = open_  # type: ignore[method-assign]  # admission, at the seam
        answer = await ask(sidecar, chat(model=route.name))
        assert answer.status in (402, 503)
        assert [one.reason for one in sidecar.booked.refused] == [reason]


async def test_a_call_that_waited_while_its_budget_came_above_gives_its_turn_up(
    tmp_path: Path, rehearsal: Rehearsal, policy: Policy
) -> None:
    async with serving(tmp_path, extended(policy, routes=(RULE,))) as sidecar:
        levels(sidecar, above=False)
        admit = sidecar.admission.open

        async def open_(call: Any, *, counts: bool = True) -> Any:
            hold = await admit(call, counts=counts)
            levels(sidecar, above=True)
            return replace(hold, waited_ms=500)

        sidecar.admission.open = open_  # type: ignore[method-assign]  # admission, at the seam
        answer = await ask(sidecar, chat(model="gpt-4o"))
        assert (answer.status, answer.headers["x-bursar-routed"]) == (200, "cheaper")
        check_chain(sidecar, rehearsal, 2)
    dear, cheap = sidecar.booked.opened
    assert sidecar.booked.voided[dear.call_id].outcome is Outcome.NOT_SENT
    assert cheap.call.attributes.model == "gpt-4o-mini"


async def test_a_cheaper_model_that_fails_is_followed_by_the_usual_one(
    tmp_path: Path, rehearsal: Rehearsal, policy: Policy
) -> None:
    rehearsal.knobs(error_status=503, error_model="gpt-4o-mini")
    async with serving(tmp_path, extended(policy, routes=(RULE,))) as sidecar:
        levels(sidecar, above=True)
        answer = await ask(sidecar, chat(model="gpt-4o"))
        assert (answer.status, answer.headers["x-bursar-model"]) == (200, "gpt-4o")
        assert [hold.call.routed for hold in sidecar.booked.opened] == ["cheaper", "fallback"]
        check_chain(sidecar, rehearsal, 2)
