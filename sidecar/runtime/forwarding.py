"""One call that holds money: to the provider, back to its caller, and to its settlement.

Rules:
1. What happened is told to the table of `core.exchange`; the table alone says how the hold ends,
   and it ends exactly once, whatever is raised here.
2. An answer that is no stream is collected whole: its usage is read and booked before its caller
   gets the first byte, so that the cost stands in its head. Its provider bills it to the end, so a
   caller that hangs up meanwhile does not stop it, and it is settled exactly.
3. A stream is passed on as it comes. A caller that hangs up ends it at the provider too, and it is
   settled by what was seen: by all that the provider had sent, not only by what was passed on.
"""

import logging

import trio

from protos.values.rates import ModelPrice
from sidecar.clock import Clock
from sidecar.core import metering
from sidecar.core.calls import Hold, Outcome, Settlement
from sidecar.core.exchange import Ending, Event, Exchange, Row, State
from sidecar.core.metering import Charge, Seen, Usage
from sidecar.http import codec, encoding, headers, limits, sse
from sidecar.http.codec import BadMessageError, RequestHead, ResponseHead, ResponseReader
from sidecar.http.encoding import Inflater, UnreadableBodyError
from sidecar.http.plain_heads import Header
from sidecar.providers import envelopes
from sidecar.providers.envelopes import Fault
from sidecar.providers.streams import StreamMeter, Untouched
from sidecar.runtime import call_faults
from sidecar.runtime.admission_port import AdmissionPort
from sidecar.runtime.answers import read_answer
from sidecar.runtime.caller import SLOW_ANSWER, Caller, CallerGoneError, FaultError, Why
from sidecar.runtime.catching_up import catch_up
from sidecar.runtime.prepared import Prepared
from sidecar.runtime.upstream import BrokenOffError, Line, UnreachableError, UnsentError

_log = logging.getLogger(__name__)
_REDACTED = b"[redacted]"
_BREAKS = (BrokenOffError, BadMessageError, UnreadableBodyError, sse.FrameTooLargeError)
"""The ways in which a provider's answer can be cut short or be no answer."""
_REQUEST_IDS = (b"x-request-id", b"request-id")
_COST = b"x-bursar-cost-nano-usd"


