"""Every value of the sidecar as it goes over the wire, and back: pairs, and nothing else.

The Call of a record is filled twice: with what is known when the call opens, whose bytes are the
journal's OPEN, and with how it ended. The message lives as long as the call is open, so that each
field is set once and each line of the journal is serialized once.
"""

from collections.abc import Iterable
from typing import Literal

from protos.bursar.sidecar import v1 as wire
from protos.values import quantities as kinds
from protos.values.rates import ModelPrice, Tier, Variant
from protos.values.selectors import Selector, SplitBy
from sidecar.core.allowance import LeaseLevels
from sidecar.core.calls import Hold, Outcome, Settlement
from sidecar.core.leases import AccountKey, Grant, Lease, LeaseKey
from sidecar.core.output_defaults import OutputDefault
from sidecar.core.policy import (
    Budget,
    DatedPrice,
    Key,
    MoreSecret,
    Policy,
    Project,
    Provider,
    WhenTooLarge,
)
from sidecar.core.routing import ModelRoute, ProviderSecret, Target
from sidecar.core.tallies import RefusalLevel
from sidecar.core.waiting import DemandLevel
from sidecar.limits import HOSTED_CALLS_MAX, PATIENCE_MAX_MS, PATIENCE_MS
from sidecar.runtime import rate_wire

_OUTCOMES = {
    Outcome.OK: wire.Outcome.OUTCOME_OK,
    Outcome.PROVIDER_ERROR: wire.Outcome.OUTCOME_PROVIDER_ERROR,
    Outcome.CLIENT_GONE: wire.Outcome.OUTCOME_CLIENT_GONE,
    Outcome.BROKEN: wire.Outcome.OUTCOME_BROKEN,
    Outcome.TIMEOUT: wire.Outcome.OUTCOME_TIMEOUT,
    Outcome.LOST: wire.Outcome.OUTCOME_LOST,
    Outcome.NOT_SENT: wire.Outcome.OUTCOME_NOT_SENT,
}
_SPLITS: dict[int, SplitBy] = {
    wire.SplitBy.SPLIT_BY_UNSPECIFIED: "",
    wire.SplitBy.SPLIT_BY_KEY: "key",
    wire.SplitBy.SPLIT_BY_WORKFLOW: "workflow",
}
_WHEN_TOO_LARGE: dict[int, WhenTooLarge] = {
    wire.WhenTooLarge.WHEN_TOO_LARGE_CLAMP: WhenTooLarge.CLAMP,
    wire.WhenTooLarge.WHEN_TOO_LARGE_REJECT: WhenTooLarge.REJECT,
    wire.WhenTooLarge.WHEN_TOO_LARGE_COUNT: WhenTooLarge.COUNT,
}
_FAMILIES: frozenset[str] = frozenset({"openai", "anthropic", "gemini"})


class UnknownPolicyError(ValueError):
    """A policy holds something that this program does not understand; the last one stays."""


# --- Calls and records -------------------------------------------------------------------------


def record_begun(
    hold: Hold, leases: Iterable[LeaseKey], counted: Iterable[AccountKey], region: str
) -> wire.Record:
    """A record with all that is known of a call when it opens."""
    record = wire.Record()
    call = record.settle.call
    new = hold.call
    attributes = new.attributes
    call.call_id = hold.call_id
    call.started_unix_ms = hold.started_unix_ms
    call.project_id = attributes.project_id
    call.key_id = attributes.key_id
    call.secret_id = new.secret_id
    call.workflow = attributes.workflow
    call.execution = new.execution
    call.step = new.step
    call.region = region
    call.provider = new.provider
    call.surface = new.surface
    call.requested_model = attributes.model
    call.alias = new.alias
    call.streamed = new.streamed
    call.price_version = new.price_version
    call.worst_nano_usd = hold.worst_nano_usd
    call.parent_call_id = new.parent_call_id
    call.provider_secret_id = new.provider_secret_id
    if new.routed:
        call.routed = new.routed
    if hold.output_limit is not None:
        call.clamped_output_count = hold.output_limit
    for budget_id, partition, period_id in leases:
        call.vector.add(budget_id=budget_id, partition=partition, period_id=period_id)
    for budget_id, partition in counted:
        call.counted.add(budget_id=budget_id, partition=partition)
    return record


def open_to_wire(record: wire.Record) -> bytes:
    """The journal's OPEN."""
    return record.settle.call.SerializeToString()


