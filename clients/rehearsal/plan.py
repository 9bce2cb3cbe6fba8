"""A metered call, decided whole before its first byte is answered; the server carries it out."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction

from clients.rehearsal.bill import Quantities, cost_nano_usd
from clients.rehearsal.incoming import Answer, Refusal, encode
from clients.rehearsal.knobs import Knobs
from clients.rehearsal.prices import STANDARD_TIER, TIERS, Model

_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


class Ids:
    """Makes ids that look like the providers' and never repeat."""

    def __init__(self, nonce: bytes) -> None:
        self._nonce = nonce
        self._made = 0

    def make(self, prefix: str, length: int) -> str:
        """Return the prefix and that many letters and digits."""
        self._made += 1
        seed = self._nonce + self._made.to_bytes(8, "big")
        number = int.from_bytes(hashlib.blake2b(seed, digest_size=32).digest(), "big")
        letters = []
        for _ in range(length):
            number, index = divmod(number, 62)
            letters.append(_BASE62[index])
        return prefix + "".join(letters)


@dataclass(frozen=True, slots=True)
class Chunk:
    """One streamed piece of an answer."""

    data: bytes
    """The event as it goes on the wire."""
    tokens: int
    """Visible tokens it brings."""


@dataclass(frozen=True, slots=True)
class Stream:
    """A streamed answer in three parts."""

    opening: tuple[bytes, ...]
    """Events before the first token."""
    chunks: Callable[[], Iterator[Chunk]]
    """Makes the events that bring tokens."""
    closing: tuple[bytes, ...]
    """Events after the last token, the usage among them."""
    broken: bytes
    """The event that says the stream broke."""
    content_type: str = "text/event-stream; charset=utf-8"
    """What the whole is; sound is no stream of events."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What will happen to one metered call."""

    model: Model
    """Whose price is charged."""
    asked_model: str
    """The model as the request named it."""
    tier: str
    """The service tier the answer names."""
    multiplier: Fraction
    """What tier, speed and geography do to the price."""
    knobs: Knobs
    """Every knob as it stands for this call."""
    used: Quantities
    """What the whole answer uses, over-billing aside."""
    worst: Quantities
    """The most the request allowed, over-billing aside."""
    prompt: str
    """The beginning of the prompt, for the bill."""
    body: Callable[[], bytes]
    """Makes the whole body of a plain answer."""
    stream: Stream | None = None
    """The answer's events, if it is streamed."""
    heavy: bool = False
    """Whether making the body takes long enough to belong in a thread."""
    content_type: str = "application/json"
    """What a plain answer is."""
    billed_whole: bool = False
    """Whether an answer that is cut short is billed to its end: pictures and sound."""
    refusal: Answer | None = None
    """The error to answer with instead."""
    headers: tuple[tuple[str, str], ...] = ()
    """Headers of the answer that this call alone has."""
    bills_to_end: bool = False
    """Whether a stream whose client hangs up is billed to its end, when no knob says."""

    @property
    def runs_on(self) -> bool:
        """Whether a stream whose client hangs up is billed to its end."""
        asked = self.knobs.bill_to_end
        return self.bills_to_end if asked is None else asked

    def billed(self, used: Quantities) -> Quantities:
        """Return quantities as they are reported and billed."""
        return used.overbilled(self.knobs.overbill_ppm)

    def cost_nano_usd(self, billed: Quantities) -> int:
        """Return what billed quantities cost."""
        return cost_nano_usd(self.model, billed, self.multiplier)

    def generated(self, visible_tokens: int) -> Quantities:
        """Return what has been used once that many visible tokens were generated."""
        if self.billed_whole:
            return self.used
        tokens = min(self.used.output_tokens, self.used.reasoning_tokens + visible_tokens)
        return replace(self.used, output_tokens=tokens)

    @property
    def planned_nano_usd(self) -> int:
        """What the call costs if nothing cuts it short."""
        if self.refusal is not None:
            return 0
        return self.cost_nano_usd(self.billed(self.used))


def tier_of(provider: str, asked: str | None, knobs: Knobs) -> tuple[str, Fraction]:
    """Return the tier that serves a call and what it does to the price."""
    tiers = TIERS[provider]
    name = knobs.service_tier or asked or STANDARD_TIER[provider]
    if name not in tiers:
        raise Refusal(
            400, f"service_tier: {name!r} is none of {', '.join(tiers)}", param="service_tier"
        )
    return name, tiers[name]


def split_prompt(model: Model, counted: int, knobs: Knobs) -> Quantities:
    """Return the prompt by kind as the knobs have it, the rest at the full price."""
    prompt = counted if knobs.prompt_tokens is None else knobs.prompt_tokens
    if prompt > model.max_input_tokens and knobs.prompt_tokens is None:
        raise Refusal(
            400,
            f"This model's maximum context length is {model.max_input_tokens} tokens; "
            f"your messages are {prompt} tokens long",
            code="context_length_exceeded",
            param="messages",
        )
    cached = min(prompt, knobs.cached_tokens or 0)
    written = min(prompt - cached, knobs.cache_write_tokens or 0)
    for name, tokens, price in (
        ("cached_tokens", cached, model.cached_input),
        ("cache_write_tokens", written, model.cache_write),
    ):
        if tokens and price is None:
            raise Refusal(400, f"knob {name}: {model.name} has no price for it")
    return Quantities(prompt - cached - written, cached, written)


def worst_case(
    model: Model, used: Quantities, output_limit: int, *, writes: bool, writes_1h: bool
) -> Quantities:
    """Return the dearest a request could have become: no cache hit, output to its limit."""
    prompt = used.prompt_tokens
    output = max(output_limit, used.output_tokens)
    if writes_1h:
        return Quantities(cache_write_1h_tokens=prompt, output_tokens=output)
    if writes and model.cache_write is not None:
        return Quantities(cache_write_tokens=prompt, output_tokens=output)
    return Quantities(input_tokens=prompt, output_tokens=output)


def event(data: bytes, knobs: Knobs, name: str | None = None) -> bytes:
    """Return one server-sent event."""
    end = b"\r\n" if knobs.crlf else b"\n"
    first = b"" if name is None else b"event: " + name.encode("ascii") + end
    return first + b"data: " + data + end + end


def json_event(value: object, knobs: Knobs, name: str | None = None) -> bytes:
    """Return one server-sent event that carries JSON."""
    return event(encode(value), knobs, name)


def batches(pieces: tuple[str, ...], tokens: int) -> Iterator[tuple[str, int]]:
    """Return an answer's text chunk by chunk, with the tokens of each."""
    for at in range(0, len(pieces), tokens):
        batch = pieces[at : at + tokens]
        yield "".join(batch), len(batch)
