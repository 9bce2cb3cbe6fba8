"""The installation under fire: tests/e2e's stand, with bad networks and bad disks in between.

    callers -> sidecars one, two, three -> proxy -> rehearsal provider
                   |       |      |
                 proxy   proxy  proxy
                   +-------+------+---> control plane

Nothing keeps a port that it lost: processes come back on any free one, and whoever looks for them
asks here, so that a port taken by somebody else meanwhile does no harm.
"""

import shutil
import sys
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import grpc
import trio

from protos.bursar.admin import v1 as admin
from tests.chaos.deck import SIDECARS, SMALL_DISK_SEAT
from tests.chaos.facts import Killed, Span
from tests.chaos.failing_disk import (
    FailingDisk,
    UnavailableError,
    compile_shim,
    free,
    mount_small_disk,
    unmount_small_disk,
)
from tests.chaos.limits import ACT_S, LOOK_S, READY_S
from tests.chaos.tcp_proxy import TcpProxy
from tests.e2e.stand import Bursar, Process, Stand

NO_ANSWER = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.UNKNOWN,
)


@dataclass
class Seat:
    """A place for a sidecar; whoever sits in it may die, come back, or be replaced."""

    name: str
    folder_name: str
    """The data folder of whoever sits here now."""
    proxy: TcpProxy
    disk: FailingDisk | None = None
    process: Process | None = None
    paused: bool = False
    filled: bool = False
    """Its disk has no room."""
    poisoned_ns: int | None = None
    """Since when its disk fails: it must begin anew to open calls."""
    changing: trio.Lock = field(default_factory=trio.Lock)

    @property
    def port(self) -> int:
        """Where callers find it; 0 while it is away."""
        process = self.process
        if process is None or not process.running:
            return 0
        return int(urlsplit(process.ready["url"]).port or 0)


