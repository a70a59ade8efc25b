"""The AWS API on this machine: moto's server, and what it lacks for this deployment.

Runs in an environment of its own (``requirements/aws-emulator.txt``):

    python aws_emulator.py PORT

Moto answers most calls. Each function of PATCHES mends one thing that would keep Terraform from
applying, from planning again without changes, or from destroying: its docstring says what AWS does
and moto does not. What is hard-coded here proves wiring, not AWS.
"""

import json
import os
import re
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from moto.core.responses import ActionResult, EmptyResult
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from waitress import serve

_Json = dict[str, Any]


def replace(owner: Any, name: str) -> Callable[[Callable[..., Any]], None]:  # noqa: ANN401 - any class of moto
    """Put a function in the place of a method; it gets the method as its first argument."""
    original = getattr(owner, name)

    def put(function: Callable[..., Any]) -> None:
        setattr(owner, name, lambda *args, **kwargs: function(original, *args, **kwargs))

    return put


def replace_property(owner: Any, name: str) -> Callable[[Callable[..., Any]], None]:  # noqa: ANN401 - any class of moto
    """Put a function in the place of a property; it gets the property's getter and the object."""
    original = getattr(owner, name).fget

    def put(function: Callable[..., Any]) -> None:
        setattr(owner, name, property(lambda self: function(original, self)))

    return put


def bucket_policies_have_conditions() -> None:
    """AWS denies plain HTTP where a policy says so; moto overlooks the condition and denies all."""
    from moto.iam.access_control import PermissionResult
    from moto.s3.models import FakeBucket

    FakeBucket.get_permission = lambda *_: PermissionResult.NEUTRAL


def queues_return_their_redrive_policies() -> None:
    """Terraform waits until it reads what it wrote; moto writes JSON anew, and half of it not."""
    from moto.sqs.models import Queue

    Queue.BASE_ATTRIBUTES = [*Queue.BASE_ATTRIBUTES, "RedriveAllowPolicy"]
    Queue.redrive_allow_policy = None

    @replace_property(Queue, "attributes")
    def attributes(original: Callable[..., _Json], self: Any) -> _Json:  # noqa: ANN401
        answer = {name: value for name, value in original(self).items() if value not in {None, ""}}
        if "RedrivePolicy" in answer:
            answer["RedrivePolicy"] = json.dumps(self.redrive_policy, separators=(",", ":"))
        return answer


def queues_keep_their_policy() -> None:
    """AWS changes the attributes that a call names; moto forgets a policy that it does not name."""
    from moto.sqs.models import Queue

    @replace(Queue, "_set_attributes")
    def set_attributes(
        original: Callable[..., None],
        self: Any,  # noqa: ANN401
        attributes: _Json,
        now: float | None = None,
    ) -> None:
        original(self, {"Policy": getattr(self, "policy", None), **attributes}, now)


def messages_wait_for_a_poller() -> None:
    """Moto runs a mapped function, in a container, inside SendMessage."""
    from moto.sqs.models import Queue

    @replace(Queue, "add_message")
    def add_message(original: Callable[..., None], self: Any, message: Any) -> None:  # noqa: ANN401
        mappings, self.lambda_event_source_mappings = self.lambda_event_source_mappings, {}
        try:
            original(self, message)
        finally:
            self.lambda_event_source_mappings = mappings


def batch_calls_need_the_single_permission() -> None:
    """AWS authorises SendMessageBatch as sqs:SendMessage; moto as sqs:SendMessageBatch."""
    from moto.iam.access_control import IAMRequestBase

    @replace(IAMRequestBase, "check_action_permitted")
    def check(original: Callable[..., None], self: Any, resource: str) -> None:  # noqa: ANN401
        self._action = re.sub(r"^(sqs:\w+Message)Batch$", r"\1", self._action)
        original(self, resource)


