"""Models that providers retire, as somebody was told."""

from control_plane import limits
from control_plane.core import fields, prices
from control_plane.core.pages import Page
from control_plane.store import prices as price_store
from control_plane.store import retirements as store
from control_plane.store.engine import Tx
from control_plane.store.retirements import Retirement
from control_plane.usecases.acts import Act, record
from protos.values.errors import LimitExceededError, NotFoundError


def set_retirement(tx: Tx, wanted: Retirement, act: Act) -> Retirement:
    """Note when a model is retired; the names must be of the price book."""
    known = prices.in_force(price_store.everything(tx), act.now_unix_ms)
    for model, field in ((wanted.model, "model"), (wanted.replacement, "replacement")):
        if (model or field == "model") and (wanted.provider, model) not in known:
            shown = f"{wanted.provider}/{model}"[: limits.NAME_CHARACTERS_MAX]
            raise fields.invalid(f"retirement.{field}", f"there is no price for {shown!r}")
    fields.check_reason(wanted.source, "retirement.source")
    if not wanted.retires_unix_ms:
        raise fields.invalid("retirement.retire_time", "say from when on calls with it fail")
    if len(store.everything(tx)) >= limits.PAGE_ROWS_MAX:
        raise LimitExceededError(
            f"there are {limits.PAGE_ROWS_MAX} retirements: remove old ones first",
            limit=str(limits.PAGE_ROWS_MAX),
        )
    store.put(tx, wanted, act.now_unix_ms)
    record(
        tx,
        act,
        f"{wanted.provider}/{wanted.model}",
        retires_unix_ms=wanted.retires_unix_ms,
        replacement=wanted.replacement,
    )
    return wanted


def list_retirements(tx: Tx) -> Page[Retirement]:
    """All of them, the next one first; they fit one page."""
    return Page(tuple(store.everything(tx)), "")


def remove_retirement(tx: Tx, provider: str, model: str, act: Act) -> None:
    """Take back that a model is retired."""
    if not store.delete(tx, provider, model):
        shown = f"{provider}/{model}"[: limits.NAME_CHARACTERS_MAX]
        raise NotFoundError(f"nobody said that {shown!r} is retired", model=shown)
    record(tx, act, f"{provider}/{model}")
