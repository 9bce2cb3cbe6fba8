"""What the software sees by itself of a playbook: one named check each, over a frozen value.

A check that fails says what is missing and names the command and the page that mend it. Checks of a
client look at one client; in a playbook of the agency they look at every client that is active.
"""

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

_DAY_MS: Final = 86_400_000
CHANNEL_TEST_DAYS: Final = 30
"""A channel that was tested before that may have stopped working unnoticed."""
BACKUP_DAYS: Final = 7
"""An older backup fails; the same figure as in `bursar doctor`."""
NAMES_SHOWN: Final = 3
"""So many names are told of those that a check found."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is missing, and what mends it."""

    text: str
    fix: str
    """A command."""
    page: str
    """A page of the desk."""


@dataclass(frozen=True, slots=True)
class ChannelSeen:
    """A channel by which somebody who answers for a client is reached."""

    name: str
    tested_unix_ms: int


@dataclass(frozen=True, slots=True)
class ClientFacts:
    """What checks may know of a client."""

    project_id: str
    name: str
    has_cap: bool
    """Whether a budget of its own has a cap."""
    has_key: bool
    """Whether a key of it works."""
    has_calls: bool
    """Whether a call of it is in the ledger."""
    has_rate_card: bool
    owner: str
    """Who answers first; empty for nobody."""
    backup: str
    """Who answers second; empty for nobody."""
    channels: tuple[ChannelSeen, ...]
    """By which owner, backup and lead are reached."""
    has_recipients: bool
    """Whether statements go to somebody."""
    closed_month: str
    """The last month that is over where it is, such as 2026-10; empty when it had no calls."""
    statement_state: str
    """Of the newest version for that month; empty when there is none."""
    unagreed: tuple[str, ...]
    """Workflows used in the last 30 days that nothing was agreed on."""
    unpriced: tuple[str, ...]
    """Models that calls asked for in the last 30 days and that have no price now."""
    retiring: tuple[tuple[str, str], ...]
    """Provider and model, used in the last 30 days, retired soon, with no replacement named."""

    @property
    def quoted(self) -> str:
        """Its name as it is typed into a shell."""
        return shlex.quote(self.name)

    @property
    def page(self) -> str:
        """Its page at the desk."""
        return f"/clients/{self.project_id}"


@dataclass(frozen=True, slots=True)
class AgencyFacts:
    """What checks may know of the agency."""

    now_unix_ms: int
    backup_unix_ms: int
    """When the last one was made; 0 for never."""
    sidecar_count: int
    """Sidecars that are meant to speak."""
    silent: tuple[str, ...]
    """Names of those that do not."""
    orphaned_nano_usd: int
    """Money of lost journals that nobody decided about."""
    orphans: tuple[str, ...]
    """Whose it was."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that the software sees."""

    about: str
    """What holds when it passes."""
    of_client: Callable[[ClientFacts, int], Trouble | None] | None = None
    """Looks at one client at an instant (Unix milliseconds)."""
    of_agency: Callable[[AgencyFacts], Trouble | None] | None = None
    """Looks at the agency; one of the two is there."""


def _cap(one: ClientFacts, _now: int) -> Trouble | None:
    if one.has_cap:
        return None
    return Trouble(
        "no budget of it has a cap", f"bursar budget set {one.quoted} --cap 300", one.page
    )


def _key(one: ClientFacts, _now: int) -> Trouble | None:
    if one.has_key:
        return None
    return Trouble("no key of it works", f"bursar key issue {one.quoted}", "/keys")


def _call(one: ClientFacts, _now: int) -> Trouble | None:
    if one.has_calls:
        return None
    return Trouble("no call was seen", f"bursar client settings {one.quoted}", one.page)


def _channel(one: ClientFacts, now_unix_ms: int) -> Trouble | None:
    if not one.channels:
        fix = f"bursar escalation set {one.quoted} --owner NAME"
        return Trouble("nobody who answers for it is reached by a channel", fix, "/alerts")
    newest = max(one.channels, key=lambda channel: channel.tested_unix_ms)
    if now_unix_ms - newest.tested_unix_ms <= CHANNEL_TEST_DAYS * _DAY_MS:
        return None
    days = (now_unix_ms - newest.tested_unix_ms) // _DAY_MS
    text = f"no channel was tested for {days} days"
    return Trouble(text, f"bursar channel test {shlex.quote(newest.name)}", "/alerts")


def _owner(one: ClientFacts, _now: int) -> Trouble | None:
    if one.owner and one.backup and one.owner != one.backup:
        return None
    if not one.owner:
        text = "nobody answers for it"
    elif not one.backup:
        text = f"nobody stands in for {one.owner}"
    else:
        text = f"{one.owner} is owner and backup"
    fix = f"bursar escalation set {one.quoted} --owner NAME --backup NAME"
    return Trouble(text, fix, "/alerts")


