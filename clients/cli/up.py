"""`bursar up`: a control plane, sidecars and someone to answer, in the foreground.

Everything lives in one data folder and goes on where it left off. Processes start in the order in
which they need each other and end in the opposite one: sidecars first, so that they can still
report, then the control plane. No secret goes through a command line: join tokens go by file,
provider secrets come from the environment or from `bursar provider set`.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from clients.admin import Bursar, connect
from clients.cli import stage, summary
from clients.cli.children import Plan
from clients.cli.folder import Folder, read_secret, write_private
from clients.cli.limits import SIDECARS_MAX_SIDECARS, STOP_MS, STOP_SIDECAR_MS
from clients.cli.parameters import TIME_ZONE, URL
from clients.cli.ports import check_free
from clients.cli.providers import is_stand_in
from clients.cli.session import Command, Function, Session, pass_session
from clients.cli.summary import Running
from clients.cli.supervision import StopAsked, Supervisor
from protos.values.listening import ListenError, is_loopback, listening

JOIN_TOKEN_LIFETIME = timedelta(minutes=5)
"""How long a sidecar that `up` starts may take to join."""
_LOOPBACK = "127.0.0.1"
_PORT_BASE = 7240
_PORT_MAX = 65_535
_DESK_OFFSET = 1
_SIDECAR_OFFSET = 10
_REHEARSAL_OFFSET = 20


@dataclass(frozen=True, slots=True)
class Wishes:
    """What one `up` was asked for."""

    control_plane_port: int
    """Where the control plane listens; 0 for any free port."""
    desk_port: int
    """Where the desk listens, for browsers; 0 for any free port."""
    sidecar_port: int
    """Where the first sidecar listens; the others follow."""
    rehearsal_port: int
    """Where the rehearsal provider listens."""
    sidecars: int
    """How many sidecars run."""
    sidecar_host: str
    """The address on which sidecars listen."""
    allowed_hosts: tuple[str, ...]
    """Further names by which workflows may call the sidecars."""
    public_url: str
    """How clouds reach a sidecar; "" when they cannot."""
    certificate: str
    """The sidecars' certificate; "" for plain text here, or behind a proxy."""
    private_key: str
    """The certificate's key."""
    time_zone: str
    """The installation's time zone; "" for its default."""
    rehearsal: bool | None
    """Whether a rehearsal provider answers; None for: when no real one can."""
    metrics: tuple[str, int] | None = None
    """Where the control plane shows its metrics, and sidecars on the ports after; None: nowhere."""

    def sidecar_ports(self) -> list[int]:
        """The port of every sidecar."""
        if self.sidecar_port == 0:
            return [0] * self.sidecars
        return [self.sidecar_port + number for number in range(self.sidecars)]

    def metrics_ports(self) -> list[int]:
        """The ports of metrics, the control plane's first; none when nobody asked for them."""
        if self.metrics is None:
            return []
        first = self.metrics[1]
        return [first + number if first else 0 for number in range(1 + self.sidecars)]


def _port(name: str, what: str, offset: int) -> Callable[[Function], Function]:
    return click.option(
        name,
        type=click.IntRange(0, _PORT_MAX),
        help=f"The {what}'s port, 0 for any free one  [default: port base + {offset}]",
    )


def _place(
    _ctx: click.Context, parameter: click.Parameter, given: str | None
) -> tuple[str, int] | None:
    if given is None:
        return None
    try:
        where = listening(given)
    except ListenError as error:
        raise click.BadParameter(str(error), param=parameter) from None
    return where.host, where.port


