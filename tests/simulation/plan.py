"""A run as data: which things are done to the world, and when. Made from a seed, and from it alone.

A plan is a tuple of steps, frozen and sorted by time. Any part of it is a plan too: a step about
something that an earlier, missing step would have made does nothing. So a failing run can be cut.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

CENT = 10_000_000
DOLLAR = 100 * CENT
CLIENTS = 2
WORKFLOWS = ("", "mail", "report")
WORSTS = (CENT, 2 * CENT, 4 * CENT, 8 * CENT, 16 * CENT, 64 * CENT)


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that is done to the world."""

    at_ms: int
    """When, from the start of the run."""
    action: str
    """What, see actions.py."""
    who: int = 0
    """Which sidecar, by number."""
    part: int = 0
    """Which client, budget or key, by number."""
    amount: int = 0
    """Nano-dollars, or parts in a thousand."""
    ms: int = 0
    """For how long, or by how much."""
    how: str = ""
    """In which way."""
    more: int = 0
    """A second amount."""


Plan = tuple[Step, ...]
QUIET_MS = (20_000,) * 17 + (40_000,) * 17 + (70_000,) * 3 + (120_000,) * 2 + (310_000,)
STEPS_MIN = 400
"""So many steps a run has at least, to count as one."""
BURSTS = 3
"""Of calls in every plan. Where they come to little, because all were away, encores follow: so a
rich world does not do much more than it must, and a poor one does enough."""
ENCORE = 110
"""Calls at the end, made only while too little has happened."""


def plan(seed: int) -> Plan:
    """All that is done in the run of a seed."""
    chance = random.Random(f"{seed}:plan")
    length_ms = chance.choice((12_000, 18_000, 28_000))
    steps = _scene(chance, length_ms)
    sidecars = sum(step.action == "sidecar" for step in steps)
    steps += _calls(chance, sidecars, length_ms)
    steps += _weather(chance, sidecars, length_ms)
    steps += _faults(chance, sidecars, length_ms)
    steps = told_on(random.Random(f"{seed}:chapter"), steps, sidecars, length_ms)
    steps += _administration(chance, sidecars, length_ms)
    steps += _encore(chance, sidecars, length_ms)
    if chance.random() < 0.35:
        steps += _afterwards(chance, sidecars, length_ms)
    return tuple(sorted(steps, key=lambda step: step.at_ms))


def _scene(chance: random.Random, length_ms: int) -> list[Step]:
    """Midnight, the sidecars, and the budgets."""
    before_ms = chance.randint(5_000, length_ms) if chance.random() < 0.6 else 7_200_000
    steps = [Step(0, "midnight", ms=before_ms)]
    offline = chance.choice((15_000, 20_000, 30_000, 60_000, 300_000))
    window = chance.choice(("day", "month"))
    steps.append(
        Step(0, "budget", part=-1, amount=chance.randint(3, 12) * DOLLAR, ms=offline, how=window)
    )
    steps += [
        Step(
            0,
            "client",
            part=client,
            amount=chance.randint(1, 5) * DOLLAR,
            ms=chance.choice((15_000, 30_000, 60_000, 300_000)),
            how=chance.choice(("day", "month", "day")),
        )
        for client in range(CLIENTS)
    ]
    steps.append(Step(0, "budget", part=0, amount=DOLLAR, ms=offline, how="day mail"))
    split = chance.choice(("day split key", "month split workflow"))
    steps.append(Step(0, "budget", part=1, amount=2 * DOLLAR, ms=offline, how=split))
    if chance.random() < 0.6:
        steps.append(Step(0, "budget", part=chance.choice((-1, 1)), amount=-1, ms=offline))
    for number in range(chance.choice((2, 2, 2, 2, 3, 3, 4))):
        rate = 1_000 if chance.random() < 0.5 else chance.randint(900, 1_100)
        steps.append(Step(0, "sidecar", who=number, amount=rate))
    return steps


def _calls(chance: random.Random, sidecars: int, length_ms: int) -> list[Step]:
    """Calls in bursts: a few clients at a time, worst cases spread."""
    steps = []
    for _ in range(BURSTS):
        begins = chance.randint(500, length_ms)
        spread = chance.choice((300, 1_000, 4_000))
        clients = chance.sample(range(CLIENTS), chance.randint(1, CLIENTS))
        for _ in range(chance.randint(9, 12)):
            at_ms = begins + chance.randint(0, spread)
            steps.append(a_call(chance, at_ms, sidecars, chance.choice(clients)))
    return steps


