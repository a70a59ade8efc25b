"""What moto lacks for this deployment.

Each function mends one thing that would keep Terraform from applying, from planning again without
changes, or from destroying: its docstring says what AWS does and moto does not. What is hard-coded
here proves wiring, not AWS.
"""

import json
import re
from collections.abc import Callable
from typing import Any

from moto.applicationautoscaling.responses import ApplicationAutoScalingResponse
from moto.autoscaling.models import FakeScalingPolicy
from moto.autoscaling.responses import AutoScalingResponse
from moto.awslambda.models import LambdaFunction
from moto.cloudfront.models import DefaultCacheBehaviour, ViewerCertificate
from moto.core.responses import ActionResult
from moto.ec2.models.launch_templates import LaunchTemplateBackend
from moto.ec2.models.security_groups import SecurityGroupRule
from moto.ecs.responses import EC2ContainerServiceResponse
from moto.efs.responses import EFSResponse
from moto.iam.access_control import IAMRequestBase, PermissionResult
from moto.rds.models import DBCluster, DBInstanceClustered
from moto.s3.models import FakeBucket
from moto.sqs.models import Queue

from infra.aws_emulator.patching import Json, replace, replace_property


def bucket_policies_have_conditions() -> None:
    """AWS denies plain HTTP where a policy says so; moto overlooks the condition and denies all."""
    FakeBucket.get_permission = lambda *_: PermissionResult.NEUTRAL


def queues_return_their_redrive_policies() -> None:
    """Terraform waits until it reads what it wrote; moto writes JSON anew, and half of it not."""
    Queue.BASE_ATTRIBUTES = [*Queue.BASE_ATTRIBUTES, "RedriveAllowPolicy"]
    Queue.redrive_allow_policy = None

    @replace_property(Queue, "attributes")
    def attributes(original: Callable[..., Json], self: Any) -> Json:
        answer = {name: value for name, value in original(self).items() if value not in {None, ""}}
        if "RedrivePolicy" in answer:
            answer["RedrivePolicy"] = json.dumps(self.redrive_policy, separators=(",", ":"))
        return answer


def queues_keep_their_policy() -> None:
    """AWS changes the attributes that a call names; moto forgets a policy that it does not name."""

    @replace(Queue, "_set_attributes")
    def set_attributes(
        original: Callable[..., None],
        self: Any,
        attributes: Json,
        now: float | None = None,
    ) -> None:
        original(self, {"Policy": getattr(self, "policy", None), **attributes}, now)


def messages_wait_for_a_poller() -> None:
    """Moto runs a mapped function, in a container, inside SendMessage."""

    @replace(Queue, "add_message")
    def add_message(original: Callable[..., None], self: Any, message: Any) -> None:
        mappings, self.lambda_event_source_mappings = self.lambda_event_source_mappings, {}
        try:
            original(self, message)
        finally:
            self.lambda_event_source_mappings = mappings


def batch_calls_need_the_single_permission() -> None:
    """AWS authorises SendMessageBatch as sqs:SendMessage; moto as sqs:SendMessageBatch."""

    @replace(IAMRequestBase, "check_action_permitted")
    def check(original: Callable[..., None], self: Any, resource: str) -> None:
        self._action = re.sub(r"^(sqs:\w+Message)Batch$", r"\1", self._action)
        original(self, resource)


