"""The deployment as Terraform plans it from empty, offline, to be looked at.

`plan` is what the real provider plans. Much of it is known only after an apply: ids, ARNs, and so
who may talk to whom. `resolved_plan` plans again with a made-up value in every such place, which
tells where it came from.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from infra.terraform_command import Terraform

_FILTER = "tests/{}.tftest.hcl"
# Their computed attributes are no plain strings, and nothing that the tests ask for needs them.
_LEFT_UNKNOWN = {"aws_acm_certificate", "terraform_data"}


@dataclass(frozen=True, slots=True)
class Resource:
    """One planned resource.

    Attributes:
        address: As Terraform has it.
        values: What is known of it.
        unknown: What is known after the apply only.
    """

    address: str
    type: str
    key: str | int | None
    values: Mapping[str, Any]
    unknown: Mapping[str, Any]

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 - as various as resources
        return self.values[name]


@dataclass(frozen=True, slots=True)
class Plan:
    """All planned resources.

    Attributes:
        messages: Terraform's errors and warnings.
        made_up: Of a resolved plan, where each made-up value comes from.
    """

    resources: Mapping[str, Resource]
    messages: list[str]
    schemas: Mapping[str, Any]
    made_up: Mapping[str, str] = field(default_factory=dict)

    def __getitem__(self, address: str) -> Resource:
        return self.resources[address]

    def of(self, resource_type: str) -> list[Resource]:
        """Return all resources of a type."""
        return [one for one in self.resources.values() if one.type == resource_type]

    def by_key(self, resource_type: str) -> dict[str | int | None, Resource]:
        """Return all resources of a type by their key."""
        return {one.key: one for one in self.of(resource_type)}

    def origin(self, text: str) -> str:
        """Return a text with each made-up value replaced by the address that it comes from."""
        for value in sorted(self.made_up, key=len, reverse=True):
            text = text.replace(value, self.made_up[value])
        return text


def plan(terraform: Terraform, environment: str) -> Plan:
    """Plan an environment from empty."""
    return _read(_test(terraform, "plan", environment))


def resolved_plan(terraform: Terraform, environment: str, planned: Plan) -> Plan:
    """Plan it again with a made-up value for every id, ARN and other computed string."""
    made_up: dict[str, str] = {}
    overrides = []
    for number, resource in enumerate(planned.resources.values()):
        if resource.type in _LEFT_UNKNOWN:
            continue
        values: dict[str, Any] = {}
        for name in _computed_strings(planned, resource):
            values[name] = value = _made_up(resource, number, name)
            made_up[value] = resource.address
        if resource.type == "aws_rds_cluster":
            secret_arn = _arn("master-user-secret")
            values["master_user_secret"] = [{"secret_arn": secret_arn}]
            made_up[secret_arn] = f"{resource.address}.master_user_secret"
        overrides.append(
            f"override_resource {{\n  target          = {resource.address}\n"
            f"  override_during = plan\n  values          = {json.dumps(values)}\n}}\n"
        )
    head = (terraform.directory / _FILTER.format("plan")).read_text("utf-8").split("\nrun ")[0]
    text = "\n".join([head, *overrides, 'run "resolved" {\n  command = plan\n}\n'])
    (terraform.directory / _FILTER.format("resolved")).write_text(text, "utf-8")
    found = _read(_test(terraform, "resolved", environment))
    return Plan(found.resources, found.messages, found.schemas, made_up)


def _made_up(resource: Resource, number: int, name: str) -> str:
    if name == "arn" or name.endswith("_arn"):
        return _arn(f"{number}-{name}")
    if (resource.type, name) == ("aws_launch_template", "id"):
        return f"lt-{number}"
    return f"r{number}-{name}"[:32]


def _arn(name: str) -> str:
    return f"arn:aws:made-up:us-east-1:123456789012:{name}/"


def _computed_strings(planned: Plan, resource: Resource) -> Iterator[str]:
    attributes = planned.schemas[resource.type]["block"]["attributes"]
    for name, unknown in resource.unknown.items():
        if unknown is True and attributes.get(name, {}).get("type") == "string":
            yield name


def _test(terraform: Terraform, name: str, environment: str) -> Iterator[dict[str, Any]]:
    done = terraform.run(
        "test",
        "-json",
        "-verbose",
        f"-filter={_FILTER.format(name)}",
        f"-var-file=environments/{environment}.tfvars",
    )
    for line in done.stdout.splitlines():
        yield json.loads(line)


def _read(events: Iterator[dict[str, Any]]) -> Plan:
    resources: dict[str, Resource] = {}
    schemas: dict[str, Any] = {}
    messages = []
    for event in events:
        if event["type"] == "diagnostic":
            diagnostic = event["diagnostic"]
            messages.append(f"{diagnostic['summary']}: {diagnostic.get('detail', '')}")
        elif event["type"] == "test_plan":
            planned = event["test_plan"]
            [schemas] = [
                provider["resource_schemas"]
                for name, provider in planned["provider_schemas"].items()
                if name.endswith("/aws")
            ]
            for change in planned["resource_changes"]:
                if change["mode"] == "managed":
                    resources[change["address"]] = Resource(
                        address=change["address"],
                        type=change["type"],
                        key=change.get("index"),
                        values=change["change"]["after"],
                        unknown=change["change"]["after_unknown"],
                    )
    return Plan(resources, messages, schemas)
