"""`bursar provider`: where calls are sent, with which secret of the agency."""

import os
import sys
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from clients.admin import Bursar, Provider
from clients.cli import names
from clients.cli.folder import read_secret
from clients.cli.limits import LIST_MAX_ITEMS, SECRET_MAX_CHARACTERS
from clients.cli.output import instant_text, table
from clients.cli.parameters import URL
from clients.cli.session import Group, Session, pass_session
from protos.values.errors import InvalidArgumentError, NotFoundError

BASE_URLS: Mapping[str, str] = {
    "openai": "https://api.openai.com",
    "anthropic": "https://api.anthropic.com",
    "gemini": "https://generativelanguage.googleapis.com",
}
"""Where the providers that speak a family's own API are."""
COMPATIBLE_URLS: Mapping[str, str] = {
    "openrouter": "https://openrouter.ai/api/v1",
    "mistral": "https://api.mistral.ai/v1",
    "groq": "https://api.groq.com/openai/v1",
    "deepseek": "https://api.deepseek.com/v1",
    "xai": "https://api.x.ai/v1",
    "together": "https://api.together.xyz/v1",
    "fireworks": "https://api.fireworks.ai/inference/v1",
    "perplexity": "https://api.perplexity.ai",
    "ollama": "http://127.0.0.1:11434/v1",
    "vllm": "http://127.0.0.1:8000/v1",
}
"""Where the providers are that speak OpenAI's API; any other is given by its base URL."""
KEY_VARIABLES: Mapping[str, str] = {
    "openai": "OPENAI_API_KEY",
    "anthropic": "ANTHROPIC_API_KEY",
    "gemini": "GEMINI_API_KEY",
}
"""Where their secrets usually stand in the environment."""


REHEARSAL_SECRET = "sk-bursar-rehearsal"  # noqa: S105 - it opens nothing but a rehearsal
"""The secret of a provider that a rehearsal stands in for."""


def is_stand_in(provider: Provider) -> bool:
    """Whether a rehearsal provider answers for this one."""
    local = provider.base_url.startswith("http://127.0.0.1:")
    return local and provider.secret_hint[-4:] == REHEARSAL_SECRET[-4:]


_FAMILIES = {name: name for name in BASE_URLS} | dict.fromkeys(COMPATIBLE_URLS, "openai")


@click.group("provider", cls=Group)
def provider() -> None:
    """Set where calls are sent, and the agency's secrets there."""


@provider.command("set")
@click.argument("name", metavar="PROVIDER")
@click.option(
    "--family",
    type=click.Choice(["openai", "anthropic", "gemini"]),
    help="The wire format it speaks  [default: by its name]",
)
@click.option(
    "--base-url",
    type=URL,
    help="Its address, with a path where its SDKs are given one  [default: by its name]",
)
@click.option(
    "--deployment",
    "deployments",
    metavar="NAME=MODEL",
    multiple=True,
    help="Which model a deployment is (Azure); may be repeated. All together replace those before.",
)
@click.option("--secret-file", metavar="FILE", help="Read its secret from here; - is stdin.")
@click.option(
    "--secret-env", metavar="VARIABLE", help="Read its secret from this environment variable."
)
@click.option("--keep-secret", is_flag=True, help="Change the address only.")
@pass_session
def set_provider(
    session: Session,
    *,
    name: str,
    family: str | None,
    base_url: str | None,
    deployments: tuple[str, ...],
    secret_file: str | None,
    secret_env: str | None,
    keep_secret: bool,
) -> None:
    """Set a provider's address and secret; the secret is sealed and never shown again.

    The secret never stands on the command line. Without an option it is asked for, or read from
    stdin.
    """
    bursar = session.bursar
    existing = find(bursar, name)
    known_family = existing.family if existing else _FAMILIES.get(name)
    kept = existing is not None and not (is_stand_in(existing) and not keep_secret)
    usual_url = BASE_URLS.get(name) or COMPATIBLE_URLS.get(name)
    known_url = existing.base_url if existing and kept else usual_url
    before = existing.deployments if existing else {}
    named = dict(map(_deployment, deployments)) if deployments else before
    if (family or known_family) is None or (base_url or known_url) is None:
        raise click.UsageError(f"{name!r} is not known by name: give --family and --base-url.")
    if keep_secret and existing is None:
        raise click.UsageError(f"There is no provider {name!r} yet, so it has no secret to keep.")
    secret = "" if keep_secret else secret_from(name, secret_file, secret_env)
    changed = bursar.providers.set(
        name,
        family=family or known_family or "",
        base_url=base_url or known_url or "",
        secret=secret,
        etag=existing.etag if existing else "",
        deployments=named,
    )
    session.show(
        {"provider": changed},
        Text(f"{changed.provider}: {changed.base_url}, secret …{changed.secret_hint}"),
    )
    session.say("Every sidecar gets it within a second. To see that all is well: bursar doctor")


