"""The cases: who calls how often, what a call may cost and what it does cost.

Each worst case is known before; the bill is a random part of it, a fifth at least. Calls come at
random times (steady: a Poisson process) or in bursts. Sidecars, clients and workflows are chosen
with Zipf's law, as a few always do most of the work.
"""

import bisect
import itertools
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from protos.values.selectors import Selector
from tests.leasing.truth import Planned
from tests.leasing.world import Arrivals, Case

USD = 1_000_000_000
CENT = USD // 100
SECOND_US = 1_000_000
PROJECT = "client"

Target = tuple[str, str, tuple[str, ...]]
"""Project, workflow and budgets of a call."""
Pick = Callable[[random.Random], Target]
Worst = Callable[[random.Random], int]


def zipf(count: int, power: float) -> Callable[[random.Random], int]:
    """Choose a number below `count`, the first most often; with power 0 each as often."""
    weights = [1 / (place + 1) ** power for place in range(count)]
    sums = list(itertools.accumulate(weights))
    return lambda chance: min(bisect.bisect_left(sums, chance.random() * sums[-1]), count - 1)


def spread(low: int, high: int) -> Worst:
    """Worst cases evenly spread over orders of magnitude."""
    return lambda chance: int(low * (high / low) ** chance.random())


def even(low: int, high: int) -> Worst:
    """Worst cases evenly spread between two amounts."""
    return lambda chance: chance.randint(low, high)


def one_client(_: random.Random) -> Target:
    """All calls are charged to one budget."""
    return PROJECT, "", ("a-client",)


def of_clients(count: int, workflows: int = 0) -> Pick:
    """Calls of an agency's clients, and of their workflows."""
    client, workflow = zipf(count, 1.0), zipf(max(1, workflows), 1.0)

    def pick(chance: random.Random) -> Target:
        project = f"client-{client(chance):02}"
        if not workflows:
            return project, "", ("agency", project)
        label = f"flow-{workflow(chance)}"
        return project, label, ("agency", project, f"{project}-{label}")

    return pick


def calls(
    *,
    count: int,
    rate: float,
    worst: Worst,
    sidecar: Callable[[random.Random], int],
    target: Pick = one_client,
    lasts_s: float = 2.0,
    burst: int = 1,
    bill: tuple[float, float] = (0.2, 1.0),
    first: int = 0,
) -> Arrivals:
    """So many calls, so many a second, in bursts of some size (1: steady).

    They are numbered from `first` on.
    """

    def arrivals(chance: random.Random) -> Iterator[tuple[int, Planned]]:
        at_s, left = 0.0, 0
        who = 0
        for number in range(first, first + count):
            if left == 0:
                at_s += chance.expovariate(rate / burst)
                left = burst
                who = sidecar(chance)
            left -= 1
            if burst == 1 or chance.random() < 0.2:
                who = sidecar(chance)
            project, workflow, budgets = target(chance)
            most = worst(chance)
            planned = Planned(
                number=number,
                sidecar=who,
                worst=most,
                cost=int(most * chance.uniform(*bill)),
                lasts_us=int(chance.expovariate(1 / lasts_s) * SECOND_US) + 1,
                budgets=tuple(sorted(budgets)),
                project=project,
                workflow=workflow,
            )
            yield int(at_s * SECOND_US), planned

    return arrivals


def _single(cap: int) -> tuple[Mapping[str, int], Mapping[str, Selector]]:
    return {"a-client": cap}, {"a-client": Selector(project_id=PROJECT)}


def _agency(
    cap: int, clients: int, client_cap: int, workflows: int = 0, workflow_cap: int = 0
) -> tuple[Mapping[str, int], Mapping[str, Selector]]:
    caps, selectors = {"agency": cap}, {"agency": Selector()}
    for number in range(clients):
        client = f"client-{number:02}"
        caps[client], selectors[client] = client_cap, Selector(project_id=client)
        for flow in range(workflows):
            label = f"flow-{flow}"
            name = f"{client}-{label}"
            caps[name] = workflow_cap
            selectors[name] = Selector(project_id=client, workflow=label)
    return caps, selectors


def _case(
    name: str,
    says: str,
    sidecars: int,
    budgets: tuple[Mapping[str, int], Mapping[str, Selector]],
    arrivals: Arrivals,
    **more: Any,
) -> Case:
    return Case(name, says, sidecars, budgets[0], budgets[1], arrivals, **more)