def _end(call: wire.Call, ended: Settlement, ended_unix_ms: int) -> None:
    call.ended_unix_ms = ended_unix_ms
    call.answered_model = ended.answered_model
    call.tier = ended.tier
    call.variant = ended.variant
    if ended.price_version:
        call.price_version = ended.price_version
    call.outcome = _OUTCOMES[ended.outcome]
    call.error_kind = ended.error_kind
    call.status = ended.status
    call.first_byte_ms = ended.first_byte_ms
    for kind, count in ended.quantities.items():
        call.quantities.add(kind=kind, count=count)
    call.cost_nano_usd = ended.cost_nano_usd
    call.estimated = ended.estimated
    call.cost_told = ended.cost_told
    call.provider_request_id = ended.provider_request_id


def settle_to_wire(
    record: wire.Record, seq: int, ended: Settlement, amount_nano_usd: int, ended_unix_ms: int
) -> bytes:
    """The SETTLE of a call that was begun; the record must not be used again."""
    _end(record.settle.call, ended, ended_unix_ms)
    record.settle.amount_nano_usd = amount_nano_usd
    record.seq = seq
    return record.SerializeToString()


def void_to_wire(record: wire.Record, seq: int, ended: Settlement, ended_unix_ms: int) -> bytes:
    """The VOID of a call that was begun."""
    assert ended.cost_nano_usd == 0
    voided = wire.Record(seq=seq)
    voided.void.call.CopyFrom(record.settle.call)
    _end(voided.void.call, ended, ended_unix_ms)
    return voided.SerializeToString()


def record_from_open(body: bytes) -> wire.Record:
    """A record with what the journal's OPEN knows."""
    record = wire.Record()
    record.settle.call.ParseFromString(body)
    return record


def vector_from_open(record: wire.Record) -> tuple[LeaseKey, ...]:
    """The leases that a call was opened on."""
    return tuple(
        LeaseKey(key.budget_id, key.partition, key.period_id) for key in record.settle.call.vector
    )


def _key_to_wire(key: LeaseKey) -> wire.LeaseKey:
    return wire.LeaseKey(budget_id=key.budget_id, partition=key.partition, period_id=key.period_id)


def _key_from_wire(key: wire.LeaseKey) -> LeaseKey:
    return LeaseKey(key.budget_id, key.partition, key.period_id)


def overrun_to_wire(
    seq: int, call_id: str, excess_nano_usd: int, leases: Iterable[LeaseKey]
) -> bytes:
    """What a provider billed above the worst case."""
    record = wire.Record(seq=seq)
    record.overrun.call_id = call_id
    record.overrun.excess_nano_usd = excess_nano_usd
    record.overrun.vector.extend(_key_to_wire(key) for key in leases)
    return record.SerializeToString()


def returned_to_wire(lease: Lease, seq: int) -> bytes:
    """All that was given back on a lease, as it is when the record is made."""
    return return_to_wire(seq, lease.key, lease.returned_nano_usd)


def return_to_wire(seq: int, key: LeaseKey, returned_nano_usd: int) -> bytes:
    """All that was given back on a lease so far."""
    record = wire.Record(seq=seq)
    # "return" is a word of Python's.
    given = getattr(record, "return")
    given.lease.CopyFrom(_key_to_wire(key))
    given.returned_nano_usd = returned_nano_usd
    return record.SerializeToString()


# --- Leases and demands ------------------------------------------------------------------------


def levels_to_wire(levels: LeaseLevels) -> wire.LeaseReport:
    """What is said of a lease."""
    return wire.LeaseReport(
        lease=_key_to_wire(levels.key),
        granted_seen_nano_usd=levels.granted_seen_nano_usd,
        returned_nano_usd=levels.returned_nano_usd,
        spent_nano_usd=levels.spent_nano_usd,
        held_nano_usd=levels.held_nano_usd,
        available_nano_usd=levels.available_nano_usd,
        open_calls=levels.open_calls,
        burn_nano_usd_per_second=levels.burn_nano_usd_per_second,
        want_nano_usd=levels.want_nano_usd,
        median_worst_nano_usd=levels.median_worst_nano_usd,
        smallest_worst_nano_usd=levels.smallest_worst_nano_usd,
        idle_ms=levels.idle_ms,
        serial_seen=levels.serial_seen,
    )


