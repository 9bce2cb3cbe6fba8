"""Where calls are sent, and the rules for an address that a secret may go to."""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal
from urllib.parse import SplitResult, urlsplit

from control_plane import limits
from control_plane.core import fields
from protos.values.listening import is_loopback, is_private

Family = Literal["openai", "anthropic", "gemini"]

FAMILIES: Final[tuple[Family, ...]] = ("openai", "anthropic", "gemini")
"""Wire formats that exist."""
BASE_URLS: Final[dict[str, str]] = {
    "openai": "https://api.openai.com",
    "anthropic": "https://api.anthropic.com",
    "gemini": "https://generativelanguage.googleapis.com",
}
"""Where a provider of a well-known name is, when nothing else is said."""

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?\Z")
_DEPLOYMENT = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?\Z")
_PATH = re.compile(r"(?:/[A-Za-z0-9._~-]+)*/?\Z")
_HOST = re.compile(r"(?=.{1,253}\Z)(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.?)+\Z")


@dataclass(frozen=True, slots=True)
class Provider:
    """A provider of models; the secret itself is only in the store, encrypted."""

    provider: str
    """Its name in paths and prices."""
    family: Family
    """The wire format that it speaks."""
    base_url: str
    """Where the path of a call follows."""
    secret_hint: str
    """The last four characters of the secret; empty when there is none."""
    secret_version: int
    """Rises with every change of the secret."""
    updated_unix_ms: int
    version: int
    """Rises with every change."""
    deployments: Mapping[str, str] = field(default_factory=dict)
    """Which model each deployment is, by the deployment's name."""

    @property
    def etag(self) -> str:
        """What an update must send back."""
        return fields.etag_of(self.version)


@dataclass(frozen=True, slots=True)
class SealedSecret:
    """A provider's secret as it is kept at rest."""

    key_id: str
    """The id of the key that it is encrypted with."""
    ciphertext: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class SetProvider:
    """A provider as it is to be."""

    provider: str
    family: str
    base_url: str
    secret: str
    """Empty keeps the one that is there."""
    etag: str
    deployments: Mapping[str, str] = field(default_factory=dict)
    """Which model each deployment is; replaces what was there."""

    def __repr__(self) -> str:
        """Everything but the secret."""
        return f"SetProvider(provider={self.provider!r}, base_url={self.base_url!r})"


@dataclass(frozen=True, slots=True)
class ProviderSecret:
    """One more secret at a provider; the text itself is only in the store, encrypted."""

    provider_secret_id: str
    provider: str
    project_id: str
    """The client whose own it is; empty for the agency's."""
    display_name: str
    secret_hint: str
    created_unix_ms: int


@dataclass(frozen=True, slots=True)
class NewProviderSecret:
    """A secret to add."""

    provider: str
    project_id: str
    display_name: str
    secret: str = field(repr=False)


def context_of_secret(provider: Provider, secret: ProviderSecret) -> str:
    """What one more secret is bound to: its provider and address, and whose it is."""
    return (
        f"{provider.provider}\n{provider.base_url}\n"
        f"{secret.provider_secret_id}\n{secret.project_id}"
    )


def context_of(provider: Provider) -> str:
    """What a secret is bound to: it opens for this provider at this address in this version."""
    return f"{provider.provider}\n{provider.base_url}\n{provider.secret_version}"


def check_set(asked: SetProvider, before: Provider | None) -> SetProvider:
    """The provider as it is to be, with its defaults."""
    if _NAME.match(asked.provider) is None:
        raise fields.invalid(
            "provider.provider", "1 to 32 small letters, digits and inner dashes, such as openai"
        )
    family = asked.family or (before.family if before else "") or asked.provider
    _check_family(family)
    url = asked.base_url or (before.base_url if before else "") or BASE_URLS.get(asked.provider, "")
    base_url = check_base_url(url)
    check_secret(asked.secret)
    if not asked.secret and before is None:
        raise fields.invalid("secret", "a new provider needs its secret")
    if not asked.secret and before is not None and base_url != before.base_url:
        raise fields.invalid(
            "secret",
            "give the secret again together with a new address: a stored secret never goes "
            "anywhere but where it was given for",
        )
    deployments = check_deployments(asked.deployments)
    return SetProvider(asked.provider, family, base_url, asked.secret, asked.etag, deployments)


