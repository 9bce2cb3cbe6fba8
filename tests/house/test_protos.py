"""The contracts keep their promises: where they lie, what can be repeated, who answers them."""

import ast
import importlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor, FileDescriptor, MethodDescriptor

from tests.house import tree

PROTOS = [path for path in tree.files() if path.suffix == ".proto"]
READING = ("Get", "List", "Query", "Tail")
# Streams a copy of the database and changes nothing.
NOT_MUTATIONS = {"CreateBackup"}
MONEY = re.compile(r"(?:_nano_usd|_nano_usd_per_second|pico_usd)$")
# RPCs that no single transaction answers, and what does.
ANSWERED_ELSEWHERE = {"Watch": "the hub, which carries what other requests decided"}


def file_of(path: Path) -> FileDescriptor:
    module = importlib.import_module(".".join(path.with_suffix("").parts) + "_pb2")
    descriptor = module.DESCRIPTOR
    assert isinstance(descriptor, FileDescriptor)
    return descriptor


def methods(package: str) -> Iterator[MethodDescriptor]:
    for path in PROTOS:
        if file_of(path).package == package:
            for service in file_of(path).services_by_name.values():
                yield from service.methods


def mutations() -> list[MethodDescriptor]:
    found = methods("bursar.admin.v1")
    return [
        method
        for method in found
        if not method.name.startswith(READING) and method.name not in NOT_MUTATIONS
    ]


def function_name(rpc: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", rpc).lower()


def usecases() -> set[str]:
    return {
        node.name
        for path in tree.modules()
        if path.parts[:2] == ("control_plane", "usecases")
        for node in tree.syntax(path).body
        if isinstance(node, ast.FunctionDef)
    }


def etag_fields(message: Descriptor) -> bool:
    """Whether the message, or a resource directly inside it, carries an etag."""
    inside = [field.message_type for field in message.fields if field.message_type is not None]
    return any("etag" in one.fields_by_name for one in (message, *inside))


def test_a_package_is_named_after_its_folder() -> None:
    for path in PROTOS:
        assert file_of(path).package == ".".join(path.parent.parts[1:]), path


def test_services_lie_where_their_names_say() -> None:
    for path in PROTOS:
        assert bool(file_of(path).services_by_name) == path.stem.endswith("_service"), path


@pytest.mark.parametrize("method", mutations(), ids=lambda method: method.name)
def test_a_mutation_can_be_repeated(method: MethodDescriptor) -> None:
    assert "request_id" in method.input_type.fields_by_name


@pytest.mark.parametrize(
    "method",
    [method for method in mutations() if method.name.startswith("Update")],
    ids=lambda method: method.name,
)
def test_an_update_names_the_version_it_changes(method: MethodDescriptor) -> None:
    assert etag_fields(method.input_type)
    assert "update_mask" in method.input_type.fields_by_name


@pytest.mark.parametrize(
    "method",
    [method for method in methods("bursar.admin.v1") if method.name.startswith("List")],
    ids=lambda method: method.name,
)
def test_a_list_comes_in_pages(method: MethodDescriptor) -> None:
    assert {"page_size", "page_token"} <= set(method.input_type.fields_by_name)
    assert "next_page_token" in method.output_type.fields_by_name


def test_every_rpc_has_a_use_case_of_its_name() -> None:
    rpcs = {
        method.name
        for package in ("bursar.admin.v1", "bursar.sidecar.v1")
        for method in methods(package)
    }
    assert set(ANSWERED_ELSEWHERE) <= rpcs, "the table names an RPC that is gone"
    answered = {rpc for rpc in rpcs if function_name(rpc) in usecases()}
    assert not rpcs - answered - set(ANSWERED_ELSEWHERE)
    assert not answered & set(ANSWERED_ELSEWHERE), "these have use cases now"


def all_messages(messages: Iterable[Descriptor]) -> Iterator[Descriptor]:
    for message in messages:
        yield message
        yield from all_messages(message.nested_types)


def fields() -> Iterator[FieldDescriptor]:
    for path in PROTOS:
        for message in all_messages(file_of(path).message_types_by_name.values()):
            yield from message.fields


def test_no_field_on_the_wire_is_a_float() -> None:
    floats = {FieldDescriptor.TYPE_FLOAT, FieldDescriptor.TYPE_DOUBLE}
    assert not [field.full_name for field in fields() if field.type in floats]


def test_money_on_the_wire_is_a_signed_integer_with_its_unit_last() -> None:
    money = [field for field in fields() if "usd" in field.name]
    assert money
    for field in money:
        assert field.type == FieldDescriptor.TYPE_INT64, field.full_name
        assert MONEY.search(field.name), field.full_name
