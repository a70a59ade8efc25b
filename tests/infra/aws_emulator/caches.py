"""What moto lacks of ElastiCache.

It counts a group's nodes by another parameter, knows no single node and never finishes a deletion;
it has no parameter and user groups, nor their tags, nor the deletion of subnet groups.
"""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from moto.core.responses import ActionResult, EmptyResult
from moto.elasticache.models import ElastiCacheBackend
from moto.elasticache.responses import ElastiCacheResponse

from infra.aws_emulator.patching import Json, replace

_ARN = "arn:aws:elasticache:us-east-1:123456789012"

_replication_groups: dict[str, Json] = {}
_parameter_groups: dict[str, Json] = {}
_parameters: dict[str, dict[str, str]] = {}
_user_groups: dict[str, Json] = {}


def replication_groups_have_nodes() -> None:
    """A node of a group is described as AWS does, and a deleted group is gone."""

    @replace(ElastiCacheBackend, "create_replication_group")
    def create(original: Callable[..., Any], self: Any, **kwargs: Any) -> Any:
        kwargs["replicas_per_node_group"] = kwargs["num_cache_clusters"] - 1
        _replication_groups[kwargs["replication_group_id"]] = kwargs
        return original(self, **kwargs)

    @replace(ElastiCacheBackend, "delete_replication_group")
    def delete(original: Callable[..., Any], self: Any, **kwargs: Any) -> Any:
        original(self, **kwargs)
        return self.replication_groups.pop(kwargs["replication_group_id"])

    @replace(ElastiCacheBackend, "describe_cache_clusters")
    def describe(original: Callable[..., Any], self: Any, cache_cluster_id: str) -> Any:
        given = _replication_groups.get(cache_cluster_id.rpartition("-")[0])
        return [_node(cache_cluster_id, given)] if given else original(self, cache_cluster_id)


def _node(cluster_id: str, given: Json) -> SimpleNamespace:
    return SimpleNamespace(
        arn=f"{_ARN}:cluster:{cluster_id}",
        cache_cluster_id=cluster_id,
        cache_cluster_status="available",
        replication_group_id=given["replication_group_id"],
        engine=given["engine"],
        engine_version=f"{given['engine_version']}.0",
        cache_node_type=given["cache_node_type"],
        num_cache_nodes=1,
        cache_nodes=[],
        cache_subnet_group_name=given["cache_subnet_group_name"],
        cache_parameter_group={
            "CacheParameterGroupName": given["cache_parameter_group_name"],
            "ParameterApplyStatus": "in-sync",
        },
        security_groups=[
            {"SecurityGroupId": group_id, "Status": "active"}
            for group_id in given["security_group_ids"]
        ],
        preferred_maintenance_window=given["preferred_maintenance_window"],
        snapshot_retention_limit=given["snapshot_retention_limit"],
        snapshot_window="05:00-06:00",
        auto_minor_version_upgrade=True,
        transit_encryption_enabled=given["transit_encryption_enabled"],
        transit_encryption_mode=given["transit_encryption_mode"],
        at_rest_encryption_enabled=given["at_rest_encryption_enabled"],
        network_type="ipv4",
        ip_discovery="ipv4",
    )


def there_are_parameter_groups() -> None:
    """A parameter group keeps the values that differ from its family's."""

    def create(self: Any) -> ActionResult:
        name = self._get_param("CacheParameterGroupName")
        _parameters[name] = {}
        _parameter_groups[name] = {
            "CacheParameterGroupName": name,
            "CacheParameterGroupFamily": self._get_param("CacheParameterGroupFamily"),
            "Description": self._get_param("Description"),
            "ARN": f"{_ARN}:parametergroup:{name}",
        }
        _keep_tags(self, _parameter_groups[name]["ARN"])
        return ActionResult({"CacheParameterGroup": _parameter_groups[name]})

    def describe(self: Any) -> ActionResult:
        name = self._get_param("CacheParameterGroupName")
        return ActionResult({"CacheParameterGroups": [_parameter_groups[name]]})

    def modify(self: Any) -> ActionResult:
        name = self._get_param("CacheParameterGroupName")
        for parameter in self._get_param("ParameterNameValues"):
            _parameters[name][parameter["ParameterName"]] = parameter["ParameterValue"]
        return ActionResult({"CacheParameterGroupName": name})

    def describe_parameters(self: Any) -> ActionResult:
        values = _parameters[self._get_param("CacheParameterGroupName")]
        return ActionResult(
            {
                "Parameters": [
                    {"ParameterName": name, "ParameterValue": value, "Source": "user"}
                    for name, value in values.items()
                ]
            }
        )

    def delete(self: Any) -> ActionResult:
        del _parameter_groups[self._get_param("CacheParameterGroupName")]
        return EmptyResult()

    ElastiCacheResponse.create_cache_parameter_group = create
    ElastiCacheResponse.describe_cache_parameter_groups = describe
    ElastiCacheResponse.modify_cache_parameter_group = modify
    ElastiCacheResponse.describe_cache_parameters = describe_parameters
    ElastiCacheResponse.delete_cache_parameter_group = delete


def there_are_user_groups() -> None:
    """A user group keeps its users."""

    def create(self: Any) -> ActionResult:
        name = self._get_param("UserGroupId")
        _user_groups[name] = {
            "UserGroupId": name,
            "Status": "active",
            "Engine": self._get_param("Engine"),
            "UserIds": self._get_param("UserIds"),
            "ARN": f"{_ARN}:usergroup:{name}",
        }
        _keep_tags(self, _user_groups[name]["ARN"])
        return ActionResult(_user_groups[name])

    def describe(self: Any) -> ActionResult:
        found = _user_groups.get(self._get_param("UserGroupId"))
        return ActionResult({"UserGroups": [found] if found else []})

    def delete(self: Any) -> ActionResult:
        deleted = _user_groups.pop(self._get_param("UserGroupId"))
        return ActionResult({**deleted, "Status": "deleting"})

    ElastiCacheResponse.create_user_group = create
    ElastiCacheResponse.describe_user_groups = describe
    ElastiCacheResponse.delete_user_group = delete


def subnet_groups_can_be_deleted() -> None:
    """Moto knows no such call."""

    def delete(self: Any) -> ActionResult:
        del self.elasticache_backend.cache_subnet_groups[self._get_param("CacheSubnetGroupName")]
        return EmptyResult()

    ElastiCacheResponse.delete_cache_subnet_group = delete


def everything_has_tags() -> None:
    """Moto lists those of clusters only."""
    ElastiCacheBackend.list_tags_for_resource = lambda self, arn: (
        self.tagging_service.list_tags_for_resource(arn)
    )


def _keep_tags(response: Any, arn: str) -> None:
    response.elasticache_backend.add_tags_to_resource(arn, response._get_param("Tags") or [])


PATCHES: tuple[Callable[[], None], ...] = (
    replication_groups_have_nodes,
    there_are_parameter_groups,
    there_are_user_groups,
    subnet_groups_can_be_deleted,
    everything_has_tags,
)
