"""The control plane of a simulation: its real servicer and use cases on a real database.

One process serves, and a second instance may answer the same message on the same database. Either
can end at any moment: soft state is gone then, and what was not committed never happened.
"""

import random
import shutil
import tempfile
from collections.abc import Callable, Container, Coroutine, Iterable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar, cast

import grpc

from control_plane.config import Config
from control_plane.core.budgets import Budget
from control_plane.core.leases import LeaseKey
from control_plane.core.principals import Principal, Role
from control_plane.core.reports import Left, Offer
from control_plane.entropy import Entropy
from control_plane.rpc import sidecar_wire
from control_plane.rpc.deps import Deps
from control_plane.rpc.hub import Hub
from control_plane.rpc.sidecar_service import SidecarServicer
from control_plane.secrets import Vault
from control_plane.store import budgets, principals
from control_plane.store.engine import StoreFullError, Tx
from control_plane.store.sqlite import DATABASE_FILE, InlineStore, open_inline
from control_plane.usecases import learning
from control_plane.usecases.acts import Act
from control_plane.usecases.housekeeping import keep_house
from control_plane.usecases.levels import Levels
from protos.bursar.sidecar import v1 as wire
from protos.values import ids
from protos.values.errors import UnauthenticatedError
from tests.simulation.clocks import TrueClock
from tests.simulation.network import LostError
from tests.simulation.torn import FullTx, KilledError, StaleTx, TornTx

T = TypeVar("T")


class _FragileStore:
    """The store of one process, which may be killed at its next transaction."""

    def __init__(self, store: InlineStore) -> None:
        self.store = store
        self.kill = ""
        """When to die: "" for never, "before commit", "after commit", or "at N" for a change."""
        self.stale: random.Random | None = None
        """Chance by which the next transaction reads something old."""
        self.full = ""
        """At which change the next transaction finds no room: "" for none, or see FullTx."""

    def write(self, fn: Callable[[Tx], T]) -> "Future[T]":
        kill, self.kill = self.kill, ""
        stale, self.stale = self.stale, None
        full, self.full = self.full, ""

        def wrapped(tx: Tx) -> T:
            if stale is not None:
                return fn(StaleTx(tx, stale))
            if full:
                return fn(FullTx(tx, None if full == "cursor" else int(full)))
            if kill.startswith("at "):
                return fn(TornTx(tx, int(kill.removeprefix("at "))))
            done = fn(tx)
            if kill == "before commit":
                raise KilledError
            return done

        done = self.store.write(wrapped)
        if kill == "after commit":
            done.result()
            raise KilledError
        return done

    def read(self, fn: Callable[[Tx], T]) -> "Future[T]":
        return self.store.read(fn)


class _Directives:
    """What decisions say to sidecars, handed to the simulated network."""

    def __init__(
        self, push: Callable[[str, wire.WatchResponse], None], names: Container[str]
    ) -> None:
        self._push = push
        self._names = names
        self.policy_moved = False

    def watching(self, sidecar_id: str, _incarnation: str) -> bool:
        """Whoever there is may be told: the network loses what nobody takes."""
        return sidecar_id in self._names

    def recall(self, sidecar_id: str, lease: LeaseKey, keep_nano_usd: int) -> None:
        named = sidecar_wire.lease_key_to_wire(lease)
        recall = wire.Recall(lease=named, keep_nano_usd=keep_nano_usd)
        self._push(sidecar_id, wire.WatchResponse(recall=recall))

    def nudge(self, sidecar_ids: Iterable[str]) -> None:
        for sidecar_id in sorted(sidecar_ids):
            self._push(sidecar_id, wire.WatchResponse(nudge=wire.Nudge()))

    def offer(self, offer: Offer) -> None:
        message = wire.WatchResponse(offer=sidecar_wire.offer_to_wire(offer))
        self._push(offer.sidecar_id, message)

    def left(self, left: Left) -> None:
        for sidecar_id in left.sidecar_ids:
            message = wire.WatchResponse(left=sidecar_wire.left_to_wire(left))
            self._push(sidecar_id, message)

    def beat(self, sidecar_id: str) -> None:
        """Show a sidecar that its stream reaches it."""
        self._push(sidecar_id, wire.WatchResponse(heartbeat=wire.Heartbeat()))

    def ledger_moved(self) -> None:
        """Nobody follows the ledger here."""

    def policy_changed(self) -> None:
        self.policy_moved = True

    def end(self, sidecar_id: str) -> None:
        """A stream that ends is opened again, and refused then."""


class _Context:
    """Who asks."""

    def __init__(self, credential: str) -> None:
        self._metadata = (("authorization", f"Bearer {credential}"),)

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return self._metadata


class _Servicer(SidecarServicer):
    """The servicer on a store that answers at once: it never has to wait."""

    async def _finish(self, work: Coroutine[Any, Any, T]) -> T:
        return await work

    async def _write(self, fn: Callable[[Tx], T]) -> T:
        return self._deps.store.write(fn).result()

    async def _read(self, fn: Callable[[Tx], T]) -> T:
        return self._deps.store.read(fn).result()


def _at_once(serving: Coroutine[Any, Any, T]) -> T:
    """The value of a coroutine that waits for nothing."""
    try:
        serving.send(None)
    except StopIteration as done:
        return cast(T, done.value)
    raise AssertionError("the servicer waited for something")


