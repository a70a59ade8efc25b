output "autoscaling_group_name" {
  description = "Auto Scaling group of the portal."
  value       = aws_autoscaling_group.portal_api.name
}

output "security_group_id" {
  description = "Security group of the instances."
  value       = aws_security_group.portal_api.id
}

output "log_group_name" {
  description = "Log of the portal."
  value       = aws_cloudwatch_log_group.portal.name
}

output "log_group_arn" {
  description = "Log of the portal."
  value       = aws_cloudwatch_log_group.portal.arn
}
