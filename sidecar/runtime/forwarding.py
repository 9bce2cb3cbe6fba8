"""One call that holds money: to the provider, back to its caller, and to its settlement.

Rules:
1. What happened is told to the table of `core.exchange`; the table alone says how the hold ends,
   and it ends exactly once, whatever is raised here.
2. An answer that is no stream is collected whole: its usage is read and booked before its caller
   gets the first byte, so that the cost stands in its head. Its provider bills it to the end, so a
   caller that hangs up meanwhile does not stop it, and it is settled exactly.
3. A stream is passed on as it comes. A caller that hangs up ends it at the provider too, and it is
   settled by what was seen: by all that the provider had sent, not only by what was passed on. A
   provider that would go on, and bill, is read on instead.
"""

from dataclasses import replace

import trio

from sidecar.clock import Clock
from sidecar.core import metering
from sidecar.core.calls import Hold, Outcome, Settlement
from sidecar.core.exchange import Ending, Event, Exchange, Row, State
from sidecar.core.metering import Charge, Seen, Usage
from sidecar.core.routing import Failure, failure_of
from sidecar.http import codec, headers, limits
from sidecar.http.codec import RequestHead, ResponseHead
from sidecar.http.plain_heads import Header
from sidecar.providers import envelopes
from sidecar.providers.dialects import Abort, Secret
from sidecar.providers.envelopes import Fault
from sidecar.providers.streams import StreamMeter
from sidecar.runtime import call_faults
from sidecar.runtime.admission_port import AdmissionPort
from sidecar.runtime.answers import read_answer
from sidecar.runtime.caller import (
    SLOW_ANSWER,
    Caller,
    CallerGoneError,
    FaultError,
    NoRoomError,
    Why,
)
from sidecar.runtime.charging import answered_price, charge_for
from sidecar.runtime.drains import Drains
from sidecar.runtime.incoming import BREAKS, NO_ROOM, Incoming
from sidecar.runtime.prepared import Prepared
from sidecar.runtime.upstream import Line, UnreachableError, UnsentError

_REDACTED = b"[redacted]"
_COST = b"x-bursar-cost-nano-usd"
_CLAMPED = b"x-bursar-clamped-output"
_DEFAULTED = b"x-bursar-default-output"


