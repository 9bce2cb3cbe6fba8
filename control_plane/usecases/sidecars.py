"""Sidecars as people administer them: let in, listed, revoked."""

from dataclasses import dataclass, replace

from control_plane import limits
from control_plane.core import fields, pages
from control_plane.core.budgets import Reach
from control_plane.core.joining import JoinToken, NewJoinToken
from control_plane.core.leases import Holder
from control_plane.core.log import SidecarView
from control_plane.core.pages import Asked, Page
from control_plane.store import holdings, join_tokens, policy
from control_plane.store import sidecars as store
from control_plane.store.engine import Tx
from control_plane.usecases import orphans, projects, reach
from control_plane.usecases.acts import Act, record
from control_plane.usecases.levels import Levels
from protos.values import ids, keys
from protos.values.errors import LimitExceededError, NotFoundError


def create_join_token(tx: Tx, asked: NewJoinToken, act: Act) -> tuple[JoinToken, str]:
    """Make a one-time token with which a sidecar joins; its text."""
    lifetime_ms = fields.check_between(
        asked.lifetime_ms, 1_000, limits.JOIN_TOKEN_LIFE_MAX_MS, "lifetime"
    )
    if len(asked.project_ids) > limits.SIDECAR_PROJECTS_MAX:
        raise fields.invalid("project_ids", f"at most {limits.SIDECAR_PROJECTS_MAX} projects")
    for project_id in asked.project_ids:
        projects.found(tx, project_id)
    fields.check_label(asked.region, "region")
    if join_tokens.count_open(tx, act.now_unix_ms) >= limits.JOIN_TOKENS_MAX:
        raise LimitExceededError(
            f"{limits.JOIN_TOKENS_MAX} join tokens wait to be used: let them run out first",
            limit=str(limits.JOIN_TOKENS_MAX),
        )
    text = act.entropy.secret(keys.JOIN_TOKEN)
    token = JoinToken(
        token_id=act.id(ids.TOKEN),
        digest=keys.key_digest(text),
        project_ids=tuple(dict.fromkeys(asked.project_ids)),
        region=asked.region,
        created_by=act.actor.principal_id,
        created_unix_ms=act.now_unix_ms,
        expires_unix_ms=act.now_unix_ms + lifetime_ms,
    )
    join_tokens.insert(tx, token)
    record(
        tx,
        act,
        token.token_id,
        project_ids=list(token.project_ids),
        region=token.region,
        expires_unix_ms=token.expires_unix_ms,
    )
    return token, text


def list_sidecars(tx: Tx, asked: Asked, *, show_revoked: bool, levels: Levels) -> Page[SidecarView]:
    """Sidecars by name."""
    filters = {"list": "sidecars", "revoked": str(show_revoked)}
    wanted = pages.begin(asked, filters, (str,))
    rows = holdings.sidecars_page(tx, wanted, show_revoked=show_revoked)
    page = pages.finish(rows, wanted, filters, lambda row: (row.display_name,))
    return page.map(
        lambda row: replace(
            row,
            open_calls=levels.open_calls(row.sidecar_id),
            superseded=row.sidecar_id in levels.superseded,
        )
    )


@dataclass(frozen=True, slots=True)
class Revoked:
    """A sidecar whose credential is good for evidence alone."""

    sidecar: SidecarView
    reach: Reach
    orphaned_nano_usd: int
    """What it held, set aside by this."""


def revoke_sidecar(tx: Tx, sidecar_id: str, reason: str, act: Act, levels: Levels) -> Revoked:
    """End a sidecar's credential for all but evidence; what it holds is set aside."""
    fields.check_reason(reason)
    fields.check_id(sidecar_id, ids.SIDECAR, "sidecar_id")
    sidecar = store.get(tx, sidecar_id)
    if sidecar is None:
        raise NotFoundError(f"there is no sidecar {sidecar_id}", sidecar_id=sidecar_id)
    orphaned_nano_usd = 0
    if not sidecar.revoked_unix_ms:
        store.revoke(tx, sidecar_id, act.now_unix_ms)
        holder = Holder(sidecar_id, sidecar.epoch)
        orphaned_nano_usd = orphans.orphan_leases(tx, holder, orphans.REVOKED, act.now_unix_ms)
        levels.forget(sidecar_id)
    version = policy.bump(tx)
    record(tx, act, sidecar_id, reason=reason, orphaned_nano_usd=orphaned_nano_usd)
    found, revoked = holdings.sidecar(tx, sidecar_id), store.get(tx, sidecar_id)
    assert found is not None
    assert revoked is not None
    return Revoked(found, reach.of_sidecar(tx, revoked, version), orphaned_nano_usd)
