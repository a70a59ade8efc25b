"""Which resources of a plan the bill knows."""

from collections.abc import Mapping
from typing import Any

from plumbline.deployment.bill import monthly_bill
from plumbline.deployment.prices import load_prices
from plumbline.deployment.sizes import Deployment, resource_types
from plumbline.deployment.workload import Load

# What AWS does not bill: descriptions, permissions, and parts of what is billed elsewhere.
FREE = frozenset(
    {
        "aws_acm_certificate",
        "aws_acm_certificate_validation",
        "aws_appautoscaling_policy",
        "aws_appautoscaling_target",
        "aws_autoscaling_policy",
        "aws_cloudtrail",  # the first trail of management events
        "aws_cloudwatch_event_target",
        "aws_config_configuration_recorder_status",
        "aws_config_delivery_channel",
        "aws_db_subnet_group",
        "aws_default_security_group",
        "aws_ecr_lifecycle_policy",
        "aws_ecs_cluster",
        "aws_ecs_task_definition",
        "aws_efs_access_point",
        "aws_efs_file_system_policy",
        "aws_efs_mount_target",
        "aws_elasticache_parameter_group",
        "aws_elasticache_subnet_group",
        "aws_elasticache_user",
        "aws_elasticache_user_group",
        "aws_iam_instance_profile",
        "aws_iam_policy",
        "aws_iam_role",
        "aws_iam_role_policy",
        "aws_iam_role_policy_attachment",
        "aws_internet_gateway",
        "aws_kms_alias",
        "aws_lambda_event_source_mapping",
        "aws_lambda_function_event_invoke_config",
        "aws_lambda_permission",
        "aws_lb_listener",
        "aws_lb_listener_rule",
        "aws_lb_target_group",
        "aws_rds_cluster_parameter_group",
        "aws_route",
        "aws_route53_record",  # aliases to AWS; the zone is the customer's
        "aws_route_table",
        "aws_route_table_association",
        "aws_s3_bucket_lifecycle_configuration",
        "aws_s3_bucket_ownership_controls",
        "aws_s3_bucket_policy",
        "aws_s3_bucket_public_access_block",
        "aws_s3_bucket_server_side_encryption_configuration",
        "aws_s3_bucket_versioning",
        "aws_s3_object",
        "aws_secretsmanager_secret_version",
        "aws_security_group",
        "aws_sns_topic",  # the first million of requests, a thousand mails
        "aws_sns_topic_policy",
        "aws_sns_topic_subscription",
        "aws_sqs_queue_policy",
        "aws_sqs_queue_redrive_allow_policy",
        "aws_vpc",
        "aws_vpc_security_group_egress_rule",
        "aws_vpc_security_group_ingress_rule",
        "aws_wafv2_web_acl_logging_configuration",
        "terraform_data",
    }
)


def priced_types() -> set[str]:
    """Return the types that have a line of their own on the bill."""
    everything = Deployment(nat_gateways=1, config=True, guardduty=True, flow_logs=True)
    bill = monthly_bill(Load(), everything, load_prices("us-east-1"))
    return {item.resource for item in bill}


def uncovered(plan: Mapping[str, Any]) -> list[str]:
    """Return the types in a plan that the bill does not know, sorted.

    Args:
        plan: The JSON of ``terraform show -json PLANFILE``.
    """
    return sorted(resource_types(plan) - priced_types() - FREE)
