"""What the catalogues of others would change of the prices."""

import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from clients.admin.prices import Price, price_from_wire
from clients.admin.wire import Wire
from protos.bursar.admin import v1
from protos.values.errors import InvalidArgumentError


class PriceEffect(Enum):
    """What accepting a change does."""

    NEW = "new"
    DEARER = "dearer"
    CHEAPER = "cheaper"
    MIXED = "mixed"
    WIDER = "wider"


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceChange:
    """One price that a catalogue proposes."""

    effect: PriceEffect
    """What accepting it does."""
    proposed: Price
    """The price; without valid_from_time it begins when it is accepted."""
    current: Price | None
    """What would hold then without it."""
    is_override: bool
    """An operator set the current price: the change is accepted only when its model is named."""
    remarks: tuple[str, ...]
    """Where the sources disagree."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceLeftOut:
    """A model that no price could be proposed for."""

    provider: str
    """The provider."""
    model: str
    """The model's id in the catalogue."""
    why: str
    """What is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceProposal:
    """What would change, and what was asked to learn it."""

    changes: tuple[PriceChange, ...]
    """By provider, model and begin."""
    left_out: tuple[PriceLeftOut, ...]
    """What could not be proposed."""
    sources: tuple[str, ...]
    """The catalogues that were read, with their versions."""
    digest: str
    """Names exactly these changes."""
    question: v1.QueryPriceChangesRequest
    """What was asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedPrice:
    """One price that was accepted."""

    provider: str
    """The provider."""
    model: str
    """The model."""
    version: str
    """The version of the price book that it is now."""


class PriceImports:
    """Reads catalogues and accepts what they say."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._stub = v1.PriceServiceStub(wire.channel)

    def propose(
        self, *, providers: Sequence[str] = (), models: Sequence[str] = (), litellm: bytes = b""
    ) -> PriceProposal:
        """Show what would change. `litellm` is the text of its table, or nothing.

        Raises InvalidArgumentError when that is none.
        """
        request = v1.QueryPriceChangesRequest(
            providers=providers,
            models=models,
            litellm_gzip=gzip.compress(litellm, mtime=0) if litellm else b"",
        )
        answer = self._wire.ask(self._stub.QueryPriceChanges, request)
        return PriceProposal(
            changes=tuple(_change_from_wire(change) for change in answer.changes),
            left_out=tuple(
                PriceLeftOut(provider=one.provider, model=one.model, why=one.why)
                for one in answer.left_out
            ),
            sources=tuple(answer.sources),
            digest=answer.digest,
            question=request,
        )

    def accept(
        self,
        proposal: PriceProposal,
        *,
        dearer_only: bool = False,
        reason: str = "",
        request_id: str = "",
    ) -> list[AcceptedPrice]:
        """Make prices of what was shown: all of it, or what is dearer."""
        request = v1.AcceptPricesRequest(
            request_id=request_id or self._wire.request_id(),
            proposal=proposal.question,
            digest=proposal.digest,
            dearer_only=dearer_only,
            reason=reason,
        )
        answer = self._wire.ask(self._stub.AcceptPrices, request)
        return [
            AcceptedPrice(provider=one.provider, model=one.model, version=one.version)
            for one in answer.accepted
        ]


def _change_from_wire(wire: v1.PriceChange) -> PriceChange:
    name = v1.PriceEffect.Name(wire.effect).removeprefix("PRICE_EFFECT_").lower()
    try:
        effect = PriceEffect(name)
    except ValueError:
        raise InvalidArgumentError(
            f"the control plane tells of a change that this program does not know ({name}): take"
            " a newer one",
            field="effect",
        ) from None
    return PriceChange(
        effect=effect,
        proposed=price_from_wire(wire.proposed),
        current=price_from_wire(wire.current) if wire.HasField("current") else None,
        is_override=wire.is_override,
        remarks=tuple(wire.remarks),
    )
