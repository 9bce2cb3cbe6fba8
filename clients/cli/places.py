"""Where a workflow should send its calls: which sidecar, by which address."""

import os
from collections.abc import Callable
from typing import Any, TypeVar

import click
from rich.console import RenderableType
from rich.text import Text

from clients.cli.parameters import URL
from clients.cli.session import Session
from protos.values.recipes import DEFAULT_SIDECAR_URL, Place, Recipe, recipes

Function = TypeVar("Function", bound=Callable[..., Any])


def place_options(function: Function) -> Function:
    """Let a command be told by which addresses sidecars are called."""
    function = click.option(
        "--sidecar-url",
        type=URL,
        help="The sidecar that the workflows call  [env BURSAR_SIDECAR_URL; default: from the data"
        " folder]",
    )(function)
    return click.option(
        "--public-url",
        type=URL,
        help="The https address by which clouds reach a sidecar  [env BURSAR_PUBLIC_URL]",
    )(function)


def place(
    session: Session, key: str, sidecar_url: str | None, public_url: str | None, workflow: str = ""
) -> Place:
    """Where the calls of a key go."""
    state = session.folder.read_state()
    sidecars = state.get("sidecars")
    running = sidecars[0] if isinstance(sidecars, list) and sidecars else DEFAULT_SIDECAR_URL
    told_url = sidecar_url or _from_environment("BURSAR_SIDECAR_URL")
    told_public_url = public_url or _from_environment("BURSAR_PUBLIC_URL")
    return Place(
        base_url=told_url or str(running),
        key=key,
        public_url=told_public_url or str(state.get("public_url") or ""),
        workflow=workflow,
    )


def _from_environment(name: str) -> str:
    text = os.environ.get(name, "")
    return URL.convert(text, None, None) if text else ""


def to_json(where: Place) -> dict[str, Any]:
    """The settings for programs."""
    return {
        "base_url": where.base_url,
        "openai_base_url": f"{where.base_url}/v1",
        "anthropic_base_url": where.base_url,
        "gemini_base_url": where.base_url,
        "public_url": where.public_url or None,
        "settings": {recipe.tool: recipe.text for recipe in recipes(where)},
    }


def shown(where: Place) -> list[RenderableType]:
    """The settings for people."""
    return [part for recipe in recipes(where) for part in _section(recipe)]


def _section(recipe: Recipe) -> list[RenderableType]:
    indented = "\n".join(f"  {line}" if line else "" for line in recipe.text.splitlines())
    return [Text(f"\n{recipe.title}", style="bold"), Text(indented)]
