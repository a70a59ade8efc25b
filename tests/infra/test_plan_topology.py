"""What is planned is what the one description says, and what AWS would refuse is not planned."""

import base64
import json
from urllib.parse import urlsplit

import msgspec
import pytest

from infra.deployment_plan import Plan
from plumbline.adapters.mqtt.configuration import COMMAND_USER, INGEST_USER, LORAWAN_COMMAND_USER
from plumbline.adapters.postgres.privileges import PRIVILEGES
from plumbline.settings import (
    DEFAULT_TOPICS,
    BrokerTaskSettings,
    Db1Settings,
    DistributingSettings,
    LorawanCommandSettings,
    MaintenanceSettings,
    MigrateSettings,
    MqttCommandSettings,
    OperateSettings,
    ParsingSettings,
    PortalSettings,
    SyncSettings,
    load,
)
from plumbline.topology import TOPOLOGY, EventSource, Function, QueueSpec, Schedule

pytestmark = pytest.mark.terraform

MODELS: dict[str, type[msgspec.Struct]] = {
    "parsing": ParsingSettings,
    "distributing": DistributingSettings,
    "db1": Db1Settings,
    "sync": SyncSettings,
    "maintenance": MaintenanceSettings,
    "mqtt_command": MqttCommandSettings,
    "lorawan_command": LorawanCommandSettings,
    "migrate": MigrateSettings,
    "operate": OperateSettings,
}

_UNITS = {"minute": 60, "hour": 3600, "day": 86_400}


def test_there_are_no_other_functions_queues_event_sources_and_schedules(lab: Plan) -> None:
    functions = {function.name for function in TOPOLOGY.functions}
    queues = {queue.name for queue in TOPOLOGY.queues}
    assert lab.by_key("aws_lambda_function").keys() == functions
    assert {
        one.key
        for one in lab.of("aws_sqs_queue")
        if one.address.startswith("module.sqs.aws_sqs_queue.main")
    } == queues
    assert len(lab.of("aws_sqs_queue")) == 2 * len(queues) + 1  # dead letters; failed runs
    assert lab.by_key("aws_lambda_event_source_mapping").keys() == {
        source.queue for source in TOPOLOGY.event_sources
    }
    rules = {one.key for one in lab.of("aws_cloudwatch_event_rule")}
    assert rules - {None} == {schedule.name for schedule in TOPOLOGY.schedules}


@pytest.mark.parametrize("function", TOPOLOGY.functions, ids=lambda one: one.name)
def test_a_function_is_planned_as_described(lab: Plan, function: Function) -> None:
    planned = lab.by_key("aws_lambda_function")[function.name]
    assert planned["handler"] == function.handler
    assert planned["timeout"] == function.timeout_s
    assert planned["memory_size"] == function.memory_mb
    assert planned["reserved_concurrent_executions"] == (1 if function.alone else -1)


@pytest.mark.parametrize("queue", TOPOLOGY.queues, ids=lambda one: one.name)
def test_a_queue_is_planned_as_described(resolved: Plan, queue: QueueSpec) -> None:
    main = resolved[f'module.sqs.aws_sqs_queue.main["{queue.name}"]']
    dead = resolved[f'module.sqs.aws_sqs_queue.dead_letter["{queue.name}"]']
    assert bool(main["fifo_queue"]) == bool(dead["fifo_queue"]) == queue.fifo
    assert main["visibility_timeout_seconds"] == queue.visibility_timeout_s
    assert main["message_retention_seconds"] == queue.retention_s
    assert dead["message_retention_seconds"] == queue.dead_letter_retention_s
    redrive = json.loads(main["redrive_policy"])
    assert redrive["maxReceiveCount"] == queue.max_receive_count
    assert resolved.origin(redrive["deadLetterTargetArn"]) == dead.address
    allowed = resolved.by_key("aws_sqs_queue_redrive_allow_policy")[queue.name]
    assert resolved.origin(allowed["queue_url"]) == dead.address
    policy = json.loads(allowed["redrive_allow_policy"])
    assert policy["redrivePermission"] == "byQueue"
    assert [resolved.origin(arn) for arn in policy["sourceQueueArns"]] == [main.address]


@pytest.mark.parametrize("queue", [q for q in TOPOLOGY.queues if q.fifo], ids=lambda one: one.name)
def test_equal_bodies_are_not_equal_messages(lab: Plan, queue: QueueSpec) -> None:
    planned = lab[f'module.sqs.aws_sqs_queue.main["{queue.name}"]']
    assert planned["content_based_deduplication"] is False
    assert planned["deduplication_scope"] == "messageGroup"


