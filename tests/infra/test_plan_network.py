"""Who may talk to whom, and what the internet can reach."""

import pytest

from infra.deployment_plan import Plan, Resource

pytestmark = pytest.mark.terraform

# The document's matrix (3.8.4), row by row, as it is here: first what comes in, then what goes out.
# Where a row differs from the document's, the reason stands above it.
MATRIX: dict[str, tuple[set[str], set[str]]] = {
    # TLS (8883) instead of 1883: property 4.3.
    "nlb": ({"8883 from 0.0.0.0/0"}, {"8883 to ecs-broker"}),
    # Out: what "all, for container pulls" comes to (image, secrets, log; layers and password file
    # on S3), and its queues on EFS.
    "ecs-broker": (
        {
            "8883 from nlb",
            "8883 from lambda-parsing",
            "8883 from lambda-mqtt-command",
            "8883 from lambda-lorawan-command",
        },
        {"443 to endpoints", "443 to S3", "2049 to efs"},
    ),
    # The device registry in Aurora tells it which LoRaWAN device has which codec.
    "lambda-parsing": (set(), {"8883 to ecs-broker", "443 to endpoints", "5432 to aurora"}),
    "lambda-distributing": (set(), {"443 to endpoints"}),
    # No 443: Lambda takes its messages from SQS for it, and its token for Aurora is made locally.
    "lambda-db1": (set(), {"5432 to aurora"}),
    "lambda-sync": (set(), {"5432 to aurora", "6379 to redis"}),
    "lambda-mqtt-command": (set(), {"8883 to ecs-broker", "443 to endpoints"}),
    "lambda-lorawan-command": (set(), {"8883 to ecs-broker", "443 to endpoints"}),
    "aurora": (
        {
            "5432 from lambda-db1",
            "5432 from lambda-sync",
            "5432 from portal",
            "5432 from lambda-parsing",
            "5432 from lambda-maintenance",
            "5432 from lambda-migrate",
            "5432 from lambda-operate",
        },
        set(),
    ),
    "redis": ({"6379 from lambda-sync", "6379 from portal", "6379 from lambda-operate"}, set()),
    # No port 80: CloudFront's list fills the group, and CloudFront itself redirects. TLS (8443) to
    # the instances: property 4.3.
    "alb": ({"443 from CloudFront"}, {"8443 to portal"}),
    # S3: its bundle, and the packages of Amazon Linux.
    "portal": (
        {"8443 from alb"},
        {"5432 to aurora", "6379 to redis", "443 to endpoints", "443 to S3"},
    ),
    # The rows below are not the document's. Partitions and retention:
    "lambda-maintenance": (set(), {"5432 to aurora"}),
    # The schema, with the master user's secret:
    "lambda-migrate": (set(), {"5432 to aurora", "443 to endpoints"}),
    # Work by hand; it writes the broker's password file:
    "lambda-operate": (
        set(),
        {"5432 to aurora", "6379 to redis", "443 to endpoints", "443 to S3"},
    ),
    "efs": ({"2049 from ecs-broker"}, set()),
    "endpoints": (
        {
            "443 from ecs-broker",
            "443 from portal",
            "443 from lambda-parsing",
            "443 from lambda-distributing",
            "443 from lambda-mqtt-command",
            "443 from lambda-lorawan-command",
            "443 from lambda-migrate",
            "443 from lambda-operate",
        },
        set(),
    ),
}

_PREFIX = "tilt-sensor-lab"


def name_of_group(group: Resource) -> str:
    name: str = group["name"]
    assert name.startswith(f"{_PREFIX}-")
    assert name.endswith("-sg")
    return name.removeprefix(f"{_PREFIX}-").removesuffix("-sg")


def rules(plan: Plan, direction: str) -> dict[str, set[str]]:
    """Return what each group lets in or out, as in the table."""
    found: dict[str, set[str]] = {
        name_of_group(group): set() for group in plan.of("aws_security_group")
    }
    word = "from" if direction == "ingress" else "to"
    for rule in plan.of(f"aws_vpc_security_group_{direction}_rule"):
        assert rule["ip_protocol"] == "tcp"
        assert rule["from_port"] == rule["to_port"]
        group = name_of_group(plan[plan.origin(rule["security_group_id"])])
        found[group].add(f"{rule['from_port']} {word} {_other_end(plan, rule)}")
    return found


def _other_end(plan: Plan, rule: Resource) -> str:
    if rule["referenced_security_group_id"]:
        return name_of_group(plan[plan.origin(rule["referenced_security_group_id"])])
    if rule["prefix_list_id"]:
        lists = {"pl-3b927c52": "CloudFront", "module.vpc.aws_vpc_endpoint.s3": "S3"}
        return lists[plan.origin(rule["prefix_list_id"])]
    assert rule["cidr_ipv6"] is None
    return str(rule["cidr_ipv4"])


def test_the_matrix_has_a_row_for_every_group_and_no_other(resolved: Plan) -> None:
    groups = {name_of_group(group) for group in resolved.of("aws_security_group")}
    assert groups == MATRIX.keys()


@pytest.mark.parametrize("component", MATRIX)
def test_a_group_lets_in_and_out_what_its_row_says_and_nothing_else(
    resolved: Plan, component: str
) -> None:
    comes_in, goes_out = MATRIX[component]
    assert rules(resolved, "ingress")[component] == comes_in
    assert rules(resolved, "egress")[component] == goes_out


