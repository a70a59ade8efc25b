"""What lies is encrypted, and so is what travels."""

import json
from typing import Any

import pytest

from infra.deployment_plan import Plan

pytestmark = pytest.mark.terraform

_KEY = "aws_kms_key.main"


def test_what_lies_is_encrypted_with_the_deployments_key(resolved: Plan) -> None:
    encrypted = {
        "aws_rds_cluster": ("kms_key_id", "master_user_secret_kms_key_id"),
        "aws_rds_cluster_instance": ("performance_insights_kms_key_id",),
        "aws_elasticache_replication_group": ("kms_key_id",),
        "aws_efs_file_system": ("kms_key_id",),
        "aws_secretsmanager_secret": ("kms_key_id",),
        "aws_sns_topic": ("kms_master_key_id",),
    }
    for resource_type, attributes in encrypted.items():
        resources = resolved.of(resource_type)
        assert resources
        for resource in resources:
            for attribute in attributes:
                assert resolved.origin(resource[attribute]) == _KEY, resource.address
    [cluster] = resolved.of("aws_rds_cluster")
    [redis] = resolved.of("aws_elasticache_replication_group")
    [files] = resolved.of("aws_efs_file_system")
    [repository] = resolved.of("aws_ecr_repository")
    assert cluster["storage_encrypted"] is True
    assert redis["at_rest_encryption_enabled"] == "true"
    assert files["encrypted"] is True
    assert resolved.origin(repository["encryption_configuration"][0]["kms_key"]) == _KEY


def test_every_log_group_is_encrypted_and_ends(resolved: Plan) -> None:
    for group in resolved.of("aws_cloudwatch_log_group"):
        assert group["retention_in_days"] == 30, group.address
        if group.address == "module.waf.aws_cloudwatch_log_group.waf":
            continue  # in us-east-1, where the key need not be; CloudWatch encrypts it with its own
        assert resolved.origin(group["kms_key_id"]) == _KEY, group.address


def test_queues_buckets_and_volumes_are_encrypted_by_their_service(resolved: Plan) -> None:
    assert all(queue["sqs_managed_sse_enabled"] is True for queue in resolved.of("aws_sqs_queue"))
    encrypted = {
        resolved.origin(one["bucket"])
        for one in resolved.of("aws_s3_bucket_server_side_encryption_configuration")
    }
    assert encrypted == {bucket.address for bucket in resolved.of("aws_s3_bucket")}
    [template] = resolved.of("aws_launch_template")
    [volume] = template["block_device_mappings"]
    assert volume["ebs"][0]["encrypted"] == "true"


def test_the_key_is_changed_every_year(lab: Plan) -> None:
    [key] = lab.of("aws_kms_key")
    assert key["enable_key_rotation"] is True


