"""Adds the admin services to a server."""

from typing import Final

import grpc.aio

from control_plane.core import access
from control_plane.rpc.deps import Deps
from control_plane.rpc.services.alerts import AlertServicer
from control_plane.rpc.services.branding import BrandingServicer
from control_plane.rpc.services.budgets import BudgetServicer
from control_plane.rpc.services.calls import CallServicer
from control_plane.rpc.services.channels import ChannelServicer
from control_plane.rpc.services.escalation import EscalationServicer
from control_plane.rpc.services.installation import InstallationServicer
from control_plane.rpc.services.keys import KeyServicer
from control_plane.rpc.services.model_routes import ModelRouteServicer
from control_plane.rpc.services.output_defaults import OutputDefaultServicer
from control_plane.rpc.services.playbooks import PlaybookServicer
from control_plane.rpc.services.prices import PriceServicer
from control_plane.rpc.services.principals import PrincipalServicer
from control_plane.rpc.services.projects import ProjectServicer
from control_plane.rpc.services.providers import ProviderServicer
from control_plane.rpc.services.rate_limits import RateLimitServicer
from control_plane.rpc.services.review import ReviewServicer
from control_plane.rpc.services.sidecars import LeaseServicer, SidecarAdminServicer
from control_plane.rpc.services.statements import StatementServicer
from control_plane.rpc.services.workflows import WorkflowServicer
from control_plane.rpc.transactions import Transactions
from protos.bursar.admin import v1

ADMIN_SERVICES: Final = tuple(f"{access.PACKAGE}.{service}" for service in access.METHODS)
"""The full names of the admin services."""


def add_admin_services(server: grpc.aio.Server, deps: Deps) -> None:
    """Add every admin service."""
    transactions = Transactions(deps)
    v1.add_ProjectServiceServicer_to_server(ProjectServicer(transactions), server)
    v1.add_KeyServiceServicer_to_server(KeyServicer(transactions), server)
    v1.add_BudgetServiceServicer_to_server(BudgetServicer(transactions), server)
    v1.add_PriceServiceServicer_to_server(PriceServicer(transactions), server)
    v1.add_OutputDefaultServiceServicer_to_server(OutputDefaultServicer(transactions), server)
    v1.add_ProviderServiceServicer_to_server(ProviderServicer(transactions), server)
    v1.add_ModelRouteServiceServicer_to_server(ModelRouteServicer(transactions), server)
    v1.add_RateLimitServiceServicer_to_server(RateLimitServicer(transactions), server)
    v1.add_PrincipalServiceServicer_to_server(PrincipalServicer(transactions), server)
    v1.add_SidecarAdminServiceServicer_to_server(SidecarAdminServicer(transactions), server)
    v1.add_LeaseServiceServicer_to_server(LeaseServicer(transactions), server)
    v1.add_StatementServiceServicer_to_server(StatementServicer(transactions), server)
    v1.add_WorkflowServiceServicer_to_server(WorkflowServicer(transactions), server)
    v1.add_BrandingServiceServicer_to_server(BrandingServicer(transactions), server)
    v1.add_CallServiceServicer_to_server(CallServicer(transactions), server)
    v1.add_ReviewServiceServicer_to_server(ReviewServicer(transactions), server)
    v1.add_AlertServiceServicer_to_server(AlertServicer(transactions), server)
    v1.add_ChannelServiceServicer_to_server(ChannelServicer(transactions), server)
    v1.add_EscalationServiceServicer_to_server(EscalationServicer(transactions), server)
    v1.add_PlaybookServiceServicer_to_server(PlaybookServicer(transactions), server)
    v1.add_InstallationServiceServicer_to_server(InstallationServicer(transactions), server)
