"""The bill reckons with what Terraform plans, and knows a price of all of it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from infra.deployment_plan import Plan, Resource, plan
from infra.terraform_command import Terraform
from plumbline.deployment.bill import monthly_bill, total_usd
from plumbline.deployment.plan_prices import uncovered
from plumbline.deployment.prices import load_prices
from plumbline.deployment.sizes import Deployment, deployment_of
from plumbline.deployment.workload import Load

pytestmark = pytest.mark.terraform

DOCUMENT = Load(devices=1000, interval_s=30)


def as_json(planned: Plan, *more: Resource) -> Mapping[str, Any]:
    """Return the plan as `terraform show -json` has it."""
    return {
        "resource_changes": [
            {"mode": "managed", "type": resource.type, "change": {"after": resource.values}}
            for resource in [*planned.resources.values(), *more]
        ]
    }


def test_every_resource_of_the_plan_has_a_price_or_is_known_to_be_free(lab: Plan) -> None:
    assert uncovered(as_json(lab)) == []
    queue = Resource("aws_mq_broker.new", "aws_mq_broker", None, {}, {})
    assert uncovered(as_json(lab, queue)) == ["aws_mq_broker"]


def test_the_bill_reckons_by_default_with_what_terraform_plans_by_default(lab: Plan) -> None:
    assert deployment_of(as_json(lab)) == Deployment()


def test_the_documents_load_on_the_planned_lab_costs_what_the_document_allows(lab: Plan) -> None:
    bill = monthly_bill(DOCUMENT, deployment_of(as_json(lab)), load_prices("us-east-1"))
    assert 400 <= total_usd(bill) <= 500


def test_production_differs_from_the_lab_by_its_flow_logs_and_longer_logs(
    terraform: Terraform, lab: Plan
) -> None:
    production = deployment_of(as_json(plan(terraform, "prod")))
    assert production == replace(
        deployment_of(as_json(lab)), flow_logs=True, log_retention_days=365
    )
