resource "aws_appautoscaling_target" "message_broker" {
  service_namespace  = "ecs"
  resource_id        = "service/${aws_ecs_cluster.main.name}/${aws_ecs_service.message_broker.name}"
  scalable_dimension = "ecs:service:DesiredCount"
  min_capacity       = var.desired_count
  max_capacity       = var.max_count
}

# Up by itself; down by hand (docs/runbooks), as a task that goes takes its slot out of service.
resource "aws_appautoscaling_policy" "message_broker" {
  for_each = {
    cpu    = { metric = "ECSServiceAverageCPUUtilization", target = 60 }
    memory = { metric = "ECSServiceAverageMemoryUtilization", target = 75 }
  }

  name               = "scaling-${var.name_prefix}-broker-${each.key}"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.message_broker.service_namespace
  resource_id        = aws_appautoscaling_target.message_broker.resource_id
  scalable_dimension = aws_appautoscaling_target.message_broker.scalable_dimension

  target_tracking_scaling_policy_configuration {
    target_value       = each.value.target
    disable_scale_in   = true
    scale_out_cooldown = 60

    predefined_metric_specification {
      predefined_metric_type = each.value.metric
    }
  }
}
