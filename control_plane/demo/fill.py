"""Fills an empty data folder with the demo, hour by hour, as an agency would have lived it.

Every call is opened on leases, reported by a Sync and booked by it; caps are raised, a runaway is
stopped by its cap. Only time is not real: it passes as fast as the ledger takes it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar
from zoneinfo import ZoneInfo

from control_plane.core.budgets import NewBudget, SetCap
from control_plane.core.calls import Call
from control_plane.core.joining import NewJoinToken
from control_plane.core.keys import NewKey
from control_plane.core.leases import BudgetRef
from control_plane.core.prices import in_force
from control_plane.core.principals import Principal, Role
from control_plane.core.projects import NewProject
from control_plane.core.rate_cards import RateCard
from control_plane.core.workflows import Roi
from control_plane.demo.clients import CLIENTS, DemoClient, Work
from control_plane.demo.months import DAY_MS, HOUR_MS, Moment, moments_of
from control_plane.demo.sidecar import DemoSidecar
from control_plane.entropy import Entropy
from control_plane.store import prices, principals
from control_plane.store.engine import Tx
from control_plane.store.sqlite import InlineStore
from control_plane.usecases import budgets, keys, projects, rate_cards, workflows
from control_plane.usecases.acts import Act
from control_plane.usecases.housekeeping import keep_house
from control_plane.usecases.installation import found
from control_plane.usecases.join import Join, join
from control_plane.usecases.levels import Levels
from control_plane.usecases.principals import create_principal
from control_plane.usecases.sidecars import create_join_token
from protos.values.rates import ModelPrice, cost_nano_usd

T = TypeVar("T")

_USD: Final = 1_000_000_000
_SIDECARS: Final = (("frankfurt", "eu"), ("virginia", "us"), ("sydney", "ap"))
_AGENCY_CAP_USD: Final = 2_000
_RUNAWAY_DAYS: Final = 2
"""So many days before now the runaway begins."""
_GIVEN_UP_MS: Final = 60_000
_PROVIDERS: Final = {"gpt": "openai", "claude": "anthropic", "gemini": "gemini"}
_SURFACES: Final = {
    "openai": "/v1/chat/completions",
    "anthropic": "/v1/messages",
    "gemini": "/v1beta/models/{model}:generateContent",
}


@dataclass(slots=True)
class DemoClock:
    """The clock of the demo's past."""

    now_unix_ms: int

    def unix_ms(self) -> int:
        """The demo's time."""
        return self.now_unix_ms

    def monotonic_ns(self) -> int:
        """As far as it passed."""
        return self.now_unix_ms * 1_000_000


@dataclass(frozen=True, slots=True)
class _Settled:
    """A client as it lives in the database."""

    client: DemoClient
    project_id: str
    budget_id: str
    keys: dict[str, str]
    """The id of each workflow's key."""
    sidecar: int


@dataclass(slots=True)
class Filled:
    """What came of it."""

    calls: int = 0
    refused: int = 0
    spent_nano_usd: int = 0
    clients: int = 0


