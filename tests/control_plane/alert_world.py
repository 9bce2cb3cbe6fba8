"""An installation whose alerts are looked at, in virtual time: spend is booked, people are told."""

from dataclasses import replace
from pathlib import Path

from control_plane.core.alerts import Alert, State
from control_plane.core.budgets import Budget, NewBudget, SetCap
from control_plane.core.channels import Channel, ChannelKind, MailServer, Target
from control_plane.core.deliveries import Delivery
from control_plane.core.escalation import Agreement, Person
from control_plane.core.leases import PeriodKey
from control_plane.core.pages import Slice
from control_plane.core.projects import NewProject, Project
from control_plane.core.reports import RefusalCount
from control_plane.store import alerts as alert_store
from control_plane.store import outbox, periods, refusals
from control_plane.store.engine import Tx
from control_plane.usecases import alerting, budgets, channels, escalation, projects
from control_plane.usecases.acts import Act
from control_plane.usecases.watching import Watch, look
from tests.control_plane.desk import USD, Desk

MINUTE_MS = 60_000


class AlertWorld(Desk):
    """A desk with a client of $100 a month, and what looks at it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.watch = Watch()
        self.acme: Project
        self.acme_budget: Budget
        self.acme, self.acme_budget = self.client("Acme Dental", 100)
        self.people: dict[str, Person] = {}

    def client(self, name: str, cap_usd: int) -> tuple[Project, Budget]:
        def make(tx: Tx, act: Act) -> tuple[Project, Budget]:
            return projects.create_project(
                tx, NewProject(name), NewBudget(cap_nano_usd=cap_usd * USD), act
            )

        project, budget = self.do(make)
        self.do_alone(lambda tx: periods.ensure_of(tx, budget, "", self.now))
        return project, budget

    def period_key(self, budget: Budget | None = None) -> PeriodKey:
        budget = budget or self.acme_budget
        return PeriodKey(budget.budget_id, "", budget.span_at(self.now).period_id)

    def spend(self, nano_usd: int, budget: Budget | None = None) -> None:
        key = self.period_key(budget)
        self.do_alone(
            lambda tx: periods.move(
                tx,
                key,
                allocated_nano_usd=nano_usd,
                spent_nano_usd=nano_usd,
                counted_nano_usd=nano_usd,
            )
        )

    def refuse(self, count: int, reason: str = "exhausted", budget: Budget | None = None) -> None:
        budget = budget or self.acme_budget
        minute = self.now // MINUTE_MS * MINUTE_MS
        counted = RefusalCount(
            minute,
            budget.selector.project_id,
            "key",
            "w",
            "gpt",
            reason,
            budget.budget_id,
            count,
            "sample",
        )
        self.do_alone(lambda tx: refusals.merge(tx, "sdc_1", [counted]))

    def raise_cap(self, usd: int) -> None:
        def change(tx: Tx, act: Act) -> None:
            now = budgets.found(tx, self.acme_budget.budget_id)
            wish = SetCap(now.budget_id, usd * USD, this_period_only=True, etag=now.etag)
            budgets.set_cap(tx, wish, act)

        self.do(change)

    def look(self) -> alerting.Applied:
        seen = self.read(lambda tx: look(tx, self.watch, self.now))
        applied = self.do_alone(lambda tx: alerting.apply(tx, seen, self.entropy, self.now))
        self.watch.took(seen, self.now)
        return applied

    def pass_minutes(self, minutes: int) -> None:
        """Let time pass, and look every half minute."""
        for _ in range(2 * minutes):
            self.pass_ms(MINUTE_MS // 2)
            self.look()

    def channel(
        self,
        name: str,
        kind: ChannelKind = ChannelKind.WEBHOOK,
        address: str = "",
        secret: str = "",
    ) -> Channel:
        if kind is ChannelKind.WEBHOOK:
            target = Target(address or "https://hooks.example/x", secret or "s" * 16)
        else:
            target = Target(address)
        return self.do(
            lambda tx, act: channels.add_channel(tx, name, kind, target, self.vault, act)
        )

    def mail_server(self, port: int = 25, **fields: object) -> None:
        server = MailServer("127.0.0.1", port, "none", "", "alerts@agency.example", "Agency")
        made = replace(server, **fields)  # type: ignore[arg-type]  # fields of the test's own
        self.do(lambda tx, act: channels.set_mail_server(tx, made, "", self.vault, act))

    def person(self, name: str, *channel_ids: str, **fields: object) -> Person:
        made = Person("", name, channel_ids, **fields)  # type: ignore[arg-type]  # fields of the test's own
        self.people[name] = self.do(lambda tx, act: escalation.set_person(tx, made, act))
        return self.people[name]

    def agree(self, project_id: str = "", **fields: object) -> None:
        made = Agreement(project_id, **fields)  # type: ignore[arg-type]  # fields of the test's own
        self.do(lambda tx, act: escalation.set_agreement(tx, made, act))

    def live(self) -> list[Alert]:
        return [one for one in self.read(alert_store.going_on) if one.state is not State.PENDING]

    def sent(self) -> list[Delivery]:
        """Every message, the oldest first."""
        slice_ = Slice(None, 1_000)
        return self.read(lambda tx: outbox.page(tx, slice_, alert_id="", state=""))[::-1]

    def subjects(self, channel: Channel | None = None) -> list[str]:
        return [
            one.message.subject
            for one in self.sent()
            if channel is None or one.channel_id == channel.channel_id
        ]
