"""What is watched: the document's metrics and alarms (7.3), and what they would miss."""

import ast
import inspect
import json
import re
from types import ModuleType
from typing import Any

import pytest

from infra.deployment_plan import Plan, Resource
from plumbline.broker import task
from plumbline.lambdas import (
    command_report,
    db1,
    distributing,
    lorawan_command,
    mqtt_command,
    parsing,
    sync,
)
from plumbline.topology import TOPOLOGY

pytestmark = pytest.mark.terraform

_PREFIX = "tilt-sensor-lab"
_FUNCTIONS = [function.name for function in TOPOLOGY.functions]
_QUEUES = [queue.name for queue in TOPOLOGY.queues]
_TOPIC = "module.monitoring.aws_sns_topic.alarms"

# The modules in which each service names the metrics that it prints.
SERVICES: dict[str, tuple[ModuleType, ...]] = {
    "broker": (task,),
    "parsing": (parsing,),
    "distributing": (distributing,),
    "db1": (db1,),
    "sync": (sync,),
    "mqtt_command": (mqtt_command, command_report),
    "lorawan_command": (lorawan_command, command_report),
}

# The document's metrics: namespace, and what of it is watched.
METRICS = {
    "AWS/Lambda": {"Invocations", "Errors", "Duration", "Throttles"},
    "AWS/SQS": {
        "ApproximateNumberOfMessagesVisible",
        "ApproximateNumberOfMessagesNotVisible",
        "ApproximateAgeOfOldestMessage",
    },
    # The number of tasks is how many of them report their CPU.
    "AWS/ECS": {"CPUUtilization", "MemoryUtilization"},
    "AWS/RDS": {"CPUUtilization", "DatabaseConnections", "ReadLatency", "WriteLatency"},
    "AWS/ElastiCache": {"EngineCPUUtilization", "Evictions", "CacheHits", "CacheMisses"},
    "AWS/ApplicationELB": {"RequestCount", "TargetResponseTime", "UnHealthyHostCount"},
    "AWS/NetworkELB": {"UnHealthyHostCount"},
}

# The document's alarms: metric, statistic, and (period, periods, comparison, threshold).
_ABOVE, _BELOW = "GreaterThanThreshold", "LessThanThreshold"
ALARMS = {
    **{
        f"sqs-age-{queue}": (
            "AWS/SQS ApproximateAgeOfOldestMessage",
            "Maximum",
            (60, 1, _ABOVE, 600),
        )
        for queue in _QUEUES
    },
    "aurora-cpu": ("AWS/RDS CPUUtilization", "Average", (300, 1, _ABOVE, 80)),
    "ecs-tasks": ("AWS/ECS CPUUtilization", "SampleCount", (60, 2, _BELOW, 1)),
    # Five minutes, because a new instance is unhealthy while it installs the portal.
    "alb-unhealthy": ("AWS/ApplicationELB UnHealthyHostCount", "Maximum", (60, 5, _ABOVE, 0)),
}

# Ours, by what they watch.
OWN_ALARMS = {
    **{f"dead-letters-{queue}": "AWS/SQS ApproximateNumberOfMessagesVisible" for queue in _QUEUES},
    **{f"silent-{one.function}": "AWS/Lambda Invocations" for one in TOPOLOGY.schedules},
    "failed-runs": "AWS/SQS ApproximateNumberOfMessagesVisible",
    "readings-stopped": "Plumbline ReadingsStored of db1",
    "ingest-session-lost": "Plumbline IngestSessionsLost of broker",
    "ingest-session-created": "Plumbline SessionsCreated of parsing",
    "broker-dropped": "Plumbline BrokerMessagesDropped of broker",
    "broker-slots-orphaned": "Plumbline SlotsOrphaned of broker",
    "nlb-unhealthy": "AWS/NetworkELB UnHealthyHostCount",
    "aurora-capacity": "AWS/RDS ACUUtilization",
    "portal-errors": "AWS/ApplicationELB HTTPCode_Target_5XX_Count",
    "redis-memory-redis-tilt-sensor-lab-001": "AWS/ElastiCache DatabaseMemoryUsagePercentage",
    "redis-memory-redis-tilt-sensor-lab-002": "AWS/ElastiCache DatabaseMemoryUsagePercentage",
}


