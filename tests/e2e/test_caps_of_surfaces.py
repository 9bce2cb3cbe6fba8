"""Every surface that costs keeps a cap when 500 calls of uneven size ask for it at once.

BURSAR_E2E_CAP_CALLS sets how many.
"""

from collections.abc import Iterator

import pytest

from sidecar.http.surfaces import SURFACES, Kind
from tests.e2e.cap_calls import CAP_CALLS, DEPLOYED, SIZES, SMALL, CapCall
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
from tests.e2e.test_compatible_surfaces import price, set_up

MODES = [
    pytest.param(call, stream, id=f"{call.surface.name}-{'streamed' if stream else 'plain'}")
    for call in CAP_CALLS
    for stream in call.modes
]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    with Stand(tmp_path_factory.mktemp("stand")) as stand:
        deployed = {DEPLOYED + model: model for model in ("rehearsal-cent", SMALL)}
        set_up(stand, "azure", deployments=deployed)
        price(stand, "azure", "rehearsal-cent", {"input": 0, "output": 10**9})
        price(stand, "azure", SMALL, {"input": 20_000, "output": 0})
        # The provider bills nothing for it; here its cap is told of a fee for each call.
        price(stand, "openai", "omni-moderation-latest", {"input": 0, "calls": 10**10, "output": 0})
        for name in SIDECARS:
            stand.start_sidecar(name)
        yield stand


@pytest.fixture
def stand(running: Stand) -> Stand:
    begin(running)
    return running


def test_every_surface_that_costs_has_its_story() -> None:
    metered = {surface for surface, row in SURFACES.items() if row.kind is Kind.METERED}
    assert {call.surface for call in CAP_CALLS} == metered


@pytest.mark.parametrize(("call", "stream"), MODES)
def test_500_calls_at_once_spend_the_cap_and_never_pass_it(
    stand: Stand, call: CapCall, *, stream: bool
) -> None:
    size = sized(stand, call, stream=stream)
    cap = size.cost_nano_usd * PAID_CALLS // SIZES
    client = known(stand, f"Capped {call.surface} {stream}", cap)
    told = let_loose(stand, client, call, CALLS, stream=stream)
    spent = check_books(stand, client, call, told)
    passed = statuses(told)[200]
    assert set(statuses(told)) == {200, 402}
    assert passed == len(stand.ledger(client.project_id)) >= PAID_CALLS // SIZES
    assert size.worst_nano_usd[SIZES] > cap - spent, "a call was refused that could be paid"
    if call.exact:
        check_refusals(stand, told, size.worst_nano_usd, cap)
