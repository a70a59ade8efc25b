# Each task has an address of its own here: parsing drains, and command handlers reach, every one.

resource "aws_service_discovery_private_dns_namespace" "broker" {
  name        = var.namespace
  description = "Tasks of the MQTT broker"
  vpc         = var.vpc_id

  tags = { Name = "cloudmap-${var.name_prefix}-broker" }
}

resource "aws_service_discovery_service" "tasks" {
  name        = "tasks"
  description = "One address a task"

  dns_config {
    namespace_id   = aws_service_discovery_private_dns_namespace.broker.id
    routing_policy = "MULTIVALUE"

    dns_records {
      type = "A"
      ttl  = 10
    }
  }

  # ECS reports a task's health; there is nothing to choose but its presence.
  health_check_custom_config {
    failure_threshold = 1
  }
}
