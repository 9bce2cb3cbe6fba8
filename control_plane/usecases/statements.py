"""Statements: built of a closed month, noted, approved, sent, and built again when late usage came.

Lines by kind are read before, a piece at a time; what is frozen is written in one transaction,
which holds the lines against the roll-up: what does not agree to the nano-dollar is not frozen.
"""

import json
from dataclasses import dataclass, replace

from control_plane import limits
from control_plane.core import fields, pages
from control_plane.core.cost_lines import CostLines, Line, from_rows, rows_of, totals_of
from control_plane.core.pages import Asked, Page
from control_plane.core.projects import Project
from control_plane.core.statements import (
    Difference,
    Month,
    State,
    Statement,
    Step,
    canonical,
    read,
    read_month,
    sha256_of,
    step,
)
from control_plane.core.windows import local_date_at
from control_plane.core.zones import load_zone
from control_plane.store import projects as project_store
from control_plane.store import statements as store
from control_plane.store.engine import Tx
from control_plane.store.statements import Kept, Settings
from control_plane.usecases import cost_lines, projects
from control_plane.usecases.acts import Act, record
from control_plane.usecases.statement_values import (
    Heading,
    gather,
    month_after,
    month_at,
    month_before,
    month_of,
    totals_in,
)
from protos.values import ids, mailboxes
from protos.values.errors import (
    EtagMismatchError,
    FailedPreconditionError,
    NotFoundError,
    UnavailableError,
)

_HOUR_MS = 3_600_000
_SEND_HOUR = 9
_DAY_MS = 24 * _HOUR_MS


@dataclass(frozen=True, slots=True)
class Plan:
    """Of what a statement is built."""

    project: Project
    month: Month

    @property
    def stretch(self) -> cost_lines.Stretch:
        """The calls whose lines are wanted."""
        month = self.month
        return cost_lines.Stretch(
            self.project.project_id, month.start_unix_ms, month.end_unix_ms, month.time_zone
        )


@dataclass(frozen=True, slots=True)
class Frozen:
    """A version with all that it was frozen with."""

    kept: Kept
    statement: Statement
    lines: list[Line]


def plan(tx: Tx, project_id: str, month: str, now_unix_ms: int) -> Plan:
    """What to build; an empty month is the last that is over."""
    project = projects.found(tx, project_id)
    zone = project.time_zone
    wanted = _month_named(zone, month) if month else month_before(month_at(zone, now_unix_ms))
    found = _as_told(tx, project_id, wanted)
    if found.end_unix_ms > now_unix_ms:
        raise FailedPreconditionError(
            f"{found.name} is not over in {zone}: a statement is of a closed month",
            month=found.name,
            time_zone=zone,
        )
    return Plan(project, found)


def _month_named(zone: str, name: str) -> Month:
    found = month_of(zone, name)
    if found is None:
        raise fields.invalid("month", "a month such as 2026-10")
    return found


def _as_told(tx: Tx, project_id: str, month: Month) -> Month:
    """A month within what statements were made of, wherever its client has moved since.

    So no call is ever in two statements, or between two in none.
    """
    told = _told(tx, project_id, month)
    if told is not None:
        return told
    before = _told(tx, project_id, month_before(month))
    after = _told(tx, project_id, month_after(month))
    start = before.end_unix_ms if before is not None else month.start_unix_ms
    end = after.start_unix_ms if after is not None else month.end_unix_ms
    return replace(month, start_unix_ms=start, end_unix_ms=end)


def _told(tx: Tx, project_id: str, month: Month) -> Month | None:
    newest = store.newest(tx, project_id, month.name)
    return read_month(newest.value) if newest is not None else None