@click.command("up", cls=Command, connects=False)
@click.option(
    "--data", metavar="FOLDER", help="Where all data lies  [env BURSAR_DATA; default ./bursar-data]"
)
@click.option(
    "--port-base",
    type=click.IntRange(1, 65_000),
    default=_PORT_BASE,
    show_default=True,
    help="Ports are counted from here.",
)
@_port("--control-plane-port", "control plane", 0)
@_port("--desk-port", "desk", _DESK_OFFSET)
@_port("--sidecar-port", "first sidecar", _SIDECAR_OFFSET)
@_port("--rehearsal-port", "rehearsal provider", _REHEARSAL_OFFSET)
@click.option(
    "--sidecars",
    type=click.IntRange(1, SIDECARS_MAX_SIDECARS),
    default=1,
    show_default=True,
    help="How many sidecars to run.",
)
@click.option(
    "--sidecar-host",
    default=_LOOPBACK,
    show_default=True,
    help="Where sidecars listen; a private bridge's address for workflows in containers.",
)
@click.option(
    "--allow-host",
    "allowed_hosts",
    multiple=True,
    help="A further name by which workflows call the sidecars; may be repeated.",
)
@click.option("--public-url", type=URL, help="How clouds reach a sidecar  [env BURSAR_PUBLIC_URL]")
@click.option("--certificate", metavar="FILE", default="", help="Sidecars speak TLS with it.")
@click.option("--key", "private_key", metavar="FILE", default="", help="The certificate's key.")
@click.option(
    "--time-zone",
    type=TIME_ZONE,
    default="",
    help="The default time zone of clients, at the first start.",
)
@click.option(
    "--rehearsal/--no-rehearsal",
    default=None,
    help="A rehearsal provider answers, offline and free"
    "  [default: while no real provider has a secret]",
)
@click.option(
    "--metrics-listen",
    "metrics",
    metavar="HOST:PORT",
    callback=_place,
    help="Where Prometheus finds the control plane's metrics; sidecars show theirs on the ports"
    " after  [default: nowhere]",
)
@pass_session
def up(session: Session, /, data: str | None, port_base: int, **given: Any) -> None:
    """Run everything here, until Ctrl-C: control plane, sidecar, and someone to answer.

    Real providers answer when OPENAI_API_KEY, ANTHROPIC_API_KEY or GEMINI_API_KEY is set, or when
    `bursar provider set` gave one a secret; else a rehearsal provider does, offline.
    """
    if data is not None:
        session.data = data

    def port(name: str, offset: int) -> int:
        chosen: int | None = given[name]
        return port_base + offset if chosen is None else chosen

    wishes = Wishes(
        control_plane_port=port("control_plane_port", 0),
        # Whoever lets the system choose one port does not want another one fixed.
        desk_port=port("desk_port", _DESK_OFFSET) if port("control_plane_port", 0) else 0,
        sidecar_port=port("sidecar_port", _SIDECAR_OFFSET),
        rehearsal_port=port("rehearsal_port", _REHEARSAL_OFFSET),
        sidecars=given["sidecars"],
        sidecar_host=given["sidecar_host"],
        allowed_hosts=given["allowed_hosts"],
        public_url=given["public_url"] or os.environ.get("BURSAR_PUBLIC_URL", ""),
        certificate=given["certificate"],
        private_key=given["private_key"],
        time_zone=given["time_zone"],
        rehearsal=given["rehearsal"],
        metrics=given["metrics"],
    )
    folder = Folder(session.folder.path.resolve())
    folder.create()
    with folder.locked(session.say) as lock:
        _check_ports(wishes)
        _run(session, folder, wishes, lock)


def _run(session: Session, folder: Folder, wishes: Wishes, lock: int) -> None:
    supervisor = Supervisor(session.warn, keep=(lock,))
    with supervisor.signals():
        try:
            running = _start(session, supervisor, folder, wishes)
            folder.write_state(running.state(os.getpid()))
            summary.show(session, running)
            supervisor.watch()
        except StopAsked:
            pass
        finally:
            session.say("Ending: sidecars first, then the control plane.")
            supervisor.stop()
            folder.clear_state()
    session.say(f"Ended. `bursar up` goes on where it left off; all data is in {folder.path}.")


def _start(session: Session, supervisor: Supervisor, folder: Folder, wishes: Wishes) -> Running:
    """Bring up everything, in order. Raises StopAsked or BursarError."""
    session.say(f"Starting in {folder.path} …")
    control_plane = supervisor.start(_control_plane_plan(folder, wishes))
    told = [control_plane]
    address = str(control_plane["address"])
    owned = folder.owner_token.exists()
    token = read_secret(folder.owner_token, "the owner's token") if owned else session.token()
    with connect(address, token=token) as bursar:
        rehearsal_url = _set_stage(bursar, supervisor, folder, wishes)
        supervisor.check()
        demo = stage.demo(bursar, folder)
        desk_link = stage.desk_link(bursar)
        told += [
            _start_sidecar(bursar, supervisor, folder, wishes, address, number)
            for number in range(1, wishes.sidecars + 1)
        ]
        standings = {
            one.provider: "rehearsal" if is_stand_in(one) else one.base_url
            for one in bursar.providers.list()
        }
    return Running(
        folder=folder,
        control_plane=address,
        desk=str(control_plane["desk"]),
        desk_link=desk_link,
        sidecars=tuple(str(one["url"]).rstrip("/") for one in told[1:]),
        rehearsal_url=rehearsal_url,
        public_url=wishes.public_url,
        providers=standings,
        demo=demo,
        pids={child.name: child.pid or 0 for child in supervisor.children},
        metrics=tuple(str(one["metrics"]) for one in told if one.get("metrics")),
    )


def _set_stage(bursar: Bursar, supervisor: Supervisor, folder: Folder, wishes: Wishes) -> str:
    """Have someone answer calls; returns the rehearsal provider's address, "" without one."""
    cast = stage.cast(bursar, os.environ, rehearsal=wishes.rehearsal)
    rehearsal_url = ""
    if cast.rehearse:
        told = supervisor.start(_rehearsal_plan(folder, wishes))
        rehearsal_url = str(told["url"]).rstrip("/")
        stage.set_rehearsal_prices(bursar)
    stage.set_providers(bursar, cast, rehearsal_url)
    return rehearsal_url


