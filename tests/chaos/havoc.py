"""Makes faults happen to an installation, each at its time and for its time.

Rules:
1. A fault ends by itself; `Installation.heal` ends what is left, and everything is back after it.
2. What is expected to follow from a fault, such as an alarm, is noted here and nowhere else.
3. A fault that cannot be made on this machine is skipped, one that nobody ran into is missed; both
   are counted, never left out silently.
"""

import time
from collections import Counter
from collections.abc import Awaitable, Callable

import grpc
import trio

from tests.chaos import caller
from tests.chaos.books import Account, Books
from tests.chaos.caller import OPENAI, Asked
from tests.chaos.deck import Fault, Plan
from tests.chaos.facts import Promise, Span
from tests.chaos.failing_disk import ALWAYS, FailingDisk, UnavailableError, fill
from tests.chaos.installation import Installation, Seat

BAD_LINE_NS = 300_000_000
"""A pooled connection that was reset may be used for so long before its end is noticed."""
AFTER_PROMISE_S = 0.5
"""How long a long fault goes on after the promise was to be kept."""
POISONED = ("journal_failed", "policy_not_kept", "identity_not_kept", "records_not_readable")
"""Alarms of a sidecar whose disk cannot be trusted."""
REVOKED = ("fenced", "FENCED")
"""Alarms of a sidecar that was revoked."""
RUN_INTO_S = 2.5
"""How long somebody has to run into a fault."""
TRIES = 8
"""Calls that try a sidecar on, after the promise was to be kept."""
DELAYS_S = (0.02, 0.4)
BYTES_PER_S = (2_000, 40_000)
_MS = 1_000


