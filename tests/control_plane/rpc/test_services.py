"""Each admin service over a real wire: what it does, and how it refuses."""

import hashlib
import sqlite3
from pathlib import Path

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp

from control_plane.rpc.services.installation import InstallationServicer
from control_plane.rpc.transactions import Transactions
from control_plane.store import providers
from protos.bursar.admin import v1
from protos.values import keys
from tests.control_plane.served import Served

USD = 10**9


def test_projects(served: Served) -> None:
    projects = served.stub(v1.ProjectServiceStub)
    made = served.project("Acme Dental", 300 * USD)
    project = made.project
    assert made.budget.current_period.cap_nano_usd == 300 * USD
    assert served.call(projects.GetProject, v1.GetProjectRequest(project="acme dental")) == project
    changed = served.call(
        projects.UpdateProject,
        v1.UpdateProjectRequest(
            request_id=served.id(),
            project=v1.Project(
                project_id=project.project_id,
                display_name="Acme",
                time_zone="ignored",
                etag=project.etag,
            ),
            update_mask=FieldMask(paths=["display_name"]),
        ),
    )
    assert (changed.display_name, changed.time_zone) == ("Acme", project.time_zone)
    suspended = served.call(
        projects.SuspendProject,
        v1.SuspendProjectRequest(request_id=served.id(), project_id=project.project_id),
    )
    assert suspended.state == v1.ProjectState.PROJECT_STATE_SUSPENDED
    served.call(
        projects.ResumeProject,
        v1.ResumeProjectRequest(request_id=served.id(), project_id=project.project_id),
    )
    served.call(
        projects.ArchiveProject,
        v1.ArchiveProjectRequest(request_id=served.id(), project_id=project.project_id),
    )
    listed = served.call(projects.ListProjects, v1.ListProjectsRequest())
    assert not listed.projects
    listed = served.call(projects.ListProjects, v1.ListProjectsRequest(show_archived=True))
    assert [found.project_id for found in listed.projects] == [project.project_id]


def test_projects_refuse(served: Served) -> None:
    projects = served.stub(v1.ProjectServiceStub)
    project = served.project().project
    again = served.refused(
        projects.CreateProject,
        v1.CreateProjectRequest(
            request_id=served.id(), project=v1.Project(display_name="ACME DENTAL")
        ),
    )
    assert (again.code, again.reason) == (grpc.StatusCode.ALREADY_EXISTS, "ALREADY_EXISTS")
    stale = served.refused(
        projects.UpdateProject,
        v1.UpdateProjectRequest(
            request_id=served.id(),
            project=v1.Project(project_id=project.project_id, etag="v9", display_name="x"),
            update_mask=FieldMask(paths=["display_name"]),
        ),
    )
    assert (stale.code, stale.reason) == (grpc.StatusCode.ABORTED, "ETAG_MISMATCH")
    for paths in ([], ["state"], ["display_name", "project_id"]):
        refused = served.refused(
            projects.UpdateProject,
            v1.UpdateProjectRequest(
                request_id=served.id(),
                project=v1.Project(project_id=project.project_id, etag=project.etag),
                update_mask=FieldMask(paths=paths),
            ),
        )
        assert refused.fields == {"field": "update_mask"}
    missing = served.refused(projects.GetProject, v1.GetProjectRequest(project="nobody"))
    assert (missing.code, missing.fields) == (grpc.StatusCode.NOT_FOUND, {"project": "nobody"})


