"""Every surface whose calls are routed keeps its cap with rate limits, fallback and cheaper rules.

500 calls at once, of uneven size, as in the stories without rules.
"""

from collections import Counter
from collections.abc import Iterator

import pytest

from protos.bursar.admin import v1 as admin
from sidecar.http.surfaces import SURFACES
from tests.e2e.cap_calls import CAP_CALLS, SIZES, CapCall
from tests.e2e.cap_story import (
    CALLS,
    PAID_CALLS,
    SIDECARS,
    begin,
    check_books,
    check_refusals,
    known,
    let_loose,
    sized,
    statuses,
)
from tests.e2e.stand import Stand
from tests.e2e.test_rate_limits import REQUESTS, SECOND, set_limit

TOKENS = admin.RateMeasure.RATE_MEASURE_TOKENS
AT_ONCE = admin.RateMeasure.RATE_MEASURE_CALLS
UNWINDOWED = admin.RateWindow.RATE_WINDOW_UNSPECIFIED
LIMITS = ((REQUESTS, SECOND, 200), (TOKENS, SECOND, 100_000), (AT_ONCE, UNWINDOWED, 150))
MODES = [
    pytest.param(call, stream, id=f"{call.surface.name}-{'streamed' if stream else 'plain'}")
    for call in CAP_CALLS
    for stream in call.modes
    if call.other_model
]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    with Stand(tmp_path_factory.mktemp("stand")) as stand:
        for provider in ("openai", "anthropic", "gemini"):
            for measure, window, amount in LIMITS:
                set_limit(stand, measure=measure, window=window, amount=amount, provider=provider)
        for name in SIDECARS:
            stand.start_sidecar(name)
        yield stand


@pytest.fixture
def stand(running: Stand) -> Stand:
    begin(running)
    return running


def targets(call: CapCall) -> tuple[str, str]:
    """The model of a call and the other one, as targets of a route."""
    family = SURFACES[call.surface].family
    return f"{family}/{call.model}", f"{family}/{call.other_model}"


@pytest.mark.parametrize(("call", "stream"), MODES)
def test_the_cap_is_spent_and_never_passed_with_limits_and_fallback_on(
    stand: Stand, call: CapCall, *, stream: bool
) -> None:
    """Every call's first target fails; what follows is held and paid like any call."""
    size = sized(stand, call, stream=stream)
    cap = size.cost_nano_usd * PAID_CALLS // SIZES
    route = f"fails-{call.surface.name}-{stream}".lower()
    paid, fails = targets(call)
    stand.set_route(route, fails, paid)
    client = known(stand, route, cap)
    begin(stand, error_status=503, error_model=call.other_model)
    told = let_loose(stand, client, call, CALLS, stream=stream, model=route)
    spent = check_books(stand, client, call, told)
    assert statuses(told).keys() <= {200, 402, 503}
    assert statuses(told)[200] == PAID_CALLS
    assert spent == cap
    check_refusals(stand, told, size.worst_nano_usd, cap)
    calls = stand.ledger(client.project_id)
    kinds = Counter((each.outcome, each.routed) for each in calls)
    assert kinds["ok", "fallback"] == PAID_CALLS
    parents = [each.parent_call_id for each in calls if each.routed == "fallback"]
    assert len(set(parents)) == len(parents)
    assert set(parents) <= {each.call_id for each in calls if each.routed == "alias"}


@pytest.mark.parametrize(("call", "stream"), MODES)
def test_the_cap_is_never_passed_and_nobody_refused_with_limits_and_the_cheaper_rule_on(
    stand: Stand, call: CapCall, *, stream: bool
) -> None:
    """The dear model costs a cent; the cheap one is far below, so that all calls pass."""
    size = sized(stand, call, stream=stream)
    cap = size.cost_nano_usd * PAID_CALLS // SIZES
    route = f"cheaper-{call.surface.name}-{stream}".lower()
    dear, cheap = targets(call)
    stand.set_route(route, dear, cheaper=cheap, above=50)
    client = known(stand, route, cap)
    told = let_loose(stand, client, call, CALLS, stream=stream, model=route)
    check_books(stand, client, call, told)
    assert statuses(told) == {200: CALLS}, "none is refused"
    calls = stand.ledger(client.project_id)
    answered = Counter(each.routed for each in calls if each.outcome == "ok")
    assert answered.total() == CALLS
    assert answered["alias"] > 0
    assert answered["cheaper"] > CALLS - PAID_CALLS
    # All else are turns that were given up for the cheaper model, each once.
    given_up = [each.call_id for each in calls if each.outcome == "not_sent"]
    assert len(given_up) == len(calls) - CALLS
    parents = [each.parent_call_id for each in calls if each.parent_call_id]
    assert sorted(parents) == sorted(given_up)


@pytest.mark.parametrize(("call", "stream"), MODES[::3])
def test_the_cheaper_model_ends_at_the_cap_like_any_other(
    stand: Stand, call: CapCall, *, stream: bool
) -> None:
    """The cap is what a fifth of the calls cost at the cheap model; at the dear one none fits."""
    size = sized(stand, call._replace(model=call.other_model), stream=stream)
    cap = size.cost_nano_usd * PAID_CALLS // SIZES
    route = f"ends-{call.surface.name}-{stream}".lower()
    dear, cheap = targets(call)
    stand.set_route(route, dear, cheaper=cheap, above=50)
    client = known(stand, route, cap)
    told = let_loose(stand, client, call, CALLS, stream=stream, model=route)
    spent = check_books(stand, client, call, told)
    assert statuses(told).keys() == {200, 402}
    assert spent > cap - max(size.worst_nano_usd.values())
    check_refusals(stand, told, size.worst_nano_usd, cap)