def a_call(chance: random.Random, at_ms: int, sidecars: int, client: int) -> Step:
    """A call by chance."""
    worst = chance.choice(WORSTS) if chance.random() < 0.7 else chance.choice(WORSTS[:3])
    ends = chance.choices(
        ("less", "exact", "more", "timeout", "fails", "unsent"), (60, 14, 2, 8, 8, 8)
    )[0]
    return Step(
        at_ms,
        "call",
        who=chance.randrange(sidecars),
        part=client,
        amount=worst,
        ms=chance.choice((50, 300, 1_000, 1_000, 4_000, 9_000)),
        how=f"{ends} {chance.choice(WORKFLOWS)}".strip(),
        more=chance.randint(0, 1_000),
    )


def _weather(chance: random.Random, sidecars: int, length_ms: int) -> list[Step]:
    """How bad the network is, changing a few times; and who is cut off for how long."""
    steps = [
        Step(
            chance.randint(0, length_ms),
            "weather",
            amount=chance.choice((0, 50, 100, 300)),
            more=chance.choice((0, 100, 300, 500)),
            ms=chance.choice((10, 20, 200, 1_500)),
        )
        for _ in range(chance.randint(1, 4))
    ]
    steps += [
        Step(
            chance.randint(0, length_ms),
            chance.choice(("cut", "cut", "deafen")),
            who=chance.randrange(sidecars),
            ms=chance.choice((1_000, 5_000, 20_000, 40_000)),
        )
        for _ in range(chance.choice((0, 1, 1, 2)))
    ]
    return steps


KILL_POINTS = (
    "",
    *("write begins",) * 2,  # where little is written any more it does not come, so more often
    *("write ends", "call opened", "call settled", "answer taken"),
)

Maker = Callable[[random.Random, int, int], Step]


def _kill(chance: random.Random, at_ms: int, who: int) -> Step:
    return Step(at_ms, "kill", who=who, how=chance.choice(KILL_POINTS))


def _power(chance: random.Random, at_ms: int, who: int) -> Step:
    point = chance.choice(("", *("write begins",) * 4, "write ends", "call opened"))
    return Step(at_ms, "power loss", who=who, how=point)


def _plain(action: str) -> Maker:
    def make(chance: random.Random, at_ms: int, who: int) -> Step:
        return Step(at_ms, action, who=who)

    return make


def _lasting(action: str, *lengths_ms: int) -> Maker:
    def make(chance: random.Random, at_ms: int, who: int) -> Step:
        return Step(at_ms, action, who=who, ms=chance.choice(lengths_ms))

    return make


def _control_plane(chance: random.Random, at_ms: int, who: int) -> Step:
    at = f"at {chance.randint(0, 12)}"
    how = chance.choice(("", "before commit", at, at, "after commit", "after commit"))
    return Step(at_ms, "kill control plane", who=who, how=how)


def _no_room(chance: random.Random, at_ms: int, who: int) -> Step:
    how = "cursor" if chance.random() < 0.4 else str(chance.randint(0, 12))
    return Step(at_ms, "database full", who=who, how=how)


FAULTS: tuple[tuple[float, int, Maker], ...] = (
    # Probability, at most how many, what.
    (1.00, 3, _kill),
    (0.60, 2, _power),
    (0.25, 1, _plain("sync error")),
    (0.25, 1, _lasting("disk full", 1_000, 5_000, 20_000)),
    (0.25, 1, _lasting("wipe", 3_000, 10_000, 30_000)),
    (0.32, 1, _plain("rot")),
    (0.20, 1, _lasting("clone", 1_000, 8_000)),
    (0.25, 1, _lasting("suspend", 3_000, 20_000, 40_000)),
    (0.25, 1, _lasting("pause", 500, 3_000, 20_000, 40_000)),
    (0.30, 2, _lasting("clock step", -3_600_000, -60_000, -3_000, 1_000, 3_000, 60_000, 3_600_000)),
    (0.25, 1, _plain("reboot")),
    (0.60, 3, _control_plane),
    (0.40, 4, _no_room),
    (0.30, 2, _plain("two instances")),
    (0.40, 4, _plain("stale decision")),
    (0.20, 1, _lasting("restore", 2_000, 8_000, 20_000)),
    (0.25, 1, _plain("drain")),
    (0.25, 1, _plain("slow disk")),
)