def rules_keep_their_description() -> None:
    """Moto keeps it of rules with an address only, not of those with a group or prefix list."""

    @replace(SecurityGroupRule, "__init__")
    def init(original: Callable[..., None], self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        for source in args:
            if isinstance(source, dict) and "Description" in source:
                self.ip_range = {**self.ip_range, "Description": source["Description"]}


def launch_templates_keep_their_own_tags() -> None:
    """Moto lists a template's own tags among those of the instances, too."""

    @replace(LaunchTemplateBackend, "create_launch_template")
    def create(original: Callable[..., Any], self: Any, *args: Any) -> Any:
        _, _, data, _ = args
        data["TagSpecifications"] = [
            specification
            for specification in data.get("TagSpecifications", [])
            if specification["ResourceType"] != "launch-template"
        ]
        return original(self, *args)


def clusters_are_provisioned() -> None:
    """Moto returns the scaling of the old Serverless for every cluster."""

    @replace_property(DBCluster, "scaling_configuration_info")
    def info(original: Callable[..., Json], self: Any) -> Json | None:
        return original(self) if self.engine_mode == "serverless" else None


def instances_return_what_they_were_given() -> None:
    """Moto forgets performance insights, and has another default of the certificate authority."""

    @replace(DBInstanceClustered, "__init__")
    def init(original: Callable[..., None], self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        self.performance_insights_enabled = kwargs["enable_performance_insights"]
        self.performance_insights_kms_key_id = kwargs["performance_insights_kms_key_id"]
        self.performance_insights_retention_period = kwargs["performance_insights_retention_period"]
        self.ca_certificate_identifier = "rds-ca-rsa2048-g1"  # else it is changed, with a reboot


def scaling_policies_are_enabled() -> None:
    """Moto does not say that they are, and returns an empty prediction, which is a difference."""

    @replace(FakeScalingPolicy, "__init__")
    def init(original: Callable[..., None], self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        self.enabled = True
        self.predictive_scaling_configuration = self.predictive_scaling_configuration or None


def scalable_targets_have_tags() -> None:
    """Terraform reads the tags that it gave; moto knows no such call."""
    tags: dict[str, Json] = {}

    @replace(ApplicationAutoScalingResponse, "register_scalable_target")
    def register(original: Callable[..., str], self: Any) -> str:
        answer = original(self)
        if given := self._get_param("Tags"):
            tags[json.loads(answer)["ScalableTargetARN"]] = given
        return answer

    def list_tags(self: Any) -> str:
        return json.dumps({"Tags": tags.get(self._get_param("ResourceARN"), {})})

    ApplicationAutoScalingResponse.list_tags_for_resource = list_tags


def services_return_all_that_they_were_given() -> None:
    """Moto forgets the grace period of health checks, and whether zones are rebalanced."""

    @replace(EC2ContainerServiceResponse, "create_service")
    def create(original: Callable[..., ActionResult], self: Any) -> ActionResult:
        answer = original(self)
        [service] = self.ecs_backend.services.values()
        service.health_check_grace_period_seconds = self._get_param("healthCheckGracePeriodSeconds")
        service.availability_zone_rebalancing = self._get_param("availabilityZoneRebalancing")
        return answer


def groups_of_instances_keep_their_warmup() -> None:
    """Moto forgets it."""

    @replace(AutoScalingResponse, "create_auto_scaling_group")
    def create(original: Callable[..., ActionResult], self: Any) -> ActionResult:
        answer = original(self)
        group = self.autoscaling_backend.autoscaling_groups[self._get_param("AutoScalingGroupName")]
        group.default_instance_warmup = self._get_int_param("DefaultInstanceWarmup")
        return answer


def file_system_policies_can_be_deleted() -> None:
    """Moto knows no such call."""

    def delete(self: Any) -> tuple[str, Json]:
        system = self.efs_backend.file_systems_by_id[self._get_param("FileSystemId")]
        system.file_system_policy = None
        return "{}", {"Content-Type": "application/json"}

    EFSResponse.delete_file_system_policy = delete


def distributions_return_what_they_were_given() -> None:
    """Moto adds forwarded values to a cache policy, and forgets a certificate of ACM."""

    @replace(DefaultCacheBehaviour, "__init__")
    def behaviour(original: Callable[..., None], self: Any, config: Json) -> None:
        original(self, config)
        if "ForwardedValues" not in config:
            self.forwarded_values = None

    @replace(ViewerCertificate, "__init__")
    def certificate(original: Callable[..., None], self: Any, config: Json) -> None:
        original(self, config)
        if config.get("ACMCertificateArn"):
            self.cloud_front_default_certificate = False
            self.certificate_source = "acm"


def functions_return_their_logging() -> None:
    """Moto forgets which log group a function writes to."""

    @replace(LambdaFunction, "__init__")
    def init(original: Callable[..., None], self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        spec = next(arg for arg in [*args, *kwargs.values()] if isinstance(arg, dict))
        self.logging_config = spec.get("LoggingConfig")

    @replace(LambdaFunction, "get_configuration")
    def configuration(original: Callable[..., Json], self: Any, *args: Any, **kwargs: Any) -> Json:
        answer = original(self, *args, **kwargs)
        if self.logging_config:
            answer["LoggingConfig"] = self.logging_config
        return answer


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
)