def test_groups_have_no_rules_beside_the_rule_resources(lab: Plan) -> None:
    """Inline rules would be known; what AWS reports of the rule resources is not."""
    for group in lab.of("aws_security_group"):
        assert group.unknown["ingress"] is True
        assert group.unknown["egress"] is True
    assert lab.of("aws_security_group_rule") == []
    [default] = lab.of("aws_default_security_group")
    assert default.unknown["ingress"] is True  # Terraform removes its rules when it takes it over


def test_groups_are_named_as_in_the_document_by_their_tag(lab: Plan) -> None:
    """AWS refuses names that begin with "sg-"; the tag has the document's name."""
    for group in lab.of("aws_security_group"):
        assert group["tags"]["Name"] == f"sg-{_PREFIX}-{name_of_group(group)}"


def test_p4_1_only_load_balancers_lie_in_subnets_that_the_internet_reaches(resolved: Plan) -> None:
    [to_internet] = [route for route in resolved.of("aws_route") if route["gateway_id"] is not None]
    public_table = resolved.origin(to_internet["route_table_id"])
    public = {
        resolved.origin(association["subnet_id"])
        for association in resolved.of("aws_route_table_association")
        if resolved.origin(association["route_table_id"]) == public_table
    }
    assert public == {
        'module.vpc.aws_subnet.public["az1"]',
        'module.vpc.aws_subnet.public["az2"]',
    }
    in_public = {
        resource.address
        for resource in resolved.resources.values()
        if resource.type not in {"aws_subnet", "aws_route_table_association"}
        and public & set(map(resolved.origin, _strings(resource.values)))
    }
    assert in_public == {"module.nlb.aws_lb.iot_nlb", "module.alb.aws_lb.portal_alb"}


def _strings(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for one in value.values() for text in _strings(one)]
    if isinstance(value, list):
        return [text for one in value for text in _strings(one)]
    return []


def test_p4_1_nothing_else_has_an_address_of_the_internet(lab: Plan) -> None:
    assert lab.of("aws_eip") == []
    assert lab.of("aws_nat_gateway") == []
    assert lab.of("aws_lambda_function_url") == []
    assert all(subnet["map_public_ip_on_launch"] is False for subnet in lab.of("aws_subnet"))
    [service] = lab.of("aws_ecs_service")
    assert service["network_configuration"][0]["assign_public_ip"] is False
    for instance in lab.of("aws_rds_cluster_instance"):
        assert instance["publicly_accessible"] is False
    [template] = lab.of("aws_launch_template")
    assert template["network_interfaces"] == []


def test_p4_1_every_bucket_is_closed_to_the_public(resolved: Plan) -> None:
    closed = {
        resolved.origin(block["bucket"])
        for block in resolved.of("aws_s3_bucket_public_access_block")
        if all(
            block[name] is True
            for name in (
                "block_public_acls",
                "block_public_policy",
                "ignore_public_acls",
                "restrict_public_buckets",
            )
        )
    }
    assert closed == {bucket.address for bucket in resolved.of("aws_s3_bucket")}


def test_p4_1_private_components_reach_aws_by_endpoints_of_this_account_alone(lab: Plan) -> None:
    endpoints = lab.by_key("aws_vpc_endpoint")
    assert endpoints.keys() == {None, "ecr.api", "ecr.dkr", "logs", "secretsmanager", "sqs"}
    for service, endpoint in endpoints.items():
        if service is not None:
            assert endpoint["private_dns_enabled"] is True
            assert '"aws:PrincipalAccount":"123456789012"' in endpoint["policy"]
    assert '"aws:ResourceAccount":"123456789012"' in endpoints[None]["policy"]


def test_p5_1_everything_stands_in_two_zones(resolved: Plan) -> None:
    plan = resolved
    zones = {subnet.address: subnet["availability_zone"] for subnet in plan.of("aws_subnet")}

    def zones_of(subnet_ids: list[str]) -> set[str]:
        return {zones[plan.origin(subnet_id)] for subnet_id in subnet_ids}

    both = {"us-east-1a", "us-east-1b"}
    [service] = plan.of("aws_ecs_service")
    [group] = plan.of("aws_autoscaling_group")
    assert zones_of(service["network_configuration"][0]["subnets"]) == both
    assert service["desired_count"] >= 2
    assert zones_of(group["vpc_zone_identifier"]) == both
    assert group["min_size"] >= 2
    for balancer in plan.of("aws_lb"):
        assert zones_of(balancer["subnets"]) == both
    for function in plan.of("aws_lambda_function"):
        assert zones_of(function["vpc_config"][0]["subnet_ids"]) == both
    for endpoint in plan.of("aws_vpc_endpoint"):
        if endpoint["vpc_endpoint_type"] == "Interface":
            assert zones_of(endpoint["subnet_ids"]) == both
    for subnets in (*plan.of("aws_db_subnet_group"), *plan.of("aws_elasticache_subnet_group")):
        assert zones_of(subnets["subnet_ids"]) == both
    assert zones_of([t["subnet_id"] for t in plan.of("aws_efs_mount_target")]) == both
    assert len(plan.of("aws_rds_cluster_instance")) >= 2
    [redis] = plan.of("aws_elasticache_replication_group")
    assert redis["num_cache_clusters"] >= 2
    assert redis["multi_az_enabled"] is True
    assert redis["automatic_failover_enabled"] is True
    [nlb] = [
        balancer for balancer in plan.of("aws_lb") if balancer["load_balancer_type"] == "network"
    ]
    assert nlb["enable_cross_zone_load_balancing"] is True
