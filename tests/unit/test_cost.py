"""The bill: its prices, its arithmetic, the design document's target, and plans of Terraform."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from plumbline.cli.main import cli
from plumbline.deployment.bill import invocations, monthly_bill, total_usd
from plumbline.deployment.limits import exceeded
from plumbline.deployment.plan_prices import FREE, priced_types, uncovered
from plumbline.deployment.prices import load_prices, regions
from plumbline.deployment.savings import savings
from plumbline.deployment.sizes import Deployment, deployment_of
from plumbline.deployment.workload import Load
from plumbline.errors import ConfigurationError
from plumbline.topology import TOPOLOGY

ROOT = Path(__file__).parents[2]
US = load_prices("us-east-1")
DOCUMENT = Load(devices=1000, interval_s=30)


def usd(module: str, name: str, load: Load = DOCUMENT, of: Deployment | None = None) -> float:
    bill = monthly_bill(load, of or Deployment(), US)
    [item] = [item for item in bill if (item.module, item.name) == (module, name)]
    return item.usd


def keys(table: Any, path: str = "") -> set[str]:  # noqa: ANN401 - any level of the table
    if not isinstance(table, Mapping):
        return {path}
    return {name for key, value in table.items() for name in keys(value, f"{path}/{key}")}


@pytest.mark.parametrize("region", regions())
def test_the_documents_load_costs_what_the_document_allows(region: str) -> None:
    """10,000 readings in five minutes, and a target of 400 to 500 dollars."""
    assert DOCUMENT.readings_s * 300 == pytest.approx(10_000)
    assert 300 < total_usd(monthly_bill(DOCUMENT, Deployment(), load_prices(region))) <= 500


def test_every_region_has_every_price_and_every_service_its_source() -> None:
    tables = [load_prices(region)._table for region in regions()]  # noqa: SLF001 - what it holds
    assert len(tables) > 1
    assert all(keys(table) == keys(tables[0]) for table in tables)
    assert US.sources.keys() == tables[0].keys()
    assert all(source.startswith("https://aws.amazon.com/") for source in US.sources.values())
    assert date(2025, 1, 1) < US.as_of <= date.today()  # noqa: DTZ011 - a day, anywhere


def test_a_region_without_prices_is_named_with_those_that_have_some() -> None:
    with pytest.raises(ConfigurationError, match=r"no prices of mars-north-1.*eu-central-1"):
        load_prices("mars-north-1")


def test_a_size_without_a_price_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"no price of ec2 t3\.mega in us-east-1"):
        monthly_bill(DOCUMENT, Deployment(portal_type="t3.mega"), US)


def test_amounts_that_can_be_reckoned_by_hand() -> None:
    assert usd("ecs", "broker, CPU") == pytest.approx(2 * 0.5 * 730 * 0.04048)
    assert usd("ec2", "portal, t3.medium") == pytest.approx(2 * 730 * 0.0416)
    assert usd("rds", "Aurora") == pytest.approx(2 * 0.5 * 730 * 0.12)
    assert usd("vpc", "interface endpoints") == pytest.approx(5 * 2 * 730 * 0.01)
    # In, out and deleted by tens, 87.6 million readings.
    assert usd("sqs", "distributing: in, out, gone") == pytest.approx(3 * 8.76e6 * 0.5e-6)
    # In by tens; a batch of 25 needs three requests to come and three to go.
    assert usd("sqs", "db1: in, out, gone") == pytest.approx((8.76e6 + 6 * 3.504e6) * 0.4e-6)
    # 10,000 readings wait at most; half of them on average, saved every two seconds.
    load = replace(DOCUMENT, payload_bytes=178)
    assert load.saved_mib_s == pytest.approx(5000 * 300 / 2 / 2**20)


def test_every_function_of_the_topology_is_on_the_bill() -> None:
    billed = invocations(DOCUMENT, Deployment())
    assert billed.keys() == {function.name for function in TOPOLOGY.functions}
    assert all(runs > 0 and seconds > 0 for runs, seconds in billed.values())


def test_requests_per_reading_are_those_of_the_packaged_functions() -> None:
    """`test_p6_2_10_000_messages_pass_the_packaged_functions…` counts them."""
    bill = monthly_bill(DOCUMENT, Deployment(), US)
    requests = sum(i.quantity for i in bill if i.module == "sqs" and "gone" in i.name)
    assert requests / DOCUMENT.readings == pytest.approx(0.64)


@pytest.mark.parametrize("field", ["devices", "payload_bytes", "users"])
def test_more_of_anything_is_never_cheaper(field: str) -> None:
    totals = [
        total_usd(monthly_bill(replace(DOCUMENT, **{field: amount}), Deployment(), US))
        for amount in (100, 1000, 5000, 8000)
    ]
    assert totals == sorted(totals)
    assert totals[0] < totals[-1]


def test_every_saving_saves_and_names_its_price() -> None:
    found = savings(DOCUMENT, Deployment(efs_throughput="elastic"), US)
    assert found
    assert all(saving.usd > 0 and saving.price for saving in found)
    assert [s.usd for s in found] == sorted((s.usd for s in found), reverse=True)
    assert "elastic" in found[0].change


def test_what_a_load_needs_beyond_money_is_said() -> None:
    assert list(exceeded(DOCUMENT, Deployment())) == []
    said = " ".join(exceeded(replace(DOCUMENT, devices=100_000), Deployment()))
    for word in ("parsing", "runs of distributing at a time", "EFS", "tasks"):
        assert word in said


def plan(*extra: str, **changes: dict[str, Any]) -> dict[str, Any]:
    """Return what Terraform says of a plan, with a resource of each type that a size comes from."""
    values: dict[str, dict[str, Any]] = {
        "aws_ecs_task_definition": {
            "cpu": "1024",
            "memory": "2048",
            "runtime_platform": [{"cpu_architecture": "ARM64"}],
        },
        "aws_ecs_service": {"desired_count": 3},
        "aws_rds_cluster": {"serverlessv2_scaling_configuration": [{"min_capacity": 1}]},
        "aws_rds_cluster_instance": {},
        "aws_elasticache_replication_group": {
            "num_cache_clusters": 2,
            "node_type": "cache.t4g.micro",
        },
        "aws_autoscaling_group": {"min_size": 4},
        "aws_launch_template": {
            "instance_type": "t4g.small",
            "block_device_mappings": [{"ebs": [{"volume_size": 20}]}],
        },
        "aws_efs_file_system": {"throughput_mode": "elastic"},
        "aws_efs_mount_target": {},
        "aws_wafv2_web_acl": {"rule": [{}, {}]},
        "aws_lambda_function": {
            "handler": "plumbline.lambdas.db1.handler",
            "architectures": ["arm64"],
            "memory_size": 1024,
        },
        "aws_lambda_event_source_mapping": {"batch_size": 50},
        "aws_vpc_endpoint": {"vpc_endpoint_type": "Gateway"},
        "aws_nat_gateway": {},
        "aws_secretsmanager_secret": {},
        "aws_kms_key": {},
        "aws_cloudwatch_metric_alarm": {"metric_query": [{"metric": [{}]}, {"metric": [{}]}, {}]},
        "aws_cloudwatch_log_group": {"retention_in_days": 7},
        **{kind: {} for kind in extra},
        **changes,
    }
    resources = [
        {"mode": "managed", "type": kind, "change": {"after": after}}
        for kind, after in values.items()
    ]
    gone = {"mode": "managed", "type": "aws_gone", "change": {"after": None}}
    data = {"mode": "data", "type": "aws_ssm_parameter", "change": {"after": {}}}
    return {"resource_changes": [*resources, gone, data]}


def test_sizes_are_read_from_a_plan() -> None:
    assert deployment_of(plan()) == Deployment(
        zones=1,
        endpoints=0,
        nat_gateways=1,
        broker_tasks=3,
        broker_vcpu=1.0,
        broker_gb=2.0,
        broker_architecture="arm64",
        efs_throughput="elastic",
        lambda_architecture="arm64",
        lambda_memory_mb={"db1": 1024},
        db1_batch=50,
        aurora_instances=1,
        aurora_min_acu=1,
        cache_type="cache.t4g.micro",
        portal_instances=4,
        portal_type="t4g.small",
        portal_disk_gb=20,
        secrets=2,
        alarm_metrics=2,
        dashboards=0,
        waf_rules=2,
        log_retention_days=7,
        config=False,
    )


def test_a_resource_without_a_price_is_found() -> None:
    assert uncovered(plan("aws_iam_role", "aws_lb")) == []
    assert uncovered(plan("aws_msk_cluster", "aws_iam_role")) == ["aws_msk_cluster"]


def test_nothing_is_both_billed_and_free() -> None:
    assert priced_types().isdisjoint(FREE)


def test_every_resource_of_terraform_has_a_price() -> None:
    """All that any plan can hold: what the configuration declares."""
    texts = [path.read_text("utf-8") for path in (ROOT / "terraform").rglob("*.tf")]
    declared = {
        kind for text in texts for kind in re.findall(r'^resource "(\w+)" ', text, re.MULTILINE)
    }
    assert declared - priced_types() - FREE == set()


def test_the_page_about_the_cost_shows_what_the_command_prints() -> None:
    page = (ROOT / "docs" / "explanation" / "cost.md").read_text("utf-8")
    shown = page.split("$ plumbline cost\n", 1)[1].split("```", 1)[0]
    assert shown == CliRunner().invoke(cli, ["cost"]).stdout
    totals = [
        f"**{total_usd(monthly_bill(DOCUMENT, Deployment(), load_prices(region))):.0f}**"
        for region in ("us-east-1", "eu-central-1")
    ]
    assert f"| **total** | {' | '.join(totals)} |" in page


@pytest.mark.parametrize(
    "path", ["README.md", "docs/how-to/deploy.md", "docs/adr/0034-cost-model.md"]
)
def test_a_page_that_tells_the_total_tells_the_present_one(path: str) -> None:
    [told] = re.findall(r"(\d+) dollars (?:a month|in us-east-1)", (ROOT / path).read_text("utf-8"))
    assert told == f"{total_usd(monthly_bill(DOCUMENT, Deployment(), US)):.0f}"


def test_the_command_prints_what_its_json_says(tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, ["cost", "--json"])
    report = json.loads(done.stdout)
    assert report["total_usd"] == pytest.approx(
        sum(item["usd"] for item in report["items"]), abs=0.01
    )
    assert sum(report["modules"].values()) == pytest.approx(report["total_usd"], abs=0.1)
    assert [fleet["devices"] for fleet in report["fleets"]] == [1_000, 10_000, 100_000]
    text = CliRunner().invoke(cli, ["cost"]).stdout
    assert f"{report['total_usd']:,.2f}   within the target of 400 to 500" in text
    for item in report["items"]:
        assert f"{item['name']:28}" in text
    path = tmp_path / "plan.json"
    path.write_text(json.dumps(plan("aws_msk_cluster")))
    refused = CliRunner().invoke(cli, ["cost", "--plan", str(path)])
    assert isinstance(refused.exception, ConfigurationError)
    assert "no price of aws_msk_cluster" in str(refused.exception)
