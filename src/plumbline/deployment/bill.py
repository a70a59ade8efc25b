"""The month's bill, item by item, of a load on a deployment at a region's prices."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from plumbline.deployment import workload as per
from plumbline.deployment.prices import Prices
from plumbline.deployment.sizes import Deployment
from plumbline.deployment.workload import GB, HOURS, SECONDS, Load
from plumbline.topology import TOPOLOGY

_KIB64 = 65_536  # SQS bills a request for each 64 KiB of it
_BATCH = 10  # messages of a request to SQS
_COMPRESSED = 0.15  # of a log's bytes are kept and billed
_NLCU_CONNECTIONS = 100_000
_LCU_REQUESTS_S = 25  # of an Application Load Balancer: new connections a second
_ROOT_DISK_IMAGES = 10
_CONFIG_ITEMS = 1000  # changes of the configuration that AWS Config records
_SIGNED_IN_CALLS_S = 3600  # how long Lambda keeps an instance with its secret, about
_TASKS_POLL_S = 5.0
_BURSTING_MIB_S = 1.0


@dataclass(frozen=True, slots=True)
class CostItem:
    """One line of the bill.

    Attributes:
        module: Of Terraform.
        resource: Terraform's type of what is billed.
        name: For people.
        quantity, unit: What is used in a month.
        price_usd: Of one unit.
    """

    module: str
    resource: str
    name: str
    quantity: float
    unit: str
    price_usd: float

    @property
    def usd(self) -> float:
        """A month."""
        return self.quantity * self.price_usd


def monthly_bill(load: Load, of: Deployment, prices: Prices) -> list[CostItem]:
    """Return all items, by module in the order of the reading path.

    Raises:
        ConfigurationError: A size has no price.
    """
    return [item for part in _PARTS for item in part(load, of, prices)]


def total_usd(bill: list[CostItem]) -> float:
    """Return the sum."""
    return sum(item.usd for item in bill)


def _nlb(load: Load, of: Deployment, prices: Prices) -> Iterator[CostItem]:
    nlb = "aws_lb"
    yield CostItem("nlb", nlb, "load balancer", HOURS, "h", prices.price("nlb.hour"))
    units = max(load.device_gb / HOURS, load.devices / _NLCU_CONNECTIONS) * HOURS
    yield CostItem("nlb", nlb, "capacity", units, "NLCU-h", prices.price("nlb.nlcu_hour"))
    yield _addresses("nlb", of, prices)
    out_gb = load.readings * per.MQTT_OVERHEAD_BYTES / 2 / GB
    yield CostItem("nlb", nlb, "answers to devices", out_gb, "GB", prices.price("transfer.out_gb"))


def _ecs(load: Load, of: Deployment, prices: Prices) -> Iterator[CostItem]:
    hours = of.broker_tasks * HOURS
    chip = of.broker_architecture
    task = "aws_ecs_service"
    vcpu, memory = (prices.price("fargate", chip, unit) for unit in ("vcpu_hour", "gb_hour"))
    yield CostItem("ecs", task, "broker, CPU", hours * of.broker_vcpu, "vCPU-h", vcpu)
    yield CostItem("ecs", task, "broker, memory", hours * of.broker_gb, "GB-h", memory)
    yield from _efs(load, of, prices)
    images_gb = _ROOT_DISK_IMAGES * per.IMAGE_GB
    yield CostItem(
        "ecs", "aws_ecr_repository", "images", images_gb, "GB", prices.price("ecr.gb_month")
    )
    zone = "aws_service_discovery_private_dns_namespace"
    yield CostItem("ecs", zone, "private zone", 1, "zone", prices.price("cloudmap.zone_month"))
    yield CostItem(
        "ecs",
        "aws_service_discovery_service",
        "registered tasks",
        of.broker_tasks,
        "task",
        prices.price("cloudmap.instance_month"),
    )
    gets = of.broker_tasks * SECONDS / _TASKS_POLL_S
    yield CostItem(
        "ecs", "aws_s3_bucket", "looks for new devices", gets, "request", prices.price("s3.get")
    )


def _efs(load: Load, of: Deployment, prices: Prices) -> Iterator[CostItem]:
    files = "aws_efs_file_system"
    kept_gb = load.saved_mib_s * 4 * 2**20 / GB
    yield CostItem("ecs", files, "queues on EFS", kept_gb, "GB", prices.price("efs.gb_month"))
    if of.efs_throughput == "elastic":
        written_gb = load.saved_mib_s * 2**20 * SECONDS / GB
        yield CostItem(
            "ecs", files, "saving the queues", written_gb, "GB", prices.price("efs.write_gb")
        )
    if of.efs_throughput == "provisioned":
        yield CostItem(
            "ecs",
            files,
            "throughput to save the queues",
            max(_BURSTING_MIB_S, 2 * load.saved_mib_s),  # the queue is longest before its drain
            "MiB/s",
            prices.price("efs.provisioned_mibs_month"),
        )


def _lambda(load: Load, of: Deployment, prices: Prices) -> Iterator[CostItem]:
    function = "aws_lambda_function"
    gb_second = prices.price("lambda", of.lambda_architecture, "gb_second")
    runs = invocations(load, of)
    for name, (count, seconds) in runs.items():
        gb_seconds = count * seconds * of.lambda_memory_mb[name] / 1024
        yield CostItem("lambda", function, f"{name}, time", gb_seconds, "GB-s", gb_second)
    count = sum(count for count, _ in runs.values())
    yield CostItem("lambda", function, "invocations", count, "run", prices.price("lambda.request"))


def invocations(load: Load, of: Deployment) -> dict[str, tuple[float, float]]:
    """Return how often each function runs in a month, and for how long, by name; seconds."""

    def on_core(name: str, cpu_s: float) -> float:
        return cpu_s * per.FULL_CORE_MB / min(per.FULL_CORE_MB, of.lambda_memory_mb[name])

    def runs(schedule: str) -> float:
        return SECONDS / TOPOLOGY.schedule(schedule).period_s

    ingestions = runs("ingestion")
    per_run = load.readings / ingestions
    parsing_s = TOPOLOGY.drain.linger_s * of.broker_tasks
    parsing_s += on_core("parsing", per_run * per.PARSING_CPU_S) + per_run / _BATCH * per.SQS_CALL_S
    distributing_s = on_core("distributing", per.DISTRIBUTING_CPU_S) + per.SQS_CALL_S
    db1_s = on_core("db1", per.DB1_CPU_S * of.db1_batch / 25) + per.DATABASE_TRANSACTION_S
    sync_s = 0.5 + load.devices / 20_000
    # Which devices are behind which handler is not asked: each is reckoned for all of them.
    command_s = per.COMMAND_S * of.broker_tasks
    by_hand = {f.name: (per.BY_HAND_RUNS, per.BY_HAND_S) for f in TOPOLOGY.functions if f.by_hand}
    return {
        "parsing": (ingestions, parsing_s),
        "distributing": (load.readings / _BATCH, distributing_s),
        "db1": (load.readings / of.db1_batch, db1_s),
        "sync": (runs("sync"), sync_s),
        "maintenance": (runs("maintenance"), 10.0),
        "mqtt_command": (load.commands, command_s),
        "lorawan_command": (load.commands, command_s),
        **by_hand,
    }


def _sqs(load: Load, of: Deployment, prices: Prices) -> Iterator[CostItem]:
    queue = "aws_sqs_queue"
    parts = max(1, -(-_BATCH * (load.payload_bytes + per.QUEUE_MESSAGE_BYTES) // _KIB64))
    tens = load.readings / _BATCH * parts
    # A batch of db1 is received and deleted by requests of ten.
    db1 = 2 * load.readings / of.db1_batch * -(-of.db1_batch // _BATCH) * parts
    idle = {queue.name: per.IDLE_POLLS for queue in TOPOLOGY.queues}
    fifo = sum(idle[q.name] for q in TOPOLOGY.queues if q.fifo)
    standard = sum(idle[q.name] for q in TOPOLOGY.queues if not q.fifo)
    fifo_price, standard_price = (
        prices.price("sqs.fifo_request"),
        prices.price("sqs.standard_request"),
    )
    yield CostItem("sqs", queue, "distributing: in, out, gone", 3 * tens, "request", fifo_price)
    yield CostItem("sqs", queue, "db1: in, out, gone", tens + db1, "request", standard_price)
    yield CostItem("sqs", queue, "commands", 3 * load.commands, "request", fifo_price)
    yield CostItem("sqs", queue, "asking empty FIFO queues", fifo, "request", fifo_price)
    yield CostItem("sqs", queue, "asking empty queues", standard, "request", standard_price)


def _rds(load: Load, of: Deployment, prices: Prices) -> Iterator[CostItem]:
    cluster = "aws_rds_cluster"
    acu_hours = of.aurora_instances * load.acu(of.aurora_min_acu) * HOURS
    yield CostItem(
        "rds",
        "aws_rds_cluster_instance",
        "Aurora",
        acu_hours,
        "ACU-h",
        prices.price("rds.acu_hour"),
    )
    yield CostItem(
        "rds",
        cluster,
        "90 days of readings",
        max(1.0, load.stored_gb),
        "GB",
        prices.price("rds.storage_gb_month"),
    )
    writes = load.readings / of.db1_batch * -(-of.db1_batch * per.WAL_BYTES // per.IO_BYTES)
    reads = load.requests
    yield CostItem(
        "rds", cluster, "reads and writes", writes + reads, "I/O", prices.price("rds.io")
    )
    backup_gb = per.BACKUP_DAYS * load.readings_s * 86_400 * per.WAL_BYTES / GB
    yield CostItem(
        "rds",
        cluster,
        "seven days of backups",
        backup_gb,
        "GB",
        prices.price("rds.backup_gb_month"),
    )


def _elasticache(_load: Load, of: Deployment, prices: Prices) -> Iterator[CostItem]:
    price = prices.price("elasticache", of.cache_type)
    yield CostItem(
        "elasticache",
        "aws_elasticache_replication_group",
        f"Redis, {of.cache_type}",
        of.cache_nodes * HOURS,
        "h",
        price,
    )


def _ec2(_load: Load, of: Deployment, prices: Prices) -> Iterator[CostItem]:
    group = "aws_autoscaling_group"
    hours = of.portal_instances * HOURS
    price = prices.price("ec2", of.portal_type)
    yield CostItem("ec2", group, f"portal, {of.portal_type}", hours, "h", price)
    disks_gb = of.portal_instances * of.portal_disk_gb
    yield CostItem(
        "ec2", "aws_launch_template", "disks", disks_gb, "GB", prices.price("ebs.gp3_gb_month")
    )


def _alb(load: Load, of: Deployment, prices: Prices) -> Iterator[CostItem]:
    alb = "aws_lb"
    yield CostItem("alb", alb, "load balancer", HOURS, "h", prices.price("alb.hour"))
    units = max(load.response_gb / HOURS, load.requests / SECONDS / _LCU_REQUESTS_S) * HOURS
    yield CostItem("alb", alb, "capacity", units, "LCU-h", prices.price("alb.lcu_hour"))
    yield _addresses("alb", of, prices)


def _addresses(module: str, of: Deployment, prices: Prices) -> CostItem:
    hours = of.zones * HOURS
    price = prices.price("vpc.public_ip_hour")
    return CostItem(module, "aws_lb", "public addresses", hours, "h", price)


def _cloudfront(load: Load, _of: Deployment, prices: Prices) -> Iterator[CostItem]:
    kind = "aws_cloudfront_distribution"
    yield CostItem(
        "cloudfront", kind, "to users", load.response_gb, "GB", prices.price("cloudfront.gb")
    )
    yield CostItem(
        "cloudfront", kind, "requests", load.requests, "request", prices.price("cloudfront.request")
    )


def _waf(load: Load, of: Deployment, prices: Prices) -> Iterator[CostItem]:
    kind = "aws_wafv2_web_acl"
    yield CostItem("waf", kind, "web ACL", 1, "ACL", prices.price("waf.acl_month"))
    yield CostItem("waf", kind, "rules", of.waf_rules, "rule", prices.price("waf.rule_month"))
    yield CostItem("waf", kind, "requests", load.requests, "request", prices.price("waf.request"))


def _vpc(load: Load, of: Deployment, prices: Prices) -> Iterator[CostItem]:
    # What stays inside a zone costs nothing; of two zones, half does.
    crossing_gb = (load.queued_gb + 2 * load.device_gb) * (of.zones - 1) / of.zones
    if of.endpoints:
        hours = of.endpoints * of.zones * HOURS
        endpoint = "aws_vpc_endpoint"
        price = prices.price("vpc.endpoint_hour")
        yield CostItem("vpc", endpoint, "interface endpoints", hours, "h", price)
        price = prices.price("vpc.endpoint_gb")
        yield CostItem("vpc", endpoint, "through endpoints", load.queued_gb, "GB", price)
    if of.nat_gateways:
        hours = of.nat_gateways * HOURS
        nat = "aws_nat_gateway"
        yield CostItem("vpc", nat, "NAT gateways", hours, "h", prices.price("vpc.nat_hour"))
        through_gb = 0.0 if of.endpoints else load.queued_gb
        yield CostItem("vpc", nat, "through NAT", through_gb, "GB", prices.price("vpc.nat_gb"))
        ips = of.nat_gateways * HOURS
        price = prices.price("vpc.public_ip_hour")
        yield CostItem("vpc", "aws_eip", "addresses of NAT", ips, "h", price)
    yield CostItem(
        "vpc", "aws_subnet", "between zones", crossing_gb, "GB", prices.price("transfer.zone_gb")
    )
    if of.flow_logs:
        flows_gb = (load.device_gb + load.queued_gb) * 0.02
        price = prices.price("cloudwatch.log_gb")
        yield CostItem("vpc", "aws_flow_log", "flow logs", flows_gb, "GB", price)


def _eventbridge(_load: Load, _of: Deployment, prices: Prices) -> Iterator[CostItem]:
    runs = sum(SECONDS / schedule.period_s for schedule in TOPOLOGY.schedules)
    price = prices.price("eventbridge.scheduled_run")
    yield CostItem("eventbridge", "aws_cloudwatch_event_rule", "schedules", runs, "run", price)


def _monitoring(load: Load, of: Deployment, prices: Prices) -> Iterator[CostItem]:
    runs = sum(count for count, _ in invocations(load, of).values())
    own = per.FUNCTION_LOG_BYTES if of.function_logs else 0
    logs_gb = runs * (own + per.LAMBDA_LINES_BYTES) / GB
    logs_gb += load.requests * (per.WAF_LOG_BYTES + per.ACCESS_LOG_BYTES) / GB
    group = "aws_cloudwatch_log_group"
    yield CostItem("monitoring", group, "logs", logs_gb, "GB", prices.price("cloudwatch.log_gb"))
    kept_gb = logs_gb * _COMPRESSED * of.log_retention_days * 86_400 / SECONDS
    price = prices.price("cloudwatch.log_gb_month")
    yield CostItem("monitoring", group, "logs, kept", kept_gb, "GB", price)
    price = prices.price("cloudwatch.metric_month")
    yield CostItem("monitoring", group, "own metrics", of.custom_metrics, "metric", price)
    price = prices.price("cloudwatch.alarm_month")
    alarm = "aws_cloudwatch_metric_alarm"
    yield CostItem("monitoring", alarm, "alarms", of.alarm_metrics, "metric", price)
    price = prices.price("cloudwatch.dashboard_month")
    board = "aws_cloudwatch_dashboard"
    yield CostItem("monitoring", board, "dashboard", of.dashboards, "board", price)
    if of.config:
        recorder = "aws_config_configuration_recorder"
        price = prices.price("config.item")
        yield CostItem("monitoring", recorder, "AWS Config", _CONFIG_ITEMS, "change", price)
    if of.guardduty:
        detector = "aws_guardduty_detector"
        gb = load.device_gb + load.queued_gb
        price = prices.price("guardduty.log_gb")
        yield CostItem("monitoring", detector, "GuardDuty, flows", gb * 0.02, "GB", price)
        price = prices.price("guardduty.million_events")
        yield CostItem("monitoring", detector, "GuardDuty, calls", 1, "million", price)


def _shared(load: Load, of: Deployment, prices: Prices) -> Iterator[CostItem]:
    secret, key, bucket = "aws_secretsmanager_secret", "aws_kms_key", "aws_s3_bucket"
    price = prices.price("secrets.secret_month")
    yield CostItem("secrets", secret, "secrets", of.secrets, "secret", price)
    calls = 4 * SECONDS / _SIGNED_IN_CALLS_S
    price = prices.price("secrets.request")
    yield CostItem("secrets", secret, "reading them", calls, "request", price)
    yield CostItem("keys", key, "keys", of.keys, "key", prices.price("kms.key_month"))
    uses = 10 * SECONDS / _SIGNED_IN_CALLS_S
    yield CostItem("keys", key, "using them", uses, "request", prices.price("kms.request"))
    objects_gb = per.ARCHIVES_GB * 5 + load.requests * per.ACCESS_LOG_BYTES / GB
    yield CostItem(
        "artifacts",
        bucket,
        "packages and access logs",
        objects_gb,
        "GB",
        prices.price("s3.gb_month"),
    )


_PARTS: tuple[Callable[[Load, Deployment, Prices], Iterator[CostItem]], ...] = (
    _nlb,
    _ecs,
    _lambda,
    _sqs,
    _rds,
    _elasticache,
    _ec2,
    _alb,
    _cloudfront,
    _waf,
    _vpc,
    _eventbridge,
    _monitoring,
    _shared,
)
