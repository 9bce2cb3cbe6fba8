"""Which role each method of the admin services needs; what is not here is refused.

A table and nothing else: a test holds it against every method of the descriptors, and against the
order of roles. The role is checked before a request is looked at, and again in the transaction
that changes something.
"""

from collections.abc import Mapping
from typing import Final

from control_plane.core.principals import Role
from protos.values.errors import PermissionDeniedError

PACKAGE: Final = "bursar.admin.v1"

_VIEW: Final = Role.VIEWER
_OPERATE: Final = Role.OPERATOR
_OWN: Final = Role.OWNER

METHODS: Final[Mapping[str, Mapping[str, Role]]] = {
    "ProjectService": {
        "CreateProject": _OPERATE,
        "GetProject": _VIEW,
        "ListProjects": _VIEW,
        "UpdateProject": _OPERATE,
        "SuspendProject": _OPERATE,
        "ResumeProject": _OPERATE,
        "ArchiveProject": _OPERATE,
        "SetRateCard": _OWN,
        "ListRateCards": _VIEW,
        "CreateShareLink": _OPERATE,
        "ListShareLinks": _VIEW,
        "RevokeShareLink": _OPERATE,
    },
    "KeyService": {
        "CreateKey": _OPERATE,
        "GetKey": _VIEW,
        "ListKeys": _VIEW,
        "UpdateKey": _OPERATE,
        "RotateKey": _OPERATE,
        "RevokeKey": _OPERATE,
    },
    "BudgetService": {
        "CreateBudget": _OPERATE,
        "GetBudget": _VIEW,
        "ListBudgets": _VIEW,
        "UpdateBudget": _OPERATE,
        "SetCap": _OPERATE,
        "UndoCap": _OPERATE,
        "ArchiveBudget": _OPERATE,
        "ListPeriods": _VIEW,
        "ListCapChanges": _VIEW,
    },
    "PriceService": {
        "ListPrices": _VIEW,
        "SetPrice": _OPERATE,
        "QueryPriceChanges": _VIEW,
        "AcceptPrices": _OPERATE,
        "QueryRerating": _VIEW,
        "RerateCalls": _OWN,
        "SetRetirement": _OPERATE,
        "ListRetirements": _VIEW,
        "RemoveRetirement": _OPERATE,
    },
    "OutputDefaultService": {
        "SetOutputDefault": _OPERATE,
        "DeleteOutputDefault": _OPERATE,
        "ListOutputDefaults": _VIEW,
        "QueryOutputDefaultProposals": _VIEW,
    },
    "ProviderService": {
        "SetProvider": _OWN,
        "ListProviders": _VIEW,
        "DeleteProvider": _OWN,
        "AddProviderSecret": _OWN,
        "ListProviderSecrets": _VIEW,
        "RemoveProviderSecret": _OWN,
    },
    "ModelRouteService": {
        "SetModelRoute": _OPERATE,
        "ListModelRoutes": _VIEW,
        "DeleteModelRoute": _OPERATE,
    },
    "RateLimitService": {
        "SetRateLimit": _OPERATE,
        "ListRateLimits": _VIEW,
        "DeleteRateLimit": _OPERATE,
    },
    "PrincipalService": {
        "CreatePrincipal": _OWN,
        "ListPrincipals": _VIEW,
        "DisablePrincipal": _OWN,
        "IssueToken": _OWN,
        "RevokeToken": _OWN,
        "CreateSignInLink": _OWN,
        "GetCaller": _VIEW,
        "ListAuditEntries": _VIEW,
    },
    "SidecarAdminService": {
        "CreateJoinToken": _OWN,
        "ListSidecars": _VIEW,
        "RevokeSidecar": _OWN,
    },
    "LeaseService": {
        "ListLeases": _VIEW,
        "ListOrphans": _VIEW,
        "ChargeOrphans": _OWN,
        "ReleaseOrphans": _OWN,
    },
    "StatementService": {
        "BuildStatement": _OPERATE,
        "GetStatement": _VIEW,
        "ListStatements": _VIEW,
        "GetStatementFile": _VIEW,
        "SetStatementNote": _OPERATE,
        "ApproveStatement": _OPERATE,
        "SendStatement": _OPERATE,
        "GetStatementSettings": _VIEW,
        "SetStatementSettings": _OPERATE,
        "GetFocusFile": _VIEW,
    },
    "WorkflowService": {
        "ListWorkflows": _VIEW,
        "SetRoi": _OPERATE,
        "DropRoi": _OPERATE,
        "SetTask": _OPERATE,
    },
    "BrandingService": {"GetBranding": _VIEW, "SetBranding": _OWN},
    "CallService": {
        "GetCall": _VIEW,
        "ListCalls": _VIEW,
        "TailCalls": _VIEW,
        "QueryUsage": _VIEW,
        "ListRefusals": _VIEW,
    },
    "ReviewService": {"GetReview": _VIEW, "GetModelMatrix": _VIEW},
    "AlertService": {
        "ListAlerts": _VIEW,
        "GetAlert": _VIEW,
        "AcknowledgeAlert": _OPERATE,
        "ResolveAlert": _OPERATE,
        "SendTestAlert": _OPERATE,
        "ListDeliveries": _VIEW,
        "RetryDelivery": _OPERATE,
    },
    "ChannelService": {
        "AddChannel": _OWN,
        "TestChannel": _OPERATE,
        "ListChannels": _VIEW,
        "RemoveChannel": _OWN,
        "SetMailServer": _OWN,
        "GetMailServer": _VIEW,
    },
    "EscalationService": {
        "GetEscalation": _VIEW,
        "SetPerson": _OPERATE,
        "RemovePerson": _OPERATE,
        "SetAgreement": _OPERATE,
    },
    "PlaybookService": {
        "ListPlaybooks": _VIEW,
        "QueryPlaybookFindings": _VIEW,
        "MarkStep": _OPERATE,
        "ApplyPlaybook": _OWN,
    },
    "InstallationService": {
        "GetInstallation": _VIEW,
        "CreateBackup": _OWN,
        "FinishLearning": _OWN,
        "BeginWatermark": _OWN,
    },
}


def role_needed(service: str, method: str) -> Role | None:
    """The least role that may call a method; None for a method that nobody may."""
    return METHODS.get(service, {}).get(method)


def authorise(role: Role, service: str, method: str) -> None:
    """Refuse a caller whose role does not reach the method. Denies what is not in the table."""
    needed = role_needed(service, method)
    if needed is None:
        raise PermissionDeniedError(f"nobody may call {method}", method=method)
    if not role.includes(needed):
        raise PermissionDeniedError(
            f"{method} needs the role {needed.value}, the caller is {role.value}",
            method=method,
            role=role.value,
            needed_role=needed.value,
        )
