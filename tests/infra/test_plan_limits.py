"""What AWS would refuse, and an emulator takes."""

import json
from datetime import date, timedelta

import pytest

from infra.deployment_plan import Plan

pytestmark = pytest.mark.terraform

# Standard support ends, as AWS said on the day below. Aurora: release calendars of its release
# notes (15.10 has long-term support, until that of its major version ends); Lambda: "Lambda
# runtimes"; ElastiCache: "Extended support".
NOTED_ON = date(2026, 2, 1)
SUPPORTED_UNTIL = {
    "aurora-postgresql 15.10": date(2028, 2, 29),
    "aurora-postgresql 16.8": date(2029, 2, 28),
    "redis 7.1": None,  # the last of its line, without an end
    "python3.12": date(2028, 10, 31),
    "python3.13": date(2029, 6, 30),
}
# Whoever deploys today wants a year before the next upgrade.
_AHEAD = timedelta(days=365)

# MiB of memory that Fargate has for each CPU.
FARGATE = {
    "256": {512, 1024, 2048},
    "512": set(range(1024, 4097, 1024)),
    "1024": set(range(2048, 8193, 1024)),
    "2048": set(range(4096, 16385, 1024)),
    "4096": set(range(8192, 30721, 1024)),
}

# What a listener may hand on to.
TARGETS = {"TCP": {"TCP"}, "HTTPS": {"HTTP", "HTTPS"}}


def test_versions_are_supported_for_a_year(lab: Plan) -> None:
    [cluster] = lab.of("aws_rds_cluster")
    [redis] = lab.of("aws_elasticache_replication_group")
    versions = {
        f"{cluster['engine']} {cluster['engine_version']}",
        f"{redis['engine']} {redis['engine_version']}",
        *(function["runtime"] for function in lab.of("aws_lambda_function")),
    }
    assert len(versions) == 3
    for version in versions:
        until = SUPPORTED_UNTIL[version]
        assert until is None or until >= NOTED_ON + _AHEAD, version


def test_what_belongs_to_a_version_is_of_the_same(lab: Plan) -> None:
    [cluster] = lab.of("aws_rds_cluster")
    [parameters] = lab.of("aws_rds_cluster_parameter_group")
    assert parameters["family"] == f"aurora-postgresql{cluster['engine_version'].split('.')[0]}"
    for instance in lab.of("aws_rds_cluster_instance"):
        assert instance["engine_version"] == cluster["engine_version"]
        assert instance["instance_class"] == "db.serverless"
    [redis] = lab.of("aws_elasticache_replication_group")
    [cache_parameters] = lab.of("aws_elasticache_parameter_group")
    assert cache_parameters["family"] == f"redis{redis['engine_version'].split('.')[0]}"


def test_fargate_has_tasks_of_this_size(lab: Plan) -> None:
    [task] = lab.of("aws_ecs_task_definition")
    assert int(task["memory"]) in FARGATE[task["cpu"]]


def test_a_listener_hands_on_to_targets_that_speak_as_it_may(resolved: Plan) -> None:
    groups = {group.address: group for group in resolved.of("aws_lb_target_group")}
    rules = (*resolved.of("aws_lb_listener"), *resolved.of("aws_lb_listener_rule"))
    pairs = [
        (rule, groups[resolved.origin(action["target_group_arn"])])
        for rule in rules
        for action in rule.values.get("default_action") or rule["action"]
        if action["target_group_arn"]
    ]
    assert {group.address for _, group in pairs} == groups.keys()
    for rule, group in pairs:
        listener = rule
        if rule.type == "aws_lb_listener_rule":
            listener = resolved[resolved.origin(rule["listener_arn"])]
        assert group["protocol"] in TARGETS[listener["protocol"]]


def test_targets_are_what_registers_with_them(resolved: Plan) -> None:
    """Fargate's tasks register addresses, an Auto Scaling group instances."""
    groups = {group.address: group for group in resolved.of("aws_lb_target_group")}
    [service] = resolved.of("aws_ecs_service")
    [task] = resolved.of("aws_ecs_task_definition")
    [container] = json.loads(task["container_definitions"])
    ports = {mapping["containerPort"] for mapping in container["portMappings"]}
    for balancer in service["load_balancer"]:
        group = groups.pop(resolved.origin(balancer["target_group_arn"]))
        assert group["target_type"] == "ip"
        assert balancer["container_name"] == container["name"]
        assert balancer["container_port"] == group["port"]
        assert balancer["container_port"] in ports
    [instances] = resolved.of("aws_autoscaling_group")
    for arn in instances["target_group_arns"]:
        assert groups.pop(resolved.origin(arn))["target_type"] == "instance"
    assert groups == {}


def test_a_health_check_is_over_before_the_next_begins(lab: Plan) -> None:
    for group in lab.of("aws_lb_target_group"):
        [check] = group["health_check"]
        timeout_s = check.get("timeout")
        assert timeout_s is None or timeout_s < check["interval"], group.address


def test_a_function_that_is_throttled_does_not_use_its_messages_up(resolved: Plan) -> None:
    """An event source that may run more than the function can wastes receives."""
    for source in resolved.of("aws_lambda_event_source_mapping"):
        function = resolved[resolved.origin(source["function_name"])]
        reserved = function["reserved_concurrent_executions"]
        [scaling] = source["scaling_config"]
        assert reserved == -1 or scaling["maximum_concurrency"] <= reserved


def test_the_functions_settings_fit_lambdas_four_kilobytes(resolved: Plan) -> None:
    """With the certificate authority of a broker, which has up to 2,560 characters."""
    for function in resolved.of("aws_lambda_function"):
        variables = function["environment"][0]["variables"]
        size = sum(len(name) + len(value) for name, value in variables.items())
        if "BROKER_ENDPOINT" in variables:
            size += len("BROKER_CA_PEM") + 2560
        assert size < 4096, function.address


def test_a_policy_fits_what_iam_takes(resolved: Plan) -> None:
    for policy in resolved.of("aws_iam_policy"):
        assert len(policy["policy"]) <= 6144, policy.address
    for policy in resolved.of("aws_iam_role_policy"):
        assert len(policy["policy"]) <= 10_240, policy.address
