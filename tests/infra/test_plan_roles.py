"""Each role may do what it needs, on what it needs it for, and nothing else."""

import json
from typing import Any

import pytest

from infra.deployment_plan import Plan
from plumbline.topology import TOPOLOGY

pytestmark = pytest.mark.terraform

Grants = dict[str, set[str]]

_FUNCTIONS = {function.name for function in TOPOLOGY.functions}
_DOCUMENT_NAMES = {
    "sync": "data-transmission",
    "mqtt_command": "mqtt-cmd-handler",
    "lorawan_command": "lorawan-cmd-handler",
}
_NETWORK_ACTIONS = (
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:UnassignPrivateIpAddresses",
)

# Actions that AWS lets nobody restrict to resources, or asks for on all of them, and why.
ON_EVERYTHING = {
    **dict.fromkeys(
        _NETWORK_ACTIONS,
        "Lambda makes the interfaces, which do not exist yet; the function's own code is denied it",
    ),
    "ecr:GetAuthorizationToken": "a token is for the registry as a whole",
}

_KEY = "aws_kms_key.main"
_CACHE = "module.elasticache.aws_elasticache_replication_group.redis"
_ARTIFACTS = "aws_s3_bucket.artifacts"
_PASSWORDS = f"{_ARTIFACTS}/broker/passwords"
_FAILED_RUNS = "module.sqs.aws_sqs_queue.failed_runs"
_TAKE = ("sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage")


def queue(name: str) -> str:
    return f'module.sqs.aws_sqs_queue.main["{name}"]'


def dead_letters(name: str) -> str:
    return f'module.sqs.aws_sqs_queue.dead_letter["{name}"]'


def secret(user: str) -> str:
    return f'module.ecs.aws_secretsmanager_secret.service_user["{user}"]'


def database_user(name: str) -> str:
    return (
        "arn:aws:rds-db:us-east-1:123456789012:dbuser:module.rds.aws_rds_cluster.aurora/"
        f"plumbline_{name}"
    )


def cache_user(name: str) -> str:
    return f'module.elasticache.aws_elasticache_user.iam["{name}"]'


def takes(name: str) -> Grants:
    return {action: {queue(name)} for action in _TAKE}


def reads(*secrets: str) -> Grants:
    return {"secretsmanager:GetSecretValue": set(secrets), "kms:Decrypt": {_KEY}}


# What the ledger counts.
_ACCOUNTED = {end(name) for name in ("distributing", "db1") for end in (queue, dead_letters)}

# What each function may do beside writing its own log and having network interfaces.
FUNCTIONS: dict[str, Grants] = {
    "parsing": {
        "sqs:SendMessage": {queue("distributing"), _FAILED_RUNS},
        **reads(secret("ingest")),
        # Not the document's: the device registry, for LoRaWAN (docs/adr/0024-least-privilege.md).
        "rds-db:connect": {database_user("parsing")},
    },
    "distributing": {**takes("distributing"), "sqs:SendMessage": {queue("db1")}},
    "db1": {**takes("db1"), "rds-db:connect": {database_user("db1")}},
    "sync": {
        "rds-db:connect": {database_user("sync")},
        "elasticache:Connect": {_CACHE, cache_user("sync")},
        "sqs:SendMessage": {_FAILED_RUNS},
    },
    "maintenance": {
        "rds-db:connect": {database_user("maintenance")},
        "sqs:SendMessage": {_FAILED_RUNS},
    },
    "mqtt_command": {
        **takes("mqtt-command"),
        "sqs:SendMessage": {queue("distributing")},
        **reads(secret("command")),
    },
    "lorawan_command": {
        **takes("lorawan-command"),
        "sqs:SendMessage": {queue("distributing")},
        **reads(secret("lorawan_command")),
    },
    "migrate": reads("module.rds.aws_rds_cluster.aurora.master_user_secret"),
    "operate": {
        "rds-db:connect": {database_user("operate")},
        "elasticache:Connect": {_CACHE, cache_user("operate")},
        "sqs:SendMessage": {queue("distributing")},
        "sqs:GetQueueAttributes": _ACCOUNTED,
        "s3:GetObject": {_PASSWORDS},
        "s3:PutObject": {_PASSWORDS},
        "s3:ListBucket": {_ARTIFACTS},
    },
}

_BROKER_SECRETS = {
    *map(secret, ("ingest", "command", "lorawan_command", "monitor")),
    "module.ecs.aws_secretsmanager_secret.tls",
}

