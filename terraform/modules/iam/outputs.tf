output "lambda_role_arns" {
  description = "Role of each function, by the topology's name, once it may do its work."
  value       = { for name, role in aws_iam_role.lambda : name => role.arn }
  depends_on  = [aws_iam_role_policy_attachment.lambda]
}

output "lambda_role_names" {
  description = "Names of the functions' roles."
  value       = { for name, role in aws_iam_role.lambda : name => role.name }
}

output "broker_execution_role_arn" {
  description = "Role with which ECS starts the broker's tasks."
  value       = aws_iam_role.broker_execution.arn
  depends_on  = [aws_iam_role_policy.broker_execution]
}

output "broker_task_role_arn" {
  description = "Role of the broker's tasks."
  value       = aws_iam_role.broker_task.arn
  depends_on  = [aws_iam_role_policy.broker_task]
}

output "portal_instance_profile_arn" {
  description = "Instance profile of the portal."
  value       = aws_iam_instance_profile.portal.arn
  depends_on  = [aws_iam_role_policy.portal]
}

output "flow_logs_role_arn" {
  description = "Role that writes the flow logs; empty where they are off."
  value       = join("", aws_iam_role.flow_logs[*].arn)
  depends_on  = [aws_iam_role_policy.flow_logs]
}