class Instance:
    """One process of the control plane."""

    def __init__(self, headquarters: "Headquarters") -> None:
        self.store = _FragileStore(headquarters.store)
        self.levels = Levels(started_unix_ms=headquarters.clock.unix_ms())
        deps = Deps(
            store=cast(Any, self.store),
            clock=headquarters.clock,
            entropy=headquarters.entropy,
            hub=cast(Hub, headquarters.directives),
            levels=self.levels,
            vault=headquarters.vault,
            config=Config(data=headquarters.folder),
        )
        self.servicer = _Servicer(deps)


_TEMPLATE: list[bytes] = []


def _lay_template(folder: Path) -> None:
    """An empty database with its schema, made once in a process: it opens faster."""
    folder.mkdir(parents=True)
    if not _TEMPLATE:
        with tempfile.TemporaryDirectory() as made:
            open_inline(Path(made), TrueClock(0)).close()
            _TEMPLATE.append((Path(made) / DATABASE_FILE).read_bytes())
    (folder / DATABASE_FILE).write_bytes(_TEMPLATE[0])


class Headquarters:
    """The control plane, as often as it is started."""

    def __init__(
        self,
        folder: Path,
        clock: TrueClock,
        chance: random.Random,
        push: Callable[[str, wire.WatchResponse], None],
        names: Container[str],
    ) -> None:
        """Open the database of a folder, and found the installation."""
        self.folder = folder
        self.clock = clock
        self.entropy = Entropy(chance.randbytes)
        self.directives = _Directives(push, names)
        self.vault = Vault(folder / "encryption.key", None, chance.randbytes)
        _lay_template(folder)
        self.store: InlineStore = open_inline(folder, clock)
        self.up = True
        self._begin()
        self.owner = Principal(
            self.entropy.id(ids.PRINCIPAL, clock.unix_ms()), "owner", Role.OWNER, clock.unix_ms()
        )
        self.do(lambda tx: principals.insert(tx, self.owner))
        self._acts = 0

    def _begin(self) -> None:
        now = self.clock.unix_ms()
        self.do(lambda tx: learning.notice_old_database(tx, now))
        self.main = Instance(self)
        self.twin = Instance(self)
        """Another instance on the same database; it answers only when a story lets it."""

    def do(self, fn: Callable[[Tx], T]) -> T:
        """Run a writing transaction and take its value."""
        return self.store.write(fn).result()

    def read(self, fn: Callable[[Tx], T]) -> T:
        return self.store.read(fn).result()

    def look(self, fn: Callable[[Tx], T]) -> T:
        """Read on the connection that writes, which need not fetch anew what it just wrote."""
        return fn(self.store._session.tx)

    @property
    def rows_written(self) -> int:
        """How many rows this database's only writer wrote, also those that were undone."""
        changes: int = self.store._session._database.conn.total_changes
        return changes

    def budget(self, budget_id: str) -> Budget | None:
        return self.read(lambda tx: budgets.get(tx, budget_id))

    def cap_in_force(self, budget_id: str, period_id: str) -> int | None:
        """The cap that a period would begin with."""
        return self.read(lambda tx: budgets.cap_in_force(tx, budget_id, period_id))

    def act(self, fn: Callable[[Tx, Act], T]) -> T:
        """Let the owner do something."""
        self._acts += 1
        act = Act(self.owner, "Test", f"r{self._acts}", self.clock.unix_ms(), self.entropy)
        return self.do(lambda tx: fn(tx, act))

    def serve(
        self, method: str, request: Any, credential: str, *, instance: Instance | None = None
    ) -> Any:
        """Serve a message now. Raises LostError when nobody answers, or says no."""
        if not self.up:
            raise LostError(grpc.StatusCode.UNAVAILABLE, "nobody listens")
        servicer = (instance or self.main).servicer
        try:
            serving = getattr(servicer, method)(request, cast(Any, _Context(credential)))
            return _at_once(serving)
        except UnauthenticatedError as error:
            raise LostError(grpc.StatusCode.UNAUTHENTICATED, str(error)) from None
        except StoreFullError as error:
            raise LostError(grpc.StatusCode.UNAVAILABLE, str(error)) from None
        except KilledError:
            self.end()
            raise LostError(grpc.StatusCode.UNAVAILABLE, "connection reset") from None

    def end(self) -> None:
        """The process ends: what was only in its memory is gone."""
        self.up = False

    def begin(self) -> None:
        """The next process begins."""
        self.up = True
        self._begin()

    def backup(self) -> Path:
        """A copy of the database, as somebody would make it."""
        target = self.folder / f"copy-{self.clock.unix_ms()}.db"
        target.unlink(missing_ok=True)
        self.store.backup(target).result()
        return target

    def restore(self, copy: Path) -> None:
        """Put an old copy in the place of the database; the watermark stays. Nobody serves yet."""
        self.end()
        self.store.close()
        for beside in ("-wal", "-shm"):
            (self.folder / f"{DATABASE_FILE}{beside}").unlink(missing_ok=True)
        shutil.copyfile(copy, self.folder / DATABASE_FILE)
        self.store = open_inline(self.folder, self.clock)

    def keep_house(self) -> None:
        if self.up:
            levels, now = self.main.levels, self.clock.unix_ms()
            self.do(lambda tx: keep_house(tx, levels, now))

    def snapshot(self, sidecar_id: str, known_version: int) -> wire.Policy | None:
        """The policy for a sidecar, if it is newer than the one that it has."""
        return _at_once(self.main.servicer._snapshot(sidecar_id, known_version))

    def close(self) -> None:
        self.store.close()
