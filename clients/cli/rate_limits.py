"""`bursar limit`: how many requests, tokens or calls at once a client, key or provider may have."""

import re
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

import click
from rich.text import Text

from clients.admin import Bursar, RateLimit
from clients.admin.rate_limits import Measure, RateWindow
from clients.cli import names
from clients.cli.limits import LIST_MAX_ITEMS
from clients.cli.output import instant_text, quoted, table
from clients.cli.session import Group, Session, pass_session
from protos.values.errors import NotFoundError

_RATE = re.compile(r"(\d+)([kKmM]?)(?:/(s|sec|second|m|min|minute))?\Z")
_TIMES = {"": 1, "k": 1_000, "m": 1_000_000}


class PerTime(click.ParamType[tuple[int, RateWindow]]):
    """So much in a time, such as 60/minute or 200k/min; a minute when nothing is said."""

    name = "N[/TIME]"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, RateWindow]:
        if isinstance(value, tuple):
            return value
        match = _RATE.match(str(value).strip().replace("_", ""))
        if match is None:
            self.fail(f"{value!r} is no rate: write 60/minute, 200k/minute or 5/second", param, ctx)
        amount = int(match[1]) * _TIMES[match[2].lower()]
        return amount, "second" if (match[3] or "m").startswith("s") else "minute"


_PER_TIME = PerTime()


@click.group("limit", cls=Group)
def limit() -> None:
    """Limit requests, tokens or calls at once, over all sidecars together.

    A limit without a client is shared by all clients: fairly, so that none crowds out another.
    """


@limit.command("set")
@click.option("--client", "client_name", metavar="CLIENT", help="Only this client's calls.")
@click.option("--key", "key_name", metavar="KEY", help="Only calls with this key.")
@click.option("--provider", default="", help="Only calls to this provider.")
@click.option("--model", default="", help="Only calls of this model.")
@click.option("--requests", type=_PER_TIME, help="Requests, such as 60/minute or 5/second.")
@click.option("--tokens", type=_PER_TIME, help="Tokens, such as 200k/minute.")
@click.option("--at-once", type=click.IntRange(min=1), help="Calls in flight at the same time.")
@pass_session
def set_limit(
    session: Session,
    *,
    client_name: str | None,
    key_name: str | None,
    provider: str,
    model: str,
    requests: tuple[int, RateWindow] | None,
    tokens: tuple[int, RateWindow] | None,
    at_once: int | None,
) -> None:
    """Set limits for a client, a key, a provider, a model, or any of them together.

    In no minute, whichever it is, pass more requests or tokens than that. Tokens count by the most
    that a call may use, and by what it used once that is known.
    """
    wanted: list[tuple[Measure, int, RateWindow]] = []
    if requests is not None:
        wanted.append(("requests", *requests))
    if tokens is not None:
        wanted.append(("tokens", *tokens))
    if at_once is not None:
        wanted.append(("calls", at_once, ""))
    if not wanted:
        raise click.UsageError("Give one of --requests, --tokens and --at-once.")
    if not (client_name or key_name or provider or model):
        raise click.UsageError("Give one of --client, --key, --provider and --model.")
    bursar = session.bursar
    project_id = names.client(bursar, client_name).project_id if client_name else ""
    key_id = names.key(bursar, key_name).key_id if key_name else ""
    made = [
        bursar.rate_limits.set(
            measure,
            amount,
            window=window,
            project_id=project_id,
            key_id=key_id,
            provider=provider,
            model=model,
        )
        for measure, amount, window in wanted
    ]
    called = _Names(bursar)
    lines = [Text(f"{called.of(one)}: {amount_text(one)} ({one.rate_limit_id})") for one in made]
    session.show({"rate_limits": made}, *lines)
    session.say("It holds within a second at every sidecar that hears the control plane.")


@limit.command("list")
@pass_session
def list_limits(session: Session) -> None:
    """List limits."""
    found = list(islice(session.bursar.rate_limits.list(), LIST_MAX_ITEMS))
    called = _Names(session.bursar) if found else None
    session.show(
        {"rate_limits": found},
        table(
            "",
            ["For", "At most", "Changed", "Id"],
            [
                [
                    called.of(one) if called else "",
                    amount_text(one),
                    instant_text(one.update_time),
                    one.rate_limit_id,
                ]
                for one in found
            ],
        ),
    )
    if not found:
        session.say("No limit yet. Next: bursar limit set --provider openai --requests 500/minute")


@limit.command("remove")
@click.argument("rate_limit_id", metavar="LIMIT")
@pass_session
def remove(session: Session, rate_limit_id: str) -> None:
    """Take a limit away, by its id; calls pass without it within a second."""
    bursar = session.bursar
    try:
        bursar.rate_limits.delete(rate_limit_id)
    except NotFoundError as error:
        hint = names.meant(rate_limit_id, [one.rate_limit_id for one in bursar.rate_limits.list()])
        raise NotFoundError(
            f"{error.message}{hint or '; `bursar limit list` shows them all'}", **error.fields
        ) from None
    session.show({"removed": rate_limit_id}, Text(f"{rate_limit_id} is removed."))


@limit.command("client")
@click.argument("client_name", metavar="CLIENT")
@click.option("--weight", type=click.IntRange(1, 10_000), help="Its part of what clients share.")
@click.option(
    "--loop-max",
    type=click.IntRange(0, 1_000_000),
    help="Stop a workflow that sends the same request more often in a minute; 0 for never.",
)
@pass_session
def set_client(
    session: Session, *, client_name: str, weight: int | None, loop_max: int | None
) -> None:
    """Set how much of shared limits is a client's, and when its workflows are seen as looping.

    Clients that all want more than there is share by their weights, 100 for each at first.
    """
    if weight is None and loop_max is None:
        raise click.UsageError("Give one of --weight and --loop-max.")
    found = names.client(session.bursar, client_name)
    changed = session.bursar.projects.set_traffic(
        found, rate_weight=weight, loop_max_count=loop_max
    )
    loops = f"more than {changed.loop_max_count} equal requests a minute are a loop"
    session.show(
        {"client": changed},
        Text(
            f"{changed.display_name}: weight {changed.rate_weight}, "
            f"{loops if changed.loop_max_count else 'loops are not stopped'}."
        ),
    )
    session.say(f"See it with: bursar client show {quoted(changed.display_name)}")


def amount_text(one: RateLimit) -> str:
    """How much a limit allows, in words."""
    if not one.window:
        return f"{one.amount:,} calls at once"
    return f"{one.amount:,} {one.measure} a {one.window}"


class _Names:
    """What clients and keys are called."""

    def __init__(self, bursar: Bursar) -> None:
        self._clients: Mapping[str, str] = {
            one.project_id: one.display_name for one in bursar.projects.list(show_archived=True)
        }

    def of(self, one: RateLimit) -> str:
        """Which calls a limit counts, in words."""
        parts = [
            self._clients.get(one.project_id, one.project_id),
            one.key_id,
            one.provider,
            one.model,
        ]
        return ", ".join(part for part in parts if part) + (
            "" if one.project_id else " (all clients)"
        )


COMMANDS: Sequence[Any] = (limit,)
