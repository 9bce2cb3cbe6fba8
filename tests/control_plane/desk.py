"""A founded installation with its real store, where stories administer inline, in virtual time."""

import itertools
import random
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from control_plane.core.budgets import Budget, NewBudget
from control_plane.core.keys import Key, NewKey
from control_plane.core.pages import Asked
from control_plane.core.principals import AuditEntry, Principal, Role
from control_plane.core.projects import NewProject, Project
from control_plane.core.sidecars import Sidecar
from control_plane.entropy import Entropy
from control_plane.secrets import open_vault
from control_plane.store import policy, principals, sidecars
from control_plane.store.engine import Tx
from control_plane.store.sqlite import InlineStore, open_inline
from control_plane.usecases import keys, projects
from control_plane.usecases.acts import Act
from control_plane.usecases.installation import found
from control_plane.usecases.levels import Levels
from control_plane.usecases.principals import create_principal, list_audit_entries
from tests.control_plane import empty_database
from tests.control_plane.leasing_world import FrozenClock

T = TypeVar("T")

USD = 1_000_000_000
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
NOON = 1_795_435_200_000
"""2026-11-23T12:00:00Z."""


class Desk:
    """Where somebody administers; of a folder that was used before, without the owner's token."""

    def __init__(self, folder: Path) -> None:
        self.clock = FrozenClock()
        self.folder = folder / "data"
        self.store: InlineStore = open_inline(empty_database.lay(self.folder), self.clock)
        self.entropy = Entropy(random.Random(1).randbytes)
        self.vault = open_vault(self.folder, self.entropy.random_bytes, in_use=False)
        self.levels = Levels(started_unix_ms=NOON)
        self.owner_token = ""
        self._numbers = itertools.count(1)
        self.do_alone(self._found)
        owner = self.read(lambda tx: principals.by_name(tx, "owner"))
        assert owner is not None
        self.owner: Principal = owner

    def _found(self, tx: Tx) -> None:
        def keep(text: str) -> None:
            self.owner_token = text

        found(tx, self.entropy, self.now, time_zone="Europe/Berlin", keep_token=keep)

    @property
    def now(self) -> int:
        return self.clock.now_unix_ms

    def pass_ms(self, milliseconds: int) -> None:
        self.clock.now_unix_ms += milliseconds

    def act(self, actor: Principal | None = None, method: str = "Test") -> Act:
        request_id = f"r{next(self._numbers)}"
        return Act(actor or self.owner, method, request_id, self.now, self.entropy)

    def do(self, fn: Callable[[Tx, Act], T], actor: Principal | None = None) -> T:
        """Change something, and let a millisecond pass, so that ids tell the order."""
        act = self.act(actor)
        done = self.store.write(lambda tx: fn(tx, act)).result()
        self.pass_ms(1)
        return done

    def do_alone(self, fn: Callable[[Tx], T]) -> T:
        return self.store.write(fn).result()

    def read(self, fn: Callable[[Tx], T]) -> T:
        return self.store.read(fn).result()

    def policy_version(self) -> int:
        return self.read(policy.version)

    def last_entry(self) -> AuditEntry:
        page = self.read(lambda tx: list_audit_entries(tx, Asked(1), ""))
        return page.items[0]

    # one builder per noun

    def principal(self, name: str, role: Role) -> Principal:
        return self.do(lambda tx, act: create_principal(tx, name, role, act))[0]

    def project(
        self, name: str = "Acme Dental", cap_nano_usd: int | None = 300 * USD
    ) -> tuple[Project, Budget]:
        first = NewBudget(cap_nano_usd=cap_nano_usd)
        return self.do(lambda tx, act: projects.create_project(tx, NewProject(name), first, act))

    def key(self, project: Project, **fields: object) -> tuple[Key, str]:
        asked = NewKey(project.project_id, **fields)  # type: ignore[arg-type]  # a test's own fields
        return self.do(lambda tx, act: keys.create_key(tx, asked, act))

    def sidecar(
        self, name: str = "host", scope: tuple[str, ...] = (), public_key: bytes = bytes(32)
    ) -> Sidecar:
        made = Sidecar(
            sidecar_id=self.entropy.id("sdc", self.now),
            display_name=name,
            region="",
            project_ids=scope,
            credential_digest=self.entropy.random_bytes(32),
            sealing_public_key=public_key,
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
        self.do_alone(lambda tx: sidecars.insert(tx, made))
        return made
