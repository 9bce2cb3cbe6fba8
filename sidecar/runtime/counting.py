"""Asking a provider's token counter before a call is refused for want of money.

Only for clients that want it, only where the counter is exact, and only when the bound by bytes
does not fit beside what is left while the call could fit with a smaller one. The question costs
nothing and holds nothing; where it is not answered in time, or not well, the call stays as it was.
"""

from dataclasses import replace

import trio

from sidecar.clock import Clock
from sidecar.core.bounds import bound_of
from sidecar.core.calls import Hold, NewCall
from sidecar.core.clamping import clampable, under_terms
from sidecar.core.exchange import Event, Exchange
from sidecar.core.policy import WhenTooLarge
from sidecar.core.refusals import Reason, Refused
from sidecar.http import limits
from sidecar.http.routes import Route
from sidecar.http.surfaces import Surface
from sidecar.limits import COUNT_MAX_BYTES, COUNTER_WAIT_MS, OUTPUT_FLOOR_TOKENS
from sidecar.providers import token_counters
from sidecar.runtime.admission_port import AdmissionPort
from sidecar.runtime.incoming import BREAKS, Incoming
from sidecar.runtime.prepared import Prepared
from sidecar.runtime.upstream import UnreachableError, UnsentError

_TOO_LARGE = frozenset((Reason.TOO_LARGE, Reason.EXHAUSTED))


class _TooLongError(Exception):
    """What the counter answers is no count."""


async def opened(
    prepared: Prepared, admission: AdmissionPort, clock: Clock, *, counts: bool = True
) -> tuple[Hold, Prepared]:
    """A call's hold, under a bound by what its provider counted where its client wants that.

    The call is the same, but for its bound. Raises Refused.
    """
    if not _is_wanted(prepared):
        return await admission.open(prepared.call, counts=counts), prepared
    known = prepared
    left_nano_usd = admission.left_nano_usd(prepared.call)
    if left_nano_usd is not None and _is_worth_it(prepared.call, left_nano_usd):
        prepared = await counted(prepared, clock)
    if prepared is known:
        # What is left may not be known before a refusal says it.
        again = left_nano_usd is None and not _why_not(known)
        try:
            return await admission.open(known.call, counts=counts and not again), known
        except Refused as refused:
            if again and refused.refusal.reason in _TOO_LARGE:
                prepared = await counted(known, clock)
            if prepared is known:
                if counts and again:
                    admission.refused(refused.refusal, known.call.attributes)
                raise _explained(refused, known) from None
    return await admission.open(prepared.call, counts=counts), prepared


def _is_wanted(prepared: Prepared) -> bool:
    """Whether the call's client wants what does not fit to be counted first."""
    call = prepared.call
    project = prepared.policy.project(call.attributes.project_id)
    wanted = project is not None and project.when_too_large is WhenTooLarge.COUNT
    return wanted and not call.bound.unbilled


def _is_worth_it(call: NewCall, left_nano_usd: int) -> bool:
    """Whether the call does not fit, and could with the least output if its prompt cost nothing."""
    bound = call.bound
    most = least = bound.output_most
    if clampable(bound):
        least = min(least, OUTPUT_FLOOR_TOKENS)
    output_nano_usd = bound.worst_nano_usd(least) - bound.input_worst_nano_usd
    return output_nano_usd <= left_nano_usd < bound.worst_nano_usd(most)


async def counted(prepared: Prepared, clock: Clock) -> Prepared:
    """The call under a bound by what its provider counted; as it was where that is no smaller."""
    if _why_not(prepared):
        return prepared
    body = token_counters.question(prepared.value)
    tokens = None if body is None else await _ask(prepared, body, clock)
    if tokens is None:
        return prepared
    request, call = prepared.request, prepared.call
    asked = replace(request.asked, text_bytes=tokens, expanded_bytes=0, preamble_tokens=0)
    now_unix_ms = clock.now().unix_ms
    prices = prepared.policy.prices_between(
        call.provider, call.attributes.model, now_unix_ms, now_unix_ms + limits.LONGEST_CALL_MS
    )
    if not prices:
        return prepared
    bound = under_terms(bound_of(asked, prices), prepared.policy, call.attributes)
    if bound.input_worst_nano_usd >= call.bound.input_worst_nano_usd:
        return prepared
    return replace(prepared, call=replace(call, bound=bound), request=replace(request, asked=asked))


def _explained(refused: Refused, prepared: Prepared) -> Refused:
    """The refusal of a call that its client wanted counted, and why it was not."""
    why = _why_not(prepared)
    refusal = refused.refusal
    if not why or refusal.reason not in _TOO_LARGE:
        return refused
    words = f"{refusal.message} It was bounded by its bytes, because {why}."
    return Refused(replace(refusal, message=words))


def _why_not(prepared: Prepared) -> str:
    call, request = prepared.call, prepared.request
    surface = Surface(call.surface)
    return token_counters.why_not(surface, call.provider, request.dialect, request.asked)


async def _ask(prepared: Prepared, body: bytes, clock: Clock) -> int | None:
    """The tokens that the provider counts; None when it does not say in time."""
    surface = token_counters.COUNTED_BY[Surface(prepared.call.surface)]
    upstream, dialect = prepared.upstream, prepared.request.dialect
    target = upstream.target(Route(surface), dialect.root)
    line = dialect.secret.value + prepared.secret.decode("ascii")
    prefix = upstream.prefixes.get((target, line)) or upstream.add_prefix(target, line)
    exchange = Exchange()
    exchange.step(Event.HOLD)
    incoming = Incoming(prepared, exchange, clock)
    try:
        with trio.move_on_after(COUNTER_WAIT_MS / 1_000):
            incoming.line = await upstream.take()
            await incoming.line.send(b"%bcontent-length: %d\r\n\r\n%b" % (prefix, len(body), body))
            incoming.sent()
            head = await incoming.head()
            if head.status != 200:
                return None
            whole = await incoming.whole(_take_room)
            return token_counters.answer(incoming.opened(head, whole))
    except (UnreachableError, UnsentError, _TooLongError, *BREAKS):
        return None
    finally:
        incoming.let_go()
    return None


def _take_room(size_bytes: int) -> None:
    """A count is a few bytes, and takes no room that a body would need."""
    if size_bytes > COUNT_MAX_BYTES:
        raise _TooLongError