def build_statement(tx: Tx, wanted: Plan, lines: CostLines, act: Act) -> Kept:
    """Freeze a version; when nothing changed since the newest one, that one.

    Raises UnavailableError when the ledger moved while its lines were read: read them again.
    """
    own, month = wanted.project.project_id, wanted.month
    totals = totals_in(tx, own, month)
    rows = rows_of(lines)
    if totals_of(from_rows(rows)) != (totals.cost_nano_usd, totals.charge_nano_usd):
        raise UnavailableError("the ledger of the month moved meanwhile: ask again")
    newest = store.newest(tx, own, month.name)
    before = read(newest.value) if newest is not None else None
    if newest is not None and before is not None and before.totals == totals:
        return newest
    settings = store.settings(tx, own)
    frozen_lines = canonical(rows)
    version = newest.version + 1 if newest is not None else 1
    heading = Heading(act.id(ids.STATEMENT), version, settings.note, sha256_of(frozen_lines))
    value = gather(tx, wanted.project, month, lines, heading, act.now_unix_ms)
    if newest is not None and before is not None:
        value = replace(value, difference=_difference(newest, before, value))
        if newest.state in (State.DRAFT, State.APPROVED):
            store.move(
                tx, replace(newest, state=step(newest.state, Step.SUPERSEDE), due_unix_ms=None)
            )
    frozen = canonical(value)
    kept = Kept(
        statement_id=value.statement_id,
        project_id=own,
        month=month.name,
        version=version,
        state=State.DRAFT,
        value=frozen,
        sha256=sha256_of(frozen),
        call_count=totals.call_count,
        cost_nano_usd=totals.cost_nano_usd,
        charge_nano_usd=totals.charge_nano_usd,
        created_unix_ms=act.now_unix_ms,
    )
    store.insert(tx, kept, frozen_lines)
    _record(tx, act, kept)
    # What differs from what a client was sent is looked at by a person, whatever the settings.
    if settings.automatic and (newest is None or newest.state is State.APPROVED):
        kept = _approve(tx, kept, settings, act)
    return kept


def _difference(newest: Kept, before: Statement, value: Statement) -> Difference:
    new, old = value.totals, before.totals
    return Difference(
        version=newest.version,
        sha256=newest.sha256,
        call_count=new.call_count - old.call_count,
        cost_nano_usd=new.cost_nano_usd - old.cost_nano_usd,
        charge_nano_usd=new.charge_nano_usd - old.charge_nano_usd,
    )


def set_statement_note(tx: Tx, statement_id: str, note: str, act: Act) -> Kept:
    """Write the account manager's note on a draft; its digest changes with it."""
    kept = get_statement(tx, statement_id)
    after = step(kept.state, Step.NOTE)
    frozen = canonical(replace(read(kept.value), note=check_note(note, "note")))
    changed = replace(kept, state=after, value=frozen, sha256=sha256_of(frozen))
    store.move(tx, changed)
    _record(tx, act, changed)
    return changed


def approve_statement(tx: Tx, statement_id: str, sha256: str, act: Act) -> Kept:
    """Let a draft go out when it is due. `sha256` says what was looked at."""
    kept = get_statement(tx, statement_id)
    step(kept.state, Step.APPROVE)
    if sha256 != kept.sha256:
        raise EtagMismatchError(
            "the draft is not the one that was looked at: look again, then decide",
            sha256=kept.sha256,
        )
    return _approve(tx, kept, store.settings(tx, kept.project_id), act)


def _approve(tx: Tx, kept: Kept, settings: Settings, act: Act) -> Kept:
    due = send_time(read_month(kept.value), settings.send_day)
    approved = replace(
        kept,
        state=step(kept.state, Step.APPROVE),
        approved_by=act.actor.principal_id,
        approved_unix_ms=act.now_unix_ms,
        due_unix_ms=max(due, act.now_unix_ms),
    )
    store.move(tx, approved)
    _record(tx, act, approved)
    return approved


def send_time(month: Month, send_day: int) -> int:
    """Nine in the morning of a day of the month after, where the client is.

    Where clocks change between midnight and nine, it is nine hours after midnight.
    """
    rules = load_zone(month.time_zone)
    at = month.end_unix_ms
    while local_date_at(rules, at).day < send_day:
        at += _DAY_MS
    # Days of 23 or 25 hours move `at` off midnight; nine o'clock is looked for from that day's own.
    day = local_date_at(rules, at)
    while local_date_at(rules, at - _HOUR_MS) == day:
        at -= _HOUR_MS
    return at + _SEND_HOUR * _HOUR_MS


def send_statement(tx: Tx, statement_id: str, act: Act) -> Kept:
    """Let an approved version go out now."""
    kept = get_statement(tx, statement_id)
    step(kept.state, Step.SEND)
    if not store.settings(tx, kept.project_id).recipients:
        raise FailedPreconditionError(
            "nobody is named to whom the client's statements go: bursar statement settings",
            project_id=kept.project_id,
        )
    hurried = replace(kept, due_unix_ms=act.now_unix_ms)
    store.move(tx, hurried)
    _record(tx, act, hurried)
    return hurried


def get_statement_file(tx: Tx, statement_id: str) -> Frozen:
    """All that a version is rendered from."""
    kept = get_statement(tx, statement_id)
    return Frozen(kept, read(kept.value), from_rows(json.loads(store.lines_of(tx, statement_id))))