class Forwarding:
    """One call between its caller and its provider."""

    __slots__ = (
        "_admission",
        "_call",
        "_caller",
        "_clock",
        "_error_kind",
        "_exchange",
        "_first_byte_ms",
        "_head",
        "_hold",
        "_inflater",
        "_line",
        "_meter",
        "_reader",
        "_request_id",
        "_seen",
        "_sent_ms",
        "_status",
        "_unreadable",
        "_usage",
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
        self._line: Line | None = None
        self._meter: StreamMeter | None = None
        self._usage: Usage | None = None
        self._seen: Seen | None = None
        self._reader = ResponseReader()
        self._inflater: Inflater | None = None
        self._unreadable = False
        self._sent_ms = 0
        self._first_byte_ms = 0
        self._status = 0
        self._error_kind = ""
        self._request_id = ""

    async def run(self) -> None:
        """Make the call. Raises FaultError, CallerGoneError; the hold has ended in any case."""
        try:
            await self._run()
        except trio.Cancelled:
            await self._catch_up()
            self._end(Event.TIMEOUT if self._caller.why is Why.EXPIRED else Event.HANG_UP)
            raise
        except CallerGoneError:
            await self._catch_up()
            self._end(Event.HANG_UP)
            raise
        except _BREAKS as error:
            await self._broke_off(str(error))
        finally:
            # A mistake of ours must not keep money: what is unknown counts as broken off.
            self._end(Event.UNSENT if self._exchange.state is State.HELD else Event.BREAK)
            self._let_go()

    def _end(self, event: Event) -> Charge | None:
        """End the hold, unless it has ended."""
        return None if self._exchange.closed else self._step(event)

    def _let_go(self) -> None:
        if self._line is not None:
            self._call.upstream.drop(self._line)
            self._line = None

    # --- To the provider -------------------------------------------------------------------------

    async def _run(self) -> None:
        caller, call = self._caller, self._call
        caller.expires_in(limits.LONGEST_CALL_MS, SLOW_ANSWER)
        await self._dispatch()
        self._sent_ms = self._clock.now().boot_ms
        self._exchange.step(Event.DISPATCH)
        # Whole answers are billed to their end; a hang-up would not stop that.
        caller.watched = call.request.streamed
        line = self._line
        assert line is not None
        reader = self._reader
        while (head := reader.take_head()) is None:
            reader.feed(await line.receive())
        self._first_byte_ms = max(1, self._clock.now().boot_ms - self._sent_ms)
        self._status = head.status
        for name in _REQUEST_IDS:
            if name in head.values:
                self._request_id = head.values[name].decode("latin-1")[:128]
                break
        if not 200 <= head.status < 300:
            self._exchange.step(Event.ERROR_HEAD)
            await self._pass_error_on(reader, head)
            return
        self._exchange.step(Event.GOOD_HEAD)
        kind = head.values.get(b"content-type", b"")
        if (meter := self._meter_for(kind.lower())) is not None:
            await self._stream(reader, head, meter)
        else:
            await self._answer(reader, head)

    def _meter_for(self, kind: bytes) -> StreamMeter | None:
        """The meter of an answer of this content type; None when it is no stream."""
        api, request = self._call.api, self._call.request
        if api.meter is not None and kind.startswith(b"text/event-stream"):
            return api.meter(request)
        return Untouched() if api.answers_bytes else None

    async def _dispatch(self) -> None:
        """Write the request, once more if the connection was stale. Raises FaultError."""
        call = self._call
        body = call.api.rewrite(
            call.value, call.body, call.request, call.call.provider, self._hold.output_limit
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
                self._let_go()
                if not line.reused:
                    raise
                line = self._take(await call.upstream.take_new())
                await line.send(data)
        except (UnreachableError, UnsentError) as error:
            self._error_kind = "upstream_unreachable"
            self._step(Event.UNSENT)
            raise FaultError(self._marked(call_faults.unreachable(error))) from None

    def _take(self, line: Line) -> Line:
        """Take over a connection. Raises UnreachableError when authority ended in the meantime."""
        self._line = line
        if not line.prompt and not self._admission.may_start(self._hold):
            raise UnreachableError("until it was, this call was no longer allowed to start")
        return line

    # --- Whole answers ---------------------------------------------------------------------------

    async def _collect(self, reader: ResponseReader) -> bytes:
        line = self._line
        assert line is not None
        parts: list[bytes] = []
        count_bytes = 0
        while True:
            before = len(parts)
            ended = reader.take_body(parts)
            come_bytes = sum(map(len, parts[before:]))
            count_bytes += come_bytes
            if count_bytes > limits.ANSWER_BODY_MAX_BYTES:
                raise BadMessageError(
                    502, f"the answer is larger than {limits.ANSWER_BODY_MAX_BYTES} bytes"
                )
            if ended:
                break
            self._caller.take_room(come_bytes)
            reader.feed(await line.receive())
        if reader.reusable:
            self._call.upstream.give_back(line)
            self._line = None
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _plain(self, head: ResponseHead, body: bytes) -> tuple[list[Header], bytes]:
        """The headers to pass on, and the body, opened if it came compressed in spite of all."""
        passed_on = headers.to_caller(head.headers, head.values.get(b"connection"))
        packed = head.values.get(b"content-encoding")
        if packed is None or encoding.is_identity(packed):
            return passed_on, body
        if encoding.is_supported(packed):
            return passed_on, encoding.inflate(body, limits.ANSWER_BODY_MAX_BYTES)
        self._unreadable = True
        passed_on.append((b"content-encoding", packed))
        return passed_on, body

    async def _answer(self, reader: ResponseReader, head: ResponseHead) -> None:
        body = await self._collect(reader)
        passed_on, body = self._plain(head, body)
        api = self._call.api
        kind = head.values.get(b"content-type", b"")
        answer = {} if self._unreadable else await read_answer(body, kind)
        self._usage = api.usage_of(answer)
        if self._usage is not None:
            self._exchange.step(Event.USAGE)
        elif output_bytes := api.seen_bytes(answer):
            self._seen = Seen(output_bytes)
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
        if hold.output_limit is not None:
            ours.append((b"x-bursar-clamped-output", b"%d" % hold.output_limit))
        if not self._caller.keep:
            ours.append(codec.CLOSE)
        return ours

    async def _pass_error_on(self, reader: ResponseReader, head: ResponseHead) -> None:
        body = await self._collect(reader)
        passed_on, body = self._plain(head, body)
        answer = {} if self._unreadable else await read_answer(body, b"")
        self._error_kind = self._call.api.error_kind(answer) or f"http_{head.status}"
        self._usage = self._call.api.usage_of(answer)
        if self._usage is not None:
            self._exchange.step(Event.USAGE)
        charge = self._step(Event.END)
        if head.status == 401:
            # The provider's words would show part of the secret, and blame the caller's key.
            raise FaultError(self._marked(call_faults.SECRET_REFUSED))
        secret = self._call.secret
        body = body.replace(secret, _REDACTED)
        passed_on = [header for header in passed_on if secret not in header[1]]
        passed_on.append((_COST, b"%d" % (charge.cost_nano_usd if charge else 0)))
        passed_on.append(call_faults.FROM_PROVIDER)
        await self._send_whole(head.status, passed_on, body)

    # --- Streams ---------------------------------------------------------------------------------

    async def _stream(self, reader: ResponseReader, head: ResponseHead, meter: StreamMeter) -> None:
        caller, line = self._caller, self._line
        assert line is not None
        packed = head.values.get(b"content-encoding")
        self._inflater = inflater = self._inflater_of(packed)
        self._meter = None if self._unreadable else meter
        out, tells_cost = self._stream_head(head)
        held_bytes = limits.LARGE_BODY_BYTES
        while True:
            parts: list[bytes] = []
            ended = reader.take_body(parts)
            if parts:
                data = parts[0] if len(parts) == 1 else b"".join(parts)
                out += self._chunk(self._metered(data, inflater))
            if ended:
                break
            if out:
                await caller.send(out)
                out = b""
            if meter.held_bytes > held_bytes:
                caller.take_room(meter.held_bytes - held_bytes)
                held_bytes = meter.held_bytes
            reader.feed(await line.receive())
        if inflater is not None:
            inflater.finish()
        if reader.reusable:
            self._call.upstream.give_back(line)
            self._line = None
        out += self._chunk(meter.rest())
        charge = self._step(Event.BREAK if self._ended_early(meter) else Event.END)
        assert charge is not None
        if caller.chunked:
            cost = [(_COST, b"%d" % charge.cost_nano_usd)] if tells_cost else []
            out += b"0\r\n" + codec.header_lines(cost) + b"\r\n"
        if out:
            await caller.send(out)

    def _stream_head(self, head: ResponseHead) -> tuple[bytes, bool]:
        """The head of a stream, and whether it promises the cost after its end."""
        caller = self._caller
        passed_on = headers.to_caller(head.headers, head.values.get(b"connection"))
        if self._unreadable:
            passed_on.append((b"content-encoding", head.values[b"content-encoding"]))
        whole = isinstance(self._meter, Untouched) and self._inflater is None
        length = head.body_bytes if whole else None
        caller.chunked = self._head.http_1_1 and length is None
        tells_cost = False
        if self._meter is not None and self._meter.done and (known := self._known_usage()):
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

    def _inflater_of(self, packed: bytes | None) -> Inflater | None:
        if packed is None or encoding.is_identity(packed):
            return None
        if encoding.is_supported(packed):
            return Inflater(limits.ANSWER_BODY_MAX_BYTES)
        self._unreadable = True
        return None

    def _metered(self, data: bytes, inflater: Inflater | None) -> bytes:
        if inflater is not None:
            data = inflater.feed(data)
        meter = self._meter
        if meter is None:
            return data
        out = meter.take(data)
        if meter.usage is not None and self._usage is None:
            self._exchange.step(Event.USAGE)
        self._usage = meter.usage
        return out

    def _chunk(self, data: bytes) -> bytes:
        if not data:
            return b""
        return codec.chunk(data) if self._caller.chunked else data

    def _ended_early(self, meter: StreamMeter) -> bool:
        """Whether the stream ended without its mark of the end, or with an error."""
        self._error_kind = meter.error_kind
        if self._meter is None:
            return False
        return bool(meter.error_kind) or not (meter.done or meter.usage)

    # --- Endings ---------------------------------------------------------------------------------

    async def _catch_up(self) -> None:
        """Take what the provider of an abandoned stream has sent already: it bills that."""
        line, state = self._line, self._exchange.state
        if line is None or self._meter is None or state is not State.ANSWERING:
            return
        try:
            self._unreadable = not await catch_up(
                line, self._reader, lambda data: self._metered(data, self._inflater)
            )
        except _BREAKS:
            return

    async def _broke_off(self, words: str) -> None:
        """The provider broke off: end the hold, and tell the caller as well as it can be told."""
        self._error_kind = self._error_kind or "upstream_broke_off"
        self._end(Event.BREAK)
        caller = self._caller
        fault = self._marked(call_faults.broke_off(words))
        if not caller.head_sent:
            raise FaultError(fault)
        caller.keep = False
        if caller.chunked:
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
                self._usage = usage
                self._exchange.step(Event.USAGE)
        row = self._exchange.step(event)
        if row.ending is None:
            return None
        charge = self._charge(row.ending)
        self._book(row, charge)
        return charge

    def _charge(self, ending: Ending) -> Charge:
        free = self._hold.call.bound.is_free and ending is not Ending.USED
        if ending is Ending.VOID or free:
            return Charge(0)
        try:
            return self._charge_of_billed(ending)
        except Exception:  # noqa: BLE001 - whatever a provider sent, the hold has to end
            _log.exception("the worst case is charged, for an answer could not be metered")
            return metering.worst_of(self._hold, self._call.request.asked, self._call.price)

    def _charge_of_billed(self, ending: Ending) -> Charge:
        call = self._call
        if ending is Ending.USED:
            usage = self._usage
            assert usage is not None
            return metering.charge_of(usage, self._answered_price(usage), self._hold.worst_nano_usd)
        if ending is Ending.SEEN and not self._unreadable:
            seen = self._seen if self._meter is None else self._meter.seen()
            if seen is not None:
                return metering.estimate_of(self._hold, call.request.asked, call.price, seen)
        return metering.worst_of(self._hold, call.request.asked, call.price)

    def _answered_price(self, usage: Usage) -> ModelPrice:
        """The price of the model that answered, if it has one, else of the one that was asked."""
        call = self._call
        if not usage.answered_model or usage.answered_model == call.price.model:
            return call.price
        found = call.policy.price(
            call.price.provider, usage.answered_model, self._hold.started_unix_ms
        )
        return found or call.price

    def _book(self, row: Row, charge: Charge) -> None:
        assert row.outcome is not None
        usage = self._usage
        kind = self._error_kind or ("unpriced_usage" if charge.unpriced else "")
        outcome = Settlement(
            outcome=row.outcome if self._status < 300 else Outcome.PROVIDER_ERROR,
            cost_nano_usd=charge.cost_nano_usd,
            estimated=charge.estimated,
            quantities=charge.quantities,
            answered_model=usage.answered_model if usage else "",
            tier=usage.tier if usage else "",
            variant=usage.variant if usage else "",
            price_version=self._answered_price(usage).version if usage else "",
            status=self._status,
            error_kind=kind,
            first_byte_ms=self._first_byte_ms,
            provider_request_id=self._request_id,
        )
        if row.ending is Ending.VOID:
            self._admission.void(self._hold, outcome)
        else:
            self._admission.settle(self._hold, outcome)
