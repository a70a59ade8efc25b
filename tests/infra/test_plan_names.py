"""Everything has the document's name, or one made in its way."""

import pytest

from infra.deployment_plan import Plan

pytestmark = pytest.mark.terraform

_PREFIX = "tilt-sensor-lab"

# The document's names, with the attribute that carries each.
DOCUMENT = {
    "module.vpc.aws_vpc.main": ("Name", "vpc-tilt-sensor-lab"),
    'module.vpc.aws_subnet.public["az1"]': ("Name", "subnet-tilt-sensor-lab-public-az1"),
    'module.vpc.aws_subnet.public["az2"]': ("Name", "subnet-tilt-sensor-lab-public-az2"),
    'module.vpc.aws_subnet.private["az1"]': ("Name", "subnet-tilt-sensor-lab-private-az1"),
    'module.vpc.aws_subnet.private["az2"]': ("Name", "subnet-tilt-sensor-lab-private-az2"),
    "module.vpc.aws_internet_gateway.main": ("Name", "igw-tilt-sensor-lab"),
    "module.nlb.aws_lb.iot_nlb": ("name", "nlb-tilt-sensor-lab-iot"),
    'module.nlb.aws_lb_target_group.ecs_broker["8883"]': ("name", "tg-tilt-sensor-lab-ecs-broker"),
    "module.ecs.aws_ecs_cluster.main": ("name", "ecs-tilt-sensor-lab"),
    "module.ecs.aws_ecs_service.message_broker": ("name", "ecs-service-tilt-sensor-lab-broker"),
    "module.ecs.aws_ecs_task_definition.message_broker": (
        "family",
        "ecs-task-tilt-sensor-lab-broker",
    ),
    'module.eventbridge.aws_cloudwatch_event_rule.schedule["ingestion"]': (
        "name",
        "eventbridge-tilt-sensor-lab-ingestion",
    ),
    'module.eventbridge.aws_cloudwatch_event_rule.schedule["sync"]': (
        "name",
        "eventbridge-tilt-sensor-lab-sync",
    ),
    'module.lambda.aws_lambda_function.main["parsing"]': (
        "function_name",
        "lambda-tilt-sensor-lab-parsing",
    ),
    'module.lambda.aws_lambda_function.main["distributing"]': (
        "function_name",
        "lambda-tilt-sensor-lab-distributing",
    ),
    'module.lambda.aws_lambda_function.main["db1"]': (
        "function_name",
        "lambda-tilt-sensor-lab-db1",
    ),
    'module.lambda.aws_lambda_function.main["mqtt_command"]': (
        "function_name",
        "lambda-tilt-sensor-lab-mqtt-cmd-handler",
    ),
    'module.lambda.aws_lambda_function.main["lorawan_command"]': (
        "function_name",
        "lambda-tilt-sensor-lab-lorawan-cmd-handler",
    ),
    'module.lambda.aws_lambda_function.main["sync"]': (
        "function_name",
        "lambda-tilt-sensor-lab-data-transmission",
    ),
    'module.iam.aws_iam_role.lambda["parsing"]': (
        "name",
        "iam-role-tilt-sensor-lab-lambda-parsing",
    ),
    'module.iam.aws_iam_policy.lambda["parsing"]': (
        "name",
        "iam-policy-tilt-sensor-lab-lambda-parsing",
    ),
    'module.sqs.aws_sqs_queue.main["distributing"]': (
        "name",
        "sqs-fifo-tilt-sensor-lab-distributing.fifo",
    ),
    'module.sqs.aws_sqs_queue.main["db1"]': ("name", "sqs-tilt-sensor-lab-db1"),
    'module.sqs.aws_sqs_queue.dead_letter["db1"]': ("name", "sqs-tilt-sensor-lab-db1-dlq"),
    'module.sqs.aws_sqs_queue.main["mqtt-command"]': (
        "name",
        "sqs-fifo-tilt-sensor-lab-mqtt-command.fifo",
    ),
    'module.sqs.aws_sqs_queue.main["lorawan-command"]': (
        "name",
        "sqs-fifo-tilt-sensor-lab-lorawan-command.fifo",
    ),
    "module.rds.aws_rds_cluster.aurora": ("cluster_identifier", "rds-tilt-sensor-lab-aurora"),
    'module.rds.aws_rds_cluster_instance.aurora["1"]': (
        "identifier",
        "rds-tilt-sensor-lab-aurora-1",
    ),
    'module.rds.aws_rds_cluster_instance.aurora["2"]': (
        "identifier",
        "rds-tilt-sensor-lab-aurora-2",
    ),
    "module.rds.aws_db_subnet_group.aurora": ("name", "rds-subnet-tilt-sensor-lab"),
    "module.elasticache.aws_elasticache_replication_group.redis": (
        "replication_group_id",
        "redis-tilt-sensor-lab",
    ),
    "module.elasticache.aws_elasticache_subnet_group.redis": (
        "name",
        "redis-subnet-tilt-sensor-lab",
    ),
    "module.ec2.aws_launch_template.portal_api": ("name", "lt-tilt-sensor-lab-portal"),
    "module.ec2.aws_autoscaling_group.portal_api": ("name", "asg-tilt-sensor-lab-portal"),
    "module.alb.aws_lb.portal_alb": ("name", "alb-tilt-sensor-lab-portal"),
    "module.alb.aws_lb_target_group.portal_api": ("name", "tg-tilt-sensor-lab-portal"),
    "module.cloudfront.aws_cloudfront_distribution.portal": (
        "comment",
        "cf-tilt-sensor-lab-portal",
    ),
    "module.waf.aws_wafv2_web_acl.portal": ("name", "waf-tilt-sensor-lab-portal"),
}

