"""One builder per noun of the sidecar, with defaults that a story need not tell."""

from dataclasses import dataclass

from protos.values.rates import ModelPrice, Tier
from protos.values.selectors import Attributes, Selector, SplitBy
from sidecar.core.calls import Bound, NewCall
from sidecar.core.instants import Now
from sidecar.core.leases import Grant, LeaseKey
from sidecar.core.policy import Budget, DatedPrice, Key, Policy, Project, Provider

CENT = 10_000_000
DOLLAR = 100 * CENT
NOON = 1_795_000_000_000
"""An instant by the wall clock."""
MONTH = "2026-11-01"


@dataclass
class HandClock:
    """Both clocks, moved by hand."""

    unix_ms: int = NOON
    boot_ms: int = 1_000_000

    def now(self) -> Now:
        return Now(self.unix_ms, self.boot_ms)

    def forward(self, ms: int) -> Now:
        self.unix_ms += ms
        self.boot_ms += ms
        return self.now()


class CountedEntropy:
    """Random bytes that are only different, each time."""

    def __init__(self) -> None:
        self._count = 0

    def random_bytes(self, count: int) -> bytes:
        self._count += 1
        return self._count.to_bytes(count)


def attributes(
    project: str = "prj_a", key: str = "key_a", workflow: str = "", model: str = "gpt-x"
) -> Attributes:
    return Attributes(project, key, workflow, model)


def bound(
    worst: int = CENT, *, output_rate: int = 0, output_max: int = 0, limit: int | None = None
) -> Bound:
    """A call that costs so much at most, and so much more per token of output."""
    return Bound(
        input_worst_nano_usd=worst,
        output_rate_pico_usd=output_rate,
        choices=1,
        output_max=output_max,
        output_limit=limit,
    )


def new_call(
    worst: int = CENT,
    *,
    of: Attributes | None = None,
    what: Bound | None = None,
    secret: str = "sec_a",
    streamed: bool = False,
) -> NewCall:
    return NewCall(
        attributes=of or attributes(),
        secret_id=secret,
        provider="openai",
        surface="/v1/chat/completions",
        alias="",
        execution="",
        step="",
        streamed=streamed,
        price_version="book-1",
        bound=what or bound(worst),
    )


def budget(
    budget_id: str = "bgt_a",
    *,
    project: str = "prj_a",
    workflow: str = "",
    split: SplitBy = "",
    capped: bool = True,
    cap_version: int = 1,
) -> Budget:
    return Budget(
        budget_id=budget_id,
        display_name=budget_id.removeprefix("bgt_"),
        selector=Selector(project_id=project, workflow=workflow),
        split_by=split,
        capped=capped,
        cap_version=cap_version,
    )


def key(
    key_id: str = "key_a",
    *,
    secret: str = "sec_a",
    project: str = "prj_a",
    revoked: bool = False,
    expires: int | None = None,
    models: frozenset[str] = frozenset(),
) -> Key:
    return Key(
        digest=secret.encode().ljust(32, b"."),
        key_id=key_id,
        secret_id=secret,
        project_id=project,
        expires_unix_ms=expires,
        models=models,
        workflow="",
        revoked=revoked,
    )


def project(
    project_id: str = "prj_a", *, active: bool = True, patience_ms: int = 20_000
) -> Project:
    return Project(project_id, project_id, active, patience_ms)


def price(
    model: str = "gpt-x",
    *,
    provider: str = "openai",
    aliases: tuple[str, ...] = (),
    version: str = "book-1",
    valid_from: int = 0,
) -> DatedPrice:
    return DatedPrice(
        ModelPrice(
            provider=provider,
            model=model,
            aliases=aliases,
            input_max=100_000,
            output_max=10_000,
            tiers=(Tier(0, {"input": 1_000_000, "output": 2_000_000}),),
            version=version,
        ),
        valid_from,
    )


def provider(name: str = "openai", *, sealed: bytes = b"", version: int = 1) -> Provider:
    return Provider(name, name, "http://127.0.0.1:1", sealed, version)


def policy(
    *budgets: Budget,
    version: int = 1,
    projects: tuple[Project, ...] = (),
    keys: tuple[Key, ...] = (),
    prices: tuple[DatedPrice, ...] = (),
    providers: tuple[Provider, ...] = (),
) -> Policy:
    return Policy(
        version=version,
        projects=projects or (project(),),
        keys=keys or (key(),),
        budgets=budgets or (budget(),),
        prices=prices or (price(),),
        providers=providers or (provider(),),
    )


def grant(
    budget_id: str = "bgt_a",
    granted: int = DOLLAR,
    *,
    partition: str = "",
    period: str = MONTH,
    keep: int | None = None,
    cap: int = 100 * DOLLAR,
    unspent: int | None = None,
    reachable: int | None = None,
    spent: int = 0,
    held: int = 0,
    cap_version: int = 1,
    authority_ms: int = 300_000,
    start: int = NOON - 1_000_000,
    end: int | None = NOON + 1_000_000_000,
    serial: int = 1,
    silent: str = "",
    smallest: int = 0,
    frozen: bool = False,
    short: bool = False,
    free: int = 0,
) -> Grant:
    """What the control plane answers for a lease; plenty, unless told otherwise."""
    left = cap - spent if unspent is None else unspent
    return Grant(
        key=LeaseKey(budget_id, partition, period),
        period_start_unix_ms=start,
        period_end_unix_ms=end,
        granted_nano_usd=granted,
        serial=serial,
        authority_ms=authority_ms,
        keep_nano_usd=granted if keep is None else keep,
        unspent_nano_usd=left,
        reachable_nano_usd=left if reachable is None else reachable,
        cap_version=cap_version,
        cap_nano_usd=cap,
        spent_nano_usd=spent,
        held_nano_usd=held,
        silent_sidecar=silent,
        smallest_worst_nano_usd=smallest,
        frozen=frozen,
        short=short,
        free_nano_usd=free,
    )