class Installation(Stand):
    """A stand whose networks and disks can be made to fail."""

    forks = False  # what is left behind is looked for by its command line

    def __init__(self, folder: Path, *, own_mounts: bool) -> None:
        """Take a folder; `own_mounts` says that small disks may be mounted."""
        super().__init__(folder)
        self.provider_line = TcpProxy(self._provider_target)
        self.seats = {
            name: Seat(name, name, TcpProxy(self._control_plane_target)) for name in SIDECARS
        }
        self.missing: dict[str, str] = {}
        """What cannot be made here, and why: "shim", "small disk"."""
        self.database_disk: FailingDisk | None = None
        self.deaths: dict[str, list[Span]] = defaultdict(list)
        self.stops: dict[str, list[Span]] = defaultdict(list)
        """By sidecar: when it was killed, or took no records until it began anew."""
        self.control_plane_paused = False
        self._changing = trio.Lock()
        self._own_mounts = own_mounts
        self._mounted: list[Path] = []
        self._read_bytes: dict[Path, int] = {}
        self._bad_disks()

    # --- Life ----------------------------------------------------------------------------------

    def _bad_disks(self) -> None:
        try:
            library = compile_shim(self.folder)
        except UnavailableError as error:
            self.missing["shim"] = str(error)
        else:
            for seat in self.seats.values():
                seat.disk = self._disk(library, seat.name)
            self.database_disk = self._disk(library, "control-plane")
        if not self._own_mounts:
            self.missing["small disk"] = "mounts of its own are not allowed here"
            return
        try:
            mount_small_disk(self.folder / SMALL_DISK_SEAT)
            self._mounted.append(self.folder / SMALL_DISK_SEAT)
        except UnavailableError as error:
            self.missing["small disk"] = str(error)

    def _disk(self, library: Path, name: str) -> FailingDisk:
        return FailingDisk(library, self.folder / f"{name}.disk", self.folder / name)

    async def begin(self, nursery: trio.Nursery) -> None:
        """Start everything; the proxies serve in the nursery."""
        await nursery.start(self.provider_line.serve)
        for seat in self.seats.values():
            await nursery.start(seat.proxy.serve)
        await trio.to_thread.run_sync(self.__enter__)
        for seat in self.seats.values():
            await self.seat_up(seat)

    def end(self) -> None:
        """End everything that runs, at once: what is stopped, first goes on."""
        for seat in self.seats.values():
            if seat.process is not None:
                seat.process.kill()
            if seat.disk is not None:
                seat.disk.close()
        if hasattr(self, "bursar"):
            self.bursar.close()
        for process in (getattr(self, "control_plane", None), getattr(self, "rehearsal", None)):
            if process is not None:
                process.kill()
        if self.database_disk is not None:
            self.database_disk.close()

    def let_go_of_disks(self, *, keep: bool) -> None:
        """Take small disks away; what lies on them is copied first when it is to be kept."""
        for folder in self._mounted:
            kept = {path.name: path.read_bytes() for path in folder.iterdir()} if keep else {}
            unmount_small_disk(folder)
            for name, content in kept.items():
                (folder / name).write_bytes(content)
        self._mounted.clear()

    def provider_url(self) -> str:
        """Sidecars find the provider through its proxy."""
        return f"http://{self.provider_line.address}"

    def _provider_target(self) -> tuple[str, int]:
        return "127.0.0.1", int(urlsplit(self.rehearsal.ready["url"]).port or 0)

    def _control_plane_target(self) -> tuple[str, int]:
        host, _, port = self.control_plane.ready["address"].rpartition(":")
        return host, int(port)

    # --- The control plane ---------------------------------------------------------------------

    def start_control_plane(self, address: str = "127.0.0.1:0") -> None:
        """Start the control plane with a disk that can fail."""
        data = self.folder / "control-plane"
        self.control_plane = Process(
            "control-plane",
            self.folder,
            ["control_plane", *("--data", str(data)), *("--listen", address), *("--web", "off")],
            env=self.database_disk.env if self.database_disk is not None else {},
        )
        token = (data / "owner.token").read_text().strip()
        self.bursar = Bursar(self.control_plane.ready["address"], token)

    async def control_plane_back(self) -> None:
        """Start the control plane again if it does not run."""
        async with self._changing:
            if self.control_plane.running:
                return
            self.bursar.close()
            await trio.to_thread.run_sync(self.start_control_plane)

    def kill_control_plane(self) -> None:
        """End the control plane by SIGKILL."""
        self.control_plane.kill()

    async def stop_control_plane_cleanly(self) -> None:
        """End the control plane by SIGTERM."""
        async with self._changing:
            if self.control_plane.running:
                await trio.to_thread.run_sync(self.control_plane.stop)

    async def generation(self) -> int:
        """How often the database was found to be another than before."""
        request = admin.GetInstallationRequest()
        return int((await self.act("installation", "GetInstallation", request)).generation)

    async def back_up(self, file: Path) -> None:
        """Copy the database to a file while all goes on."""
        request = admin.CreateBackupRequest(request_id=self.request_id())

        def copy() -> None:
            pieces = self.bursar.ask(self.bursar.installation.CreateBackup, request)
            with file.open("wb") as copied:
                for piece in pieces:
                    copied.write(piece.content)

        await trio.to_thread.run_sync(copy)

    async def go_back_to(self, file: Path, *, by_hand: bool) -> None:
        """Put a copy in the place of the database, in order or just so, and start upon it."""
        async with self._changing:
            if self.control_plane.running:
                self.kill_control_plane()
            data = self.folder / "control-plane"
            if by_hand:
                for ending in ("", "-wal", "-shm"):
                    (data / f"control_plane.db{ending}").unlink(missing_ok=True)
                shutil.copy(file, data / "control_plane.db")
            else:
                command = [sys.executable, "-m", "control_plane.restore", "--data", str(data)]
                await trio.run_process([*command, str(file)], capture_stdout=True)
            self.bursar.close()
            await trio.to_thread.run_sync(self.start_control_plane)

    async def act(self, service: str, method: str, request: Any) -> Any:
        """Ask the control plane, again and again while it is away: requests may be repeated."""
        with trio.fail_after(ACT_S):
            while True:
                bursar = self.bursar
                stub = getattr(getattr(bursar, service), method)
                try:
                    return await trio.to_thread.run_sync(
                        bursar.ask, stub, request, abandon_on_cancel=True
                    )
                except grpc.RpcError as error:
                    if error.code() not in NO_ANSWER:
                        raise
                except ValueError:
                    # The channel of a control plane that is gone; there is another one soon.
                    pass
                await trio.sleep(LOOK_S)

    # --- Sidecars ------------------------------------------------------------------------------

    async def seat_up(self, seat: Seat) -> None:
        """Start whoever belongs in a seat, unless it runs."""
        async with seat.changing:
            if seat.process is not None and seat.process.running:
                return
            seat.process = None
            seat.paused = False
            if seat.poisoned_ns is not None:
                # Whoever starts it again saw to its disk before.
                self.make_room(seat)
                span = Span(seat.poisoned_ns, time.monotonic_ns())
                self.deaths[seat.folder_name].append(span)
                seat.poisoned_ns = None
            env = dict(seat.disk.env) if seat.disk is not None else {}
            if not (self.folder / seat.folder_name / "identity.json").exists():
                made = await self.act(
                    "sidecars",
                    "CreateJoinToken",
                    admin.CreateJoinTokenRequest(request_id=self.request_id()),
                )
                env["BURSAR_JOIN_TOKEN"] = made.join_token
            seat.process = await trio.to_thread.run_sync(self._start, seat, env)

    def _start(self, seat: Seat, env: dict[str, str]) -> Process:
        try:
            return self._start_once(seat, env)
        except AssertionError:
            if not seat.filled:
                raise
            # On a full disk it may say so and end, for whoever started it to make room.
            self.make_room(seat)
            return self._start_once(seat, env)

    def _start_once(self, seat: Seat, env: dict[str, str]) -> Process:
        return Process(
            seat.folder_name,
            self.folder,
            [
                "sidecar",
                *("--data", str(self.folder / seat.folder_name)),
                *("--name", seat.folder_name),
                *("--control-plane", seat.proxy.address),
                *("--listen", "127.0.0.1:0"),
            ],
            env=env,
        )

    def kill(self, seat: Seat) -> None:
        """End a seat's sidecar by SIGKILL, stopped or not."""
        if seat.process is not None and seat.process.running:
            from_ns = time.monotonic_ns()
            seat.process.kill()
            self.deaths[seat.folder_name].append(Killed(from_ns, time.monotonic_ns()))

    async def drain(self, seat: Seat) -> int:
        """End a seat's sidecar by SIGTERM; its exit status."""
        async with seat.changing:
            if seat.process is None or not seat.process.running:
                return 0
            if seat.paused:
                seat.process.resume()
                seat.paused = False
            told_ns = time.monotonic_ns()
            status = await trio.to_thread.run_sync(seat.process.stop)
            self.stops[seat.folder_name].append(Span(told_ns, time.monotonic_ns()))
            return status

    async def replace(self, seat: Seat) -> None:
        """Let another sidecar, with a folder of its own, sit where one was revoked."""
        await self.drain(seat)
        number = int(seat.folder_name.partition("-")[2] or 0) + 1
        seat.folder_name = f"{seat.name}-{number}"
        if seat.disk is not None:
            seat.disk.close()
            library = Path(seat.disk.env["LD_PRELOAD"])
            seat.disk = self._disk(library, seat.folder_name)
        if self.folder / seat.name in self._mounted:
            mount_small_disk(self.folder / seat.folder_name)
            self._mounted.append(self.folder / seat.folder_name)
        await self.seat_up(seat)

    # --- Afterwards ----------------------------------------------------------------------------

    async def heal(self) -> None:
        """End every fault and bring everything back. May be called at any time."""
        self.provider_line.heal()
        if self.database_disk is not None:
            self.database_disk.heal()
        if self.control_plane_paused:
            self.control_plane.resume()
            self.control_plane_paused = False
        await self.control_plane_back()
        for seat in self.seats.values():
            seat.proxy.heal()
            self.make_room(seat)
            if seat.paused and seat.process is not None:
                seat.process.resume()
                seat.paused = False
        for seat in self.seats.values():
            if seat.poisoned_ns is not None:
                await self.drain(seat)
        async with trio.open_nursery() as nursery:
            for seat in self.seats.values():
                nursery.start_soon(self.seat_up, seat)

    def make_room(self, seat: Seat) -> None:
        """Let a seat's disk be as good as new."""
        seat.filled = False
        if seat.disk is not None:
            seat.disk.heal()
        folder = self.folder / seat.folder_name
        if folder in self._mounted:
            free(folder)

    async def sidecar_views(self) -> dict[str, Any]:
        """What the control plane knows of each sidecar that is not revoked, by its name."""
        answer = await self.act(
            "sidecars", "ListSidecars", admin.ListSidecarsRequest(page_size=1000)
        )
        return {view.display_name: view for view in answer.sidecars}

    async def policy_everywhere(self, version: int) -> None:
        """Wait until every seat's sidecar applies a policy."""
        with trio.fail_after(READY_S):
            while True:
                views = await self.sidecar_views()
                acked = [views[seat.folder_name].policy_acked for seat in self.seats.values()]
                if min(acked) >= version:
                    return
                await trio.sleep(LOOK_S)

    def alarms(self) -> list[tuple[str, str]]:
        """Alarms and tracebacks in the logs since they were last looked at: who, and what."""
        found = []
        for path in sorted(self.folder.glob("*.log")):
            with path.open("rb") as log:
                log.seek(self._read_bytes.get(path, 0))
                text = log.read()
            whole = text[: text.rfind(b"\n") + 1]
            self._read_bytes[path] = self._read_bytes.get(path, 0) + len(whole)
            for line in whole.decode(errors="replace").splitlines():
                name = _alarm_in(line)
                if name:
                    found.append((path.stem, name))
        return found


def _alarm_in(line: str) -> str:
    """The name of the alarm that a line of a log is; empty when it is none."""
    words = line.split(" ")
    if line.startswith("Traceback"):
        return "Traceback"
    if len(words) < 3 or words[1] not in ("ALARM", "ERROR", "CRITICAL"):
        return ""
    if words[2] == "alarm":
        return next((word.partition("=")[2] for word in words if word.startswith("kind=")), "alarm")
    return words[2]
