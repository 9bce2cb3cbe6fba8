"""The whole message history once more, shuffled: nothing changes.

Every message that the control plane ever served is served again, and every answer and directive
that a living process ever took is taken again, in an order that the seed chooses.
"""

import random
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, cast

from control_plane.store.engine import Tx
from protos.bursar.sidecar import v1 as wire
from tests.simulation.invariants import must
from tests.simulation.network import LostError

if TYPE_CHECKING:
    from tests.simulation.host import Life
    from tests.simulation.simulation import Message, Simulation

Rows = list[tuple[object, ...]]

TABLES = ("period", "lease", "cursor", "call", "charge", "rollup", "alarm", "refusal", "fork")
"""All that must stay as it is, to the last column."""


def replay_at_control_plane(simulation: "Simulation", chance: random.Random) -> None:
    """Serve the whole history again. Raises ViolationError."""
    headquarters = simulation.headquarters
    before = headquarters.read(_everything)
    again = [message for message in simulation.history if not _is_news(message)]
    chance.shuffle(again)
    for message in again:
        try:
            headquarters.serve(message.method, message.request, message.life.host.me.credential)
        except LostError:
            continue
    simulation.step("history served again", len(again))
    after = headquarters.read(_everything)
    for table, rows in before.items():
        if after[table] == rows:
            continue
        changed = [row for row in after[table] if row not in rows][:2]
        gone = [row for row in rows if row not in after[table]][:2]
        must(
            not changed and not gone,
            "history",
            f"old messages, served again, changed {table}: {gone} became {changed}",
        )


def _is_news(message: "Message") -> bool:
    """Whether it was turned away as others were missing before it, and never told again.

    A journal that was lost since tells nothing again. Once what was missing has come late, such a
    message is no repetition: it is the first proof of what it says.
    """
    if message.method != "Sync" or message.answer.status != wire.SyncStatus.SYNC_STATUS_GAP:
        return False
    living = message.life.host.life
    return living is None or living.journal.epoch != message.request.epoch


def replay_at_sidecars(simulation: "Simulation", chance: random.Random) -> None:
    """Let every living process take all its answers again. Raises ViolationError."""
    for host in simulation.hosts.values():
        life = host.life
        if life is None or life.dead or life.journal.failure is not None:
            continue
        before = _numbers(life)
        answers = list(life.answers)
        chance.shuffle(answers)
        for answer, told, sent in answers:
            life.link._take(answer, told, sent)
        simulation.step("answers taken again", life.name, len(answers))
        after = _numbers(life)
        # A lease of a past window may be put aside meanwhile, with its numbers.
        changed = {
            key: (old, after[key])
            for key, old in before.items()
            if key in after and after[key] != old
        }
        must(
            not changed,
            "history",
            f"old answers, taken again, changed leases of {life.name}: {changed}",
        )


def _numbers(life: "Life") -> Mapping[object, tuple[int, ...]]:
    return {
        lease.key: (
            lease.granted_nano_usd,
            lease.returned_nano_usd,
            lease.spent_nano_usd,
            lease.held_nano_usd,
        )
        for lease in life.allowance
    }


def _everything(tx: Tx) -> dict[str, Rows]:
    found: dict[str, Rows] = {}
    for table in TABLES:
        rows = tx.rows(f"SELECT * FROM {table}")  # noqa: S608 - names of our own
        found[table] = [tuple(cast(Iterable[object], row)) for row in rows]
    return found


def delivered(simulation: "Simulation", life: "Life") -> bool:
    """Whether the last record of a process reached the control plane, whatever it made of it."""
    if not life.ready.is_set():
        return False
    last_seq = life.journal.last_seq
    # What a database took that was replaced meanwhile, this one does not have.
    heard = life.link._generation >= simulation.books.generation
    return (heard and life.journal.acked_seq == last_seq) or any(
        message.life is life
        and message.method == "Sync"
        and message.answer.status != wire.SyncStatus.SYNC_STATUS_GAP
        and message.request.from_seq + len(message.request.records) > last_seq
        for message in simulation.history
        if message.method == "Sync" and message.request.records
    )