def _faults(chance: random.Random, sidecars: int, length_ms: int) -> list[Step]:
    steps = []
    for probability, most, make in FAULTS:
        if chance.random() < probability:
            for _ in range(chance.randint(1, most)):
                at_ms = chance.randint(1_000, length_ms + 5_000)
                steps.append(make(chance, at_ms, chance.randrange(sidecars)))
    return steps


def told_on(chance: random.Random, steps: list[Step], sidecars: int, length_ms: int) -> list[Step]:
    """A plan in whose midst most restores and many wipes become a chapter, which goes on from them.

    So that what they endanger is truly at stake: chance alone seldom spends what a copy forgot, or
    finds a lost journal after its window was charged. A chapter's calls take the place of others.
    """
    restore = next((step for step in steps if step.action == "restore"), None)
    wipe = next((step for step in steps if step.action == "wipe"), None)
    if restore is not None and chance.random() < 0.7:
        return _instead(chance, steps, restore, _forgotten(chance, sidecars, length_ms))
    if wipe is not None and restore is None and chance.random() < 0.6:
        turn_ms = chance.randint(8_000, length_ms - 2_000)
        client = chance.randrange(CLIENTS)
        steps = [
            _near_midnight(step, client, turn_ms)
            for step in steps
            if step.action not in ("weather", "cut", "deafen")
            or not turn_ms - 7_000 < step.at_ms < turn_ms + 8_000
        ]
        return _instead(chance, steps, wipe, _late_evidence(chance, sidecars, client, turn_ms))
    return steps


def _instead(
    chance: random.Random, steps: list[Step], replaced: Step, chapter: list[Step]
) -> list[Step]:
    """A chapter in the place of the step that it tells of, and of as many calls as it has."""
    calls = [step for step in steps if step.action == "call"]
    count = sum(step.action == "call" for step in chapter)
    gone = set(map(id, (replaced, *chance.sample(calls, min(count, len(calls))))))
    return [step for step in steps if id(step) not in gone] + chapter


def _forgotten(chance: random.Random, sidecars: int, length_ms: int) -> list[Step]:
    """A copy takes over that lacks the last grants, whose holder is silent.

    Others ask for all that is left by the copy, and the silent one spends what it forgot.
    """
    holder, asker = chance.sample(range(sidecars), 2)
    client = chance.randrange(CLIENTS)
    begins_ms = chance.randint(1_000, length_ms - 8_000)
    over_ms = begins_ms + 2_500
    steps = [
        Step(begins_ms, "restore", ms=over_ms - begins_ms),
        Step(over_ms - 200, "cut", who=holder, ms=chance.choice((6_000, 10_000))),
    ]
    for who, first_ms, last_ms, count in (
        (holder, begins_ms + 100, over_ms - 700, 4),
        (asker, over_ms + 500, over_ms + 4_500, 7),
        (holder, over_ms + 1_500, over_ms + 6_000, 5),
    ):
        steps += [
            _large(chance, chance.randint(first_ms, last_ms), who, client) for _ in range(count)
        ]
    return steps


def _large(chance: random.Random, at_ms: int, who: int, client: int) -> Step:
    """A call that takes much of a budget, and mostly costs nearly as much."""
    call = a_call(chance, at_ms, 1, client)
    ends = chance.choice(("less", "exact", "exact", "timeout"))
    workflow = call.how.partition(" ")[2]
    return replace(
        call,
        who=who,
        amount=chance.choice(WORSTS[2:]),
        ms=chance.choice((300, 1_000)),
        how=f"{ends} {workflow}".strip(),
        more=chance.randint(700, 1_000),
    )


