resource "aws_security_group" "ecs_broker" {
  name        = "${var.name_prefix}-ecs-broker-sg"
  description = "Tasks of the MQTT broker"
  vpc_id      = var.vpc_id

  tags = { Name = "sg-${var.name_prefix}-ecs-broker" }
}

resource "aws_ecs_cluster" "main" {
  # checkov:skip=CKV_AWS_65: CPU, memory and the number of tasks come without it, and its metrics cost

  name = "ecs-${var.name_prefix}"

  setting {
    name  = "containerInsights"
    value = "disabled"
  }
}

resource "aws_cloudwatch_log_group" "broker" {
  name              = "/ecs/ecs-service-${var.name_prefix}-broker"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
}

resource "aws_ecr_repository" "broker" {
  name                 = "ecr-${var.name_prefix}-broker"
  image_tag_mutability = "IMMUTABLE"
  force_delete         = true # every image can be built again

  image_scanning_configuration {
    scan_on_push = true
  }

  encryption_configuration {
    encryption_type = "KMS"
    kms_key         = var.kms_key_arn
  }
}

resource "aws_ecr_lifecycle_policy" "broker" {
  repository = aws_ecr_repository.broker.name

  policy = jsonencode({
    rules = [{
      rulePriority = 1
      description  = "Keep the last ten images"
      selection    = { tagStatus = "any", countType = "imageCountMoreThan", countNumber = 10 }
      action       = { type = "expire" }
    }]
  })
}

resource "aws_ecs_task_definition" "message_broker" {
  family                   = "ecs-task-${var.name_prefix}-broker"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = var.task_cpu
  memory                   = var.task_memory
  execution_role_arn       = var.execution_role_arn
  task_role_arn            = var.task_role_arn

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = var.cpu_architecture
  }

  volume {
    name = "queues"

    efs_volume_configuration {
      file_system_id     = aws_efs_file_system.queues.id
      transit_encryption = "ENABLED"

      authorization_config {
        access_point_id = aws_efs_access_point.queues.id
        iam             = "ENABLED"
      }
    }
  }

  # Configuration and passwords of the task; gone with it.
  volume {
    name = "run"
  }

  container_definitions = jsonencode([local.container])
}

locals {
  container = {
    name      = "broker"
    image     = "${aws_ecr_repository.broker.repository_url}:${var.image_tag}"
    essential = true

    portMappings = [for port in sort(var.ports) : { containerPort = tonumber(port), protocol = "tcp" }]

    environment = [for name, value in merge(
      {
        BROKER_SLOTS            = tostring(var.max_count)
        BROKER_DRAIN_S          = "100"
        BROKER_MAX_QUEUED_BYTES = tostring(var.max_queued_bytes)
        BROKER_PASSWORDS        = var.passwords_url
        MQTT_TOPIC              = join(",", var.topics)
      },
      contains(var.ports, 1883) ? { BROKER_PLAIN_HOST = "0.0.0.0" } : {},
    ) : { name = name, value = value }]

    secrets = concat(
      [for user, secret in aws_secretsmanager_secret.service_user : {
        name      = "BROKER_${upper(user)}_PASSWORD"
        valueFrom = secret.arn
      }],
      [
        { name = "BROKER_CERTIFICATE", valueFrom = "${aws_secretsmanager_secret.tls.arn}:certificate::" },
        { name = "BROKER_PRIVATE_KEY", valueFrom = "${aws_secretsmanager_secret.tls.arn}:private_key::" },
      ],
    )

    readonlyRootFilesystem = true
    mountPoints = [
      { sourceVolume = "queues", containerPath = "/data", readOnly = false },
      { sourceVolume = "run", containerPath = "/run/plumbline", readOnly = false },
    ]
    stopTimeout = 120 # Fargate's most; the entry point drains for 100 s of it

    healthCheck = {
      command     = ["CMD", "python3", "-m", "plumbline.broker.health"]
      interval    = 30
      timeout     = 10
      retries     = 3
      startPeriod = 120
    }

    ulimits = [{ name = "nofile", softLimit = 65536, hardLimit = 65536 }]

    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = aws_cloudwatch_log_group.broker.name
        awslogs-region        = var.aws_region
        awslogs-stream-prefix = "broker"
      }
    }
  }
}

resource "aws_ecs_service" "message_broker" {
  # checkov:skip=CKV_AWS_332: 1.4.0 is the latest; a new one is tried first

  name             = "ecs-service-${var.name_prefix}-broker"
  cluster          = aws_ecs_cluster.main.id
  task_definition  = aws_ecs_task_definition.message_broker.arn
  desired_count    = var.desired_count
  launch_type      = "FARGATE"
  platform_version = "1.4.0"
  propagate_tags   = "SERVICE"

  # A task takes over the slot, and with it the queue, of the one that it replaces: so that one
  # must stop first. (Rebalancing between zones would start the new one first.)
  deployment_minimum_healthy_percent = 50
  deployment_maximum_percent         = 100
  availability_zone_rebalancing      = "DISABLED"
  health_check_grace_period_seconds  = 120

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  network_configuration {
    subnets          = var.subnet_ids
    security_groups  = [aws_security_group.ecs_broker.id]
    assign_public_ip = false
  }

  dynamic "load_balancer" {
    for_each = var.target_group_arns

    content {
      target_group_arn = load_balancer.value
      container_name   = local.container.name
      container_port   = load_balancer.key
    }
  }

  service_registries {
    registry_arn = aws_service_discovery_service.tasks.arn
  }

  lifecycle {
    ignore_changes = [desired_count] # that is the scaling's
  }

  # Tasks that start without their secrets or file system fail.
  depends_on = [
    aws_efs_mount_target.queues,
    aws_secretsmanager_secret_version.service_user,
  ]
}