def grant_from_wire(grant: wire.LeaseGrant) -> Grant:
    """What the control plane answered for a lease."""
    return Grant(
        key=_key_from_wire(grant.lease),
        period_start_unix_ms=grant.period_start_unix_ms,
        period_end_unix_ms=grant.period_end_unix_ms or None,
        granted_nano_usd=grant.granted_nano_usd,
        serial=grant.serial,
        authority_ms=grant.authority_ms,
        keep_nano_usd=grant.keep_nano_usd,
        unspent_nano_usd=grant.unspent_nano_usd,
        reachable_nano_usd=grant.reachable_nano_usd,
        cap_version=grant.cap_version,
        cap_nano_usd=grant.cap_nano_usd,
        spent_nano_usd=grant.spent_nano_usd,
        held_nano_usd=grant.held_nano_usd,
        silent_sidecar=grant.silent_sidecar,
        smallest_worst_nano_usd=grant.smallest_worst_nano_usd,
        frozen=grant.frozen,
        short=grant.short,
        free_nano_usd=grant.free_nano_usd,
        patient_ms=grant.patient_ms,
    )


def left_from_wire(left: wire.Left) -> tuple[LeaseKey, int]:
    """Of which period how much is left."""
    return _key_from_wire(left.lease), left.unspent_nano_usd


def recall_from_wire(recall: wire.Recall) -> tuple[LeaseKey, int]:
    """Which lease gives back, and what may stay."""
    return _key_from_wire(recall.lease), recall.keep_nano_usd


def demand_to_wire(demand: DemandLevel) -> wire.Demand:
    """A call that waits."""
    return wire.Demand(
        call_id=demand.call_id,
        age_ms=demand.age_ms,
        worst_nano_usd=demand.worst_nano_usd,
        budgets=[
            wire.BudgetRef(budget_id=key.budget_id, partition=key.partition)
            for key in demand.budgets
        ],
        patience_ms=demand.patience_ms,
    )


def refusal_to_wire(level: RefusalLevel) -> wire.RefusalCount:
    """Refused calls of one kind in one minute."""
    kind = level.kind
    return wire.RefusalCount(
        minute_unix_ms=level.minute_unix_ms,
        project_id=kind.project_id,
        key_id=kind.key_id,
        workflow=kind.workflow,
        model=kind.model,
        reason=kind.reason,
        budget_id=kind.budget_id,
        count=level.calls,
        sample=level.sample,
    )


# --- Policy ------------------------------------------------------------------------------------


def policy_from_wire(policy: wire.Policy, region: str) -> Policy:
    """Understand a snapshot. Raises UnknownPolicyError and says what it did not understand."""
    try:
        return Policy(
            version=policy.version,
            generation=policy.generation,
            region=region,
            projects=[_project_from_wire(project) for project in policy.projects],
            keys=[_policy_key_from_wire(key) for key in policy.keys],
            budgets=[_budget_from_wire(budget) for budget in policy.budgets],
            prices=[_price_from_wire(price) for price in policy.prices],
            providers=[_provider_from_wire(provider) for provider in policy.providers],
            routes=[_route_from_wire(route) for route in policy.routes],
            output_defaults=[
                OutputDefault(one.project_id, one.workflow, one.model, one.limit_count)
                for one in policy.output_defaults
                if one.limit_count > 0
            ],
            secrets=[_secret_from_wire(secret) for secret in policy.secrets],
            rate_limits=rate_wire.limits_from_wire(policy.rate_limits),
        )
    except UnknownPolicyError:
        raise
    except (AssertionError, KeyError, ValueError) as error:
        raise UnknownPolicyError(f"policy {policy.version} does not make sense: {error}") from error


def _project_from_wire(project: wire.Project) -> Project:
    return Project(
        project_id=project.project_id,
        display_name=project.display_name,
        active=project.active,
        patience_ms=min(project.patience_ms or PATIENCE_MS, PATIENCE_MAX_MS),
        when_too_large=_WHEN_TOO_LARGE.get(project.when_too_large, WhenTooLarge.CLAMP),
        hosted_calls=max(0, min(project.hosted_call_count, HOSTED_CALLS_MAX)),
        loop_max=project.loop_max_count,
    )


def _policy_key_from_wire(key: wire.Key) -> Key:
    if len(key.digest) != 32:
        raise UnknownPolicyError(f"the digest of key {key.key_id} is not a SHA-256")
    return Key(
        digest=key.digest,
        key_id=key.key_id,
        secret_id=key.secret_id,
        project_id=key.project_id,
        expires_unix_ms=key.expires_unix_ms or None,
        models=frozenset(key.models),
        workflow=key.workflow,
        revoked=key.revoked,
    )


