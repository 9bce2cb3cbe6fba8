"""The root of the command: its nouns, its exit codes, and how an error is told."""

import errno
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import click

from clients.cli import (
    alerts,
    budgets,
    calls,
    channels,
    client_terms,
    demo,
    doctor,
    escalation,
    exits,
    installation,
    keys,
    learning,
    leases,
    model_routes,
    onboarding,
    orphans,
    output_defaults,
    playbooks,
    price_imports,
    prices,
    principals,
    processes,
    projects,
    provider_secrets,
    providers,
    rate_cards,
    rate_limits,
    rerating,
    retirements,
    review,
    session,
    share_links,
    sidecars,
    statements,
    surfaces,
    up,
    workflows,
)
from clients.cli.output import json_text
from clients.cli.session import Session
from protos.values.errors import BursarError
from protos.values.keys import redact

_HINTS: Mapping[int, str] = {
    errno.ENOENT: "; check the path: its folder must exist",
    errno.ENOTDIR: "; check the path: its folder must exist",
    errno.EISDIR: "; name a file, not a folder",
    errno.EACCES: "; name a place that you may read and write, or ask its owner",
    errno.EPERM: "; name a place that you may read and write, or ask its owner",
    errno.EROFS: "; name a place that can be written to",
    errno.ENOSPC: "; make room there, or name another place",
}
"""What to do about a fault of the system, by its number."""


class Root(session.Group):
    """The command itself; every error leaves it in one way."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,  # noqa: FBT001, FBT002 - click decides this signature
        **extra: Any,
    ) -> Any:
        """Run a command line and end the process with its exit code."""
        given = list(sys.argv[1:] if args is None else args)
        if not standalone_mode:
            return super().main(given, prog_name, complete_var, False, **extra)
        as_json = "--json" in given
        try:
            code = super().main(given, prog_name or "bursar", complete_var, False, **extra)
            sys.stdout.flush()
        except (BursarError, click.ClickException, click.Abort, OSError) as error:
            code = _told(error, as_json=as_json)
        sys.exit(code if isinstance(code, int) else exits.OK)


def _told(error: Exception, *, as_json: bool) -> int:
    """Say what went wrong, to stderr, and return the exit code for it."""
    if isinstance(error, BursarError):
        return _tell(error.message, error.reason, error.fields, _code(error), as_json=as_json)
    if isinstance(error, click.ClickException):
        if as_json:
            return _tell(error.format_message(), "USAGE", {}, error.exit_code, as_json=True)
        error.show()
        return error.exit_code
    if isinstance(error, click.Abort):
        return _tell("stopped before it was done", "ABORTED", {}, exits.FAILED, as_json=as_json)
    assert isinstance(error, OSError)
    if error.errno == errno.EPIPE:  # nobody reads stdout any more; say nothing at the end either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exits.FAILED
    where = f"{error.filename}: " if error.filename else ""
    hint = _HINTS.get(error.errno or 0, "")
    return _tell(f"{where}{error.strerror}{hint}", "SYSTEM", {}, exits.FAILED, as_json=as_json)


def _code(error: BursarError) -> int:
    return next(exits.BY_ERROR[kind] for kind in type(error).__mro__ if kind in exits.BY_ERROR)


def _tell(text: str, reason: str, fields: Mapping[str, str], code: int, *, as_json: bool) -> int:
    told = redact(text).strip()
    if as_json:
        error = {"reason": reason, "message": told, "fields": fields, "exit_code": code}
        click.echo(json_text({"error": error}), err=True)
    else:
        click.echo(f"Error: {told}", err=True)
    return code


@click.group(
    cls=Root,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=exits.epilog(),
)
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Hard spending caps for every client's AI calls, decided on localhost.

    Start with `bursar up`, then `bursar client add "Acme Dental" --cap 300`.
    """
    ctx.ensure_object(Session)


for noun in (
    *up.COMMANDS,
    *demo.COMMANDS,
    *projects.COMMANDS,
    *onboarding.COMMANDS,
    *rate_cards.COMMANDS,
    *share_links.COMMANDS,
    *client_terms.COMMANDS,
    *keys.COMMANDS,
    *budgets.COMMANDS,
    *output_defaults.COMMANDS,
    *rate_limits.COMMANDS,
    *calls.COMMANDS,
    *providers.COMMANDS,
    *provider_secrets.COMMANDS,
    *model_routes.COMMANDS,
    *prices.COMMANDS,
    *price_imports.COMMANDS,
    *rerating.COMMANDS,
    *sidecars.COMMANDS,
    *statements.COMMANDS,
    *workflows.COMMANDS,
    *surfaces.COMMANDS,
    *leases.COMMANDS,
    *orphans.COMMANDS,
    *alerts.COMMANDS,
    *channels.COMMANDS,
    *escalation.COMMANDS,
    *retirements.COMMANDS,
    *review.COMMANDS,
    *playbooks.COMMANDS,
    *doctor.COMMANDS,
    *installation.COMMANDS,
    *learning.COMMANDS,
    *principals.COMMANDS,
    *processes.COMMANDS,
):
    cli.add_command(noun)


def main() -> NoReturn:
    """Run the command line of this process."""
    cli.main()
    raise AssertionError("the command ends the process")