def test_keys(served: Served) -> None:
    stub = served.stub(v1.KeyServiceStub)
    project = served.project().project
    made = served.call(
        stub.CreateKey,
        v1.CreateKeyRequest(
            request_id=served.id(),
            key=v1.Key(project_id=project.project_id, workflow="lead-scoring"),
        ),
    )
    assert keys.is_key(made.secret, keys.PROJECT_KEY)
    rotated = served.call(
        stub.RotateKey,
        v1.RotateKeyRequest(
            request_id=served.id(), key_id=made.key.key_id, overlap=Duration(seconds=60)
        ),
    )
    assert rotated.secret != made.secret
    assert len(rotated.key.secrets) == 2
    assert rotated.key.secrets[1].expire_time == rotated.overlap_end_time
    updated = served.call(
        stub.UpdateKey,
        v1.UpdateKeyRequest(
            request_id=served.id(),
            key=v1.Key(key_id=made.key.key_id, etag=rotated.key.etag or "", models=["gpt-4o"]),
            update_mask=FieldMask(paths=["models"]),
        ),
    )
    assert list(updated.models) == ["gpt-4o"]
    revoked = served.call(
        stub.RevokeKey, v1.RevokeKeyRequest(request_id=served.id(), key_id=made.key.key_id)
    )
    assert revoked.key.HasField("revoke_time")
    assert revoked.reach.policy_version > 0
    assert revoked.reach.HasField("guaranteed_time")
    assert served.call(stub.GetKey, v1.GetKeyRequest(key_id=made.key.key_id)) == revoked.key
    listed = served.call(stub.ListKeys, v1.ListKeysRequest(project_id=project.project_id))
    assert not listed.keys


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (v1.RotateKeyRequest(key_id="key_" + "0" * 26, overlap=Duration(seconds=-1)), "overlap"),
        (
            v1.RotateKeyRequest(key_id="key_" + "0" * 26, expire_time=Timestamp(nanos=-1)),
            "expire_time",
        ),
        (v1.RotateKeyRequest(key_id="nonsense"), "key_id"),
    ],
)
def test_keys_refuse(served: Served, request_: v1.RotateKeyRequest, field: str) -> None:
    request_.request_id = served.id()
    refused = served.refused(served.stub(v1.KeyServiceStub).RotateKey, request_)
    assert refused.code is grpc.StatusCode.INVALID_ARGUMENT
    assert (refused.reason, refused.fields) == ("INVALID_ARGUMENT", {"field": field})


def test_budgets(served: Served) -> None:
    stub = served.stub(v1.BudgetServiceStub)
    project = served.project().project
    made = served.call(
        stub.CreateBudget,
        v1.CreateBudgetRequest(
            request_id=served.id(),
            budget=v1.Budget(
                project_id=project.project_id,
                split_by=v1.SplitBy.SPLIT_BY_WORKFLOW,
                window=v1.Window.WINDOW_DAY,
                cap_nano_usd=USD,
            ),
            reason="keep each workflow small",
        ),
    )
    assert not made.HasField("current_period")
    decided = served.call(
        stub.SetCap,
        v1.SetCapRequest(
            request_id=served.id(), budget_id=made.budget_id, cap_nano_usd=0, etag=made.etag
        ),
    )
    assert decided.budget.HasField("cap_nano_usd")
    assert decided.budget.cap_nano_usd == 0
    assert decided.change.old_cap_nano_usd == USD
    uncapped = served.call(
        stub.SetCap, v1.SetCapRequest(request_id=served.id(), budget_id=made.budget_id)
    )
    assert not uncapped.budget.HasField("cap_nano_usd")
    changes = served.call(
        stub.ListCapChanges, v1.ListCapChangesRequest(budget_id=made.budget_id)
    ).changes
    assert [change.cap_version for change in changes] == [3, 2, 1]
    renamed = served.call(
        stub.UpdateBudget,
        v1.UpdateBudgetRequest(
            request_id=served.id(),
            budget=v1.Budget(
                budget_id=made.budget_id, display_name="per workflow", etag=uncapped.budget.etag
            ),
            update_mask=FieldMask(paths=["display_name"]),
        ),
    )
    assert served.call(stub.GetBudget, v1.GetBudgetRequest(budget_id=made.budget_id)) == renamed
    listed = served.call(stub.ListBudgets, v1.ListBudgetsRequest(project_id=project.project_id))
    assert len(listed.budgets) == 2
    served.call(
        stub.ArchiveBudget,
        v1.ArchiveBudgetRequest(request_id=served.id(), budget_id=made.budget_id),
    )
    refused = served.refused(
        stub.SetCap, v1.SetCapRequest(request_id=served.id(), budget_id=made.budget_id)
    )
    assert refused.code is grpc.StatusCode.FAILED_PRECONDITION
    assert not served.call(
        stub.ListPeriods, v1.ListPeriodsRequest(budget_id=made.budget_id)
    ).periods