def _roi(one: ClientFacts, _now: int) -> Trouble | None:
    if not one.unagreed:
        return None
    fix = (
        f"bursar workflow roi set {one.quoted} {shlex.quote(one.unagreed[0])} --unit lead"
        " --by-hand 3min --agreed NAME DATE"
    )
    return Trouble(f"nothing was agreed on {some(one.unagreed)}", fix, one.page)


def _rate_card(one: ClientFacts, _now: int) -> Trouble | None:
    if one.has_rate_card:
        return None
    fix = f"bursar client rate-card set {one.quoted} --markup 20%"
    return Trouble("what it is charged is not set", fix, one.page)


def _recipients(one: ClientFacts, _now: int) -> Trouble | None:
    if one.has_recipients:
        return None
    fix = f"bursar statement settings {one.quoted} --to ADDRESS"
    return Trouble("its statements go to nobody", fix, "/statements")


def _approved(one: ClientFacts, _now: int) -> Trouble | None:
    if not one.closed_month or one.statement_state in {"APPROVED", "SENT"}:
        return None
    return _statement_trouble(one, "is not approved")


def _sent(one: ClientFacts, _now: int) -> Trouble | None:
    if not one.closed_month or one.statement_state == "SENT":
        return None
    if one.statement_state == "APPROVED":
        fix = f"bursar statement send {one.quoted}"
        return Trouble(
            f"the statement of {one.closed_month} did not go out yet", fix, "/statements"
        )
    return _statement_trouble(one, "is not approved")


def _statement_trouble(one: ClientFacts, what: str) -> Trouble:
    if not one.statement_state:
        fix = f"bursar statement build {one.quoted}"
        return Trouble(f"there is no statement of {one.closed_month}", fix, "/statements")
    fix = f"bursar statement approve {one.quoted}"
    return Trouble(f"the statement of {one.closed_month} {what}", fix, "/statements")


def _priced(one: ClientFacts, _now: int) -> Trouble | None:
    if not one.unpriced:
        return None
    fix = f"bursar price set PROVIDER {shlex.quote(one.unpriced[0])} --input USD --output USD"
    return Trouble(f"calls for {some(one.unpriced)} are refused: no price", fix, "/prices")


def _retiring(one: ClientFacts, _now: int) -> Trouble | None:
    if not one.retiring:
        return None
    provider, model = one.retiring[0]
    fix = (
        f"bursar model retire {shlex.quote(provider)} {shlex.quote(model)} --on DATE"
        " --replacement MODEL"
    )
    named = [f"{of}/{name}" for of, name in one.retiring]
    return Trouble(f"nothing is to take the place of {some(named)}", fix, "/prices")


def _backup(seen: AgencyFacts) -> Trouble | None:
    fix, page = "bursar backup bursar-backup.db", "/settings"
    if not seen.backup_unix_ms:
        return Trouble("no backup was ever made", fix, page)
    days = (seen.now_unix_ms - seen.backup_unix_ms) // _DAY_MS
    if days < BACKUP_DAYS:
        return None
    return Trouble(f"the last backup is {days} days old", fix, page)


def _sidecars(seen: AgencyFacts) -> Trouble | None:
    if not seen.sidecar_count:
        return Trouble("there is no sidecar", "bursar sidecars invite", "/sidecars")
    if not seen.silent:
        return None
    return Trouble(f"nothing is heard of {some(seen.silent)}", "bursar sidecars list", "/sidecars")


def _orphans(seen: AgencyFacts) -> Trouble | None:
    if not seen.orphaned_nano_usd:
        return None
    text = f"money of {some(seen.orphans)} waits for a decision"
    return Trouble(text, "bursar lease orphans", "/sidecars")


def some(names: tuple[str, ...] | list[str]) -> str:
    """The first few of some names, and how many more there are."""
    more = len(names) - NAMES_SHOWN
    return ", ".join(names[:NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")


CHECKS: Final[Mapping[str, Check]] = MappingProxyType(
    {
        "cap_set": Check("a budget of the client has a cap", _cap),
        "key_issued": Check("a key of the client works", _key),
        "first_call_seen": Check("a call of the client is in the ledger", _call),
        "channel_tested": Check(
            f"a channel of who answers was tested in {CHANNEL_TEST_DAYS} days",
            _channel,
        ),
        "owner_and_backup_set": Check("two people answer for the client", _owner),
        "roi_agreed": Check("something was agreed on each workflow of the last 30 days", _roi),
        "rate_card_set": Check("what the client is charged is set", _rate_card),
        "statement_recipients_set": Check("statements go to somebody", _recipients),
        "statement_approved": Check("last month's statement is approved, or went out", _approved),
        "statement_sent": Check("last month's statement went out", _sent),
        "models_priced": Check("each model asked for in 30 days has a price", _priced),
        "retiring_models_planned": Check(
            "each model in use that is retired within 90 days has a replacement named", _retiring
        ),
        "backup_recent": Check(f"a backup is younger than {BACKUP_DAYS} days", of_agency=_backup),
        "sidecars_live": Check("every sidecar speaks", of_agency=_sidecars),
        "no_orphaned_money": Check("no money of lost journals waits", of_agency=_orphans),
    }
)
