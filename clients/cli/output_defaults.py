"""`bursar default-output`: the limits on answers of calls whose callers set none."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

import click
from rich.text import Text

from clients.admin import Bursar, OutputDefault, OutputDefaultProposal, Project
from clients.cli import names
from clients.cli.limits import LIST_MAX_ITEMS, NAMES_SEARCHED_ITEMS
from clients.cli.output import count_text, instant_text, quoted, safe, table
from clients.cli.parameters import EARLIER, LABEL
from clients.cli.session import Group, Session, pass_session

_ALL = "all"
_PROPOSED_COLUMNS = (
    *("Client", "Workflow", "Model", ">Answers", ">99 of 100", ">Longest"),
    *(">Holds now", ">Proposed"),
)
_CLIENT = click.option("--client", "client_name", metavar="CLIENT", help="Only for this client.")
_WORKFLOW = click.option("--workflow", type=LABEL, default="", help="Only for this workflow.")
_MODEL = click.option("--model", default="", help="Only for this model.")


@click.group("default-output", cls=Group)
def default_output() -> None:
    """Limit answers whose callers set no limit, so that a call holds less than its model's all.

    A limit that a caller sets always counts. Of those that match a call the client's own stand
    above those for all clients; then the one for workflow and model, for the workflow, for the
    model.
    """


@default_output.command("set")
@click.argument("tokens", type=click.IntRange(min=1))
@_CLIENT
@_WORKFLOW
@_MODEL
@click.option("--reason", default="", help="Why, for the audit log.")
@pass_session
def set_default(
    session: Session,
    *,
    tokens: int,
    client_name: str | None,
    workflow: str,
    model: str,
    reason: str,
) -> None:
    """Put a limit of TOKENS on the answers of calls whose callers set none.

    It goes on the wire: an answer ends there, its thoughts included. Callers see it in the header
    x-bursar-default-output.
    """
    project = _project(session.bursar, client_name)
    wanted = OutputDefault(
        limit_count=tokens,
        project_id=project.project_id if project else "",
        workflow=workflow,
        model=model,
    )
    made = session.bursar.output_defaults.set(wanted, reason=reason)
    whose = _whose(made, {} if project is None else {project.project_id: project.display_name})
    session.show({"output_default": made}, Text(f"{whose}: {count_text(tokens)} tokens"))
    session.say("Every sidecar gets it within a second; a caller's own limit still counts.")


@default_output.command("remove")
@_CLIENT
@_WORKFLOW
@_MODEL
@click.option("--reason", default="", help="Why, for the audit log.")
@pass_session
def remove_default(
    session: Session, *, client_name: str | None, workflow: str, model: str, reason: str
) -> None:
    """Take the limit away that was set for exactly these."""
    project = _project(session.bursar, client_name)
    project_id = project.project_id if project else ""
    session.bursar.output_defaults.delete(
        project_id=project_id, workflow=workflow, model=model, reason=reason
    )
    session.show({"removed": True}, Text("It is gone."))
    session.say("Such calls hold what the next default says, or all that their model can write.")


@default_output.command("list")
@_CLIENT
@pass_session
def list_defaults(session: Session, *, client_name: str | None) -> None:
    """List the limits, those for all clients first."""
    project = _project(session.bursar, client_name)
    found = list(
        islice(
            session.bursar.output_defaults.list(project.project_id if project else ""),
            LIST_MAX_ITEMS,
        )
    )
    clients = _clients(session.bursar)
    session.show(
        {"output_defaults": found},
        table(
            "",
            ["Client", "Workflow", "Model", ">Tokens", "Set"],
            [
                [
                    *_scope(one, clients),
                    count_text(one.limit_count),
                    instant_text(one.update_time),
                ]
                for one in found
            ],
        ),
    )
    if not found:
        session.say("There is none. What answers needed so far: bursar default-output propose")


@default_output.command("propose")
@_CLIENT
@click.option("--since", type=EARLIER, help="Only calls from then on  [default: 30d]")
@click.option(
    "--margin",
    type=click.IntRange(100, 10_000),
    default=150,
    show_default=True,
    help="The limit as a share of the longest answer, in percent.",
)
@click.option("--apply", is_flag=True, help="Set what is proposed.")
@pass_session
def propose_defaults(
    session: Session,
    *,
    client_name: str | None,
    since: datetime | None,
    margin: int,
    apply: bool,
) -> None:
    """Propose limits: the longest answer of each workflow and model lately, with a margin.

    Looked at are the newest 20,000 calls; of fewer than 50 answers nothing is concluded.
    """
    bursar = session.bursar
    project = _project(bursar, client_name)
    found = bursar.output_defaults.propose(
        project_id=project.project_id if project else "", since=since, margin_percent=margin
    )
    if apply:
        for one in found.proposals:
            words = f"longest of {one.answer_count} answers: {one.longest_count}, x {margin} %"
            bursar.output_defaults.set(one.output_default, reason=words)
    clients = _clients(bursar)
    session.show(
        {"proposals": found.proposals, "call_count": found.call_count, "applied": apply},
        table(
            "",
            _PROPOSED_COLUMNS,
            [_proposal_row(one, clients) for one in found.proposals],
        ),
    )
    _say_proposed(session, found.proposals, found.call_count, project, apply=apply)


def _say_proposed(
    session: Session,
    proposals: Sequence[OutputDefaultProposal],
    call_count: int,
    project: Project | None,
    *,
    apply: bool,
) -> None:
    if not proposals:
        session.say(f"Too few answers: {count_text(call_count)} calls were looked at.")
    elif apply:
        session.say("They are set. To see them: bursar default-output list")
    else:
        again = f" --client {quoted(project.display_name)}" if project else ""
        session.say(f"Nothing was set. To set them: bursar default-output propose{again} --apply")


def _proposal_row(one: OutputDefaultProposal, clients: dict[str, str]) -> Sequence[str | Text]:
    now = one.present_count or one.model_max_count
    return [
        *_scope(one.output_default, clients),
        count_text(one.answer_count),
        count_text(one.p99_count),
        count_text(one.longest_count),
        count_text(now) if now else "",
        count_text(one.output_default.limit_count),
    ]


def _scope(one: OutputDefault, clients: dict[str, str]) -> list[str]:
    return [
        clients.get(one.project_id, one.project_id) or _ALL,
        one.workflow or _ALL,
        one.model or _ALL,
    ]


def _whose(one: OutputDefault, clients: dict[str, str]) -> str:
    client, workflow, model = _scope(one, clients)
    parts = [
        f"client {client}" if one.project_id else "all clients",
        *([f"workflow {workflow}"] if one.workflow else []),
        *([f"model {safe(model)}"] if one.model else []),
    ]
    return ", ".join(parts)


def _project(bursar: Bursar, client_name: str | None) -> Project | None:
    return names.client(bursar, client_name) if client_name else None


def _clients(bursar: Bursar) -> dict[str, str]:
    known: Iterable[Project] = islice(
        bursar.projects.list(show_archived=True), NAMES_SEARCHED_ITEMS
    )
    return {one.project_id: one.display_name for one in known}


COMMANDS: Sequence[Any] = (default_output,)
"""The noun."""
