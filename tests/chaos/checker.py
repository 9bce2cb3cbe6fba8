"""What must hold, judged from facts alone: pure. Every difference is a sentence; none is well.

I1  the bill of each budget, less overruns that were asked for, is within its ceiling
I2  each billed call is in the ledger exactly once: exact where its sidecar lived to see the usage,
    else estimated and never below the bill; nothing is charged that was neither billed nor lost
I4  at rest nothing is held, what a budget has leased is the sum of its leases, and what it has
    spent is the sum of its calls
I5  nothing starts against a revocation or a lower cap after the promised instant
and callers were never told otherwise: no 2xx without a bill, no bill behind a refusal, and each
refusal in the envelope, with the status and the code, that its reason calls for. A caller that
still waited got an answer, and a refusal whole, if its sidecar took the call and lived.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator

from tests.chaos.caller import ANTHROPIC
from tests.chaos.facts import Billed, Booked, Facts, Killed, Made, Standing
from tests.chaos.limits import ANSWERED_BEFORE_NS, CLOCK_SLACK_NS, PROMISE_SLACK_NS

FACES = {
    "exhausted": (402, "insufficient_quota"),
    "too_large": (402, "request_exceeds_budget"),
    "unreachable": (503, "budget_authority_unavailable"),
    "busy": (429, "budget_busy"),
    "invalid_key": (401, "invalid_api_key"),
    "key_revoked": (401, "key_revoked"),
    "shutting_down": (503, "shutting_down"),
    "journal_failed": (503, "journal_failed"),
    "disk_full": (503, "disk_full"),
    "fenced": (503, "fenced"),
    "upstream_unreachable": (502, "upstream_unreachable"),
    "upstream_broke_off": (502, "upstream_broke_off"),
}
"""Refusals that may come of these faults: reason, status, code. Written down here on purpose."""
RETRYABLE = frozenset(("unreachable", "busy", "shutting_down", "disk_full", "upstream_unreachable"))
MAYBE_BILLED = frozenset(("upstream_broke_off",))
"""Refusals that say themselves that the provider may bill the call."""
DIFFERENCES_MAX = 40
"""More are not told."""


def differences(facts: Facts) -> list[str]:
    """Everything that is not as it must be."""
    found = [
        *_caps(facts),
        *_ledger(facts),
        *_rest(facts),
        *_promises(facts),
        *_callers(facts),
        *_alarms(facts),
    ]
    if len(found) > DIFFERENCES_MAX:
        found[DIFFERENCES_MAX:] = [f"and {len(found) - DIFFERENCES_MAX} more"]
    return found


def reason_of(made: Made) -> str:
    """Why a call was refused, as the refusal says; empty for none or for a provider's own error."""
    answer = made.answer
    if answer.status < 400:
        return ""
    error = answer.error
    details = error.get("details" if made.asked.family == ANTHROPIC else "bursar")
    return str(details.get("reason", "")) if isinstance(details, dict) else ""


def _caps(facts: Facts) -> Iterator[str]:
    for budget_id, ceiling in facts.ceilings.items():
        bill = facts.budget_bills.get(budget_id, 0) - facts.budget_overruns.get(budget_id, 0)
        if bill > ceiling:
            yield f"I1: {bill} was billed for {budget_id}, which may spend {ceiling}"
    for row in facts.billed:
        made = facts.made.get(row.tag)
        if made is None:
            yield f"a call {row.tag!r} was billed that nobody made"
        elif row.overrun_nano_usd and not made.overbilled:
            yield f"{row.tag}: billed {row.cost_nano_usd} above its worst case, unasked"


def _ledger(facts: Facts) -> Iterator[str]:
    booked: dict[str, list[Booked]] = defaultdict(list)
    for call in facts.booked:
        booked[call.tag].append(call)
    repeated = [
        name for name, count in Counter(c.call_id for c in facts.booked).items() if count > 1
    ]
    for name in repeated:
        yield f"I2: call {name} is in the ledger more than once"
    billed = {row.tag: row for row in facts.billed}
    if len(billed) != len(facts.billed):
        yield "a call was sent to the provider more than once"
    for tag, row in billed.items():
        calls = booked.get(tag, [])
        made = facts.made.get(tag)
        if made is None:
            continue
        if len(calls) == 1:
            yield from _entry(facts, made, row, calls[0])
        elif calls:
            yield f"I2: {tag} is in the ledger {len(calls)} times"
        elif row.cost_nano_usd and not _silenced(facts, made):
            yield f"I2: {tag} was billed {row.cost_nano_usd} and is not in the ledger"
    for tag, calls in booked.items():
        if tag not in billed:
            yield from _unbilled(facts, tag, calls)


def _silenced(facts: Facts, made: Made) -> bool:
    """Whether its sidecar can tell nothing of a call any more."""
    spans = facts.silenced.get(made.sidecar, ())
    return any(span.meets(made.answer.started_ns, made.answer.ended_ns) for span in spans)


