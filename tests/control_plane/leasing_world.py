"""A control plane with its real store, at which small sidecars live in virtual time.

Everything runs inline. After every step `check` holds the books to what must always be so.
"""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from control_plane.core.budgets import Budget, CapChange
from control_plane.core.leases import BudgetRef
from control_plane.core.reports import Status
from control_plane.core.sidecars import Sidecar
from control_plane.core.windows import Window
from control_plane.store import budgets, sidecars
from control_plane.store.engine import Row, Tx, Value
from control_plane.store.sqlite import DATABASE_FILE, InlineStore, open_inline
from control_plane.usecases import learning
from control_plane.usecases.levels import Levels
from control_plane.usecases.offering import Watching, nobody_watches
from protos.values.selectors import Selector, SplitBy
from tests.control_plane.virtual_sidecar import VirtualSidecar

T = TypeVar("T")

USD = 1_000_000_000
CENT = USD // 100
NOON = 1_795_435_200_000
"""2026-11-23T12:00:00Z."""
DAY_MS = 86_400_000


class FrozenClock:
    """A clock that a story moves."""

    def __init__(self) -> None:
        self.now_unix_ms = NOON

    def unix_ms(self) -> int:
        return self.now_unix_ms

    def monotonic_ns(self) -> int:
        return self.now_unix_ms * 1_000_000


class World:
    """The control plane's side."""

    def __init__(self, folder: Path) -> None:
        """Open the store of a folder; one that was made before opens faster."""
        self.clock = FrozenClock()
        self.folder = folder
        self.store: InlineStore = open_inline(folder, self.clock)
        self.levels = Levels(started_unix_ms=NOON)
        self.watching: Watching = nobody_watches
        self.pushed: list[tuple[str, str]] = []
        """Sidecars and directives that went out by Watch: "recall" or "nudge"."""
        self.sidecars: dict[str, VirtualSidecar] = {}
        self.do(lambda tx: learning.notice_old_database(tx, self.now))

    @property
    def now(self) -> int:
        return self.clock.now_unix_ms

    def pass_ms(self, milliseconds: int) -> None:
        self.clock.now_unix_ms += milliseconds

    def budget(
        self,
        name: str,
        cap_nano_usd: int | None,
        *,
        window: Window = "month",
        split_by: SplitBy = "",
    ) -> BudgetRef:
        made = Budget(
            budget_id=name,
            display_name=name,
            selector=Selector(),
            split_by=split_by,
            window=window,
            time_zone="UTC",
            anchor_day=1,
            cap_nano_usd=cap_nano_usd,
            cap_version=1,
            max_offline_ms=300_000,
            offline_until_unix_ms=0,
            created_unix_ms=NOON,
            archived_unix_ms=None,
            version=1,
        )

        def insert(tx: Tx) -> None:
            budgets.insert(tx, made)
            budgets.insert_change(tx, CapChange(name, 1, "", None, cap_nano_usd, "t", "t", NOON))

        self.do(insert)
        return BudgetRef(name, "")

    def set_cap(self, ref: BudgetRef, cap_nano_usd: int | None) -> None:
        """What SetCap does: the budget, the decision, and the open period's row."""

        def change(tx: Tx) -> None:
            before = budgets.get(tx, ref.budget_id)
            assert before is not None
            version = before.cap_version + 1
            budgets.update(
                tx,
                replace(
                    before,
                    cap_nano_usd=cap_nano_usd,
                    cap_version=version,
                    version=before.version + 1,
                ),
            )
            budgets.insert_change(
                tx,
                CapChange(
                    ref.budget_id,
                    version,
                    "",
                    before.cap_nano_usd,
                    cap_nano_usd,
                    "t",
                    "t",
                    self.now,
                ),
            )
            tx.run(
                """UPDATE period SET cap_nano_usd = :cap, cap_version = :version
                   WHERE budget_id = :budget AND state = 'OPEN'""",
                {"cap": cap_nano_usd, "version": version, "budget": ref.budget_id},
            )

        self.do(change)

    def sidecar(self, name: str) -> "VirtualSidecar":
        made = Sidecar(
            sidecar_id=name,
            display_name=name,
            region="",
            project_ids=(),
            credential_digest=name.encode().ljust(32, b"."),
            sealing_public_key=bytes(32),
            software_version="",
            machine_id="",
            boot_id="",
            incarnation="",
            epoch=0,
            state="JOINED",
            last_sync_no=0,
            generation_seen=0,
            policy_acked=0,
            policy_refused="",
            created_unix_ms=self.now,
            last_seen_unix_ms=self.now,
            revoked_unix_ms=0,
        )
        self.do(lambda tx: sidecars.insert(tx, made))
        virtual = VirtualSidecar(self, name)
        self.sidecars[name] = virtual
        assert virtual.register().status is Status.OK
        return virtual

    def do(self, fn: Callable[[Tx], T]) -> T:
        """Run a writing transaction and take its value."""
        return self.store.write(fn).result()

    def row(self, sql: str, **params: Value) -> Row:
        """The only row of a query."""
        found = self.store.read(lambda tx: tx.row(sql, params)).result()
        assert found is not None
        return found

    def number(self, sql: str, **params: Value) -> int:
        """The only number of a query."""
        return int(self.row(f"SELECT ({sql}) AS n", **params)["n"] or 0)

    def period(self, ref: BudgetRef) -> Row:
        """The newest period of a budget's partition."""
        return self.row(
            """SELECT * FROM period WHERE budget_id = :b AND partition = :p
               ORDER BY start_unix_ms DESC LIMIT 1""",
            b=ref.budget_id,
            p=ref.partition,
        )

    def check(self) -> None:
        """What must hold after every step."""
        self.store.read(check_books).result()

    def sync_all(self, rounds: int = 1) -> None:
        """Let every sidecar sync, in the order of their names, with all that was pushed obeyed."""
        for _ in range(rounds):
            for name in sorted(self.sidecars):
                self.sidecars[name].sync()
                self.check()
            self.pass_ms(60)

    def restart(self) -> None:
        """The control plane's process ends and another begins: soft state is gone."""
        self.levels = Levels(started_unix_ms=self.now)
        self.do(lambda tx: learning.notice_old_database(tx, self.now))

    def backup(self, name: str = "copy.db") -> Path:
        """What `bursar backup` makes: a copy of the database, without the watermark."""
        target = self.folder / name
        target.unlink(missing_ok=True)
        self.store.backup(target).result()
        return target

    def put_back(self, copy: Path) -> None:
        """Somebody copies an old database into place, and starts the control plane with it.

        The watermark stays as it is. A copy may be put back more than once.
        """
        self.store.close()
        for beside in ("-wal", "-shm"):
            (self.folder / f"{DATABASE_FILE}{beside}").unlink(missing_ok=True)
        shutil.copy(copy, self.folder / DATABASE_FILE)
        self.store = open_inline(self.folder, self.clock)
        self.restart()


