"""Stories of the record table: what must be on the disk before which moment, and what if it is not.

Each holds with the code as it is, and each breaks as soon as its record is not durable when it must
be: test_durability.py tells them again in a tree in which that was taken away.
`python -m tests.simulation.durability NAME` tells one.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.simulation.invariants import ViolationError, first_of
from tests.simulation.stories.scene import CENT, DOLLAR, Scene, Story, tell

VIOLATED = 3
"""The exit status of a story in which something that must hold did not."""


async def _starts_again(scene: Scene, name: str) -> None:
    """The power goes, and comes back."""
    host = scene.simulation.hosts[name]
    scene.life(host).kill(power_loss=True)
    scene.simulation.revive(host)
    await scene.ready(host)


async def story_of_open(scene: Scene) -> None:
    """A call has just gone out when the power goes: it is charged, and its money not used again."""
    client = scene.client("acme", DOLLAR)
    [one] = await scene.sidecars("one")
    await scene.warm_up(one, client)
    one.disk.slow_ms = 400
    before = len(scene.sent(one))
    scene.begin(scene.call(one, client, 30 * CENT, lasts_ms=3_000))
    await scene.until(lambda: len(scene.sent(one)) > before)
    await _starts_again(scene, "one")
    one.disk.slow_ms = 3
    await scene.calls(2, one, client, 30 * CENT)
    await scene.at_rest()
    assert len([row for row in scene.ledger().values() if row["estimated"]]) == 1


async def story_of_settle(scene: Scene) -> None:
    """A call's end is in the ledger when the power goes: its journal still continues the ledger."""
    await _told_and_then_cut(scene, ends="")


async def story_of_void(scene: Scene) -> None:
    """The same of a call that cost nothing."""
    await _told_and_then_cut(scene, ends="fails")


async def _told_and_then_cut(scene: Scene, *, ends: str) -> None:
    client = scene.client("acme", DOLLAR)
    [one] = await scene.sidecars("one")
    await scene.warm_up(one, client)
    told = len(scene.ledger())
    await scene.call(one, client, 10 * CENT, cost=4 * CENT, ends=ends)
    await scene.until(lambda: len(scene.ledger()) > told)
    await _starts_again(scene, "one")
    assert (await scene.call(one, client, 10 * CENT)).passed
    await scene.at_rest()
    assert not [row for row in scene.ledger().values() if row["estimated"]]


async def story_of_return(scene: Scene) -> None:
    """Money that went to another is not here any more, though the power went when it was told."""
    client = scene.client("acme", DOLLAR)
    one, two = await scene.sidecars("one", "two")
    await scene.warm_up(one, client, worst=2 * CENT)
    one.disk.slow_ms = 400
    scene.begin(scene.call(two, client, 70 * CENT))
    await scene.until(lambda: _returned(scene, one.sidecar_id) > 0)
    await _starts_again(scene, "one")
    await scene.calls(20, one, client, 2 * CENT)
    await scene.at_rest()


async def story_of_grant(scene: Scene) -> None:
    """Money is granted, and the power goes before that is written down: nothing is lost by it."""
    client = scene.client("acme", DOLLAR)
    [one] = await scene.sidecars("one")
    one.disk.slow_ms = 400
    scene.begin(scene.call(one, client, 30 * CENT))
    await scene.until(lambda: any(lease.granted_nano_usd for lease in scene.life(one).allowance))
    await _starts_again(scene, "one")
    one.disk.slow_ms = 3
    assert [each.passed for each in await scene.calls(10, one, client, 10 * CENT)] == [True] * 10
    await scene.at_rest()
    assert scene.billed(client.budget_id) == DOLLAR


def _returned(scene: Scene, sidecar_id: str) -> int:
    [row] = scene.rows(
        "SELECT COALESCE(SUM(returned_nano_usd), 0) AS n FROM lease WHERE sidecar_id = :sidecar",
        sidecar=sidecar_id,
    )
    return int(row["n"])


STORIES: dict[str, Story] = {
    "OPEN": story_of_open,
    "SETTLE": story_of_settle,
    "VOID": story_of_void,
    "RETURN": story_of_return,
    "GRANT": story_of_grant,
}
"""By the record that they are about."""


def main() -> int:
    """Tell one story, and say what broke."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.durability")
    parser.add_argument("name", choices=STORIES)
    asked = parser.parse_args()
    status = 0
    with tempfile.TemporaryDirectory() as folder:
        try:
            tell(Path(folder), STORIES[asked.name])
        except* ViolationError as group:
            print(first_of(group))
            status = VIOLATED
    return status


if __name__ == "__main__":
    sys.exit(main())