@dataclass(slots=True)
class Demo:
    """An installation whose past is being made."""

    store: InlineStore
    clock: DemoClock
    entropy: Entropy
    seed: int
    keep_token: Callable[[str], None]
    wanted: Sequence[DemoClient] = CLIENTS
    filled: Filled = field(default_factory=Filled)
    _clients: list[_Settled] = field(default_factory=list)
    _sidecars: list[DemoSidecar] = field(default_factory=list)
    _prices: dict[tuple[str, str], tuple[str, ModelPrice]] = field(default_factory=dict)
    _levels: Levels = field(init=False)
    _agency: str = ""
    _numbers: int = 0

    def settle_in(self) -> None:
        """Found the installation, and let clients and sidecars join it."""
        now = self.clock.now_unix_ms
        self._levels = Levels(started_unix_ms=now)
        self._write(
            lambda tx: found(
                tx, self.entropy, now, time_zone="Europe/Berlin", keep_token=self.keep_token
            )
        )
        for name, role in (("dana", Role.OPERATOR), ("lee", Role.VIEWER)):
            self._do(
                "CreatePrincipal", lambda tx, act, n=name, r=role: create_principal(tx, n, r, act)
            )
        self._prices = self._write(_prices)
        agency = NewBudget(display_name="the agency", cap_nano_usd=_AGENCY_CAP_USD * _USD)
        made = self._do(
            "CreateBudget", lambda tx, act: budgets.create_budget(tx, agency, "all clients", act)
        )
        self._agency = made.budget.budget_id
        self.filled.clients = len(self.wanted)
        self._clients = [self._settle(client) for client in self.wanted]
        for name, region in _SIDECARS:
            self._sidecars.append(self._join(name, region))

    def live_until(self, end_unix_ms: int) -> Iterator[int]:
        """Let hours pass; each is told when it is over."""
        start = self.clock.now_unix_ms
        while self.clock.now_unix_ms + HOUR_MS <= end_unix_ms:
            self._live_an_hour(start, end_unix_ms)
            self.clock.now_unix_ms += HOUR_MS
            if self.clock.now_unix_ms % DAY_MS == 0:
                self._write(self._keep_house)
            yield self.clock.now_unix_ms

    def leave(self) -> None:
        """Let the demo's sidecars end in order: nothing of what they held stays behind."""
        # Calls that waited have given up by then, so nothing is granted to them any more.
        self.clock.now_unix_ms += _GIVEN_UP_MS
        for sidecar in self._sidecars:
            sidecar.leave(self._write, self.clock.now_unix_ms)

    def _keep_house(self, tx: Tx) -> None:
        keep_house(tx, self._levels, self.clock.now_unix_ms)

    def _live_an_hour(self, start_unix_ms: int, end_unix_ms: int) -> None:
        now = self.clock.now_unix_ms
        for settled in self._clients:
            self._decide(settled, end_unix_ms)
            calls = self._calls(settled, start_unix_ms, end_unix_ms)
            sidecar = self._sidecars[settled.sidecar]
            refs = tuple(sorted(BudgetRef(each, "") for each in (settled.budget_id, self._agency)))
            ahead = sum(call.worst_nano_usd for call in calls)
            stopped: BudgetRef | None = None
            for call in calls:
                if stopped is None:
                    stopped = sidecar.call(call, refs, ahead, now)
                ahead -= call.worst_nano_usd
                if stopped is None:
                    self.filled.calls += 1
                    self.filled.spent_nano_usd += call.cost_nano_usd
                else:
                    sidecar.refuse(call, stopped)
                    self.filled.refused += 1
        for sidecar in self._sidecars:
            sidecar.sync(now)

    def _decide(self, settled: _Settled, end_unix_ms: int) -> None:
        """Raise the cap of the client who asked for it, in the middle of the last whole month."""
        at = datetime.fromtimestamp(self.clock.now_unix_ms / 1000, UTC)
        last = datetime.fromtimestamp(end_unix_ms / 1000, UTC)
        due = (last.year * 12 + last.month) - (at.year * 12 + at.month) == 1
        if not (settled.client.raised and due and (at.day, at.hour) == (18, 9)):
            return
        wish = SetCap(
            settled.budget_id,
            settled.client.cap_usd * _USD * 3 // 2,
            reason="more parcels before the holidays, agreed by mail",
        )
        self._do("SetCap", lambda tx, act: budgets.set_cap(tx, wish, act))

    def _calls(self, settled: _Settled, start_unix_ms: int, end_unix_ms: int) -> list[Call]:
        zone = ZoneInfo(settled.client.time_zone)
        hour = datetime.fromtimestamp(self.clock.now_unix_ms / 1000, zone)
        left = end_unix_ms - self.clock.now_unix_ms
        made: list[Call] = []
        for number, work in enumerate(settled.client.works):
            loops = settled.client.runs_away and number == 0 and left <= _RUNAWAY_DAYS * DAY_MS
            moments = moments_of(settled.client, work, self.seed, start_unix_ms, hour, loops=loops)
            made += [self._call(settled, work, moment) for moment in moments]
        return sorted(made, key=lambda call: (call.started_unix_ms, call.call_id))

    def _call(self, settled: _Settled, work: Work, moment: Moment) -> Call:
        provider = _provider_of(work.model)
        version, price = self._prices[provider, work.model]
        used = {
            "input": moment.input_tokens - moment.cached_tokens,
            "cached": moment.cached_tokens,
            "output": moment.output_tokens,
        }
        cost = 0 if moment.fails else cost_nano_usd(used, price)
        # A request's bytes are about four times its tokens, and its limit on output has room.
        most = {"input": 4 * moment.input_tokens, "output": max(1_024, 2 * moment.output_tokens)}
        worst = max(cost, cost_nano_usd(most, price))
        self._numbers += 1
        return Call(
            call_id=f"call_{moment.at_unix_ms:013d}{self._numbers:08d}",
            started_unix_ms=moment.at_unix_ms,
            ended_unix_ms=moment.at_unix_ms + moment.duration_ms,
            project_id=settled.project_id,
            key_id=settled.keys[work.name],
            secret_id="",
            workflow=work.name,
            execution=moment.execution,
            step="",
            region=_SIDECARS[settled.sidecar][1],
            provider=provider,
            surface=_SURFACES[provider],
            requested_model=work.model,
            answered_model=work.model,
            alias="",
            tier="",
            streamed=False,
            outcome="provider_error" if moment.fails else "ok",
            error_kind="overloaded" if moment.fails else "",
            status=529 if moment.fails else 200,
            first_byte_ms=moment.first_byte_ms,
            quantities={kind: count for kind, count in used.items() if count},
            price_version=version,
            worst_nano_usd=worst,
            cost_nano_usd=cost,
            estimated=False,
            parent_call_id="",
            provider_request_id="",
            clamped_output_count=0,
            vector=(),
            counted=(),
        )

    def _settle(self, client: DemoClient) -> _Settled:
        asked = NewProject(client.name, client.time_zone)
        first = NewBudget(cap_nano_usd=client.cap_usd * _USD)
        project, budget = self._do(
            "CreateProject", lambda tx, act: projects.create_project(tx, asked, first, act)
        )
        own = project.project_id
        card = RateCard(own, "", self.clock.now_unix_ms, client.markup_percent * 10_000)
        self._do(
            "SetRateCard",
            lambda tx, act: rate_cards.set_rate_card(tx, card, None, "as in the contract", act),
        )
        made = {}
        for work in client.works:
            wanted = NewKey(own, workflow=work.name)
            key, _ = self._do("CreateKey", lambda tx, act, w=wanted: keys.create_key(tx, w, act))
            made[work.name] = key.key_id
            if work.unit is not None:
                self._agree(own, work, *work.unit)
        sidecar = _sidecar_of(client.time_zone)
        return _Settled(client, own, budget.budget_id, made, sidecar)

    def _agree(self, project_id: str, work: Work, unit: str, units: str) -> None:
        roi = Roi(
            project_id,
            work.name,
            unit,
            units,
            "call",
            work.seconds_per_unit,
            agreed_by="the client's head of operations",
            agreed_on=datetime.fromtimestamp(self.clock.now_unix_ms / 1000, UTC).date().isoformat(),
        )
        self._do("SetRoi", lambda tx, act: workflows.set_roi(tx, roi, act))

    def _join(self, name: str, region: str) -> DemoSidecar:
        wanted = NewJoinToken(lifetime_ms=HOUR_MS, region=region)
        _, text = self._do("CreateJoinToken", lambda tx, act: create_join_token(tx, wanted, act))
        asked = Join(
            text, self.entropy.random_bytes(32), self.entropy.random_bytes(32), f"demo-{name}"
        )
        now = self.clock.now_unix_ms
        made = self._write(lambda tx: join(tx, asked, self.entropy, now))
        sidecar = DemoSidecar(made.sidecar_id, self._write, self._levels)
        sidecar.register(self._write, now)
        return sidecar

    def _do(self, method: str, fn: Callable[..., T]) -> T:
        owner: Principal | None = self.store.read(
            lambda tx: principals.by_name(tx, "owner")
        ).result()
        assert owner is not None
        self._numbers += 1
        self.clock.now_unix_ms += 1
        act = Act(owner, method, f"demo-{self._numbers}", self.clock.now_unix_ms, self.entropy)
        return self.store.write(lambda tx: fn(tx, act)).result()

    def _write(self, fn: Callable[[Tx], Any]) -> Any:
        return self.store.write(fn).result()


def folder_is_free(data: Path) -> bool:
    """Whether nothing lies there that the demo could mix with."""
    return not data.exists() or not any(data.iterdir())


def _prices(tx: Tx) -> dict[tuple[str, str], tuple[str, ModelPrice]]:
    known = in_force(prices.everything(tx), 2**53)
    return {name: (price.model_price.version, price.model_price) for name, price in known.items()}


def _provider_of(model: str) -> str:
    return next(found for begin, found in _PROVIDERS.items() if model.startswith(begin))


def _sidecar_of(time_zone: str) -> int:
    area = time_zone.partition("/")[0]
    return {"Europe": 0, "America": 1}.get(area, 2)
