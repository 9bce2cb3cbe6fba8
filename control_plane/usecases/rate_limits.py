"""Rate limits: set, listed, taken away."""

from dataclasses import replace

from control_plane import limits
from control_plane.core import limits as rate_bounds
from control_plane.core import pages
from control_plane.core.pages import Asked, Page
from control_plane.core.projects import check_not_archived
from control_plane.core.rate_limits import RateLimit, check_limit
from control_plane.store import keys, policy, providers
from control_plane.store import rate_limits as store
from control_plane.store.engine import Tx
from control_plane.usecases import projects
from control_plane.usecases.acts import Act, record
from protos.values import ids
from protos.values.errors import LimitExceededError, NotFoundError


def set_rate_limit(tx: Tx, asked: RateLimit, act: Act) -> RateLimit:
    """Make a limit, or give the one that counts the same a new amount."""
    wanted = replace(_within_client(tx, check_limit(asked)), updated_unix_ms=act.now_unix_ms)
    before = store.like(tx, wanted)
    if before is not None:
        made = replace(wanted, rate_limit_id=before.rate_limit_id)
        store.set_amount(tx, made)
    else:
        if len(store.everything(tx)) >= rate_bounds.RATE_LIMITS_MAX:
            raise LimitExceededError(
                f"there are {rate_bounds.RATE_LIMITS_MAX} rate limits: take one away first",
                limit=str(rate_bounds.RATE_LIMITS_MAX),
            )
        made = replace(wanted, rate_limit_id=act.id(ids.RATE_LIMIT))
        store.insert(tx, made)
    policy.bump(tx)
    record(
        tx,
        act,
        made.rate_limit_id,
        project_id=made.project_id,
        key_id=made.key_id,
        provider=made.provider,
        model=made.model,
        measure=made.measure.value,
        window_ms=made.window_ms,
        amount=made.amount,
        amount_before=before.amount if before is not None else None,
    )
    return made


def list_rate_limits(tx: Tx, asked: Asked) -> Page[RateLimit]:
    """Limits by id, which is the order in which they were made."""
    filters = {"list": "rate_limits"}
    wanted = pages.begin(asked, filters, (str,))
    return pages.finish(store.page(tx, wanted), wanted, filters, lambda row: (row.rate_limit_id,))


def delete_rate_limit(tx: Tx, rate_limit_id: str, act: Act) -> None:
    """Take a limit away."""
    limit = store.get(tx, rate_limit_id)
    if limit is None:
        shown = rate_limit_id[: limits.NAME_CHARACTERS_MAX]
        raise NotFoundError(f"there is no rate limit {shown!r}", rate_limit_id=shown)
    store.delete(tx, rate_limit_id)
    policy.bump(tx)
    record(tx, act, rate_limit_id, project_id=limit.project_id, amount=limit.amount)


def _within_client(tx: Tx, asked: RateLimit) -> RateLimit:
    """The limit with the client that its key belongs to; what it names must exist."""
    if asked.key_id:
        key = keys.get(tx, asked.key_id)
        if key is None or asked.project_id not in ("", key.project_id):
            raise NotFoundError(f"there is no such key {asked.key_id}", key_id=asked.key_id)
        asked = replace(asked, project_id=key.project_id)
    if asked.project_id:
        check_not_archived(projects.found(tx, asked.project_id))
    if asked.provider and providers.get(tx, asked.provider) is None:
        shown = asked.provider[: limits.NAME_CHARACTERS_MAX]
        raise NotFoundError(f"there is no provider {shown!r}", provider=shown)
    return asked
