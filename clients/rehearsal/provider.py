"""Decides what each request gets: the one place where requests, knobs, prices and the bill meet.

It does no I/O and reads no clock. A metered call comes back as a plan that the server carries out
and then settles here.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from clients.rehearsal import (
    anthropic_wire,
    gemini_wire,
    limits,
    openai_embeddings,
    openai_wire,
    truth,
)
from clients.rehearsal.bill import NOTHING, Bill, Call, Quantities, Subject
from clients.rehearsal.endpoints import (
    ANTHROPIC,
    FREE,
    GEMINI,
    METERED,
    OPENAI,
    Circumstances,
    key_of,
)
from clients.rehearsal.incoming import Answer, JsonObject, Refusal, Request, encode, parse_object
from clients.rehearsal.knobs import KnobError, Knobs, fails, from_json
from clients.rehearsal.plan import Ids, Plan
from clients.rehearsal.prices import find
from clients.rehearsal.prompt_cache import PromptCache
from clients.rehearsal.stored import StoredResponses

MODELS_PATH = "/v1/models"
_MODEL_CHARS = 128

_KEY_HEADERS = {
    OPENAI: "Authorization: Bearer",
    ANTHROPIC: "x-api-key",
    GEMINI: "x-goog-api-key",
}

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Metered:
    """A call that is being served, and what will happen to it."""

    call: Call
    """The open call."""
    plan: Plan
    """What to do."""
    headers: Headers
    """Headers of the answer."""


class Provider:
    """The state of a rehearsal provider: knobs, prompt cache, bill."""

    def __init__(
        self,
        knobs: Knobs,
        *,
        nonce: bytes,
        now_ns: int,
        accepted_keys: Iterable[str] = (),
        rows_max: int = limits.ROWS_DEFAULT,
    ) -> None:
        self._first_knobs = knobs
        self._accepted_keys = frozenset(accepted_keys)
        self._ids = Ids(nonce)
        self._cache = PromptCache(limits.PROMPT_CACHE_ENTRIES_MAX)
        self._stored = StoredResponses(limits.STORED_RESPONSES_MAX)
        self.knobs = knobs
        self.bill = Bill(rows_max, now_ns)

    def handle(self, request: Request, now_ns: int, unix_s: int) -> Answer | Metered:
        """Decide one request."""
        if request.path.startswith(truth.PREFIX):
            return self._tell(request, now_ns)
        endpoint = METERED.get(key_of(request.path))
        if endpoint is not None and request.method == "POST":
            return self._meter(request, endpoint.provider, now_ns, unix_s)
        return self._serve_free(request, unix_s)

    def settle(self, metered: Metered, outcome: str, used: Quantities, now_ns: int) -> None:
        """End a call with what it used, over-billing aside."""
        billed = metered.plan.billed(used)
        cost_nano_usd = metered.plan.cost_nano_usd(billed)
        self.bill.settle(metered.call, now_ns, outcome, billed, cost_nano_usd)

    def _meter(self, request: Request, provider: str, now_ns: int, unix_s: int) -> Answer | Metered:
        request_id = self._request_id(provider)
        body: JsonObject = {}
        try:
            self._authorise(request, provider)
            body = METERED[key_of(request.path)].read(request)
            plan = self._plan(request, body, unix_s)
        except KnobError as error:
            refusal = Refusal(400, f"rehearsal knob: {error}")
        except RecursionError:
            refusal = Refusal(400, "The body is nested too deeply")
        except Refusal as caught:
            refusal = caught
        else:
            return self._open(request, provider, plan, request_id, now_ns)
        subject = self._subject(request, provider, request_id, body)
        call = self.bill.open(subject, 0, 0, now_ns)
        call.status = refusal.status
        self.bill.settle(call, now_ns, "error", NOTHING, 0)
        return self._refuse(provider, refusal, request_id)

    def _open(
        self, request: Request, provider: str, plan: Plan, request_id: str, now_ns: int
    ) -> Metered:
        if fails(plan.knobs, self.bill.next_number, plan.asked_model, request.key):
            assert plan.knobs.error_status is not None
            refusal = self._rehearsed_error(provider, plan.knobs, request_id)
            plan = replace(plan, refusal=refusal)
        subject = Subject(
            request_id=request_id,
            provider=provider,
            path=request.path,
            model=plan.asked_model,
            streamed=plan.stream is not None,
            tier=plan.tier,
            key_hint=request.key_hint,
            tag=request.tag,
            prompt=plan.prompt,
        )
        worst_nano_usd = plan.cost_nano_usd(plan.worst)
        call = self.bill.open(subject, worst_nano_usd, plan.planned_nano_usd, now_ns)
        headers = self._headers(
            provider, request_id, plan.knobs.latency_ms, plan.used.prompt_tokens
        )
        return Metered(call, plan, (*headers, *plan.headers))

    def _circumstances(self, unix_s: int) -> Circumstances:
        return Circumstances(
            self.knobs, self._ids, self._cache, self._stored, self.bill.next_number, unix_s
        )

    def _plan(self, request: Request, body: JsonObject, unix_s: int) -> Plan:
        return METERED[key_of(request.path)].plan(request, body, self._circumstances(unix_s))

    def _subject(
        self, request: Request, provider: str, request_id: str, body: JsonObject
    ) -> Subject:
        model = body.get("model")
        if provider == GEMINI:
            model = request.path.rpartition("/")[2].partition(":")[0]
        return Subject(
            request_id=request_id,
            provider=provider,
            path=request.path,
            model=model[:_MODEL_CHARS] if isinstance(model, str) else "",
            streamed=body.get("stream") is True,
            tier="",
            key_hint=request.key_hint,
            tag=request.tag,
            prompt="",
        )

    def _authorise(self, request: Request, provider: str) -> None:
        key = request.key
        if not key:
            hint = _KEY_HEADERS[provider]
            raise Refusal(401, f"You didn't provide an API key; send it as {hint}.")
        if self._accepted_keys and key not in self._accepted_keys:
            if provider == GEMINI:
                raise Refusal(400, "API key not valid.", code="API_KEY_INVALID")
            raise Refusal(401, f"Incorrect API key provided: {request.key_hint}")
        if provider == ANTHROPIC and "anthropic-version" not in request.headers:
            raise Refusal(400, "anthropic-version: header is required")

    def _serve_free(self, request: Request, unix_s: int) -> Answer:
        messages = request.path.startswith(anthropic_wire.MESSAGES_PATH)
        provider = ANTHROPIC if messages or request.speaks_anthropic else OPENAI
        provider = GEMINI if request.speaks_gemini else provider
        request_id = self._request_id(provider)
        try:
            return self._free_answer(request, provider, request_id, unix_s)
        except KnobError as error:
            return self._refuse(provider, Refusal(400, f"rehearsal knob: {error}"), request_id)
        except RecursionError:
            refusal = Refusal(400, "The body is nested too deeply")
            return self._refuse(provider, refusal, request_id)
        except Refusal as refusal:
            return self._refuse(provider, refusal, request_id)

    def _free_answer(self, request: Request, provider: str, request_id: str, unix_s: int) -> Answer:
        path, headers = request.path, self._headers(provider, request_id, 0, 0)
        free = FREE.get(key_of(path))
        if free is not None and request.method == "POST":
            self._authorise(request, free.provider)
            answer = free.answer(request, parse_object(request), self._circumstances(unix_s))
            return Answer(200, encode(answer), headers)
        if provider == GEMINI:
            return self._free_of_gemini(request, headers)
        wire = anthropic_wire if provider == ANTHROPIC else openai_embeddings
        if path == MODELS_PATH and request.method == "GET":
            self._authorise(request, provider)
            return Answer(200, encode(wire.models_json()), headers)
        if path.startswith(f"{MODELS_PATH}/") and request.method == "GET":
            self._authorise(request, provider)
            model = find(path.removeprefix(f"{MODELS_PATH}/"), provider)
            if model is None:
                raise Refusal(404, "The model does not exist", code="model_not_found")
            return Answer(200, encode(wire.model_json(model)), headers)
        known = path in (*METERED, *FREE, MODELS_PATH)
        where = f"{request.method} {path[:100]}"
        if known:
            raise Refusal(405, f"Method not allowed ({where})", code="method_not_allowed")
        raise Refusal(404, f"Unknown request URL: {where}", code="unknown_url")

    def _free_of_gemini(self, request: Request, headers: Headers) -> Answer:
        path = request.path
        self._authorise(request, GEMINI)
        if request.method == "GET" and path in gemini_wire.MODELS_PATHS:
            return Answer(200, encode(gemini_wire.models_json()), headers)
        model = find(path.partition("/models/")[2], GEMINI)
        if request.method != "GET" or model is None:
            raise Refusal(404, f"{request.method} {path[:100]} is not found")
        return Answer(200, encode(gemini_wire.model_json(model)), headers)

    def _tell(self, request: Request, now_ns: int) -> Answer:
        name = request.path.removeprefix(truth.PREFIX)
        try:
            if request.method == "GET":
                answer = self._told(name, request)
            elif request.method == "POST":
                answer = self._changed(name, request, now_ns)
            else:
                answer = None
        except KnobError as error:
            return truth.told({"error": str(error)}, 400)
        except Refusal as refusal:
            return truth.told({"error": refusal.message}, refusal.status)
        if answer is None:
            return truth.told({"error": f"there is no {request.method} {truth.PREFIX}{name}"}, 404)
        return answer

    def _told(self, name: str, request: Request) -> Answer | None:
        match name:
            case "health":
                return truth.told({"status": "ok"})
            case "prices":
                return truth.prices_answer()
            case "bill":
                return truth.bill_answer(self.bill, request)
            case "log":
                return truth.log_answer(self.bill, request)
            case "knobs":
                return truth.knobs_answer(self.knobs)
        return None

    def _changed(self, name: str, request: Request, now_ns: int) -> Answer | None:
        match name:
            case "knobs":
                changes = truth.changes_of(request)
                self.knobs = from_json(self.knobs, self._first_knobs, changes)
                return truth.knobs_answer(self.knobs)
            case "reset":
                self.bill.reset(now_ns)
                self._cache.clear()
                self._stored.clear()
                self.knobs = self._first_knobs
                return truth.told({"status": "ok"})
        return None

    def _request_id(self, provider: str) -> str:
        if provider == OPENAI:
            return self._ids.make("req_", 32)
        return self._ids.make("req_011C", 20) if provider == ANTHROPIC else self._ids.make("", 22)

    def _headers(
        self, provider: str, request_id: str, latency_ms: int, prompt_tokens: int
    ) -> Headers:
        if provider == OPENAI:
            return tuple(openai_wire.answer_headers(request_id, latency_ms, prompt_tokens))
        if provider == GEMINI:
            return (("server-timing", f"gfet4t7; dur={latency_ms}"),)
        return tuple(anthropic_wire.answer_headers(request_id, prompt_tokens))

    def _refuse(self, provider: str, refusal: Refusal, request_id: str) -> Answer:
        headers = self._headers(provider, request_id, 0, 0)
        if provider == OPENAI:
            return openai_wire.refusal_answer(refusal, headers)
        if provider == GEMINI:
            return gemini_wire.refusal_answer(refusal, headers)
        return anthropic_wire.refusal_answer(refusal, request_id, headers)

    def _rehearsed_error(self, provider: str, knobs: Knobs, request_id: str) -> Answer:
        status = knobs.error_status
        assert status is not None
        headers = self._headers(provider, request_id, knobs.latency_ms, 0)
        if knobs.retry_after_s is not None:
            headers = (*headers, ("retry-after", str(knobs.retry_after_s)))
        if provider == OPENAI:
            return Answer(status, encode(openai_wire.error_body(status, None, None, None)), headers)
        if provider == GEMINI:
            return Answer(status, encode(gemini_wire.error_body(status, None)), headers)
        body = anthropic_wire.error_body(status, None, request_id)
        return Answer(status, encode(body), headers)
