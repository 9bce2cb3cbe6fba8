"""`bursar doctor`: what is well, what is not, why, and exactly what to do about it."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from typing import Any, Literal

import click
from rich.text import Text

from clients.admin import Bursar, InstallationInfo, Sidecar
from clients.cli import clock, exits
from clients.cli.learning import explained
from clients.cli.limits import (
    BACKUP_WARN_DAYS,
    CLOCK_SKEW_FAIL_MS,
    CLOCK_SKEW_WARN_MS,
    DISK_FAIL_BYTES,
    DISK_WARN_BYTES,
    LIST_MAX_ITEMS,
    QUEUED_WARN_MS,
)
from clients.cli.output import count_text, duration_text, instant_text, safe
from clients.cli.ports import answers, sidecar_trouble
from clients.cli.session import Command, Session
from clients.cli.sidecars import seen_text
from protos.values.errors import BursarError

Level = Literal["ok", "warn", "fail"]
_MARKS = {"ok": ("✓", "green"), "warn": ("!", "yellow"), "fail": ("✗", "red")}
_SQLITE = re.compile(r"SQLite (\d+)\.(\d+)")
_SQLITE_MIN = (3, 37)
_NO_PRICE = {"model_not_priced"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    check: str
    """What was looked at."""
    level: Level
    """Whether it is well."""
    text: str
    """What was found, and why that matters when it is not well."""
    fix: str = ""
    """Exactly what to do; "" when it is well."""


@click.command("doctor", cls=Command)
@click.pass_context
def doctor(ctx: click.Context) -> None:
    """Check everything: control plane, clock, data, sidecars, providers, prices, backups."""
    session = ctx.ensure_object(Session)
    findings = list(examine(session))
    broken = any(one.level == "fail" for one in findings)
    session.show({"ok": not broken, "findings": findings}, *(_shown(one) for one in findings))
    if broken:
        ctx.exit(exits.FAILED)
    session.say("\nAll that matters is well.")


def examine(session: Session) -> Iterator[Finding]:
    """Look at everything; what cannot be looked at is itself a finding."""
    try:
        info = session.bursar.installation.get()
    except BursarError as error:
        yield _unreachable(session, error)
        return
    text = f"{session.address}, version {info.software_version}, policy {info.policy_version}"
    yield Finding("control plane", "ok", text)
    yield from _clock(info)
    yield from _data(info)
    yield from _backup(info)
    parts: Sequence[tuple[str, Callable[[Session, InstallationInfo], Iterator[Finding]]]] = (
        ("sidecars", _sidecars),
        ("ports", _ports),
        ("providers", _providers),
        ("prices", _prices),
        ("messages", _messages),
    )
    for name, look in parts:
        try:
            yield from look(session, info)
        except BursarError as error:
            yield Finding(name, "warn", f"could not be looked at: {error.message}", _ask_fix(error))


def _unreachable(session: Session, error: BursarError) -> Finding:
    fixes = {
        "UNAVAILABLE": f"start it: bursar up --data {session.folder.path}, or name where it is with"
        " --control-plane",
        "UNAUTHENTICATED": "give a valid token: --data FOLDER, --token-file FILE or BURSAR_TOKEN",
    }
    return Finding("control plane", "fail", error.message, fixes.get(error.reason, "see its log"))


def _ask_fix(error: BursarError) -> str:
    denied = error.reason == "PERMISSION_DENIED"
    return "ask with an owner's token" if denied else "try again, and see the control plane's log"


def _clock(info: InstallationInfo) -> Iterator[Finding]:
    skew_ms = abs((clock.now() - info.now_time) // timedelta(milliseconds=1))
    text = f"differs from the control plane's by {duration_text(skew_ms)}"
    fix = "set both clocks by NTP: expiries and periods go by the control plane's"
    if skew_ms >= CLOCK_SKEW_FAIL_MS:
        yield Finding("clock", "fail", text, fix)
    elif skew_ms >= CLOCK_SKEW_WARN_MS:
        yield Finding("clock", "warn", text, fix)
    else:
        yield Finding("clock", "ok", text)


def _data(info: InstallationInfo) -> Iterator[Finding]:
    version = _SQLITE.search(info.database)
    if version and (int(version[1]), int(version[2])) < _SQLITE_MIN:
        yield Finding(
            "database",
            "fail",
            f"{info.database} is too old",
            "run the control plane with a Python whose sqlite3 is 3.37 or newer",
        )
    elif info.mode != "NORMAL":
        so, todo = explained(info.learning, clock.now())
        stopped = info.learning.grants_time is None or info.learning.grants_time > clock.now()
        level: Level = "fail" if stopped else "warn"
        yield Finding("database", level, " ".join(so), "\n  → ".join(todo) or "wait a moment")
    else:
        yield Finding("database", "ok", f"{info.database}, schema {info.schema_version}")
    if info.learning.unknown_nano_usd and not info.learning.in_progress:
        so, todo = explained(info.learning, clock.now())
        yield Finding("set aside", "warn", so[-1], todo[-1])
    if info.learning.watermark_trouble:
        yield Finding(
            "watermark",
            "fail",
            f"{info.learning.watermark_trouble}; new money stops, at once or soon",
            "put it back and start the control plane again; if it is gone for good:"
            " bursar learning begin-watermark --reason WHY",
        )
    free = f"{count_text(info.disk_free_bytes // 1024**2)} MiB free"
    room = "make room on the disk of the data folder; calls stop when it is full"
    if info.disk_free_bytes < DISK_FAIL_BYTES:
        yield Finding("disk", "fail", free, room)
    elif info.disk_free_bytes < DISK_WARN_BYTES:
        yield Finding("disk", "warn", free, room)
    else:
        yield Finding("disk", "ok", free)
    if info.secrets_unlocked:
        yield Finding("encryption key", "ok", f"{info.encryption_key_id or 'present'}")
    else:
        yield Finding(
            "encryption key",
            "fail",
            "missing, or not the one that the provider secrets were encrypted with",
            "put encryption.key back into the data folder; if it is lost, set each provider's"
            " secret again with `bursar provider set`",
        )


def _backup(info: InstallationInfo) -> Iterator[Finding]:
    fix = "bursar backup bursar-backup.db"
    if info.backup_time is None:
        yield Finding("backup", "warn", "none was ever made", fix)
        return
    days = (clock.now() - info.backup_time).days
    text = f"last on {instant_text(info.backup_time)}"
    if days >= BACKUP_WARN_DAYS:
        yield Finding("backup", "warn", f"{text}, {days} days ago", fix)
    else:
        yield Finding("backup", "ok", text)


def _sidecars(session: Session, info: InstallationInfo) -> Iterator[Finding]:
    found = list(islice(session.bursar.sidecars.list(), LIST_MAX_ITEMS))
    if not found:
        yield Finding(
            "sidecars",
            "fail",
            "none has joined, so no call can be made",
            "bursar sidecars invite, then bursar sidecar … on the workflows' host; or bursar up",
        )
    for one in found:
        yield _sidecar(one, info)


def _sidecar(one: Sidecar, info: InstallationInfo) -> Finding:
    check = f"sidecar {one.display_name}"
    if one.state == "connected":
        if one.policy_refused:
            return Finding(
                check,
                "fail",
                f"cannot take the newest policy: {one.policy_refused}",
                "bring it to the control plane's version",
            )
        behind = info.policy_version - one.policy_acked
        if behind > 0:
            return Finding(
                check,
                "warn",
                f"connected, {behind} policy versions behind",
                "wait a moment; if it stays, see the sidecar's log",
            )
        return Finding(check, "ok", f"connected, newest policy, {one.open_calls} calls open")
    seen = f"{one.state}, last seen {seen_text(one)}"
    if one.state == "drained":
        return Finding(check, "ok", f"{seen}; it was ended in order")
    if one.fenced_why:
        seen = f"{seen} ({one.fenced_why})"
    return Finding(
        check,
        "fail",
        f"{seen}; what it holds cannot be used elsewhere",
        f"start it again, or give it up: bursar sidecars revoke {one.sidecar_id}",
    )


def _ports(session: Session, _info: InstallationInfo) -> Iterator[Finding]:
    state = session.folder.read_state()
    sidecars = [url for url in state.get("sidecars", []) if isinstance(url, str)]
    others = [state["rehearsal"]] if isinstance(state.get("rehearsal"), str) else []
    for url in (*sidecars, *others):
        trouble = sidecar_trouble(url) if url in sidecars and answers(url) else ""
        if trouble:
            yield Finding(
                "port",
                "fail",
                f"{url} answers, but takes no calls: {trouble}",
                f"see the logs in {session.folder.logs}, and sidecar/README.md, which says what"
                " to do",
            )
        elif answers(url):
            yield Finding("port", "ok", f"{url} answers")
        else:
            yield Finding(
                "port",
                "fail",
                f"nothing answers at {url}",
                f"see the logs in {session.folder.logs}, and start `bursar up` again",
            )


def _providers(session: Session, _info: InstallationInfo) -> Iterator[Finding]:
    found = list(islice(session.bursar.providers.list(), LIST_MAX_ITEMS))
    if not found:
        yield Finding(
            "providers", "fail", "none is set, so no call can be made", "bursar provider set openai"
        )
    for one in found:
        check = f"provider {one.provider}"
        if one.secret_hint:
            yield Finding(check, "ok", f"{one.base_url}, secret …{one.secret_hint}")
        else:
            fix = f"bursar provider set {one.provider}"
            yield Finding(check, "fail", "has no secret, so its calls are refused", fix)


def _prices(session: Session, _info: InstallationInfo) -> Iterator[Finding]:
    bursar = session.bursar
    priced: dict[str, set[str]] = {}
    for price in islice(bursar.prices.list(), LIST_MAX_ITEMS):
        priced.setdefault(price.provider, set()).update((price.model, *price.aliases))
    for provider in bursar.providers.list():
        count = len(priced.get(provider.provider, ()))
        if count == 0:
            yield Finding(
                f"prices of {provider.provider}",
                "fail",
                "no model of it has a price, so all its calls are refused",
                f"bursar price set {provider.provider} MODEL --input … --output …",
            )
        else:
            yield Finding(f"prices of {provider.provider}", "ok", f"{count} model names")
    known = {name for names in priced.values() for name in names}
    for model, why in sorted(_models_wanted(bursar, known).items()):
        yield Finding(
            f"model {safe(model)}",
            "warn",
            f"{why}, and it has no price",
            f"bursar price set PROVIDER {safe(model)} --input … --output …, or take it out",
        )


def _messages(session: Session, _info: InstallationInfo) -> Iterator[Finding]:
    bursar = session.bursar
    count = len(list(islice(bursar.channels.list(), LIST_MAX_ITEMS)))
    if count:
        yield Finding("channels", "ok", f"{count_text(count)}, each tested when it was added")
    else:
        fix = "bursar channel add NAME --mail ADDRESS, then bursar escalation person and set"
        yield Finding("channels", "warn", "none, so alerts reach nobody", fix)
    # The newest come first, so the last of them has waited longest.
    queued = list(islice(bursar.alerts.deliveries(state="QUEUED"), LIST_MAX_ITEMS))
    if not queued:
        yield Finding("messages", "ok", "none waits to be sent")
        return
    oldest = queued[-1]
    age_ms = (clock.now() - oldest.create_time) // timedelta(milliseconds=1)
    text = f"{count_text(len(queued))} wait to be sent, the oldest for {duration_text(age_ms)}"
    if age_ms < QUEUED_WARN_MS:
        yield Finding("messages", "ok", text)
    else:
        why = f": {oldest.error}" if oldest.error else ""
        fix = "bursar alert deliveries --state QUEUED, and mend what refuses them"
        yield Finding("messages", "warn", text + why, fix)


def _models_wanted(bursar: Bursar, known: set[str]) -> dict[str, str]:
    """Models without a price that somebody named: in a budget, a key, or a refused call."""
    wanted: dict[str, str] = {}
    for refusal in islice(bursar.calls.refusals(), LIST_MAX_ITEMS):
        if refusal.reason in _NO_PRICE and refusal.model and refusal.model not in known:
            wanted.setdefault(refusal.model, "calls for it were refused")
    for key in islice(bursar.keys.list(), LIST_MAX_ITEMS):
        for model in key.models:
            if model not in known:
                wanted[model] = f"key {key.display_name or key.key_id} allows it"
    for budget in islice(bursar.budgets.list(), LIST_MAX_ITEMS):
        if budget.model and budget.model not in known:
            wanted[budget.model] = f"budget {budget.display_name} counts it"
    return wanted


def _shown(one: Finding) -> Text:
    mark, style = _MARKS[one.level]
    line = Text.assemble((mark, style), f" {one.check:<22} {safe(one.text)}")
    if one.fix:
        line.append(f"\n  → {one.fix}", style="bold")
    return line


COMMANDS: Sequence[Any] = (doctor,)