# The other roles, with the service that assumes them.
OTHERS: dict[str, tuple[str, Grants]] = {
    "broker-execution": (
        "ecs-tasks.amazonaws.com",
        {
            "ecr:GetAuthorizationToken": {"*"},
            "ecr:BatchCheckLayerAvailability": {"module.ecs.aws_ecr_repository.broker"},
            "ecr:BatchGetImage": {"module.ecs.aws_ecr_repository.broker"},
            "ecr:GetDownloadUrlForLayer": {"module.ecs.aws_ecr_repository.broker"},
            "logs:CreateLogStream": {"module.ecs.aws_cloudwatch_log_group.broker:*"},
            "logs:PutLogEvents": {"module.ecs.aws_cloudwatch_log_group.broker:*"},
            **reads(*_BROKER_SECRETS),
        },
    ),
    "broker-task": (
        "ecs-tasks.amazonaws.com",
        {
            "elasticfilesystem:ClientMount": {"module.ecs.aws_efs_file_system.queues"},
            "elasticfilesystem:ClientWrite": {"module.ecs.aws_efs_file_system.queues"},
            "s3:GetObject": {_PASSWORDS},
            "s3:ListBucket": {_ARTIFACTS},
        },
    ),
    "portal": (
        "ec2.amazonaws.com",
        {
            "s3:GetObject": {f"{_ARTIFACTS}/portal/BUNDLE.tar"},
            "s3:GetObjectVersion": {f"{_ARTIFACTS}/portal/BUNDLE.tar"},
            "sqs:SendMessage": {queue("mqtt-command"), queue("lorawan-command")},
            "sqs:GetQueueAttributes": _ACCOUNTED,
            "rds-db:connect": {database_user("portal")},
            "elasticache:Connect": {_CACHE, cache_user("portal")},
            "logs:CreateLogStream": {"module.ec2.aws_cloudwatch_log_group.portal:*"},
            "logs:DescribeLogStreams": {"module.ec2.aws_cloudwatch_log_group.portal:*"},
            "logs:PutLogEvents": {"module.ec2.aws_cloudwatch_log_group.portal:*"},
        },
    ),
    "config": (
        "config.amazonaws.com",
        {
            "s3:GetBucketAcl": {"module.monitoring.aws_s3_bucket.logs"},
            "s3:ListBucket": {"module.monitoring.aws_s3_bucket.logs"},
            "s3:PutObject": {"module.monitoring.aws_s3_bucket.logs/config/AWSLogs/123456789012/*"},
        },
    ),
}


def statements(plan: Plan, policy: str) -> list[dict[str, Any]]:
    """Return a policy's statements, with addresses in the place of made-up values."""
    bundle = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

    def named(value: Any) -> Any:  # noqa: ANN401 - JSON
        if isinstance(value, str):
            return plan.origin(value).replace(bundle, "BUNDLE")
        if isinstance(value, list):
            return [named(one) for one in value]
        if isinstance(value, dict):
            return {key: named(one) for key, one in value.items()}
        return value

    found: list[dict[str, Any]] = named(json.loads(policy))["Statement"]
    return found


def granted(found: list[dict[str, Any]]) -> Grants:
    """Return the resources of each allowed action."""
    grants: Grants = {}
    for statement in found:
        if statement["Effect"] == "Allow":
            for action in statement["Action"]:
                grants.setdefault(action, set()).update(statement["Resource"])
    return grants


def function_statements(plan: Plan, function: str) -> list[dict[str, Any]]:
    return statements(plan, plan.by_key("aws_iam_policy")[function]["policy"])


def other_statements(plan: Plan, role: str) -> list[dict[str, Any]]:
    [policy] = [
        one
        for one in plan.of("aws_iam_role_policy")
        if one["name"] == f"iam-policy-tilt-sensor-lab-{role}"
    ]
    [holder] = [one for one in plan.of("aws_iam_role") if one["name"].endswith(f"lab-{role}")]
    assert plan.origin(policy["role"]) == holder.address
    return statements(plan, policy["policy"])


@pytest.mark.parametrize("function", sorted(_FUNCTIONS))
def test_p4_2_a_function_may_do_exactly_this(resolved: Plan, function: str) -> None:
    name = f"lambda-tilt-sensor-lab-{_DOCUMENT_NAMES.get(function, function)}"
    log = f"arn:aws:logs:us-east-1:123456789012:log-group:/aws/lambda/{name}:*"
    found = function_statements(resolved, function)
    assert granted(found) == {
        "logs:CreateLogStream": {log},
        "logs:PutLogEvents": {log},
        **{action: {"*"} for action in _NETWORK_ACTIONS},
        **FUNCTIONS[function],
    }
    [denied] = [statement for statement in found if statement["Effect"] == "Deny"]
    assert denied["Action"] == list(_NETWORK_ACTIONS)
    assert denied["Condition"] == {
        "ArnEquals": {
            "lambda:SourceFunctionArn": f"arn:aws:lambda:us-east-1:123456789012:function:{name}"
        }
    }


