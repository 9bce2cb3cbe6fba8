"""A caller's call through a sidecar, and what the provider makes of it."""

from dataclasses import dataclass

from protos.values.selectors import Attributes
from sidecar.core.calls import Bound, Hold, NewCall, Outcome, Settlement
from sidecar.core.refusals import Refused
from tests.simulation import authority, invariants
from tests.simulation.clocks import sleep, true_ms
from tests.simulation.host import Life, SimulatedHost
from tests.simulation.invariants import ViolationError
from tests.simulation.provider import Billing
from tests.simulation.simulation import Simulation

UNBILLED = ("fails", "unsent")


@dataclass(frozen=True, slots=True)
class Order:
    """A call that somebody wants to make."""

    project_id: str
    key_id: str
    secret_id: str
    workflow: str
    worst_nano_usd: int
    ends: str = "less"
    """How: "less" or "exact" or "more" than its worst case is billed, it runs into a "timeout" and
    is billed all the same, the provider "fails" unbilled, or it is "unsent"."""
    share_permille: int = 500
    """Of its worst case, what is billed where less is."""
    lasts_ms: int = 1_000

    @property
    def attributes(self) -> Attributes:
        return Attributes(self.project_id, self.key_id, self.workflow, "gpt-x")

    @property
    def bill_nano_usd(self) -> int:
        if self.ends in UNBILLED:
            return 0
        if self.ends == "exact":
            return self.worst_nano_usd
        if self.ends == "more":
            return self.worst_nano_usd + self.worst_nano_usd * self.share_permille // 3_000 + 1
        return self.worst_nano_usd * self.share_permille // 1_000

    def asked(self) -> NewCall:
        return NewCall(
            attributes=self.attributes,
            secret_id=self.secret_id,
            provider="openai",
            surface="/v1/chat/completions",
            alias="",
            execution="",
            step="",
            streamed=False,
            price_version="book-1",
            bound=Bound(self.worst_nano_usd, 0, 1, 0, None),
        )


async def call(simulation: Simulation, host: SimulatedHost, order: Order) -> None:
    """One call, by whichever process lives at the host."""
    life = host.life
    if life is None or life.dead or not life.ready.is_set():
        simulation.step("no process", host.name)
        return
    life.calls.start_soon(_through, simulation, life, order)


async def _through(simulation: Simulation, life: Life, order: Order) -> None:
    await life.host.awake()
    simulation.step("call comes", life.name, order.worst_nano_usd)
    try:
        hold = await life.admission.open(order.asked())
    except Refused as refused:
        if life.dead:
            return
        refusal = refused.refusal
        simulation.refusals.append(refusal)
        invariants.check_refusal(life, refusal, order.worst_nano_usd, order.attributes)
        simulation.check_sidecars("refused", life.name, refusal.reason.value)
        simulation.call_done.set()
        return
    life.happened("call opened")
    if life.dead:
        return
    if order.ends == "unsent":
        life.admission.void(hold, Settlement(outcome=Outcome.NOT_SENT))
        simulation.check_sidecars("voided", life.name)
        return
    # Whether a call may go out is looked at last before this; a machine may sleep in between.
    at_once = not life.host.frozen
    await life.host.awake()
    if not life.dead:
        await _sent(simulation, life, order, hold, at_once=at_once)


async def _sent(
    simulation: Simulation, life: Life, order: Order, hold: Hold, *, at_once: bool
) -> None:
    opened = life.admission._open._calls[hold.call_id]
    billing = Billing(
        call_id=hold.call_id,
        worst_nano_usd=hold.worst_nano_usd,
        vector=tuple(lease.key for lease in opened.leases),
        counted=life.admission._routes.route(order.attributes).counted,
        life=life,
        journal=life.disk.journal,
        sent_ms=true_ms(),
    )
    authority.check_dispatch(simulation, billing, hold, at_once=at_once)
    simulation.provider.take(billing)
    simulation.nursery.start_soon(_billed, simulation, billing, order)
    simulation.check_sidecars("call sent", life.name, hold.worst_nano_usd)
    simulation.call_done.set()
    await sleep(order.lasts_ms / 1_000)
    await life.host.awake()
    if life.dead:
        return
    _settle(life, order, hold, billing)
    billing.settled_seq = life.journal.last_seq
    simulation.check_sidecars("call settled", life.name, order.ends)
    life.happened("call settled")


async def _billed(simulation: Simulation, billing: Billing, order: Order) -> None:
    """The provider ends the call, whoever still listens."""
    await sleep(order.lasts_ms / 1_000)
    simulation.provider.bill(billing, order.bill_nano_usd)
    if billing.excess_nano_usd:
        simulation.count("call billed more")
    if order.ends == "timeout":
        simulation.count("provider timeout")
    if order.ends == "fails":
        simulation.count("call unbilled")
    if billing.life.dead:
        simulation.count("billed after its process died")
    try:
        invariants.check_truth(simulation)
    except ViolationError as violation:
        simulation.fail(violation)


def _settle(life: Life, order: Order, hold: Hold, billing: Billing) -> None:
    if order.ends == "fails":
        life.admission.void(hold, Settlement(outcome=Outcome.PROVIDER_ERROR))
        billing.seen = True
    elif order.ends == "timeout":
        worst = hold.worst_nano_usd
        guessed = Settlement(outcome=Outcome.TIMEOUT, cost_nano_usd=worst, estimated=True)
        life.admission.settle(hold, guessed)
        billing.guessed = True
    else:
        seen = Settlement(outcome=Outcome.OK, cost_nano_usd=order.bill_nano_usd)
        life.admission.settle(hold, seen)
        billing.seen = True
