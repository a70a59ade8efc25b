output "dns_name" {
  description = "Name of the load balancer."
  value       = aws_lb.iot_nlb.dns_name
}

output "zone_id" {
  description = "Hosted zone of that name, for an alias record."
  value       = aws_lb.iot_nlb.zone_id
}

output "arn_suffix" {
  description = "The load balancer, as CloudWatch has it."
  value       = aws_lb.iot_nlb.arn_suffix
}

output "target_group_arn_suffixes" {
  description = "The target groups, as CloudWatch has them, by port."
  value       = { for port, group in aws_lb_target_group.ecs_broker : port => group.arn_suffix }
}

output "target_group_arns" {
  description = "Target groups that a listener forwards to, by port."
  value       = { for port, listener in aws_lb_listener.tcp : port => aws_lb_target_group.ecs_broker[port].arn }
}

output "security_group_id" {
  description = "Security group of the load balancer."
  value       = aws_security_group.nlb.id
}