def test_prices(served: Served) -> None:
    stub = served.stub(v1.PriceServiceStub)
    price = v1.Price(
        provider="openai",
        model="rehearsal-cent",
        input_max_count=1_000_000,
        output_max_count=40,
        tiers=[
            v1.PriceTier(
                rates=[v1.Rate(kind="input", pico_usd=0), v1.Rate(kind="output", pico_usd=10**9)]
            )
        ],
    )
    made = served.call(stub.SetPrice, v1.SetPriceRequest(request_id=served.id(), price=price))
    assert made.source == "operator"
    assert made.version.startswith("pbk_")
    listed = served.call(stub.ListPrices, v1.ListPricesRequest(provider="openai", page_size=1000))
    assert made in listed.prices
    assert any(found.model == "gpt-4o" for found in listed.prices)
    price.tiers[0].rates.append(v1.Rate(kind="output", pico_usd=1))
    refused = served.refused(stub.SetPrice, v1.SetPriceRequest(request_id=served.id(), price=price))
    assert refused.fields == {"field": "price.tiers.rates"}


def test_providers(served: Served) -> None:
    stub = served.stub(v1.ProviderServiceStub)
    secret = "sk-live-0123456789abcdef-WXYZ"
    made = served.call(
        stub.SetProvider,
        v1.SetProviderRequest(
            request_id=served.id(), provider=v1.Provider(provider="openai"), secret=secret
        ),
    )
    assert (made.family, made.base_url) == ("openai", "https://api.openai.com")
    assert (made.secret_hint, made.secret_version) == ("WXYZ", 1)
    kept = served.write(lambda tx: providers.secret_of(tx, "openai"))
    assert kept is not None
    assert secret.encode() not in kept.ciphertext
    moved = served.refused(
        stub.SetProvider,
        v1.SetProviderRequest(
            request_id=served.id(),
            provider=v1.Provider(
                provider="openai", base_url="https://evil.example", etag=made.etag
            ),
        ),
    )
    assert moved.fields == {"field": "secret"}
    plain = served.refused(
        stub.SetProvider,
        v1.SetProviderRequest(
            request_id=served.id(),
            provider=v1.Provider(provider="x", family="openai", base_url="http://api.example.com"),
            secret=secret,
        ),
    )
    assert plain.fields == {"field": "provider.base_url"}
    assert secret not in plain.message
    assert [
        p.provider for p in served.call(stub.ListProviders, v1.ListProvidersRequest()).providers
    ] == ["openai"]
    served.call(
        stub.DeleteProvider,
        v1.DeleteProviderRequest(request_id=served.id(), provider="openai", etag=made.etag),
    )
    assert not served.call(stub.ListProviders, v1.ListProvidersRequest()).providers