@provider.command("list")
@pass_session
def list_providers(session: Session) -> None:
    """List providers; their secrets show only the last characters."""
    found = list(islice(session.bursar.providers.list(), LIST_MAX_ITEMS))
    session.show(
        {"providers": found},
        table(
            "",
            ["Provider", "Speaks", "Address", "Secret", ">Version", "Changed"],
            [
                [
                    one.provider,
                    one.family,
                    one.base_url,
                    f"…{one.secret_hint}" if one.secret_hint else "none",
                    str(one.secret_version),
                    instant_text(one.update_time),
                ]
                for one in found
            ],
        ),
    )
    if not found:
        session.say("No provider yet. Next: bursar provider set openai")


@provider.command("remove", dangerous=True)
@click.argument("name", metavar="PROVIDER")
@pass_session
def remove(session: Session, name: str) -> None:
    """Take a provider away; its models are refused from then on."""
    found = find(session.bursar, name)
    if found is None:
        known = [one.provider for one in session.bursar.providers.list()]
        hint = names.meant(name, known) or "; `bursar provider list` shows them all"
        raise NotFoundError(f"there is no provider {name!r}{hint}")
    session.confirm(f"Remove {name}? Its secret is forgotten and its models are refused.")
    session.bursar.providers.delete(found)
    session.show({"removed": name}, Text(f"{name} is removed."))


def find(bursar: Bursar, name: str) -> Provider | None:
    """The provider of that name, if there is one."""
    return next((one for one in bursar.providers.list() if one.provider == name), None)


def _deployment(text: str) -> tuple[str, str]:
    name, equals, model = text.partition("=")
    if not (name and equals and model):
        raise click.UsageError(f"--deployment takes NAME=MODEL, not {text!r}.")
    return name, model


def secret_from(name: str, file: str | None, variable: str | None) -> str:
    """A provider's secret from a file, the environment, stdin or a question. Raises BursarError."""
    if file is not None and variable is not None:
        raise click.UsageError("Give either --secret-file or --secret-env.")
    if variable is not None:
        text = os.environ.get(variable, "").strip()
        if not text:
            raise InvalidArgumentError(f"the environment has no {variable}", field="secret")
        return _checked(text)
    if file is not None and file != "-":
        return read_secret(Path(file), f"the secret of {name}")
    if file is None and sys.stdin.isatty():
        text = click.prompt(f"Secret of {name}", hide_input=True, err=True)
        return _checked(str(text).strip())
    return _checked(sys.stdin.read(SECRET_MAX_CHARACTERS + 2).strip())


def _checked(text: str) -> str:
    if not text or len(text) > SECRET_MAX_CHARACTERS or not text.isascii() or " " in text:
        raise InvalidArgumentError(
            f"the secret should be one word of 1 to {SECRET_MAX_CHARACTERS} plain characters"
            " (from stdin, --secret-file or --secret-env)",
            field="secret",
        )
    return text


COMMANDS: Sequence[Any] = (provider,)