def check_deployments(given: Mapping[str, str]) -> Mapping[str, str]:
    """Deployments that can stand in a path, each with a model's name."""
    where = "provider.deployments"
    if len(given) > limits.DEPLOYMENTS_MAX:
        raise fields.invalid(where, f"at most {limits.DEPLOYMENTS_MAX} deployments")
    for name, model in given.items():
        if _DEPLOYMENT.match(name) is None:
            raise fields.invalid(where, "a deployment's name has letters, digits, -, _ and . only")
        if not model or len(model) > limits.MODEL_CHARACTERS_MAX or not model.isprintable():
            raise fields.invalid(where, f"say which model the deployment {name} is")
    return dict(given)


def family_of(checked: SetProvider) -> Family:
    """The wire format of a provider that was checked."""
    return _check_family(checked.family)


def hint_of(secret: str, before: Provider | None) -> str:
    """What may be shown of a secret: its last four characters, when that is a small part of it."""
    if not secret:
        return before.secret_hint if before is not None else ""
    return secret[-4:] if len(secret) >= limits.HINTED_SECRET_CHARACTERS_MIN else ""


def check_secret(secret: str) -> str:
    """A secret that can stand in a header; may be empty. The refusal does not repeat it."""
    if len(secret) > limits.SECRET_CHARACTERS_MAX:
        raise fields.invalid("secret", f"at most {limits.SECRET_CHARACTERS_MAX} characters")
    if not all("!" <= letter <= "~" for letter in secret):
        raise fields.invalid("secret", "only visible ASCII characters, and no spaces")
    return secret


def check_base_url(url: str) -> str:
    """An address that a secret may be sent to: https, or http inside this machine or network."""
    field = "provider.base_url"
    example = "such as https://api.openai.com"
    if not url:
        raise fields.invalid(field, f"give the address, {example}")
    if (
        len(url) > limits.URL_CHARACTERS_MAX
        or not url.isascii()
        or not url.isprintable()
        or " " in url
    ):
        raise fields.invalid(
            field, f"at most {limits.URL_CHARACTERS_MAX} plain characters, {example}"
        )
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise fields.invalid(field, f"not an address, {example}") from None
    host = parts.hostname or ""
    if parts.scheme not in {"https", "http"} or not _is_host(host):
        raise fields.invalid(field, f"an address with https:// and a host, {example}")
    if parts.username is not None or parts.password is not None:
        raise fields.invalid(field, "no user name or password in the address")
    if parts.query or parts.fragment or "?" in url or "#" in url or port == 0:
        raise fields.invalid(field, "no query, no fragment, no port 0")
    if _PATH.match(parts.path) is None or ".." in parts.path:
        raise fields.invalid(field, "a path of plain segments, such as /api/v1, or none")
    if parts.scheme == "http" and not (is_loopback(host) or is_private(host)):
        raise fields.invalid(
            field,
            "http would show the secret to the network: use https; http is only for a loopback or "
            "private address, such as a rehearsal provider's",
        )
    return _rebuilt(parts, host, port)


def _check_family(text: str) -> Family:
    for family in FAMILIES:
        if text == family:
            return family
    raise fields.invalid("provider.family", f"one of {', '.join(FAMILIES)}")


def _rebuilt(parts: SplitResult, host: str, port: int | None) -> str:
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}" + (f":{port}" if port else "") + parts.path.rstrip("/")


def _is_host(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return _HOST.match(host) is not None
    return True