def _entry(facts: Facts, made: Made, row: Billed, call: Booked) -> Iterator[str]:
    """A billed call's entry: exact or, with a reason, estimated and not too low."""
    tag, cost = row.tag, call.cost_nano_usd
    if call.request_id and call.request_id != row.request_id:
        yield f"I2: {tag} is booked for request {call.request_id}, billed for {row.request_id}"
    if cost < row.cost_nano_usd:
        yield f"I2: {tag} was billed {row.cost_nano_usd} and is booked with {cost} only"
    if not call.estimated and cost != row.cost_nano_usd:
        yield f"I2: {tag} was billed {row.cost_nano_usd} and is booked as exactly {cost}"
    if call.estimated and _seen_to_the_end(facts, made, row):
        yield f"I2: {tag} is estimated ({call.outcome}), though its sidecar lived to see its usage"
    if not call.estimated and _died_with(facts, made, row) and row.cost_nano_usd:
        yield f"I2: {tag} is exact, though its sidecar was dead when it ended"


def _seen_to_the_end(facts: Facts, made: Made, row: Billed) -> bool:
    if row.outcome not in ("done", "error") or (row.outcome == "error" and row.cost_nano_usd):
        return False
    if row.streamed and made.answer.hung_up:
        return False
    if any(
        span.meets(row.started_ns, row.ended_ns + ANSWERED_BEFORE_NS) for span in facts.bad_lines
    ):
        return False
    return not any(
        death.meets(made.answer.started_ns, row.ended_ns + ANSWERED_BEFORE_NS)
        for death in facts.deaths.get(made.sidecar, ())
    )


def _died_with(facts: Facts, made: Made, row: Billed) -> bool:
    """Whether its sidecar was killed after it was sent and before the provider was done."""
    return any(
        row.started_ns + CLOCK_SLACK_NS < death.from_ns
        and death.to_ns < row.ended_ns - CLOCK_SLACK_NS
        for death in facts.deaths.get(made.sidecar, ())
        if isinstance(death, Killed)
    )


def _unbilled(facts: Facts, tag: str, calls: list[Booked]) -> Iterator[str]:
    """What is in the ledger and on no bill cost nothing, or is the worst case of a lost call."""
    made = facts.made.get(tag)
    if made is None:
        yield f"the ledger has a call {tag!r} that nobody made"
        return
    if len(calls) > 1:
        yield f"I2: {tag} is in the ledger {len(calls)} times"
    for call in calls:
        if not call.cost_nano_usd:
            continue
        started, ended = made.answer.started_ns, made.answer.ended_ns + ANSWERED_BEFORE_NS
        lost = any(death.meets(started, ended) for death in facts.deaths.get(made.sidecar, ()))
        lost |= any(span.meets(started, ended) for span in facts.bad_lines)
        if not (lost and call.estimated):
            yield f"I2: {tag} was not billed and is booked with {call.cost_nano_usd}"


def _rest(facts: Facts) -> Iterator[str]:
    if facts.in_flight:
        yield f"the provider has {facts.in_flight} calls open"
    if facts.mode != "NORMAL":
        yield f"the control plane is still {facts.mode}"
    leased: Counter[str] = Counter()
    for lease in facts.leases:
        if lease.state != "ORPHANED":
            leased[lease.budget_id] += lease.outstanding_nano_usd
        if lease.outstanding_nano_usd < 0:
            yield f"a lease of {lease.budget_id} holds {lease.outstanding_nano_usd}"
    for budget_id, standing in facts.standings.items():
        if standing.held_nano_usd and budget_id not in facts.silenced_budgets:
            yield f"I4: {standing.held_nano_usd} of {budget_id} is held at rest"
        if standing.leased_nano_usd != leased[budget_id]:
            yield (
                f"I4: {budget_id} has leased {standing.leased_nano_usd}, "
                f"its leases come to {leased[budget_id]}"
            )
        bill = facts.budget_bills.get(budget_id, 0)
        missing = bill - standing.spent_nano_usd
        if missing > 0 and budget_id not in facts.silenced_budgets:
            yield f"I2: {budget_id} was billed {bill}, its ledger has {standing.spent_nano_usd}"
        elif missing > standing.leased_nano_usd + standing.orphaned_nano_usd:
            yield f"I2: {missing} of {budget_id} is billed, not booked, and set aside nowhere"
        if facts.whole:
            yield from _sums(facts, budget_id, standing)


def _sums(facts: Facts, budget_id: str, standing: Standing) -> Iterator[str]:
    """Over all rounds: what is spent is what is booked, and what is not booked is set aside."""
    total = _booked_on(facts, budget_id) + standing.lump_nano_usd
    if standing.spent_nano_usd != total:
        yield f"I2: {budget_id} has spent {standing.spent_nano_usd}, its calls come to {total}"
    booked = {call.tag for call in facts.booked}
    untold = sum(
        row.cost_nano_usd
        for row in facts.billed
        if row.tag not in booked
        and (made := facts.made.get(row.tag)) is not None
        and budget_id in made.budgets
    )
    aside = standing.orphaned_nano_usd + standing.lump_nano_usd
    if untold > aside:
        yield f"I2: {untold} of {budget_id} can never be told, and only {aside} is set aside for it"