def _of_one_budget() -> list[Case]:
    return [
        _case(
            "20-on-100",
            "20 sidecars, $100, calls of 1 to 9 cents, steady",
            20,
            _single(100 * USD),
            calls(count=4_500, rate=30, worst=even(CENT, 9 * CENT), sidecar=zipf(20, 1.0)),
            roomy=True,
        ),
        _case(
            "20-on-100-bursts",
            "the same in bursts of 25",
            20,
            _single(100 * USD),
            calls(
                count=4_500,
                rate=30,
                worst=even(CENT, 9 * CENT),
                sidecar=zipf(20, 1.0),
                burst=25,
            ),
            roomy=True,
        ),
        _case(
            "20-on-100-streams",
            "the same as streams of 30 s",
            20,
            _single(100 * USD),
            calls(
                count=8_000,
                rate=15,
                worst=even(CENT, 9 * CENT),
                sidecar=zipf(20, 1.0),
                lasts_s=30.0,
            ),
            roomy=True,
        ),
    ]


def _of_one_budget_and_many_calls() -> list[Case]:
    return [
        _case(
            "20-on-100-busy",
            "20 sidecars, $100, 600 calls/s of 0.1 to 0.3 cents",
            20,
            _single(100 * USD),
            calls(
                count=86_000,
                rate=600,
                worst=even(CENT // 10, 3 * CENT // 10),
                sidecar=zipf(20, 0.3),
            ),
            roomy=True,
        ),
        _case(
            "200-on-5",
            "200 sidecars, $5, calls of 0.1 to 0.9 cents",
            200,
            _single(5 * USD),
            calls(
                count=2_500, rate=20, worst=even(CENT // 10, 9 * CENT // 10), sidecar=zipf(200, 0.5)
            ),
        ),
        _case(
            "50-on-1000",
            "50 sidecars, $1,000, calls of 1 to 9 cents",
            50,
            _single(1_000 * USD),
            calls(count=42_000, rate=200, worst=even(CENT, 9 * CENT), sidecar=zipf(50, 1.0)),
            roomy=True,
        ),
    ]


def _of_thirty_clients() -> list[Case]:
    load = partial(
        calls,
        worst=spread(CENT // 2, 50 * CENT),
        sidecar=zipf(20, 0.8),
        target=of_clients(30),
    )
    cold = _case(
        "agency-30",
        "20 sidecars, agency $1,000, 30 clients of $50",
        20,
        _agency(1_000 * USD, 30, 50 * USD),
        load(count=60_000, rate=150),
        roomy=True,
        cold=True,
    )
    warm = replace(
        cold,
        name="agency-30-turn",
        cold=False,
        says="the same calls from the turn of a month on, after ten minutes of the old one",
        before=load(count=9_000, rate=15, first=60_000),
        turns_s=600,
    )
    return [cold, warm]


def _of_an_agency() -> list[Case]:
    return [
        *_of_thirty_clients(),
        _case(
            "three-budgets",
            "20 sidecars, agency $20, 6 clients $6, 3 workflows each $3; worst cases 1 to 100",
            20,
            _agency(20 * USD, 6, 6 * USD, 3, 3 * USD),
            calls(
                count=6_000,
                rate=60,
                worst=spread(CENT // 10, 10 * CENT),
                sidecar=zipf(20, 1.0),
                target=of_clients(6, 3),
            ),
            large=5 * CENT,
        ),
        _case(
            "three-budgets-crowded",
            "the same with calls of 8 s that cost a tenth of their worst case",
            20,
            _agency(20 * USD, 6, 6 * USD, 3, 3 * USD),
            calls(
                count=2_000,
                rate=25,
                worst=spread(CENT // 2, 50 * CENT),
                sidecar=zipf(20, 1.0),
                target=of_clients(6, 3),
                lasts_s=8.0,
                bill=(0.02, 0.2),
            ),
            large=25 * CENT,
            fills=False,
        ),
        _case(
            "50-cents-on-5",
            "50 sidecars, $5, calls of 0.1 to 50 cents",
            50,
            _single(5 * USD),
            calls(count=4_000, rate=20, worst=spread(CENT // 10, 50 * CENT), sidecar=zipf(50, 0.0)),
            large=20 * CENT,
        ),
    ]


def cases() -> dict[str, Case]:
    """All cases, by name."""
    made = [*_of_one_budget(), *_of_one_budget_and_many_calls(), *_of_an_agency()]
    return {case.name: case for case in made}
