"""`bursar workflow` and `bursar branding`: what statements say of workflows and of the agency."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from clients.admin import WorkflowRoi
from clients.cli import names
from clients.cli.limits import LIST_MAX_ITEMS
from clients.cli.output import count_text, table, usd
from clients.cli.parameters import LABEL, LENGTH
from clients.cli.session import Group, Session, pass_session


@click.group("workflow", cls=Group)
def workflow() -> None:
    """See a client's workflows, and agree on what they are worth."""


@workflow.command("list")
@click.argument("client_name", metavar="CLIENT")
@pass_session
def list_workflows(session: Session, client_name: str) -> None:
    """List workflows that were used this month or that something was agreed on."""
    project = names.client(session.bursar, client_name)
    found = list(islice(session.bursar.workflows.list(project.project_id), LIST_MAX_ITEMS))
    session.show(
        {"workflows": found},
        table(
            "",
            ["Workflow", ">Calls", ">Failed", ">Cost", "Worth"],
            [
                [
                    one.workflow or "(none)",
                    count_text(one.call_count),
                    count_text(one.failed_count),
                    usd(one.cost_nano_usd),
                    _words(one.roi) if one.roi else "-",
                ]
                for one in found
            ],
        ),
    )


@workflow.group("roi", cls=Group)
def roi() -> None:
    """Agree with a client on what a workflow is worth, or take it back."""


@roi.command("set")
@click.argument("client_name", metavar="CLIENT")
@click.argument("name", metavar="WORKFLOW")
@click.option("--unit", required=True, help="What it makes, such as lead.")
@click.option("--units", default="", help="Its plural  [default: the unit with an s]")
@click.option(
    "--counts",
    type=click.Choice(["execution", "call"]),
    default="execution",
    show_default=True,
    help="What makes a unit: a run whose last call ended well, or each call that did.",
)
@click.option(
    "--by-hand",
    type=LENGTH,
    required=True,
    help="How long a person takes for one, such as 3min or 45s.",
)
@click.option(
    "--agreed",
    required=True,
    type=(str, str),
    metavar="NAME DATE",
    help='Who at the client agreed and when, such as "Dr. Chen" 2026-03-02.',
)
@pass_session
def set_roi(
    session: Session,
    *,
    client_name: str,
    name: str,
    unit: str,
    units: str,
    counts: str,
    by_hand: Any,
    agreed: tuple[str, str],
) -> None:
    """Keep what was agreed; it stands in the next statements, from ten units on."""
    project = names.client(session.bursar, client_name)
    kept = session.bursar.workflows.set_roi(
        WorkflowRoi(
            project_id=project.project_id,
            workflow=name,
            unit=unit,
            units=units,
            counts=counts,
            seconds_per_unit=int(by_hand.total_seconds()),
            agreed_by=agreed[0],
            agreed_on=agreed[1],
        )
    )
    session.show({"roi": kept}, Text(f"{kept.workflow}: {_words(kept)}"))


@roi.command("remove")
@click.argument("client_name", metavar="CLIENT")
@click.argument("name", metavar="WORKFLOW")
@pass_session
def drop_roi(session: Session, client_name: str, name: str) -> None:
    """Forget what was agreed: the next statements show no worth."""
    project = names.client(session.bursar, client_name)
    session.bursar.workflows.drop_roi(project.project_id, name)
    session.show({"dropped": name}, Text(f"{name}: nothing is agreed any more"))


@workflow.group("task", cls=Group)
def task() -> None:
    """Say what a workflow does, so that models are compared by task."""


@task.command("set")
@click.argument("client_name", metavar="CLIENT")
@click.argument("name", metavar="WORKFLOW")
@click.argument("label", metavar="TASK", type=LABEL)
@pass_session
def set_task(session: Session, client_name: str, name: str, label: str) -> None:
    """Say what it does, such as summaries; without that its own name is its task."""
    project = names.client(session.bursar, client_name)
    session.bursar.workflows.set_task(project.project_id, name, label)
    session.show({"workflow": name, "task": label}, Text(f"{name} does {label}"))
    session.say("Compare models by task: bursar model matrix")


@task.command("remove")
@click.argument("client_name", metavar="CLIENT")
@click.argument("name", metavar="WORKFLOW")
@pass_session
def remove_task(session: Session, client_name: str, name: str) -> None:
    """Take it back: the workflow's own name is its task again."""
    project = names.client(session.bursar, client_name)
    session.bursar.workflows.set_task(project.project_id, name, "")
    session.show({"removed": name}, Text(f"{name} is a task of its own"))


def _words(kept: WorkflowRoi) -> str:
    of = "run" if kept.counts == "execution" else "call"
    return (
        f"a {kept.unit} for each {of}, {kept.seconds_per_unit} s by hand,"
        f" {kept.agreed_by} on {kept.agreed_on}"
    )


@click.group("branding", cls=Group)
def branding() -> None:
    """How the agency shows itself on statements."""


@branding.command("show")
@pass_session
def show_branding(session: Session) -> None:
    """Show name, colour, logo and note."""
    found = session.bursar.branding.get()
    logo = f"logo of {len(found.logo)} bytes" if found.logo else "no logo"
    named = "names Bursar" if found.names_bursar else "does not name Bursar"
    session.show(
        {"branding": {**_fields(found), "logo_bytes": len(found.logo)}},
        Text(f"{found.agency or '(no name)'}, {found.colour}, {logo}, {named}"),
    )


@branding.command("set")
@click.option("--agency", help="The agency's name.")
@click.option("--colour", help="Such as #1d6ff2.")
@click.option("--logo", type=click.Path(dir_okay=False, path_type=Path), help="A PNG or JPEG.")
@click.option("--no-logo", is_flag=True, help="Show no logo.")
@click.option("--note", help="Stands at the end of every statement.")
@click.option(
    "--name-bursar/--white-label", "names_bursar", default=None, help="Name the software or not."
)
@pass_session
def set_branding(
    session: Session,
    *,
    agency: str | None,
    colour: str | None,
    logo: Path | None,
    no_logo: bool,
    note: str | None,
    names_bursar: bool | None,
) -> None:
    """Change what is given; statements that are frozen keep what they were frozen with."""
    before = session.bursar.branding.get()
    picture = logo.read_bytes() if logo is not None else before.logo
    wanted = replace(
        before,
        agency=before.agency if agency is None else agency,
        colour=before.colour if colour is None else colour,
        logo=b"" if no_logo else picture,
        note=before.note if note is None else note,
        names_bursar=before.names_bursar if names_bursar is None else names_bursar,
    )
    made = session.bursar.branding.set(wanted)
    session.show(
        {"branding": {**_fields(made), "logo_bytes": len(made.logo)}},
        Text(f"{made.agency or '(no name)'}, {made.colour}"),
    )


def _fields(found: Any) -> dict[str, Any]:
    return {name: getattr(found, name) for name in ("agency", "colour", "note", "names_bursar")}


COMMANDS: Sequence[Any] = (workflow, branding)
"""The nouns."""
