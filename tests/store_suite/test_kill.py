"""A process that is killed loses nothing that it acknowledged."""

import subprocess
import sys
from pathlib import Path

from control_plane.clock import SystemClock
from control_plane.store.sqlite import open_store
from tests.store_suite.test_transactions import positions

WRITE_FOR_EVER = """
import sys
from pathlib import Path
from control_plane.clock import SystemClock
from control_plane.store.sqlite import open_store
from tests.store_suite.test_transactions import add
store = open_store(Path(sys.argv[1]), SystemClock())
for batch in range(10**6):
    futures = [store.write(lambda tx, n=n: add(tx, n)) for n in range(batch * 8, batch * 8 + 8)]
    for number, future in enumerate(futures, batch * 8):
        future.result()
        print(number, flush=True)
"""
ACKNOWLEDGED_MIN = 400


def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WRITE_FOR_EVER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) >= ACKNOWLEDGED_MIN:
                break
        process.kill()
        last = max(
            [ACKNOWLEDGED_MIN, *(int(line) for line in process.stdout if line.endswith("\n"))]
        )
    store = open_store(tmp_path, SystemClock())
    found = store.read(positions).result()
    store.close()
    assert found[: last + 1] == list(range(last + 1))
    # At most the batch that was under way came with it, in its order.
    assert found == list(range(len(found)))