def check_books(tx: Tx) -> None:
    """Every nano-dollar of a period is where the leases and the ledger say; see _check_period."""
    _check_leases(tx)
    rows = tx.rows(
        """SELECT p.*, (SELECT COALESCE(SUM(granted_nano_usd - returned_nano_usd
               - released_nano_usd), 0)
             FROM lease l WHERE l.budget_id = p.budget_id AND l.partition = p.partition
               AND l.period_id = p.period_id) AS leased,
             (SELECT COALESCE(SUM(spent_nano_usd + lump_nano_usd), 0)
             FROM lease l WHERE l.budget_id = p.budget_id AND l.partition = p.partition
               AND l.period_id = p.period_id) AS spent_of_leases,
             (SELECT COALESCE(SUM(lump_nano_usd), 0)
             FROM lease l WHERE l.budget_id = p.budget_id AND l.partition = p.partition
               AND l.period_id = p.period_id) AS lumps,
             (SELECT COALESCE(SUM(granted_nano_usd - returned_nano_usd - spent_nano_usd
               - lump_nano_usd - released_nano_usd), 0)
             FROM lease l WHERE l.budget_id = p.budget_id AND l.partition = p.partition
               AND l.period_id = p.period_id AND l.state = 'ORPHANED') AS orphaned,
             (SELECT COALESCE(SUM(amount_nano_usd), 0)
             FROM charge c WHERE c.budget_id = p.budget_id AND c.partition = p.partition
               AND c.period_id = p.period_id) AS charged,
             (SELECT COALESCE(SUM(amount_nano_usd), 0)
             FROM charge c WHERE c.budget_id = p.budget_id AND c.partition = p.partition
               AND c.period_id = p.period_id AND c.kind = 'ORPHAN') AS charged_lumps,
             (SELECT COALESCE(SUM(amount_nano_usd), 0)
             FROM alarm a WHERE a.budget_id = p.budget_id AND a.partition = p.partition
               AND a.period_id = p.period_id AND a.kind = 'OVERSHOOT') AS told_overshoot
           FROM period p"""
    )
    for row in rows:
        _check_period(row)
    booked = tx.row("SELECT COALESCE(SUM(cost_nano_usd), 0) AS n FROM call")
    summed = tx.row("SELECT COALESCE(SUM(cost_nano_usd), 0) AS n FROM rollup")
    assert booked is not None
    assert summed is not None
    assert booked["n"] == summed["n"]


def _check_period(row: Row) -> None:
    """Allocated = leases + overrun + counted; spent = the charges; lumps are charged once."""
    beside = row["overrun_nano_usd"] + row["counted_nano_usd"] + row["corrected_nano_usd"]
    assert row["allocated_nano_usd"] == row["leased"] + beside
    assert row["spent_nano_usd"] == row["spent_of_leases"] + beside == row["charged"]
    assert row["orphan_hold_nano_usd"] == row["orphaned"]
    assert row["lumps"] == row["charged_lumps"]
    assert row["overshoot_nano_usd"] == row["told_overshoot"]
    if row["state"] == "CLOSED":
        assert row["allocated_nano_usd"] == row["spent_nano_usd"]
        assert row["orphan_hold_nano_usd"] == 0


def _check_leases(tx: Tx) -> None:
    """Only orphans hold lumps and releases; who is revoked, fenced or over has no active lease."""
    for row in tx.rows(
        """SELECT lease.*, sidecar.epoch AS living, sidecar.state AS sidecar_state,
             sidecar.revoked_unix_ms FROM lease JOIN sidecar ON sidecar.id = lease.sidecar_id"""
    ):
        decided = row["lump_nano_usd"] + row["released_nano_usd"]
        assert not decided or row["state"] == "ORPHANED"
        if row["state"] == "ORPHANED":
            assert row["orphaned_unix_ms"] > 0
            assert row["orphan_cause"] in {"lost", "fenced", "revoked"}
        if row["state"] == "ACTIVE":
            assert row["epoch"] == row["living"]
            assert row["sidecar_state"] != "FENCED"
            assert row["revoked_unix_ms"] == 0