class Havoc:
    """The faults of one round."""

    def __init__(
        self, installation: Installation, books: Books, plan: Plan, account: Account
    ) -> None:
        """Take whom they happen to."""
        self._at = installation
        self._books = books
        self.plan = plan
        self.account = account
        self.happened: Counter[str] = Counter()
        self.missed: Counter[str] = Counter()
        self.skipped: Counter[str] = Counter()
        self.expected_alarms: set[str] = set()
        self.bad_lines: list[Span] = []
        self.problems: list[str] = []
        """What went wrong in a way that no later look can show."""
        self.promises_awaited = 0
        self.spared = ""
        """A seat that callers mostly leave alone, so that its leases last as long as it may."""
        self.cut_off: list[tuple[str, Span]] = []
        """Which sidecar could speak with nobody, and when, in a round that waits for a promise."""

    async def happen(self) -> None:
        """Let every fault of the plan happen; returns when the last has ended."""
        async with trio.open_nursery() as nursery:
            for fault in self.plan.faults:
                nursery.start_soon(self._one, fault)

    async def _one(self, fault: Fault) -> None:
        await trio.sleep(fault.at_ms / _MS)
        happen: Callable[[Fault], Awaitable[bool]] = getattr(self, f"_{fault.kind}")
        try:
            (self.happened if await happen(fault) else self.missed)[fault.kind] += 1
        except UnavailableError:
            self.skipped[fault.kind] += 1

    def _seat(self, fault: Fault) -> Seat:
        return self._at.seats[fault.seat]

    @staticmethod
    async def _last(fault: Fault) -> None:
        await trio.sleep(fault.for_ms / _MS)

    # --- Processes -----------------------------------------------------------------------------

    async def _kill_sidecar(self, fault: Fault) -> bool:
        seat = self._seat(fault)
        self._at.kill(seat)
        await self._last(fault)
        await self._at.seat_up(seat)
        return True

    async def _journal_lost(self, fault: Fault) -> bool:
        """A sidecar is killed and comes back without its journal: what it held is set aside."""
        seat = self._seat(fault)
        self.expected_alarms.update(("journal_missing", "JOURNAL_LOST"))
        if seat.process is None or not seat.process.running:
            return False
        async with seat.changing:
            self._at.kill(seat)
            self._books.silence(seat.folder_name, time.monotonic_ns())
            for path in (self._at.folder / seat.folder_name).glob("journal.db*"):
                path.rename(path.with_name(f"lost-{self.plan.seed}-{path.name}"))
        await self._last(fault)
        await self._at.seat_up(seat)
        return True

    async def _kill_all_sidecars(self, fault: Fault) -> bool:
        for seat in self._at.seats.values():
            self._at.kill(seat)
        await self._last(fault)
        await self._everyone_back()
        return True

    async def _kill_control_plane(self, fault: Fault) -> bool:
        self._at.kill_control_plane()
        await self._last(fault)
        await self._at.control_plane_back()
        return True

    async def _kill_both(self, fault: Fault) -> bool:
        self._at.kill_control_plane()
        self._at.kill(self._seat(fault))
        await self._last(fault)
        await self._everyone_back()
        return True

    async def _drain(self, fault: Fault) -> bool:
        seat = self._seat(fault)
        deaths = len(self._at.deaths[seat.folder_name])
        status = await self._at.drain(seat)
        killed_meanwhile = len(self._at.deaths[seat.folder_name]) > deaths
        if status != 0 and not killed_meanwhile:
            self.problems.append(f"{seat.folder_name} ended with status {status} when asked to end")
        await self._at.seat_up(seat)
        return True

    async def _restart_everything(self, fault: Fault) -> bool:
        async with trio.open_nursery() as nursery:
            for seat in self._at.seats.values():
                nursery.start_soon(self._at.drain, seat)
            nursery.start_soon(self._at.stop_control_plane_cleanly)
        await self._last(fault)
        await self._everyone_back()
        return True

    async def _everyone_back(self) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._at.control_plane_back)
            for seat in self._at.seats.values():
                nursery.start_soon(self._at.seat_up, seat)

    async def _stop_sidecar(self, fault: Fault) -> bool:
        seat = self._seat(fault)
        stopped = self._pause(seat)
        await self._last(fault)
        self._resume(seat)
        return stopped

    async def _stop_control_plane(self, fault: Fault) -> bool:
        if not self._at.control_plane.running:
            return False
        self._at.control_plane.pause()
        self._at.control_plane_paused = True
        await self._last(fault)
        self._at.control_plane.resume()
        self._at.control_plane_paused = False
        return True

    @staticmethod
    def _pause(seat: Seat) -> bool:
        if seat.process is None or not seat.process.running:
            return False
        seat.process.pause()
        seat.paused = True
        return True

    @staticmethod
    def _resume(seat: Seat) -> None:
        if seat.paused and seat.process is not None:
            seat.process.resume()
        seat.paused = False

    # --- The network to the control plane ------------------------------------------------------

    async def _link_reset(self, fault: Fault) -> bool:
        return await self._cut_again_and_again(fault, reset=True)

    async def _link_fin(self, fault: Fault) -> bool:
        return await self._cut_again_and_again(fault, reset=False)

    async def _cut_again_and_again(self, fault: Fault, *, reset: bool) -> bool:
        proxy = self._seat(fault).proxy
        with trio.move_on_after(fault.for_ms / _MS):
            while True:
                proxy.cut(reset=reset)
                await trio.sleep(0.1)
        return True

    async def _link_delay(self, fault: Fault) -> bool:
        proxy = self._seat(fault).proxy
        least, most = DELAYS_S
        proxy.up.delay_s = least + (most - least) * fault.size / 1000
        proxy.down.delay_s = most - (most - least) * fault.size / 1000
        await self._last(fault)
        proxy.heal()
        return True

    async def _link_throttle(self, fault: Fault) -> bool:
        proxy = self._seat(fault).proxy
        least, most = BYTES_PER_S
        proxy.up.bytes_per_s = least + (most - least) * fault.size // 1000
        proxy.down.bytes_per_s = most - (most - least) * fault.size // 1000
        await self._last(fault)
        proxy.heal()
        return True

    async def _link_freeze(self, fault: Fault) -> bool:
        proxy = self._seat(fault).proxy
        proxy.up.freeze()
        if fault.size % 2:
            proxy.down.freeze()
        await self._last(fault)
        proxy.heal()
        return True

    async def _link_half_open_up(self, fault: Fault) -> bool:
        proxy = self._seat(fault).proxy
        proxy.up.swallows = True
        await self._last(fault)
        proxy.heal()
        return True

    async def _link_half_open_down(self, fault: Fault) -> bool:
        proxy = self._seat(fault).proxy
        proxy.down.swallows = True
        await self._last(fault)
        proxy.heal()
        return True

    # --- The network to the provider -----------------------------------------------------------

    async def _provider_reset(self, fault: Fault) -> bool:
        now_ns = time.monotonic_ns()
        self.bad_lines.append(Span(now_ns, now_ns + BAD_LINE_NS))
        self._at.provider_line.cut(reset=fault.size % 2 == 0)
        return True

    async def _provider_delay(self, fault: Fault) -> bool:
        line = self._at.provider_line
        line.up.delay_s = line.down.delay_s = DELAYS_S[1] * fault.size / 1000
        await self._last(fault)
        line.heal()
        return True

    # --- Disks ---------------------------------------------------------------------------------

    def _disk_of(self, seat: Seat) -> FailingDisk:
        if seat.disk is None:
            raise UnavailableError(self._at.missing["shim"])
        return seat.disk

    async def _disk_full(self, fault: Fault) -> bool:
        """No room, then room again: the sidecar has to go on by itself, and everything is exact.

        On the small disk the ballast lets open calls settle; by the shim no write passes at all.
        """
        seat = self._seat(fault)
        self.expected_alarms.update(("disk_full", "policy_not_kept"))
        folder = self._at.folder / seat.folder_name
        seat.filled = True
        if "small disk" in self._at.missing:
            disk = self._disk_of(seat)
            before = disk.writes_failed
            disk.fail(writes=ALWAYS)
            ran_into = await self._run_into(lambda: disk.writes_failed > before)
        else:
            await trio.to_thread.run_sync(fill, folder)
            ran_into = await self._run_into(lambda: not (folder / "ballast").exists())
        await self._last(fault)
        self._at.make_room(seat)
        return ran_into

    async def _fsync_error(self, fault: Fault) -> bool:
        seat = self._seat(fault)
        disk = self._disk_of(seat)
        if not seat.port:
            return False
        self.expected_alarms.update(POISONED)
        seat.poisoned_ns = seat.poisoned_ns or time.monotonic_ns()
        before = disk.syncs_failed
        disk.fail(syncs=1 if fault.size % 2 else ALWAYS)
        return await self._run_into(lambda: disk.syncs_failed > before)

    async def _database_fsync_error(self, fault: Fault) -> bool:
        disk = self._at.database_disk
        if disk is None:
            raise UnavailableError(self._at.missing["shim"])
        self.expected_alarms.add("database")
        before = disk.syncs_failed
        disk.fail(syncs=1 if fault.size % 2 else ALWAYS)
        ran_into = await self._run_into(lambda: disk.syncs_failed > before)
        await self._last(fault)
        disk.heal()
        if self._at.control_plane.running:
            self._at.kill_control_plane()
        await self._at.control_plane_back()
        return ran_into

    @staticmethod
    async def _run_into(hit: Callable[[], object]) -> bool:
        """Whether somebody runs into a fault within a while."""
        with trio.move_on_after(RUN_INTO_S):
            while not hit():  # noqa: ASYNC110 - another process does it
                await trio.sleep(0.02)
        return bool(hit())

    async def _restored(self, fault: Fault) -> bool:
        """A backup from a while ago is restored as the manual says."""
        return await self._go_back(fault, by_hand=False)

    async def _put_back(self, fault: Fault) -> bool:
        """A copy from a while ago is put in the database's place, and nobody is told."""
        return await self._go_back(fault, by_hand=True)

    async def _go_back(self, fault: Fault, *, by_hand: bool) -> bool:
        file = self._at.folder / f"backup-{self.plan.seed}.db"
        self.expected_alarms.update(("OLD_DATABASE", "database"))
        before = await self._at.generation()
        try:
            await self._at.back_up(file)
        except (grpc.RpcError, ValueError):
            return False  # another fault was quicker
        await self._last(fault)
        await self._at.go_back_to(file, by_hand=by_hand)
        with trio.move_on_after(RUN_INTO_S):
            while await self._at.generation() == before:  # noqa: ASYNC110 - another process counts
                await trio.sleep(0.1)
        return await self._at.generation() > before

    # --- Administrators ------------------------------------------------------------------------

    async def _cap_raised(self, fault: Fault) -> bool:
        budget_id = self._some_budget(fault)
        cap, _ = await self._books.budget_now(budget_id)
        await self._books.set_cap(budget_id, cap + self.plan.cap_nano_usd * fault.size // 1000)
        return True

    async def _cap_lowered(self, fault: Fault) -> bool:
        budget_id = self._some_budget(fault)
        await self._lower(budget_id, fault.size)
        return True

    def _some_budget(self, fault: Fault) -> str:
        budgets = [self._books.agency_budget, *self.account.budgets]
        return budgets[fault.size % len(budgets)]

    async def _lower(self, budget_id: str, thousandths: int) -> Promise | None:
        """Lower a cap to somewhere between half of what is spent and a little above it."""
        cap, spent = await self._books.budget_now(budget_id)
        lowered = min(cap, spent // 2 + (cap - spent // 2) * thousandths // 2_000)
        return await self._books.set_cap(budget_id, lowered)

    async def _key_revoked(self, fault: Fault) -> bool:
        await self._books.revoke_key(self.account)
        return True

    async def _sidecar_revoked(self, fault: Fault) -> bool:
        seat = self._seat(fault)
        self.expected_alarms.update(REVOKED)
        await self._books.revoke_sidecar(seat.folder_name)
        await self._last(fault)
        await self._at.replace(seat)
        return True

    # --- The provider --------------------------------------------------------------------------

    async def _overbilled(self, fault: Fault) -> bool:
        """A call that is billed half as much again as its request allows."""
        seat = self._seat(fault)
        self.expected_alarms.update(("overrun", "OVERRUN"))
        asked = Asked(
            tag=f"r{self.plan.seed}-over",
            family=OPENAI,
            model="rehearsal-cent",
            limit_tokens=10,
            workflow="",
            knobs="reply_tokens=10 overbill_ppm=500000",
        )
        key = self.account.keys[0]
        answer = caller.Answer(time.monotonic_ns())
        self._books.enter(asked, key, seat.folder_name, answer, overbilled=True)
        await caller.call(seat.port, key.secret, asked, answer)
        return answer.status == 200

    # --- Until a promise must have come true ---------------------------------------------------

    async def _cut_off(self, fault: Fault) -> bool:
        """A sidecar is cut off; then a key is revoked and a cap is lowered."""
        proxy = self._seat(fault).proxy
        if fault.size % 2:
            proxy.up.freeze()
            proxy.down.freeze()
        else:
            proxy.up.swallows = proxy.down.swallows = True
        seat = self._seat(fault)
        self.spared = seat.name
        from_ns = time.monotonic_ns()
        revoking = fault.size % 3 == 0
        if revoking:
            self.expected_alarms.update(REVOKED)
            await self._books.revoke_sidecar(seat.folder_name)
        await self._await_promises(fault)
        self.cut_off.append((seat.folder_name, Span(from_ns, time.monotonic_ns())))
        await self._try(seat)
        proxy.heal()
        if revoking:
            await self._at.replace(seat)
        return True

    async def _stop_past_authority(self, fault: Fault) -> bool:
        """A sidecar is stopped; calls go on arriving at it, and it wakes after its authority."""
        seat = self._seat(fault)
        stopped = self._pause(seat)
        self.spared = seat.name
        await self._await_promises(fault)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._try, seat)
            await trio.sleep(AFTER_PROMISE_S)
            self._resume(seat)
        return stopped

    async def _try(self, seat: Seat) -> None:
        """Try it on: small calls with a revoked key and with a good one, all at once."""
        keys = (self._books.revoked_keys[-1], self.account.keys[0])
        async with trio.open_nursery() as nursery:
            for number in range(TRIES):
                asked = Asked(
                    tag=f"r{self.plan.seed}-try-{number}",
                    family=OPENAI,
                    model="rehearsal-cent",
                    limit_tokens=1,
                    workflow="",
                    knobs="reply_tokens=1",
                )
                key = keys[number % len(keys)]
                answer = caller.Answer(time.monotonic_ns())
                self._books.enter(asked, key, seat.folder_name, answer)
                nursery.start_soon(caller.call, seat.port, key.secret, asked, answer)

    async def _await_promises(self, fault: Fault) -> None:
        promises = [
            await self._books.revoke_key(self.account),
            await self._lower(self.account.client_budget, fault.size),
        ]
        last_ns = max(promise.at_ns for promise in promises if promise is not None)
        await trio.sleep((last_ns - time.monotonic_ns()) / 1e9 + AFTER_PROMISE_S)
        self.promises_awaited += 1