@pytest.mark.parametrize("role", OTHERS)
def test_p4_2_another_role_may_do_exactly_this(resolved: Plan, role: str) -> None:
    assert granted(other_statements(resolved, role)) == OTHERS[role][1]


def test_p4_2_each_function_has_a_role_of_its_own(resolved: Plan) -> None:
    roles = {
        function.key: resolved.origin(function["role"])
        for function in resolved.of("aws_lambda_function")
    }
    assert roles == {name: f'module.iam.aws_iam_role.lambda["{name}"]' for name in _FUNCTIONS}


def test_p4_2_no_role_has_another_policy(resolved: Plan) -> None:
    attached = {
        (resolved.origin(one["role"]), resolved.origin(one["policy_arn"]))
        for one in resolved.of("aws_iam_role_policy_attachment")
    }
    # The names of roles are known, so nothing is made up in their place.
    assert attached == {
        *(
            (
                f"iam-role-tilt-sensor-lab-lambda-{name.replace('_', '-')}",
                f'module.iam.aws_iam_policy.lambda["{name}"]',
            )
            for name in _FUNCTIONS
        ),
        # Reading every kind of resource is what Config does; AWS keeps the list.
        (
            "iam-role-tilt-sensor-lab-config",
            "arn:aws:iam::aws:policy/service-role/AWS_ConfigRole",
        ),
    }
    assert len(resolved.of("aws_iam_role")) == len(_FUNCTIONS) + len(OTHERS)
    assert len(resolved.of("aws_iam_role_policy")) == len(OTHERS)
    for other in (
        "aws_iam_user",
        "aws_iam_group",
        "aws_iam_access_key",
        "aws_iam_policy_attachment",
    ):
        assert resolved.of(other) == []


def test_p4_2_only_the_one_service_assumes_a_role(resolved: Plan) -> None:
    services = {
        one["name"].removeprefix("iam-role-tilt-sensor-lab-"): [
            (statement["Effect"], statement["Action"], statement["Principal"])
            for statement in json.loads(one["assume_role_policy"])["Statement"]
        ]
        for one in resolved.of("aws_iam_role")
    }
    expected = {
        f"lambda-{name.replace('_', '-')}": "lambda.amazonaws.com" for name in _FUNCTIONS
    } | {role: service for role, (service, _) in OTHERS.items()}
    assert services == {
        role: [("Allow", "sts:AssumeRole", {"Service": service})]
        for role, service in expected.items()
    }


def test_p4_2_everything_is_allowed_only_where_aws_asks_for_it(resolved: Plan) -> None:
    policies = [one["policy"] for one in resolved.of("aws_iam_policy")]
    policies += [one["policy"] for one in resolved.of("aws_iam_role_policy")]
    for policy in policies:
        for action, resources in granted(statements(resolved, policy)).items():
            assert "*" not in action
            assert "*" not in resources or action in ON_EVERYTHING


def test_p4_2_secrets_are_decrypted_for_reading_them_only(resolved: Plan) -> None:
    for policy in (*resolved.of("aws_iam_policy"), *resolved.of("aws_iam_role_policy")):
        found = statements(resolved, policy["policy"])
        secrets = granted(found).get("secretsmanager:GetSecretValue")
        conditions = [one["Condition"] for one in found if "kms:Decrypt" in one["Action"]]
        if secrets is None:
            assert conditions == []
        else:
            [condition] = conditions
            allowed = condition["StringEquals"]["kms:EncryptionContext:SecretARN"]
            assert set(allowed) == secrets


def test_p4_2_the_broker_writes_by_its_access_point_only(resolved: Plan) -> None:
    [mount] = [
        one
        for one in other_statements(resolved, "broker-task")
        if "elasticfilesystem:ClientMount" in one["Action"]
    ]
    assert mount["Condition"] == {
        "StringEquals": {
            "elasticfilesystem:AccessPointArn": "module.ecs.aws_efs_access_point.queues"
        }
    }


def test_p4_2_the_examples_of_the_document(resolved: Plan) -> None:
    """DB1 reaches the database and no command queue; parsing sends to the queue behind it alone."""
    db1 = granted(function_statements(resolved, "db1"))
    assert "sqs:SendMessage" not in db1
    assert db1["rds-db:connect"] == {database_user("db1")}
    parsing = granted(function_statements(resolved, "parsing"))
    assert parsing["sqs:SendMessage"] - {_FAILED_RUNS} == {queue("distributing")}
    assert "sqs:ReceiveMessage" not in parsing