def _budget_from_wire(budget: wire.Budget) -> Budget:
    split = _SPLITS.get(budget.split_by)
    if split is None:
        raise UnknownPolicyError(
            f"budget {budget.budget_id} is split in a way that this program does not know "
            f"({budget.split_by}); a newer sidecar is needed"
        )
    return Budget(
        budget_id=budget.budget_id,
        display_name=budget.display_name,
        selector=Selector(
            project_id=budget.project_id,
            key_id=budget.key_id,
            workflow=budget.workflow,
            model=budget.model,
            region=budget.region,
        ),
        split_by=split,
        capped=budget.capped,
        cap_version=budget.cap_version,
    )


def _price_from_wire(price: wire.Price) -> DatedPrice:
    return DatedPrice(
        price=ModelPrice(
            provider=price.provider,
            model=price.model,
            aliases=tuple(price.aliases),
            input_max=price.input_max_count,
            output_max=price.output_max_count,
            tiers=_tiers_from_wire(price.model, price.tiers),
            version=price.version,
            cache_write_implicit=price.cache_write_implicit,
            expands_text=price.expands_text,
            hides_reasoning=price.hides_reasoning,
            variants=tuple(
                Variant(variant.name, _tiers_from_wire(price.model, variant.tiers))
                for variant in price.variants
            ),
        ),
        valid_from_unix_ms=price.valid_from_unix_ms,
    )


def _tiers_from_wire(model: str, tiers: Iterable[wire.PriceTier]) -> tuple[Tier, ...]:
    found = []
    for tier in tiers:
        rates = {rate.kind: rate.pico_usd for rate in tier.rates}
        unknown = sorted(set(rates) - set(kinds.KINDS))
        if unknown:
            raise UnknownPolicyError(
                f"the price of {model} has a rate for {unknown[0]!r}, which this program "
                "does not know; a newer sidecar is needed"
            )
        # What is billed by a kind that is not known here is refused before it could be used.
        more = {rate.kind: rate.pico_usd for rate in tier.more_rates if rate.kind in kinds.KINDS}
        found.append(Tier(tier.above_input_count, rates | more))
    return tuple(found)


def _provider_from_wire(provider: wire.Provider) -> Provider:
    if provider.family not in _FAMILIES:
        raise UnknownPolicyError(
            f"provider {provider.provider} speaks {provider.family!r}, which this program does "
            "not know; a newer sidecar is needed"
        )
    return Provider(
        name=provider.provider,
        family=provider.family,
        base_url=provider.base_url,
        sealed_secret=provider.sealed_secret,
        secret_version=provider.secret_version,
        deployments=dict(provider.deployments),
    )


def _secret_from_wire(secret: wire.ProviderSecret) -> MoreSecret:
    return MoreSecret(
        provider=secret.provider,
        project_id=secret.project_id,
        secret=ProviderSecret(secret.provider_secret_id, secret.sealed_secret),
    )


def _target_from_wire(target: wire.ModelTarget) -> Target:
    return Target(target.provider, target.model)


def _route_from_wire(route: wire.ModelRoute) -> ModelRoute:
    return ModelRoute(
        project_id=route.project_id,
        name=route.name,
        targets=tuple(map(_target_from_wire, route.targets)),
        cheaper=_target_from_wire(route.cheaper) if route.HasField("cheaper") else None,
        above_percent=route.above_percent,
    )


# --- Status ------------------------------------------------------------------------------------

Status = Literal["ok", "gap", "fenced", "learning", "stale", "busy"]
_STATUSES: dict[int, Status] = {
    wire.SyncStatus.SYNC_STATUS_OK: "ok",
    wire.SyncStatus.SYNC_STATUS_GAP: "gap",
    wire.SyncStatus.SYNC_STATUS_FENCED: "fenced",
    wire.SyncStatus.SYNC_STATUS_LEARNING: "learning",
    wire.SyncStatus.SYNC_STATUS_STALE: "stale",
    wire.SyncStatus.SYNC_STATUS_BUSY: "busy",
}


def status_from_wire(status: int) -> Status:
    """How a registration or a Sync was taken; one that is not known counts as busy."""
    return _STATUSES.get(status, "busy")