def rules_keep_their_description() -> None:
    """Moto keeps it of rules with an address only, not of those with a group or prefix list."""
    from moto.ec2.models.security_groups import SecurityGroupRule

    @replace(SecurityGroupRule, "__init__")
    def init(original: Callable[..., None], self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        original(self, *args, **kwargs)
        for source in args:
            if isinstance(source, dict) and "Description" in source:
                self.ip_range = {**self.ip_range, "Description": source["Description"]}


def launch_templates_keep_their_own_tags() -> None:
    """Moto lists a template's own tags among those of the instances, too."""
    from moto.ec2.models.launch_templates import LaunchTemplateBackend

    @replace(LaunchTemplateBackend, "create_launch_template")
    def create(
        original: Callable[..., Any],
        self: Any,  # noqa: ANN401
        name: str,
        description: str,
        data: _Json,
        tags: _Json,
    ) -> Any:  # noqa: ANN401
        data["TagSpecifications"] = [
            specification
            for specification in data.get("TagSpecifications", [])
            if specification["ResourceType"] != "launch-template"
        ]
        return original(self, name, description, data, tags)


def clusters_are_provisioned() -> None:
    """Moto returns the scaling of the old Serverless for every cluster."""
    from moto.rds.models import DBCluster

    @replace_property(DBCluster, "scaling_configuration_info")
    def info(original: Callable[..., _Json], self: Any) -> _Json | None:  # noqa: ANN401
        return original(self) if self.engine_mode == "serverless" else None


def instances_return_what_they_were_given() -> None:
    """Moto forgets performance insights, and has another default of the certificate authority."""
    from moto.rds.models import DBInstanceClustered

    @replace(DBInstanceClustered, "__init__")
    def init(original: Callable[..., None], self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        original(self, *args, **kwargs)
        self.performance_insights_enabled = kwargs["enable_performance_insights"]
        self.performance_insights_kms_key_id = kwargs["performance_insights_kms_key_id"]
        self.performance_insights_retention_period = kwargs["performance_insights_retention_period"]
        self.ca_certificate_identifier = "rds-ca-rsa2048-g1"  # else it is changed, with a reboot


def scaling_policies_are_enabled() -> None:
    """Moto does not say that they are, and returns an empty prediction, which is a difference."""
    from moto.autoscaling.models import FakeScalingPolicy

    @replace(FakeScalingPolicy, "__init__")
    def init(original: Callable[..., None], self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        original(self, *args, **kwargs)
        self.enabled = True
        self.predictive_scaling_configuration = self.predictive_scaling_configuration or None


def scalable_targets_have_tags() -> None:
    """Terraform reads the tags that it gave; moto knows no such call."""
    from moto.applicationautoscaling.responses import ApplicationAutoScalingResponse as Response

    tags: dict[str, _Json] = {}

    @replace(Response, "register_scalable_target")
    def register(original: Callable[..., str], self: Any) -> str:  # noqa: ANN401
        answer = original(self)
        if given := self._get_param("Tags"):
            tags[json.loads(answer)["ScalableTargetARN"]] = given
        return answer

    def list_tags(self: Any) -> str:  # noqa: ANN401
        return json.dumps({"Tags": tags.get(self._get_param("ResourceARN"), {})})

    Response.list_tags_for_resource = list_tags


def services_return_all_that_they_were_given() -> None:
    """Moto forgets the grace period of health checks, and whether zones are rebalanced."""
    from moto.ecs.responses import EC2ContainerServiceResponse as Response

    @replace(Response, "create_service")
    def create(original: Callable[..., ActionResult], self: Any) -> ActionResult:  # noqa: ANN401
        answer = original(self)
        [service] = self.ecs_backend.services.values()
        service.health_check_grace_period_seconds = self._get_param("healthCheckGracePeriodSeconds")
        service.availability_zone_rebalancing = self._get_param("availabilityZoneRebalancing")
        return answer


def groups_of_instances_keep_their_warmup() -> None:
    """Moto forgets it."""
    from moto.autoscaling.responses import AutoScalingResponse as Response

    @replace(Response, "create_auto_scaling_group")
    def create(original: Callable[..., ActionResult], self: Any) -> ActionResult:  # noqa: ANN401
        answer = original(self)
        group = self.autoscaling_backend.autoscaling_groups[self._get_param("AutoScalingGroupName")]
        group.default_instance_warmup = self._get_int_param("DefaultInstanceWarmup")
        return answer


def file_system_policies_can_be_deleted() -> None:
    """Moto knows no such call."""
    from moto.efs.responses import EFSResponse

    def delete(self: Any) -> tuple[str, _Json]:  # noqa: ANN401
        system = self.efs_backend.file_systems_by_id[self._get_param("FileSystemId")]
        system.file_system_policy = None
        return "{}", {"Content-Type": "application/json"}

    EFSResponse.delete_file_system_policy = delete


def distributions_return_what_they_were_given() -> None:
    """Moto adds forwarded values to a cache policy, and forgets a certificate of ACM."""
    from moto.cloudfront.models import DefaultCacheBehaviour, ViewerCertificate

    @replace(DefaultCacheBehaviour, "__init__")
    def behaviour(original: Callable[..., None], self: Any, config: _Json) -> None:  # noqa: ANN401
        original(self, config)
        if "ForwardedValues" not in config:
            self.forwarded_values = None

    @replace(ViewerCertificate, "__init__")
    def certificate(original: Callable[..., None], self: Any, config: _Json) -> None:  # noqa: ANN401
        original(self, config)
        if config.get("ACMCertificateArn"):
            self.cloud_front_default_certificate = False
            self.certificate_source = "acm"


def functions_return_their_logging() -> None:
    """Moto forgets which log group a function writes to."""
    from moto.awslambda.models import LambdaFunction

    @replace(LambdaFunction, "__init__")
    def init(original: Callable[..., None], self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401
        original(self, *args, **kwargs)
        spec = next(arg for arg in [*args, *kwargs.values()] if isinstance(arg, dict))
        self.logging_config = spec.get("LoggingConfig")

    @replace(LambdaFunction, "get_configuration")
    def configuration(
        original: Callable[..., _Json], self: Any, *args: Any, **kwargs: Any
    ) -> _Json:  # noqa: ANN401
        answer = original(self, *args, **kwargs)
        if self.logging_config:
            answer["LoggingConfig"] = self.logging_config
        return answer


def replication_groups_have_nodes() -> None:
    """Moto counts nodes by another parameter, knows no single node, and never finishes a deletion."""
    from moto.elasticache.models import ElastiCacheBackend as Backend

    given: dict[str, _Json] = {}

    @replace(Backend, "create_replication_group")
    def create(original: Callable[..., Any], self: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        kwargs["replicas_per_node_group"] = kwargs["num_cache_clusters"] - 1
        given[kwargs["replication_group_id"]] = kwargs
        return original(self, **kwargs)

    @replace(Backend, "delete_replication_group")
    def delete(original: Callable[..., Any], self: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        original(self, **kwargs)
        return self.replication_groups.pop(kwargs["replication_group_id"])

    @replace(Backend, "describe_cache_clusters")
    def describe(original: Callable[..., Any], self: Any, cache_cluster_id: str) -> Any:  # noqa: ANN401
        group = cache_cluster_id.rpartition("-")[0]
        if group not in given:
            return original(self, cache_cluster_id)
        spec = given[group]
        return [
            SimpleNamespace(
                arn=f"arn:aws:elasticache:us-east-1:123456789012:cluster:{cache_cluster_id}",
                cache_cluster_id=cache_cluster_id,
                cache_cluster_status="available",
                replication_group_id=group,
                engine=spec["engine"],
                engine_version=f"{spec['engine_version']}.0",
                cache_node_type=spec["cache_node_type"],
                num_cache_nodes=1,
                cache_nodes=[],
                cache_subnet_group_name=spec["cache_subnet_group_name"],
                cache_parameter_group={
                    "CacheParameterGroupName": spec["cache_parameter_group_name"],
                    "ParameterApplyStatus": "in-sync",
                },
                security_groups=[
                    {"SecurityGroupId": group_id, "Status": "active"}
                    for group_id in spec["security_group_ids"]
                ],
                preferred_maintenance_window=spec["preferred_maintenance_window"],
                snapshot_retention_limit=spec["snapshot_retention_limit"],
                snapshot_window="05:00-06:00",
                auto_minor_version_upgrade=True,
                transit_encryption_enabled=spec["transit_encryption_enabled"],
                transit_encryption_mode=spec["transit_encryption_mode"],
                at_rest_encryption_enabled=spec["at_rest_encryption_enabled"],
                network_type="ipv4",
                ip_discovery="ipv4",
            )
        ]


def caches_have_parameter_and_user_groups() -> None:
    """Moto has neither, nor their tags, nor the deletion of subnet groups."""
    from moto.elasticache.models import ElastiCacheBackend as Backend
    from moto.elasticache.responses import ElastiCacheResponse as Response

    arn = "arn:aws:elasticache:us-east-1:123456789012"
    parameter_groups: dict[str, _Json] = {}
    parameters: dict[str, dict[str, str]] = {}
    user_groups: dict[str, _Json] = {}

    def create_parameter_group(self: Any) -> ActionResult:  # noqa: ANN401
        name = self._get_param("CacheParameterGroupName")
        parameters[name] = {}
        parameter_groups[name] = {
            "CacheParameterGroupName": name,
            "CacheParameterGroupFamily": self._get_param("CacheParameterGroupFamily"),
            "Description": self._get_param("Description"),
            "ARN": f"{arn}:parametergroup:{name}",
        }
        _keep_tags(self, parameter_groups[name]["ARN"])
        return ActionResult({"CacheParameterGroup": parameter_groups[name]})

    def describe_parameter_groups(self: Any) -> ActionResult:  # noqa: ANN401
        name = self._get_param("CacheParameterGroupName")
        return ActionResult({"CacheParameterGroups": [parameter_groups[name]]})

    def modify_parameter_group(self: Any) -> ActionResult:  # noqa: ANN401
        name = self._get_param("CacheParameterGroupName")
        for parameter in self._get_param("ParameterNameValues"):
            parameters[name][parameter["ParameterName"]] = parameter["ParameterValue"]
        return ActionResult({"CacheParameterGroupName": name})

    def describe_parameters(self: Any) -> ActionResult:  # noqa: ANN401
        values = parameters[self._get_param("CacheParameterGroupName")]
        return ActionResult(
            {
                "Parameters": [
                    {"ParameterName": name, "ParameterValue": value, "Source": "user"}
                    for name, value in values.items()
                ]
            }
        )

    def delete_parameter_group(self: Any) -> ActionResult:  # noqa: ANN401
        del parameter_groups[self._get_param("CacheParameterGroupName")]
        return EmptyResult()

    def create_user_group(self: Any) -> ActionResult:  # noqa: ANN401
        name = self._get_param("UserGroupId")
        user_groups[name] = {
            "UserGroupId": name,
            "Status": "active",
            "Engine": self._get_param("Engine"),
            "UserIds": self._get_param("UserIds"),
            "ARN": f"{arn}:usergroup:{name}",
        }
        _keep_tags(self, user_groups[name]["ARN"])
        return ActionResult(user_groups[name])

    def describe_user_groups(self: Any) -> ActionResult:  # noqa: ANN401
        found = user_groups.get(self._get_param("UserGroupId"))
        return ActionResult({"UserGroups": [found] if found else []})

    def delete_user_group(self: Any) -> ActionResult:  # noqa: ANN401
        return ActionResult(
            {**user_groups.pop(self._get_param("UserGroupId")), "Status": "deleting"}
        )

    def delete_subnet_group(self: Any) -> ActionResult:  # noqa: ANN401
        del self.elasticache_backend.cache_subnet_groups[self._get_param("CacheSubnetGroupName")]
        return EmptyResult()

    Backend.list_tags_for_resource = lambda self, arn: self.tagging_service.list_tags_for_resource(
        arn
    )
    Response.create_cache_parameter_group = create_parameter_group
    Response.describe_cache_parameter_groups = describe_parameter_groups
    Response.modify_cache_parameter_group = modify_parameter_group
    Response.describe_cache_parameters = describe_parameters
    Response.delete_cache_parameter_group = delete_parameter_group
    Response.create_user_group = create_user_group
    Response.describe_user_groups = describe_user_groups
    Response.delete_user_group = delete_user_group
    Response.delete_cache_subnet_group = delete_subnet_group


def _keep_tags(response: Any, arn: str) -> None:  # noqa: ANN401 - a response of moto
    response.elasticache_backend.add_tags_to_resource(arn, response._get_param("Tags") or [])


PATCHES: tuple[Callable[[], None], ...] = (
    bucket_policies_have_conditions,
    queues_return_their_redrive_policies,
    queues_keep_their_policy,
    messages_wait_for_a_poller,
    batch_calls_need_the_single_permission,
    rules_keep_their_description,
    launch_templates_keep_their_own_tags,
    clusters_are_provisioned,
    instances_return_what_they_were_given,
    scaling_policies_are_enabled,
    scalable_targets_have_tags,
    services_return_all_that_they_were_given,
    groups_of_instances_keep_their_warmup,
    file_system_policies_can_be_deleted,
    distributions_return_what_they_were_given,
    functions_return_their_logging,
    replication_groups_have_nodes,
    caches_have_parameter_and_user_groups,
)


def main(port: int) -> None:
    """Serve until killed."""
    os.environ["MOTO_PORT"] = str(port)
    for patch in PATCHES:
        patch()
    # Moto's own server loses answers under Terraform's load.
    serve(
        DomainDispatcherApplication(create_backend_app),
        host="127.0.0.1",
        port=port,
        threads=32,
        max_request_body_size=1 << 28,
        clear_untrusted_proxy_headers=False,
    )


if __name__ == "__main__":
    main(int(sys.argv[1]))