# Attributes that hold a name of ours, where a resource has one.
_NAMES = (
    "name",
    "function_name",
    "cluster_identifier",
    "identifier",
    "replication_group_id",
    "user_group_id",
    "user_id",
    "bucket",
    "alarm_name",
    "dashboard_name",
)
# Their names are other things': DNS names, AWS's own rules, those of what they belong to.
_NAMED_OTHERWISE = {
    "aws_cloudwatch_event_target",
    "aws_config_configuration_recorder_status",
    "aws_route53_record",
    "aws_service_discovery_private_dns_namespace",
    "aws_service_discovery_service",
}


@pytest.mark.parametrize("address", DOCUMENT)
def test_it_has_the_name_that_the_document_gives_it(lab: Plan, address: str) -> None:
    attribute, name = DOCUMENT[address]
    resource = lab[address]
    assert (resource["tags"][attribute] if attribute == "Name" else resource[attribute]) == name


def test_every_other_name_is_made_of_project_app_and_environment(lab: Plan) -> None:
    for resource in lab.resources.values():
        if resource.type in _NAMED_OTHERWISE:
            continue
        for attribute in _NAMES:
            name = resource.values.get(attribute)
            if isinstance(name, str):
                assert _PREFIX in name, f"{resource.address}: {attribute} {name}"


def test_names_of_load_balancers_and_target_groups_are_short_enough(lab: Plan) -> None:
    for resource in (*lab.of("aws_lb"), *lab.of("aws_lb_target_group")):
        assert len(resource["name"]) <= 32


def test_a_fifo_queue_ends_in_fifo_and_no_other(lab: Plan) -> None:
    for queue in lab.of("aws_sqs_queue"):
        assert queue["name"].endswith(".fifo") == bool(queue["fifo_queue"])


def test_everything_that_can_be_tagged_has_the_common_tags(lab: Plan) -> None:
    common = {
        "Project": "TiltSensor",
        "Environment": "Lab",
        "CreatedBy": "Plumbline",
        "ManagedBy": "Terraform",
    }
    tagged = [one for one in lab.resources.values() if one.values.get("tags_all") is not None]
    assert len(tagged) > 100
    for resource in tagged:
        assert common.items() <= resource["tags_all"].items(), resource.address


def test_instances_and_their_volumes_get_the_tags_too(lab: Plan) -> None:
    """An Auto Scaling group and a launch template hand on only what they are told to."""
    [group] = lab.of("aws_autoscaling_group")
    propagated = {tag["key"]: tag["value"] for tag in group["tag"] if tag["propagate_at_launch"]}
    assert propagated["Project"] == "TiltSensor"
    assert propagated["Name"] == "ec2-tilt-sensor-lab-portal"
    [template] = lab.of("aws_launch_template")
    [volume] = template["tag_specifications"]
    assert volume["resource_type"] == "volume"
    assert volume["tags"]["Project"] == "TiltSensor"
