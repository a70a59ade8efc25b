"""What is deployed, as far as it decides about the bill: Terraform's defaults, or a plan's."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from plumbline.topology import TOPOLOGY

_ARCHITECTURES = {"X86_64": "x86_64", "ARM64": "arm64"}


@dataclass(frozen=True, slots=True)
class Deployment:
    """Sizes and numbers; the defaults are those of ``terraform/``.

    Attributes:
        zones: Availability zones.
        endpoints: Interface endpoints, each in every zone.
        nat_gateways: Instead of them, or beside.
        broker_tasks, broker_vcpu, broker_gb, broker_architecture: Of ECS.
        efs_throughput: ``bursting``, ``elastic`` or ``provisioned``.
        lambda_architecture, lambda_memory_mb: Of the functions, by name.
        db1_batch: Messages that db1 gets at once.
        function_logs: Whether each invocation writes lines of its own.
        aurora_instances, aurora_min_acu: One writer, the others readers.
        cache_nodes, cache_type: Of Redis.
        portal_instances, portal_type, portal_disk_gb: Of the Auto Scaling group at rest.
        secrets: The master user's, which RDS makes, among them.
        keys: Customer keys of KMS.
        custom_metrics: That functions and broker write.
        alarm_metrics: Metrics that alarms watch.
        dashboards: Of CloudWatch.
        waf_rules: Of the web ACL.
        log_retention_days: Of all log groups.
        config: Whether AWS Config records.
        guardduty: Whether GuardDuty watches.
        flow_logs: Whether the VPC's flows are logged.
    """

    zones: int = 2
    endpoints: int = 5
    nat_gateways: int = 0
    broker_tasks: int = 2
    broker_vcpu: float = 0.5
    broker_gb: float = 1.0
    broker_architecture: str = "x86_64"
    efs_throughput: str = "bursting"
    lambda_architecture: str = "x86_64"
    lambda_memory_mb: Mapping[str, int] = field(
        default_factory=lambda: {f.name: f.memory_mb for f in TOPOLOGY.functions}
    )
    db1_batch: int = next(s.batch_size for s in TOPOLOGY.event_sources if s.queue == "db1")
    function_logs: bool = True
    aurora_instances: int = 2
    aurora_min_acu: float = 0.5
    cache_nodes: int = 2
    cache_type: str = "cache.t3.micro"
    portal_instances: int = 2
    portal_type: str = "t3.medium"
    portal_disk_gb: int = 8
    secrets: int = 6
    keys: int = 1
    custom_metrics: int = 33
    alarm_metrics: int = 43
    dashboards: int = 1
    waf_rules: int = 4
    log_retention_days: int = 30
    config: bool = True
    guardduty: bool = False
    flow_logs: bool = False


def deployment_of(plan: Mapping[str, Any]) -> Deployment:
    """Read the sizes from a plan: the JSON of ``terraform show -json PLANFILE``.

    Raises:
        KeyError: It is no plan of this deployment.
    """
    found = list(_resources(plan))
    count = Counter(kind for kind, _ in found)

    def values(kind: str) -> list[Mapping[str, Any]]:
        return [value for other, value in found if other == kind]

    [task] = values("aws_ecs_task_definition")
    [service] = values("aws_ecs_service")
    [cluster] = values("aws_rds_cluster")
    [cache] = values("aws_elasticache_replication_group")
    [group] = values("aws_autoscaling_group")
    [template] = values("aws_launch_template")
    [files] = values("aws_efs_file_system")
    [acl] = values("aws_wafv2_web_acl")
    functions = values("aws_lambda_function")
    names = {function.handler: function.name for function in TOPOLOGY.functions}
    interface = [e for e in values("aws_vpc_endpoint") if e["vpc_endpoint_type"] == "Interface"]
    mappings = values("aws_lambda_event_source_mapping")
    return Deployment(
        zones=count["aws_efs_mount_target"],
        endpoints=len(interface),
        nat_gateways=count["aws_nat_gateway"],
        broker_tasks=service["desired_count"],
        broker_vcpu=int(task["cpu"]) / 1024,
        broker_gb=int(task["memory"]) / 1024,
        broker_architecture=_ARCHITECTURES[task["runtime_platform"][0]["cpu_architecture"]],
        efs_throughput=files["throughput_mode"],
        lambda_architecture=functions[0]["architectures"][0],
        lambda_memory_mb={
            names[f["handler"]]: f["memory_size"] for f in functions if f["handler"] in names
        },
        db1_batch=max(mapping["batch_size"] for mapping in mappings),
        aurora_instances=count["aws_rds_cluster_instance"],
        aurora_min_acu=cluster["serverlessv2_scaling_configuration"][0]["min_capacity"],
        cache_nodes=cache["num_cache_clusters"],
        cache_type=cache["node_type"],
        portal_instances=group["min_size"],
        portal_type=template["instance_type"],
        portal_disk_gb=template["block_device_mappings"][0]["ebs"][0]["volume_size"],
        secrets=count["aws_secretsmanager_secret"] + 1,
        keys=count["aws_kms_key"],
        alarm_metrics=sum(map(_metrics_of, values("aws_cloudwatch_metric_alarm"))),
        dashboards=count["aws_cloudwatch_dashboard"],
        waf_rules=len(acl["rule"]),
        log_retention_days=max(g["retention_in_days"] for g in values("aws_cloudwatch_log_group")),
        config=count["aws_config_configuration_recorder"] > 0,
        guardduty=count["aws_guardduty_detector"] > 0,
        flow_logs=count["aws_flow_log"] > 0,
    )


def resource_types(plan: Mapping[str, Any]) -> set[str]:
    """Return the types of all resources that a plan makes."""
    return {kind for kind, _ in _resources(plan)}


def _metrics_of(alarm: Mapping[str, Any]) -> int:
    """Return how many metrics an alarm watches, each of which is billed."""
    queries = alarm.get("metric_query") or []
    return max(1, sum(1 for query in queries if query.get("metric")))


def _resources(plan: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield type and values of what there is after the plan; what is not known yet is absent."""
    for resource in plan["resource_changes"]:
        after = resource["change"]["after"]
        if resource["mode"] == "managed" and after is not None:
            yield resource["type"], after
