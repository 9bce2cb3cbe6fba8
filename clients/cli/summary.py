"""What `up` says when all is ready: to people, to scripts, and to other commands."""

import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from clients.cli.folder import Folder
from clients.cli.output import json_text
from clients.cli.session import Session
from clients.cli.stage import Demo
from protos.values.recipes import Place, short


@dataclass(frozen=True, slots=True)
class Running:
    """What runs where."""

    folder: Folder
    """The data folder."""
    control_plane: str
    """The control plane's address."""
    desk: str
    """The desk's URL, for browsers."""
    desk_link: str = field(repr=False)
    """A link that signs in at the desk once; "" for whoever may not make one."""
    sidecars: tuple[str, ...]
    """The sidecars' URLs."""
    rehearsal_url: str
    """The rehearsal provider's URL; "" when none runs."""
    public_url: str
    """How clouds reach a sidecar; "" when they cannot."""
    providers: Mapping[str, str]
    """Who answers for each provider."""
    demo: Demo | None
    """The demo client's key; None when it was ended."""
    pids: Mapping[str, int]
    """Process ids by name."""
    metrics: tuple[str, ...] = ()
    """Where metrics are shown, the control plane's first."""

    def state(self, pid: int) -> dict[str, Any]:
        """What other commands learn; no secret is in it."""
        return {
            "pid": pid,
            "control_plane": self.control_plane,
            "desk": self.desk or None,
            "sidecars": list(self.sidecars),
            "rehearsal": self.rehearsal_url or None,
            "public_url": self.public_url or None,
            "metrics": list(self.metrics),
            "token_file": str(self.folder.owner_token),
            "pids": dict(self.pids),
        }


def show(session: Session, running: Running) -> None:
    """Tell that all is ready."""
    base_url = running.sidecars[0]
    if session.as_json:
        line = {
            "ready": True,
            "base_url": base_url,
            "openai_base_url": f"{base_url}/v1",
            "anthropic_base_url": base_url,
            "gemini_base_url": base_url,
            "key": running.demo.key if running.demo else None,
            "desk_link": running.desk_link or None,
            "data": str(running.folder.path),
            "providers": dict(running.providers),
            **{name: value for name, value in running.state(0).items() if name != "pid"},
        }
        click.echo(json_text(line, line=True))
        return
    console = session.console()
    for part in _parts(running):
        console.print(part, soft_wrap=True)
    console.file.flush()
    session.say("\nAll runs until Ctrl-C, and goes on where it left off at the next `bursar up`.")


def _parts(running: Running) -> list[Text | str]:
    base_url = running.sidecars[0]
    answering = ", ".join(f"{name} → {who}" for name, who in running.providers.items())
    lines = [
        Text("Bursar is up.", style="bold green"),
        Text(f"  Base URL   {base_url}/v1   (Anthropic, Gemini: {base_url})"),
    ]
    lines.append(Text(f"  Desk       {running.desk_link or running.desk}"))
    if running.demo is not None:
        lines += [
            Text(f"  Key        {running.demo.key}"),
            Text(f"  Cap        {running.demo.cap}"),
        ]
    else:
        lines.append(Text('  Key        bursar client add "Acme Dental" --cap 300 makes one'))
    lines.append(Text(f"  Answers    {answering or 'nobody: bursar provider set openai'}"))
    if len(running.sidecars) > 1:
        lines.append(Text(f"  Sidecars   {', '.join(running.sidecars)}"))
    if running.rehearsal_url:
        lines.append(
            Text(
                f"  Rehearsal  {running.rehearsal_url}/rehearsal/bill shows what it billed;"
                " no real money is spent"
            )
        )
    if running.metrics:
        lines.append(Text(f"  Metrics    {', '.join(running.metrics)}"))
    lines.append(Text(f"  Data       {running.folder.path}"))
    if running.demo is not None:
        lines.append(Text("\nTry it", style="bold"))
        call = short(Place(base_url=base_url, key=running.demo.key))
        lines.append(Text("\n".join(f"  {line}" for line in call.text.splitlines())))
    data = _data_option(running)
    lines += [
        Text("\nNext, in another terminal", style="bold"),
        path_hint(Path(sys.argv[0]).absolute(), shutil.which("bursar")),
        Text(f"  bursar tail{data}"),
        Text(f'  bursar client add "Acme Dental" --cap 300{data}'),
        Text(f"  bursar usage --by client,workflow,model{data}"),
        Text(f"  bursar doctor{data}"),
    ]
    return [line for line in lines if line]


def path_hint(command: Path, found: str | None) -> Text:
    """How a shell is brought to find this command, where it does not yet; else empty."""
    if found or command.name != "bursar":
        return Text("")
    return Text(f'  export PATH="{command.parent}:$PATH"')


def _data_option(running: Running) -> str:
    default = Folder(type(running.folder.path)("bursar-data").resolve())
    return "" if running.folder == default else f" --data {running.folder.path}"
