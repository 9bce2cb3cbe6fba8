"""The stage of a run: what its steps have made so far, and by which name each step is done."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from tests.simulation.host import SimulatedHost
from tests.simulation.plan import Step
from tests.simulation.simulation import Simulation


@dataclass(slots=True)
class Client:
    """One client of the agency, with the keys that its calls come with."""

    project_id: str
    keys: list[tuple[str, str]] = field(default_factory=list)
    """Key and secret."""


@dataclass(slots=True)
class Stage:
    """What the steps of a run have made so far."""

    simulation: Simulation
    clients: dict[int, Client] = field(default_factory=dict)
    budgets: list[str] = field(default_factory=list)
    hosts: dict[int, SimulatedHost] = field(default_factory=dict)
    chance: random.Random = field(default_factory=random.Random)

    def host(self, step: Step) -> SimulatedHost | None:
        return self.hosts.get(step.who)


Action = Callable[[Stage, Step], Awaitable[None]]
ACTIONS: dict[str, Action] = {}


def action(name: str) -> Callable[[Action], Action]:
    def keep(function: Action) -> Action:
        ACTIONS[name] = function
        return function

    return keep
