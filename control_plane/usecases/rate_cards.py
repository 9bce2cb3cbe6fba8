"""Rate cards: set, listed, and applied to each call when it is booked."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from control_plane import limits
from control_plane.core import fields, pages
from control_plane.core.calls import Call
from control_plane.core.ledger import RollupKey, RollupSum, rollup_key
from control_plane.core.pages import Asked, Page
from control_plane.core.projects import Project, check_not_archived
from control_plane.core.rate_cards import Charged, RateCard, card_at, charge_of, check_card
from control_plane.core.windows import INSTANT_MAX_UNIX_MS, window_at
from control_plane.store import call_log
from control_plane.store import projects as project_store
from control_plane.store import rate_cards as store
from control_plane.store.engine import Tx
from control_plane.usecases import projects
from control_plane.usecases.acts import Act, record
from protos.values import ids
from protos.values.errors import LimitExceededError


def set_rate_card(
    tx: Tx, wanted: RateCard, valid_from_unix_ms: int | None, reason: str, act: Act
) -> RateCard:
    """Set what a project is charged, from now or from a later instant on."""
    fields.check_reason(reason)
    check_card(wanted)
    check_not_archived(projects.found(tx, wanted.project_id))
    begins = act.now_unix_ms if valid_from_unix_ms is None else valid_from_unix_ms
    if not act.now_unix_ms <= begins < INSTANT_MAX_UNIX_MS:
        raise fields.invalid(
            "rate_card.valid_from_time",
            "lies in the past: calls of the past were charged. Leave it away for now",
        )
    if len(store.of_project(tx, wanted.project_id)) >= limits.RATE_CARDS_MAX:
        raise LimitExceededError(
            f"the project has {limits.RATE_CARDS_MAX} rate cards, which is all that fit",
            limit=str(limits.RATE_CARDS_MAX),
        )
    card = replace(wanted, version=act.id(ids.RATE_CARD), valid_from_unix_ms=begins)
    store.insert(tx, card, act.now_unix_ms)
    record(
        tx,
        act,
        card.project_id,
        project_id=card.project_id,
        version=card.version,
        valid_from_unix_ms=begins,
        markup_ppm=card.markup_ppm,
        per_call_nano_usd=card.per_call_nano_usd,
        per_execution_nano_usd=card.per_execution_nano_usd,
        included_nano_usd=card.included_nano_usd,
        reason=reason,
    )
    return card


def list_rate_cards(tx: Tx, asked: Asked, project_id: str) -> Page[RateCard]:
    """The cards of a project, in the order in which they begin; the last that began holds."""
    projects.found(tx, project_id)
    filters = {"list": "rate_cards", "project": project_id}
    wanted = pages.begin(asked, filters, (int, str))
    return pages.finish(store.page(tx, wanted, project_id), wanted, filters, lambda row: row.order)


@dataclass(frozen=True, slots=True)
class _Client:
    """What charging needs to know of a project."""

    project: Project | None
    cards: list[RateCard]


class Charging:
    """Charges calls as they are booked, and when their cost is corrected; in one transaction."""

    def __init__(self, tx: Tx) -> None:
        self._tx = tx
        self._clients: dict[str, _Client] = {}

    def charge(self, calls: Iterable[Call], rollups: dict[RollupKey, RollupSum]) -> None:
        """Charge calls that were just booked, in their order, and add it to their sums."""
        for call in calls:
            client = self._client(call.project_id)
            card = card_at(client.cards, call.started_unix_ms)
            if card is None:
                continue
            begins = bool(
                call.cost_nano_usd
                and call.execution
                and store.begin_execution(
                    self._tx, call.project_id, call.workflow, call.execution, call.call_id
                )
            )
            month = _month(client, call.started_unix_ms)
            charged = charge_of(
                card,
                call.cost_nano_usd,
                left_nano_usd=self._left_nano_usd(card, month),
                begins_execution=begins,
            )
            store.charge_call(
                self._tx, call.call_id, charged, card.version, begins_execution=begins
            )
            store.use(self._tx, call.project_id, month, charged.included_nano_usd)
            row = rollups[rollup_key(call)]
            row.charge_nano_usd += charged.charge_nano_usd
            row.charged_cost_nano_usd += call.cost_nano_usd

    def follow(
        self,
        call_id: str,
        before_nano_usd: int,
        after_nano_usd: int,
        rollups: dict[RollupKey, RollupSum],
    ) -> None:
        """Let what a call is charged follow a correction of its cost, by the same card.

        The cost is corrected in the ledger already. A run's fee goes with the first call of it that
        costs anything: where that is another one now, the fee moves there.
        """
        known = store.charged_call(self._tx, call_id)
        if known is None:
            return
        client = self._client(known.project_id)
        card = next(card for card in client.cards if card.version == known.version)
        month = _month(client, known.started_unix_ms)
        begins = bool(after_nano_usd) and (
            known.begins_execution or self._begins(call_id, before_nano_usd, known)
        )
        charged = charge_of(
            card,
            after_nano_usd,
            left_nano_usd=known.included_nano_usd + self._left_nano_usd(card, month),
            begins_execution=begins,
        )
        store.charge_call(self._tx, call_id, charged, card.version, begins_execution=begins)
        more = charged.included_nano_usd - known.included_nano_usd
        store.use(self._tx, known.project_id, month, more)
        row = rollups[self._rollup_of(call_id)]
        row.charge_nano_usd += charged.charge_nano_usd - known.charge_nano_usd
        row.charged_cost_nano_usd += after_nano_usd - before_nano_usd
        if known.begins_execution and not begins:
            self._hand_on(known, rollups)

    def _begins(self, call_id: str, before_nano_usd: int, known: store.ChargedCall) -> bool:
        """Whether a call that cost nothing before is the first of its run that does."""
        return bool(not before_nano_usd and known.execution) and store.begin_execution(
            self._tx, known.project_id, known.workflow, known.execution, call_id
        )

    def _hand_on(self, known: store.ChargedCall, rollups: dict[RollupKey, RollupSum]) -> None:
        """Charge a run's fee with another call, for the one that began it cost nothing."""
        next_id = store.give_up_execution(self._tx, known)
        if next_id is None:
            return
        heir = store.charged_call(self._tx, next_id)
        assert heir is not None
        client = self._client(heir.project_id)
        card = next(card for card in client.cards if card.version == heir.version)
        fee = card.per_execution_nano_usd
        charged = Charged(heir.charge_nano_usd + fee, heir.included_nano_usd)
        store.charge_call(self._tx, next_id, charged, card.version, begins_execution=True)
        rollups[self._rollup_of(next_id)].charge_nano_usd += fee

    def _rollup_of(self, call_id: str) -> RollupKey:
        logged = call_log.get(self._tx, call_id)
        assert logged is not None
        return rollup_key(logged.call)

    def _left_nano_usd(self, card: RateCard, month: str) -> int:
        if not card.included_nano_usd:
            return 0
        used = store.used_nano_usd(self._tx, card.project_id, month)
        return max(0, card.included_nano_usd - used)

    def _client(self, project_id: str) -> _Client:
        known = self._clients.get(project_id)
        if known is None:
            cards = store.of_project(self._tx, project_id)
            project = project_store.get(self._tx, project_id) if cards else None
            known = self._clients[project_id] = _Client(project, cards)
        return known


def _month(client: _Client, at_unix_ms: int) -> str:
    """The month of a client's time zone that an instant is in, by its first day."""
    zone = client.project.time_zone if client.project else "UTC"
    return window_at("month", zone, 1, at_unix_ms).period_id