def test_principals(served: Served) -> None:
    stub = served.stub(v1.PrincipalServiceStub)
    operator = served.as_role(v1.Role.ROLE_OPERATOR)
    me = operator.call(stub.GetCaller, v1.GetCallerRequest())
    assert me.role == v1.Role.ROLE_OPERATOR
    issued = served.call(
        stub.IssueToken,
        v1.IssueTokenRequest(request_id=served.id(), principal_id=me.principal_id),
    )
    assert keys.is_key(issued.token, keys.ADMIN_TOKEN)
    assert len(issued.principal.tokens) == 2
    ended = served.call(
        stub.DisablePrincipal,
        v1.DisablePrincipalRequest(request_id=served.id(), principal_id=me.principal_id),
    )
    assert all(token.HasField("revoke_time") for token in ended.tokens)
    assert operator.refused(stub.GetCaller, v1.GetCallerRequest()).reason == "UNAUTHENTICATED"
    owner = served.call(stub.GetCaller, v1.GetCallerRequest())
    last = served.refused(
        stub.DisablePrincipal,
        v1.DisablePrincipalRequest(request_id=served.id(), principal_id=owner.principal_id),
    )
    assert last.reason == "FAILED_PRECONDITION"
    names = [
        p.display_name
        for p in served.call(stub.ListPrincipals, v1.ListPrincipalsRequest()).principals
    ]
    assert names == sorted(names)
    entries = served.call(stub.ListAuditEntries, v1.ListAuditEntriesRequest()).entries
    assert [entry.method for entry in entries] == [
        "DisablePrincipal",
        "IssueToken",
        "CreatePrincipal",
        "Found",
    ]
    assert all(issued.token not in str(entry) for entry in entries)


def test_sidecars_and_leases(served: Served) -> None:
    stub = served.stub(v1.SidecarAdminServiceStub)
    project = served.project().project
    made = served.call(
        stub.CreateJoinToken,
        v1.CreateJoinTokenRequest(
            request_id=served.id(), project_ids=[project.project_id], region="eu"
        ),
    )
    assert keys.is_key(made.join_token, keys.JOIN_TOKEN)
    for length, field in ((Duration(seconds=86_401), "lifetime"), (Duration(), "lifetime")):
        refused = served.refused(
            stub.CreateJoinToken,
            v1.CreateJoinTokenRequest(request_id=served.id(), lifetime=length),
        )
        assert refused.fields == {"field": field}
    assert not served.call(stub.ListSidecars, v1.ListSidecarsRequest()).sidecars
    unknown = served.refused(
        stub.RevokeSidecar,
        v1.RevokeSidecarRequest(request_id=served.id(), sidecar_id="sdc_" + "0" * 26),
    )
    assert unknown.reason == "NOT_FOUND"
    leases = served.stub(v1.LeaseServiceStub)
    assert not served.call(leases.ListLeases, v1.ListLeasesRequest()).leases


def test_installation_and_backup(served: Served, tmp_path: Path) -> None:
    stub = served.stub(v1.InstallationServiceStub)
    served.project("Kept")
    told = served.call(stub.GetInstallation, v1.GetInstallationRequest())
    assert told.secrets_unlocked
    assert told.disk_free_bytes > 0
    assert not told.HasField("backup_time")
    request = v1.CreateBackupRequest(request_id=served.id())
    pieces = list(served.call(stub.CreateBackup, request))
    content = b"".join(piece.content for piece in pieces)
    assert pieces[0].size_bytes == len(content)
    assert pieces[-1].sha256 == hashlib.sha256(content).digest()
    copy = tmp_path / "copy.db"
    copy.write_bytes(content)
    with sqlite3.connect(copy) as database:
        assert database.execute("SELECT display_name FROM project").fetchall() == [("Kept",)]
    database.close()
    assert not list((tmp_path / "data").glob(".backup*"))
    served.call(stub.GetInstallation, v1.GetInstallationRequest())
    # Another copy for the same request, and one entry in the log.
    again = b"".join(piece.content for piece in served.call(stub.CreateBackup, request))
    assert again
    entries = served.call(
        served.stub(v1.PrincipalServiceStub).ListAuditEntries, v1.ListAuditEntriesRequest()
    ).entries
    assert [entry.method for entry in entries].count("CreateBackup") == 1
    assert served.call(stub.GetInstallation, v1.GetInstallationRequest()).HasField("backup_time")


def test_a_copy_that_a_killed_process_left_is_removed(served: Served, tmp_path: Path) -> None:
    left = tmp_path / "data" / ".backup-left"
    left.mkdir()
    (left / "copy.db").write_bytes(b"half")
    InstallationServicer(Transactions(served.deps))
    assert not left.exists()