def _start_sidecar(
    bursar: Bursar,
    supervisor: Supervisor,
    folder: Folder,
    wishes: Wishes,
    address: str,
    number: int,
) -> dict[str, Any]:
    home = folder.sidecar(number)
    home.mkdir(mode=0o700, exist_ok=True)
    known = {one.display_name for one in bursar.sidecars.list()}
    token_file = home.with_name(f"{home.name}.join-token")
    if home.name not in known or not any(home.iterdir()):
        made = bursar.sidecars.create_join_token(lifetime=JOIN_TOKEN_LIFETIME)
        write_private(token_file, made.join_token + "\n")
    try:
        return supervisor.start(_sidecar_plan(folder, wishes, address, number, token_file))
    finally:
        token_file.unlink(missing_ok=True)


def _control_plane_plan(folder: Folder, wishes: Wishes) -> Plan:
    zone = ("--time-zone", wishes.time_zone) if wishes.time_zone else ()
    return _plan(
        folder,
        "control-plane",
        "control_plane",
        (
            *("--data", str(folder.path)),
            *("--listen", f"{_LOOPBACK}:{{port}}"),
            *("--web", f"{_LOOPBACK}:{wishes.desk_port}"),
            *zone,
            *_metrics(wishes, 0),
        ),
        wishes.control_plane_port,
    )


def _rehearsal_plan(folder: Folder, wishes: Wishes) -> Plan:
    return _plan(
        folder, "rehearsal", "clients.rehearsal", ("--port", "{port}"), wishes.rehearsal_port
    )


def _sidecar_plan(
    folder: Folder, wishes: Wishes, address: str, number: int, token_file: Path
) -> Plan:
    join = ("--join-token-file", str(token_file)) if token_file.exists() else ()
    return _plan(
        folder,
        f"sidecar-{number}",
        "sidecar",
        (
            *("--data", str(folder.sidecar(number))),
            *("--control-plane", address),
            *("--listen", f"{_bracketed(wishes.sidecar_host)}:{{port}}"),
            *("--name", f"sidecar-{number}"),
            *_reached_by(wishes),
            *_metrics(wishes, number),
        ),
        wishes.sidecar_ports()[number - 1],
        stop_ms=STOP_SIDECAR_MS,
        once=join,
    )


def _metrics(wishes: Wishes, number: int) -> Sequence[str]:
    """Where a process shows its metrics: the control plane is number 0, sidecars follow."""
    if wishes.metrics is None:
        return ()
    host = _bracketed(wishes.metrics[0])
    return ("--metrics-listen", f"{host}:{wishes.metrics_ports()[number]}")


def _reached_by(wishes: Wishes) -> Sequence[str]:
    """How a sidecar may be reached: by TLS, in clear text on a private bridge, by which names."""
    hosts = list(wishes.allowed_hosts)
    how: list[str] = []
    if wishes.certificate or wishes.private_key:
        named = (("--certificate", wishes.certificate), ("--key", wishes.private_key))
        how += [part for flag, path in named if path for part in (flag, path)]
        how += ["--public-url", wishes.public_url] if wishes.public_url else []
    elif wishes.public_url:
        hosts.append(urlsplit(wishes.public_url).hostname or "")
    if not how and not is_loopback(wishes.sidecar_host):
        how.append("--allow-plain")
        hosts.append(wishes.sidecar_host)
    return [*how, *(part for host in hosts for part in ("--allow-host", host))]


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _plan(
    folder: Folder,
    name: str,
    module: str,
    arguments: Sequence[str],
    port: int,
    stop_ms: int = STOP_MS,
    once: tuple[str, ...] = (),
) -> Plan:
    ready_file = folder.path / f".{name}.ready"
    return Plan(
        name=name,
        module=module,
        arguments=(*arguments, "--ready-file", str(ready_file)),
        port=port,
        ready_file=ready_file,
        log=folder.logs / f"{name}.log",
        stop_ms=stop_ms,
        once=once,
    )


def _check_ports(wishes: Wishes) -> None:
    """Refuse ports that are busy, or meant for two, before anything starts."""
    ports = [
        wishes.control_plane_port,
        wishes.desk_port,
        *wishes.sidecar_ports(),
        wishes.rehearsal_port,
        *wishes.metrics_ports(),
    ]
    fixed = [port for port in ports if port]
    if len(set(fixed)) != len(fixed) or max(fixed, default=0) > _PORT_MAX:
        raise click.UsageError(
            f"These ports do not fit together: {', '.join(map(str, fixed))}. Each process needs one"
            f" of its own up to {_PORT_MAX}; sidecars take them in a row from --sidecar-port."
        )
    check_free(_LOOPBACK, wishes.control_plane_port, "the control plane", "--control-plane-port")
    check_free(_LOOPBACK, wishes.desk_port, "the desk", "--desk-port")
    for number, port in enumerate(wishes.sidecar_ports(), 1):
        check_free(wishes.sidecar_host, port, f"sidecar {number}", "--sidecar-port")
    for port in wishes.metrics_ports():
        assert wishes.metrics is not None
        check_free(wishes.metrics[0], port, "metrics", "--metrics-listen")
    if wishes.rehearsal is not False:
        check_free(_LOOPBACK, wishes.rehearsal_port, "the rehearsal provider", "--rehearsal-port")


COMMANDS: Sequence[Any] = (up,)