def _booked_on(facts: Facts, budget_id: str) -> int:
    return sum(
        call.cost_nano_usd
        for call in facts.booked
        if (made := facts.made.get(call.tag)) is not None and budget_id in made.budgets
    )


def _promises(facts: Facts) -> Iterator[str]:
    for promise in facts.promises:
        late = [
            row
            for row in facts.billed
            if promise.at_ns + PROMISE_SLACK_NS < row.started_ns < promise.until_ns
            and (made := facts.made.get(row.tag)) is not None
            and (
                made.key_id == promise.key_id
                or made.sidecar == promise.sidecar
                or promise.budget_id in made.budgets
            )
        ]
        if promise.budget_id and (
            _spent_by(facts, promise.budget_id, promise.until_ns) <= promise.cap_nano_usd
        ):
            late = []
        for row in late:
            after_ms = (row.started_ns - promise.at_ns) // 1_000_000
            yield f"I5: {row.tag} started {after_ms} ms after {promise.what} was to bind"


def _spent_by(facts: Facts, budget_id: str, before_ns: int) -> int:
    return sum(
        row.cost_nano_usd - row.overrun_nano_usd
        for row in facts.billed
        if row.started_ns < before_ns
        and (made := facts.made.get(row.tag)) is not None
        and budget_id in made.budgets
    )


def _callers(facts: Facts) -> Iterator[str]:
    billed = {row.tag: row for row in facts.billed}
    for tag, made in facts.made.items():
        answer, row = made.answer, billed.get(tag)
        if answer.status == 200 and answer.whole:
            if row is None or not row.cost_nano_usd:
                yield f"{tag}: answered with 200, and not billed"
            elif not made.asked.stream:
                told = answer.headers.get("x-bursar-cost-nano-usd")
                if told != str(row.cost_nano_usd):
                    yield f"{tag}: its answer says {told}, it was billed {row.cost_nano_usd}"
        elif answer.status >= 400 and answer.whole:
            yield from _refusal(tag, made, row)
        elif answer.status != 200 and _was_owed(facts, made):
            cut = f"a part of a {answer.status}" if answer.status else "no answer"
            yield f"{tag}: got {cut}, though its caller waited and its sidecar lived"


def _was_owed(facts: Facts, made: Made) -> bool:
    """Whether a caller waited to the end, at a sidecar that took its call and lived.

    It did not live if it was killed meanwhile, or told to end before the call came.
    """
    if made.answer.hung_up or not made.answer.connected:
        return False
    started_ns, ended_ns = made.answer.started_ns, made.answer.ended_ns
    killed = any(
        death.meets(started_ns - CLOCK_SLACK_NS, ended_ns + CLOCK_SLACK_NS)
        for death in facts.deaths.get(made.sidecar, ())
        if isinstance(death, Killed)
    )
    return not killed and not any(
        stop.meets(started_ns - CLOCK_SLACK_NS, started_ns + CLOCK_SLACK_NS)
        for stop in facts.stops.get(made.sidecar, ())
    )


def _refusal(tag: str, made: Made, row: Billed | None) -> Iterator[str]:
    answer = made.answer
    if answer.headers.get("x-bursar-upstream") == "provider" and answer.status != 502:
        if row is None or row.status != answer.status or row.cost_nano_usd:
            yield f"{tag}: a status {answer.status} is shown as the provider's, the bill has {row}"
        return
    reason = reason_of(made)
    face = FACES.get(reason)
    if face is None:
        words = answer.body[:200].decode(errors="replace")
        yield f"{tag}: {answer.status} {reason!r}, which nothing here causes: {words}"
        return
    error = answer.error
    code = (
        error.get("details", {}).get("error_code")
        if made.asked.family == ANTHROPIC
        else error.get("code")
    )
    if (answer.status, code) != face:
        yield f"{tag}: {reason} came as {answer.status} {code}, not as {face[0]} {face[1]}"
    if not error.get("message") or not error.get("type"):
        yield f"{tag}: the refusal ({reason}) has no words or no type"
    retry = answer.headers.get("x-should-retry")
    if retry != ("true" if reason in RETRYABLE else "false"):
        yield f"{tag}: {reason} says x-should-retry: {retry}"
    if row is not None and row.cost_nano_usd and reason not in MAYBE_BILLED:
        yield f"{tag}: refused ({reason}), and billed {row.cost_nano_usd}"


def _alarms(facts: Facts) -> Iterator[str]:
    for source, name in facts.alarms:
        if name not in facts.expected_alarms:
            yield f"{source} raised {name}, which nothing here causes"
