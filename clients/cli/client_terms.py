"""`bursar client when-too-large` and `bursar client allow`: what of a client's calls may pass."""

from collections.abc import Sequence
from typing import Any, get_args

import click
from rich.text import Text

from clients.admin import WhenTooLarge
from clients.cli import names
from clients.cli.output import count_text
from clients.cli.projects import client
from clients.cli.session import Session, pass_session

_FOLLOWS = {
    "clamp": "Near a cap a smaller limit is put on answers whose callers set none.",
    "reject": "Answers are never cut shorter near a cap: what does not fit is refused, or waits.",
    "count": (
        "What does not fit is counted by the provider first, where it says that it counts exactly: "
        "OpenAI's responses of texts. Anthropic calls its counter an estimate and Google promises "
        "nothing of its own, so their calls are bounded by bytes as before; then as clamp."
    ),
}


@client.command("when-too-large")
@click.argument("client_name", metavar="CLIENT")
@click.argument("mode", type=click.Choice(get_args(WhenTooLarge)))
@pass_session
def when_too_large(session: Session, client_name: str, mode: WhenTooLarge) -> None:
    """Say what becomes of calls whose worst case does not fit beside what is left.

    clamp: a smaller limit on the answer, where the caller set none. reject: no answer is cut
    shorter. count: the provider's free token counter is asked first, where it is exact.
    """
    found = names.client(session.bursar, client_name)
    changed = session.bursar.projects.update(found, when_too_large=mode)
    session.show({"client": changed}, Text(f"{changed.display_name}: {mode}"))
    session.say(_FOLLOWS[mode])


@client.command("allow")
@click.argument("client_name", metavar="CLIENT")
@click.option(
    "--searches",
    type=click.IntRange(0, 1_000),
    required=True,
    help="Most searches of one call that names no limit itself; 0 for none.",
)
@pass_session
def allow(session: Session, client_name: str, searches: int) -> None:
    """Let calls use tools of a provider's although they do not say how often.

    It goes on the wire as max_tool_calls, and each call holds so many searches: their fees, and the
    model's whole window once more for each. It is for OpenAI's responses alone. Searches of
    Gemini's, xAI's and in chats stay refused: no parameter of theirs bounds them.
    """
    found = names.client(session.bursar, client_name)
    changed = session.bursar.projects.update(found, hosted_call_count=searches)
    told = f"{count_text(searches)} searches a call" if searches else "no searches"
    session.show({"client": changed}, Text(f"{changed.display_name}: {told}"))
    session.say("What a request says itself in max_tool_calls always counts.")


COMMANDS: Sequence[Any] = (client,)
"""The noun, with what is added to it here."""
