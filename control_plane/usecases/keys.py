"""Gateway keys: made, rotated with an overlap, revoked whole or secret by secret."""

from dataclasses import replace

from control_plane import limits
from control_plane.core import fields, keys, pages
from control_plane.core.budgets import Reach
from control_plane.core.keys import Key, KeyChange, KeySecret, NewKey
from control_plane.core.pages import Asked, Page
from control_plane.core.prices import resolve_models
from control_plane.core.projects import check_not_archived
from control_plane.store import keys as store
from control_plane.store import policy, prices
from control_plane.store.engine import Tx
from control_plane.usecases import projects, reach
from control_plane.usecases.acts import Act, record
from protos.values import ids
from protos.values import keys as texts
from protos.values.errors import LimitExceededError, NotFoundError
from protos.values.selectors import Selector


def create_key(tx: Tx, asked: NewKey, act: Act) -> tuple[Key, str]:
    """Make a key; the text of its secret."""
    project = projects.found(tx, asked.project_id)
    check_not_archived(project)
    workflow = fields.check_label(asked.workflow, "key.workflow")
    name = fields.check_name(asked.display_name or workflow or "key", "key.display_name")
    models = _models(tx, asked.models)
    keys.check_expiry(asked.expires_unix_ms, act.now_unix_ms)
    if store.count(tx, project.project_id) >= limits.PROJECT_KEYS_MAX:
        raise LimitExceededError(
            f"the project has {limits.PROJECT_KEYS_MAX} keys: revoke one first",
            limit=str(limits.PROJECT_KEYS_MAX),
        )
    key_id = act.id(ids.KEY)
    secret, text = _new_secret(key_id, asked.expires_unix_ms, act)
    key = Key(
        key_id=key_id,
        project_id=project.project_id,
        display_name=name,
        models=models,
        workflow=workflow,
        secrets=(secret,),
        created_unix_ms=act.now_unix_ms,
        revoked_unix_ms=None,
        version=1,
    )
    store.insert(tx, key)
    policy.bump(tx)
    record(
        tx,
        act,
        key_id,
        project_id=key.project_id,
        display_name=name,
        models=list(models),
        workflow=workflow,
        secret_id=secret.secret_id,
        expires_unix_ms=asked.expires_unix_ms,
    )
    return key, text


def get_key(tx: Tx, key_id: str) -> Key:
    """One key."""
    return found(tx, key_id)


def list_keys(tx: Tx, asked: Asked, *, project_id: str, show_revoked: bool) -> Page[Key]:
    """Keys, newest first."""
    filters = {"list": "keys", "project": project_id, "revoked": str(show_revoked)}
    wanted = pages.begin(asked, filters, (str,))
    rows = store.page(tx, wanted, project_id=project_id, show_revoked=show_revoked)
    return pages.finish(rows, wanted, filters, lambda row: (row.key_id,))


def update_key(tx: Tx, key_id: str, etag: str, change: KeyChange, act: Act) -> Key:
    """Change the fields that are given."""
    key = found(tx, key_id)
    fields.check_etag(etag, key.version, "the key")
    keys.check_usable(key)
    changed = replace(key, version=key.version + 1)
    if change.display_name is not None:
        name = fields.check_name(change.display_name, "key.display_name")
        changed = replace(changed, display_name=name)
    if change.models is not None:
        changed = replace(changed, models=_models(tx, change.models))
    if change.workflow is not None:
        workflow = fields.check_label(change.workflow, "key.workflow")
        changed = replace(changed, workflow=workflow)
    store.update(tx, changed)
    policy.bump(tx)
    record(
        tx,
        act,
        key_id,
        project_id=key.project_id,
        display_name=changed.display_name,
        models=list(changed.models),
        workflow=changed.workflow,
    )
    return changed