@pytest.mark.parametrize("source", TOPOLOGY.event_sources, ids=lambda one: one.queue)
def test_an_event_source_is_planned_as_described(resolved: Plan, source: EventSource) -> None:
    planned = resolved.by_key("aws_lambda_event_source_mapping")[source.queue]
    queue = resolved.origin(planned["event_source_arn"])
    function = resolved.origin(planned["function_name"])
    assert queue == f'module.sqs.aws_sqs_queue.main["{source.queue}"]'
    assert function == f'module.lambda.aws_lambda_function.main["{source.function}"]'
    assert planned["batch_size"] == source.batch_size
    assert planned["function_response_types"] == ["ReportBatchItemFailures"]
    assert planned["scaling_config"] == [{"maximum_concurrency": source.max_concurrency}]
    # AWS: at most 10 and no window from a FIFO queue, a window for more than 10 from others.
    fifo = resolved[queue]["fifo_queue"]
    window_s = planned["maximum_batching_window_in_seconds"]
    assert window_s == (None if fifo else source.window_s)
    assert planned["batch_size"] <= 10 or (not fifo and window_s >= 1)
    visibility_s = resolved[queue]["visibility_timeout_seconds"]
    assert visibility_s >= 6 * resolved[function]["timeout"]


@pytest.mark.parametrize("schedule", TOPOLOGY.schedules, ids=lambda one: one.name)
def test_a_schedule_is_planned_as_described(resolved: Plan, schedule: Schedule) -> None:
    rule = resolved.by_key("aws_cloudwatch_event_rule")[schedule.name]
    number, unit = rule["schedule_expression"].removeprefix("rate(").removesuffix(")").split()
    assert int(number) * _UNITS[unit.removesuffix("s")] == schedule.period_s
    assert (int(number) == 1) == (not unit.endswith("s"))
    target = resolved.by_key("aws_cloudwatch_event_target")[schedule.name]
    function = f'module.lambda.aws_lambda_function.main["{schedule.function}"]'
    assert target["rule"] == rule["name"]
    assert resolved.origin(target["arn"]) == function
    assert target["retry_policy"][0]["maximum_retry_attempts"] == schedule.max_retries
    failed_runs = "module.sqs.aws_sqs_queue.failed_runs"
    assert resolved.origin(target["dead_letter_config"][0]["arn"]) == failed_runs
    permission = resolved.by_key("aws_lambda_permission")[schedule.name]
    assert permission["principal"] == "events.amazonaws.com"
    assert resolved.origin(permission["source_arn"]) == rule.address
    assert permission["function_name"] == resolved[function]["function_name"]


@pytest.mark.parametrize("schedule", TOPOLOGY.schedules, ids=lambda one: one.name)
def test_p5_2_a_scheduled_run_that_fails_is_retried_and_then_kept(
    resolved: Plan, schedule: Schedule
) -> None:
    config = resolved.by_key("aws_lambda_function_event_invoke_config")[schedule.function]
    assert config["maximum_retry_attempts"] == schedule.max_retries
    assert config["maximum_event_age_in_seconds"] <= schedule.period_s
    [destination] = config["destination_config"][0]["on_failure"]
    assert resolved.origin(destination["destination"]) == "module.sqs.aws_sqs_queue.failed_runs"


def test_a_broker_task_that_stops_starts_parsing(resolved: Plan) -> None:
    rule = resolved["module.eventbridge.aws_cloudwatch_event_rule.stopping_task"]
    pattern = json.loads(rule["event_pattern"])
    [service] = resolved.of("aws_ecs_service")
    assert pattern["detail"]["group"] == [f"service:{service['name']}"]
    assert pattern["detail"]["desiredStatus"] == ["STOPPED"]
    target = resolved["module.eventbridge.aws_cloudwatch_event_target.stopping_task"]
    parsing = 'module.lambda.aws_lambda_function.main["parsing"]'
    assert resolved.origin(target["arn"]) == parsing
    permission = resolved["module.eventbridge.aws_lambda_permission.stopping_task"]
    assert resolved.origin(permission["source_arn"]) == rule.address


def variables(plan: Plan, function: str) -> dict[str, str]:
    """Return a function's environment, with what Lambda adds to it."""
    planned = plan.by_key("aws_lambda_function")[function]
    given: dict[str, str] = planned["environment"][0]["variables"]
    return given | {"AWS_REGION": "us-east-1"}


@pytest.mark.parametrize("function", MODELS)
def test_a_function_starts_with_the_settings_that_it_gets(resolved: Plan, function: str) -> None:
    load(MODELS[function], variables(resolved, function))


def test_the_portal_starts_with_the_settings_that_it_gets(resolved: Plan) -> None:
    [template] = resolved.of("aws_launch_template")
    script = base64.b64decode(template["user_data"]).decode()
    text = script.partition("<<'ENVIRONMENT'\n")[2].partition("ENVIRONMENT\n")[0]
    given = dict(line.split("=", 1) for line in text.splitlines())
    settings = load(PortalSettings, given)
    # The document's chain of proxies: CloudFront and the load balancer; the web ACL counts.
    assert settings.portal_trusted_proxies == 2
    assert settings.portal_rate_limit == 0
    assert given["MQTT_COMMAND_QUEUE_URL"] != given["LORAWAN_COMMAND_QUEUE_URL"]


