"""Whether a command of the AWS CLI can be: service, operation, options and what its query names.

From botocore's descriptions of the services, which the CLI itself is made from.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import botocore.session
import jmespath.parser  # type: ignore[import-untyped]  # it has no types
from botocore import xform_name
from botocore.exceptions import UnknownServiceError
from botocore.model import OperationModel, Shape

# What the CLI has beside the services' operations.
_OWN_COMMANDS: Mapping[tuple[str, str], frozenset[str]] = {
    ("ecr", "get-login-password"): frozenset(),
    ("s3", "ls"): frozenset(),
}
_GLOBAL = {"--query", "--output", "--region", "--cli-read-timeout", "--max-items"}
_SERVICES = {"s3api": "s3"}
_POSITIONAL = {("lambda", "invoke"): 1}  # the file for the answer


@dataclass(frozen=True, slots=True)
class _ListOf:
    element: Any


@cache
def _session() -> botocore.session.Session:
    return botocore.session.Session()


def complaint(words: Sequence[str]) -> str | None:
    """Return what is wrong with a command; None if it can be."""
    _, service, operation, *rest = words
    if (service, operation) in _OWN_COMMANDS:
        unknown = {word for word in rest if word.startswith("--")} - _GLOBAL
        return f"no option {unknown}" if unknown else None
    try:
        model = _session().get_service_model(_SERVICES.get(service, service))
    except UnknownServiceError:
        return f"no service {service}"
    operations = {xform_name(name, "-"): name for name in model.operation_names}
    if operation == "wait":
        return _complaint_of_wait(_SERVICES.get(service, service), rest, operations, model)
    if operation not in operations:
        return f"{service} has no {operation}"
    described = model.operation_model(operations[operation])
    return _complaint_of_options(described, rest, _POSITIONAL.get((service, operation), 0))


def _complaint_of_wait(
    service: str,
    rest: Sequence[str],
    operations: Mapping[str, str],
    model: Any,  # noqa: ANN401 - botocore's, without types
) -> str | None:
    waiters = _session().get_waiter_model(service)
    names = {xform_name(name, "-"): name for name in waiters.waiter_names}
    if rest[0] not in names:
        return f"{service} has no waiter {rest[0]}"
    operation = waiters.get_waiter(names[rest[0]]).operation
    assert operation in operations.values()
    return _complaint_of_options(model.operation_model(operation), rest[1:], 0)


def _complaint_of_options(
    operation: OperationModel, rest: Sequence[str], positional: int
) -> str | None:
    members: Mapping[str, Shape] = operation.input_shape.members if operation.input_shape else {}
    options = {f"--{xform_name(name, '-')}": shape for name, shape in members.items()}
    given: dict[str, list[str]] = {}
    free: list[str] = []
    values = free
    for word in rest:
        if word.startswith("--"):
            values = given.setdefault(word, [])
            continue
        name = next(reversed(given), "")
        shape = options.get(name)
        # One value, and then the words belong to the command again.
        if values is not free and values and (shape is None or shape.type_name != "list"):
            values = free
        values.append(word)
    # A flag takes no value: what stands behind it is the command's.
    for name, words in given.items():
        if _is_flag(name, options) and words:
            free += words
        elif name in {*options, *_GLOBAL} and not _is_flag(name, options) and not words:
            return f"{name} needs a value"
    if len(free) != positional:
        return f"does not take {free}"
    for name, words in given.items():
        wrong = _complaint_of_value(name, words, options, operation)
        if wrong:
            return wrong
    required = operation.input_shape.required_members if operation.input_shape else []
    said = {name.replace("--no-", "--") if _is_flag(name, options) else name for name in given}
    missing = {f"--{xform_name(name, '-')}" for name in required} - said
    return f"needs {sorted(missing)}" if missing else None


def _is_flag(name: str, options: Mapping[str, Shape]) -> bool:
    if name.startswith("--no-") and f"--{name[5:]}" in options:
        return True
    return name in options and options[name].type_name == "boolean"


def _complaint_of_value(
    name: str, words: Sequence[str], options: Mapping[str, Shape], operation: OperationModel
) -> str | None:
    if name == "--query":
        try:
            visit(jmespath.parser.Parser().parse(words[0]).parsed, operation.output_shape)
        except LookupError as error:
            return f"--query {words[0]}: {error}"
        return None
    if name in _GLOBAL or _is_flag(name, options):
        return None
    if name not in options:
        return f"{operation.name} has no {name}"
    shape = options[name]
    allowed = getattr(getattr(shape, "member", shape), "enum", [])
    wrong = [word for word in words if allowed and "$" not in word and word not in allowed]
    return f"{name} is none of {wrong}" if wrong else None


def visit(node: Mapping[str, Any], shape: Any) -> Any:  # noqa: ANN401 - shapes, and lists of them
    """Return the shape of an expression; a member that there is not raises LookupError."""
    children = node["children"]
    match node["type"]:
        case "field":
            return _member(shape, node["value"])
        case "subexpression" | "index_expression":
            for child in children:
                shape = visit(child, shape)
            return shape
        case "identity" | "slice":
            return shape
        case "multi_select_list":
            for child in children:
                visit(child, shape)
            return None
        case "function_expression":
            first = visit(children[0], shape)
            for child in children[1:]:
                visit(child["children"][0], _element(first))
            return first
    return _visit_list(node, shape)


def _visit_list(node: Mapping[str, Any], shape: Any) -> Any:  # noqa: ANN401
    children = node["children"]
    match node["type"]:
        case "index":
            return _element(shape)
        case "flatten":
            inner = _element(visit(children[0], shape))
            return _ListOf(_element(inner) if _is_list(inner) else inner)
        case "projection":
            return _ListOf(visit(children[1], _element(visit(children[0], shape))))
    msg = f"{node['type']} is not understood here"
    raise LookupError(msg)


def _member(shape: Any, name: str) -> Any:  # noqa: ANN401
    if getattr(shape, "type_name", "") == "map":
        return shape.value
    if not hasattr(shape, "members") or name not in shape.members:
        msg = f"no {name} there"
        raise LookupError(msg)
    return shape.members[name]


def _is_list(shape: Any) -> bool:  # noqa: ANN401
    return isinstance(shape, _ListOf) or getattr(shape, "type_name", "") == "list"


def _element(shape: Any) -> Any:  # noqa: ANN401
    if not _is_list(shape):
        msg = f"{shape} is no list"
        raise LookupError(msg)
    return shape.element if isinstance(shape, _ListOf) else shape.member