def rotate_key(
    tx: Tx, key_id: str, overlap_ms: int | None, expires_unix_ms: int | None, act: Act
) -> tuple[Key, str, int]:
    """Make a new secret; its text, and when the ones before end."""
    key = found(tx, key_id)
    keys.check_usable(key)
    keys.check_expiry(expires_unix_ms, act.now_unix_ms)
    overlap = limits.OVERLAP_DEFAULT_MS if overlap_ms is None else overlap_ms
    fields.check_between(overlap, 0, limits.OVERLAP_MAX_MS, "overlap")
    working = [secret for secret in key.secrets if secret.works_at(act.now_unix_ms)]
    if overlap and len(working) >= limits.KEY_SECRETS_MAX:
        raise LimitExceededError(
            f"{len(working)} secrets of this key work: revoke one first, or rotate without overlap",
            limit=str(limits.KEY_SECRETS_MAX),
        )
    overlap_end = act.now_unix_ms + overlap
    for secret in working:
        store.update_secret(tx, _ending(secret, overlap_end, act.now_unix_ms))
    secret, text = _new_secret(key_id, expires_unix_ms, act)
    store.insert_secret(tx, secret)
    store.update(tx, replace(key, version=key.version + 1))
    policy.bump(tx)
    record(
        tx,
        act,
        key_id,
        project_id=key.project_id,
        secret_id=secret.secret_id,
        overlap_end_unix_ms=overlap_end,
        expires_unix_ms=expires_unix_ms,
    )
    return found(tx, key_id), text, overlap_end


def revoke_key(tx: Tx, key_id: str, secret_id: str, reason: str, act: Act) -> tuple[Key, Reach]:
    """End a key for good, or one secret of it."""
    fields.check_reason(reason)
    key = found(tx, key_id)
    if secret_id:
        chosen = [secret for secret in key.secrets if secret.secret_id == secret_id]
        if not chosen:
            shown = secret_id[: limits.NAME_CHARACTERS_MAX]
            raise NotFoundError(f"the key has no secret {shown!r}", secret_id=shown)
        if chosen[0].revoked_unix_ms is None:
            store.update_secret(tx, replace(chosen[0], revoked_unix_ms=act.now_unix_ms))
            store.update(tx, replace(key, version=key.version + 1))
    elif key.revoked_unix_ms is None:
        store.update(tx, replace(key, revoked_unix_ms=act.now_unix_ms, version=key.version + 1))
    version = policy.bump(tx)
    record(tx, act, key_id, project_id=key.project_id, secret_id=secret_id, reason=reason)
    return found(tx, key_id), _reach(tx, key, version, act)


def found(tx: Tx, key_id: str) -> Key:
    """The key of an id. Raises NotFoundError."""
    fields.check_id(key_id, ids.KEY, "key_id")
    key = store.get(tx, key_id)
    if key is None:
        raise NotFoundError(f"there is no key {key_id}", key_id=key_id)
    return key


def _models(tx: Tx, models: tuple[str, ...]) -> tuple[str, ...]:
    names = keys.check_models(models)
    if not names:
        return ()
    return resolve_models(prices.everything(tx), names, "key.models")


def _new_secret(key_id: str, expires_unix_ms: int | None, act: Act) -> tuple[KeySecret, str]:
    text = act.entropy.secret(texts.PROJECT_KEY)
    secret = KeySecret(
        secret_id=act.id(ids.SECRET),
        key_id=key_id,
        digest=texts.key_digest(text),
        hint=texts.key_hint(text),
        created_unix_ms=act.now_unix_ms,
        expires_unix_ms=expires_unix_ms,
    )
    return secret, text


def _ending(secret: KeySecret, overlap_end_unix_ms: int, now_unix_ms: int) -> KeySecret:
    """A secret that ends with the overlap, but never later than it would have."""
    end = overlap_end_unix_ms
    if secret.expires_unix_ms is not None:
        end = min(end, secret.expires_unix_ms)
    if end <= now_unix_ms:
        return replace(secret, revoked_unix_ms=now_unix_ms)
    return replace(secret, expires_unix_ms=end)


def _reach(tx: Tx, key: Key, version: int, act: Act) -> Reach:
    calls = Selector(project_id=key.project_id, key_id=key.key_id, workflow=key.workflow)
    return reach.of_project(tx, key.project_id, calls, version, act.now_unix_ms)
