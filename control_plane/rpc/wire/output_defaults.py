"""Defaults of output on the wire."""

from control_plane.core.output_defaults import OutputDefault, Proposal, Scope
from control_plane.rpc.wire.instants import instant_to_wire
from protos.bursar.admin import v1


def output_default_to_wire(one: OutputDefault) -> v1.OutputDefault:
    """A default."""
    return v1.OutputDefault(
        project_id=one.scope.project_id,
        workflow=one.scope.workflow,
        model=one.scope.model,
        limit_count=one.limit_count,
        update_time=instant_to_wire(one.updated_unix_ms) if one.updated_unix_ms else None,
    )


def output_default_from_wire(message: v1.OutputDefault) -> OutputDefault:
    """What is asked for."""
    return OutputDefault(scope_from_wire(message), message.limit_count)


def scope_from_wire(message: v1.OutputDefault | v1.DeleteOutputDefaultRequest) -> Scope:
    """Whose calls are meant."""
    return Scope(message.project_id, message.workflow, message.model)


def proposal_to_wire(one: Proposal) -> v1.OutputDefaultProposal:
    """A proposal."""
    return v1.OutputDefaultProposal(
        output_default=output_default_to_wire(OutputDefault(one.scope, one.limit_count)),
        answer_count=one.answer_count,
        longest_count=one.longest_count,
        p99_count=one.p99_count,
        present_count=one.present_count,
        model_max_count=one.model_max_count,
    )
