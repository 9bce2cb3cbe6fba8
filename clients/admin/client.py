"""A typed client of the control plane: `connect`, then one attribute per noun."""

from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc

from clients.admin.alerts import Alerts
from clients.admin.branding import Branding
from clients.admin.budgets import Budgets
from clients.admin.calls import Calls
from clients.admin.channels import Channels
from clients.admin.escalation import Escalation
from clients.admin.installation import Installation
from clients.admin.keys import Keys
from clients.admin.leases import Leases
from clients.admin.limits import (
    DEADLINE_MS,
    KEEPALIVE_ANSWER_MS,
    KEEPALIVE_MS,
    MESSAGE_MAX_BYTES,
)
from clients.admin.model_routes import ModelRoutes
from clients.admin.output_defaults import OutputDefaults
from clients.admin.playbooks import Playbooks
from clients.admin.price_imports import PriceImports
from clients.admin.prices import Prices
from clients.admin.principals import Principals
from clients.admin.projects import Projects
from clients.admin.provider_secrets import ProviderSecrets
from clients.admin.providers import Providers
from clients.admin.rate_cards import RateCards
from clients.admin.rate_limits import RateLimits
from clients.admin.rerating import Reratings
from clients.admin.retirements import Retirements
from clients.admin.reviews import Reviews
from clients.admin.share_links import ShareLinks
from clients.admin.sidecars import Sidecars
from clients.admin.statements import Statements
from clients.admin.wire import Wire
from clients.admin.workflows import Workflows
from protos.values.errors import InvalidArgumentError

DEFAULT_ADDRESS = "127.0.0.1:7240"
_PORT_MAX = 65_535
_LOOPBACK = ("127.", "localhost:", "[::1]:")


class Bursar:
    """A connection to one control plane; made by `connect`. Threads may share it."""

    def __init__(self, wire: Wire) -> None:  # noqa: PLR0915 - one attribute per noun
        self._wire = wire
        self.projects = Projects(wire)
        """Clients of the agency."""
        self.keys = Keys(wire)
        """Gateway keys."""
        self.budgets = Budgets(wire)
        """Caps and what is spent of them."""
        self.prices = Prices(wire)
        self.price_imports = PriceImports(wire)
        self.reratings = Reratings(wire)
        self.rate_cards = RateCards(wire)
        self.share_links = ShareLinks(wire)
        """What models cost."""
        self.output_defaults = OutputDefaults(wire)
        """Limits on the output of calls whose callers set none."""
        self.rate_limits = RateLimits(wire)
        """How much may be used in a time."""
        self.providers = Providers(wire)
        """Where calls are sent."""
        self.provider_secrets = ProviderSecrets(wire)
        """Secrets beside the providers' own."""
        self.model_routes = ModelRoutes(wire)
        """Where calls go that ask for a name."""
        self.calls = Calls(wire)
        """What was used."""
        self.statements = Statements(wire)
        """Closed months."""
        self.reviews = Reviews(wire)
        """Months over all clients."""
        self.workflows = Workflows(wire)
        """Workflows, and what they are worth."""
        self.playbooks = Playbooks(wire)
        """What the agency does step by step, and how far it is."""
        self.branding = Branding(wire)
        """How the agency shows itself."""
        self.leases = Leases(wire)
        """Where leased money is."""
        self.sidecars = Sidecars(wire)
        """The proxies on the hosts where workflows run."""
        self.principals = Principals(wire)
        """Who administers, and what they changed."""
        self.alerts = Alerts(wire)
        """What somebody should know, and who was told."""
        self.channels = Channels(wire)
        """Where messages arrive."""
        self.escalation = Escalation(wire)
        """Who answers for which client."""
        self.retirements = Retirements(wire)
        """Models that are retired."""
        self.installation = Installation(wire)
        """The installation as a whole."""

    @property
    def address(self) -> str:
        """The control plane at the other end."""
        return self._wire.address

    def close(self) -> None:
        """End the connection; every open iterator ends with it."""
        self._wire.channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Bursar({self.address!r})"


def connect(
    address: str = DEFAULT_ADDRESS,
    *,
    token: str,
    ca: Path | str | None = None,
    plain: bool = False,
    deadline_ms: int = DEADLINE_MS,
) -> Bursar:
    """Connect to a control plane.

    ```python
    from clients.admin import connect

    with connect("127.0.0.1:7240", token=token) as bursar:
        acme = bursar.projects.create(display_name="Acme Dental", cap_usd="300")
        issued = bursar.keys.create(acme.project.project_id, display_name="n8n")
        print(issued.secret)

        budget = bursar.budgets.get(acme.budget.budget_id)
        bursar.budgets.set_cap(budget, cap_usd="350", this_period_only=True, reason="campaign")

        for row in bursar.calls.usage(group_by=["project", "model"]).rows:
            print(row.group, row.call_count, row.cost_nano_usd)

        for call in bursar.calls.tail():  # for ever; goes on after a lost connection
            print(call.workflow, call.requested_model, call.cost_nano_usd)
    ```

    `token` is an admin token: the text in `owner.token` of the data folder, or one from
    `bursar principal add`. It is sent in clear text only to this machine, or with `plain=True`;
    elsewhere TLS is used, with the certificate authorities in the file `ca`, else the system's.

    What comes back are frozen values: amounts are int nano-dollars (`protos.values.money` reads and
    shows them), instants are datetimes in UTC, and `list` methods are iterators that fetch their
    pages by themselves. Every method takes at most `deadline_ms`, repeats its request while the
    control plane cannot be reached (the same `request_id` each time, so nothing is done twice), and
    raises one of the types in `protos.values.errors`. A change of something that was read sends
    its etag along: EtagMismatchError means to read again and decide again.
    """
    if not token.strip():
        raise InvalidArgumentError("the admin token is empty", field="token")
    if not token.isascii() or not token.isprintable():
        raise InvalidArgumentError("the admin token has characters no token has", field="token")
    port = address.rpartition(":")[2]
    is_port = port.isdecimal() and port.isascii() and 0 < int(port[:6]) <= _PORT_MAX
    if "://" in address or ":" not in address or not is_port:
        raise InvalidArgumentError(
            f"{address!r} is no address: write host:port, such as {DEFAULT_ADDRESS}",
            field="address",
        )
    if ca is None and (plain or address.startswith(_LOOPBACK)):
        channel = grpc.insecure_channel(address, options=_options())
    else:
        roots = None if ca is None else Path(ca).read_bytes()
        credentials = grpc.ssl_channel_credentials(root_certificates=roots)
        channel = grpc.secure_channel(address, credentials, options=_options())
    return Bursar(Wire(channel, address, token.strip(), deadline_ms))


def _options() -> list[tuple[str, Any]]:
    """How the channel behaves. Without the ping timeout a dead peer is noticed after a minute."""
    return [
        ("grpc.keepalive_time_ms", KEEPALIVE_MS),
        ("grpc.keepalive_timeout_ms", KEEPALIVE_ANSWER_MS),
        ("grpc.http2.ping_timeout_ms", KEEPALIVE_ANSWER_MS),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 1_000),
        ("grpc.max_reconnect_backoff_ms", 2_000),
        ("grpc.max_receive_message_length", MESSAGE_MAX_BYTES),
        ("grpc.enable_retries", 0),
        ("grpc.enable_http_proxy", 0),
    ]