def test_p4_3_plain_http_is_denied_at_every_queue_bucket_topic_and_file_system(
    resolved: Plan,
) -> None:
    protected = {}
    for resource_type, target in {
        "aws_sqs_queue_policy": "queue_url",
        "aws_s3_bucket_policy": "bucket",
        "aws_sns_topic_policy": "arn",
        "aws_efs_file_system_policy": "file_system_id",
    }.items():
        for policy in resolved.of(resource_type):
            protected[resolved.origin(policy[target])] = _denials(policy["policy"])
    expected = {
        one.address
        for kind in ("aws_sqs_queue", "aws_s3_bucket", "aws_sns_topic", "aws_efs_file_system")
        for one in resolved.of(kind)
    }
    assert protected.keys() == expected
    for address, denials in protected.items():
        [denial] = denials
        assert denial["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        assert denial["Principal"] in ("*", {"AWS": "*"})
        resources = denial["Resource"]
        for resource in [resources] if isinstance(resources, str) else resources:
            assert resolved.origin(resource).startswith(address)


def _denials(policy: str) -> list[dict[str, Any]]:
    return [one for one in json.loads(policy)["Statement"] if one["Effect"] == "Deny"]


def test_p4_3_database_and_cache_take_encrypted_connections_only(lab: Plan) -> None:
    [parameters] = lab.of("aws_rds_cluster_parameter_group")
    assert {"rds.force_ssl": "1"}.items() <= {
        one["name"]: one["value"] for one in parameters["parameter"]
    }.items()
    [redis] = lab.of("aws_elasticache_replication_group")
    assert redis["transit_encryption_enabled"] is True
    assert redis["transit_encryption_mode"] == "required"


def test_p4_3_devices_reach_the_broker_with_tls_only(lab: Plan) -> None:
    [listener] = [one for one in lab.of("aws_lb_listener") if one["protocol"] == "TCP"]
    assert listener["port"] == 8883
    [task] = lab.of("aws_ecs_task_definition")
    assert task.unknown["container_definitions"] is True  # see the resolved plan


def test_p4_3_the_brokers_task_has_no_plain_port_and_mounts_with_tls(resolved: Plan) -> None:
    [task] = resolved.of("aws_ecs_task_definition")
    [container] = json.loads(task["container_definitions"])
    assert [mapping["containerPort"] for mapping in container["portMappings"]] == [8883]
    assert "BROKER_PLAIN_HOST" not in {one["name"] for one in container["environment"]}
    volumes = {volume["name"]: volume for volume in task["volume"]}
    assert volumes.keys() == {"queues", "run"}
    assert volumes["queues"]["efs_volume_configuration"][0]["transit_encryption"] == "ENABLED"


def test_p4_3_browsers_cloudfront_load_balancer_and_portal_speak_https(lab: Plan) -> None:
    [distribution] = lab.of("aws_cloudfront_distribution")
    behaviours = distribution["default_cache_behavior"] + distribution["ordered_cache_behavior"]
    assert all(one["viewer_protocol_policy"] == "redirect-to-https" for one in behaviours)
    [origin] = distribution["origin"]
    assert origin["custom_origin_config"][0]["origin_protocol_policy"] == "https-only"
    assert origin["custom_origin_config"][0]["origin_ssl_protocols"] == ["TLSv1.2"]
    [certificate] = distribution["viewer_certificate"]
    assert certificate["minimum_protocol_version"] == "TLSv1.2_2021"
    [listener] = [one for one in lab.of("aws_lb_listener") if one["protocol"] == "HTTPS"]
    assert listener["ssl_policy"] == "ELBSecurityPolicy-TLS13-1-2-2021-06"
    assert lab["module.alb.aws_lb_target_group.portal_api"]["protocol"] == "HTTPS"


def test_p4_3_functions_speak_tls_to_the_broker(resolved: Plan) -> None:
    endpoints = {
        function.key: function["environment"][0]["variables"]["BROKER_ENDPOINT"]
        for function in resolved.of("aws_lambda_function")
        if "BROKER_ENDPOINT" in function["environment"][0]["variables"]
    }
    assert "parsing" in endpoints
    assert all(endpoint.startswith("mqtts://") for endpoint in endpoints.values())


def test_requests_that_do_not_come_through_the_distribution_are_refused(resolved: Plan) -> None:
    [listener] = [one for one in resolved.of("aws_lb_listener") if one["protocol"] == "HTTPS"]
    [action] = listener["default_action"]
    assert action["fixed_response"][0]["status_code"] == "403"
    [rule] = resolved.of("aws_lb_listener_rule")
    [condition] = rule["condition"]
    [distribution] = resolved.of("aws_cloudfront_distribution")
    [header] = distribution["origin"][0]["custom_header"]
    assert condition["http_header"][0]["http_header_name"] == header["name"]


def test_no_secret_is_planned(resolved: Plan) -> None:
    """Passwords are written without entering plan or state; RDS keeps its own."""
    for version in resolved.of("aws_secretsmanager_secret_version"):
        assert version["secret_string"] is None
        assert version["secret_string_wo_version"] == 1
    [cluster] = resolved.of("aws_rds_cluster")
    assert cluster["master_password"] is None
    assert cluster["manage_master_user_password"] is True
    for function in resolved.of("aws_lambda_function"):
        for name, value in function["environment"][0]["variables"].items():
            assert "PASSWORD" not in name or name.endswith(("_SECRET", "BROKER_PASSWORDS"))
            assert ":" not in value.partition("://")[2].partition("@")[0] or "@" not in value