class Forwarding:
    """One call between its caller and its provider."""

    __slots__ = (
        "_admission",
        "_call",
        "_caller",
        "_clock",
        "_exchange",
        "_head",
        "_hold",
        "_incoming",
        "_told",
        "_voided",
        "failure",
        "retry_after_ms",
    )

    def __init__(
        self,
        hold: Hold,
        call: Prepared,
        caller: Caller,
        head: RequestHead,
        admission: AdmissionPort,
        clock: Clock,
    ) -> None:
        """Take over a hold; from here on it is this object's to end."""
        self._hold = hold
        self._call = call
        self._caller = caller
        self._head = head
        self._admission = admission
        self._clock = clock
        self._exchange = Exchange()
        self._exchange.step(Event.HOLD)
        self._incoming = Incoming(call, self._exchange, clock)
        self._voided = False
        self._told: Fault | tuple[int, list[Header], bytes] | None = None
        self.failure = Failure.OTHER
        """How it failed, where it cost nothing and its caller was told nothing."""
        self.retry_after_ms: int | None = None
        """What its provider said, if anything, about when to come again."""

    async def run(self, drains: Drains) -> bool:
        """Make the call. Raises FaultError, CallerGoneError.

        The hold has ended in any case, or an answer that nobody waits for any more is left to the
        drains, which end it. Returns whether it failed, cost nothing, and its caller was told
        nothing yet: then another attempt may follow, or `tell` says what went wrong.
        """
        left = False
        try:
            await self._run()
        except (trio.Cancelled, CallerGoneError):
            left = self._left_to(drains)
            if not left:
                await self._incoming.catch_up()
                expired = self._caller.why is Why.EXPIRED
                self._end(Event.TIMEOUT if expired else Event.HANG_UP)
            raise
        except BREAKS as error:
            await self._broke_off(call_faults.broke_off(str(error)))
        except NoRoomError as error:
            await self._find_no_room(error)
        finally:
            if not left:
                self._close()
        return self._told is not None

    async def tell(self) -> None:
        """Tell the caller what went wrong. Raises FaultError, CallerGoneError."""
        assert self._told is not None
        if isinstance(self._told, Fault):
            raise FaultError(self._told)
        await self._send_whole(*self._told)

    def _close(self) -> None:
        # A mistake of ours must not keep money: what is unknown counts as broken off.
        self._end(Event.UNSENT if self._exchange.state is State.HELD else Event.BREAK)
        self._incoming.let_go()

    def _end(self, event: Event) -> Charge | None:
        """End the hold, unless it has ended."""
        return None if self._exchange.closed else self._step(event)

    # --- To the provider -------------------------------------------------------------------------

    async def _run(self) -> None:
        caller, call, incoming = self._caller, self._call, self._incoming
        caller.expires_in(limits.LONGEST_CALL_MS, SLOW_ANSWER)
        if not await self._dispatch():
            return
        incoming.sent()
        caller.ending = call_faults.ENDING
        # Whole answers are billed to their end; a hang-up would not stop that.
        caller.watched = call.request.streamed
        head = await incoming.head()
        if self._exchange.state in (State.REFUSING, State.FAILING):
            await self._pass_error_on(head)
        elif (meter := incoming.stream_meter(head)) is not None:
            await self._stream(head, meter)
        else:
            await self._answer(head)

    async def _dispatch(self) -> bool:
        """Write the request, once more if the connection was stale; False when it cannot be."""
        call = self._call
        body = call.api.rewrite(
            call.value, call.body, call.request, call.request.dialect.name, self._hold.output_limit
        )
        passed_on = headers.to_provider(self._head.headers, self._head.values.get(b"connection"))
        data = b"%b%bcontent-length: %d\r\n\r\n%b" % (
            call.prefix,
            codec.header_lines(passed_on),
            len(body),
            body,
        )
        try:
            line = self._take(await call.upstream.take())
            if self._caller.why is not None:
                # A write is no checkpoint: without this one a call would go out that nobody awaits.
                await trio.lowlevel.checkpoint()
            try:
                await line.send(data)
            except UnsentError:
                self._incoming.let_go()
                if not line.reused:
                    raise
                line = self._take(await call.upstream.take_new())
                await line.send(data)
        except (UnreachableError, UnsentError) as error:
            self._incoming.error_kind = "upstream_unreachable"
            self._step(Event.UNSENT)
            self.failure = Failure.UNREACHABLE
            self._told = self._marked(call_faults.unreachable(error))
            return False
        return True

    def _take(self, line: Line) -> Line:
        """Take over a connection. Raises UnreachableError when authority ended in the meantime."""
        self._incoming.line = line
        if not line.prompt and not self._admission.may_start(self._hold):
            raise UnreachableError("until it was, this call was no longer allowed to start")
        return line

    # --- Whole answers ---------------------------------------------------------------------------

    async def _whole(self, head: ResponseHead) -> tuple[list[Header], bytes]:
        """The headers of an answer to pass on, and its body."""
        incoming = self._incoming
        body = incoming.opened(head, await incoming.whole(self._caller.take_room))
        return self._passed_on(head), body

    def _passed_on(self, head: ResponseHead) -> list[Header]:
        passed_on = headers.to_caller(head.headers, head.values.get(b"connection"))
        if self._incoming.unreadable:
            passed_on.append((b"content-encoding", head.values[b"content-encoding"]))
        return passed_on

    async def _answer(self, head: ResponseHead) -> None:
        passed_on, body = await self._whole(head)
        api, incoming = self._call.api, self._incoming
        kind = head.values.get(b"content-type", b"")
        answer = {} if incoming.unreadable else await read_answer(body, kind)
        incoming.usage = api.usage_of(answer)
        if incoming.usage is not None:
            self._exchange.step(Event.USAGE)
        elif output_bytes := api.seen_bytes(answer):
            incoming.seen = Seen(output_bytes)
        charge = self._step(Event.END)
        assert charge is not None
        passed_on.append((_COST, b"%d" % charge.cost_nano_usd))
        await self._send_whole(head.status, passed_on, body)

    async def _send_whole(self, status: int, passed_on: list[Header], body: bytes) -> None:
        caller = self._caller
        passed_on.append((b"content-length", b"%d" % len(body)))
        passed_on.extend(self._our_headers())
        caller.head_sent = True
        await caller.send(codec.response_head(status, passed_on) + body)

    def _our_headers(self) -> list[Header]:
        hold = self._hold
        ours: list[Header] = [(b"x-bursar-call-id", hold.call_id.encode())]
        if hold.call.routed:
            ours.append((b"x-bursar-model", hold.call.attributes.model.encode()))
            ours.append((b"x-bursar-routed", hold.call.routed.encode()))
        if hold.output_limit is not None:
            is_default = hold.output_limit == hold.call.bound.output_default
            ours.append((_DEFAULTED if is_default else _CLAMPED, b"%d" % hold.output_limit))
        if not self._caller.keep:
            ours.append(codec.CLOSE)
        return ours

    async def _pass_error_on(self, head: ResponseHead) -> None:
        passed_on, body = await self._whole(head)
        api, incoming = self._call.api, self._incoming
        answer = {} if incoming.unreadable else await read_answer(body, b"")
        incoming.note_error(api.error_kind(answer))
        incoming.usage = api.usage_of(answer)
        if incoming.usage is not None:
            self._exchange.step(Event.USAGE)
        charge = self._step(Event.END)
        blames_secret = self._blames_secret(body)
        self.failure = failure_of(head.status, incoming.error_kind, blames_secret=blames_secret)
        self.retry_after_ms = headers.retry_after_ms(head.values)
        if self.failure is Failure.SECRET_REFUSED:
            # The provider's words would show part of the secret, and blame the caller's key.
            self._told = self._marked(call_faults.SECRET_REFUSED)
        else:
            self._told = (head.status, *self._cleaned(passed_on, body, charge))
        if not self._voided:
            await self.tell()
            self._told = None

    def _cleaned(
        self, passed_on: list[Header], body: bytes, charge: Charge | None
    ) -> tuple[list[Header], bytes]:
        """A provider's error as its caller gets it: without the secret, and marked."""
        secret = self._call.secret
        body = body.replace(secret, _REDACTED)
        passed_on = [header for header in passed_on if secret not in header[1]]
        passed_on.append((_COST, b"%d" % (charge.cost_nano_usd if charge else 0)))
        passed_on.append(call_faults.FROM_PROVIDER)
        return passed_on, body

    def _blames_secret(self, body: bytes) -> bool:
        """Whether an error that is no 401 blames the secret, as Google's do with a 400."""
        google = self._call.request.dialect.secret is Secret.GOOGLE
        return google and b'"API_KEY_INVALID"' in body

    # --- Streams ---------------------------------------------------------------------------------

    async def _stream(self, head: ResponseHead, meter: StreamMeter) -> None:
        caller, incoming = self._caller, self._incoming
        line = incoming.line
        assert line is not None
        incoming.begin_stream(head, meter)
        if not meter.tells_by_events:
            caller.events = ""
        out, tells_cost = self._stream_head(head)
        held_bytes = limits.LARGE_BODY_BYTES
        while True:
            data, ended = incoming.piece()
            out += self._chunk(data)
            if ended:
                break
            if out:
                await caller.send(out)
                out = b""
            if meter.held_bytes > held_bytes:
                caller.take_room(meter.held_bytes - held_bytes)
                held_bytes = meter.held_bytes
            incoming.reader.feed(await line.receive())
        out += self._chunk(incoming.end_stream())
        charge = self._step(Event.BREAK if incoming.ended_early() else Event.END)
        assert charge is not None
        if caller.chunked:
            cost = [(_COST, b"%d" % charge.cost_nano_usd)] if tells_cost else []
            out += b"0\r\n" + codec.header_lines(cost) + b"\r\n"
        if out:
            await caller.send(out)

    def _stream_head(self, head: ResponseHead) -> tuple[bytes, bool]:
        """The head of a stream, and whether it promises the cost after its end."""
        caller = self._caller
        incoming = self._incoming
        passed_on = self._passed_on(head)
        length = incoming.untouched_bytes(head)
        caller.chunked = self._head.http_1_1 and length is None
        tells_cost = False
        meter = incoming.meter
        if meter is not None and meter.done and (known := self._known_usage()):
            # Bytes that tell nothing: what they cost is known before, or never.
            cost = metering.charge_of(known, self._call.price, self._hold.worst_nano_usd)
            passed_on.append((_COST, b"%d" % cost.cost_nano_usd))
        if length is not None:
            passed_on.append((b"content-length", b"%d" % length))
        elif caller.chunked:
            passed_on.append(codec.CHUNKED)
            tells_cost = b"trailers" in self._head.values.get(b"te", b"").lower()
            if tells_cost:
                passed_on.append((b"trailer", _COST))
        else:
            caller.keep = False
        passed_on.extend(self._our_headers())
        caller.head_sent = True
        return codec.response_head(head.status, passed_on), tells_cost

    def _chunk(self, data: bytes) -> bytes:
        if not data:
            return b""
        return codec.chunk(data) if self._caller.chunked else data

    # --- Endings ---------------------------------------------------------------------------------

    def _left_to(self, drains: Drains) -> bool:
        """Leave an answer that nobody reads any more, and that is billed to its end, to a drain."""
        incoming = self._incoming
        if self._call.request.dialect.abort is not Abort.DRAIN or incoming.line is None:
            return False
        if self._call.api.writes_text is None:
            # Events with pictures are too large to be held for nobody, and sound tells nothing.
            return False
        if self._exchange.state not in (State.SENT, State.ANSWERING) or incoming.unreadable:
            return False
        if self._caller.why not in (None, Why.GONE) or not drains.take(self._read_on):
            return False
        self._call = incoming.call = replace(self._call, value={}, body=b"")
        return True

    async def _read_on(self) -> None:
        """Read an abandoned answer to its end, and settle it."""
        left_ms = limits.LONGEST_CALL_MS - (self._clock.now().boot_ms - self._incoming.sent_ms)
        try:
            with trio.move_on_after(max(0, left_ms) / 1000) as scope:
                await self._incoming.read_to_end()
            self._end(Event.TIMEOUT if scope.cancelled_caught else Event.HANG_UP)
        except trio.Cancelled:
            self._end(Event.HANG_UP)
            raise
        except BREAKS:
            self._end(Event.BREAK)
        finally:
            self._close()

    async def _find_no_room(self, error: NoRoomError) -> None:
        """There is no memory for the answer: break off, and let nobody try again who has to pay."""
        if self._exchange.state is State.REFUSING:
            raise error
        await self._incoming.catch_up()
        self._incoming.error_kind = NO_ROOM
        words = "it has no room for the answer"
        await self._broke_off(call_faults.broke_off(words, "this sidecar"))

    async def _broke_off(self, fault: Fault) -> None:
        """The answer broke off: end the hold, and tell the caller as well as it can be told."""
        self._incoming.error_kind = self._incoming.error_kind or "upstream_broke_off"
        self._end(Event.BREAK)
        caller = self._caller
        fault = self._marked(fault)
        if not caller.head_sent:
            raise FaultError(fault)
        caller.keep = False
        if caller.chunked and caller.events:
            event = envelopes.stream_error(fault, caller.events)
            await caller.send(codec.chunk(event) + codec.LAST_CHUNK)

    def _marked(self, fault: Fault) -> Fault:
        return call_faults.marked(fault, self._hold.call_id)

    def _known_usage(self) -> Usage | None:
        return metering.usage_by_request(self._call.request.asked, self._call.price)

    def _step(self, event: Event) -> Charge | None:
        """Tell the table what happened; if that ends the hold, end it."""
        if event is Event.END and self._exchange.state is State.ANSWERING:
            # Nothing tells what it used; of some calls the request itself does.
            usage = self._known_usage()
            if usage is not None:
                self._incoming.usage = usage
                self._exchange.step(Event.USAGE)
        row = self._exchange.step(event)
        if row.ending is None:
            return None
        charge = charge_for(row, self._hold, self._incoming)
        self._book(row, charge)
        return charge

    def _book(self, row: Row, charge: Charge) -> None:
        assert row.outcome is not None
        call, incoming = self._call, self._incoming
        usage = incoming.usage
        kind = incoming.error_kind or charge.doubt
        outcome = Settlement(
            outcome=row.outcome if incoming.status < 300 else Outcome.PROVIDER_ERROR,
            cost_nano_usd=charge.cost_nano_usd,
            estimated=charge.estimated,
            cost_told=charge.told,
            quantities=charge.quantities,
            answered_model=usage.answered_model if usage else "",
            tier=usage.tier if usage else "",
            variant=usage.variant if usage else "",
            price_version=answered_price(self._hold, call, usage).version if usage else "",
            status=incoming.status,
            error_kind=kind,
            first_byte_ms=incoming.first_byte_ms,
            provider_request_id=incoming.request_id,
        )
        if row.ending is Ending.VOID:
            self._voided = True
            self._admission.void(self._hold, outcome)
        else:
            self._admission.settle(self._hold, outcome)
