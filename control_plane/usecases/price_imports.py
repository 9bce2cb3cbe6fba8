"""What catalogues of others would change of the price book, and accepting it."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass

from control_plane import limits
from control_plane.core import fields
from control_plane.core.offers import Catalogue
from control_plane.core.prices import Price, check_price, check_variants
from control_plane.core.proposals import IMPORTED, Change, Effect, LeftOut, changes_of
from control_plane.store import prices as store
from control_plane.store import providers
from control_plane.store.engine import Tx
from control_plane.usecases.acts import Act
from control_plane.usecases.prices import place
from protos.values.errors import FailedPreconditionError, InvalidArgumentError


@dataclass(frozen=True, slots=True)
class Proposal:
    """Everything that would change."""

    changes: tuple[Change, ...]
    """By provider, model and begin."""
    left_out: tuple[LeftOut, ...]
    """What could not be proposed."""
    digest: str
    """Names exactly these changes."""


def configured_providers(tx: Tx) -> list[str]:
    """The providers that calls may be sent to."""
    return [row.provider for row in providers.everything(tx)]


def query_price_changes(
    tx: Tx, catalogues: Mapping[str, Catalogue], models: Iterable[str], now_unix_ms: int
) -> Proposal:
    """Hold what the catalogues say against the price book."""
    wanted = frozenset(models)
    changes: list[Change] = []
    left_out: list[LeftOut] = []
    for provider, said in sorted(catalogues.items()):
        known = store.everything(tx, provider=provider)
        found, missing = changes_of(provider, known, said.entries, said.listings, now_unix_ms)
        for change in found:
            if wanted and change.proposed.model not in wanted:
                continue
            try:
                check_price(change.proposed)
                check_variants(change.proposed.variants)
            except InvalidArgumentError as error:
                missing.append(LeftOut(provider, change.proposed.model, str(error)))
                continue
            changes.append(change)
        left_out += [one for one in missing if not wanted or one.model in wanted]
    silent = wanted - {one.proposed.model for one in changes} - {one.model for one in left_out}
    why = "nothing would change, or no catalogue knows it"
    left_out += [LeftOut("", model, why) for model in sorted(silent)]
    most = limits.IMPORTED_PRICES_MAX
    if len(changes) > most:
        raise fields.invalid("providers", f"more than {most} prices would change: name fewer")
    return Proposal(tuple(changes), tuple(left_out), _digest(changes))


def _digest(changes: Sequence[Change]) -> str:
    told = [asdict(change) | {"effect": change.effect.value} for change in changes]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def accept_prices(
    tx: Tx,
    catalogues: Mapping[str, Catalogue],
    models: Sequence[str],
    *,
    digest: str,
    dearer_only: bool,
    reason: str,
    act: Act,
) -> list[Price]:
    """Make prices of what was shown: all of it, or what is dearer.

    Raises FailedPreconditionError when it would be something else by now.
    """
    fields.check_reason(reason)
    proposal = query_price_changes(tx, catalogues, models, act.now_unix_ms)
    if proposal.digest != digest:
        raise FailedPreconditionError(
            "the prices or the catalogues are others than those that were shown: look again",
            reason="PROPOSAL_CHANGED",
        )
    others = {provider: store.everything(tx, provider=provider) for provider in catalogues}
    placed: list[Price] = []
    for change in proposal.changes:
        if is_accepted(change, models, dearer_only=dearer_only):
            book = others[change.proposed.provider]
            begins = change.begins_unix_ms or None
            price = place(tx, change.proposed, begins, book, reason, act, source=IMPORTED)
            book.append(price)
            placed.append(price)
    return placed


def is_accepted(change: Change, models: Sequence[str], *, dearer_only: bool) -> bool:
    """Whether a change is among those that are accepted."""
    if change.is_override and change.proposed.model not in models:
        return False
    return not dearer_only or change.effect is Effect.DEARER