def test_a_broker_task_starts_with_the_settings_that_it_gets(resolved: Plan) -> None:
    [task] = resolved.of("aws_ecs_task_definition")
    [container] = json.loads(task["container_definitions"])
    given = {one["name"]: one["value"] for one in container["environment"]}
    secrets = {one["name"]: one["valueFrom"] for one in container["secrets"]}
    assert not given.keys() & secrets.keys()
    assert load(BrokerTaskSettings, given | secrets).mqtt_topic == DEFAULT_TOPICS


def test_the_functions_get_no_other_settings(resolved: Plan) -> None:
    settings = {
        str(function.key): set(function["environment"][0]["variables"])
        for function in resolved.of("aws_lambda_function")
    }
    database = {"DATABASE_HOST", "DATABASE_NAME", "DATABASE_USER", "DATABASE_CA_FILE"}
    cache = {"REDIS_HOST", "REDIS_NAME", "REDIS_USER"}
    broker = {"BROKER_ENDPOINT", "BROKER_PASSWORD_SECRET"}
    accounted = {"DISTRIBUTING_QUEUE_URL", "DB1_QUEUE_URL"}
    assert settings == {
        "parsing": {*broker, "MQTT_TOPIC", "DISTRIBUTING_QUEUE_URL", *database},
        "distributing": {"DB1_QUEUE_URL"},
        "db1": database,
        "sync": {*database, *cache},
        "maintenance": database,
        "mqtt_command": {*broker, "DISTRIBUTING_QUEUE_URL"},
        "lorawan_command": {*broker, "DISTRIBUTING_QUEUE_URL"},
        "migrate": {"DATABASE_HOST", "DATABASE_NAME", "DATABASE_CA_FILE", "DATABASE_SECRET"},
        "operate": {*database, *cache, "BROKER_PASSWORDS", *accounted},
    }


def test_each_function_signs_in_at_the_broker_as_its_own_user(resolved: Plan) -> None:
    """A second connection of a user ends the first."""
    users = {}
    for function in ("parsing", "mqtt_command", "lorawan_command"):
        given = variables(resolved, function)
        secret = resolved[resolved.origin(given["BROKER_PASSWORD_SECRET"])]
        users[function] = urlsplit(given["BROKER_ENDPOINT"]).username
        assert secret["description"] == f"Password of {users[function]} at the broker"
    assert users == {
        "parsing": INGEST_USER,
        "mqtt_command": COMMAND_USER,
        "lorawan_command": LORAWAN_COMMAND_USER,
    }


def test_each_function_signs_in_at_the_database_with_its_own_rights(resolved: Plan) -> None:
    users = {
        function.key: function["environment"][0]["variables"].get("DATABASE_USER")
        for function in resolved.of("aws_lambda_function")
    }
    for function, user in users.items():
        assert user in {None, f"plumbline_{function}"}
    # The portal is no function.
    assert {*filter(None, users.values()), "plumbline_portal"} == PRIVILEGES.keys()


def test_parsing_drains_what_plumbline_reads(resolved: Plan) -> None:
    parsing = resolved.by_key("aws_lambda_function")["parsing"]["environment"][0]["variables"]
    assert parsing["MQTT_TOPIC"] == DEFAULT_TOPICS
    assert resolved.origin(parsing["DISTRIBUTING_QUEUE_URL"]) == (
        'module.sqs.aws_sqs_queue.main["distributing"]'
    )


def test_each_broker_task_is_found_by_name(resolved: Plan) -> None:
    """Parsing drains every one; Cloud Map answers with eight addresses at most."""
    [tasks] = resolved.of("aws_service_discovery_service")
    [dns] = tasks["dns_config"]
    assert dns["routing_policy"] == "MULTIVALUE"
    assert dns["dns_records"] == [{"type": "A", "ttl": 10}]
    [service] = resolved.of("aws_ecs_service")
    assert resolved.origin(service["service_registries"][0]["registry_arn"]) == tasks.address
    [target] = resolved.of("aws_appautoscaling_target")
    assert target["max_capacity"] <= 8


def test_a_broker_task_stops_before_its_successor_starts(lab: Plan) -> None:
    """That one takes over its slot, and the queue in it; nothing scales in by itself."""
    [service] = lab.of("aws_ecs_service")
    assert service["deployment_maximum_percent"] == 100
    assert service["deployment_minimum_healthy_percent"] == 50
    assert service["availability_zone_rebalancing"] == "DISABLED"
    for policy in lab.of("aws_appautoscaling_policy"):
        [tracking] = policy["target_tracking_scaling_policy_configuration"]
        assert tracking["disable_scale_in"] is True


def test_there_is_a_slot_for_every_task(resolved: Plan) -> None:
    [task] = resolved.of("aws_ecs_task_definition")
    [container] = json.loads(task["container_definitions"])
    environment = {one["name"]: one["value"] for one in container["environment"]}
    [target] = resolved.of("aws_appautoscaling_target")
    assert environment["BROKER_SLOTS"] == str(target["max_capacity"])
    assert int(environment["BROKER_DRAIN_S"]) < container["stopTimeout"] == 120
