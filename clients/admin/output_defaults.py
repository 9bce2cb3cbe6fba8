"""Defaults of output: the limits of calls whose callers set none."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from clients.admin.instants import instant_or_none_from_wire, instant_to_wire
from clients.admin.limits import PAGE_ITEMS
from clients.admin.wire import Wire
from protos.bursar.admin import v1


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputDefault:
    """A limit on the output of calls whose callers set none; a caller's own stands above it."""

    limit_count: int
    """Tokens of output for each answer, thoughts included."""
    project_id: str = ""
    """Only this client's calls; "" for all. A client's own stand above those for all."""
    workflow: str = ""
    """Only calls of this workflow; "" for all."""
    model: str = ""
    """Only calls of this model, by its id in the price book; "" for all."""
    update_time: datetime | None = None
    """When it was set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputDefaultProposal:
    """A default that recent answers suggest."""

    output_default: OutputDefault
    """What is proposed."""
    answer_count: int
    """So many answers were looked at."""
    longest_count: int
    """The longest of them, in tokens of output."""
    p99_count: int
    """What 99 of 100 of them needed at most."""
    present_count: int
    """The limit that holds for such calls now; 0 for none."""
    model_max_count: int
    """What the model writes at most; 0 when that is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputDefaultProposals:
    """What recent answers suggest."""

    proposals: tuple[OutputDefaultProposal, ...]
    """Those with the most answers first."""
    call_count: int
    """So many calls were read, the newest first."""
    cut: bool
    """There were more, which were not read."""


class OutputDefaults:
    """Sets, lists and proposes defaults of output."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._stub = v1.OutputDefaultServiceStub(wire.channel)

    def set(
        self, wanted: OutputDefault, *, reason: str = "", request_id: str = ""
    ) -> OutputDefault:
        """Set a default, or replace the one for the same client, workflow and model."""
        request = v1.SetOutputDefaultRequest(
            request_id=request_id or self._wire.request_id(),
            output_default=v1.OutputDefault(
                project_id=wanted.project_id,
                workflow=wanted.workflow,
                model=wanted.model,
                limit_count=wanted.limit_count,
            ),
            reason=reason,
        )
        return output_default_from_wire(self._wire.ask(self._stub.SetOutputDefault, request))

    def delete(
        self,
        *,
        project_id: str = "",
        workflow: str = "",
        model: str = "",
        reason: str = "",
        request_id: str = "",
    ) -> None:
        """Take a default away. Raises NotFoundError when there is none of exactly these."""
        request = v1.DeleteOutputDefaultRequest(
            request_id=request_id or self._wire.request_id(),
            project_id=project_id,
            workflow=workflow,
            model=model,
            reason=reason,
        )
        self._wire.ask(self._stub.DeleteOutputDefault, request)

    def list(self, project_id: str = "") -> Iterator[OutputDefault]:
        """Yield defaults, those for all clients first; of one client only its own."""

        def fetch(token: str) -> v1.ListOutputDefaultsResponse:
            request = v1.ListOutputDefaultsRequest(
                page_size=PAGE_ITEMS, page_token=token, project_id=project_id
            )
            return self._wire.ask(self._stub.ListOutputDefaults, request)

        return self._wire.pages(
            fetch, lambda page: map(output_default_from_wire, page.output_defaults)
        )

    def propose(
        self, *, project_id: str = "", since: datetime | None = None, margin_percent: int = 0
    ) -> OutputDefaultProposals:
        """Propose defaults: the longest of recent answers times a margin; changes nothing."""
        request = v1.QueryOutputDefaultProposalsRequest(
            project_id=project_id,
            start_time=instant_to_wire(since),
            margin_percent=margin_percent,
        )
        found = self._wire.ask(self._stub.QueryOutputDefaultProposals, request)
        return OutputDefaultProposals(
            proposals=tuple(map(_proposal_from_wire, found.proposals)),
            call_count=found.call_count,
            cut=found.cut,
        )


def output_default_from_wire(wire: v1.OutputDefault) -> OutputDefault:
    """Read a default."""
    return OutputDefault(
        limit_count=wire.limit_count,
        project_id=wire.project_id,
        workflow=wire.workflow,
        model=wire.model,
        update_time=instant_or_none_from_wire(wire.update_time),
    )


def _proposal_from_wire(wire: v1.OutputDefaultProposal) -> OutputDefaultProposal:
    return OutputDefaultProposal(
        output_default=output_default_from_wire(wire.output_default),
        answer_count=wire.answer_count,
        longest_count=wire.longest_count,
        p99_count=wire.p99_count,
        present_count=wire.present_count,
        model_max_count=wire.model_max_count,
    )