def emitted(service: str) -> set[str]:
    """Return the names of metrics in a service's code: its only constants in CamelCase."""
    return {
        node.value
        for module in SERVICES[service]
        for node in ast.walk(ast.parse(inspect.getsource(module)))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.fullmatch(r"([A-Z][a-z]+){2,}", node.value)
    }


def alarms(plan: Plan) -> dict[str, Resource]:
    """Return the alarms of one metric by name, without those of failed functions."""
    start = "module.monitoring.aws_cloudwatch_metric_alarm.main["
    return {
        str(one.key): one
        for one in plan.of("aws_cloudwatch_metric_alarm")
        if one.address.startswith(start)
    }


def watched(alarm: Resource) -> str:
    """Return an alarm's metric, of our own ones with their service."""
    metric = f"{alarm['namespace']} {alarm['metric_name']}"
    return f"{metric} of {alarm['dimensions']['service']}" if metric[0] == "P" else metric


def widgets(plan: Plan) -> list[dict[str, Any]]:
    """Return the dashboard's widgets from top to bottom."""
    [dashboard] = plan.of("aws_cloudwatch_dashboard")
    found: list[dict[str, Any]] = json.loads(dashboard["dashboard_body"])["widgets"]
    return sorted(found, key=lambda widget: (widget["y"], widget["x"]))


def graphed(plan: Plan) -> list[tuple[str, str, dict[str, str]]]:
    """Return namespace, metric and dimensions of all that is graphed."""
    found = []
    for widget in widgets(plan):
        for namespace, metric, *rest in widget["properties"].get("metrics", []):
            keys = [one for one in rest if isinstance(one, str)]
            found.append((namespace, metric, dict(zip(keys[::2], keys[1::2], strict=True))))
    return found


def test_there_are_no_other_alarms(resolved: Plan) -> None:
    assert alarms(resolved).keys() == ALARMS.keys() | OWN_ALARMS.keys()
    errors = "module.monitoring.aws_cloudwatch_metric_alarm.lambda_errors"
    assert {
        one.key for one in resolved.of("aws_cloudwatch_metric_alarm") if errors in one.address
    } == set(_FUNCTIONS)


@pytest.mark.parametrize("name", ALARMS)
def test_an_alarm_of_the_document_is_planned_as_it_says(resolved: Plan, name: str) -> None:
    metric, statistic, numbers = ALARMS[name]
    alarm = alarms(resolved)[name]
    assert watched(alarm) == metric
    assert alarm["statistic"] == statistic
    assert numbers == (
        alarm["period"],
        alarm["evaluation_periods"],
        alarm["comparison_operator"],
        alarm["threshold"],
    )


@pytest.mark.parametrize("name", OWN_ALARMS)
def test_an_alarm_of_ours_watches_what_it_should(resolved: Plan, name: str) -> None:
    assert watched(alarms(resolved)[name]) == OWN_ALARMS[name]


@pytest.mark.parametrize("function", _FUNCTIONS)
def test_more_than_a_twentieth_of_failed_runs_in_five_minutes_is_an_alarm(
    resolved: Plan, function: str
) -> None:
    address = f'module.monitoring.aws_cloudwatch_metric_alarm.lambda_errors["{function}"]'
    alarm = resolved[address]
    queries = {one["id"]: one for one in alarm["metric_query"]}
    assert queries["share"]["expression"] == "100 * errors / MAX([errors, invocations])"
    assert (alarm["comparison_operator"], alarm["threshold"]) == (_ABOVE, 5)
    name = resolved.by_key("aws_lambda_function")[function]["function_name"]
    for query, metric in {"errors": "Errors", "invocations": "Invocations"}.items():
        [of] = queries[query]["metric"]
        assert (of["namespace"], of["metric_name"], of["stat"]) == ("AWS/Lambda", metric, "Sum")
        assert of["period"] == 300
        assert of["dimensions"] == {"FunctionName": name}


