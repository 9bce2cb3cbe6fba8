"""The simulation's own checks can fail: what they hold against the code is broken on purpose."""

from pathlib import Path

import pytest

from tests.simulation.invariants import ViolationError
from tests.simulation.stories.scene import DOLLAR, Scene, tell


@pytest.mark.parametrize("known", [False, True], ids=["unknown", "known"])
def test_a_journal_is_taken_for_lost_only_where_bytes_of_it_went_bad(
    tmp_path: Path, known: bool
) -> None:
    async def story(scene: Scene) -> None:
        acme = scene.client("Acme Dental", 30 * DOLLAR)
        [one] = await scene.sidecars("one")
        await scene.warm_up(one, acme)
        scene.simulation.kill(one)
        one.disk.journal.rotten = known
        for name in ("journal.db", "journal.db-wal"):
            (one.disk.folder / name).write_bytes(b"no journal at all" * 500)
        await scene.ready(one)

    if known:
        tell(tmp_path, story)
    else:
        with pytest.raises(ViolationError, match="good journal"):
            tell(tmp_path, story)