def get_focus_file(tx: Tx, project_id: str, month: str) -> list[Plan]:
    """Of which projects and time a FOCUS file is made: of one client's month, or of all in UTC."""
    if project_id:
        project = projects.found(tx, project_id)
        wanted = _month_named(project.time_zone, month)
        return [Plan(project, _as_told(tx, project_id, wanted))]
    whole = _month_named("UTC", month)
    return [Plan(project, whole) for project in project_store.everything(tx)]


def mark_sent(tx: Tx, kept: Kept, act: Act) -> Kept:
    """Note that a version went out."""
    sent = replace(
        kept, state=step(kept.state, Step.SEND), sent_unix_ms=act.now_unix_ms, due_unix_ms=None
    )
    store.move(tx, sent)
    _record(tx, act, sent)
    return sent


def get_statement(tx: Tx, statement_id: str) -> Kept:
    """A version by its id. Raises NotFoundError."""
    fields.check_id(statement_id, ids.STATEMENT, "statement_id")
    kept = store.get(tx, statement_id)
    if kept is None:
        raise NotFoundError(f"there is no statement {statement_id}", statement_id=statement_id)
    return kept


def list_statements(tx: Tx, asked: Asked, project_id: str, month: str) -> Page[Kept]:
    """Versions, newest months first."""
    if project_id:
        projects.found(tx, project_id)
    filters = {"list": "statements", "project": project_id, "month": month}
    wanted = pages.begin(asked, filters, (str, str, int))
    rows = store.page(tx, wanted, project_id=project_id, month=month)
    return pages.finish(rows, wanted, filters, lambda row: (row.month, row.project_id, row.version))


def get_statement_settings(tx: Tx, project_id: str) -> Settings:
    """How a client's statements go out."""
    projects.found(tx, project_id)
    return store.settings(tx, project_id)


def set_statement_settings(tx: Tx, wanted: Settings, act: Act) -> Settings:
    """Replace how a client's statements go out."""
    projects.found(tx, wanted.project_id)
    fields.check_between(wanted.send_day, 2, 28, "send_day")
    if len(wanted.recipients) > mailboxes.RECIPIENTS_MAX:
        raise fields.invalid("recipients", f"at most {mailboxes.RECIPIENTS_MAX}")
    for address in wanted.recipients:
        fields.check_mail_address(address, "recipients")
    before = store.settings(tx, wanted.project_id)
    fields_kept = replace(wanted, note=check_note(wanted.note, "note"), version=before.version + 1)
    store.put_settings(tx, fields_kept)
    record(
        tx,
        act,
        wanted.project_id,
        project_id=wanted.project_id,
        automatic=wanted.automatic,
        send_day=wanted.send_day,
        recipients=list(wanted.recipients),
    )
    return fields_kept


def check_note(text: str, field: str) -> str:
    """Some lines for people; may be empty."""
    return fields.check_text(text, field, limits.STATEMENT_NOTE_CHARACTERS_MAX)


def due_builds(tx: Tx, project: Project, now_unix_ms: int) -> list[Plan]:
    """Months of a client that are over and have no statement, or one that is left behind."""
    last = month_before(month_at(project.time_zone, now_unix_ms))
    return [
        Plan(project, month)
        for wanted in (last, month_before(last))
        for month in [_as_told(tx, project.project_id, wanted)]
        if _is_due(tx, project.project_id, month, now_unix_ms)
    ]


def _is_due(tx: Tx, project_id: str, month: Month, now_unix_ms: int) -> bool:
    """Months that nobody built in time are left to people: a new installation sends no old mail."""
    age = now_unix_ms - month.end_unix_ms
    newest = store.newest(tx, project_id, month.name)
    if newest is None:
        in_time = limits.STATEMENT_CLOSE_MS <= age < limits.STATEMENT_WATCH_MS // 2
        return in_time and totals_in(tx, project_id, month).call_count > 0
    totals = totals_in(tx, project_id, month)
    known = (newest.call_count, newest.cost_nano_usd, newest.charge_nano_usd)
    now = (totals.call_count, totals.cost_nano_usd, totals.charge_nano_usd)
    return age < limits.STATEMENT_WATCH_MS and known != now


def _record(tx: Tx, act: Act, kept: Kept) -> None:
    record(
        tx,
        act,
        kept.statement_id,
        project_id=kept.project_id,
        month=kept.month,
        version=kept.version,
        state=kept.state.value,
        sha256=kept.sha256,
    )