def test_every_alarm_tells_the_topic_of_its_begin_and_end_and_where_to_read_on(
    resolved: Plan,
) -> None:
    for alarm in resolved.of("aws_cloudwatch_metric_alarm"):
        for actions in (alarm["alarm_actions"], alarm["ok_actions"]):
            assert [resolved.origin(action) for action in actions] == [_TOPIC]
        assert re.search(r"See docs/runbooks/[a-z-]+\.md\.$", alarm["alarm_description"])


def test_what_must_never_stop_is_an_alarm_when_nothing_is_heard_of_it(resolved: Plan) -> None:
    breaching = {
        name for name, one in alarms(resolved).items() if one["treat_missing_data"] == "breaching"
    }
    silent = {f"silent-{one.function}" for one in TOPOLOGY.schedules}
    assert breaching == {"ecs-tasks", "readings-stopped"} | silent


def test_every_alarm_watches_something_that_is_deployed(resolved: Plan) -> None:
    names = {
        "FunctionName": {one["function_name"] for one in resolved.of("aws_lambda_function")},
        "QueueName": {one["name"] for one in resolved.of("aws_sqs_queue")},
        "service": set(SERVICES),
    }
    for alarm in alarms(resolved).values():
        for dimension, value in alarm["dimensions"].items():
            assert value in names.get(dimension, {value}), alarm.address


@pytest.mark.parametrize("service", SERVICES)
def test_what_the_code_counts_is_what_the_dashboard_shows(resolved: Plan, service: str) -> None:
    shown = {
        metric
        for namespace, metric, dimensions in graphed(resolved)
        if (namespace, dimensions) == ("Plumbline", {"service": service})
    }
    assert shown == emitted(service)


def test_no_alarm_waits_for_a_metric_that_nothing_counts(resolved: Plan) -> None:
    own = [one for one in alarms(resolved).values() if one["namespace"] == "Plumbline"]
    assert own
    for alarm in own:
        assert alarm["metric_name"] in emitted(alarm["dimensions"]["service"])


@pytest.mark.parametrize("namespace", METRICS)
def test_the_dashboard_shows_the_documents_metrics(resolved: Plan, namespace: str) -> None:
    shown = {metric for of, metric, _ in graphed(resolved) if of == namespace}
    assert shown >= METRICS[namespace]


def test_the_dashboard_shows_every_queue_and_the_functions_that_run_by_themselves(
    resolved: Plan,
) -> None:
    shown = [dimensions for _, _, dimensions in graphed(resolved)]
    for queue in resolved.of("aws_sqs_queue"):
        assert {"QueueName": queue["name"]} in shown
    for function in TOPOLOGY.functions:
        planned = resolved.by_key("aws_lambda_function")[function.name]
        assert ({"FunctionName": planned["function_name"]} in shown) == (not function.by_hand)


def test_the_dashboard_follows_a_reading_from_the_broker_to_the_cache(resolved: Plan) -> None:
    headings = [
        widget["properties"]["markdown"] for widget in widgets(resolved) if widget["type"] == "text"
    ]
    assert headings == [
        "## Devices → broker",
        "## Parsing",
        "## Queue distributing → distributing",
        "## Queue db1 → DB1",
        "## Aurora",
        "## Sync → Redis",
        "## Portal",
        "## Commands",
        "## Upkeep",
    ]
    assert widgets(resolved)[0]["type"] == "alarm"
    places = [(one["x"], one["y"]) for one in widgets(resolved)]
    assert len(places) == len(set(places))


def test_everything_that_writes_a_log_has_a_group_for_it(lab: Plan) -> None:
    groups = {group["name"] for group in lab.of("aws_cloudwatch_log_group")}
    functions = {one["function_name"] for one in lab.of("aws_lambda_function")}
    assert {f"/aws/lambda/{name}" for name in functions} <= groups
    assert {group for group in groups if not group.startswith("/aws/lambda/")} == {
        f"/ecs/ecs-service-{_PREFIX}-broker",
        f"/ec2/asg-{_PREFIX}-portal",
        f"/aws/rds/cluster/rds-{_PREFIX}-aurora/postgresql",
        f"aws-waf-logs-{_PREFIX}-portal",
    }