def _late_evidence(chance: random.Random, sidecars: int, client: int, turn_ms: int) -> list[Step]:
    """A journal is lost with calls in it that nobody was told of, and turns up too late.

    Before that its window ends, and what it had is charged as a lump.
    """
    who = chance.randrange(sidecars)
    wiped_ms = turn_ms - 1_500
    steps = [
        # Under way when it is cut off, their ends are what nobody hears of.
        replace(
            a_call(chance, turn_ms - chance.randint(5_300, 6_500), 1, client),
            who=who,
            amount=chance.choice(WORSTS[:5]),
            ms=2_000,
        )
        for _ in range(8)
    ]
    return [
        *steps,
        Step(turn_ms - 7_000, "weather", more=100, ms=20),
        Step(turn_ms - 5_200, "cut", who=who, ms=4_000),
        Step(wiped_ms, "wipe", who=who, ms=turn_ms + 4_500 - wiped_ms),
        Step(turn_ms + 3_000, "housekeeping"),
    ]


def _near_midnight(step: Step, client: int, turn_ms: int) -> Step:
    """A step of the scene as it is where a client's day ends then."""
    if step.action == "midnight":
        return replace(step, ms=turn_ms)
    if step.action == "client" and step.part == client:
        return replace(step, how="day")
    return step


def _administration(chance: random.Random, sidecars: int, length_ms: int) -> list[Step]:
    """Caps go up and down, keys and sidecars end."""
    steps = [
        Step(
            chance.randint(2_000, length_ms),
            "cap",
            part=chance.randint(0, 5),
            amount=chance.choice((0, 300, 500, 800, 1_300, 1_600, 2_000)),
            how=chance.choice(("", "", "this period")),
        )
        for _ in range(chance.choice((0, 1, 1, 2)))
    ]
    if chance.random() < 0.35:
        steps.append(
            Step(chance.randint(2_000, length_ms), "revoke key", part=chance.randrange(CLIENTS))
        )
    if chance.random() < 0.45:
        steps.append(
            Step(chance.randint(5_000, length_ms), "revoke sidecar", who=chance.randrange(sidecars))
        )
    if chance.random() < 0.2:
        steps.append(
            Step(
                chance.randint(2_000, length_ms),
                "offline",
                part=chance.randint(0, 5),
                ms=chance.choice((15_000, 60_000, 600_000)),
            )
        )
    return steps


def _encore(chance: random.Random, sidecars: int, length_ms: int) -> list[Step]:
    """More calls where a run was poor so far: everybody was away, or nothing was sent."""
    return [
        replace(
            a_call(chance, length_ms + 60 * number, sidecars, number % CLIENTS), action="encore"
        )
        for number in range(1, ENCORE + 1)
    ]


def _afterwards(chance: random.Random, sidecars: int, length_ms: int) -> list[Step]:
    """A quiet time, and a few more calls after it."""
    later_ms = length_ms + chance.choice(QUIET_MS)
    count = chance.randint(3, 8)
    return [
        a_call(chance, later_ms + chance.randint(0, 3_000), sidecars, chance.randrange(CLIENTS))
        for _ in range(count)
    ]


def in_words(step: Step) -> str:
    """A step as a person would tell it."""
    facts = [f"at {step.at_ms / 1_000:.3f} s: {step.action}"]
    if step.action in _ABOUT_SIDECARS:
        facts.append(f"sidecar {step.who}")
    if step.action in _ABOUT_PARTS:
        facts.append(f"number {step.part}")
    if step.how:
        facts.append(step.how)
    if step.action in ("call", "encore", "client", "budget") and step.amount >= 0:
        facts.append(f"{step.amount / CENT:g} cents")
    elif step.amount:
        facts.append(f"{step.amount} parts of 1000")
    if step.more:
        facts.append(f"then {step.more} parts of 1000")
    if step.ms:
        facts.append(f"{step.ms} ms")
    return ", ".join(facts)


_ABOUT_PARTS = frozenset(("call", "encore", "client", "budget", "cap", "revoke key", "offline"))
_ABOUT_SIDECARS = frozenset(
    (
        *(
            "call",
            "encore",
            "sidecar",
            "cut",
            "deafen",
            "kill",
            "power loss",
            "sync error",
            "disk full",
        ),
        *("wipe", "rot", "clone", "suspend", "pause", "clock step", "reboot", "drain"),
        *("slow disk", "revoke sidecar", "two instances"),
    )
)
